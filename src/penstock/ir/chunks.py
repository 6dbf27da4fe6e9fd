"""Chunks of a document and the vectors that stand for them."""

from __future__ import annotations

import io
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
        """`model`, NUL, `note`, NUL, then a .npy file (NEP 1)."""
        out = io.BytesIO()
        out.write(f"{self.model}\0{self.note}\0".encode())
        np.save(out, np.ascontiguousarray(self.rows, np.float32), allow_pickle=False)
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        model, note, array = data.split(b"\0", 2)
        return cls(model.decode(), np.load(io.BytesIO(array), allow_pickle=False), note.decode())
