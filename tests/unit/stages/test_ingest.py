from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import BaseModel

from penstock.errors import NotFound, UsageError
from penstock.ir import Origin, RawPayload, Request, StageContext
from penstock.sources.files import Files
from penstock.stages.contracts import IngestStage
from penstock.stages.ingest import IngestOptions, SourceIngest

CTX = StageContext("default", "", "c")


@pytest.fixture
def stage() -> SourceIngest:
    return SourceIngest(IngestOptions(), sources={"files": Files()})


def run(stage: SourceIngest, query: Mapping[str, object], cursor: str | None = None) -> Iterator[RawPayload]:
    return stage.execute(CTX, Request(source="files", query=dict(query)), cursor)


def test_it_lists_what_the_request_asks_its_source_for(stage: SourceIngest, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text("words")
    found = list(run(stage, {"paths": [str(tmp_path)]}))
    assert isinstance(stage, IngestStage)
    names = [str(tmp_path / name) for name in ("a.txt", "b.txt", "c.txt")]
    assert [payload.source_id for payload in found] == names
    assert [p.source_id for p in run(stage, {"paths": [str(tmp_path)]}, found[0].cursor)] == names[1:]


def test_a_source_that_is_not_there_is_refused_with_the_nearest_name(stage: SourceIngest) -> None:
    with pytest.raises(NotFound, match=r"'file'.*did you mean 'files'"):
        stage.execute(CTX, Request(source="file"), None)
    with pytest.raises(NotFound, match="there are: files"):
        stage.execute(CTX, Request(source="pubmed"), None)


def test_a_query_that_cannot_be_taken_is_refused_before_anything_is_listed(stage: SourceIngest) -> None:
    with pytest.raises(UsageError, match="unknown option 'pahts': did you mean 'paths'"):
        run(stage, {"pahts": ["x"]})


class Dated:
    """A source that can list what changed since a day."""

    name = "dated"
    watermark = "since"
    Query = BaseModel

    def __init__(self) -> None:
        self.asked: list[Mapping[str, object]] = []

    def list(self, query: Mapping[str, object], cursor: str | None = None) -> Iterator[RawPayload]:
        self.asked.append(query)
        return iter(())

    def refetch(self, origin: Origin) -> RawPayload | None:
        return None


def test_a_source_that_can_tell_is_asked_for_changes_only_from_two_days_before() -> None:
    dated = Dated()
    stage = SourceIngest(IngestOptions(), sources={"dated": dated, "files": Files()})
    moment = int(datetime(2026, 3, 2, 1, tzinfo=UTC).timestamp() * 1000)
    asked = Request(source="dated", query={"query": "x"}, since=moment)
    assert stage.incremental(asked)
    stage.execute(CTX, asked, None)
    stage.execute(CTX, asked.model_copy(update={"since": 0}), None)
    assert dated.asked == [{"query": "x", "since": "2026-02-28"}, {"query": "x"}]


def test_who_says_since_when_himself_gets_that_and_a_source_that_cannot_tell_lists_everything() -> None:
    dated = Dated()
    stage = SourceIngest(IngestOptions(), sources={"dated": dated, "files": Files()})
    asked = Request(source="dated", query={"since": "2020-01-01"}, since=1)
    assert not stage.incremental(asked)
    stage.execute(CTX, asked, None)
    assert dated.asked == [{"since": "2020-01-01"}]
    assert not stage.incremental(Request(source="files", query={"paths": ["x"]}))
    assert not stage.incremental(Request(source="nobody"))
