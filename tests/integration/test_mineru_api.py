"""The engine and the host with a real mineru-api: see mineru_real.py."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from pydantic import SecretStr

import mineru_real
from mineru_real import VERSION
from mineru_results import said, words
from penstock.errors import BadInput, EngineUnavailable, Stopped
from penstock.workers.assemble import check_pages
from penstock.workers.children import Child
from penstock.workers.engines.mineru_api import KEY_VARIABLE, URL_VARIABLE, MineruApi
from penstock.workers.engines.mineru_http import MineruHttp, MineruHttpOptions
from penstock.workers.engines.mineru_server import MineruServer
from penstock.workers.parsed import Parsed

pytestmark = pytest.mark.full

LONG = "pdf/unstructured_failure-after-repair.pdf"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MineruServer]:
    """Started."""
    with mineru_real.server(tmp_path) as server:
        yield server


Parse = Callable[..., Parsed]


@pytest.fixture
def parse(server: MineruServer, monkeypatch: pytest.MonkeyPatch) -> Parse:
    """By the engine in this process."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)

    def parse(pdf: Path, progress: Callable[[int, int], None] = lambda *_: None, **options: Any) -> Parsed:
        return MineruHttp(MineruHttpOptions.model_validate(server.options | options)).parse(pdf, progress)

    return parse


def test_it_says_what_was_found(server: MineruServer) -> None:
    assert server.readiness is not None
    assert f"MinerU {VERSION}, tier flash" in server.readiness.configured
    assert server.readiness.canary == "reads 'Penstock reads this line.'"


def test_a_paper_comes_through_in_one_piece_and_in_ranges(parse: Parse, data: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    whole = parse(data / "pdf/sci_bmc_dvt_review.pdf", lambda *said: told.append(said))
    check_pages(whole)
    assert whole.producer == f"MinerU {VERSION} flash"
    assert [page.kind for page in whole.pages] == ["text"] * 4
    assert told[-4:] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    (tmp_path / "raw.zip").write_bytes(whole.raw or b"")
    assert "middle_json.json" in ZipFile(tmp_path / "raw.zip").namelist()
    parts = parse(data / "pdf/sci_bmc_dvt_review.pdf", pages_per_job=1)
    check_pages(parts)
    missing = set(words(said(whole))) - set(words(said(parts)))
    assert len(missing) <= 0.01 * len(set(words(said(whole))))


def test_every_real_pdf_is_parsed_or_fails_with_a_reason(parse: Parse, data: Path) -> None:
    files = sorted((data / "pdf").glob("*.pdf"))
    failed = {}
    for file in files:
        try:
            parsed = parse(file)
            assert [page.number for page in parsed.pages] == list(range(1, len(parsed.pages) + 1))
        except BadInput as error:
            failed[file.name] = error.reason
    assert set(failed.values()) <= {"encrypted", "corrupt"}
    assert len(failed) < len(files) / 4


def test_a_server_that_refuses_is_no_fault_of_the_document(
    parse: Parse, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pdf = data / "pdf/pdfminer_base.pdf"
    with pytest.raises(EngineUnavailable, match="400: invalid_request: Tier 'standard' not available"):
        parse(pdf, tier="standard")
    with pytest.raises(EngineUnavailable, match="even a plain page: parse_failed: Model repo"):
        parse(pdf, ocr_mode="ocr")
    monkeypatch.setenv("PENSTOCK_MINERU_KEY", "another")
    with pytest.raises(EngineUnavailable, match="401: invalid_api_key"):
        parse(pdf)


def test_a_pdf_that_only_mineru_cannot_open_fails(
    parse: Parse, data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is taken away between our look at it and its being handed in."""
    broken = tmp_path / "a.pdf"
    shutil.copy(data / "pdf/pdfminer_base.pdf", broken)
    version = "penstock.workers.engines.mineru_api.MineruApi.version"
    monkeypatch.setattr(version, lambda api: broken.write_bytes(b"%PDF-1.7 and nothing else") and VERSION)
    with pytest.raises(BadInput, match="parse_failed: Failed to load document") as caught:
        parse(broken)
    assert caught.value.reason == "unreadable"


def once_at_work(server: MineruServer, act: Callable[[], None]) -> Callable[[int, int], None]:
    """Acts at the second sign of life that comes while the server has a job: then its client knows of it, too."""
    signs = 0

    def progress(done: int, total: int) -> None:
        nonlocal signs
        if signs < 2:
            environment = server.environment
            with MineruApi(environment[URL_VARIABLE], SecretStr(environment[KEY_VARIABLE])) as api:
                signs += api.busy()
            if signs == 2:
                act()

    return progress


def test_a_server_killed_over_a_document_is_started_anew(server: MineruServer, data: Path) -> None:
    def kill() -> None:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)

    with closing(Child(server)) as child:
        with pytest.raises(EngineUnavailable, match="doesn't answer") as caught:
            child.parse(data / LONG, once_at_work(server, kill), lambda: None)
        assert caught.value.reason == "engine-lost"
        server.recover(caught.value)
        parsed = child.parse(data / "pdf/pypdf_multicolumn.pdf", lambda *_: None, lambda: None)
        assert len(parsed.pages) == 3
        before = server.pid
        server.parsed()
        assert server.pid == before


def test_one_that_is_at_a_document_nobody_waits_for_is_started_anew(server: MineruServer, data: Path) -> None:
    def give_up() -> None:
        raise Stopped("given up")

    with closing(Child(server)) as child, pytest.raises(Stopped):
        child.parse(data / LONG, once_at_work(server, give_up), lambda: None)
    before = server.pid
    server.parsed()
    assert server.pid not in (None, before)


def test_one_that_was_started_anew_is_given_the_job_again(server: MineruServer, parse: Parse, data: Path) -> None:
    before = server.pid
    parsed = parse(data / LONG, once_at_work(server, server.restart))
    check_pages(parsed)
    assert len(parsed.pages) == 76
    assert server.pid != before
