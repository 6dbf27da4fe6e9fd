"""The worker: every document that waits ends through the gate or failed for a reason, whatever befalls the worker."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from mill import Mill
from penstock.errors import EngineUnavailable, Stopped, StoreBusy
from penstock.ledger import schema
from penstock.ledger.cancel import cancel
from penstock.ledger.leases import GATE_CAP
from penstock.workers import attempt, patience
from penstock.workers import pdf as pdf_module
from penstock.workers.children import Limits


def count(mill: Mill, table: schema.Table, *where: object) -> int:
    with mill.app.ledger.database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one())  # type: ignore[arg-type]


def test_what_waits_is_parsed_and_the_next_run_takes_it_on(mill: Mill) -> None:
    for n in range(3):
        mill.put(f"{n}.pdf", f"page one of {n}", "page two")
    first = mill.run()
    assert (first.outcome, first.statuses) == ("complete", {"waiting": 3})
    tally = mill.work()
    assert (tally.documents, tally.pages, tally.failures) == (3, 6, 0)
    assert all(job.status == "waiting" and job.pdf_ir_ready for job in mill.jobs().values())
    second = mill.resume()
    assert second.statuses == {"done": 3}
    assert mill.state("0.pdf", "chunk").status == "done"


def test_a_second_worker_finds_nothing_to_do(mill: Mill) -> None:
    mill.put("a.pdf", "text")
    mill.run()
    assert mill.work().documents == 1
    assert mill.work().documents == 0


def test_several_slots_take_each_document_once(mill: Mill) -> None:
    for n in range(12):
        mill.put(f"{n}.pdf", f"text of {n}")
    mill.run()
    tally = mill.work(mill.host(slots=3))
    assert (tally.documents, tally.taken_over, len(mill.watched.parses)) == (12, 0, 12)
    assert {state.attempts for state in map(mill.state, mill.jobs())} == {1}


def test_several_documents_may_be_claimed_at_a_time(mill: Mill) -> None:
    for n in range(5):
        mill.put(f"{n}.pdf", f"text of {n}")
    mill.run()
    assert mill.work(batch=3).documents == 5


def test_a_bad_file_has_failed_at_once_and_nothing_follows(mill: Mill) -> None:
    mill.put("bad.pdf", "bad")
    mill.put("good.pdf", "text")
    mill.run()
    tally = mill.work()
    assert (tally.documents, tally.failures) == (1, 1)
    job, state = mill.jobs()["bad.pdf"], mill.state("bad.pdf")
    assert (job.status, job.waiting_for, state.status, state.reason) == ("dead", None, "dead", "corrupt")
    assert mill.resume().statuses == {"done": 1}
    assert count(mill, schema.dead_letters, schema.dead_letters.c.input.is_not(None)) == 1
    assert count(mill, schema.stage_states, schema.stage_states.c.job_id == job.id) == 3


def test_a_bug_of_the_engine_is_told_as_one_with_its_traceback(mill: Mill) -> None:
    mill.put("bug.pdf", "bug")
    mill.run()
    mill.work()
    assert mill.state("bug.pdf").reason == "unexpected"
    with mill.app.ledger.database.read() as connection:
        assert "of the engine" in connection.execute(select(schema.dead_letters.c.detail)).scalar_one()


def test_pages_that_are_not_accounted_for_are_no_success(mill: Mill) -> None:
    mill.put("strange.pdf", "one", "strange")
    mill.run()
    mill.work()
    assert (mill.state("strange.pdf").status, mill.state("strange.pdf").reason) == ("dead", "invalid-output")
    assert not mill.jobs()["strange.pdf"].pdf_ir_ready


def test_what_has_waited_too_long_is_told_and_counted_apart(mill: Mill) -> None:
    mill.put("late.pdf", "text")
    mill.put("good.pdf", "text")
    mill.run()
    with mill.app.ledger.database.write() as connection:
        late = schema.jobs.c.id == mill.jobs()["late.pdf"].id
        connection.execute(update(schema.jobs).where(late).values(waiting_until=1))
    tally = mill.work()
    assert (tally.documents, tally.failures, tally.expired, mill.watched.expiries) == (1, 0, 1, [1])
    assert (mill.jobs()["late.pdf"].status, mill.state("late.pdf").reason) == ("failed", "gate-timeout")


def test_a_page_without_text_is_told(mill: Mill) -> None:
    mill.put("a.pdf", "text", "missing", "text")
    mill.run()
    mill.work()
    assert [(parse.pages, parse.missing) for parse in mill.watched.parses] == [(3, (2,))]


def test_a_worker_that_lost_its_lease_is_the_same_worker(mill: Mill) -> None:
    for n in range(2):
        mill.put(f"{n}.pdf", "text")
    mill.run()

    def overtaken() -> None:
        mill.watched.on_page = None
        [row] = mill.app.ledger.workers.status()
        mill.app.ledger.leases.end(row.runner_id)
        while not mill.app.ledger.workers.status():
            time.sleep(0.05)

    mill.watched.on_page = overtaken
    tally = mill.work(lease_seconds=1)
    [row] = mill.app.ledger.workers.status(ended=True)
    assert (tally.documents, row.documents, tally.taken_over) == (2, 2, 1)


def test_a_document_that_kills_three_processes_is_dead_and_holds_nobody_up(mill: Mill) -> None:
    mill.put("0.pdf", "die")
    for n in range(1, 4):
        mill.put(f"{n}.pdf", "text")
    mill.run()
    tally = mill.work()
    assert (tally.documents, tally.failures, tally.given_back) == (3, 1, GATE_CAP - 1)
    state = mill.state("0.pdf")
    assert (state.status, state.reason) == ("dead", "crashed")
    assert "3 times" in state.message
    assert "SIGSEGV" in state.message
    order = [Path(parse.source_id).name for parse in mill.watched.parses]
    assert order[1:4] == ["1.pdf", "2.pdf", "3.pdf"], "one that has killed goes to the end"


def test_one_that_hangs_is_killed_and_counted(mill: Mill) -> None:
    mill.put("a.pdf", "hang")
    mill.run()
    mill.work(mill.host(limits=Limits(page_seconds=1)))
    assert mill.state("a.pdf").status == "dead"
    assert "a page took more than 1 s" in mill.state("a.pdf").message


def test_one_death_is_forgiven(mill: Mill, tmp_path: Path) -> None:
    mill.put("a.pdf", f"die-once {tmp_path / 'died'}")
    mill.run()
    tally = mill.work()
    assert (tally.documents, tally.given_back, mill.state("a.pdf").lost) == (1, 1, 0)


def test_an_engine_that_is_away_ends_the_worker_and_nothing_is_lost(mill: Mill) -> None:
    mill.put("a.pdf", "away")
    mill.put("b.pdf", "text")
    mill.run()
    with pytest.raises(EngineUnavailable, match="away"):
        mill.work()
    state = mill.state("a.pdf")
    assert (mill.jobs()["a.pdf"].status, state.status, state.lost) == ("waiting", "pending", 0)


def test_a_document_that_takes_a_server_down_counts_like_one_that_kills_a_process(mill: Mill) -> None:
    mill.put("a.pdf", "lost")
    mill.put("b.pdf", "text")
    mill.run()
    host = mill.host()
    host.recover = lambda error: None  # type: ignore[method-assign]  # as one that starts its server again
    tally = mill.work(host)
    assert (tally.documents, tally.failures, tally.given_back) == (1, 1, GATE_CAP - 1)
    assert mill.state("a.pdf").reason == "crashed"
    assert "the server went down" in mill.state("a.pdf").message


def test_a_child_that_can_not_start_ends_the_worker_and_buries_nobody(mill: Mill) -> None:
    mill.put("a.pdf", "text")
    mill.run()
    with pytest.raises(EngineUnavailable, match="can't start"):
        mill.work(replace(mill.host(), target="no_such_module:Engine"))
    assert (mill.state("a.pdf").status, mill.state("a.pdf").lost) == ("pending", 0)


def test_a_stop_finishes_what_is_under_way(mill: Mill) -> None:
    for n in range(3):
        mill.put(f"{n}.pdf", "one", "two")
    mill.run()
    asked = threading.Event()
    mill.watched.on_page = asked.set

    def stop() -> None:
        if asked.is_set():
            raise Stopped("enough")

    worker = mill.worker(mill.host(pause=0.2))
    with pytest.raises(Stopped):
        worker.run(stop)
    assert worker.tally.documents == 1
    assert count(mill, schema.stage_states, schema.stage_states.c.status == "running") == 0


def test_what_takes_longer_than_the_grace_is_given_back_and_counts_as_no_loss(
    mill: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf_module, "GRACE_SECONDS", 0.5)
    mill.put("a.pdf", "one", "hang")
    mill.run()
    asked = threading.Event()
    mill.watched.on_page = asked.set

    def stop() -> None:
        if asked.is_set():
            raise Stopped("enough")

    with pytest.raises(Stopped):
        mill.worker().run(stop)
    state = mill.state("a.pdf")
    assert (state.status, state.lost, mill.jobs()["a.pdf"].status) == ("pending", 0, "waiting")


@pytest.mark.parametrize("place", ["ledger.work.commit", "ledger.outputs.keep", "artifacts.put"])
def test_a_store_that_is_away_for_a_moment_costs_nothing_that_was_parsed(
    mill: Mill, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.8)
    mill.put("a.pdf", "text", "image")
    mill.run()
    store, name = attrgetter(place.rpartition(".")[0])(mill.app), place.rpartition(".")[2]
    works, failures = getattr(store, name), iter([StoreBusy("away")])

    def flaky(*arguments: object) -> object:
        for error in failures:
            raise error
        return works(*arguments)

    monkeypatch.setattr(store, name, flaky)
    tally = mill.work(mill.host(pause=0.6))
    assert (tally.documents, len(mill.watched.pages)) == (1, 2), "it was parsed once"
    assert count(mill, schema.stage_states, schema.stage_states.c.status == "running") == 0
    assert not list(failures)


def test_a_ledger_that_stays_away_ends_the_worker(mill: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.2)
    mill.put("a.pdf", "text")
    mill.run()

    def away(*arguments: object) -> None:
        raise StoreBusy("away")

    monkeypatch.setattr(mill.app.ledger.work, "commit", away)
    with pytest.raises(StoreBusy):
        mill.work()
    assert (mill.state("a.pdf").status, mill.state("a.pdf").lost) == ("pending", 0)


def test_a_ledger_that_hangs_holds_up_no_end(mill: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_module, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(pdf_module, "LAST_SECONDS", 0.2)
    mill.put("a.pdf", "text")
    mill.run()
    hangs, go_on = threading.Event(), threading.Event()

    def hang(*arguments: object) -> None:
        hangs.set()
        go_on.wait()
        raise StoreBusy("away")

    def stop() -> None:
        if hangs.is_set():
            raise Stopped("enough")

    monkeypatch.setattr(mill.app.ledger.work, "commit", hang)
    with pytest.raises(Stopped):
        mill.worker().run(stop)
    assert mill.state("a.pdf").status == "running", "its lease sees to it"
    go_on.set()


def test_a_document_that_is_cancelled_meanwhile_is_left(mill: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "ASK_SECONDS", 0.1)
    mill.put("a.pdf", "one", "hang")
    mill.run()
    mill.watched.on_page = lambda: cancelled.extend(cancel(mill.app.ledger.database, "default", [mill.doc_id("a.pdf")]))
    cancelled: list[str] = []
    tally = mill.work()
    assert (tally.taken_over, tally.failures, tally.given_back) == (1, 0, 0)
    assert (mill.jobs()["a.pdf"].status, len(cancelled)) == ("cancelled", 1)


def test_a_second_signal_gives_back_at_once(mill: Mill) -> None:
    mill.put("a.pdf", "one", "hang")
    mill.run()
    asked = threading.Event()

    def on_page() -> None:
        asked.set()
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()

    mill.watched.on_page = on_page

    def stop() -> None:
        if asked.is_set():
            raise Stopped("enough")

    began = time.monotonic()
    with pytest.raises(Stopped):
        mill.worker().run(stop)
    assert time.monotonic() - began < pdf_module.GRACE_SECONDS
    assert (mill.state("a.pdf").status, mill.state("a.pdf").lost) == ("pending", 0)


def test_a_worker_that_slept_past_its_lease_is_fenced_off(mill: Mill) -> None:
    mill.put("a.pdf", "one", "two")
    mill.run()

    def taken_over() -> None:
        """Another has declared this one dead and finished the document meanwhile."""
        with mill.app.ledger.database.write() as connection:
            states, jobs = schema.stage_states, schema.jobs
            gate = states.c.stage == "gate"
            connection.execute(update(states).where(gate).values(status="done", token=states.c.token + 1, output=b"x"))
            connection.execute(update(jobs).values(pdf_ir_ready=True))

    mill.watched.on_page = taken_over
    tally = mill.work()
    assert (tally.documents, tally.taken_over) == (0, 1)
    assert mill.state("a.pdf").output == b"x"


def test_a_file_that_the_artifact_store_lost_is_downloaded_again_by_a_retry(mill: Mill) -> None:
    mill.put("a.pdf", "text")
    mill.run()
    for path in (mill.folder / "home/artifacts").rglob("*"):
        if path.is_file():
            path.unlink()
    assert mill.work().failures == 1
    job, state = mill.jobs()["a.pdf"], mill.state("a.pdf")
    assert (job.status, state.reason, mill.state("a.pdf", "download").status) == ("failed", "artifact-lost", "pending")
    again = mill.run()
    assert again.statuses == {"waiting": 1}
    assert mill.work().documents == 1
    assert mill.resume().statuses == {"done": 1}


def test_a_parsed_document_that_was_lost_is_asked_of_a_worker_again(
    mill: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.runner.outputs.INLINE_BYTES", 0)
    mill.put("a.pdf", "text")
    mill.run()
    mill.work()
    with mill.app.ledger.database.read() as connection:
        digest = connection.execute(
            select(schema.artifacts.c.hash).where(schema.artifacts.c.kind == "Document")
        ).scalar_one()
    [path] = (mill.folder / "home/artifacts").rglob(digest.hex())
    path.unlink()
    assert mill.resume().statuses == {"failed": 1}
    assert "penstock retry: it waits again for penstock worker pdf" in mill.state("a.pdf", "chunk").next_step
    assert mill.run().statuses == {"waiting": 1}
    assert mill.work().documents == 1
    assert mill.resume().statuses == {"done": 1}


def test_a_changed_pipeline_does_not_parse_again(mill: Mill) -> None:
    mill.put("a.pdf", "text")
    mill.run()
    mill.work()
    mill.resume()
    path = mill.folder / "config/pipelines/pdfs.yaml"
    path.write_text(path.read_text().replace("type: ChunkStage,", "type: ChunkStage, with: {size: 50},"))
    del mill.app.__dict__["pipelines"]
    report = mill.run()
    assert report.statuses == {"done": 1}
    assert [stage.reused for stage in report.stages if stage.stage == "gate"] == [1]
    assert mill.state("a.pdf").reused


def test_a_changed_file_is_parsed_again(mill: Mill) -> None:
    mill.put("a.pdf", "text")
    mill.run()
    mill.work()
    mill.put("a.pdf", "other text")
    assert mill.run().statuses == {"waiting": 1}
    assert mill.work().documents == 1


def test_what_an_engine_gave_is_kept_images_and_raw_output_too(mill: Mill) -> None:
    mill.put("a.pdf", "text", "image")
    mill.run()
    mill.work()
    document = mill.app.ledger.outputs
    query = select(schema.artifacts.c.body).where(schema.artifacts.c.kind == "Document")
    with mill.app.ledger.database.read() as connection:
        body = connection.execute(query).scalar_one()
    from penstock.ir import Document

    document = Document.model_validate_json(body)
    [figure] = document.figures
    assert mill.app.artifacts.get(figure.artifact or "") == b"\x89PNG picture"
    assert mill.app.artifacts.get(document.provenance.raw or "") == b"raw output"
    assert (figure.page, document.page_count) == (2, 2)


def test_workers_tell_of_themselves(mill: Mill) -> None:
    mill.put("a.pdf", "one", "two")
    mill.run()
    seen = []
    mill.watched.on_page = lambda: seen.append(mill.app.ledger.workers.status())
    mill.work()
    [row] = seen[0]
    assert (row.engine, row.slots, row.alive) == ("obedient 1", 1, True)
    assert [Path(name).name for name, _ in row.on] == ["a.pdf"]
    [ended] = mill.app.ledger.workers.status(ended=True)
    assert (ended.documents, ended.pages, ended.alive, ended.on) == (1, 2, False, ())


def test_a_worker_without_once_takes_what_comes_later(mill: Mill) -> None:
    done = threading.Event()

    def stop() -> None:
        if done.is_set():
            raise Stopped("enough")

    worker = mill.worker(once=False)
    failed: list[BaseException] = []

    def run() -> None:
        try:
            worker.run(stop)
        except Stopped:
            return
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        mill.put("a.pdf", "text")
        mill.run()
        until = time.monotonic() + 20
        while worker.tally.documents == 0 and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        done.set()
        thread.join()
    assert (worker.tally.documents, failed) == (1, [])
