"""Real inputs by kind, a short way to parse them, and what to hold a parser to."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

from penstock.errors import BadInput
from penstock.ir import Document, Origin, RawPayload, StageContext

MODULES = {
    "jats-article": "jats",
    "pubmed-article": "pubmed",
    "html": "html",
    "markdown": "markdown",
    "text": "text",
}
REASONS = {"malformed", "truncated", "empty", "unsupported", "schema", "too-large"}
_PLACES = {
    "jats-article": ("jats_pubmed/jats/*",),
    "pubmed-article": ("jats_pubmed/pubmed/*.xml",),
    "html": ("jats_pubmed/pmc_oa/*.html", "office/*.htm*"),
    "markdown": ("mineru/**/*.md", "office/*.md", "parsed/**/*.md"),
    "text": ("office/*.txt", "parsed/**/*.txt", "re_gold/**/*.txt"),
}
_ARTICLE = re.compile(rb"<article[\s>].*?</article>", re.DOTALL)


def read(kind: str, content: bytes | str, media_type: str = "application/octet-stream") -> Document:
    """A payload of this kind, parsed."""
    payload = RawPayload(
        source="files",
        source_id="one",
        kind=kind,
        media_type=media_type,
        origin=Origin(uri="folder/one", key="one"),
        content=content.encode() if isinstance(content, str) else content,
    )
    module = import_module(f"penstock.stages.parse.{MODULES[kind]}")
    parsed = module.parse(StageContext(tenant_id="demo", doc_id="d1", correlation_id="c1"), payload)
    assert isinstance(parsed, Document)
    return parsed


def refusal(kind: str, content: bytes | str, media_type: str = "application/octet-stream") -> str:
    """The reason for which a payload is refused."""
    with pytest.raises(BadInput) as refused:
        read(kind, content, media_type)
    return refused.value.reason


def real(data: Path, kind: str) -> list[tuple[str, bytes]]:
    """(name, bytes) of every real input of a kind; files of several JATS articles are cut into them."""
    found: list[tuple[str, bytes]] = []
    for path in sorted({path for place in _PLACES[kind] for path in data.glob(place)}):
        content = path.read_bytes()
        several = kind == "jats-article" and (b"<articles>" in content[:200] or b"articleset" in content[:400])
        pieces = _ARTICLE.findall(content) if several else [content]
        found += [(f"{path.name}#{index}", piece) for index, piece in enumerate(pieces) if piece.strip()]
    assert found, f"no {kind} under {data}"
    return found


def words(text: str) -> Counter[str]:
    """Words of two letters or more: digits are left to citation marks and formulas."""
    return Counter(re.findall(r"[^\W\d_]{2,}", text))


def kept(source: Iterable[str], document: Document) -> float:
    """The share of the source's words that are in the document."""
    wanted = words(" ".join(source))
    headings = " ".join(section.heading for section in document.sections)
    return (wanted & words(f"{document.title} {headings} {document.text}")).total() / max(wanted.total(), 1)


def damaged(content: bytes, cuts: int, flips: int) -> Iterator[bytes]:
    """The content cut short at seeded points, and with bits of a few bytes turned over."""
    chance = random.Random(len(content))
    for _ in range(cuts):
        yield content[: chance.randrange(len(content))]
    for number in range(flips):
        other = bytearray(content)
        for _ in range((1, 3, 50)[number % 3]):
            other[chance.randrange(len(other))] ^= 1 << chance.randrange(8)
        yield bytes(other)


def survives(kind: str, content: bytes) -> Document | None:
    """The document, or None when it is refused for a reason that the contract knows."""
    try:
        return read(kind, content)
    except BadInput as refused:
        if refused.reason not in REASONS:
            raise
        return None
