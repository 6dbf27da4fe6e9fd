"""Every real PDF there is, through the worker: a document, or a failure that says what is wrong with the file."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import oracle
from house import House
from mill import PIPELINE, POLICIES

FAULTS = {"corrupt", "empty", "encrypted", "no-text-layer"}
QUIET = {"PENSTOCK_EMBEDDER": "none"}


def test_every_real_pdf_is_a_document_or_fails_for_what_it_is(house: House, data: Path) -> None:
    house.configure(PIPELINE.replace("name: pdfs", "name: counted"), POLICIES)
    papers = house.folder / "papers"
    shutil.copytree(data / "pdf", papers)
    (papers / "page.pdf").write_text("<!doctype html><title>Please log in</title>")
    (papers / "nothing.pdf").write_bytes(b"")
    (papers / "half.pdf").write_bytes((data / "pdf/sci_acl_N18-3011.pdf").read_bytes()[:40_000])
    assert house.penstock("run", "counted", str(papers), **QUIET).status == 3
    assert house.penstock("worker", "pdf", "--engine", "cpu", "--once", **QUIET).status == 3
    assert house.penstock("run", "counted", "--resume", **QUIET).status == 3, "it tells what the worker gave up on"
    assert house.penstock("run", "counted", "--resume", **QUIET).status == 0, "once"
    assert oracle.problems(house.home) == []
    told = house.penstock("jobs", "--json", "--limit", "100", **QUIET).report["jobs"]
    ended = {Path(job["source_id"]).name: (job["status"], job["reason"]) for job in told}
    assert ended.pop("page.pdf") == ("dead", "not-a-pdf")
    assert ended.pop("nothing.pdf") == ("dead", "empty")
    assert ended.pop("half.pdf")[0] in ("dead", "done")
    statuses = Counter(status for status, _ in ended.values())
    assert set(statuses) == {"done", "dead"}
    assert {reason for status, reason in ended.values() if status == "dead"} == FAULTS
    assert all(ended[path.name] == ("done", None) for path in papers.glob("sci_*.pdf"))
