"""What a sink answers: proof of what rests where."""

from __future__ import annotations

from penstock.ir.model import Record, Text


class IndexReceipt(Record):
    """`store` is the index's own uuid: a receipt of another index proves nothing about this one.

    `accepted` False: the index already holds a newer generation or token, and kept it.
    """

    store: str
    generation: int
    token: int
    chunks: int
    vectors: int
    accepted: bool = True
    note: Text = ""


class GraphWriteReceipt(Record):
    """As IndexReceipt, for the graph: how many entities and claims the document now supports there."""

    store: str
    generation: int
    token: int
    entities: int
    claims: int
    accepted: bool = True
