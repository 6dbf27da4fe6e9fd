"""What is kept of MinerU's ZIPs: as they came but for the times in them, so that equal results are equal bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple
from zipfile import BadZipFile, ZipFile, ZipInfo

from penstock.errors import BadInput

_TIMELESS = struct.pack("<HH", 0, 1 << 5 | 1)
"""1980-01-01 00:00, the earliest there is."""
_TIME_IN_HEADER = 10
_TIME_IN_DIRECTORY = 12
_ENTRY = 46
"""Bytes of a directory entry before its name, extra field and comment, whose lengths stand at 28 (APPNOTE 4.3.12)."""


class RawPart(NamedTuple):
    """The ZIP of pages `first` to `last`."""

    first: int
    last: int
    content: bytes


def kept(parts: Sequence[RawPart]) -> bytes:
    """The one ZIP; of several, a ZIP that holds them. Raises BadInput (malformed) for what is none."""
    if len(parts) == 1:
        return _timeless(parts[0].content)
    packed = BytesIO()
    with ZipFile(packed, "w") as archive:
        for part in parts:
            name = f"pages-{part.first:05d}-{part.last:05d}.zip"
            archive.writestr(ZipInfo(name), _timeless(part.content))
    return packed.getvalue()


def _timeless(content: bytes) -> bytes:
    changed = bytearray(content)
    try:
        with ZipFile(BytesIO(content)) as archive:
            at = archive.start_dir
            for member in archive.infolist():
                struct.pack_into("4s", changed, member.header_offset + _TIME_IN_HEADER, _TIMELESS)
                struct.pack_into("4s", changed, at + _TIME_IN_DIRECTORY, _TIMELESS)
                at += _ENTRY + sum(struct.unpack_from("<HHH", content, at + 28))
    except (BadZipFile, struct.error) as error:
        raise BadInput(f"MinerU's zip can't be read: {error}", reason="malformed") from error
    return bytes(changed)
