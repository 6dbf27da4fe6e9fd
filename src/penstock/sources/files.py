"""The `files` source: what lies on a disk, one record or many to a file."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote_to_bytes

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from penstock.errors import UsageError
from penstock.ir import Origin, RawPayload
from penstock.sources.contract import checked
from penstock.sources.extract import Extractor, Found
from penstock.sources.walk import Parts, Place, Root, roots, walk


def _named(paths: tuple[str, ...]) -> tuple[str, ...]:
    """An empty path would mean the current folder, and is more likely a variable that was not set."""
    if any(not path.strip() for path in paths):
        raise ValueError("a path is empty (for the current folder say .)")
    return paths


class FilesQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    paths: Annotated[
        tuple[str, ...],
        Field(min_length=1),
        AfterValidator(_named),
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    ]
    """Files, folders (with all below them) and patterns (`*`, `?`, `[…]`, and `**` for any depth)."""


class Files:
    """Files, folders and patterns, with many records to a file where its format has them.

    A payload's `source_id` is the identifier its record states (NCT id, OpenAlex id, label set id, PMCID, DOI, PMID),
    else its file's path below the folder given (see `walk.roots`), with `#n` for the n-th record (from 0) of a file of
    many. `origin.key` is that path and `#n` always, so that a file keeps its place when it turns from something
    unreadable into a record, or back; `origin.version` is size and modification time, `origin.offset` where the
    record begins in the file (or, for what is packed, in the unpacked `origin.member`); None: the file as a whole.

    A record of more than `max_bytes` is listed as "too-large", without ever being in memory.
    """

    name = "files"
    Query: type[BaseModel] = FilesQuery

    def __init__(self, *, max_bytes: int = 64 << 20) -> None:
        self._extractor = Extractor(max_bytes)

    def list(self, query: Mapping[str, object], cursor: str | None = None) -> Iterator[RawPayload]:
        """Every record below the query's paths, after `cursor`.

        Raises UsageError for a query or cursor that can't be taken, NotFound for a path that isn't there.
        """
        asked = checked(FilesQuery, query, self.name)
        return self._listed(roots(asked.paths), _Cursor.read(cursor) if cursor else None)

    def refetch(self, origin: Origin) -> RawPayload | None:
        """The same record of the same file as it is now; None when there is no such file or record any more."""
        path = _path(origin.uri)
        if not os.path.lexists(path):
            return None
        name, _, ordinal = origin.key.rpartition("#")
        number = int(ordinal) if ordinal.isdecimal() else 0
        name = name.removesuffix(f"!{origin.member}") if origin.member is not None else name
        for payload in self._payloads(Place(path, "", tuple(name.split("/")))):
            if payload.origin.member == origin.member:
                if number == 0:
                    return payload.model_copy(update={"cursor": ""})
                number -= 1
        return None

    def _listed(self, roots: Sequence[Root], cursor: _Cursor | None) -> Iterator[RawPayload]:
        for root in roots:
            if cursor and root.parts < cursor.root:
                continue
            after = cursor.parts if cursor and root.parts == cursor.root else None
            for place in walk(root, after):
                skipped = cursor.ordinal + 1 if cursor and place.parts == after else 0
                for ordinal, payload in enumerate(self._payloads(place)):
                    if ordinal >= skipped:
                        yield payload

    def _payloads(self, place: Place) -> Iterator[RawPayload]:
        ordinal, version = 0, ""
        try:
            if place.problem:
                raise OSError(place.problem)
            status = os.stat(place.path)
            if not stat.S_ISREG(status.st_mode):
                raise OSError("not a regular file")
            version = f"{status.st_size}-{status.st_mtime_ns}"
            with open(place.path, "rb", buffering=0) as file:
                for found in self._extractor.extract(file, os.path.basename(place.path), status.st_size):
                    yield _payload(place, version, ordinal, found)
                    ordinal += 1
        except OSError as error:
            note = error.strerror or str(error)
            yield _payload(place, version, ordinal, Found("unreadable", note=note))


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where a listing stands: the root, the file in it, and the number of the payload in that file."""

    root: Parts
    parts: Parts
    ordinal: int

    @staticmethod
    def write(place: Place, ordinal: int) -> str:
        return json.dumps([place.root, place.name, ordinal])

    @classmethod
    def read(cls, cursor: str) -> _Cursor:
        try:
            root, name, ordinal = json.loads(cursor)
            return cls(tuple(root.split("/")) if root else (), tuple(name.split("/")) if name else (), int(ordinal))
        except (ValueError, TypeError, AttributeError):
            raise UsageError(f"source files: {cursor[:80]!r} is no cursor of its listings") from None


def _payload(place: Place, version: str, ordinal: int, found: Found) -> RawPayload:
    name = place.name or os.path.basename(place.path)
    inside = f"{name}!{found.member}" if found.member is not None else name
    whole = found.offset is None
    key = f"{inside}#{0 if whole else found.number}"
    return RawPayload(
        source=Files.name,
        source_id=found.source_id or (inside if whole else key),
        kind=found.kind,
        media_type=found.media_type,
        origin=Origin(
            uri=_uri(place.path),
            key=key,
            offset=found.offset,
            member=found.member,
            version=version,
            fetched_at=int(time.time() * 1000),
        ),
        content=found.content,
        cursor=_Cursor.write(place, ordinal),
        note=found.note,
    )


def _uri(path: str) -> str:
    """The path; as a file: URL when it is no UTF-8, so that it can be stored and found again."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return Path(path).as_uri()
    return path


def _path(uri: str) -> str:
    return os.fsdecode(unquote_to_bytes(uri.removeprefix("file://"))) if uri.startswith("file://") else uri
