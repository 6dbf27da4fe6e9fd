"""Haystack's DocumentSplitter, or any Haystack component that splits documents, as a ChunkStage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from penstock.errors import InvalidOutput
from penstock.ir import Chunk, Document, StageContext
from penstock.stages.haystack_component import ComponentOptions, construct, find_component, options_of
from penstock.stages.spans import chunks_at

if TYPE_CHECKING:
    from penstock.pipelines.catalogue import Implementation

SPLITTER = "haystack.components.preprocessors.DocumentSplitter"
_REFUSED = {
    "sentence": "needs a download by NLTK: the chunker named 'sentences' keeps sentences whole without one",
    "token": "needs a download by tiktoken: count by word, or name a splitter of your own",
    "function": "ignores its length: name a splitter of your own under use",
}


class SplitterOptions(BaseModel):
    """DocumentSplitter's own parameters; lengths in units of `split_by`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    split_by: Literal["word", "passage", "page", "period", "line"] = "word"
    split_length: int = Field(default=200, ge=1)
    split_overlap: int = Field(default=0, ge=0)
    split_threshold: int = Field(default=0, ge=0)
    respect_sentence_boundary: bool = False

    @field_validator("split_by", mode="before")
    @classmethod
    def _works_offline(cls, value: object) -> object:
        if isinstance(value, str) and value in _REFUSED:
            raise ValueError(f"split_by: {value} {_REFUSED[value]}")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.respect_sentence_boundary:
            raise ValueError(f"respect_sentence_boundary {_REFUSED['sentence']}")
        if self.split_overlap >= self.split_length:
            raise ValueError(f"split_overlap {self.split_overlap} is not less than split_length {self.split_length}")
        return self


class HaystackChunker:
    """ChunkStage "haystack": words, passages or pages counted off, structure not looked at."""

    name = "haystack"
    version = "1"
    contract = "ChunkStage"
    needs: tuple[str, ...] = ()
    Options = SplitterOptions

    def __init__(self, options: SplitterOptions) -> None:
        self._splitter = construct(SPLITTER, ComponentOptions(**options.model_dump()))

    def execute(self, ctx: StageContext, document: Document) -> list[Chunk]:
        """Raises InvalidOutput where a piece can't be found again in the text."""
        return _split(self._splitter, SPLITTER, document)


def adapt(path: str) -> type[Implementation]:
    """A Haystack splitter by dotted name as a ChunkStage; options are its init parameters.

    Its `run` takes documents and gives documents whose content stands word for word in the text.
    Raises UsageError when `path` names no component, and when constructed with parameters that it refuses.
    """
    find_component(path)

    class AdaptedChunker:
        name = path
        version = "1"
        contract = "ChunkStage"
        needs: tuple[str, ...] = ()
        Options = options_of(path)

        def __init__(self, options: ComponentOptions) -> None:
            self._splitter = construct(path, options)

        def execute(self, ctx: StageContext, document: Document) -> list[Chunk]:
            return _split(self._splitter, path, document)

    return cast("type[Implementation]", AdaptedChunker)


def _split(splitter: Any, path: str, document: Document) -> list[Chunk]:
    from haystack import Document as HaystackDocument

    if not document.text.strip():
        return []
    pieces = splitter.run(documents=[HaystackDocument(id=document.doc_id, content=document.text)])["documents"]
    return chunks_at(document, _spans(document.text, ((piece.content, piece.meta) for piece in pieces), path))


def _spans(text: str, pieces: Iterable[tuple[str | None, dict[str, Any]]], path: str) -> Iterator[tuple[int, int, int]]:
    """Where each piece stands, white space around it left out: where it says, else after or else within the last."""
    start = end = 0
    for content, meta in pieces:
        body = (content or "").strip()
        if not body:
            continue
        said = meta.get("split_idx_start")
        lead = len(content or "") - len((content or "").lstrip())
        if isinstance(said, int) and said + lead >= start and text.startswith(body, said + lead):
            found = said + lead
        else:
            found = text.find(body, end)
            found = text.find(body, start) if found < 0 else found
        if found < 0:
            raise InvalidOutput(
                f"{path} gave a chunk whose text is not in the document, or out of order: {body[:60]!r}"
            )
        start, end = found, found + len(body)
        yield start, end, start
