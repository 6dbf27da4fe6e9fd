"""The page of a neighbourhood, opened from a file in a real browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.graph_export.page import page
from penstock.ir import Claim, Entity, Evidence, Identifier, Knowledge, Locator, StageContext
from penstock.ledger.database import Database
from penstock.ledger.graph import SqlGraph
from penstock.ledger.graph_read import GraphReader
from penstock.ledger.graph_schema import TABLES
from penstock.ledger.schema import documents, metadata

EVIL = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
SENTENCE = "Metformin lowers glucose in type 2 diabetes. <b>Really</b>."
PLACE = Locator(payload="a" * 64, pointer="/summary", start=10, end=67)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    database = Database(f"sqlite:///{tmp_path}/ledger.db")
    metadata.create_all(database.engine, (*TABLES, documents))
    mesh = (Identifier(scheme="mesh", value="D008687"),)
    told = Evidence(field="condition", start=10, end=67, quote=SENTENCE, locator=PLACE)
    evil = Evidence(field=EVIL, quote=EVIL, locator=PLACE)
    knowledge = Knowledge(
        entities=(
            Entity(key="d", type="Drug", name="Metformin", identifiers=mesh),
            Entity(key="g", type="Drug", name=EVIL, identifiers=mesh),
            Entity(key="c", type="Condition", name="Diabetes"),
            Entity(key="e", type=EVIL, name=EVIL),
        ),
        claims=(
            Claim(subject="d", predicate="treats", object="c", evidence=(told,)),
            Claim(subject="d", predicate=EVIL, object="e", attributes={EVIL: EVIL}, evidence=(evil,)),
            Claim(subject="d", predicate="has_warning", value=EVIL, evidence=(evil,)),
        ),
        extractor="by hand",
        version="7",
    )
    SqlGraph(database).replace([(StageContext("t", "d1", "c", {"generation": 4, "token": 1}), knowledge)])
    reader = GraphReader(database)
    (node,) = reader.find("t", "Metformin")
    out = tmp_path / "page.html"
    out.write_text(page(reader.neighbourhood("t", node), reader.merges(node)), encoding="utf-8")
    database.close()
    return out


def test_nothing_in_the_page_is_fetched_and_no_name_is_markup(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    assert not re.search(r"<[^>]*\s(?:src|href)\s*=", text.split("<script", 1)[0])
    assert EVIL not in text
    assert "default-src 'none'" in text


@pytest.fixture
def opened(written: Path) -> Iterator[tuple[Any, list[str]]]:
    """The page in Chromium, and all that the browser complained of or asked the network for."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs chromium on the PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": 1300, "height": 800})
        trouble: list[str] = []
        tab.on("console", lambda message: trouble.append(message.text))
        tab.on("pageerror", lambda error: trouble.append(str(error)))
        tab.on("request", lambda request: trouble.append(request.url) if request.url != written.as_uri() else None)
        tab.goto(written.as_uri())
        tab.wait_for_function("() => network.physics.options.enabled === false")
        yield tab, trouble
        browser.close()


def test_a_click_on_an_edge_shows_its_sentence_and_source(opened: tuple[Any, list[str]]) -> None:
    tab, trouble = opened
    at = tab.evaluate("""() => {
        const edge = graph.edges.find((one) => one.predicate === "treats");
        const [from, to] = [edge.subject.key, edge.object.key].map((key) => network.getPosition(key));
        const box = document.querySelector("canvas").getBoundingClientRect();
        const share = [0.3, 0.35, 0.4, 0.6, 0.65, 0.7].find((part) => network.getEdgeAt(network.canvasToDOM(
            { x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part })) === edge.id);
        const point = network.canvasToDOM({ x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share });
        return { x: box.x + point.x, y: box.y + point.y };
    }""")
    tab.mouse.click(at["x"], at["y"])
    tab.locator("#evidence blockquote").wait_for()
    assert tab.locator("#evidence blockquote").all_text_contents() == [SENTENCE]
    shown = tab.locator("#evidence").inner_text()
    for part in ("Metformin — treats → Diabetes", "d1, generation 4", "characters 10–67", "JSON pointer /summary"):
        assert part in shown
    for part in (f"sha256 {'a' * 64}", "by hand 7"):
        assert part in shown
    assert trouble == []


def test_the_list_does_the_same_and_what_documents_say_stays_text(opened: tuple[Any, list[str]]) -> None:
    tab, trouble = opened
    buttons = tab.locator("#edges button")
    assert buttons.count() == 3
    for number in range(3):
        buttons.nth(number).click()
        assert buttons.nth(number).get_attribute("aria-pressed") == "true"
        assert tab.locator("#evidence blockquote").count() == 1
        top = tab.locator("#evidence").evaluate("e => e.getBoundingClientRect().top")
        assert 0 <= top < tab.viewport_size["height"] / 2, (
            "what was asked for is in sight, however far down the list the click was"
        )
    assert "one by mesh:D008687" in tab.locator("#about").inner_text()
    assert EVIL in tab.locator("#about").inner_text()
    assert tab.locator("img, #evidence b, #about b").count() == 0
    assert "Metformin" in tab.title()
    assert trouble == []
