"""How a flowing value rests: bytes and back, for any type a contract gives.

A RawPayload's content is kept verbatim, so that the stored body is the bytes that came; everything else about it goes
into a small head. So does what a PDFFile says of its bytes, whose name is the body: equal bytes are equal. Vectors have
a binary form of their own; all other types are JSON by pydantic.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import TypeAdapter

from penstock.ir.chunks import Vectors
from penstock.ir.payloads import PDFFile, RawPayload


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def encode(kind: Any, value: Any) -> tuple[bytes | None, bytes]:
    """`(head, body)`; the head is None for all types but RawPayload and PDFFile."""
    if kind is RawPayload:
        return value.model_dump_json(exclude={"content", "page_end"}).encode(), value.content
    if kind is PDFFile:
        return value.model_dump_json(exclude={"artifact"}).encode(), value.artifact.encode()
    if kind is Vectors:
        return None, value.to_bytes()
    return None, _adapter(kind).dump_json(value)


def decode(kind: Any, head: bytes | None, body: bytes) -> Any:
    """The value again. Raises ValueError when the bytes are not of this kind."""
    if kind is RawPayload:
        fields = _adapter(dict[str, Any]).validate_json(head or b"{}")
        return RawPayload(**fields, content=body)
    if kind is PDFFile:
        return PDFFile(**_adapter(dict[str, Any]).validate_json(head or b"{}"), artifact=body.decode())
    if kind is Vectors:
        return Vectors.from_bytes(body)
    return _adapter(kind).validate_json(body)
