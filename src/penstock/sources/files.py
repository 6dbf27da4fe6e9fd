"""The `files` source: what lies on a disk, one record or many to a file."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from penstock.errors import UsageError
from penstock.ir import Origin, RawPayload
from penstock.sources.contract import checked
from penstock.sources.extract import Extractor, Found
from penstock.sources.walk import Place, address, located, named, parts, roots, walk


def _named(paths: tuple[str, ...]) -> tuple[str, ...]:
    """An empty path would mean the current folder, and is more likely a variable that was not set."""
    if any(not path.strip() for path in paths):
        raise ValueError("a path is empty (for the current folder say .)")
    if any("\0" in path for path in paths):
        raise ValueError("no path has a NUL in it")
    return paths


class FilesQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    paths: Annotated[
        tuple[str, ...],
        Field(min_length=1),
        AfterValidator(_named),
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    ]
    """Files, folders with all below them, and patterns (`*`, `?`, `[…]`, and `**` for any depth) of either.

    `~` at the beginning is the home folder; a file: URL stands for its path. Hidden names are passed over unless they
    are named, dot and all.
    """


class Files:
    """Files, folders and patterns, with many records to a file where its format has them.

    A payload's `source_id` is the identifier its record states (NCT id, OpenAlex id, label set id, PMCID, DOI, PMID),
    else where it lies, from wherever it was listed: its file's real path (see `walk.named`), then `!` and the member of
    an archive, `#n` for the n-th record (from 0) of a file of many. `origin.key` is that place and `#n` always, so that
    a file keeps its place when it turns from something unreadable into a record, or back; `origin.version` is size and
    modification time, `origin.offset` where the record begins in the file (or, for what is packed, in the unpacked
    `origin.member`); None: the file as a whole.

    A record of more than `max_bytes` is listed as "too-large", without ever being in memory. Files and folders of
    `skip` are never opened: closing a file drops the locks that this process holds on it.
    """

    name = "files"
    needs = ("skip",)
    Query: type[BaseModel] = FilesQuery

    def __init__(self, *, max_bytes: int = 64 << 20, skip: Collection[Path] = ()) -> None:
        self._extractor = Extractor(max_bytes)
        self._skip = frozenset(os.path.realpath(path) for path in skip)

    def list(self, query: Mapping[str, object], cursor: str | None = None) -> Iterator[RawPayload]:
        """Every record below the query's paths, after `cursor`.

        Raises UsageError for a query or cursor that can't be taken, NotFound for a path that isn't there.
        """
        asked = checked(FilesQuery, query, self.name)
        return self._listed(roots(asked.paths, self._skip), _Cursor.read(cursor) if cursor else None)

    def refetch(self, origin: Origin) -> RawPayload | None:
        """The same record of the same file as it is now; None when there is no such file or record any more."""
        path = located(origin.uri)
        for payload in self._payloads(Place(path, path)):
            if payload.origin.key == origin.key:
                return payload
        return None

    def _listed(self, roots: Sequence[str], cursor: _Cursor | None) -> Iterator[RawPayload]:
        for root in roots:
            if cursor and parts(root) < parts(cursor.root):
                continue
            after = parts(cursor.path) if cursor and root == cursor.root else None
            for place in walk(root, after, self._skip):
                skipped = cursor.ordinal + 1 if cursor and after and place.given == cursor.path else 0
                for ordinal, payload in enumerate(self._payloads(place)):
                    if ordinal >= skipped:
                        yield payload.model_copy(update={"cursor": _Cursor.write(root, place, ordinal)})

    def _payloads(self, place: Place) -> Iterator[RawPayload]:
        version, found = "", None
        try:
            if place.problem:
                raise OSError(place.problem)
            status = os.stat(place.path)
            if not stat.S_ISREG(status.st_mode):
                raise OSError("not a regular file")
            version = f"{status.st_size}-{status.st_mtime_ns}"
            with open(place.path, "rb") as file:
                for found in self._extractor.extract(file, os.path.basename(place.path), status.st_size):
                    yield _payload(place, version, found)
        except FileNotFoundError:
            if os.path.islink(place.path):
                yield _payload(place, version, _unreadable("a link to nothing", found))
            # else it is gone since its folder was read
        except OSError as error:
            yield _payload(place, version, _unreadable(error.strerror or str(error), found))


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where a listing stands: the root, the path in it, and the number of the payload there."""

    root: str
    path: str
    ordinal: int

    @staticmethod
    def write(root: str, place: Place, ordinal: int) -> str:
        return json.dumps([root, place.given, ordinal])

    @classmethod
    def read(cls, cursor: str) -> _Cursor:
        try:
            root, path, ordinal = json.loads(cursor)
            if os.path.isabs(root) and os.path.isabs(path):
                return cls(root, path, int(ordinal))
            raise ValueError("not of this making")
        except (ValueError, TypeError):
            raise UsageError(f"source files: {cursor[:80]!r} is no cursor of its listings") from None


def _unreadable(note: str, last: Found | None) -> Found:
    """What can't be read: the file, or what would have come after the last record that could be."""
    if last is None:
        return Found("unreadable", note=note)
    end = (last.offset or 0) + len(last.content)
    return Found(
        "unreadable", "", offset=end, number=last.number + 1, member=last.member, inside=last.inside, note=note
    )


def _payload(place: Place, version: str, found: Found) -> RawPayload:
    name = named(place.path)
    inside = f"{name}!{found.inside}" if found.inside is not None else name
    whole = found.offset is None
    key = f"{inside}#{0 if whole else found.number}"
    return RawPayload(
        source=Files.name,
        source_id=found.source_id or (inside if whole else key),
        kind=found.kind,
        media_type=found.media_type,
        origin=Origin(
            uri=address(place.path),
            key=key,
            offset=found.offset,
            member=found.member,
            version=version,
            fetched_at=int(time.time() * 1000),
        ),
        content=found.content,
        note=found.note,
    )
