"""What every source must do, whatever it lists."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from api_server import Service, serving
from penstock.errors import UsageError
from penstock.ir import RawPayload
from penstock.resilience.http import Http
from penstock.resilience.policy import Policy
from penstock.sources.clinicaltrials import ClinicalTrials
from penstock.sources.contract import Source
from penstock.sources.core import Core
from penstock.sources.files import Files
from penstock.sources.openalex import OpenAlex
from penstock.sources.openfda_label import OpenFDALabel
from penstock.sources.paging import PagedSource
from penstock.sources.pmc_fulltext import PmcFulltext
from penstock.sources.sniff import KINDS, READ
from penstock.sources.unpaywall import Unpaywall
from penstock.sources.urls import Urls

Server = Callable[[Service], str]
"""Serves a service from this process, and answers the server's URL."""


@dataclass
class Case:
    """A source with something to list: good records and at least one bad one. `change` alters one listed record; where
    it is None nothing there can be bad, change or go."""

    source: Source
    query: dict[str, object]
    change: Callable[[RawPayload], None] | None = None
    remove: Callable[[RawPayload], None] | None = None


def files(folder: Path) -> Case:
    studies = [{"protocolSection": {"identificationModule": {"nctId": f"NCT{n:08}"}}} for n in range(5)]
    (folder / "many.json").write_text(json.dumps({"studies": studies}))
    (folder / "one.json").write_text(json.dumps(studies[0]))
    (folder / "bad.json").write_text('{"studies": [{"protocolSection": {}}, {"x"')
    (folder / "sub").mkdir()
    (folder / "sub" / "note.txt").write_text("words")
    (folder / "t.xml").write_text(
        "<PubmedArticleSet><PubmedArticle><PMID>1</PMID></PubmedArticle>"
        "<PubmedArticle><PMID>2</PMID></PubmedArticle></PubmedArticleSet>"
    )

    def change(payload: RawPayload) -> None:
        path = Path(payload.origin.uri)
        path.write_bytes(path.read_bytes().replace(payload.content, payload.content + b" "))

    return Case(Files(), {"paths": [str(folder)]}, change, lambda payload: Path(payload.origin.uri).unlink())


def api(kind: type[PagedSource[Any]], service: Service, dated: str, url: str) -> Case:
    """A paged source over a server of this process; `dated`: how its records say when they changed."""

    def change(payload: RawPayload) -> None:
        record = service.records[payload.origin.key]
        service.records[payload.origin.key] = record.replace(payload.origin.version.encode(), dated.encode())

    def remove(payload: RawPayload) -> None:
        del service.records[payload.origin.key]

    source = kind(http=Http(Policy(), kind.name, origins=[url]), url=f"{url}/{service.name}")
    return Case(source, {"query": "x"}, change, remove)


def clinicaltrials(server: Server) -> Case:
    record = (
        '{"protocolSection":{"identificationModule":{"nctId":"%s"},'
        '"statusModule":{"lastUpdatePostDateStruct":{"date":"2026-01-02"}}}}'
    )
    records = {nct: (record % nct).encode() for nct in (f"NCT{n:08}" for n in range(120))}
    records["NCT00000003"] = records["NCT00000003"].replace(b'"2026-01-02"', b"NaN")
    service = Service("ctgov", records)
    return api(ClinicalTrials, service, "2026-03-04", server(service))


def openalex(server: Server) -> Case:
    record = '{"id":"https://openalex.org/%s","title":"T","updated_date":"2026-01-02","abstract_inverted_index":null}'
    records = {key: (record % key).encode() for key in (f"W{n}" for n in range(120))}
    records["W3"] = records["W3"].replace(b'"T"', b"truth")
    service = Service("openalex", records)
    return api(OpenAlex, service, "2026-03-04", server(service))


def openfda_label(server: Server) -> Case:
    record = '{"set_id":"%s","effective_time":"20260102","warnings":["w"]}'
    records = {key: (record % key).encode() for key in (f"0-{n}" for n in range(60))}
    records["0-3"] = records["0-3"].replace(b'["w"]', b'["\x00"]')
    service = Service("openfda", records)
    return api(OpenFDALabel, service, "20260304", server(service))


def core(server: Server) -> Case:
    record = (
        '{"id":%d,"dataProviders":[{"id":7,"name":""}],"downloadUrl":"https://x.org/a.pdf","updatedDate":"2026-01-02"}'
    )
    records = {str(n): (record % n).encode() for n in range(120)}
    records["3"] = records["3"].replace(b"[{", b"[NaN,{")
    service = Service("core", records)
    return api(Core, service, "2026-03-04", server(service))


def unpaywall(server: Server) -> Case:
    record = '{"doi":"%s","best_oa_location":null,"oa_locations":[],"year":2020,"updated":"2026-01-02"}'
    dois = [f"10.5555/{n}" for n in range(25)]
    records = {doi: (record % doi).encode() for doi in dois}
    records[dois[3]] = records[dois[3]].replace(b"2020", b"NaN")
    service = Service("unpaywall", records)
    url = server(service)

    def change(payload: RawPayload) -> None:
        records[payload.source_id] = payload.content.replace(b"2026-01-02", b"2026-03-04")

    source = Unpaywall(
        http=Http(Policy(), "unpaywall", origins=[url]), url=f"{url}/unpaywall", email=SecretStr("me@example.org")
    )
    return Case(source, {"dois": dois}, change, lambda payload: records.pop(payload.source_id) and None)


def pmc_fulltext(server: Server) -> Case:
    record = '{"pmcid":"PMC%d","version":1,"is_pmc_openaccess":true,"pdf_url":"s3://b/PMC%d.1/PMC%d.1.pdf?md5=0"}'
    numbers = range(1, 26)
    objects = {f"metadata/PMC{n}.1.json": (record % (n, n, n)).encode() for n in numbers}
    objects["metadata/PMC3.1.json"] = objects["metadata/PMC3.1.json"].replace(b"true", b"NaN")
    search, bucket = Service("ncbi", {f"PMC{n}": b"" for n in numbers}), Service("pmc", objects)
    url, bucket_url = server(search), server(bucket)

    def change(payload: RawPayload) -> None:
        objects[f"metadata/{payload.source_id}.1.json"] = payload.content.replace(b"true", b"false")

    def remove(payload: RawPayload) -> None:
        del objects[f"metadata/{payload.source_id}.1.json"]

    http = Http(Policy(), "pmc-fulltext", origins=[url, bucket_url])
    source = PmcFulltext(http=http, url=f"{url}/ncbi", bucket_url=f"{bucket_url}/pmc")
    return Case(source, {"query": "x"}, change, remove)


def urls(server: Server) -> Case:
    return Case(Urls(), {"urls": [f"https://x.org/{n}.pdf" for n in range(25)]})


CHANGING = [files, clinicaltrials, openalex, openfda_label, core, unpaywall, pmc_fulltext]


@pytest.fixture
def server() -> Iterator[Server]:
    with ExitStack() as running:
        yield lambda service: running.enter_context(serving(service))


@pytest.fixture(params=[*CHANGING, urls])
def case(request: pytest.FixtureRequest, tmp_path: Path, server: Server) -> Case:
    made: Case = request.param(tmp_path if request.param is files else server)
    return made


def unstamped(payload: RawPayload) -> RawPayload:
    origin = payload.origin.model_copy(update={"fetched_at": 0})
    return payload.model_copy(update={"origin": origin})


def listing(case: Case, cursor: str | None = None) -> list[RawPayload]:
    return [unstamped(payload) for payload in case.source.list(case.query, cursor)]


def test_it_is_a_source(case: Case) -> None:
    assert isinstance(case.source, Source)
    assert issubclass(case.source.Query, BaseModel)
    assert all(payload.source == case.source.name for payload in listing(case))


def test_a_listing_repeats_itself(case: Case) -> None:
    assert len(listing(case)) > 5
    assert listing(case) == listing(case)


def test_a_listing_goes_on_from_each_of_its_cursors(case: Case) -> None:
    everything = listing(case)
    for index, payload in enumerate(everything):
        assert listing(case, payload.cursor) == everything[index + 1 :]


def test_no_two_places_are_the_same(case: Case) -> None:
    keys = [payload.origin.key for payload in listing(case)]
    assert len(keys) == len(set(keys))


def test_kinds_are_known_and_a_bad_record_ends_nothing(case: Case) -> None:
    kinds = [payload.kind for payload in listing(case)]
    assert set(kinds) <= KINDS.keys()
    assert case.change is None or {"truncated", "malformed"} & set(kinds[:-1])


def test_payloads_can_be_stored(case: Case) -> None:
    for payload in listing(case):
        assert RawPayload.model_validate(payload.model_dump()) == payload
        payload.model_dump_json(exclude={"content"}).encode()


def test_any_payload_can_be_read_again(case: Case) -> None:
    for payload in listing(case):
        again = case.source.refetch(payload.origin)
        assert again is not None
        assert unstamped(again) == payload.model_copy(update={"cursor": "", "page_end": False})


@pytest.mark.parametrize("case", CHANGING, indirect=True)
def test_what_changed_is_read_as_it_is_now(case: Case) -> None:
    assert case.change is not None
    for payload in listing(case):
        if payload.kind in READ.keys() - {"html", "markdown"}:
            case.change(payload)
            again = case.source.refetch(payload.origin)
            assert again is not None
            assert again.source_id == payload.source_id
            assert again.origin.version != payload.origin.version


@pytest.mark.parametrize("case", CHANGING, indirect=True)
def test_what_is_gone_is_none(case: Case) -> None:
    assert case.remove is not None
    payload = listing(case)[-1]
    case.remove(payload)
    assert case.source.refetch(payload.origin) is None


def test_an_unknown_option_is_refused_at_once(case: Case) -> None:
    with pytest.raises(UsageError, match="unknown option 'surprise'"):
        case.source.list({**case.query, "surprise": 1})
