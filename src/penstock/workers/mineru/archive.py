"""A zip of results as a mapping from names to bytes, unpacked as they are asked for and never written out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO

from penstock.errors import BadInput
from penstock.sources.packed import Damaged, members

MAX_MEMBERS = 20_000
"""A scan cut into strips has some sixty pictures a page."""
MAX_MEMBER = 128 << 20
"""Unpacked bytes of one file: a hundred pages in the wordiest of the formats are about 20 MB."""
MAX_TOTAL = 512 << 20
"""Unpacked bytes of all files that are asked for."""


class ZippedFiles(Mapping[str, bytes]):
    """The files of a zip by the names they have in it; links, and names that lead out of it or can't be printed, are
    not there.

    Raises BadInput when the zip can't be unpacked, or is larger than honest results are.
    """

    def __init__(self, content: bytes) -> None:
        try:
            found = members(BytesIO(content))
        except Damaged as damage:
            raise _refused(damage) from damage
        if len(found) > MAX_MEMBERS:
            raise BadInput(f"MinerU's zip holds more than {MAX_MEMBERS} files", reason="too-large")
        self._members = {member.name: member for member in found if _is_plain(member.name)}
        self._left = MAX_TOTAL

    def __getitem__(self, name: str) -> bytes:
        member = self._members[name]
        parts, size = [], 0
        try:
            stream = member.open()
            while part := stream.read(1 << 20):
                size += len(part)
                self._left -= len(part)
                if size > MAX_MEMBER or self._left < 0:
                    raise BadInput(f"{name} in MinerU's zip is larger than it may be", reason="too-large")
                parts.append(part)
        except Damaged as damage:
            raise _refused(damage, f"{name} in ") from damage
        return b"".join(parts)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


def _is_plain(name: str) -> bool:
    return name.isprintable() and not name.startswith("/") and "\\" not in name and ".." not in name.split("/")


def _refused(damage: Damaged, what: str = "") -> BadInput:
    reason = damage.kind if damage.kind in ("truncated", "too-large", "encrypted") else "malformed"
    return BadInput(f"{what}MinerU's zip can't be unpacked: {damage}", reason=reason)
