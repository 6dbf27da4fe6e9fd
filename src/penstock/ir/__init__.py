"""What flows through a pipeline: frozen records, no behaviour beyond their own consistency."""

from penstock.ir.chunks import Chunk, Vectors
from penstock.ir.context import StageContext
from penstock.ir.documents import (
    Block,
    Document,
    DocumentDate,
    Field,
    Figure,
    Identifier,
    Locator,
    Provenance,
    Reference,
    Section,
    Table,
)
from penstock.ir.knowledge import Claim, Entity, Evidence, Knowledge
from penstock.ir.model import Record, clean_text
from penstock.ir.payloads import Origin, PDFFile, RawPayload, Request
from penstock.ir.receipts import GraphWriteReceipt, IndexReceipt

__all__ = [
    "Block",
    "Chunk",
    "Claim",
    "Document",
    "DocumentDate",
    "Entity",
    "Evidence",
    "Field",
    "Figure",
    "GraphWriteReceipt",
    "Identifier",
    "IndexReceipt",
    "Knowledge",
    "Locator",
    "Origin",
    "PDFFile",
    "Provenance",
    "RawPayload",
    "Record",
    "Reference",
    "Request",
    "Section",
    "StageContext",
    "Table",
    "Vectors",
    "clean_text",
]
