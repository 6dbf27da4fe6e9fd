"""Cancelling while somebody is at it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from sqlalchemy import select

from penstock.bootstrap import App
from penstock.ledger.cancel import cancel
from penstock.ledger.schema import documents, jobs, stage_states
from penstock.runner import RunRequest
from penstock.settings import Settings


def test_what_is_being_worked_on_is_fenced_off_and_keeps_what_it_had(root: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    for name in ("a.md", "b.md"):
        (notes / name).write_text(f"Note {name}.\n")
    with closing(App(Settings(home=tmp_path / "home", config=root / "config/orchestration"))) as app:
        database = app.ledger.database
        cancelled: list[str] = []

        def while_parse_runs() -> None:
            """Called between documents: cancels a.md once its lease at parse is held."""
            running = (
                select(documents.c.doc_id)
                .join(jobs, jobs.c.document_id == documents.c.id)
                .join(stage_states, stage_states.c.job_id == jobs.c.id)
                .where(documents.c.source_id.endswith("a.md"), stage_states.c.stage == "parse")
                .where(stage_states.c.status == "running")
            )
            with database.read() as connection:
                found = list(connection.execute(running).scalars())
            if found and not cancelled:
                cancelled.extend(cancel(database, "default", found))

        request = RunRequest(query={"paths": [str(notes)]})
        report = app.runner.run(app.pipelines.named("auto"), request, stop=while_parse_runs)
        assert len(cancelled) == 1
        assert report.statuses == {"done": 1, "cancelled": 1}
        assert next(stage for stage in report.stages if stage.stage == "parse").fenced == 1
        with database.read() as connection:
            states = connection.execute(
                select(stage_states.c.stage, stage_states.c.status)
                .join(jobs, jobs.c.id == stage_states.c.job_id)
                .where(jobs.c.status == "cancelled")
            ).all()
        assert sorted(map(tuple, states)) == [("ingest", "done"), ("parse", "pending")]
        assert app.index.generation_of("default", cancelled[0]) is None
