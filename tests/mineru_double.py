"""A MinerU server for tests: called by respx in this process, or a program named mineru-api in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import orjson
import pypdfium2 as pdfium

from mineru_results import as_zip, middle, spans
from penstock.workers.engines.canary import canary
from penstock.workers.engines.mineru_http import MineruHttp, MineruHttpOptions
from penstock.workers.parsed import Parsed

HOST = "mineru.test"
URL = f"http://{HOST}:8000"
KEY = "the key of the server"


def parse(path: Path, progress: Callable[[int, int], None] = lambda *_: None, **options: Any) -> Parsed:
    """By the engine in this process; the server is at URL."""
    usual = {"url": URL, "poll_seconds": 0.01, "patience_seconds": 0.0}
    return MineruHttp(MineruHttpOptions.model_validate(usual | options)).parse(path, progress)


def written(folder: Path, pages: int, empty: int = 0) -> Path:
    """A PDF of so many pages with a line on each, and empty ones after them."""
    path = folder / "a.pdf"
    with pdfium.PdfDocument.new() as document, pdfium.PdfDocument(canary()) as line:
        for _ in range(pages):
            document.import_pages(line)
        for _ in range(empty):
            document.new_page(612, 792)
        document.save(path)
    return path


def error(type: str = "engine_error", code: str = "parse_failed", message: str = "it broke") -> dict[str, Any]:
    return {"type": type, "code": code, "message": message, "param": None}


def refused(status: int, code: str, message: str = "no") -> httpx.Response:
    return httpx.Response(status, json={"error": error("x", code, message)})


def text(line: str, kind: str = "text", **more: Any) -> dict[str, Any]:
    return {"type": kind, "content": spans(line), **more}


def result(first: int, last: int, *blocks: dict[str, Any], **images: bytes) -> bytes:
    """MinerU's ZIP for a range of pages: `blocks` on each, or a line that says its number."""
    whole = middle(
        *([] for _ in range(1, first)), *(list(blocks) or [text(f"page {n}")] for n in range(first, last + 1))
    )
    whole["pages"] = whole["pages"][first - 1 :]
    layout = whole["extensions"]["docvortex_layout"]
    layout["pages"] = layout["pages"][first - 1 :]
    return as_zip(whole, **images)


class Mineru:
    """A server. `states` are what a job goes through, `makes` gives the ZIP of a range or an error; what is put into
    `answers` under (method, beginning of the path) comes first, one after the other."""

    def __init__(self) -> None:
        self.version = "4.0.12"
        self.states = ["queued", "running", "completed"]
        self.makes: Callable[[int, int], bytes | dict[str, Any]] = result
        self.answers: dict[tuple[str, str], list[httpx.Response | Exception]] = {}
        self.asked: list[httpx.Request] = []
        self.known: set[str] = set()
        self.bytes_taken = b""
        self._jobs: dict[str, tuple[list[str], bytes | dict[str, Any]]] = {}
        self._outputs: dict[str, bytes] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        for (method, path), answers in self.answers.items():
            if method == request.method and request.url.path.startswith(path) and answers:
                answer = answers.pop(0)
                if isinstance(answer, Exception):
                    raise answer
                return answer
        return self._answer(request.method, request.url.path, request)

    def _answer(self, method: str, path: str, request: httpx.Request) -> httpx.Response:
        body = orjson.loads(request.content) if request.content[:1] == b"{" else {}
        match method, path.split("/")[2:]:
            case "GET", ["health"]:
                return httpx.Response(200, json={"status": "ok", "version": self.version, "features": {}})
            case "POST", ["uploads"]:
                known = body["sha256sum"] in self.known
                file = {"id": "file-1", "bytes": body["bytes"]} if known else None
                elsewhere = "http://elsewhere.test/v1/uploads/upload_1/content"
                state = "completed" if known else "pending"
                return httpx.Response(
                    200, json={"id": "upload_1", "status": state, "upload_url": elsewhere, "file": file}
                )
            case "PUT", ["uploads", "upload_1", "content"]:
                self.bytes_taken = request.content
                return httpx.Response(200)
            case "POST", ["uploads", "upload_1", "complete"]:
                self.known.add(body["sha256sum"])
                return httpx.Response(200, json={"id": "upload_1", "status": "completed", "file": {"id": "file-1"}})
            case "POST", ["parse", "jobs"]:
                job = f"job_{len(self._jobs)}"
                first, last = map(int, body["files"][0]["page_range"].split("-"))
                self._jobs[job] = (list(self.states), self.makes(first, last))
                return httpx.Response(202, json=self._job(job))
            case "GET", ["parse", "jobs"]:
                return httpx.Response(200, json={"object": "list", "data": [], "has_more": False})
            case "GET", ["parse", "jobs", job] if job in self._jobs:
                return httpx.Response(200, json=self._job(job))
            case "GET", ["files", name, "content"] if name in self._outputs:
                return httpx.Response(200, content=self._outputs[name])
        raise AssertionError(f"{method} {path} was not to be asked")

    def _job(self, job: str) -> dict[str, Any]:
        states, made = self._jobs[job]
        state = states.pop(0) if len(states) > 1 else states[0]
        file: dict[str, Any] = {"name": "document.pdf", "status": state, "output_files": None, "error": None}
        if state in ("completed", "partial", "failed"):
            if isinstance(made, bytes):
                self._outputs[f"file-of-{job}"] = made
                file["output_files"] = {"zip": {"file_id": f"file-of-{job}", "bytes": len(made)}}
            else:
                state, file["error"] = "failed", made or None
        return {"job_id": job, "status": state, "files": [file], "links": {}}

    def paths(self, method: str = "") -> list[str]:
        return [f"{r.method} {r.url.path}" for r in self.asked if r.method.startswith(method)]

    def jobs(self) -> list[Any]:
        return [orjson.loads(r.content) for r in self.asked if (r.method, r.url.path) == ("POST", "/v1/parse/jobs")]


def install(folder: Path) -> Path:
    """What an installer would leave of it: mineru-api and mineru-kit. What stands in `folder`/mood.json as JSON the
    server does (see `serve`); what stands in `folder`/missing are the weights that are not there."""
    folder.mkdir(exist_ok=True)
    (folder / "mood.json").write_text("{}")
    here = str(Path(__file__).parent)
    scripts = {
        "mineru-api": f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {here!r})\n"
        "from mineru_double import serve\nif __name__ == '__main__':\n    serve()\n",
        "mineru-kit": '#!/bin/sh\ncat "$(dirname "$0")/missing" 2>/dev/null && exit 1\necho "MinerU models: ok"\n',
    }
    for name, content in scripts.items():
        (folder / name).write_text(content)
        (folder / name).chmod(0o755)
    return folder / "mineru-api"


def mood() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(sys.argv[0]).with_name("mood.json").read_bytes())
    return found


def serve() -> None:
    """`exit`: ends with these words. `mute`: is never up. `health`: an error's code. `job`: an error's message. `text`:
    what it reads. `hold`: MiB that it takes at each request. `busy`: it has a job."""
    told = dict(part.removeprefix("--").split("=", 1) for part in sys.argv[1:] if "=" in part)
    key = sys.argv[sys.argv.index("--api-key") + 1]
    Path(sys.argv[0]).with_name("seen.json").write_text(json.dumps({"argv": sys.argv, "env": dict(os.environ)}))
    if "exit" in mood():
        sys.exit(mood()["exit"])
    subprocess.Popen(["sleep", "600"])
    if "mute" in mood():
        time.sleep(600)
    mineru, held = Mineru(), []
    mineru.makes = lambda *_: error(message=mood()["job"]) if "job" in mood() else _one_page(mood())

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            held.append(bytearray(mood().get("hold", 0) << 20))
            answer = mineru(httpx.Request(self.command, f"http://localhost{self.path}", content=content))
            if self.path == "/v1/health" and "health" in mood():
                answer = refused(503, mood()["health"], "of the mood")
            elif self.path.startswith("/v1/parse/jobs?") and "busy" in mood():
                answer = httpx.Response(200, json={"data": [{"job_id": "job_0", "status": "running"}]})
            elif self.path != "/v1/health" and self.headers["Authorization"] != f"Bearer {key}":
                answer = refused(401, "invalid_api_key")
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PUT = answer

    ThreadingHTTPServer((told["host"], int(told["port"])), Handler).serve_forever()


def _one_page(mood: dict[str, Any]) -> bytes:
    return as_zip(middle([text(mood.get("text", "a plain page"))]))
