"""With the real daemon: what a worker gave up on shows at the gate's asset, once, whatever is restarted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance.dagster_stack import Stack
from flip import GateWorker
from mill import PIPELINE
from penstock.errors import BadInput
from penstock.runner import RunRequest

ASSET = """
query($key: AssetKeyInput!) {
  assetOrError(assetKey: $key) { ... on Asset { assetEventHistory(eventTypeSelectors: [OBSERVATION], limit: 10) {
    results { ... on ObservationEvent { description metadataEntries {
      label ... on TableMetadataEntry { table { records } } } } } } } }
}
"""
CHECK = """
query($key: AssetKeyInput!) {
  assetCheckExecutions(assetKey: $key, checkName: "all_documents_through", limit: 10) {
    status evaluation { success description }
  }
}
"""
SENSOR = """
query($s: SensorSelector!) { sensorOrError(sensorSelector: $s) { ... on Sensor { sensorState {
  status ticks(limit: 1) { skipReason } } } } }
"""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path)
    (stack.pipelines / "pdfs.yaml").write_text(PIPELINE)
    yield stack
    stack.stop()


def observations(stack: Stack) -> list[Any]:
    found = stack.graphql(ASSET, key={"path": ["pdfs", "gate"]})["assetOrError"]
    return list(found["assetEventHistory"]["results"]) if found else []


@pytest.mark.full
def test_the_reason_for_a_failure_in_the_worker_shows_at_the_gate(stack: Stack) -> None:
    for number in range(2):
        (stack.docs / f"{number}.pdf").write_text(f"%PDF-1.4 {number}")
    app = stack.app()
    app.runner.run(app.pipelines.named("pdfs"), RunRequest(query={"paths": [str(stack.docs)]}))
    GateWorker(app).fail(BadInput("it is encrypted", reason="encrypted"))
    stack.start()
    [told] = stack.until(lambda: observations(stack), "an observation of the gate")
    assert told["description"] == "1 document did not get through: 1 encrypted"
    [table] = [entry["table"] for entry in told["metadataEntries"] if entry["label"] == "failures"]
    assert "it is encrypted" in table["records"][0]
    [check] = stack.graphql(CHECK, key={"path": ["pdfs", "gate"]})["assetCheckExecutions"]
    assert check["evaluation"] == {"success": False, "description": "1 failed or dead here: 1 encrypted"}
    selector = {
        "repositoryLocationName": "penstock",
        "repositoryName": "__repository__",
        "sensorName": "pdf_ir_ready_sensor",
    }

    def reason() -> str:
        [tick] = stack.graphql(SENSOR, s=selector)["sensorOrError"]["sensorState"]["ticks"] or [{"skipReason": ""}]
        return tick["skipReason"] or ""

    waits = "1 document waits for pdf_ir_ready; no worker is there: penstock worker pdf"
    stack.until(lambda: reason() == waits, "a tick's reason")
    stack.stop()
    stack.start()
    stack.until(lambda: reason() == waits, "a tick's reason")
    GateWorker(app).fail(BadInput("it is torn", reason="torn"))
    stack.until(lambda: len(observations(stack)) > 1, "the other failure")
    assert [o["description"].rpartition(" ")[2] for o in observations(stack)] == ["torn", "encrypted"]
    app.close()
