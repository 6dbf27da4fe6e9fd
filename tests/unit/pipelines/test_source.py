"""Reading YAML with positions, within limits."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from penstock.errors import ConfigError
from penstock.pipelines.source import MAX_BYTES, MAX_NODES, parse, read


def problem(data: bytes) -> str:
    with pytest.raises(ConfigError) as refusal:
        parse("f.yaml", data)
    [only] = refusal.value.problems
    return str(only)


def test_every_value_and_key_has_its_place() -> None:
    file = parse("f.yaml", b"a: 1\nb:\n  - x\n  - c: y\n")
    assert file.value == {"a": 1, "b": ["x", {"c": "y"}]}
    assert file.position(("b", 1, "c")) == (4, 8)
    assert file.position(("b", 1, "c"), key=True) == (4, 5)


def test_a_place_that_is_not_there_is_the_innermost_one_around_it() -> None:
    file = parse("f.yaml", b"a:\n  b: 1\n")
    assert file.position(("a", "missing", "deeper")) == (2, 3)
    assert file.position(("a", "int", "b")) == (2, 6)


def test_dates_clock_times_and_merge_keys_stay_text() -> None:
    value = parse("f.yaml", b"a: 2024-01-02\nb: 1:30\n<<: {c: 1}\n").value
    assert value == {"a": "2024-01-02", "b": "1:30", "<<": {"c": 1}}


def test_a_byte_order_mark_and_windows_line_ends_are_taken() -> None:
    file = parse("f.yaml", b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert file.value == {"a": 1, "b": 2}
    assert file.position(("b",)) == (2, 4)


def test_plain_tags_are_taken_and_a_wrong_one_is_a_problem() -> None:
    file = parse("f.yaml", b"a: !!str 1\nb: !!bool maybe\nc: !!int x\n")
    assert file.value["a"] == "1"
    assert [p.line for p in file.problems] == [2, 3]


@pytest.mark.parametrize(
    "text", [b"a: !!map x", b"a: !x y", b"a: !!binary eA==", b"a: !!set {x}", b"a: !!python/name:os x"]
)
def test_other_tags_are_refused(text: bytes) -> None:
    assert "is not taken" in problem(text)


def test_a_file_of_more_than_a_megabyte_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_bytes(b"a" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than 1,000,000 bytes"):
        read(path)


def test_more_values_than_a_pipeline_could_need_are_refused() -> None:
    assert "more than 20,000 values" in problem(b"- x\n" * (MAX_NODES + 1))


@pytest.mark.parametrize("sign", [b"[", b"{a: ", b"- ", b"? "])
def test_nesting_ends_in_a_problem_not_in_a_recursion_error(sign: bytes) -> None:
    assert "nested deeper than 40 levels" in problem(sign * 5000)


def test_a_number_of_many_digits_is_a_problem() -> None:
    assert len(parse("f.yaml", b"a: " + b"1" * 5000).problems) == 1


def test_an_absent_file_and_a_folder_are_problems(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="not a file"):
        read(tmp_path)


@pytest.mark.parametrize("cut", range(0, 700, 7))
def test_every_cut_of_a_real_file_reads_or_is_a_problem(cut: int, root: Path) -> None:
    data = (root / "config/orchestration/pipelines/pdf-two-phase.yaml").read_bytes()[:cut]
    with suppress(ConfigError):
        parse("f.yaml", data)
