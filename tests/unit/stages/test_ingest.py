from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from penstock.errors import NotFound, UsageError
from penstock.ir import RawPayload, Request, StageContext
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
    assert [payload.source_id for payload in found] == ["a.txt", "b.txt", "c.txt"]
    assert [p.source_id for p in run(stage, {"paths": [str(tmp_path)]}, found[0].cursor)] == ["b.txt", "c.txt"]


def test_a_source_that_is_not_there_is_refused_with_the_nearest_name(stage: SourceIngest) -> None:
    with pytest.raises(NotFound, match=r"'file'.*did you mean 'files'"):
        stage.execute(CTX, Request(source="file"), None)
    with pytest.raises(NotFound, match="there are: files"):
        stage.execute(CTX, Request(source="pubmed"), None)


def test_a_query_that_cannot_be_taken_is_refused_before_anything_is_listed(stage: SourceIngest) -> None:
    with pytest.raises(UsageError, match="unknown option 'pahts': did you mean 'paths'"):
        run(stage, {"pahts": ["x"]})
