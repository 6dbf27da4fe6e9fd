"""One MinerU server: what its HTTP API of version 4.0 is asked, and what its answers come to.

The flow that every 4.0 has: an upload (its bytes only if the server hasn't got them), a job over a range of pages, its
state, its ZIP. Only the server at the configured URL is asked: the addresses that it names itself are not followed,
nor are redirects.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from hashlib import file_digest
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, Self, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from penstock.errors import BadInput, EngineUnavailable
from penstock.resilience.classify import describe
from penstock.resilience.redaction import redact

KEY_VARIABLE = "PENSTOCK_MINERU_KEY"
"""The environment variable that holds the server's API key, if it wants one."""
URL_VARIABLE = "PENSTOCK_MINERU_URL"
KNOWN_VERSIONS = re.compile(r"4\.0\.\d{1,4}")
"""4.1 has another way to hand in files."""

MAX_ZIP_BYTES = 256 << 20
_MAX_ANSWER_BYTES = 4 << 20
_ASK_SECONDS = 30.0
_MOVE_SECONDS = 900.0
"""For a PDF or a ZIP on its way, altogether; `_ASK_SECONDS` is the longest silence."""
_PDF = "application/pdf"
_CHUNK = 1 << 16
_GONE = frozenset({"file_not_found", "job_not_found", "upload_not_found", "upload_not_ready"})


class Forgotten(Exception):
    """The server doesn't know the file or job any more: it keeps both in memory, so it was started anew."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


Id = Annotated[str, Field(pattern=r"^[\w-]{1,128}$")]


class Fault(_Answer):
    """Why MinerU refused a request, or gave up on a file."""

    type: str = ""
    code: str | None = None
    message: str = ""

    def __str__(self) -> str:
        return redact(" ".join(f"{self.code or self.type}: {self.message}".split()))


class Output(_Answer):
    """A file to fetch, and its size in bytes."""

    file_id: Id
    bytes: int


class _Outputs(_Answer):
    zip: Output | None = None


class JobFile(_Answer):
    error: Fault | None = None
    output_files: _Outputs | None = None

    @property
    def zip(self) -> Output | None:
        return self.output_files.zip if self.output_files else None


class Job(_Answer):
    job_id: Id
    status: Literal["queued", "running", "completed", "partial", "failed", "canceled"]
    files: Annotated[tuple[JobFile, ...], Field(min_length=1, max_length=1)]


class _Jobs(_Answer):
    data: tuple[dict[str, Any], ...]


class _File(_Answer):
    id: Id


class _Upload(_Answer):
    id: Id
    status: str
    file: _File | None = None


class _Health(_Answer):
    version: str


class _Refusal(_Answer):
    error: Fault


A = TypeVar("A", bound=_Answer)


class MineruApi:
    """The server at the base URL `url`. To be closed. `alive` is called with every sign of life that it gives: a piece
    of an answer, or of a file that it takes.

    Everything raises EngineUnavailable for a server that is away, turns us away, or is another than we know; its
    `status` is the HTTP status, None when there was no answer.
    """

    def __init__(self, url: str, key: SecretStr | None, alive: Callable[[], None] = lambda: None) -> None:
        self._url, self._alive = url.rstrip("/"), alive
        self._key = key.get_secret_value() if key else ""
        headers = {"User-Agent": "penstock", "Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._client = httpx.Client(headers=headers, timeout=_ASK_SECONDS, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def version(self) -> str:
        """The server's version, if it is one we know and its models, where it loads them at its start, are ready."""
        version = self._ask(_Health, "GET", "/v1/health", ours=False).version
        if not KNOWN_VERSIONS.fullmatch(version):
            raise EngineUnavailable(
                f"{self._url} is MinerU {version[:20]!r}: this Penstock knows the API of 4.0",
                status=200,
                next_step="run mineru-api of mineru>=4.0,<4.1, or a newer Penstock",
            )
        return version

    def upload(self, pdf: Path) -> str:
        """The file's id there, for an hour. Raises BadInput for one that the server finds too large."""
        with pdf.open("rb") as content:
            digest, size = file_digest(content, "sha256").hexdigest(), content.tell()
            about = {
                "filename": "document.pdf",
                "bytes": size,
                "mime_type": _PDF,
                "purpose": "parse",
                "sha256sum": digest,
            }
            upload = self._ask(_Upload, "POST", "/v1/uploads", json=about)
            if upload.status != "completed":
                content.seek(0)
                where = f"/v1/uploads/{upload.id}"
                headers = {"Content-Type": _PDF, "Content-Length": str(size)}
                pieces = self._pieces(content)
                self._send("PUT", f"{where}/content", seconds=_MOVE_SECONDS, content=pieces, headers=headers)
                upload = self._ask(_Upload, "POST", f"{where}/complete", json={"sha256sum": digest})
        if upload.file is None:
            raise self._unavailable("answers an upload without a file", 200)
        return upload.file.id

    def submit(self, file_id: str, first: int, last: int, tier: str, ocr_mode: str) -> Job:
        """A job over the pages from `first` to `last`, from 1. Raises Forgotten for an unknown file."""
        file = {"source": {"type": "file_id", "file_id": file_id}, "page_range": f"{first}-{last}"}
        request = {"files": [file], "tier": tier, "ocr_mode": ocr_mode, "output_formats": ["zip"]}
        return self._ask(Job, "POST", "/v1/parse/jobs", json=request)

    def job(self, job_id: str) -> Job:
        """Raises Forgotten for an unknown one."""
        return self._ask(Job, "GET", f"/v1/parse/jobs/{job_id}")

    def busy(self) -> bool:
        """Whether it is at a job, or has one waiting."""
        query = {"status": "queued,running", "limit": 1}
        return bool(self._ask(_Jobs, "GET", "/v1/parse/jobs", ours=False, params=query).data)

    def fetch(self, output: Output) -> bytes:
        """All of it. Raises Forgotten, and BadInput (too-large) for more than `MAX_ZIP_BYTES`."""
        if output.bytes > MAX_ZIP_BYTES:
            size = f"{output.bytes >> 20} MiB, more than {MAX_ZIP_BYTES >> 20}"
            raise BadInput(f"what MinerU made of it has {size}", reason="too-large")
        path = f"/v1/files/{output.file_id}/content"
        content = self._send("GET", path, most=output.bytes, seconds=_MOVE_SECONDS)
        if len(content) != output.bytes:
            raise self._unavailable(f"sent {len(content)} of {output.bytes} bytes")
        return content

    def _ask(self, kind: type[A], method: str, path: str, **sent: Any) -> A:
        try:
            return kind.model_validate_json(self._send(method, path, **sent))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            place = ".".join(map(str, first["loc"])) or "body"
            raise self._unavailable(f"answers {path} as MinerU 4.0 doesn't: {place}: {first['msg']}", 200) from None

    def _send(
        self,
        method: str,
        path: str,
        *,
        ours: bool = True,
        most: int = _MAX_ANSWER_BYTES,
        seconds: float = _ASK_SECONDS,
        **sent: Any,
    ) -> bytes:
        """`ours`: it is about a file or a job of ours, so that what is refused may be that."""
        due = time.monotonic() + seconds
        try:
            with self._client.stream(method, self._url + path, **sent) as answer:
                if answer.headers.get("content-encoding", "identity") != "identity":
                    raise self._unavailable("compresses its answers unasked", answer.status_code)
                body = self._read(answer, most if answer.is_success else _MAX_ANSWER_BYTES, due)
        except httpx.HTTPError as error:
            raise self._unavailable(f"doesn't answer: {describe(error)}") from error
        if not answer.is_success:
            raise self._refusal(answer, path, body, ours)
        return body

    def _pieces(self, content: BinaryIO) -> Iterator[bytes]:
        due = time.monotonic() + _MOVE_SECONDS
        while piece := content.read(_CHUNK):
            yield piece
            self._alive()
            if time.monotonic() > due:
                raise self._unavailable("was too slow to take the file")

    def _read(self, answer: httpx.Response, most: int, due: float) -> bytes:
        body = bytearray()
        for piece in answer.iter_raw(_CHUNK):
            body += piece
            self._alive()
            if len(body) > most:
                raise self._unavailable(f"sent more than {most} bytes", answer.status_code)
            if time.monotonic() > due:
                raise self._unavailable("was too slow to answer")
        return bytes(body)

    def _refusal(self, answer: httpx.Response, path: str, body: bytes, ours: bool) -> Exception:
        status = answer.status_code
        try:
            fault = _Refusal.model_validate_json(body).error
        except ValidationError:
            fault = Fault(code=answer.reason_phrase)
        if ours and fault.code in _GONE:
            return Forgotten(str(fault))
        if ours and status == 413 and fault.code != "upload_size_mismatch":
            return BadInput(f"MinerU's server takes no file as large as this: {fault}", reason="too-large")
        if answer.is_redirect:
            return self._unavailable("answers with a redirect, which is not followed", status)
        said = f"answers {path.partition('?')[0]} with {status}: {fault}"
        step = f"set {KEY_VARIABLE} to its API key" if status in (401, 403) else None
        return self._unavailable(said, status, step)

    def _unavailable(self, said: str, status: int | None = None, next_step: str | None = None) -> EngineUnavailable:
        message = f"MinerU at {self._url} {said}"
        if self._key:
            message = message.replace(self._key, "***")
        return EngineUnavailable(message, status=status, next_step=next_step)
