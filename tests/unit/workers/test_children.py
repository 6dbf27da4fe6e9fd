"""A child process does its work or is got rid of, and one can tell why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pdf_engines import TARGET, pdf
from penstock.errors import BadInput, EngineUnavailable, InvalidOutput, Stopped
from penstock.workers.children import Bug, Child, ChildDied, Limits
from penstock.workers.host import ChildHost
from penstock.workers.parsed import Parsed

Parse = Callable[..., Parsed]


@pytest.fixture(autouse=True)
def _tests_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def made(**limits: float) -> Child:
    return Child(ChildHost("obedient", "1", TARGET, limits=Limits(**limits)))  # type: ignore[arg-type]


@pytest.fixture
def parse(tmp_path: Path) -> Iterator[Parse]:
    """Parses lines in one child, whose limits the first call may set."""
    children: list[Child] = []

    def run(*lines: str, **limits: float) -> Parsed:
        if not children:
            children.append(made(**limits))
        path = tmp_path / "file.pdf"
        path.write_bytes(pdf(*lines))
        return children[0].parse(path, lambda done, total: None, lambda: None)

    yield run
    for child in children:
        child.close()


def test_what_the_engine_gives_comes_through_with_its_images(parse: Parse) -> None:
    parsed = parse("one", "image", "three")
    assert [e.text for e in parsed.elements] == ["one", "image", "three"]
    assert parsed.images == {"one.png": b"\x89PNG picture"}
    assert parsed.raw == b"raw output"
    assert [p.number for p in parsed.pages] == [1, 2, 3]


def test_progress_is_told_page_by_page(tmp_path: Path) -> None:
    path = tmp_path / "file.pdf"
    path.write_bytes(pdf("a", "b", "c"))
    told: list[tuple[int, int]] = []
    with closing(made()) as child:
        child.parse(path, lambda done, total: told.append((done, total)), lambda: None)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_what_is_printed_is_no_answer(parse: Parse) -> None:
    assert len(parse("print").pages) == 1


def test_one_child_does_many_documents(tmp_path: Path) -> None:
    path = tmp_path / "file.pdf"
    path.write_bytes(pdf("a"))
    with closing(made()) as child:
        pids = set()
        for _ in range(3):
            child.parse(path, lambda done, total: None, lambda: None)
            pids.add(child.pid)
        assert len(pids) == 1


def test_what_the_engine_says_is_raised_and_the_child_lives_on(parse: Parse) -> None:
    with pytest.raises(BadInput, match="it says bad") as bad:
        parse("bad")
    assert bad.value.reason == "corrupt"
    with pytest.raises(EngineUnavailable, match="away"):
        parse("away")
    with pytest.raises(Bug, match="KeyError") as bug:
        parse("bug")
    assert "of the engine" in bug.value.detail
    assert bug.value.reason == "unexpected"
    assert len(parse("good").pages) == 1


@pytest.mark.parametrize(
    ("line", "limits", "said"),
    [
        ("hang", {"page_seconds": 1.5}, "a page took more than 1.5 s"),
        ("hang", {"document_seconds": 1.5}, "it took more than 1.5 s"),
        ("spin", {"page_seconds": 30, "document_seconds": 1}, "more than 1 s"),
        ("grow", {"memory_mb": 256}, "256 MiB|SIG"),
        ("die", {}, "SIGSEGV"),
    ],
)
def test_one_that_does_not_answer_is_gone_and_the_next_document_gets_a_new_one(
    parse: Parse, line: str, limits: dict[str, float], said: str
) -> None:
    with pytest.raises(ChildDied, match=said):
        parse(line, **limits)
    assert len(parse("good").pages) == 1


@pytest.mark.parametrize(
    "frame",
    [b"p\0\0\0\x03abc", b"e\0\0\0\x01{", b"e\0\0\0\x02{}", b"z\0\0\0\0", b"d\0\0\0\x02{}" + b"p\0\0\0\0"],
    ids=["no-pages", "no-json", "no-error", "no-tag", "words-after-the-last"],
)
def test_one_that_says_what_is_no_answer_is_gone(parse: Parse, frame: bytes) -> None:
    with pytest.raises(ChildDied, match="no answer"):
        parse(f"say {frame.hex()}", "hang")
    assert len(parse("good").pages) == 1


def test_what_an_engine_gives_that_is_no_document_is_no_answer_to_the_next(parse: Parse) -> None:
    with pytest.raises((InvalidOutput, ChildDied)):  # by when the progress of that page comes
        parse(f"say {(b'd' + bytes([0, 0, 0, 2]) + b'{}').hex()}", "hang")
    assert [element.text for element in parse("good").elements] == ["good"]


def test_one_that_speaks_unasked_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file.pdf"
    answer = b'd\0\0\0\x17{"pages":[],"elements":[]}'
    path.write_bytes(pdf("good"))
    with closing(made()) as child:
        child.parse(path, lambda done, total: None, lambda: None)
        before = child.pid
        path.write_bytes(pdf(f"later {answer.hex()}", "bad"))
        with pytest.raises(BadInput):
            child.parse(path, lambda done, total: None, lambda: None)
        time.sleep(0.5)
        path.write_bytes(pdf("good"))
        assert len(child.parse(path, lambda done, total: None, lambda: None).pages) == 1
        assert child.pid != before


def test_pages_that_come_in_time_may_take_long_together(tmp_path: Path) -> None:
    path = tmp_path / "file.pdf"
    path.write_bytes(pdf(*"abcdef"))
    host = ChildHost("obedient", "1", TARGET, limits=Limits(page_seconds=1.5), options={"pause": 0.4})
    with closing(Child(host)) as child:
        assert len(child.parse(path, lambda done, total: None, lambda: None).pages) == 6


def test_a_stop_in_the_middle_leaves_no_process(tmp_path: Path) -> None:
    path = tmp_path / "file.pdf"
    path.write_bytes(pdf("hang"))
    child, calls = made(), []

    def stop() -> None:
        calls.append(child.pid)
        if len(calls) > 3:
            raise Stopped("enough")

    with pytest.raises(Stopped):
        child.parse(path, lambda done, total: None, stop)
    assert child.pid is None
    assert calls[0] is not None
    assert not Path(f"/proc/{calls[0]}").exists()


def test_one_that_was_killed_with_nothing_to_do_costs_no_document(tmp_path: Path) -> None:
    path = tmp_path / "file.pdf"
    path.write_bytes(pdf("a"))
    with closing(made()) as child:
        for _ in range(3):
            assert len(child.parse(path, lambda done, total: None, lambda: None).pages) == 1
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            time.sleep(0.2)


def test_one_that_can_not_even_start_is_no_documents_fault(tmp_path: Path) -> None:
    with (
        closing(Child(ChildHost("none", "1", "no_such_module:Engine"))) as child,
        pytest.raises(EngineUnavailable, match=r"can't start .*No module named 'no_such_module'"),
    ):
        child.parse(tmp_path / "file.pdf", lambda done, total: None, lambda: None)


def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    path = tmp_path / "file.pdf"
    path.write_bytes(pdf("hang"))
    script = (
        "import sys, os; from pathlib import Path; sys.path.insert(0, os.environ['PYTHONPATH'])\n"
        "from penstock.workers.children import Child; from penstock.workers.host import ChildHost\n"
        f"child = Child(ChildHost('obedient', '1', {TARGET!r}))\n"
        "def stop():\n    print(child.pid, flush=True)\n"
        f"child.parse(Path({str(path)!r}), lambda done, total: None, stop)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and _state(pid) != "Z":
        assert time.monotonic() < until, "the child outlives its parent"
        time.sleep(0.05)


def test_a_child_sees_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", "postgresql://user:secret@host/db")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    path = tmp_path / "file.pdf"
    path.write_bytes(pdf("a"))
    with closing(made()) as child:
        child.parse(path, lambda done, total: None, lambda: None)
        assert b"secret" not in Path(f"/proc/{child.pid}/environ").read_bytes()


def test_one_of_a_large_parent_is_as_small_as_any(tmp_path: Path) -> None:
    held = bytearray(200 << 20)  # the system tells the child of it as its own
    path = tmp_path / "file.pdf"
    path.write_bytes(pdf("one"))
    with closing(made(memory_mb=300)) as child:
        child.parse(path, lambda done, total: None, lambda: None)
        assert child.pid is not None
    assert len(held) == 200 << 20


def test_after_its_share_of_documents_a_child_makes_way(tmp_path: Path) -> None:
    path = tmp_path / "file.pdf"
    path.write_bytes(pdf("a"))
    child, pids = made(documents=2), []
    for _ in range(4):
        child.parse(path, lambda done, total: None, lambda: pids.append(child.pid))
    child.close()
    assert len(set(pids)) == 2


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"
