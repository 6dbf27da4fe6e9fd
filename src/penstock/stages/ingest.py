"""Ingest from a source: the listing that a submission asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches

from pydantic import BaseModel, ConfigDict

from penstock.errors import NotFound
from penstock.ir import RawPayload, Request, StageContext
from penstock.sources.contract import Source

OVERLAP = timedelta(days=2)
"""How far before the last listing another one begins: services date by day, in a zone and by a clock of their own."""


class IngestOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceIngest:
    """Lists what the request asks of its source."""

    name = "source"
    version = "1"
    contract = "IngestStage"
    needs: tuple[str, ...] = ("sources",)
    Options: type[BaseModel] = IngestOptions

    def __init__(self, options: IngestOptions, *, sources: Mapping[str, Source]) -> None:
        self._sources = sources

    def execute(self, ctx: StageContext, request: Request, cursor: str | None) -> Iterator[RawPayload]:
        """The source's listing after `cursor`.

        Raises NotFound for a source that isn't there, UsageError for a query it can't take; both at once, before the
        first payload is asked for.
        """
        source = self._sources.get(request.source)
        if source is None:
            near = get_close_matches(request.source, self._sources, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(self._sources)) or 'none'}"
            raise NotFound(f"no source is called {request.source!r}: {hint}")
        return source.list(self._query(request), cursor)

    def incremental(self, request: Request) -> bool:
        """Whether only what changed since some day can be listed, which the request itself says nothing of.

        A source that can has a `watermark`: the name of the option of its query that takes such a day.
        """
        return bool(self._watermark(request))

    def _watermark(self, request: Request) -> str:
        field = getattr(self._sources.get(request.source), "watermark", None) or ""
        return "" if field in request.query else field

    def _query(self, request: Request) -> Mapping[str, object]:
        field = self._watermark(request)
        if not field or not request.since:
            return request.query
        day = (datetime.fromtimestamp(request.since / 1000, UTC) - OVERLAP).date()
        return {**request.query, field: day.isoformat()}
