"""The flow with a MinerU server, each state and error of it; the server is one that respx plays."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from random import randbytes
from typing import Any

import httpx
import orjson
import pytest
from pydantic import ValidationError

from mineru_double import KEY, URL, Mineru, error, parse, refused, result, text, written
from penstock.errors import BadInput, EngineUnavailable
from penstock.workers.engines import mineru_api, mineru_jobs
from penstock.workers.engines.canary import canary
from penstock.workers.engines.mineru_api import MineruApi
from penstock.workers.engines.mineru_http import MineruHttpOptions
from penstock.workers.engines.mineru_raw import RawPart, kept


def test_a_pdf_is_handed_in_waited_for_and_fetched(mineru: Mineru, pdf: Path) -> None:
    parsed = parse(pdf, tier="basic", ocr_mode="txt")
    digest = sha256(pdf.read_bytes()).hexdigest()
    assert mineru.paths() == [
        "GET /v1/health",
        "POST /v1/uploads",
        "PUT /v1/uploads/upload_1/content",
        "POST /v1/uploads/upload_1/complete",
        "POST /v1/parse/jobs",
        "GET /v1/parse/jobs/job_0",
        "GET /v1/parse/jobs/job_0",
        "GET /v1/files/file-of-job_0/content",
    ]
    upload = orjson.loads(mineru.asked[1].content)
    assert (upload["bytes"], upload["sha256sum"], upload["purpose"]) == (pdf.stat().st_size, digest, "parse")
    assert mineru.bytes_taken == pdf.read_bytes()
    sent = mineru.asked[2].headers
    assert (sent["Content-Length"], "Transfer-Encoding" in sent) == (str(pdf.stat().st_size), False)
    assert mineru.jobs() == [
        {
            "files": [{"source": {"type": "file_id", "file_id": "file-1"}, "page_range": "1-1"}],
            "tier": "basic",
            "ocr_mode": "txt",
            "output_formats": ["zip"],
        }
    ]
    assert [element.text for element in parsed.elements] == ["page 1"]
    assert (parsed.producer, parsed.raw) == ("MinerU 4.0.12 basic", kept([RawPart(1, 1, result(1, 1))]))
    assert {request.headers["Authorization"] for request in mineru.asked} == {f"Bearer {KEY}"}


def test_a_server_without_a_key_gets_none(mineru: Mineru, pdf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(mineru_api.KEY_VARIABLE)
    parse(pdf)
    assert not any("Authorization" in request.headers for request in mineru.asked)


def test_the_environment_can_say_where_the_server_is(
    mineru: Mineru, pdf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(mineru_api.URL_VARIABLE, f"{URL}/")
    assert parse(pdf, url="").producer


def test_what_the_server_has_already_is_not_sent_again(mineru: Mineru, pdf: Path) -> None:
    mineru.known.add(sha256(pdf.read_bytes()).hexdigest())
    assert parse(pdf).elements
    assert not mineru.paths("PUT")


@pytest.mark.parametrize("version", ["4.1.0", "5.0", "4.0", "3.4.4", "4.0.12rc1", ""])
def test_a_version_that_is_not_known_is_refused_in_plain_words(mineru: Mineru, pdf: Path, version: str) -> None:
    mineru.version = version
    with pytest.raises(
        EngineUnavailable, match=re.escape(f"is MinerU '{version}': this Penstock knows the API of 4.0")
    ):
        parse(pdf)
    assert mineru.paths() == ["GET /v1/health"]


@pytest.mark.parametrize(
    ("answer", "said", "step"),
    [
        (refused(401, "invalid_api_key"), "401: invalid_api_key: no", "set PENSTOCK_MINERU_KEY"),
        (refused(403, "quota_exceeded"), "403: quota_exceeded", "set PENSTOCK_MINERU_KEY"),
        (refused(503, "model_preload_files_missing", "Model x\nis missing"), "missing: Model x is missing", ""),
        (refused(503, "engine_dead"), "503: engine_dead", ""),
        (httpx.Response(502, text="<html>bad gateway"), "502: Bad Gateway", ""),
        (httpx.Response(302, headers={"Location": "http://elsewhere.test/"}), "redirect, which is not followed", ""),
        (httpx.Response(404, text="nope"), "404: Not Found", ""),
        (refused(404, "file_not_found"), "404: file_not_found", ""),
        (httpx.Response(413), "413: Request Entity Too Large", ""),
        (httpx.Response(200, text="<html>"), "as MinerU 4.0 doesn't: body", ""),
        (httpx.Response(200, json={"status": "ok"}), "as MinerU 4.0 doesn't: version", ""),
        (httpx.Response(200, content=b" " * (5 << 20)), "sent more than", ""),
        (
            httpx.Response(200, content=gzip.compress(b"{}"), headers={"Content-Encoding": "gzip"}),
            "compresses its answers",
            "",
        ),
        (httpx.ConnectError("refused"), "doesn't answer: ConnectError: refused", ""),
        (httpx.ReadTimeout("slow"), "doesn't answer: ReadTimeout", ""),
    ],
)
def test_a_server_that_does_not_serve_gives_the_document_back(
    mineru: Mineru, pdf: Path, answer: httpx.Response | Exception, said: str, step: str
) -> None:
    mineru.answers["GET", "/v1/health"] = [answer]
    with pytest.raises(EngineUnavailable, match=said) as caught:
        parse(pdf)
    assert caught.value.message.startswith(f"MinerU at {URL} ")
    assert "\n" not in caught.value.message
    assert caught.value.reason == "engine-unavailable"
    assert step in caught.value.next_step
    assert mineru.paths() == ["GET /v1/health"]


@pytest.mark.parametrize("place", [("POST", "/v1/uploads"), ("PUT", "/v1"), ("POST", "/v1/parse/jobs")])
@pytest.mark.parametrize("answer", [refused(500, "internal_error"), refused(400, "invalid_request", "Tier 'x'")])
def test_so_does_one_that_refuses_on_the_way(
    mineru: Mineru, pdf: Path, place: tuple[str, str], answer: httpx.Response
) -> None:
    mineru.answers[place] = [answer]
    with pytest.raises(EngineUnavailable, match=f"{answer.status_code}: "):
        parse(pdf)


def test_the_key_is_in_no_error(mineru: Mineru, pdf: Path) -> None:
    mineru.answers["GET", "/v1/health"] = [refused(401, "invalid_api_key", f"{KEY} is no key of ours")]
    with pytest.raises(EngineUnavailable, match=r"\*\*\* is no key") as caught:
        parse(pdf)
    assert KEY not in repr(caught.value)
    assert KEY not in repr(MineruHttpOptions(url=URL))


def test_a_file_that_the_server_finds_too_large_fails(mineru: Mineru, pdf: Path) -> None:
    mineru.answers["PUT", "/v1/uploads"] = [httpx.Response(413, text="<html>413")]
    with pytest.raises(BadInput, match="no file as large as this") as caught:
        parse(pdf)
    assert caught.value.reason == "too-large"


@pytest.mark.parametrize(
    ("place", "code"),
    [
        (("GET", "/v1/parse/jobs"), "job_not_found"),
        (("POST", "/v1/parse/jobs"), "file_not_found"),
        (("POST", "/v1/uploads/upload_1"), "upload_not_found"),
        (("GET", "/v1/files"), "file_not_found"),
    ],
)
def test_a_server_that_forgot_is_told_again(mineru: Mineru, pdf: Path, place: tuple[str, str], code: str) -> None:
    mineru.answers[place] = [refused(404, code)]
    assert parse(pdf).elements
    assert mineru.paths().count("POST /v1/uploads") == 2


def test_so_is_one_that_was_stopped_in_the_middle(mineru: Mineru, pdf: Path) -> None:
    canceled = {"job_id": "job_0", "status": "canceled", "files": [{"name": "document.pdf"}]}
    mineru.answers["GET", "/v1/parse/jobs"] = [httpx.Response(200, json=canceled)]
    assert parse(pdf).elements
    assert len(mineru.jobs()) == 2


def test_one_that_forgets_each_time_may_do_so_because_of_the_document(mineru: Mineru, pdf: Path) -> None:
    mineru.answers["GET", "/v1/parse/jobs"] = [refused(404, "job_not_found")] * 3
    with pytest.raises(EngineUnavailable, match="lost the job over pages 1 to 1 3 times") as caught:
        parse(pdf)
    assert caught.value.reason == "engine-lost"


def test_a_list_of_jobs_is_nothing_that_a_server_could_forget(mineru: Mineru) -> None:
    mineru.answers["GET", "/v1/parse/jobs"] = [refused(404, "job_not_found")]
    with MineruApi(URL, None) as api, pytest.raises(EngineUnavailable, match="404: job_not_found"):
        api.busy()


@pytest.mark.parametrize(
    "away", [httpx.ConnectError("refused"), httpx.Response(502), refused(503, "starting"), httpx.Response(429)]
)
@pytest.mark.parametrize(
    "place",
    [
        ("GET", "/v1/health"),
        ("POST", "/v1/uploads"),
        ("PUT", "/v1/uploads"),
        ("POST", "/v1/parse/jobs"),
        ("GET", "/v1/parse/jobs"),
        ("GET", "/v1/files"),
    ],
)
def test_a_server_that_is_away_is_waited_for(
    mineru: Mineru, pdf: Path, away: httpx.Response | Exception, place: tuple[str, str]
) -> None:
    mineru.answers[place] = [away, away]
    assert parse(pdf, patience_seconds=60).elements
    assert len(mineru.jobs()) == (3 if place == ("POST", "/v1/parse/jobs") else 1)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (("GET", "/v1/health"), "engine-unavailable"),
        (("POST", "/v1/uploads"), "engine-unavailable"),
        (("POST", "/v1/parse/jobs"), "engine-unavailable"),
        (("GET", "/v1/parse/jobs"), "engine-lost"),
        (("GET", "/v1/files"), "engine-lost"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"patience_seconds": 0.05}, {"patience_seconds": 60, "total_seconds": 0.2}])
def test_but_not_for_ever_and_a_document_is_to_blame_only_with_its_job(
    mineru: Mineru, pdf: Path, place: tuple[str, str], reason: str, options: dict[str, float]
) -> None:
    mineru.answers[place] = [httpx.ConnectError("refused")] * 1000
    with pytest.raises(EngineUnavailable, match="doesn't answer") as caught:
        parse(pdf, **options)
    assert caught.value.reason == reason


@pytest.mark.parametrize("place", ["/v1/health", "/v1/parse/jobs"])
def test_a_refusal_is_not_waited_out(mineru: Mineru, pdf: Path, place: str) -> None:
    mineru.answers["GET", place] = [refused(401, "invalid_api_key")]
    with pytest.raises(EngineUnavailable, match="401") as caught:
        parse(pdf, patience_seconds=60)
    assert caught.value.reason == "engine-unavailable"


def test_a_file_that_mineru_cannot_parse_fails_with_its_words(mineru: Mineru, pdf: Path) -> None:
    made = iter([error(message="xref\n  broken"), result(1, 1)])
    mineru.makes = lambda *_: next(made)
    with pytest.raises(BadInput, match="can't parse pages 1 to 1: parse_failed: xref broken") as caught:
        parse(pdf)
    assert caught.value.reason == "unreadable"
    assert mineru.bytes_taken == canary()


def test_a_server_that_cannot_parse_a_plain_page_either_is_at_fault_itself(mineru: Mineru, pdf: Path) -> None:
    mineru.makes = lambda *_: error(message="Model repo is not ready")
    with pytest.raises(EngineUnavailable, match="even a plain page: parse_failed: Model repo is not ready"):
        parse(pdf)


def test_a_server_that_says_nothing_of_a_failure_is_looked_at_too(mineru: Mineru, pdf: Path) -> None:
    made: Iterator[Any] = iter([{}, result(1, 1)])
    mineru.makes = lambda *_: next(made)
    with pytest.raises(BadInput, match="failed: without a word why"):
        parse(pdf)


@pytest.mark.parametrize(
    ("code", "reason"),
    [("file_encrypted", "encrypted"), ("file_corrupted", "corrupt"), ("file_too_large", "too-large")],
)
def test_codes_that_speak_of_the_file_are_believed(mineru: Mineru, pdf: Path, code: str, reason: str) -> None:
    mineru.makes = lambda *_: error("invalid_request_error", code)
    with pytest.raises(BadInput, match=f"{code}: it broke") as caught:
        parse(pdf)
    assert caught.value.reason == reason
    assert len(mineru.jobs()) == 1


def test_an_engine_that_dies_over_a_document_is_told_apart(mineru: Mineru, pdf: Path) -> None:
    mineru.makes = lambda *_: error(code="engine_dead", message="EngineCore died")
    with pytest.raises(EngineUnavailable, match="died at pages 1 to 1: EngineCore died") as caught:
        parse(pdf)
    assert caught.value.reason == "engine-lost"


def test_a_job_that_runs_for_too_long_may_do_so_because_of_the_document(
    mineru: Mineru, pdf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mineru_jobs, "START_SECONDS", 0.0)
    monkeypatch.setattr(mineru_jobs, "PAGE_SECONDS", 0.0)
    mineru.states = ["running"]
    with pytest.raises(EngineUnavailable, match="late with 1 pages: its job is running") as caught:
        parse(pdf)
    assert caught.value.reason == "engine-lost"


def test_a_job_that_never_has_its_turn_is_not_its_fault(mineru: Mineru, pdf: Path) -> None:
    mineru.states = ["queued"]
    with pytest.raises(EngineUnavailable, match="its job is queued") as caught:
        parse(pdf, total_seconds=0.01)
    assert caught.value.reason == "engine-unavailable"


def test_the_page_clock_is_kept_going_while_the_server_lives(mineru: Mineru, pdf: Path) -> None:
    mineru.states = ["queued", *["running"] * 4, "completed"]
    told: list[tuple[int, int]] = []
    parse(pdf, lambda *said: told.append(said))
    assert (set(told[:-1]), told[-1]) == ({(0, 1)}, (1, 1))
    assert len(told[:-1]) >= len(mineru.paths("GET"))


def test_so_is_it_while_a_large_file_is_on_its_way(mineru: Mineru, pdf: Path) -> None:
    with pdf.open("ab") as file:
        file.write(bytes(1 << 20))
    mineru.makes = lambda first, last: result(first, last, text("page 1"), **{"a.png": randbytes(1 << 20)})
    told: list[tuple[int, int]] = []
    parse(pdf, lambda *said: told.append(said))
    assert mineru.bytes_taken == pdf.read_bytes()
    assert len(told) > 32, "16 pieces there, 16 back"


def test_nor_is_a_server_that_takes_a_file_too_slowly_waited_for_for_ever(
    mineru: Mineru, pdf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mineru_api, "_MOVE_SECONDS", 0.0)
    with pytest.raises(EngineUnavailable, match="was too slow to take the file"):
        parse(pdf)


def test_results_that_are_too_large_are_not_fetched(mineru: Mineru, pdf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mineru_api, "MAX_ZIP_BYTES", 10)
    with pytest.raises(BadInput) as caught:
        parse(pdf)
    assert caught.value.reason == "too-large"
    assert not any("/files/" in path for path in mineru.paths())


@pytest.mark.parametrize("content", [b"PK", b"PK" * 100_000])
def test_results_of_another_length_than_was_said_are_not_taken(mineru: Mineru, pdf: Path, content: bytes) -> None:
    mineru.answers["GET", "/v1/files"] = [httpx.Response(200, content=content)]
    with pytest.raises(EngineUnavailable, match="sent"):
        parse(pdf)


def test_results_that_drip_are_not_waited_for_for_ever(
    mineru: Mineru, pdf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mineru_api, "_MOVE_SECONDS", 0.0)
    mineru.known.add(sha256(pdf.read_bytes()).hexdigest())
    with pytest.raises(EngineUnavailable, match="was too slow to answer"):
        parse(pdf)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (("POST", "/v1/uploads"), {"id": "../../admin", "status": "completed", "file": {"id": "file-1"}}),
        (("POST", "/v1/uploads"), {"id": "upload_1", "status": "completed", "file": {"id": "a/b"}}),
        (("POST", "/v1/uploads"), {"id": "upload_1", "status": "completed"}),
        (("POST", "/v1/parse/jobs"), {"job_id": "job_0?x", "status": "queued", "files": [{}]}),
        (("POST", "/v1/parse/jobs"), {"job_id": "job_0", "status": "asleep", "files": [{}]}),
        (("POST", "/v1/parse/jobs"), {"job_id": "job_0", "status": "queued", "files": []}),
        (("POST", "/v1/parse/jobs"), [1]),
    ],
)
def test_an_answer_that_is_none_of_mineru_s_is_not_acted_on(
    mineru: Mineru, pdf: Path, place: tuple[str, str], said: Any
) -> None:
    mineru.answers[place] = [httpx.Response(200, json=said)]
    with pytest.raises(EngineUnavailable, match=f"MinerU at {URL} answers"):
        parse(pdf)


def test_a_zip_that_is_none_fails_the_document(mineru: Mineru, pdf: Path) -> None:
    mineru.makes = lambda *_: b"no zip at all"
    with pytest.raises(BadInput):
        parse(pdf)


def test_a_file_that_cannot_be_opened_is_not_sent(mineru: Mineru, tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    for content, reason in ((b"", "corrupt"), (b"<html>", "corrupt"), (b"%PDF-1.7\n" + b"0" * 100, "corrupt")):
        path.write_bytes(content)
        with pytest.raises(BadInput) as caught:
            parse(path)
        assert caught.value.reason == reason
    for most in ({"max_pages": 1}, {"max_mb": 1}):
        written(tmp_path, 2).open("ab").write(b"\0" * 1_000_000)
        with pytest.raises(BadInput) as caught:
            parse(path, **most)
        assert caught.value.reason == "too-large"
    assert not mineru.asked


def test_one_that_wants_a_password_is_not_sent(mineru: Mineru, data: Path) -> None:
    with pytest.raises(BadInput) as caught:
        parse(data / "pdf/pdfminer_aes-128.pdf")
    assert caught.value.reason == "encrypted"
    assert not mineru.asked


@pytest.mark.parametrize(
    "url",
    ["mineru.test", "ftp://mineru.test", "http://", f"http://me:{KEY}@mineru.test", "http://a/?x=1", "http://a:b"],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        MineruHttpOptions(url=url)


def test_an_address_may_end_as_the_api_s_paths_begin(mineru: Mineru, pdf: Path) -> None:
    assert parse(pdf, url=f"{URL}/v1/").elements
    assert mineru.asked[0].url == f"{URL}/v1/health"
