"""Chunks of a document and the vectors that stand for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from penstock.ir.model import Record, Text


class Chunk(Record):
    """`document.text[start:end] == text`, always. `heading` is the path of section headings above it."""

    chunk_id: str
    ordinal: int
    start: int
    end: int
    text: Text
    heading: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """One row a chunk, in the chunks' order: float32, shape (chunks, dimension). `model` names the vector space.

    `Vectors.none(why)` says that there are none, and why; an index then serves keywords only.
    """

    model: str
    rows: NDArray[np.float32]
    note: str = ""

    @classmethod
    def none(cls, note: str) -> Self:
        return cls("none", np.zeros((0, 0), np.float32), note)

    @property
    def present(self) -> bool:
        return self.model != "none"

    @property
    def dimension(self) -> int:
        return int(self.rows.shape[1]) if self.rows.ndim == 2 else 0

    def to_bytes(self) -> bytes:
        """`model`, `note`, rows and columns in decimal, each ended by NUL; then the rows, little-endian float32."""
        rows, columns = self.rows.shape
        return f"{self.model}\0{self.note}\0{rows}\0{columns}\0".encode() + self.rows.astype("<f4").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises ValueError when the bytes are not of this form."""
        model, note, rows, columns, body = data.split(b"\0", 4)
        array = np.frombuffer(body, "<f4").reshape(int(rows), int(columns))
        return cls(model.decode(), array, note.decode())
