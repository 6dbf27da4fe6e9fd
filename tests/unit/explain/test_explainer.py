"""What `explain` tells of documents in every state there is, of chunks and of edges."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from flip import GateWorker
from gate_scene import claim
from penstock.bootstrap import App
from penstock.errors import NotFound
from penstock.explain import Explainer
from penstock.ledger.cancel import cancel
from penstock.ledger.graph_read import GraphReader
from penstock.runner import RunReport, RunRequest
from penstock.settings import Settings

TEXT = "# Metformin\n\nMetformin lowers glucose in type 2 diabetes.\n\n## Dose\n\nTwice a day.\n"


class Desk:
    """An application on a folder of notes."""

    def __init__(self, config: Path, home: Path) -> None:
        self.config, self.home = config, home
        self.notes = home.parent / "notes"
        self.notes.mkdir(exist_ok=True)
        self.app = App(Settings(home=home, config=config))

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.notes / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def run(self, pipeline: str = "auto") -> RunReport:
        request = RunRequest(query={"paths": [str(self.notes)]})
        return self.app.runner.run(self.app.pipelines.named(pipeline), request)

    def again(self, **settings: Any) -> None:
        """Another process, with other settings."""
        self.app.close()
        self.app = App(Settings(home=self.home, config=self.config, **settings))

    @property
    def explainer(self) -> Explainer:
        self.app.ledger.open()
        app = self.app
        topology_of, refetch = app.pipelines.loaded.get, app.sources["files"].refetch
        return Explainer("default", app.ledger, app.artifacts, app.index, topology_of, refetch)


@pytest.fixture
def desk(root: Path, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(root / "config/orchestration", tmp_path / "home")
    yield desk
    desk.app.close()


def test_a_document_is_told_from_its_bytes_to_its_stores(desk: Desk) -> None:
    path = desk.write("a.md", TEXT)
    desk.run()
    story = desk.explainer.document("a.md")
    assert (story.title, story.generation, story.pipeline) == ("Metformin", 1, "auto")
    assert (story.origin.uri, story.origin.offset) == (str(path), None)
    assert (story.origin.sha256, story.origin.size) == (sha256(TEXT.encode()).hexdigest(), len(TEXT.encode()))
    assert story.origin.fetched_at > 0
    (job,) = story.jobs
    assert [stage.stage for stage in job.stages] == ["ingest", "parse", "chunk", "embed", "index", "extract", "kg"]
    assert {stage.status for stage in job.stages} == {"done"}
    chunk = job.stages[2]
    assert (chunk.contract, chunk.implementation, chunk.version) == ("ChunkStage", "sentences", "1")
    assert chunk.options is not None
    assert chunk.options["size"] == 200
    assert chunk.seconds is not None
    assert [batch.batch for batch in job.batches] == [1]
    standing = story.standing
    assert (standing.searchable, standing.ledger, standing.index, standing.graph) == (True, 1, 1, 1)
    assert (standing.why, standing.next_step) == ("", "")


def test_a_document_answers_to_its_names_and_its_place(desk: Desk) -> None:
    path = desk.write("a.md", TEXT)
    desk.run()
    doc_id = desk.explainer.document("a.md").doc_id
    assert desk.explainer.document(doc_id).source_id == str(path)
    assert desk.explainer.document("elsewhere", str(path)).doc_id == doc_id
    assert desk.explainer.raw("a.md") == TEXT.encode()


def test_what_nothing_answers_to_is_refused_with_names_near_it(desk: Desk) -> None:
    path = desk.write("metformin.md", TEXT)
    desk.run()
    with pytest.raises(NotFound) as refused:
        desk.explainer.document("metfromin.md")
    assert refused.value.next_step == f"near it: {path}"
    with pytest.raises(NotFound):
        desk.explainer.chunk("metformin.md:99")


def test_a_place_of_several_documents_names_them(desk: Desk) -> None:
    works = [{"id": f"https://openalex.org/W{n}", "title": f"Work {n}", "type": "article"} for n in (1, 2)]
    path = desk.write("works.json", json.dumps({"meta": {"count": 2}, "results": works}))
    desk.run()
    with pytest.raises(NotFound, match="holds 2 documents"):
        desk.explainer.document(str(path))


def test_a_dead_letter_says_where_it_died_and_keeps_its_bytes(desk: Desk) -> None:
    desk.write("a.md", TEXT)
    desk.write("broken.json", '{"protocolSection": {')
    desk.run()
    story = desk.explainer.document("broken.json")
    assert story.standing.status == "dead"
    assert not story.standing.searchable
    assert story.standing.why.startswith("dead-lettered at parse (truncated): ")
    assert story.standing.next_step
    (letter,) = story.jobs[0].dead_letters
    assert (letter.stage, letter.round, letter.reason) == ("parse", 1, "truncated")
    assert [s.status for s in story.jobs[0].stages] == ["done", "dead", *["not begun"] * 5]
    assert desk.explainer.raw("broken.json") == b'{"protocolSection": {'


def test_a_document_not_gone_through_says_what_comes_next(desk: Desk) -> None:
    desk.write("a.md", TEXT)
    run = desk.app.runner.open(desk.app.pipelines.named("auto"), RunRequest(query={"paths": [str(desk.notes)]}))
    desk.app.runner.run_stage(run, "ingest")
    standing = desk.explainer.document("a.md").standing
    assert standing.why == "it is under way: parse has not run yet"
    assert standing.next_step == "penstock run auto --batch 1"


def test_a_document_at_a_gate_says_what_it_waits_for_and_why_it_still_does(desk: Desk) -> None:
    desk.write("paper.pdf", b"%PDF-1.7\n" + b"x" * 100)
    desk.run("pdf-two-phase")
    ledger = desk.app.ledger

    def told() -> tuple[str, str]:
        standing = desk.explainer.document("paper.pdf").standing
        return standing.why.removeprefix("it waits at the gate pdf_gate for pdf_ir_ready"), standing.next_step

    assert told() == (": no worker is there", "penstock worker pdf")
    runner = ledger.leases.register(60)
    ledger.workers.register(runner, "pdf_ir_ready", "cpu 1", 1)
    assert told() == (": the worker that is there has not come to it yet", "penstock worker status")
    [(waiter, key)] = claim(ledger, runner)
    assert told() == (": a worker is at it", "penstock worker status")
    gate = desk.explainer.document("paper.pdf").standing.gate
    assert gate is not None
    assert gate.worked_on is not None
    ledger.work.release(key, [waiter.claim], lost=True)
    assert told()[0] == ": the worker that is there has not come to it yet (it has brought 1 down)"
    GateWorker(desk.app).flip()
    through = "it is through the gate pdf_gate: a run takes it on next"
    assert told() == (through, "penstock run pdf-two-phase --resume")


def test_a_cancelled_document_says_how_to_set_it_going_again(desk: Desk) -> None:
    desk.write("broken.json", '{"protocolSection": {')
    desk.write("a.md", TEXT)
    desk.run()
    doc_id = desk.explainer.document("broken.json").doc_id
    assert cancel(desk.app.ledger.database, "default", [doc_id]) == [doc_id]
    standing = desk.explainer.document("broken.json").standing
    assert (standing.why, standing.next_step) == ("it was cancelled", f"penstock retry --status cancelled {doc_id}")


def test_a_failed_update_leaves_the_old_searchable_and_says_so(desk: Desk) -> None:
    desk.write("a.md", TEXT)
    desk.run()
    desk.again(embed_url="http://127.0.0.1:9/v1", embed_model="any")
    assert desk.run().outcome == "failed"
    story = desk.explainer.document("a.md")
    assert [job.job.generation for job in story.jobs] == [2, 1]
    assert story.jobs[1].job.status == "superseded"
    standing = story.standing
    assert (standing.searchable, standing.ledger, standing.index, standing.status) == (True, 2, 1, "failed")
    assert standing.why.startswith("failed at embed (")
    embed = next(stage for stage in story.jobs[0].stages if stage.stage == "embed")
    assert (embed.model, embed.attempts, embed.status) == ("any", 1, "failed")
    assert next(stage for stage in story.jobs[0].stages if stage.stage == "parse").reused


def test_a_deleted_index_is_noticed_and_the_command_given_mends_it(desk: Desk) -> None:
    desk.write("a.md", TEXT)
    desk.run()
    desk.again()
    for file in desk.home.glob("index.db*"):
        file.unlink()
    standing = desk.explainer.document("a.md").standing
    assert not standing.searchable
    assert standing.why == f"the index file {desk.home / 'index.db'} is gone"
    assert standing.next_step == "penstock run auto --batch 1"
    desk.app.index.store_id()
    assert (
        desk.explainer.document("a.md").standing.why == "the index it was written to is gone, another is in its place"
    )
    desk.app.runner.run(desk.app.pipelines.named("auto"), RunRequest(batch=1))
    assert desk.explainer.document("a.md").standing.searchable


def test_a_changed_document_tells_of_both_generations_and_only_the_new_bytes(desk: Desk) -> None:
    desk.write("a.md", TEXT)
    desk.run()
    desk.write("a.md", TEXT + "\nWith food.\n")
    desk.run()
    story = desk.explainer.document("a.md")
    assert [(job.job.generation, job.job.status) for job in story.jobs] == [(2, "done"), (1, "superseded")]
    assert story.origin.sha256 == sha256((TEXT + "\nWith food.\n").encode()).hexdigest()
    assert (story.standing.index, story.standing.graph) == (2, 2)


def test_a_chunk_answers_to_any_name_of_its_document(desk: Desk) -> None:
    path = desk.write("a.md", TEXT)
    desk.run()
    by_id = desk.explainer.chunk(f"{desk.explainer.document('a.md').doc_id}:0")
    assert desk.explainer.chunk("a.md:0") == by_id
    assert desk.explainer.chunk(f"{path}:0") == by_id


def test_a_file_is_looked_at_as_it_is_now(desk: Desk) -> None:
    path = desk.write("a.md", TEXT)
    desk.run()
    assert desk.explainer.document("a.md").origin.now == "same"
    path.write_text(TEXT.replace("Twice", "Thrice"))
    story = desk.explainer.chunk("a.md:0")
    assert story.document.origin.now == "changed"
    assert all(passage.exact for passage in story.passages)
    path.unlink()
    assert desk.explainer.document("a.md").origin.now == "gone"


def test_a_file_that_can_not_be_read_now_is_told_so(desk: Desk) -> None:
    """A folder in its place is the unreadable thing that a superuser can't read either."""
    path = desk.write("a.md", TEXT)
    desk.run()
    path.unlink()
    path.symlink_to(path)
    assert desk.explainer.document("a.md").origin.now == "unreadable"


def test_an_index_of_another_ledger_is_told_and_what_mends_it(desk: Desk) -> None:
    for text in (TEXT, f"{TEXT}More.", f"{TEXT}Yet more."):
        desk.write("a.md", text)
        desk.run()
    desk.app.close()
    for file in desk.home.glob("ledger.db*"):
        file.unlink()
    desk.again()
    failed = desk.run()
    index = desk.home / "index.db"
    assert f"{index} holds a newer generation of " in (failed.error or "")
    assert "PENSTOCK_INDEX_PATH" in (failed.next_step or "")
    stands = desk.explainer.document("a.md").standing
    assert (stands.ledger, stands.index, stands.searchable) == (1, 3, True)
    assert stands.why == f"the index {index} holds generation 3, which this ledger doesn't know: another wrote it"
    assert "penstock retry" in stands.next_step


def test_a_retired_document_is_in_no_graph(desk: Desk) -> None:
    path = desk.write("a.md", TEXT)
    desk.write("b.md", TEXT.replace("Metformin", "Apixaban"))
    desk.run()
    path.unlink()
    request = RunRequest(query={"paths": [str(desk.notes)]}, retire="all", full=True)
    desk.app.runner.run(desk.app.pipelines.named("auto"), request)
    stands = desk.explainer.document("a.md").standing
    assert (stands.status, stands.index, stands.graph) == ("retired", None, None)


def test_a_chunk_leads_back_to_the_bytes_it_is_made_of(desk: Desk) -> None:
    desk.write("a.md", TEXT)
    desk.run()
    document = desk.explainer.document("a.md")
    story = desk.explainer.chunk(f"{document.doc_id}:0")
    assert story.document == document
    assert "lowers glucose" in story.text
    passage = next(p for p in story.passages if "lowers glucose" in p.text)
    assert passage.exact
    assert passage.found is not None
    assert TEXT.encode()[passage.found.start : passage.found.end].decode() == passage.text


@pytest.fixture(scope="module")
def examples(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(root / "config/orchestration", tmp_path_factory.mktemp("examples") / "home")
    desk.notes = root / "examples"
    desk.run()
    yield desk
    desk.app.close()


def test_every_chunk_of_the_examples_leads_back_to_what_it_was_made_from(examples: Desk) -> None:
    passages = [
        passage
        for chunk in examples.app.index.select("default")
        for passage in examples.explainer.chunk(chunk.chunk_id).passages
    ]
    assert len(passages) > 300
    assert [passage for passage in passages if passage.found is None] == []
    assert sum(passage.exact for passage in passages) > 0.9 * len(passages)


def test_every_edge_around_a_drug_leads_back_to_the_bytes_of_its_file(examples: Desk) -> None:
    graph = GraphReader(examples.app.ledger.database)
    (drug,) = graph.find("default", "empagliflozin", "Drug")
    followed = 0
    for edge in graph.neighbourhood("default", drug, limit=100).edges:
        for evidence in examples.explainer.edge(edge.id).evidence:
            assert evidence.origin is not None
            assert evidence.passage.found is not None, evidence
            found = evidence.passage.found
            if evidence.passage.exact and found.start is not None and found.end is not None:
                whole = Path(evidence.origin.uri).read_bytes()
                first = found.start + (evidence.origin.offset or 0)
                spelled = whole[first : first + found.end - found.start]
                assert json.loads(b'"' + spelled + b'"') == evidence.passage.text or (
                    spelled.decode() == evidence.passage.text
                )
                followed += 1
    assert followed > 10


def test_an_edge_that_is_not_there_is_refused(examples: Desk) -> None:
    with pytest.raises(NotFound, match="no claim has that id"):
        examples.explainer.edge("zzzzzz")
