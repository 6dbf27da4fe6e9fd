"""Dagster's web UI in a real browser: from the launchpad to success, from a failure to its re-execution.

PENSTOCK_IMAGES=docs/images makes it write the pictures of the documentation.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .dagster_stack import ROOT, Stack

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-sync", "--disable-component-update"]

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH"),
]


class Browser:
    """One page of the UI."""

    def __init__(self, page: sync_api.Page, stack: Stack, project: Path, images: Path) -> None:
        self.page, self._project, self._images = page, str(project), images
        self._root = f"http://127.0.0.1:{stack.port}"

    def open(self, path: str, text: str) -> None:
        """Go somewhere and wait until `text` is to be seen."""
        self.page.goto(self._root + path)
        self.page.get_by_text(text).locator("visible=true").first.wait_for()

    def picture(self, name: str) -> None:
        """Nobody's temporary folder is of interest in a picture."""
        self.page.wait_for_timeout(1500)  # let what moves come to rest
        self.page.evaluate(
            "folder => { const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);"
            " while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(folder, '.'); }",
            self._project,
        )
        self.page.screenshot(path=self._images / f"{name}.png")

    def launch(self, folder: str, picture: str = "") -> str:
        """Write a config into the launchpad and launch; the run's id."""
        self.open("/locations/penstock/jobs/auto/playground", "No errors")
        editor = self.page.locator(".CodeMirror").first
        editor.evaluate("(e, text) => e.CodeMirror.setValue(text)", f"request:\n  paths: [{folder}]\n")
        self.page.get_by_text("Scaffold all default config").wait_for()
        if picture:
            self.picture(picture)
        self.page.get_by_role("button", name="Launch run").click()
        return self._run()

    def re_execute(self) -> str:
        """Re-execute the run on this page from its failure; the new run's id."""
        before = self.page.url
        self.page.get_by_role("button", name="Re-execute all").locator("xpath=following::button[1]").click()
        self.page.get_by_text("From failure").click()
        self.page.wait_for_url(lambda url: "/runs/" in url and url != before)
        return self._run()

    def _run(self) -> str:
        self.page.wait_for_url("**/runs/**")
        return str(self.page.url).split("/runs/")[1].split("?")[0]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with pipelines, the examples, and an inbox: four documents in order and four that can't be read."""
    made = tmp_path / "project"
    shutil.copytree(ROOT / "config", made / "config")
    shutil.copytree(ROOT / "examples", made / "examples")
    folder = made / "inbox"
    folder.mkdir()
    for name in ("pcos-clinic-note.md", "sick-day-rules.md", "heart-failure-clinic-protocol.md"):
        shutil.copy(ROOT / "examples/notes" / name, folder)
    shutil.copy(ROOT / "examples/clinicaltrials/NCT90001014-metformin-pcos.json", folder)
    article = (ROOT / "examples/jats/PMC99000012-semaglutide-liraglutide-stepwise.xml").read_bytes()
    (folder / "cut-short.xml").write_bytes(article[:3000])
    (folder / "scan.png").write_bytes(b"\x89PNG\r\n\x1a\n0000")
    (folder / "export.json").write_text('{"results": [')
    (folder / "empty.txt").touch()
    return made


@pytest.fixture
def stack(tmp_path: Path, project: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path, config=Path("config/orchestration"), cwd=project)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def browser(stack: Stack, project: Path, tmp_path: Path) -> Iterator[Browser]:
    images = Path(os.environ["PENSTOCK_IMAGES"]).resolve() if "PENSTOCK_IMAGES" in os.environ else tmp_path
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = chromium.new_page(viewport={"width": 1650, "height": 1000}, device_scale_factor=1400 / 1650)
        page.set_default_timeout(60_000)
        yield Browser(page, stack, project, images)
        chromium.close()


def test_a_person_launches_watches_mends_and_re_executes(browser: Browser, stack: Stack, project: Path) -> None:
    page = browser.page
    browser.open("/locations/penstock/jobs/auto", "extract")
    page.get_by_text("Hide navigation").click()

    run = browser.launch("examples", picture="ui-launchpad")
    page.get_by_text("RUN_SUCCESS").wait_for()
    browser.picture("ui-run")
    assert stack.outcome(run) == "complete"

    browser.open("/locations/penstock/jobs/auto", "Latest run")
    browser.picture("ui-job")

    partial = browser.launch("inbox")
    page.get_by_text("RUN_SUCCESS").wait_for()
    assert stack.outcome(partial) == "partial"
    browser.open("/assets/auto/parse?view=events", "4 dead-lettered")
    page.get_by_text("XML that ends too early").wait_for()
    browser.picture("ui-failures")
    browser.open("/assets/auto/parse?view=checks", "all_documents_through")
    page.get_by_text("4 failed or dead here").wait_for()
    browser.open("/assets/auto/chunk?view=lineage&lineageScope=neighbors&lineageDepth=1", "Nearest Neighbors")
    page.get_by_text("External").locator("visible=true").first.wait_for()
    browser.picture("ui-lineage")

    late = project / "late"
    late.mkdir()
    (late / "note.md").touch()
    failed = browser.launch("late")
    page.get_by_text("RUN_FAILURE").wait_for()
    assert stack.failure(failed).startswith(f"parse: not one of 1 document got through; the first, {late}/note.md")
    shutil.copy(ROOT / "examples/notes/sick-day-rules.md", late / "note.md")
    mended = browser.re_execute()
    page.get_by_text("RUN_SUCCESS").wait_for()
    assert mended != failed
    assert stack.outcome(mended) == "complete"

    browser.open("/locations/penstock/sensors/submitted_batches", "Launches the batches that")
    page.get_by_text("0 runs requested").first.wait_for()
