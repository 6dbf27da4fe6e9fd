"""No vector is taken on trust."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from penstock.errors import InvalidOutput


def checked(rows: Sequence[NDArray[np.float32]], dimension: int | None = None) -> NDArray[np.float32]:
    """The rows as one array of shape (rows, dimension).

    Raises InvalidOutput for rows that are not flat, differ in length (or from `dimension`), are empty, hold NaN or
    infinity, or are all zero: each of these would be found near nothing or near everything.
    """
    if not rows:
        return np.zeros((0, dimension or 0), np.float32)
    lengths = {row.shape for row in rows}
    expected = (dimension or rows[0].size,)
    if lengths != {expected} or expected == (0,):
        found = ", ".join(sorted("×".join(map(str, shape)) or "none" for shape in lengths))
        raise InvalidOutput(f"vectors of {expected[0] or 'some'} numbers each were expected, found {found}")
    array = np.stack(rows)
    if not np.isfinite(array).all():
        raise InvalidOutput("a vector holds NaN or infinity")
    if not array.any(axis=1).all():
        raise InvalidOutput("a vector is all zeros")
    return array
