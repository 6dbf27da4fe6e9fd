"""The bytes of an HTTP response: decoded, counted, and never waited for longer than allowed."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Protocol

import httpcore

from penstock.errors import AttemptTimeout, BadInput, ServiceUnavailable, TerminalError
from penstock.resilience.asked import Asked
from penstock.resilience.classify import classify

ACCEPTED = "gzip, deflate"
"""What zlib decodes piece by piece with a bound on what comes out, which the others' libraries don't offer."""

_PIECE = 1 << 20
_EITHER_HEADER = zlib.MAX_WBITS | 32


class Decoder(Protocol):
    def decode(self, data: bytes) -> Iterator[bytes]: ...

    def finish(self) -> bytes:
        """The last bytes. Raises ServiceUnavailable when the data ended too early."""
        ...


class _Identity:
    def decode(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> bytes:
        return b""


class _Inflater:
    """gzip and zlib, told apart by their headers, and the bare deflate that some servers send instead of zlib."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(_EITHER_HEADER)
        self._begun = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        if not self._begun and data[0] != 0x1F and data[0] & 0x0F != 8:
            self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
        self._begun = True
        while data and not self._zlib.eof:
            try:
                yield self._zlib.decompress(data, _PIECE)
            except zlib.error as error:
                raise ServiceUnavailable(f"a compressed answer that can't be read: {error}") from error
            data = self._zlib.unconsumed_tail

    def finish(self) -> bytes:
        last = self._zlib.flush() if self._begun else b""
        if self._begun and not self._zlib.eof:
            raise ServiceUnavailable("the answer ended within its compressed body")
        return last


def decoder_for(encoding: str) -> Decoder:
    """Raises TerminalError for an encoding that wasn't asked for."""
    match encoding.strip().lower():
        case "" | "identity":
            return _Identity()
        case "gzip" | "x-gzip" | "deflate":
            return _Inflater()
        case other:
            raise TerminalError(f"the answer is encoded as {other[:40]!r}, not {ACCEPTED}", reason="encoding")


class Body:
    """One response's body, on the loop it was received on.

    `most`: bytes after decoding, more is BadInput (too-large). `gap`: seconds between two pieces; `due`: loop time at
    which all of it must be there; either passing is an AttemptTimeout. Other faults of the line come classified.
    """

    def __init__(
        self, response: httpcore.Response, decoder: Decoder, asked: Asked, *, most: int, gap: float, due: float
    ) -> None:
        self._response = response
        self._decoder = decoder
        self._asked = asked
        self._most, self._gap, self._due = most, gap, due
        self._pieces = self._decoded()
        self._size = 0

    async def read(self, size: int) -> tuple[bytes, bool]:
        """About `size` bytes or all there are, and whether that was the end; then the response is closed."""
        pieces: list[bytes] = []
        have = 0
        while have < size:
            piece = await self.next()
            if not piece:
                return b"".join(pieces), True
            pieces.append(piece)
            have += len(piece)
        return b"".join(pieces), False

    async def next(self) -> bytes:
        """The next piece, never empty before the end. Any error closes the response."""
        try:
            with self._asked.told():
                piece = await anext(self._pieces, b"")
        except BaseException:
            await self.aclose()
            raise
        self._size += len(piece)
        if self._size > self._most:
            await self.aclose()
            raise BadInput(f"the answer is larger than {self._most / (1 << 20):g} MiB", reason="too-large")
        if not piece:
            await self.aclose()
        return piece

    async def aclose(self) -> None:
        await self._response.aclose()

    async def _decoded(self) -> AsyncIterator[bytes]:
        async for data in self._received():
            for piece in self._decoder.decode(data):
                if piece:
                    yield piece
        if last := self._decoder.finish():
            yield last

    async def _received(self) -> AsyncIterator[bytes]:
        stream = self._response.aiter_stream()
        now = asyncio.get_running_loop().time
        while True:
            try:
                async with asyncio.timeout_at(min(now() + self._gap, self._due)):
                    data = await anext(stream, None)
            except TimeoutError as error:
                raise AttemptTimeout("the answer's body did not come in time") from error
            except Exception as error:
                raise classify(error) from error
            if data is None:
                return
            if data:
                yield data
