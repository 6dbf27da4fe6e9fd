"""`penstock index`: another model for an index that goes on answering meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from haystack import Document as HaystackDocument

from command import Penstock
from embed_server import embed_server
from penstock.stores.document_store import PenstockDocumentStore
from penstock.stores.search_index import SqliteSearchIndex

HOME = Path(".penstock")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with embed_server() as url:
        yield url


@pytest.fixture
def model(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Set up with the model `one`; another by setting PENSTOCK_EMBED_MODEL."""
    monkeypatch.setenv("PENSTOCK_EMBED_URL", endpoint)
    monkeypatch.setenv("PENSTOCK_EMBED_MODEL", "one")
    return monkeypatch


@pytest.fixture
def indexed(penstock: Penstock, good: Path, model: pytest.MonkeyPatch) -> Path:
    assert penstock("run", "auto", "notes").status == 0
    return good


@pytest.fixture
def half_built(penstock: Penstock, indexed: Path, model: pytest.MonkeyPatch) -> Path:
    """The endpoint was away when the new index was to be built; its model is set up now."""
    with model.context() as away:
        away.setenv("PENSTOCK_EMBED_URL", "http://127.0.0.1:9/v1")
        away.setenv("PENSTOCK_EMBED_MODEL", "three")
        said = penstock("index", "rebuild")
    assert said.status == 3
    assert "not switched: 2 documents" in said.out
    return indexed


def digest(home: Path = HOME) -> str:
    index = SqliteSearchIndex(home / "index.db")
    assert index.problems() == []
    return index.digest()


def test_without_an_index_there_is_nothing_to_rebuild(penstock: Penstock) -> None:
    said = penstock("index", "rebuild")
    assert said.status == 2
    assert "penstock run" in said.err
    assert "nothing is indexed yet" in penstock("index", "status").out
    assert penstock("index", "status", "--json").json == {"current": None, "next": None}
    assert "nothing is being built" in penstock("index", "discard").out
    assert not HOME.exists()


def test_another_model_is_built_and_switched_to(
    penstock: Penstock, indexed: Path, model: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (before,) = (penstock("index", "status", "--json").json["current"],)
    assert (before["model"], before["dimension"], before["documents"]) == ("one", 3, 2)
    model.setenv("PENSTOCK_EMBED_MODEL", "three")
    rebuilt = penstock("index", "rebuild")
    assert rebuilt.status == 0, rebuilt.err
    assert "vectors of three (5 dimensions)" in rebuilt.out
    after = penstock("index", "status", "--json").json
    assert after["next"] is None
    assert (after["current"]["model"], after["current"]["documents"]) == ("three", 2)
    found = penstock("search", "glucose", "--json").json
    assert (found["legs"], found["hits"][0]["title"]) == (["bm25", "dense"], "Metformin")
    model.setenv("PENSTOCK_HOME", str(tmp_path / "fresh"))
    penstock("run", "auto", "notes")
    assert digest() == digest(tmp_path / "fresh")
    model.delenv("PENSTOCK_HOME")
    again = penstock("run", "auto", "notes", "--json").json
    assert again["outcome"] == "complete"
    assert digest() == digest(tmp_path / "fresh")


def test_it_may_be_done_again_and_with_the_same_model(penstock: Penstock, indexed: Path) -> None:
    before = digest()
    for number in (2, 3):
        assert penstock("index", "rebuild").status == 0
        assert penstock("index", "status", "--json").json["current"]["path"].endswith(f"index.{number}.db")
        assert digest() == before


def test_an_outage_leaves_the_old_one_and_it_goes_on_later(
    penstock: Penstock, half_built: Path, model: pytest.MonkeyPatch
) -> None:
    found = penstock("search", "glucose", "--json").json
    assert (found["legs"], found["hits"][0]["title"]) == (["bm25", "dense"], "Metformin")
    checks = [check for check in penstock("doctor", "--json").json if "being built" in check["detail"]]
    assert [check["state"] for check in checks] == ["warn"]
    assert "being built" in penstock("index", "status").out
    model.setenv("PENSTOCK_EMBED_MODEL", "three")
    said = penstock("index", "rebuild")
    assert (said.status, "vectors of three" in said.out) == (0, True), said.out


def test_what_other_runs_bring_meanwhile_is_in_the_new_one(
    penstock: Penstock, half_built: Path, model: pytest.MonkeyPatch
) -> None:
    model.setenv("PENSTOCK_EMBED_MODEL", "three")
    (half_built / "new.md").write_text("Insulin lowers sugar.\n")
    assert penstock("run", "auto", "notes").status == 0
    assert penstock("search", "insulin", "--json").json["hits"] == []
    assert penstock("index", "rebuild").status == 0
    assert len(penstock("search", "insulin", "--json").json["hits"]) == 3


def test_what_is_discarded_costs_no_document(
    penstock: Penstock, half_built: Path, model: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (half_built / "new.md").write_text("Insulin lowers sugar.\n")
    with model.context() as other:
        other.setenv("PENSTOCK_EMBED_MODEL", "three")
        assert penstock("run", "auto", "notes").status == 0
    assert penstock("index", "discard").status == 0
    (half_built / "newer.md").write_text("Dapagliflozin too.\n")
    assert penstock("run", "auto", "notes/newer.md").status == 0
    model.setenv("PENSTOCK_HOME", str(tmp_path / "fresh"))
    penstock("run", "auto", "notes")
    assert digest() == digest(tmp_path / "fresh")


def test_what_is_retired_meanwhile_is_found_no_more(penstock: Penstock, half_built: Path) -> None:
    (half_built / "b.txt").unlink()
    penstock("run", "auto", "notes", "--retire", "--yes", "--json")
    assert len(penstock("search", "apixaban", "--json").json["hits"]) == 1


def test_vectors_are_not_given_up_for_want_of_a_setting(
    penstock: Penstock, indexed: Path, model: pytest.MonkeyPatch
) -> None:
    model.delenv("PENSTOCK_EMBED_URL")
    model.delenv("PENSTOCK_EMBED_MODEL")
    model.setenv("PENSTOCK_EMBEDDER", "endpoint")
    refused = penstock("index", "rebuild")
    assert refused.status == 2
    assert "PENSTOCK_EMBEDDER=none" in refused.err
    assert penstock("index", "status", "--json").json["next"] is None
    model.setenv("PENSTOCK_EMBEDDER", "none")
    assert penstock("index", "rebuild").status == 0
    assert penstock("index", "status", "--json").json["current"]["model"] is None


def test_what_no_run_puts_in_again_is_left_out_only_when_told(penstock: Penstock, indexed: Path) -> None:
    others = PenstockDocumentStore(str(HOME / "index.db"), "default", "one")
    others.write_documents([HaystackDocument(id="mine", content="words of mine")])
    said = penstock("index", "rebuild")
    assert said.status == 3
    assert "not switched: 1 document " in said.out
    assert "penstock index rebuild goes on; --yes" in said.out
    assert penstock("index", "rebuild", "--yes").status == 0
    assert penstock("index", "status", "--json").json["current"]["documents"] == 2
    assert others.count_documents() == 2


def test_what_is_dead_by_now_is_not_waited_for(penstock: Penstock, indexed: Path, model: pytest.MonkeyPatch) -> None:
    (indexed / "b.txt").write_bytes(b"")
    penstock("run", "auto", "notes")
    model.setenv("PENSTOCK_EMBED_MODEL", "three")
    said = penstock("index", "rebuild")
    assert said.status == 0, said.out
    assert "1 document of the old index left out (1 dead" in said.out
    assert penstock("index", "status", "--json").json["current"]["documents"] == 1
