"""What every source must do, whatever it lists."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import BaseModel

from penstock.errors import UsageError
from penstock.ir import RawPayload
from penstock.sources.contract import Source
from penstock.sources.files import Files
from penstock.sources.sniff import KINDS


@dataclass
class Case:
    """A source with something to list: good records and at least one bad one. `change` alters one listed record."""

    source: Source
    query: dict[str, object]
    change: Callable[[RawPayload], None]
    remove: Callable[[RawPayload], None]


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


@pytest.fixture(params=[files])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    made: Case = request.param(tmp_path)
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
    assert {"truncated", "malformed"} & set(kinds[:-1])


def test_payloads_can_be_stored(case: Case) -> None:
    for payload in listing(case):
        assert RawPayload.model_validate(payload.model_dump()) == payload
        payload.model_dump_json(exclude={"content"}).encode()


def test_any_payload_can_be_read_again(case: Case) -> None:
    for payload in listing(case):
        again = case.source.refetch(payload.origin)
        assert again is not None
        assert unstamped(again) == payload.model_copy(update={"cursor": ""})


def test_what_changed_is_read_as_it_is_now(case: Case) -> None:
    for payload in listing(case):
        if payload.kind in ("clinicaltrials-study", "text", "pubmed-article"):
            case.change(payload)
            again = case.source.refetch(payload.origin)
            assert again is not None
            assert again.source_id == payload.source_id
            assert again.origin.version != payload.origin.version


def test_what_is_gone_is_none(case: Case) -> None:
    payload = listing(case)[-1]
    case.remove(payload)
    assert case.source.refetch(payload.origin) is None


def test_an_unknown_option_is_refused_at_once(case: Case) -> None:
    with pytest.raises(UsageError, match="unknown option 'surprise'"):
        case.source.list({**case.query, "surprise": 1})
