"""A stage is what it does: its digest follows that and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr

from penstock.errors import UsageError
from penstock.runner.identity import digest, fingerprint_of, flow_hashes, options_identity
from tiny import PIPELINE, Bench


class Options(BaseModel):
    size: int = 200
    words: Path | None = None
    key: SecretStr | None = None
    url: str = Field(default="", exclude=True)
    nested: dict[str, Any] = Field(default_factory=dict)
    names: frozenset[str] = frozenset()


def identity(**values: Any) -> str:
    return digest(options_identity(Options(**values)))


def test_another_value_is_another_identity() -> None:
    assert identity(size=100) != identity(size=200)


def test_secrets_and_what_a_model_excludes_have_no_say() -> None:
    assert identity(key=SecretStr("a"), url="http://one") == identity(key=SecretStr("b"), url="http://two")
    assert "hunter2" not in str(options_identity(Options(key=SecretStr("hunter2"))))


def test_a_reference_to_a_secret_has_no_say_either() -> None:
    reference = {"type": "env_var", "env_vars": ["KEY"], "strict": True}
    assert identity(nested={"model": "m", "api_key": reference}) == identity(nested={"model": "m"})
    token = {"type": "token", "token": "hunter2"}
    assert "hunter2" not in str(options_identity(Options(nested={"api_key": token})))


def test_a_file_counts_by_its_content_not_its_name(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("a list of words")
    two.write_text("a list of words")
    assert identity(words=one) == identity(words=two)
    two.write_text("another list")
    assert identity(words=one) != identity(words=two)


def test_a_file_that_is_not_there_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        identity(words=tmp_path / "missing")


def test_a_folder_counts_by_what_is_in_it(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "words").write_text("a list of words")
    assert identity(words=one) == identity(words=two)
    (two / "deep" / "words").rename(two / "words")
    assert identity(words=one) != identity(words=two)


def test_a_set_of_what_has_no_order_has_one_identity() -> None:
    assert identity(nested={"a": {1, "x", (2, 3)}}) == identity(nested={"a": {(2, 3), "x", 1}})


@pytest.mark.parametrize("value", [object(), identity, "\ud800"])
def test_what_is_another_in_each_process_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match="option"):
        identity(nested={"a": value})


def test_a_text_that_looks_like_an_address_is_a_text() -> None:
    assert identity(nested={"a": "<x at 0x7f>"}) != identity(nested={"a": "<x at 0x80>"})


def test_the_order_of_a_set_and_of_keys_has_no_say() -> None:
    assert identity(names=frozenset("abc")) == identity(names=frozenset("cba"))
    assert identity(nested={"a": 1, "b": 2}) == identity(nested={"b": 2, "a": 1})


def test_a_fingerprint_follows_data_not_order(bench: Bench) -> None:
    """`depends_on` says when, `inputs` what from: only the second makes an output what it is."""
    before = bench.topology
    definitions = {stage.name: f"is {stage.name}" for stage in before.stages}
    fingerprint = fingerprint_of(before, flow_hashes(before, definitions))
    bench.yaml = PIPELINE.replace("depends_on: [embed]}", "depends_on: [embed, parse]}")
    after = bench.topology
    assert after.digest != before.digest
    assert fingerprint_of(after, flow_hashes(after, definitions)) == fingerprint


def test_a_fingerprint_follows_every_stage_that_reaches_a_sink(bench: Bench) -> None:
    topology = bench.topology
    definitions = {stage.name: f"is {stage.name}" for stage in topology.stages}
    fingerprints = {
        fingerprint_of(topology, flow_hashes(topology, definitions | {name: "is another"})) for name in definitions
    }
    assert len(fingerprints) == len(definitions), "the listing's reaches it through its payloads"
    assert fingerprint_of(topology, flow_hashes(topology, definitions)) not in fingerprints
