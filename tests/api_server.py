"""The sources' APIs as a real HTTP server: recorded records, in pages of the services' own shapes, by base URL.

As a process: `python api_server.py LOG DATA [STUDIES]` prints its URL and appends a line to LOG for each request: when
it came (epoch seconds), and its path. DATA is the folder of real inputs; STUDIES adds so many small ones. HERE in a
record is this server's URL.
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
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

Answer = tuple[int, bytes, dict[str, str]]
SINCE = re.compile(r"LastUpdatePostDate\]RANGE\[([\d-]+),MAX\]")
HERE = b"http://here.invalid"
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

    def _unpaywall(self, path: str, asked: dict[str, str]) -> Answer:
        if "@" not in asked.get("email", ""):
            return _refused(422, "Email address required in API call")
        found = self._one(doi := unquote(path[1:]))
        return found if found[0] == 200 else _refused(404, f"{doi!r} isn't in Unpaywall. See …")

    def _core(self, path: str, asked: dict[str, str]) -> Answer:
        if path != "/search/works/":
            return self._one(path.removeprefix("/works/"))
        begin, size = int(asked["offset"]), int(asked["limit"])
        page, _ = _cut(list(self.records.values()), begin, size)
        envelope = b'{"totalHits":%d,"limit":%d,"offset":%d,"results":[%b],"searchId":"x"}'
        return 200, envelope % (len(self.records), size, begin, page), {}

    def _ncbi(self, path: str, asked: dict[str, str]) -> Answer:
        """A search of the articles, which are its records' names without PMC."""
        begin, size = int(asked["retstart"]), int(asked["retmax"])
        ids = [key.removeprefix("PMC") for key in self.records][begin : begin + size]
        return 200, compact({"esearchresult": {"count": str(len(self.records)), "idlist": ids}}), {}

    def _pmc(self, path: str, asked: dict[str, str]) -> Answer:
        """The bucket: records by object key."""
        if path != "/":
            found = self.records.get(path[1:])
            tag = {"ETag": f'"{sha256(found).hexdigest()}"', "Content-Type": "binary/octet-stream"} if found else {}
            return (200, found, tag) if found else (404, b"<Error><Code>NoSuchKey</Code></Error>", {})
        keys = [key for key in self.records if key.startswith(asked["prefix"])]
        listed = "".join(f"<Contents><Key>{key}</Key></Contents>" for key in keys)
        space = "http://s3.amazonaws.com/doc/2006-03-01/"
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="{space}">{listed}</ListBucketResult>'
        return 200, body.encode(), {"Content-Type": "application/xml"}

    def _pdf(self, path: str, asked: dict[str, str]) -> Answer:
        status, body, _ = self._one(path[1:])
        return status, body, {"Content-Type": "application/pdf" if status == 200 else "text/plain"}

    def _one(self, key: str) -> Answer:
        record = self.records.get(key)
        return (200, record, {}) if record is not None else (404, b"not found", {"Content-Type": "text/plain"})


def _refused(status: int, message: str) -> Answer:
    return status, compact({"HTTP_status_code": status, "error": True, "message": message}), {}


def _cut(records: list[bytes], begin: int, size: int) -> tuple[bytes, int]:
    return b",".join(records[begin : begin + size]), begin + size


@contextmanager
def serving(*services: Service, log: Path | None = None) -> Iterator[str]:
    """The URL of a server in this process; a service is at `/<its name>`."""
    by_name = {service.name: service for service in services}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet, else each answer waits 40 ms for an acknowledgement

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            _, name, rest = url.path.split("/", 2)
            asked = {key: values[0] for key, values in parse_qs(url.query).items()}
            by_name[name].asked.append((time.time(), self.path))
            if log is not None:
                with log.open("a") as lines:
                    lines.write(f"{time.time()} {self.path}\n")
            status, body, headers = by_name[name].answer("/" + rest, asked)
            body = body.replace(HERE, f"http://127.0.0.1:{self.server.server_address[1]}".encode())
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


def papers(data: Path) -> list[Service]:
    """Unpaywall, CORE, E-utilities and PMC's bucket with a record for each paper in `data`, and a server of its PDF.

    Names: 10.5555/<file's stem, small> in Unpaywall; 1, 2… in CORE; PMC1, PMC2… in PMC, the first in two versions.
    """
    works: dict[str, bytes] = {}
    dois: dict[str, bytes] = {}
    objects: dict[str, bytes] = {}
    files = sorted(data.glob("pdf/sci_*.pdf"))
    for number, path in enumerate(files, 1):
        doi, at, page = (
            f"10.5555/{path.stem.lower()}",
            f"{HERE.decode()}/pdf/{path.name}",
            f"{HERE.decode()}/pdf/{path.stem}.html",
        )
        best = {"url": page, "url_for_pdf": None, "url_for_landing_page": page, "license": "cc-by"}
        other = {**best, "url_for_pdf": at}
        dois[doi] = compact(
            {"doi": doi, "title": path.stem, "best_oa_location": best, "oa_locations": [best, other], "year": 2020}
        )
        works[str(number)] = compact(
            {
                "id": number,
                "doi": doi,
                "title": path.stem,
                "downloadUrl": at,
                "dataProviders": [{"id": 144, "name": ""}],
            }
        )
        for version in (1, 2) if number == 1 else (1,):
            name = f"PMC{number}.{version}"
            record = {"pmcid": f"PMC{number}", "version": version, "title": path.stem, "doi": doi}
            located = {"is_pmc_openaccess": True, "license_code": "CC BY"}
            located["pdf_url"] = f"s3://pmc-oa-opendata/{name}/{name}.pdf?md5=0"
            objects[f"metadata/{name}.json"] = compact(record | located)
            objects[f"{name}/{name}.pdf"] = path.read_bytes()
    return [
        Service("unpaywall", dois),
        Service("core", works),
        Service("ncbi", {f"PMC{number}": b"" for number in range(1, len(files) + 1)}),
        Service("pmc", objects),
        Service("pdf", {path.name: path.read_bytes() for path in files}),
    ]


def compact(record: object) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


if __name__ == "__main__":
    log, folder, studies = Path(sys.argv[1]), Path(sys.argv[2]), int((*sys.argv[3:], 0)[0])
    with serving(*recorded(folder, studies), *papers(folder), log=log) as url:
        print(url, flush=True)
        threading.Event().wait()
