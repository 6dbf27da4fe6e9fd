"""What every engine that reads PDFs keeps to. An engine joins by its name in ENGINES and a fixture that makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import mineru_real
from pdfs import pdf, text
from penstock.errors import BadInput
from penstock.workers.engine import Engine
from penstock.workers.engines.cpu import CpuEngine, CpuOptions
from penstock.workers.engines.mineru_http import MineruHttp, MineruHttpOptions
from penstock.workers.engines.mineru_server import MineruServer
from penstock.workers.parsed import Parsed

Make = Callable[[], Engine]

ENGINES = ["cpu", pytest.param("mineru_http", marks=pytest.mark.full)]

PAGES = [
    text("A Report on the Two Wards", size=20) + text("The nurses asked all of their patients what they", y=700),
    "",
    text("said in the morning was written down in a book.", "And nobody read it.", y=700),
]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    make: Make = request.getfixturevalue(request.param)
    return make()


@pytest.fixture
def cpu() -> Make:
    return lambda: CpuEngine(CpuOptions())


@pytest.fixture
def mineru_http(mineru: MineruServer, monkeypatch: pytest.MonkeyPatch) -> Make:
    for name, value in mineru.environment.items():
        monkeypatch.setenv(name, value)
    return lambda: MineruHttp(MineruHttpOptions.model_validate(mineru.options))


@pytest.fixture(scope="module")
def mineru(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MineruServer]:
    with mineru_real.server(tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf(*PAGES))
    return path


def parse(engine: Engine, path: Path) -> Parsed:
    return engine.parse(path, lambda _done, _all: None)


def test_its_name_version_and_options_are_said(engine: Engine) -> None:
    assert engine.name
    assert engine.version
    assert type(engine)(engine.Options()).name == engine.name  # type: ignore[call-arg]


def test_pages_are_accounted_for(engine: Engine, path: Path) -> None:
    parsed = parse(engine, path)
    assert [page.number for page in parsed.pages] == [1, 2, 3]
    assert [page.kind for page in parsed.pages] == ["text", "blank", "text"]
    assert {element.page for element in parsed.elements} == {1, 3}
    assert [(page.width, page.height) for page in parsed.pages] == [(595, 842)] * 3


def test_what_stands_on_them_is_read_in_order(engine: Engine, path: Path) -> None:
    text = " ".join(element.text for element in parse(engine, path).elements)
    anchors = ["Two Wards", "The nurses asked", "said in the morning", "nobody read it"]
    assert [text.count(anchor) for anchor in anchors] == [1, 1, 1, 1]
    assert sorted(anchors, key=text.index) == anchors


def test_a_box_is_around_what_stands_there(engine: Engine, path: Path) -> None:
    title = next(element for element in parse(engine, path).elements if "Two Wards" in element.text)
    x0, y0, x1, y1 = title.box
    assert x0 == pytest.approx(72 / 595, abs=0.02)
    assert y1 == pytest.approx((842 - 770) / 842, abs=0.02)
    assert 0.3 < x1 < 0.7
    assert 0.05 < y0 < y1


def test_the_same_bytes_give_the_same(engine: Engine, path: Path) -> None:
    assert _said(parse(engine, path)) == _said(parse(engine, path))


def test_progress_is_told_of_each_page_in_order(engine: Engine, path: Path) -> None:
    told: list[tuple[int, int]] = []
    engine.parse(path, lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert [said for said in dict.fromkeys(told) if said[0]] == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("content", [b"", b"<html>", b"%PDF-1.7\n" + b"0" * 1000, pdf(*PAGES)[:40]])
def test_what_is_no_pdf_is_corrupt(engine: Engine, tmp_path: Path, content: bytes) -> None:
    assert _reason(engine, tmp_path, content) == "corrupt"


def test_a_file_without_pages_is_said_so(engine: Engine, tmp_path: Path) -> None:
    assert _reason(engine, tmp_path, pdf()) in ("no-pages", "corrupt")


def test_a_file_that_wants_a_password_is_said_so(engine: Engine, data: Path) -> None:
    for name in ("pdfminer_aes-128", "pdfminer_rc4-40", "unstructured_password"):
        with pytest.raises(BadInput) as caught:
            parse(engine, data / f"pdf/{name}.pdf")
        assert caught.value.reason == "encrypted"


def test_an_engine_reads_one_file_after_the_other(engine: Engine, path: Path, tmp_path: Path) -> None:
    first = parse(engine, path)
    _reason(engine, tmp_path / "other", b"no PDF")
    assert _said(parse(engine, path)) == _said(first)


def _said(parsed: Parsed) -> Parsed:
    """Without what another program gave, which may have the time of day in it."""
    return parsed.model_copy(update={"raw": None})


def _reason(engine: Engine, folder: Path, content: bytes) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / "bad.pdf"
    path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        parse(engine, path)
    return caught.value.reason
