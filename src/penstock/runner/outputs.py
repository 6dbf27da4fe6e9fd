"""A stage's outputs: what they are found again by, whether they are what the contract says, how they rest."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, get_args, get_origin

import orjson

from penstock.errors import Fenced, InvalidOutput, StageFailed
from penstock.ir import Chunk, Document
from penstock.ir.codec import encode
from penstock.ledger.work import Claim, Done, StageKey, Stored
from penstock.pipelines.catalogue import type_name
from penstock.runner.plan import PlannedStage
from penstock.stores.artifacts import ArtifactStore

INLINE_BYTES = 256 * 1024
"""Larger bodies rest in the artifact store."""


def output_key(
    claim: Claim, planned: PlannedStage, stage: StageKey, sources: Mapping[str, Stored], listings: Mapping[str, str]
) -> bytes:
    """What a pure output is found again by: tenant and document, the stage as it is, and its inputs' hashes.

    Of a payload only the bytes are hashed, but a listing says more about it: `listings` has, for each field it fills,
    the hash of what it is.
    """
    inputs = sorted((f, stored.hash.hex(), *([listings[f]] if f in listings else [])) for f, stored in sources.items())
    parts: list[object] = [claim.tenant, claim.doc_id, planned.hash, inputs]
    if planned.contract.sink:
        parts += [claim.generation, claim.order, stage.store]
    return sha256(orjson.dumps(parts)).digest()


def check(planned: PlannedStage, stage: StageKey, source_id: str, item: Any, value: Any) -> None:
    """Raises InvalidOutput for what breaks the contract, Fenced when a sink has something newer, StageFailed when its
    store is no more the one the work is recorded for."""
    contract = planned.contract
    wrong = _mismatch(contract.gives, value) or (contract.check and contract.check(item, value))
    if wrong:
        raise InvalidOutput(f"{planned.definition['implementation']}: {wrong}")
    if not contract.sink:
        return
    if value.store != stage.store:
        if planned.implementation.store_id() == stage.store:
            raise InvalidOutput(
                f"{planned.definition['implementation']}: its receipt names the store {value.store}, "
                f"but what it writes to is {stage.store}"
            )
        raise StageFailed(
            f"{planned.name}: its store was replaced while it was written to",
            reason="store-replaced",
            next_step="run the same again: what the new store lacks is written to it",
        )
    if not value.accepted:
        raise Fenced(f"the store holds a newer generation of {source_id}")


def at_rest(claim: Claim, key: bytes, kind: Any, value: Any, artifacts: ArtifactStore, attempts: int = 1) -> Done:
    """An output in the form in which it rests, big bytes already in the artifact store."""
    head, body = encode(kind, value)
    inline = len(body) <= INLINE_BYTES
    if not inline:
        artifacts.put(body)
    stored = Stored(0, claim.document_id, key, sha256(body).digest(), type_name(kind), len(body))
    return Done(claim, stored, head, body if inline else None, attempts=attempts, **columns(value))


def columns(value: Any) -> dict[str, Any]:
    """What the ledger keeps of an output in columns of its own: titles and chunks, for looking things up."""
    if isinstance(value, Document):
        return {"title": value.title}
    if isinstance(value, list) and value and isinstance(value[0], Chunk):
        return {"chunk_rows": [(c.chunk_id, c.start, c.end) for c in value]}
    return {}


def _mismatch(kind: Any, value: Any) -> str | None:
    outer = get_origin(kind) or kind
    if not isinstance(value, outer):
        return f"gave {type(value).__name__} where its contract says {type_name(kind)}"
    if outer is list and (arguments := get_args(kind)):
        wrong = next((v for v in value if not isinstance(v, arguments[0])), None)
        if wrong is not None:
            return f"gave a list with {type(wrong).__name__} in it where its contract says {type_name(kind)}"
    return None
