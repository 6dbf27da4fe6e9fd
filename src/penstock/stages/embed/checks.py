"""No vector is taken on trust."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from penstock.errors import InvalidOutput, ServiceUnavailable
from penstock.stores.search_rows import Space

Rows = NDArray[np.float32]

LOOK_AT_THE_MODEL = (
    "look at what runs the model: half precision that overflows gives such vectors (use float32);"
    " then: penstock retry --reason invalid-output"
)


class VectorIndex(Protocol):
    """The index that the vectors are for: `space` is what its first vectors decided; asking makes no file."""

    @property
    def path(self) -> Path: ...

    @property
    def exists(self) -> bool: ...

    @property
    def space(self) -> Space | None: ...

    def pin(self, given: Space) -> Space: ...


def checked(rows: Sequence[Rows]) -> Rows:
    """The rows as one array of shape (rows, dimension).

    Raises InvalidOutput for rows that are not flat, differ in length, are empty, hold NaN or infinity, or are all
    zero: each of these would be found near nothing or near everything.
    """
    if not len(rows):
        return np.zeros((0, 0), np.float32)
    shapes = {row.shape for row in rows}
    if len(shapes) > 1 or len(rows[0].shape) != 1 or not rows[0].size:
        found = ", ".join(sorted("×".join(map(str, shape)) or "none" for shape in shapes))
        raise InvalidOutput(f"vectors of one length were expected, found {found} numbers")
    array = np.stack(rows)
    if not np.isfinite(array).all():
        raise InvalidOutput("a vector holds NaN or infinity", next_step=LOOK_AT_THE_MODEL)
    if not array.any(axis=1).all():
        raise InvalidOutput("a vector is all zeros", next_step=LOOK_AT_THE_MODEL)
    return array


class OneSpace:
    """A model has one dimension: the one that the index holds of it. The first vectors decide, before they rest.

    So an endpoint that serves another model under the old name is found out before its vectors rest anywhere.
    """

    def __init__(self, model: str, index: VectorIndex) -> None:
        self._model, self._index = model, index
        self._first: int | None = None

    def check(self, rows: Sequence[Rows]) -> Sequence[Rows]:
        """The rows, all of this model's dimension.

        Raises ServiceUnavailable (other-vectors) for others: of one document it is that document's failure, of all the
        endpoint's.
        """
        sizes = list(dict.fromkeys(row.size for row in rows))
        if not sizes:
            return rows
        held = held_space(self._index) or self._index.pin(Space(self._model, sizes[0]))
        if held.model == self._model:
            expected, whose = held.dimension, f"the index at {self._index.path} holds vectors of {held.dimension}"
        else:
            expected = self._first = self._first or sizes[0]
            whose = f"the first ones had {expected}"
        given = next((size for size in sizes if size != expected), None)
        if given is None:
            return rows
        raise ServiceUnavailable(
            f"{self._model} gives vectors of {given} dimensions now, but {whose}: another model answers to that name",
            reason="other-vectors",
            next_step=f"serve the model that gives {expected} dimensions again, or name the new one differently "
            "(PENSTOCK_EMBED_MODEL); then: penstock index rebuild",
        )


def held_space(index: VectorIndex) -> Space | None:
    """What an index holds; None where there is none yet, or no vectors in it."""
    return index.space if index.exists else None
