from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.errors import UsageError
from penstock.retrieval.datasets import Text, read_collection


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    folder = tmp_path / "toy"
    (folder / "qrels").mkdir(parents=True)
    lines(folder / "corpus.jsonl", {"_id": "a", "title": "A", "text": "alpha"}, {"_id": "b", "text": "beta"})
    lines(folder / "queries.jsonl", {"_id": "q", "text": "which?"}, {"_id": "r", "text": "never judged"})
    (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq\ta\t2\nq\tb\t0\n")
    return folder


@pytest.fixture
def smart(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "S.ALL").write_text(
        ".I 1\n.T\nA title\nof two lines\n.A\nSomebody\n.W\nIts text.\n.X\n1 2 3\n.I 2\n.W\nOther.\n"
    )
    (folder / "S.QRY").write_text(".I 7\n.W\nfirst\n.I 9\n.T\nsecond\n.W\nand more\n")
    (folder / "S.REL").write_text("7 1 0 0.0\n9 2 0 0.0\n9 1 0 0.0\n")
    return folder


def lines(path: Path, *rows: object) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_beir_folder(beir):
    found = read_collection(beir)
    assert found.name == "toy"
    assert found.documents == {"a": Text("A", "alpha"), "b": Text("", "beta")}
    assert found.queries == {"q": "which?"}
    assert found.judgements == {"q": {"a": 2, "b": 0}}


def test_smart_files(smart):
    found = read_collection(smart)
    assert found.documents == {"1": Text("A title of two lines", "Its text."), "2": Text("", "Other.")}
    assert found.queries == {"7": "first", "9": "second and more"}
    assert found.judgements == {"7": {"1": 1}, "9": {"2": 1, "1": 1}}


def test_queries_with_gaps_are_counted_where_the_judgements_count_them(smart):
    (smart / "S.REL").write_text("1 1 2\n2 2 4\n2 1 -1\n")
    found = read_collection(smart)
    assert found.queries == {"1": "first", "2": "second and more"}
    assert found.judgements == {"1": {"1": 1}, "2": {"2": 1, "1": 0}}


@pytest.mark.parametrize("missing", ["S.ALL", "S.QRY", "S.REL"])
def test_what_is_missing_is_named(smart, missing):
    (smart / missing).unlink()
    with pytest.raises(UsageError, match=missing[1:]):
        read_collection(smart)


@pytest.mark.parametrize("missing", ["queries.jsonl", "qrels/test.tsv"])
def test_what_is_missing_of_beir_is_named(beir, missing):
    (beir / missing).unlink()
    with pytest.raises(UsageError, match=missing):
        read_collection(beir)


def test_no_folder_and_broken_files_are_mistakes(tmp_path, beir, smart):
    with pytest.raises(UsageError, match="no folder"):
        read_collection(tmp_path / "nothing")
    (beir / "corpus.jsonl").write_text("{broken\n")
    with pytest.raises(UsageError, match="malformed"):
        read_collection(beir)
    (smart / "S.REL").write_text("one two\n")
    with pytest.raises(UsageError, match="malformed"):
        read_collection(smart)


def test_a_collection_without_judged_queries_measures_nothing(beir):
    (beir / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nx\ta\t1\n")
    with pytest.raises(UsageError, match="0 judged queries"):
        read_collection(beir)
