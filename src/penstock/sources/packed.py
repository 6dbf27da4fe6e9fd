"""Compressed files and zip archives, read as streams and never written out, with caps against bombs."""

from __future__ import annotations

import errno
import lzma
import stat
import struct
import zipfile
import zlib
from collections import Counter
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from typing import BinaryIO, Protocol

MAX_RATIO = 200
"""A stream that inflates to more than this many times its packed size is taken for a bomb…"""
FREE = 16 << 20
"""…but not before it has given this many bytes."""
MAX_MEMBERS = 60_000
MAX_DIRECTORY = 64 << 20
"""Bytes of a zip file's directory, which is held in memory."""

_BROKEN = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError, OSError, ValueError, struct.error)
"""What the standard library raises for packed data that is broken, encrypted or packed in a way it doesn't know."""
_PIECE = 1 << 16
_ZIP_PIECE = 1 << 12
"""Bytes asked of a zip member at a time: no more are lost before those that can't be unpacked."""
_QUOTED = str.maketrans({"%": "%25", "!": "%21", "#": "%23"})
"""What parts a member's name from others in a key, where it is in the name itself."""


class Readable(Protocol):
    def read(self, size: int, /) -> bytes:
        """At least one byte and at most `size`; none at the end."""
        ...


class Damaged(Exception):
    """Packed data that can't be unpacked (any further). `kind` is one of sources.sniff.FAULTS."""

    def __init__(self, message: str, kind: str = "malformed") -> None:
        super().__init__(message)
        self.kind = kind


class Unpacked:
    """A stream of unpacked bytes. Raises Damaged where it is broken, or gives far more bytes than honest data does."""

    def __init__(self, stream: Readable, packed: int) -> None:
        self._stream = stream
        self._left = max(FREE, MAX_RATIO * packed)

    def read(self, size: int, /) -> bytes:
        try:
            chunk = self._stream.read(size)
        except _BROKEN as error:
            raise _damage(error) from error
        self._left -= len(chunk)
        if self._left < 0:
            raise Damaged(f"inflates to more than {MAX_RATIO} times its size", "too-large")
        return chunk


def _damage(error: Exception) -> Damaged:
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
        raise error  # the disk's fault: bz2 and a seek to nowhere have no number, or this one
    if isinstance(error, EOFError):
        return Damaged("the packed data ends too early", "truncated")
    if isinstance(error, NotImplementedError):
        return Damaged(f"packed in a way that is not read: {error}", "archive")
    return Damaged(f"the packed data is broken: {error}")


class _Gunzip:
    """A gzip stream (RFC 1952), of one member or several, that gives all there is before it says that it is broken."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._inflate = zlib.decompressobj(wbits=31)
        self._packed = b""
        self._error: zlib.error | None = None

    def read(self, size: int, /) -> bytes:
        part = b""
        while not part and self._fed():
            part = self._inflated(size)
        return part

    def _inflated(self, size: int) -> bytes:
        """What the packed bytes at hand give; where they break, what is before that."""
        before = self._inflate.copy()
        try:
            part = self._inflate.decompress(self._packed, size)
        except zlib.error as error:  # which throws away what was inflated in the same call
            self._error = error
            whole = bytearray()
            with suppress(zlib.error):
                for at in range(len(self._packed)):
                    whole += before.decompress(self._packed[at : at + 1])
            return bytes(whole)
        self._packed = self._inflate.unconsumed_tail or self._inflate.unused_data
        return part

    def _fed(self) -> bool:
        """Have packed bytes at hand, and the decompressor of the member that they belong to; False at a proper end."""
        if self._error:
            raise self._error
        while True:
            self._packed = self._packed or self._file.read(_PIECE)
            if not self._inflate.eof:
                if not self._packed:
                    raise EOFError
                return True
            if not self._packed:
                return False
            self._packed = self._packed.lstrip(b"\0")
            if self._packed:
                self._inflate = zlib.decompressobj(wbits=31)


def gunzipped(file: BinaryIO, size: int) -> Readable:
    return Unpacked(_Gunzip(file), size)


class _Summed:
    """A member of a zip archive, that gives all there is before it says that this is not what was packed.

    Its checksum is not left to zipfile, which throws away what it read last where that is another.
    """

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        unsummed = copy(info)
        del unsummed.CRC
        self._stream = archive.open(unsummed)
        self._info = info
        self._sum = self._size = 0

    def read(self, size: int, /) -> bytes:
        part = self._stream.read(min(size, _ZIP_PIECE))
        self._sum = zlib.crc32(part, self._sum)
        self._size += len(part)
        if part or self._sum == self._info.CRC:
            return part
        if self._size < self._info.file_size:
            raise EOFError
        raise zipfile.BadZipFile("its checksum is another")


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside an archive. Its name is a label: nothing is ever written under it.

    `key` is no other member's, also where an archive holds several of one name.
    """

    name: str
    key: str
    info: zipfile.ZipInfo
    archive: zipfile.ZipFile

    def open(self) -> Readable:
        """Its bytes, from the start. Raises Damaged when they can't be had."""
        if self.info.flag_bits & 1:
            raise Damaged("the archive is encrypted", "encrypted")
        try:
            return Unpacked(_Summed(self.archive, self.info), self.info.compress_size)
        except _BROKEN as error:
            raise _damage(error) from error


def members(file: BinaryIO) -> list[Member]:
    """The files of a zip archive, in its directory's order, without hidden names (those that macOS adds are) and links.

    Raises Damaged when it has too many, or is broken.
    """
    _check_directory(file)
    try:
        archive = zipfile.ZipFile(file)
    except _BROKEN as error:
        raise _damage(error) from error
    times: Counter[str] = Counter()
    found = []
    for info in archive.infolist():
        if not info.filename.endswith("/") and not _is_passed_over(info):
            name = _label(info)
            times[name] += 1
            key = name.translate(_QUOTED) + (f"!{times[name]}" if times[name] > 1 else "")
            found.append(Member(name, key, info, archive))
    return found


def _is_passed_over(info: zipfile.ZipInfo) -> bool:
    hidden = any(part.startswith(".") and part.strip(".") for part in info.filename.split("/"))
    return hidden or stat.S_ISLNK(info.external_attr >> 16)


def _label(info: zipfile.ZipInfo) -> str:
    """The member's name; of one too long to be a key anywhere, its end and its place in the file."""
    return info.filename if len(info.filename) <= 255 else f"{info.header_offset}-{info.filename[-200:]}"


def _check_directory(file: BinaryIO) -> None:
    """Judge by the end record (APPNOTE.TXT 4.3.16) before the directory is read into memory."""
    size = file.seek(0, 2)
    file.seek(max(0, size - (1 << 16) - 22))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at >= 0 and len(tail) - at >= 22:
        count, length = struct.unpack_from("<HL", tail, at + 10)
        if count > MAX_MEMBERS or length > MAX_DIRECTORY:
            raise Damaged(f"an archive of more than {MAX_MEMBERS} files", "too-large")
    file.seek(0)
