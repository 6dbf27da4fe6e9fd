"""PDFs in Dagster's web UI, in a real browser: the gate that halts, the sensor that resumes, the file that failed.

PENSTOCK_IMAGES=docs/images makes it write the pictures of the documentation.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from acceptance.dagster_stack import ROOT, Stack
from acceptance.test_dagster_ui import CHROMIUM, Browser, browser, stack
from penstock.ledger import schema

__all__ = ["browser", "stack"]

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH"),
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the project's pipelines and its PDFs."""
    made = tmp_path / "project"
    shutil.copytree(ROOT / "config", made / "config")
    shutil.copytree(ROOT / "examples-pdf", made / "papers")
    return made


def test_a_person_sees_the_gate_halt_and_the_sensor_resume(browser: Browser, stack: Stack, project: Path) -> None:
    page = browser.page
    browser.open("/locations/penstock/jobs/pdf_two_phase", "pdf_gate")
    page.get_by_text("Hide navigation").click()
    browser.picture("ui-pdf-job")

    run = stack.launch("pdf_two_phase", source="files", request={"paths": ["papers"]})
    assert stack.ended(run) == "SUCCESS"
    browser.open(f"/runs/{run}", "RUN_SUCCESS")
    browser.picture("ui-pdf-gate")
    with stack.instance() as instance:
        steps = {step.step_key: step.status.value for step in instance.get_run_step_stats(run)}
    assert steps["pdf_gate"] == "SUCCESS"
    assert steps["chunk"] == steps["kg"] == "SKIPPED"
    browser.open("/assets/pdf_two_phase/pdf_gate?view=events", "wait for pdf_ir_ready")
    browser.picture("ui-pdf-waiting")

    worker = [sys.executable, "-m", "penstock", "worker", "pdf", "--engine", "cpu", "--once"]
    assert subprocess.run(worker, cwd=project, env=stack.environment, capture_output=True).returncode == 3
    resumed = stack.until(lambda: resumed_run(stack), "the sensor's run")
    assert stack.ended(resumed) == "SUCCESS"
    browser.open(f"/runs/{resumed}", "RUN_SUCCESS")
    browser.picture("ui-pdf-resumed")
    told = stack.until(lambda: observed(stack), "the sensor to tell of the scan")
    browser.open(f"/assets/pdf_two_phase/pdf_gate?view=events&time={told}", "1 document did not get through")
    page.get_by_text("no text layer: needs MinerU or OCR").first.wait_for()
    browser.picture("ui-pdf-failures")
    browser.open("/locations/penstock/sensors/pdf_ir_ready_sensor", "Takes on the documents that wait at a gate")
    page.get_by_text("1 run requested").first.wait_for()
    browser.picture("ui-pdf-sensor")


def observed(stack: Stack) -> str | None:
    """When an observation of the gate was made, in milliseconds."""
    query = (
        "query($key: AssetKeyInput!) { assetOrError(assetKey: $key) { ... on Asset {"
        " assetEventHistory(eventTypeSelectors: [OBSERVATION], limit: 1) {"
        " results { ... on ObservationEvent { timestamp } } } } } }"
    )
    found = stack.graphql(query, key={"path": ["pdf_two_phase", "pdf_gate"]})["assetOrError"]
    return next((event["timestamp"] for event in found["assetEventHistory"]["results"]), None)


def resumed_run(stack: Stack) -> str | None:
    """The run that the sensor launched, once it has begun."""
    with closing(stack.app()) as app, app.ledger.database.read() as connection:
        query = select(schema.batches.c.run_id).where(schema.batches.c.kind == "resume")
        return connection.execute(query).scalar()
