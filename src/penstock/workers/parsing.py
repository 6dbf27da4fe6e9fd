"""One document at a gate: its file from the artifact store, through an engine, to what the gate gives."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import orjson

from penstock.errors import ArtifactLost, BadInput
from penstock.ir import Document, PDFFile, RawPayload, StageContext
from penstock.ir.codec import decode
from penstock.ir.model import Record
from penstock.ledger.ledger import Ledger
from penstock.ledger.turns import Claim, Done, Stored
from penstock.ledger.waiting import Waiter
from penstock.runner.gate import gate_key
from penstock.runner.outputs import at_rest
from penstock.sources.sniff import FAULTS
from penstock.stages.parse import AutoParser
from penstock.stores.artifacts import ArtifactStore
from penstock.workers.assemble import assemble
from penstock.workers.children import Child
from penstock.workers.parsed import Parsed
from penstock.workers.patience import Patience

_NO_RECORD = frozenset({"pdf", "uri-list", *FAULTS})
"""Kinds of payloads that state nothing about their PDF."""


class Kept(Record):
    """What an engine made of a file, kept by (document, engine, file): a record about the PDF may change as often as it
    likes, the file is parsed once. Images are names of artifacts here; `raw` is one, too."""

    parsed: Parsed
    raw: str | None = None


class Parsing:
    """`engine` is the digest of the engine with its options."""

    def __init__(
        self,
        ledger: Ledger,
        artifacts: ArtifactStore,
        patiently: Patience,
        field: str,
        engine: str,
        name: str,
        version: str,
    ) -> None:
        self._ledger, self._artifacts, self._patiently, self._field = ledger, artifacts, patiently, field
        self._engine, self._name, self._version = engine, name, version
        self._records = AutoParser()

    def output(
        self, waiter: Waiter, child: Child, place: Path, progress: Callable[[int, int], None], stop: Callable[[], None]
    ) -> tuple[Done, Document]:
        """The gate's output, at rest and as it is. `place` is where the file may lie meanwhile.

        Raises BadInput and InvalidOutput for what is the document's fault, ArtifactLost when its file is gone,
        StoreBusy, and what `Child.parse` raises.
        """
        claim = waiter.claim
        stored, pdf = self._patiently(lambda: self._file(waiter))
        kept = self._patiently(lambda: self._kept(waiter, pdf))
        kept = kept or self._parse(waiter, pdf, child, place, progress, stop)
        payload, record = self._patiently(lambda: self._payload(claim, waiter.content))
        document = assemble(
            kept.parsed,
            StageContext(claim.tenant, claim.doc_id, claim.correlation_id),
            payload,
            pdf.artifact,
            engine=self._name,
            version=self._version,
            raw=kept.raw,
            record=record,
        )
        key = gate_key(claim, self._field, waiter.content, stored.hash)
        done = self._patiently(lambda: at_rest(claim, key, Document, document, self._artifacts))
        return done, document

    def _file(self, waiter: Waiter) -> tuple[Stored, PDFFile]:
        stored = self._ledger.waiting.input(waiter, PDFFile.__name__)
        if stored is None:
            raise ArtifactLost("the ledger has lost this document's file")
        head, body = self._ledger.outputs.bodies([stored])[stored.id]
        return stored, decode(PDFFile, head, body if body is not None else self._artifacts.get(stored.hash.hex()))

    def _kept(self, waiter: Waiter, pdf: PDFFile) -> Kept | None:
        """What the engine gave for this file before, where that is still to be had."""
        found = self._stored(waiter.claim, Kept.__name__, self._key(waiter.claim, pdf))
        if found is None:
            return None
        try:
            return Kept.model_validate_json(found[1] if found[1] is not None else self._artifacts.get(found[2]))
        except ArtifactLost:
            return None

    def _parse(
        self,
        waiter: Waiter,
        pdf: PDFFile,
        child: Child,
        place: Path,
        progress: Callable[[int, int], None],
        stop: Callable[[], None],
    ) -> Kept:
        self._patiently(lambda: self._artifacts.fetch(pdf.artifact, place))
        parsed = child.parse(place, progress, stop)
        names = {name: self._put(data) for name, data in parsed.images.items()}
        elements = tuple(
            element.model_copy(update={"image": names.get(element.image)}) if element.image else element
            for element in parsed.elements
        )
        raw = None if parsed.raw is None else self._put(parsed.raw)
        kept = Kept(parsed=parsed.model_copy(update={"elements": elements, "images": {}, "raw": None}), raw=raw)
        key = self._key(waiter.claim, pdf)
        resting = self._patiently(lambda: at_rest(waiter.claim, key, Kept, kept, self._artifacts))
        self._patiently(lambda: self._ledger.outputs.keep(resting))
        return kept

    def _put(self, data: bytes) -> str:
        return self._patiently(lambda: self._artifacts.put(data))

    def _payload(self, claim: Claim, content: bytes) -> tuple[RawPayload, Document | None]:
        """The document's payload, without its bytes, and what it states when it is a record about the PDF."""
        found = self._stored(claim, RawPayload.__name__, content)
        if found is None:
            raise ArtifactLost("the ledger has lost this document's payload")
        head, body, name = found
        payload: RawPayload = decode(RawPayload, head, b"")
        if payload.kind in _NO_RECORD:
            return payload, None
        record = decode(RawPayload, head, body if body is not None else self._artifacts.get(name))
        try:
            return payload, self._records.execute(
                StageContext(claim.tenant, claim.doc_id, claim.correlation_id), record
            )
        except BadInput:  # a record that says nothing is no reason to lose the PDF
            return payload, None

    def _stored(self, claim: Claim, kind: str, key: bytes) -> tuple[bytes | None, bytes | None, str] | None:
        """Head, body and the body's name in the artifact store."""
        found: list[Stored] = list(self._ledger.outputs.existing(kind, [(claim.document_id, key)]).values())
        if not found:
            return None
        head, body = self._ledger.outputs.bodies(found)[found[0].id]
        return head, body, found[0].hash.hex()

    def _key(self, claim: Claim, pdf: PDFFile) -> bytes:
        return sha256(orjson.dumps([claim.tenant, claim.doc_id, self._engine, pdf.artifact])).digest()
