"""Chunks of documents with pages: where on them they stand, and the picture of that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from mill import Watched
from penstock.bootstrap import App
from penstock.errors import BadInput
from penstock.explain import Explainer, Pages
from penstock.ir import Block, Document, Locator, Provenance
from penstock.ir.places import PagePlace, page_places
from penstock.retrieval.hybrid import HybridSearch, SearchHit
from penstock.runner import RunRequest
from penstock.settings import Settings
from penstock.workers.children import Limits
from penstock.workers.host import child_host
from penstock.workers.pdf import PdfWorker
from penstock.workers.picture import picture

NAME = "ketoacidosis-fourteen-cases.pdf"


@pytest.fixture(scope="module")
def app(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """One of the examples, through both phases, and a note."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "note.md").write_text("# Ketoacidosis\n\nKetones are measured.\n")
    settings = Settings(home=folder / "home", config=root / "config/orchestration")
    with closing(App(settings)) as app:
        app.runner.run(app.pipelines.named("auto"), RunRequest(query={"paths": [str(folder / "note.md")]}))
        topology = app.pipelines.named("pdf-two-phase")
        listing = RunRequest(query={"paths": [str(root / "examples-pdf" / NAME)]})
        app.runner.run(topology, listing)
        host = child_host("cpu", {}, slots=1, limits=Limits())
        worker = PdfWorker(app.ledger, app.artifacts, host, lease_seconds=60, watcher=Watched(), once=True)
        assert worker.run(lambda: None).documents == 1
        assert app.runner.run(topology, listing).statuses == {"done": 1}
        yield app


@pytest.fixture
def explainer(app: App) -> Explainer:
    return Explainer("default", app.ledger, app.artifacts, app.index, app.pipelines.loaded.get)


def hits(app: App, words: str) -> tuple[SearchHit, ...]:
    return HybridSearch(app.index).search(words, tenant="default").hits


def document(*places: tuple[str, int | None, tuple[float, float, float, float] | None]) -> Document:
    """Blocks with their texts, pages and boxes."""
    text, blocks = "", []
    for words, page, box in places:
        start = len(text) + 2 if text else 0
        text = f"{text}\n\n{words}" if text else words
        blocks.append(
            Block(kind="paragraph", start=start, end=len(text), locator=Locator(payload="", page=page, box=box))
        )
    return Document(
        doc_id="d", source="files", source_id="d", kind="pdf", title="", text=text, blocks=tuple(blocks),
        provenance=Provenance(parser="", version="", payload=""),
    )  # fmt: skip


A, B = (0.1, 0.1, 0.4, 0.2), (0.5, 0.1, 0.9, 0.2)


def test_a_span_stands_where_the_blocks_stand_that_it_has_a_part_in() -> None:
    found = document(("One two.", 1, A), ("Three.", 1, B), ("Four.", 2, A))
    assert page_places(found, 0, 8) == (PagePlace(page=1, boxes=(A,)),)
    assert page_places(found, 4, 12) == (PagePlace(page=1, boxes=(A, B)),)
    assert page_places(found, 0, len(found.text)) == (PagePlace(page=1, boxes=(A, B)), PagePlace(page=2, boxes=(A,)))
    assert page_places(found, 8, 10) == (), "what parts two blocks stands nowhere"


def test_the_same_box_is_named_once_and_a_page_may_have_none() -> None:
    found = document(("One.", 1, A), ("Two.", 1, A), ("Three.", 2, None), ("Four.", None, None))
    assert page_places(found, 0, len(found.text)) == (PagePlace(page=1, boxes=(A,)), PagePlace(page=2, boxes=()))


def test_hits_of_documents_with_pages_have_places_and_others_none(app: App) -> None:
    found = hits(app, "ketones ketoacidosis")
    paged = {hit.chunk_id for hit in found if hit.kind == "pdf"}
    assert paged
    assert len(paged) < len(found)
    pages = Pages("default", app.ledger, app.artifacts).of(found)
    assert set(pages) == paged
    for places in pages.values():
        assert {place.page for place in places} <= {1, 2}
        assert all(place.boxes for place in places)
    assert Pages("other", app.ledger, app.artifacts).of(found) == {}
    assert Pages("default", app.ledger, app.artifacts).of([]) == {}


def test_a_chunk_names_its_pages_and_each_of_its_passages_its_box(app: App, explainer: Explainer) -> None:
    hit = next(hit for hit in hits(app, "milder cases treated at home") if hit.kind == "pdf")
    story = explainer.chunk(hit.chunk_id)
    assert [place.page for place in story.pages] == [2]
    assert [passage.locator.box for passage in story.passages] == list(story.pages[0].boxes)
    assert {(passage.found, passage.problem) for passage in story.passages} == {(None, "")}
    assert story.document.origin.uri.endswith(NAME)


def test_the_picture_marks_the_place(app: App, explainer: Explainer) -> None:
    hit = next(hit for hit in hits(app, "milder cases treated at home") if hit.kind == "pdf")
    story = explainer.chunk(hit.chunk_id)
    digest = story.passages[0].locator.payload
    marked, plain = (
        Image.open(BytesIO(picture(app.artifacts, digest, places, 72)))
        for places in (story.pages, [PagePlace(page=2, boxes=())])
    )
    assert marked.size == plain.size == (612, 792)
    changed = ImageChops.difference(marked, plain)
    for x0, y0, x1, y1 in story.pages[0].boxes:
        place = (int(x0 * 612) - 4, int(y0 * 792) - 4, int(x1 * 612) + 4, int(y1 * 792) + 4)
        assert changed.crop(place).getbbox(), "its outline"
        changed.paste((0, 0, 0), place)
    assert changed.getbbox() is None, "the rest of the page is as it was"


def test_two_pages_stand_one_below_the_other(app: App, explainer: Explainer) -> None:
    digest = explainer.chunk(hits(app, "milder cases treated at home")[0].chunk_id).passages[0].locator.payload
    both = [PagePlace(page=page, boxes=(A,)) for page in (1, 2)]
    image = Image.open(BytesIO(picture(app.artifacts, digest, both, 36)))
    assert image.width == 306
    assert image.height > 2 * 396


def test_what_can_not_be_drawn_is_said_in_one_line(app: App) -> None:
    digest = app.artifacts.put(b"%PDF-1.7\nnothing")
    with pytest.raises(BadInput, match="can't be drawn"):
        picture(app.artifacts, digest, [PagePlace(page=1, boxes=(A,))], 72)


def test_a_page_of_any_size_is_drawn_within_bounds(app: App, data: Path) -> None:
    digest = app.artifacts.put((data / "pdf/ocrmypdf_enormous.pdf").read_bytes())
    image = Image.open(BytesIO(picture(app.artifacts, digest, [PagePlace(page=1, boxes=(A,))], 600)))
    assert max(image.size) <= 4001
