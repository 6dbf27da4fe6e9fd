"""A run at its gate: who goes through, who waits, and what a resumed run takes along."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flip import FIELD, GateWorker
from mill import PIPELINE, Mill
from penstock.bootstrap import open_app
from penstock.errors import Stopped
from penstock.ledger.batches import Batch
from penstock.ledger.gate_read import GateReader, Queue
from penstock.runner import RunReport, RunRequest, gate


@pytest.fixture
def mill(tmp_path: Path) -> Iterator[Mill]:
    mill = Mill(tmp_path)
    yield mill
    mill.app.close()


@pytest.fixture
def bring(mill: Mill) -> Callable[[int], GateWorker]:
    """Take so many PDFs to the gate; who lets them through."""

    def bring(count: int) -> GateWorker:
        for number in range(count):
            mill.put(f"{number}.pdf", f"page of {number}")
        mill.run()
        return GateWorker(mill.app)

    return bring


def launch(mill: Mill) -> Batch:
    """As the sensor does."""
    batch = mill.app.ledger.resumes.launch(FIELD, "pdfs", "default", mill.topology.batch_size)
    assert batch is not None
    return batch


def run(mill: Mill, batch: Batch, stop: Callable[[], None] = lambda: None) -> RunReport:
    return mill.app.runner.run(mill.topology, RunRequest(batch=batch.id), stop=stop)


def queues(mill: Mill) -> list[Queue]:
    return GateReader(mill.app.ledger.database).queues("default")


def test_a_closed_gate_ends_the_run_and_says_what_to_start(mill: Mill) -> None:
    mill.put("a.pdf", "one")
    report = mill.run()
    assert report.outcome == "complete"
    assert [s.stage for s in report.stages] == ["ingest", "download", "gate"]
    assert report.notes == ["1 document waits for pdf_ir_ready, set by: penstock worker pdf"]
    mill.put("b.pdf", "two")
    assert mill.run().notes == ["2 documents wait for pdf_ir_ready, set by: penstock worker pdf"]


def test_a_launched_run_takes_along_what_became_ready_while_it_came_up(
    mill: Mill, bring: Callable[[int], GateWorker]
) -> None:
    worker = bring(4)
    worker.flip()
    batch = launch(mill)
    worker.flip(2)
    assert run(mill, batch).statuses == {"done": 3}
    assert queues(mill) == [Queue("default", "pdfs", FIELD, waiting=1, ready=0)]


def test_a_launched_run_that_finds_a_stream_stays_for_it(
    mill: Mill, bring: Callable[[int], GateWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "QUIET_SECONDS", 2.0)
    worker = bring(6)
    worker.flip()
    batch = launch(mill)
    worker.flip()

    def later() -> None:
        for _ in range(4):
            time.sleep(0.5)
            worker.flip()

    thread = threading.Thread(target=later)
    thread.start()
    assert run(mill, batch).statuses == {"done": 6}
    thread.join()


def test_it_stays_no_longer_than_the_settings_say(
    mill: Mill, bring: Callable[[int], GateWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "QUIET_SECONDS", 3600.0)
    mill.app = open_app(home=mill.folder / "home", config=mill.folder / "config", gather_seconds=0.5)
    worker = bring(2)
    worker.flip()
    batch = launch(mill)
    worker.flip()
    assert run(mill, batch).statuses == {"done": 2}


def test_it_takes_no_more_than_a_batch(
    mill: Mill, bring: Callable[[int], GateWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "QUIET_SECONDS", 3600.0)
    (mill.folder / "config/pipelines/pdfs.yaml").write_text(f"batch_size: 2\n{PIPELINE}")
    worker = bring(4)
    worker.flip()
    batch = launch(mill)
    worker.flip(3)
    assert run(mill, batch).statuses == {"done": 2}
    assert queues(mill) == [Queue("default", "pdfs", FIELD, waiting=0, ready=2)]


def test_a_run_by_hand_takes_what_it_was_given(mill: Mill, bring: Callable[[int], GateWorker]) -> None:
    worker = bring(2)
    worker.flip()
    batch, _ = mill.app.ledger.resumes.take(FIELD, "pdfs", "default", 10)
    worker.flip()
    assert run(mill, batch).statuses == {"done": 1}


def test_a_run_that_is_stopped_while_it_gathers_leaves_all_of_it_to_the_next(
    mill: Mill, bring: Callable[[int], GateWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "QUIET_SECONDS", 3600.0)
    worker = bring(3)
    worker.flip()
    batch = launch(mill)
    worker.flip()
    asked = 0

    def stop() -> None:
        nonlocal asked
        asked += mill.app.ledger.batches.size(batch.id) == 2
        if asked == 2:
            raise Stopped("enough")

    with pytest.raises(Stopped):
        run(mill, batch, stop)
    assert mill.app.ledger.resumes.gathering_for(batch.id) is not None
    monkeypatch.setattr(gate, "QUIET_SECONDS", 0.0)
    worker.flip()
    assert run(mill, batch).statuses == {"done": 3}


def test_what_a_worker_gave_for_the_same_bytes_is_found_again(mill: Mill, bring: Callable[[int], GateWorker]) -> None:
    """A changed pipeline makes new generations; the file behind them is the one that was parsed."""
    bring(2).flip(2)
    mill.resume()
    (mill.folder / "config/pipelines/pdfs.yaml").write_text(
        PIPELINE.replace("name: gate,", "name: pause,")
        .replace("[gate]", "[pause]")
        .replace("ChunkStage,", "ChunkStage, with: {size: 40},")
    )
    mill.app.close()
    mill.app = open_app(home=mill.folder / "home", config=mill.folder / "config")
    report = mill.run()
    assert report.statuses == {"done": 2}
    assert [(s.reused, s.waiting) for s in report.stages if s.stage == "pause"] == [(2, 0)]


EDITS = {
    "the listing is renamed": [("name: ingest,", "name: take,"), ("[ingest]", "[take]")],
    "the stage before the gate is renamed": [("name: download,", "name: fetch,")],
    "the stage before it and the gate are renamed": [
        ("name: download,", "name: fetch,"),
        ("name: gate,", "name: pause,"),
        ("[gate]", "[pause]"),
    ],
    "a stage behind it does something else": [("ChunkStage,", "ChunkStage, with: {size: 40},")],
    "a stage is new before it": [
        ("  - {name: gate,", "  - {name: again, type: DownloadStage, depends_on: [ingest]}\n  - {name: gate,")
    ],
}


def edit(mill: Mill, changes: list[tuple[str, str]]) -> None:
    """Write the pipeline another way, and come up with it."""
    text = PIPELINE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (mill.folder / "config/pipelines/pdfs.yaml").write_text(text)
    mill.app.close()
    mill.app = open_app(home=mill.folder / "home", config=mill.folder / "config")


@pytest.mark.parametrize("changes", EDITS.values(), ids=EDITS)
def test_what_another_pipeline_brought_to_the_gate_is_left_to_a_run_that_begins_with_it(
    mill: Mill, bring: Callable[[int], GateWorker], changes: list[tuple[str, str]]
) -> None:
    bring(3).flip()
    before = launch(mill)
    edit(mill, changes)
    GateWorker(mill.app).flip(2)
    assert run(mill, before).statuses == {"done": 1}
    assert queues(mill) == [Queue("default", "pdfs", FIELD, waiting=0, ready=2)]
    assert run(mill, launch(mill)).statuses == {"done": 2}
    assert sum(stage.done for stage in mill.run().stages) == 0, "all is as today's pipeline makes it"


def test_documents_at_a_gate_that_is_renamed_still_come_along(mill: Mill, bring: Callable[[int], GateWorker]) -> None:
    bring(2).flip()
    batch = launch(mill)
    edit(mill, [("name: gate,", "name: pause,"), ("[gate]", "[pause]")])
    GateWorker(mill.app).flip()
    assert run(mill, batch).statuses == {"done": 2}
