from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from penstock.cli.search import EmbedderOf, register
from penstock.errors import ServiceUnavailable, UsageError
from penstock.ir import Chunk
from penstock.retrieval.hybrid import QueryEmbedder
from penstock.stores.search_index import SqliteSearchIndex
from penstock.stores.search_rows import IndexedDocument


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqliteSearchIndex:
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    return SqliteSearchIndex(tmp_path / "index.db")


def fill(
    index: SqliteSearchIndex, text: str = "Metformin lowers glucose.", title: str = "A label", **more: object
) -> None:
    chunk = Chunk(chunk_id="d:0", ordinal=0, start=0, end=len(text), text=text)
    metadata = {"phase": ["PHASE3"]}
    index.replace(
        [
            IndexedDocument(
                "default",
                "d",
                1,
                1,
                "files",
                "SET-1",
                "label",
                title,
                [chunk],
                "2024-03",
                metadata,
                **more,  # type: ignore[arg-type]
            )
        ]
    )


def run(*arguments: str, embedder: QueryEmbedder | None = None, embedder_of: EmbedderOf | None = None) -> Result:
    app = typer.Typer()
    app.command()(lambda: None)
    register(app, embedder_of or (lambda settings: embedder))
    return CliRunner().invoke(app, ["search", *arguments])


def test_before_anything_is_indexed_it_says_what_to_do_and_makes_nothing(index, tmp_path):
    result = run("metformin")
    assert result.exit_code == 0
    assert "nothing is indexed yet" in result.output.replace("\n", " ")
    assert "penstock run" in result.output.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []


def test_a_hit_shows_where_it_is_from_and_why_it_is_there(index):
    fill(index)
    result = run("what does metformin lower")
    assert result.exit_code == 0
    for shown in ("A label", "SET-1", "files", "label", "2024-03", "words #1", "Metformin lowers glucose."):
        assert shown in result.output
    assert "keyword search only: the index holds no vectors" in result.output


def test_with_vectors_and_an_embedder_both_legs_are_named(index):
    fill(index, vectors=np.ones((1, 2), np.float32), model="m")
    result = run("metformin", embedder=QueryEmbedder("m", lambda _: np.ones(2, np.float32)))
    assert "words #1, meaning #1" in result.output
    assert "note" not in result.output


def test_dates_the_wrong_way_round_are_refused(index):
    refused = run("metformin", "--since", "2025", "--until", "2020-05").exception
    assert "nothing is from 2025 on" in str(refused)
    assert run("metformin", "--since", "2025-03", "--until", "2025").exception is None


def test_a_tenant_that_has_nothing_is_told(index):
    fill(index)
    assert "nothing of the tenant 'other' is indexed" in run("metformin", "--tenant", "other").output


def test_no_line_is_filled_up_with_blanks(index):
    fill(index)
    assert [line for line in run("what does metformin lower").output.splitlines() if line.endswith("  ")] == []


def test_no_hits_are_no_failure(index):
    fill(index)
    result = run("aspirin")
    assert result.exit_code == 0
    assert "No hits." in result.output


def test_json_is_for_scripts(index):
    fill(index)
    result = json.loads(run("metformin", "--json").output)
    [hit] = result["hits"]
    assert (hit["doc_id"], hit["chunk_id"], hit["ranks"]) == ("d", "d:0", {"bm25": 1})
    assert [hit["text"][start:end] for start, end in hit["highlights"]] == ["Metformin"]
    assert result["legs"] == ["bm25"]
    assert json.loads(run("aspirin", "--json").output)["hits"] == []


@pytest.mark.parametrize(
    ("options", "hits"),
    [
        (("--source", "files"), 1),
        (("--source", "other"), 0),
        (("--kind", "study", "--kind", "label"), 1),
        (("--since", "2024-04"), 0),
        (("--since", "2024", "--until", "2024-03"), 1),
        (("--where", "phase=PHASE3"), 1),
        (("--where", "phase=PHASE1"), 0),
        (("--where", "phase=phase3"), 1),
        (("--where", "phase=PHASE1", "--where", "phase=PHASE3"), 1),
        (("--tenant", "another"), 0),
        (("--documents", "--k", "1"), 1),
    ],
)
def test_options_narrow_the_search(index, options, hits):
    fill(index)
    assert len(json.loads(run("metformin", "--json", *options).output)["hits"]) == hits


@pytest.mark.parametrize(
    "options", [("--since", "soon"), ("--where", "phase"), ("--where", 'a"b=c'), ("--where", "nosuch=PHASE3")]
)
def test_a_mistake_is_named(index, options):
    fill(index)
    assert isinstance(run("metformin", *options).exception, UsageError)


def test_a_value_that_no_document_has_is_said_with_those_there_are(index):
    fill(index)
    assert "no document has phase=4; there are: PHASE3" in run("metformin", "--where", "phase=4").output


def test_a_source_or_kind_that_no_document_has_is_said_with_those_there_are(index):
    fill(index)
    assert "no document has the kind labels; there are: label" in run("metformin", "--kind", "labels").output
    assert "no document has the source web; there are: files" in run("metformin", "--source", "web").output
    assert "no document" not in run("metformin", "--source", "files", "--kind", "label").output


@pytest.mark.parametrize(
    ("embed", "why"),
    [
        (lambda _: np.ones(3, np.float32), "the index holds 2 dimensions"),
        (UsageError("no key is set"), "no key is set"),
        (ServiceUnavailable("connection refused"), "connection refused"),
    ],
)
def test_what_cannot_embed_the_query_costs_the_dense_leg_only(index, embed, why):
    def fail(_: str) -> np.ndarray:
        raise embed

    fill(index, vectors=np.ones((1, 2), np.float32), model="m")
    embedder = QueryEmbedder("m", embed if callable(embed) else fail)
    found = run("metformin", "--json", embedder=embedder)
    assert found.exit_code == 0
    result = json.loads(found.output)
    assert (len(result["hits"]), result["legs"]) == (1, ["bm25"])
    assert result["note"].startswith("keyword search only: ")
    assert why in result["note"]


def test_an_embedder_that_cannot_be_set_up_costs_the_dense_leg_only(index):
    def broken(_: object) -> QueryEmbedder:
        raise UsageError("PENSTOCK_EMBED_MODEL is not set")

    fill(index, vectors=np.ones((1, 2), np.float32), model="m")
    found = run("metformin", "--json", embedder_of=broken)
    assert found.exit_code == 0
    assert "PENSTOCK_EMBED_MODEL is not set" in json.loads(found.output)["note"]


def test_a_document_cannot_steer_the_terminal_nor_the_markup(index):
    fill(index, text="\x1b[2J\x1b]0;owned\x07 [red]metformin[/red] [/nonsense] \x9b31m", title="[bold]T[/bold]\x1b[1m")
    result = run("metformin")
    assert result.exit_code == 0
    assert "\x1b" not in result.output
    assert "\x9b" not in result.output
    assert "[red]metformin[/red]" in result.output
    assert "[bold]T[/bold]" in result.output


def test_nothing_heavy_is_imported_to_have_the_command():
    code = (
        "import sys, typer; from penstock.cli.search import register; register(typer.Typer());"
        "print([m for m in ('apsw', 'numpy', 'haystack', 'pydantic', 'rich.console') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "apsw" not in done.stdout
    assert "numpy" not in done.stdout
    assert "haystack" not in done.stdout
    assert "pydantic" not in done.stdout
