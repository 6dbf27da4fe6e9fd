"""Parsing: one format per module, chosen by the payload's kind."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from pydantic import BaseModel, ConfigDict

from penstock.errors import BadInput
from penstock.ir import Document, RawPayload, StageContext
from penstock.sources.sniff import KNOWN, READ
from penstock.stages.faults import check_sound

_MODULES = {
    "clinicaltrials-study": "clinicaltrials",
    "openalex-work": "openalex",
    "openfda-drug-label": "openfda",
    "unpaywall-record": "unpaywall",
    "core-work": "core",
    "pmc-record": "pmc",
    "jats-article": "jats",
    "pubmed-article": "pubmed",
    "html": "html",
    "markdown": "markdown",
    "text": "text",
}


_TWO_PHASES = {
    "pdf": "penstock run pdf-two-phase PATH…",
    "uri-list": "penstock run pdf-two-phase --source urls --query urls=ADDRESS",
}
"""Kinds that a worker at a gate reads, with the command for them."""


class Parser(Protocol):
    """What a format's module offers."""

    def parse(self, ctx: StageContext, payload: RawPayload) -> Document: ...


class ParseOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AutoParser:
    """Parses each payload as what it was sniffed to be. A format's module is imported when its first payload comes."""

    name = "auto"
    version = "1"
    contract = "ParseStage"
    needs: tuple[str, ...] = ()
    Options: type[BaseModel] = ParseOptions

    def __init__(self, options: ParseOptions | None = None) -> None:
        self._parsers: dict[str, Parser] = {}

    def execute(self, ctx: StageContext, payload: RawPayload) -> Document:
        """The document. Raises BadInput, saying why, for a payload that can't be read or is of a kind that isn't."""
        parser = self._parsers.get(payload.kind) or self._load(payload)
        return parser.parse(ctx, payload)

    def _load(self, payload: RawPayload) -> Parser:
        kind = payload.kind
        uri = payload.origin.uri
        where = f"{uri}: " if uri != payload.source_id else ""
        check_sound(payload, where)
        if kind not in _MODULES:
            command = _TWO_PHASES.get(kind)
            reader = "it is read by another pipeline, in two phases" if command else "nothing reads this kind"
            raise BadInput(
                f"{where}{KNOWN.get(kind, kind)}: {reader}",
                reason="unsupported",
                next_step=command or f"these are read: {', '.join(READ)}",
            )
        parser = self._parsers[kind] = cast(Parser, import_module(f"{__name__}.{_MODULES[kind]}"))
        return parser
