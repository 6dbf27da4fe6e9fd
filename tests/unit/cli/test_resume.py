"""Going on behind a gate: after a kill, after an edit of the pipeline, and with what was lost meanwhile."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from command import PAPERS, Penstock
from flip import FIELD, GateWorker
from penstock.bootstrap import App, open_app
from penstock.cli.resume import Resuming
from penstock.errors import BadInput, StoreBusy
from penstock.ledger.gate_read import GateReader
from penstock.ledger.resumes import Resumes
from penstock.ledger.schema import ledger_meta
from penstock.ledger.told import Tellings
from penstock.ledger.work import Work
from penstock.runner import RunRequest

RESUME = ("run", "pdf-two-phase", "--resume")
FOLLOW = ("run", "pdf-two-phase", "--follow")
GATE = "type: Gate\n    condition:\n      ledger_field: pdf_ir_ready\n      equals: true\n    resume_stage: chunk\n"
NO_GATE = "type: ParseStage\n    depends_on: [ingest]\n"


def killed(what: Callable[[App], object]) -> None:
    """A process of its own does it and is killed then: it ends nothing and gives nothing back."""
    child = os.fork()
    if not child:
        try:
            what(open_app())
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


def take(app: App) -> None:
    """What a run does first that goes on with what is ready; it leases the documents, too."""
    topology = app.pipelines.named("pdf-two-phase")
    batch, count = app.ledger.resumes.take(FIELD, topology.name, "default", 10)
    assert count == 2
    run = app.runner.open(topology, RunRequest(batch=batch.id))
    app.runner.run_stage(run, "pdf_gate")
    chunk = run.plan.key("chunk")
    assert app.ledger.work.claim(app.runner.session.runner, chunk, app.ledger.work.candidates(batch.id, chunk))


@pytest.mark.parametrize("again", [RESUME, FOLLOW])
def test_what_a_killed_run_was_at_is_gone_on_with(waiting: Penstock, work: Penstock, again: tuple[str, ...]) -> None:
    work()
    killed(take)
    said = waiting(*again)
    assert said.status == 0
    assert "complete: 2 documents: 2 done\n" in said.out


def test_what_a_killed_run_was_at_is_not_told_to_run(waiting: Penstock, work: Penstock) -> None:
    work()
    killed(take)
    told = waiting("explain", f"papers/{PAPERS[0]}").out
    assert "it is under way: chunk has not run yet" in told
    assert "runs now" not in told


def test_nobody_is_at_what_a_killed_worker_was_at(waiting: Penstock, edit: Callable[[str, str], None]) -> None:
    killed(lambda app: GateWorker(app).claim())
    assert waiting("jobs", "--waiting").out.count("nobody is at it") == 2
    assert waiting("jobs", "--waiting", "--json").json["jobs"][0]["at_gate"]["worked_on"] is None
    edit("type: Gate\n", "type: Gate\n    timeout: 0.001\n")
    said = waiting(*FOLLOW, "--json")
    assert said.status == 3, "its time is up, too"
    assert [lost["reason"] for lost in said.json["lost"]] == ["gate-timeout"] * 2


@pytest.mark.parametrize("command", [RESUME, FOLLOW, ("run", "pdf-two-phase", "papers")])
def test_a_timeout_that_was_changed_is_so_for_what_waits_already(
    waiting: Penstock, edit: Callable[[str, str], None], command: tuple[str, ...]
) -> None:
    edit("type: Gate\n", "type: Gate\n    timeout: 0.001\n")
    waiting(*command)
    waiting(*RESUME)
    assert len(waiting("jobs", "--status", "failed", "--json").json["jobs"]) == 2


def test_documents_at_a_gate_that_was_renamed_go_on_to_the_new_one(
    waiting: Penstock, work: Penstock, edit: Callable[[str, str], None]
) -> None:
    edit("pdf_gate", "ir_gate")
    listed = waiting("jobs", "--waiting").out
    assert listed.count("its gate is no more") == 2
    assert listed.endswith("pdf-two-phase has another gate now, or none: penstock run pdf-two-phase --resume\n")
    told = waiting("explain", f"papers/{PAPERS[0]}").out
    assert "at the gate pdf_gate for pdf_ir_ready, which the pipeline has no more" in " ".join(told.split())
    assert "penstock run pdf-two-phase --resume\n" in told
    assert "2 waiting\n" in waiting(*RESUME).out
    assert waiting("jobs", "--waiting").out.count("nobody is at it") == 2
    work()
    assert "complete: 2 documents: 2 done\n" in waiting(*RESUME).out


@pytest.mark.parametrize("again", [RESUME, FOLLOW])
def test_documents_at_a_gate_that_was_removed_go_on_as_the_pipeline_is_today(
    waiting: Penstock, edit: Callable[[str, str], None], again: tuple[str, ...]
) -> None:
    edit(GATE, NO_GATE)
    said = waiting(*again, "--json")
    assert said.json["queues"] == {}
    assert said.json["runs"][0]["statuses"]["dead"] == 2, "nothing reads a PDF there"
    assert said.json["lost_count"] == 2, "a run's own are in it"
    assert waiting("jobs", "--waiting").out == "none\n"
    assert waiting(*again).err.startswith("pipeline 'pdf-two-phase' has no gate: nothing of it waits")


def test_who_follows_takes_on_what_a_worker_was_at_when_the_gate_was_removed(
    waiting: Penstock, edit: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(open_app()) as app:
        worker = GateWorker(app)
        held = worker.claim()
        looks = Resuming._any_wait

        def let_go_when_looked_for(resuming: Resuming) -> bool:
            monkeypatch.setattr(Resuming, "_any_wait", looks)
            worker.commit(*held)
            return looks(resuming)

        edit(GATE, NO_GATE)
        monkeypatch.setattr(Resuming, "__post_init__", lambda _: None)
        monkeypatch.setattr(Resuming, "_any_wait", let_go_when_looked_for)
        runs = waiting(*FOLLOW, "--json").json["runs"]
    assert [run["statuses"]["dead"] for run in runs] == [1, 1]


def test_where_the_pipeline_is_broken_that_is_what_is_told(waiting: Penstock, edit: Callable[[str, str], None]) -> None:
    edit("type: Gate\n", "type: Gaet\n")
    listed = waiting("jobs", "--waiting").out
    assert listed.count("no pipeline for it") == 2
    assert "\npdf-two-phase is broken or gone: penstock pipelines check; or have another" in listed
    told = waiting("explain", f"papers/{PAPERS[0]}").out
    assert "no pipeline 'pdf-two-phase' that could be run" in " ".join(told.split())
    assert "next       penstock pipelines check; or have another pipeline take it" in told


@pytest.mark.parametrize("again", [RESUME, FOLLOW])
def test_what_a_worker_gave_up_on_before_is_told_once(waiting: Penstock, again: tuple[str, ...]) -> None:
    with closing(open_app()) as app:
        GateWorker(app).fail(BadInput("it is torn"))
        GateWorker(app).flip()
    said = waiting(*again)
    assert said.status == 3
    assert "complete: 1 document: 1 done\n" in said.out
    assert "  dead at pdf_gate, malformed\n    it is torn\n" in said.out
    assert "1 dead: malformed\n" in said.out
    said = waiting(*again)
    assert (said.status, said.out) == (0, "no document of pdf-two-phase waits\n")
    waiting("retry", "--status", "dead")
    with closing(open_app()) as app:
        GateWorker(app).fail(BadInput("it is torn still"))
    assert [lost["message"] for lost in waiting(*again, "--json").json["lost"]] == ["it is torn still"]


def test_what_was_lost_before_anything_was_run_by_hand_is_not_told(waiting: Penstock) -> None:
    with closing(open_app()) as app:
        GateWorker(app).fail(BadInput("it is torn"))
        with app.ledger.database.write() as connection:
            connection.execute(ledger_meta.delete().where(ledger_meta.c.name.startswith("told ")))
    assert waiting(*RESUME).status == 0


def test_of_another_tenants_losses_nothing_is_told(waiting: Penstock, penstock: Penstock) -> None:
    penstock("run", "pdf-two-phase", "papers", "--tenant", "other")
    with closing(open_app()) as app:
        GateWorker(app).fail(BadInput("it is torn"))
    assert waiting(*RESUME, "--tenant", "other").status == 0
    assert waiting(*RESUME).status == 3


def resuming(app: App) -> Resuming:
    return Resuming(app, app.pipelines.named("pdf-two-phase"), "default")


def test_of_two_that_resume_at_the_same_time_one_tells(waiting: Penstock, monkeypatch: pytest.MonkeyPatch) -> None:
    untold = Tellings.untold
    with closing(open_app()) as app:
        GateWorker(app).fail(BadInput("it is torn"))

        def overtaken(tellings: Tellings, *given: Any) -> Any:
            found = list(untold(tellings, *given))
            monkeypatch.setattr(Tellings, "untold", untold)
            GateWorker(app).fail(BadInput("it is torn, too"))
            with resuming(app).telling(app.ledger.database.now()) as others:
                assert others.count == 2
            return iter(found)

        monkeypatch.setattr(Tellings, "untold", overtaken)
        said = waiting(*RESUME)
    assert (said.status, said.out) == (0, "no document of pdf-two-phase waits\n")
    assert waiting(*RESUME).status == 0, "and nothing was set back"


def test_what_could_not_be_written_is_told_the_next_time(waiting: Penstock) -> None:
    with closing(open_app()) as app:
        GateWorker(app).fail(BadInput("it is torn"))
        with pytest.raises(BrokenPipeError), resuming(app).telling(app.ledger.database.now()):
            raise BrokenPipeError
    assert waiting(*RESUME).status == 3


@pytest.mark.parametrize("again", [RESUME, FOLLOW])
def test_all_that_was_lost_is_counted_though_not_all_is_named(
    waiting: Penstock, monkeypatch: pytest.MonkeyPatch, again: tuple[str, ...]
) -> None:
    monkeypatch.setattr("penstock.cli.resume.SHOWN", 1)

    def give_up() -> None:
        with closing(open_app()) as app:
            for _ in PAPERS:
                GateWorker(app).fail(BadInput("it is torn"))

    give_up()
    said = waiting(*again).out
    assert "… and 1 more document: penstock jobs" in said
    assert "\n2 dead: malformed\n" in said
    waiting("retry", "--status", "dead")
    give_up()
    said_json = waiting(*again, "--json").json
    assert (len(said_json["lost"]), said_json["lost_count"]) == (1, 2)
    assert waiting(*again, "--json").json["lost_count"] == 0


def test_what_to_start_next_is_for_the_same_tenant(penstock: Penstock, papers: Path, work: Penstock) -> None:
    mine = ("--tenant", "other")
    again = "penstock run pdf-two-phase --tenant other --resume"
    assert f"; then {again} (--follow" in penstock("run", "pdf-two-phase", "papers", *mine).out
    work()
    with closing(open_app()) as app:
        assert Resuming(app, app.pipelines.named("pdf-two-phase"), "other").standing == f"2 are ready: {again}"
    said = penstock("run", "pdf-two-phase", "papers", "--resume", *mine).err
    assert said.endswith("(or leave out --resume: penstock run pdf-two-phase --tenant other …)\n")
    assert penstock("run", "auto", "--resume", *mine).err.endswith("(penstock run auto --tenant other PATH…)\n")


def test_the_tenant_of_the_settings_is_not_named(
    penstock: Penstock, papers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_TENANT", "other")
    said = penstock("run", "pdf-two-phase", "papers", "--tenant", "other").out
    assert "; then penstock run pdf-two-phase --resume (--follow" in said


@pytest.mark.parametrize("place", [(Resumes, "take"), (Work, "commit"), (GateReader, "any_waiting")])
def test_who_follows_waits_for_a_ledger_that_is_away(
    waiting: Penstock, work: Penstock, monkeypatch: pytest.MonkeyPatch, place: tuple[type, str]
) -> None:
    """Twice; and then what the broken run held is not waited for."""
    work()
    whose, name = place
    does, faults = getattr(whose, name), iter([StoreBusy("away"), StoreBusy("away")])

    def at_times(*given: Any, **named: Any) -> Any:
        if fault := next(faults, None):
            raise fault
        return does(*given, **named)

    monkeypatch.setattr(whose, name, at_times)
    said = waiting(*FOLLOW)
    assert (said.status, said.err) == (0, "")
    assert "complete: 2 documents: 2 done\n" in said.out
    assert next(faults, "both") == "both"


def test_a_ledger_that_stays_away_ends_following_with_how_to_go_on(
    waiting: Penstock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*given: Any) -> bool:
        raise StoreBusy("the ledger is away")

    monkeypatch.setattr("penstock.workers.patience.PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(GateReader, "any_waiting", away)
    said = waiting(*FOLLOW)
    assert (said.status, said.err) == (1, "the ledger is away (penstock run pdf-two-phase --follow)\n")
    said = waiting(*FOLLOW, "--tenant", "other")
    assert said.err == "the ledger is away (penstock run pdf-two-phase --tenant other --follow)\n"
