"""The ticks of `pdf_ir_ready_sensor`, with a real ledger and a Dagster instance in memory."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

import pytest
from dagster import AssetCheckEvaluation, AssetKey, AssetObservation, DagsterRunStatus, SensorResult
from dagster import build_sensor_context as context_of

from flip import FIELD, GateWorker
from penstock.bootstrap import App
from penstock.errors import BadInput
from penstock.ledger.resumes import Ready
from penstock.ledger.schema import batches, jobs
from penstock.ledger.told import LATE_MS
from penstock.orchestration import launching
from penstock.orchestration.gate_sensor import is_due
from penstock.orchestration.housekeeping import ATTEMPTS
from penstock.runner import RunRequest

from .conftest import SMALL, Project

GATED = """
version: "1.0"
name: gated
batch_size: 4
stages:
  - {name: ingest, type: IngestStage}
  - {name: download, type: DownloadStage, depends_on: [ingest]}
  - {name: gate, type: Gate, condition: {ledger_field: pdf_ir_ready, equals: true}, resume_stage: chunk%s}
  - {name: chunk, type: ChunkStage, use: witness, depends_on: [gate]}
"""
GATE = AssetKey(["gated", "gate"])


class Ticks:
    """Both sensors as the daemon drives them: the cursor of a tick is given to the next, its events are written."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self.cursor: dict[str, str | None] = {}
        self.reload()

    def reload(self) -> None:
        self._sensors = {s.name: s for s in self._project.definitions().sensors or []}

    def evaluate(self, name: str = f"{FIELD}_sensor") -> SensorResult:
        """As far as the code server comes: what it says is lost if the daemon dies now."""
        with context_of(instance=self._project.instance, cursor=self.cursor.get(name)) as context:
            result = self._sensors[name](context)
        assert isinstance(result, SensorResult)
        return result

    def __call__(self, name: str = f"{FIELD}_sensor") -> SensorResult:
        result = self.evaluate(name)
        self.write(result)
        self.cursor[name] = result.cursor
        return result

    def write(self, result: SensorResult) -> None:
        for event in result.asset_events:
            self._project.instance.report_runless_asset_event(event)

    def asked(self, name: str = f"{FIELD}_sensor") -> list[str | None]:
        return [request.run_key for request in self(name).run_requests or []]

    def reason(self) -> str:
        said = self().skip_reason
        assert said is not None
        return said.skip_message or ""


@pytest.fixture
def ticks(project: Project, monkeypatch: pytest.MonkeyPatch) -> Ticks:
    monkeypatch.setattr(launching, "WAIT_SECONDS", 0)
    project.pipeline(GATED % "", "gated")
    return Ticks(project)


@pytest.fixture
def wait(project: Project, app: App) -> Callable[..., GateWorker]:
    """Take so many new PDFs to the gate; who lets them through."""

    def bring(count: int, tenant: str = "default") -> GateWorker:
        folder = project.docs / tenant
        folder.mkdir(exist_ok=True)
        first = len(list(folder.iterdir()))
        for number in range(first, first + count):
            (folder / f"{number}.pdf").write_text(f"%PDF-1.4 {tenant} {number}")
        app.runner.run(app.pipelines.named("gated"), RunRequest(query={"paths": [str(folder)]}, tenant=tenant))
        return GateWorker(app)

    return bring


def made(project: Project, key: str, status: DagsterRunStatus) -> None:
    """What the daemon does of a run request."""
    batch, attempt = key.split(":")
    job = project.definitions().get_job_def("gated")
    tags = {"penstock/batch": batch, "penstock/attempt": attempt, "dagster/run_key": key}
    project.instance.create_run_for_job(job, run_config={"batch": int(batch)}, tags={**job.tags, **tags}, status=status)


def ready_since(app: App, seconds: float) -> None:
    """As if what is ready had become so that long ago."""
    with app.ledger.database.write() as connection:
        then = jobs.c.updated_at - int(seconds * 1000)
        connection.execute(jobs.update().where(jobs.c.status == "waiting").values(updated_at=then))


def status(app: App) -> dict[str, int]:
    with app.ledger.database.read() as connection:
        rows = connection.execute(jobs.select()).all()
    return {word: sum(row.status == word for row in rows) for word in {row.status for row in rows}}


def test_what_is_ready_gets_a_run_at_once(ticks: Ticks, app: App, wait: Callable[..., GateWorker]) -> None:
    wait(3).flip(2)
    [request] = ticks().run_requests or []
    assert request.job_name == "gated"
    batch = request.run_config["batch"]
    assert request.run_key == f"{batch}:1"
    assert request.run_config["tenant"] == "default"
    assert app.ledger.reports.statuses(batch) == {"pending": 2}


def test_a_tick_wakes_up_when_a_document_becomes_ready_meanwhile(
    ticks: Ticks, wait: Callable[..., GateWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = wait(1)
    monkeypatch.setattr(launching, "WAIT_SECONDS", 30)

    def later() -> None:
        time.sleep(0.3)
        worker.flip()

    thread = threading.Thread(target=later)
    thread.start()
    assert len(ticks.asked()) == 1
    thread.join()


def test_the_resumed_run_goes_on_behind_the_gate_and_lists_nothing(
    project: Project, ticks: Ticks, app: App, wait: Callable[..., GateWorker]
) -> None:
    worker = wait(3)
    worker.flip()
    [request] = ticks().run_requests or []
    worker.flip()  # while its run comes up
    (project.docs / "default/new.pdf").write_text("%PDF-1.4 new")
    result = project.run(request.job_name or "", **request.run_config)
    assert result.success
    assert status(app) == {"done": 2, "waiting": 1}
    assert len(project.calls()) == 2
    assert ticks.asked() == []


def test_what_becomes_ready_goes_along_with_the_run_that_is_on_its_way(
    project: Project, ticks: Ticks, app: App, wait: Callable[..., GateWorker]
) -> None:
    worker = wait(5)
    worker.flip()
    [key] = ticks.asked()
    made(project, str(key), DagsterRunStatus.STARTING)
    worker.flip(2)
    ready_since(app, 3600)
    assert ticks.asked() == []
    assert ticks.reason() == "2 documents wait for pdf_ir_ready; no worker is there: penstock worker pdf; " + (
        "2 that have it go with the next run"
    )


def test_a_full_batch_is_launched_beside_a_run_that_is_on_its_way(
    project: Project, ticks: Ticks, wait: Callable[..., GateWorker]
) -> None:
    worker = wait(6)
    worker.flip()
    [key] = ticks.asked()
    made(project, str(key), DagsterRunStatus.STARTING)
    worker.flip(4)
    assert len(ticks.asked()) == 1


@pytest.mark.parametrize(
    ("on_the_way", "documents", "age", "due"),
    [
        (None, 1, 0, True),
        ("coming", 1, 3_600_000, False),
        ("coming", 1000, 0, True),
        ("gathering", 1, 29_999, False),
        ("gathering", 1, 30_000, True),
        ("gathering", 1000, 0, True),
        ("going", 999, 3_999, False),
        ("going", 1, 4_000, True),
        ("going", 1000, 0, True),
    ],
)
def test_when_what_is_ready_gets_a_run(on_the_way: str | None, documents: int, age: int, due: bool) -> None:
    assert is_due(Ready("default", documents, age), 1000, on_the_way, 30.0) is due


def test_a_run_past_its_gate_leaves_what_comes_later_to_another(
    project: Project, ticks: Ticks, app: App, wait: Callable[..., GateWorker]
) -> None:
    worker = wait(2)
    worker.flip()
    [request] = ticks().run_requests or []
    made(project, str(request.run_key), DagsterRunStatus.STARTED)
    app.ledger.resumes.gathered(request.run_config["batch"])
    worker.flip()
    assert ticks.asked() == []
    ready_since(app, 4)
    assert len(ticks.asked()) == 1


def test_one_tenants_run_is_nothing_to_another(project: Project, ticks: Ticks, wait: Callable[..., GateWorker]) -> None:
    wait(1, "acme").flip()
    [key] = ticks.asked()
    made(project, str(key), DagsterRunStatus.STARTING)
    wait(1, "other").flip()
    [request] = ticks().run_requests or []
    assert request.run_config["tenant"] == "other"


def test_no_more_runs_are_asked_for_than_may_wait_in_line(
    project: Project, ticks: Ticks, wait: Callable[..., GateWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "IN_LINE", 2)
    for number in range(3):
        wait(1, f"t{number}").flip()
    keys = ticks.asked()
    assert len(keys) == 2
    for key in keys:
        made(project, str(key), DagsterRunStatus.STARTING)
    assert ticks.reason() == "2 runs wait in Dagster's queue already"


def test_a_daemon_that_dies_before_it_made_the_run_makes_it_after_its_restart(
    ticks: Ticks, wait: Callable[..., GateWorker]
) -> None:
    wait(1).flip()
    [lost] = ticks.evaluate().run_requests or []
    assert ticks.asked() == [lost.run_key], "claimed, never emitted"
    assert ticks.asked() == [lost.run_key], "emitted, never made"


def test_two_ticks_at_once_take_each_document_once(ticks: Ticks, app: App, wait: Callable[..., GateWorker]) -> None:
    wait(3).flip(3)
    barrier = threading.Barrier(2)
    keys: list[str | None] = []

    def tick() -> None:
        barrier.wait()
        keys.extend(request.run_key for request in ticks.evaluate().run_requests or [])

    threads = [threading.Thread(target=tick) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == 1, "one may ask again for what the other has claimed: under the same key"
    assert app.ledger.reports.statuses(int(str(keys[0]).split(":")[0])) == {"pending": 3}


def test_a_resumed_run_that_died_is_queued_again_and_launched_by_this_sensor_alone(
    project: Project, ticks: Ticks, app: App, wait: Callable[..., GateWorker]
) -> None:
    wait(1).flip()
    for attempt in range(1, ATTEMPTS + 1):
        assert ticks.asked("submitted_batches") == []
        [key] = ticks.asked()
        assert str(key).endswith(f":{attempt}")
        made(project, str(key), DagsterRunStatus.FAILURE)
    assert ticks.asked() == []
    assert app.ledger.batches.batch(int(str(key).split(":")[0])).status == "failed"


def test_a_resume_of_a_pipeline_that_has_lost_its_gate_is_launched_all_the_same(
    project: Project, ticks: Ticks, app: App, wait: Callable[..., GateWorker]
) -> None:
    wait(1).flip()
    [key] = ticks.asked()
    with app.ledger.database.write() as connection:
        connection.execute(batches.update().where(batches.c.kind == "resume").values(status="queued"))
    project.pipeline(SMALL.replace("name: small", "name: gated"), "gated")
    ticks.reload()
    assert ticks.asked("submitted_batches") == [str(key).replace(":1", ":2")]


def test_an_edited_file_is_not_launched_until_the_location_is_reloaded(
    project: Project, ticks: Ticks, wait: Callable[..., GateWorker]
) -> None:
    wait(1).flip()
    project.pipeline(GATED % "" + "description: edited\n", "gated")
    assert ticks.reason() == "reload the code location: gated was edited on disk"
    ticks.reload()
    assert len(ticks.asked()) == 1


def test_a_tick_says_what_waits_and_who_is_at_it(ticks: Ticks, app: App, wait: Callable[..., GateWorker]) -> None:
    assert ticks.reason() == "nothing waits for pdf_ir_ready"
    wait(1)
    assert ticks.reason() == "1 document waits for pdf_ir_ready; no worker is there: penstock worker pdf"
    wait(1)
    app.ledger.workers.register(app.ledger.leases.register(60), FIELD, "cpu 1", 2)
    assert ticks.reason() == "2 documents wait for pdf_ir_ready; 1 worker is on it"
    app.ledger.workers.register(app.ledger.leases.register(60), FIELD, "cpu 1", 2)
    assert ticks.reason() == "2 documents wait for pdf_ir_ready; 2 workers are on it"


def test_documents_beyond_counting_are_not_counted(
    ticks: Ticks, wait: Callable[..., GateWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    from penstock.orchestration import gate_sensor

    monkeypatch.setattr(gate_sensor, "COUNTED", 2)
    wait(3)
    assert ticks.reason().startswith("more than 2 documents wait for pdf_ir_ready")


class Told:
    """What the catalogue shows of a gate."""

    def __init__(self, project: Project) -> None:
        self._instance = project.instance

    def observations(self) -> list[AssetObservation]:
        records = self._instance.fetch_observations(GATE, limit=100).records
        return [r.asset_observation for r in reversed(records) if r.asset_observation]

    def documents(self) -> list[str]:
        tables = [o.metadata["failures"].value.records for o in self.observations()]
        return [str(record.data["document"]).rpartition("/")[2] for table in tables for record in table]

    def checks(self) -> list[AssetCheckEvaluation]:
        from dagster import AssetCheckKey

        key = AssetCheckKey(GATE, "all_documents_through")
        records = self._instance.event_log_storage.get_asset_check_execution_history(key, limit=100)
        return [r.event.dagster_event.asset_check_evaluation_data for r in records if r.event and r.event.dagster_event]


@pytest.fixture
def told(project: Project) -> Told:
    return Told(project)


def test_what_failed_in_the_worker_is_told_once_with_its_reason(
    ticks: Ticks, told: Told, wait: Callable[..., GateWorker]
) -> None:
    worker = wait(3)
    worker.fail(BadInput("it is encrypted", reason="encrypted"))
    worker.fail(BadInput("it has no text layer", reason="no-text"), terminal=False)
    for _ in range(3):
        ticks()
    [observation] = told.observations()
    assert observation.description == "2 documents did not get through: 1 encrypted, 1 no-text"
    assert {label: entry.value for label, entry in observation.metadata.items() if label != "failures"} == {
        "in the ledger (job:round)": ["1:1", "2:1"]
    }, "what a person sees of what the next tick is to know"
    first, second = (record.data for record in observation.metadata["failures"].value.records)
    assert (first["status"], first["reason"], first["message"]) == ("dead", "encrypted", "it is encrypted")
    assert (second["status"], second["reason"]) == ("failed", "no-text")
    [check] = told.checks()
    assert not check.passed
    assert check.description == "2 failed or dead here: 1 encrypted, 1 no-text"


def test_what_fails_in_another_round_is_told_again(
    ticks: Ticks, told: Told, app: App, wait: Callable[..., GateWorker]
) -> None:
    worker = wait(1)
    worker.fail(BadInput("it is torn"))
    ticks()
    [(batch, _)] = app.ledger.batches.retry(tenant="default", queued=False)
    app.runner.run(app.pipelines.named("gated"), RunRequest(batch=batch.id))
    worker.fail(BadInput("it is torn"))
    ticks()
    ticks()
    assert told.documents() == ["0.pdf", "0.pdf"]


def test_a_document_whose_time_is_up_is_told_of(
    project: Project, ticks: Ticks, told: Told, app: App, wait: Callable[..., GateWorker]
) -> None:
    wait(1)
    with app.ledger.database.write() as connection:
        connection.execute(jobs.update().values(waiting_since=jobs.c.waiting_since - 2000))
    ticks()
    assert told.observations() == [], "the gate has no timeout"
    project.pipeline(GATED % ", timeout: 1s", "gated")
    ticks()
    assert told.observations() == [], "the code location does not know of it"
    ticks.reload()
    ticks()
    [observation] = told.observations()
    assert "1 gate-timeout" in (observation.description or "")
    assert status(app) == {"failed": 1}


def test_more_failures_than_one_tick_tells_follow_in_the_next(
    ticks: Ticks, told: Told, wait: Callable[..., GateWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.ledger.told.AT_ONCE", 2)
    worker = wait(5)
    for _ in range(5):
        worker.fail(BadInput("no"))
    for _ in range(4):
        ticks()
    assert sorted(told.documents()) == [f"{n}.pdf" for n in range(5)]
    assert len(told.observations()) == 3


def test_failures_are_told_once_whenever_the_daemon_dies(
    ticks: Ticks, told: Told, wait: Callable[..., GateWorker]
) -> None:
    worker = wait(3)
    worker.fail(BadInput("no"))
    ticks.evaluate()
    assert told.documents() == [], "it died before it wrote them down"
    ticks.write(ticks.evaluate())
    worker.fail(BadInput("no"))
    ticks()
    ticks()
    assert told.documents() == ["0.pdf", "1.pdf"], "it died before it remembered the first"


def test_a_failure_that_is_stamped_late_is_told_too(
    ticks: Ticks, told: Told, app: App, wait: Callable[..., GateWorker]
) -> None:
    """On PostgreSQL a transaction may be committed after one that was stamped later."""
    worker = wait(2)
    worker.fail(BadInput("no"))
    ticks()
    late = worker.fail(BadInput("no"))
    with app.ledger.database.write() as connection:
        then = jobs.c.updated_at - LATE_MS // 2
        connection.execute(jobs.update().where(jobs.c.id == late).values(updated_at=then))
    ticks()
    assert told.documents() == ["0.pdf", "1.pdf"]


def test_the_cursor_forgets_what_can_no_longer_be_late(ticks: Ticks, app: App, wait: Callable[..., GateWorker]) -> None:
    def rounds() -> list[str]:
        ticks()
        return list(json.loads(ticks.cursor[f"{FIELD}_sensor"] or "")["told"])

    job = wait(1).fail(BadInput("no"))
    assert rounds() == [f"{job}:1"]
    with app.ledger.database.write() as connection:
        connection.execute(jobs.update().values(updated_at=jobs.c.updated_at - 2 * LATE_MS))
    assert rounds() == []


def test_the_first_run_says_at_the_gate_what_waits_for_what(project: Project, ticks: Ticks) -> None:
    for number in range(12):
        (project.docs / f"{number}.pdf").write_text(f"%PDF-1.4 {number}")
    result = project.run("gated")
    assert result.success
    [event] = [e for e in result.get_asset_materialization_events() if e.asset_key == GATE]
    materialization = event.step_materialization_data.materialization
    assert materialization.description == "12 documents wait for pdf_ir_ready"
    assert materialization.metadata["waiting"].value == 12
    assert "set by: penstock worker pdf" in str(materialization.metadata["notes"].value)
    assert [e.step_key for e in result.all_events if e.is_step_skipped] == ["chunk"]
    assert any("12 documents wait for pdf_ir_ready" in line for line in project.said(result.run_id))
