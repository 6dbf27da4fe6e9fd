"""The three APIs as a real HTTP server: recorded records, in pages of the services' own shapes, by base URL.

As a process: `python api_server.py LOG DATA [STUDIES]` prints its URL and appends a line to LOG for each request: when
it came (epoch seconds), and its path. DATA is the folder of real inputs; STUDIES adds so many small ones.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

Answer = tuple[int, bytes, dict[str, str]]
SINCE = re.compile(r"LastUpdatePostDate\]RANGE\[([\d-]+),MAX\]")
UPDATED = re.compile(rb'"lastUpdatePostDateStruct":\s*\{"date":\s*"([\d-]+)"')


@dataclass
class Service:
    """Records by key, in the order of their listing. `fault` may answer in the service's place."""

    name: str
    records: dict[str, bytes]
    fault: Callable[[str, dict[str, str]], Answer | None] = lambda path, asked: None
    asked: list[tuple[float, str]] = field(default_factory=list)

    def answer(self, path: str, asked: dict[str, str]) -> Answer:
        faulty = self.fault(path, asked)
        if faulty is not None:
            return faulty
        kind: Callable[[str, dict[str, str]], Answer] = getattr(self, f"_{self.name}")
        return kind(path, asked)

    def _ctgov(self, path: str, asked: dict[str, str]) -> Answer:
        if path != "/studies":
            return self._one(path.removeprefix("/studies/"))
        since = SINCE.search(asked.get("filter.advanced", ""))
        records = [
            record
            for record in self.records.values()
            if since is None or ((on := UPDATED.search(record)) and on[1].decode() >= since[1])
        ]
        begin = int(asked.get("pageToken", "t0")[1:])
        page, end = _cut(records, begin, int(asked.get("pageSize", 10)))
        token = b',"nextPageToken":"t%d"' % end if end < len(records) else b""
        return 200, b'{"studies":[%b]%b}' % (page, token), {}

    def _openalex(self, path: str, asked: dict[str, str]) -> Answer:
        if path != "/works":
            return self._one(path.removeprefix("/works/"))
        begin = 0 if asked["cursor"] == "*" else int(asked["cursor"][1:])
        page, end = _cut(list(self.records.values()), begin, int(asked.get("per_page", 25)))
        token = b'"c%d"' % end if page else b"null"
        meta = b'{"count":%d,"page":null,"next_cursor":%b}' % (len(self.records), token)
        return 200, b'{"meta":%b,"results":[%b],"group_by":[]}' % (meta, page), {}

    def _openfda(self, path: str, asked: dict[str, str]) -> Answer:
        named = re.fullmatch(r'set_id:"([^"]+)"', asked.get("search", ""))
        records = [r for key, r in self.records.items() if named is None or key == named[1]]
        begin = int(asked.get("search_after", "0=0").partition("=")[2])
        page, end = _cut(records, begin, int(asked.get("limit", 1)))
        if not page:
            return 404, b'{"error":{"code":"NOT_FOUND","message":"No matches found!"}}', {}
        link = {"Link": f'<http://openfda{path}?limit=1&skip=0&search_after={quote(f"0={end}")}>; rel="next"'}
        meta = b'{"disclaimer":"","results":{"skip":0,"limit":1,"total":%d}}' % len(records)
        return 200, b'{"meta":%b,"results":[%b]}' % (meta, page), link if end < len(records) else {}

    def _one(self, key: str) -> Answer:
        record = self.records.get(key)
        return (200, record, {}) if record is not None else (404, b"not found", {"Content-Type": "text/plain"})


def _cut(records: list[bytes], begin: int, size: int) -> tuple[bytes, int]:
    return b",".join(records[begin : begin + size]), begin + size


@contextmanager
def serving(*services: Service, log: Path | None = None) -> Iterator[str]:
    """The URL of a server in this process; a service is at `/<its name>`."""
    by_name = {service.name: service for service in services}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            _, name, rest = url.path.split("/", 2)
            asked = {key: values[0] for key, values in parse_qs(url.query).items()}
            by_name[name].asked.append((time.time(), self.path))
            if log is not None:
                with log.open("a") as lines:
                    lines.write(f"{time.time()} {self.path}\n")
            status, body, headers = by_name[name].answer("/" + rest, asked)
            self.send_response(status)
            for key, value in ({"Content-Type": "application/json"} | headers).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def recorded(data: Path, more: int = 0) -> list[Service]:
    """The three services with what was recorded of them."""
    studies = [s for path in sorted(data.glob("ctgov/ctg-studies_*.json")) for s in json.loads(path.read_bytes())]
    works = json.loads((data / "openalex/cursor_biodiv__00.json").read_bytes())["results"]
    labels = [
        label
        for name in ("vyvanse", "aspirin")
        for label in json.loads((data / f"openfda/label_{name}.json").read_bytes())["results"]
    ]
    by_nct = {s["protocolSection"]["identificationModule"]["nctId"]: compact(s) for s in studies}
    small = (
        '{"protocolSection":{"identificationModule":{"nctId":"%s","briefTitle":"Study %d"},'
        '"statusModule":{"lastUpdatePostDateStruct":{"date":"2020-01-01"}}}}'
    )
    for number in range(more):
        nct = f"NCT7{number:07d}"
        by_nct[nct] = (small % (nct, number)).encode()
    return [
        Service("ctgov", by_nct),
        Service("openalex", {work["id"].rpartition("/")[2]: compact(work) for work in works}),
        Service("openfda", {label["set_id"]: compact(label) for label in labels}),
    ]


def compact(record: object) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


if __name__ == "__main__":
    with serving(*recorded(Path(sys.argv[2]), int((*sys.argv[3:], 0)[0])), log=Path(sys.argv[1])) as url:
        print(url, flush=True)
        threading.Event().wait()
