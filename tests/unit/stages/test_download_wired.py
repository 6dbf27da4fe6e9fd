"""Downloads in an application as it is wired: what one run kept, the next one asks about."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from penstock.bootstrap import App
from penstock.runner import RunReport, RunRequest
from penstock.settings import Settings
from wire import Server, whole

PIPELINE = """\
version: "1.0"
name: downloads
applicable_sources: [files]
stages:
  - {name: ingest, type: IngestStage, policy: {}}
  - {name: download, type: DownloadStage, policy: {max_attempts: 1, timeout_seconds: 5}, depends_on: [ingest]}
"""
PDF = b"%PDF-1.7\n%%EOF"


class Shelf(Server):
    """Has one PDF, and knows what it is asked about it."""

    def __init__(self) -> None:
        super().__init__(self._answer)

    @property
    def asked(self) -> list[list[bytes]]:
        return [re.findall(rb"^If-None-Match: ([^\r]*)", request, re.MULTILINE) for request in self.requests]

    def _answer(self, connection: socket.socket, number: int) -> None:
        if b'"v1"' in self.requests[number - 1]:
            connection.sendall(b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n")
        else:
            connection.sendall(whole(PDF, 'ETag: "v1"', "Connection: close"))


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with closing(Shelf()) as shelf:
        yield shelf


def run(folder: Path, origins: str, *records: dict[str, object]) -> RunReport:
    """Downloads what records name, by a process that starts anew."""
    config = folder / "config"
    (config / "pipelines").mkdir(parents=True, exist_ok=True)
    (config / "pipelines" / "downloads.yaml").write_text(PIPELINE)
    (config / "resilience.yaml").write_text("policies: {default: {}}\n")
    (folder / "records").mkdir(exist_ok=True)
    for number, record in enumerate(records):
        (folder / "records" / f"{number}.json").write_text(json.dumps(record))
    app = App(Settings(home=folder / "home", config=config, download_origins=origins))
    with closing(app):
        request = RunRequest("files", {"paths": [str(folder / "records")]})
        return app.runner.run(app.pipelines.named("downloads"), request)


def test_an_unchanged_file_of_a_changed_record_does_not_come_again(tmp_path: Path, shelf: Shelf) -> None:
    urls = [f"{shelf.url}/a.pdf"]
    for title in ("a", "b"):
        assert run(tmp_path, shelf.url, {"urls": urls, "title": title}).statuses == {"done": 1}
    digest = sha256(PDF).hexdigest()
    kept = tmp_path / "home" / "artifacts" / digest[:2] / digest
    kept.unlink()
    assert run(tmp_path, shelf.url, {"urls": urls, "title": "c"}).statuses == {"done": 1}
    assert kept.read_bytes() == PDF
    assert shelf.asked == [[], [b'"v1"'], []]


def test_only_what_the_operator_named_may_be_at_a_private_address(tmp_path: Path, shelf: Shelf) -> None:
    report = run(tmp_path, "https://elsewhere.example http://127.0.0.1:1", {"urls": [f"{shelf.url}/a.pdf"]})
    assert [failure.reason for stage in report.stages for failure in stage.failures] == ["forbidden-url"]
    assert shelf.connections == 0


def test_a_host_that_nothing_comes_from_is_left_alone_wherever_one_comes_to_it_from(tmp_path: Path) -> None:
    """Else a hundred documents that are redirected to it would take a hundred times as long as one that waits."""
    no = whole(b"", "Connection: close", status="503 No")
    with closing(Server(lambda connection, _: connection.sendall(no))) as away:
        moved = whole(b"", f"Location: {away.url}/a.pdf", "Connection: close", status="302 Found")
        with closing(Server(lambda connection, _: connection.sendall(moved))) as first:
            records = [{"urls": [f"{first.url}/{n}.pdf"]} for n in range(8)]
            report = run(tmp_path, f"{first.url} {away.url}", *records)
    assert report.statuses == {"failed": 8}
    assert (first.connections, away.connections) == (8, 3)
