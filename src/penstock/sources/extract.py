"""From an open file to the records in it: sniffed, unpacked where packed, split where there are many, identified."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import BinaryIO

from penstock.sources.identify import NO_RECORDS, Identity, identify_json, identify_xml
from penstock.sources.packed import Damaged, Member, Readable, gunzipped, members
from penstock.sources.records import split_json, split_lines
from penstock.sources.records_xml import split_xml
from penstock.sources.sniff import HEAD, KNOWN, Look, look
from penstock.sources.window import Slice

CHUNK = 1 << 20
_FAULTS = {"truncated": "the file ends before this record does", "malformed": "these bytes belong to no whole record"}
_ELEMENTS = ((b"<PubmedArticle", "pubmed-article"), (b"<PubmedBookArticle", "pubmed-book"))
_SPLITTERS = {"json": split_json, "lines": split_lines, "xml": split_xml}


@dataclass(frozen=True, slots=True)
class Found:
    """One record, or what is wrong with it (`kind` one of sniff.FAULTS, `note` in words).

    `offset` None: the whole file. `number`: the how many-th of its file's records it is, from 0. `member`: the name of
    the packed file it is in, `inside` what tells that one from others in the same archive.
    """

    kind: str
    source_id: str = ""
    content: bytes = b""
    media_type: str = "application/octet-stream"
    offset: int | None = None
    number: int = 0
    member: str | None = None
    inside: str | None = None
    note: str = ""


class _Stream:
    """Bytes in pieces, which can be had from the start again. Damage ends them and is remembered."""

    def __init__(self, reopen: Callable[[], Readable], size: int) -> None:
        self._reopen = reopen
        self._readable = reopen()
        self.damage: Damaged | None = None
        self.first = self._read(size)
        self.short = len(self.first) < size
        """Whether the first piece is all there is."""

    def _read(self, size: int) -> bytes:
        """The next bytes; fewer than `size` only where the end has been seen, or the damage."""
        parts, left = [], size
        try:
            while left and not self.damage and (part := self._readable.read(left)):
                parts.append(part)
                left -= len(part)
        except Damaged as damage:
            self.damage = damage
        return b"".join(parts)

    def pieces(self) -> Iterator[bytes]:
        yield self.first
        while not self.short and (chunk := self._read(CHUNK)):
            yield chunk

    def whole(self, limit: int) -> bytes | None:
        """Everything; None when that is more than the limit."""
        if self.short:
            return self.first if len(self.first) <= limit else None
        self._readable, self.damage = self._reopen(), None
        parts, size = [], 0
        while chunk := self._read(CHUNK):
            parts.append(chunk)
            size += len(chunk)
            if size > limit:
                return None
        return b"".join(parts)


class Extractor:
    """Records of at most `limit` bytes each; larger ones are reported, not kept."""

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def extract(self, file: BinaryIO, name: str, size: int) -> Iterator[Found]:
        """The records of a file of `size` bytes. Raises OSError when it can't be read."""
        stream = _Stream(lambda: _rewound(file), min(max(size + 1, HEAD), CHUNK))
        seen = look(stream.first[:HEAD], name)
        if seen.split == "gzip":
            inner = _inner(name)
            yield from self._member(inner, inner, _Stream(lambda: gunzipped(_rewound(file), size), CHUNK))
        elif seen.split == "zip":
            yield from self._archive(file, seen)
        else:
            yield from self._found(stream, seen)

    def _archive(self, file: BinaryIO, seen: Look) -> Iterator[Found]:
        try:
            found = members(file)
        except Damaged as damage:
            content = _Stream(lambda: _rewound(file), 0).whole(self._limit)
            yield Found(damage.kind, content=content or b"", note=str(damage), media_type=seen.media_type)
            return
        if any(member.name == "[Content_Types].xml" for member in found):
            yield from self._whole(_Stream(lambda: _rewound(file), 0), Look("office"))
            return
        for member in found:
            yield from self._zipped(member)

    def _zipped(self, member: Member) -> Iterator[Found]:
        try:
            stream = _Stream(member.open, CHUNK)
        except Damaged as damage:
            yield Found(damage.kind, member=member.name, inside=member.key, note=str(damage))
        else:
            yield from self._member(member.name, member.key, stream)

    def _member(self, name: str, key: str, stream: _Stream) -> Iterator[Found]:
        seen = look(stream.first[:HEAD], name)
        if seen.split in ("gzip", "zip"):
            seen = replace(seen, split=None)
        for found in self._found(stream, seen):
            yield replace(found, member=name, inside=key)

    def _found(self, stream: _Stream, seen: Look) -> Iterator[Found]:
        """The stream's records; all of it as one where it lists none, or the first two are of a kind nothing reads."""
        split = _SPLITTERS.get(seen.split or "")
        pieces = split(stream.pieces(), self._limit) if split else iter(())
        opening = list(islice(pieces, 2))
        if len(opening) < 2 and not any(piece.nested for piece in opening):
            yield from self._whole(stream, seen)
            return
        records = (self._record(piece, seen, number) for number, piece in enumerate(chain(opening, pieces)))
        known = list(islice(records, 2))
        kinds = {found.kind for found in known}
        if len(kinds) == 1 and kinds <= KNOWN.keys():
            yield from self._whole(stream, seen, Identity(*kinds))
            return
        for found in chain(known, records):
            yield found
        if stream.damage and found.kind != "truncated":
            end = (found.offset or 0) + len(found.content)
            yield Found(stream.damage.kind, offset=end, number=found.number + 1, note=str(stream.damage))

    def _whole(self, stream: _Stream, seen: Look, identity: Identity | None = None) -> Iterator[Found]:
        content = stream.whole(self._limit)
        if content is None:
            yield Found(identity.kind if identity else "too-large", media_type=seen.media_type, note=self._too_large)
        elif stream.damage:
            kept = b"" if stream.damage.kind == "too-large" else content
            yield Found(stream.damage.kind, content=kept, media_type=seen.media_type, note=str(stream.damage))
        else:
            if identity is None:
                identity = identify_json(content) if seen.kind == "json" else identify_xml(content, seen.kind)
            if identity is not NO_RECORDS:
                yield Found(identity.kind, identity.source_id, content, seen.media_type, note=identity.note)

    def _record(self, piece: Slice, seen: Look, number: int) -> Found:
        if piece.fault:
            identity = Identity(piece.fault, note=_FAULTS.get(piece.fault, self._too_large))
        elif seen.split == "xml":
            identity = _identify_element(piece.content)
        else:
            identity = identify_json(piece.content)
        kind = "json" if identity is NO_RECORDS else identity.kind
        place = f"line {piece.line}" if piece.line else f"record {number + 1}, at byte {piece.start}"
        note = f"{place}: {identity.note}" if identity.note else ""
        return Found(kind, identity.source_id, piece.content, seen.media_type, piece.start, number, note=note)

    @property
    def _too_large(self) -> str:
        return f"more than {self._limit:,} bytes"


def _identify_element(content: bytes) -> Identity:
    for start, kind in _ELEMENTS:
        if content.startswith(start):
            return identify_xml(content, kind)
    return identify_xml(content, "jats-article" if b"<front" in content else "xml")


def _rewound(file: BinaryIO) -> BinaryIO:
    file.seek(0)
    return file


def _inner(name: str) -> str:
    """`studies.json` of `studies.json.gz`, `a.tar` of `a.tgz`."""
    stem, dot, ending = name.rpartition(".")
    return {"gz": stem, "gzip": stem, "tgz": f"{stem}.tar"}.get(ending.lower(), name) if dot else name
