"""Small pieces of knowledge to put into a graph."""

from __future__ import annotations

from penstock.ir import Claim, Entity, Evidence, Identifier, Knowledge, Locator, StageContext

Item = tuple[StageContext, Knowledge]


def proof(quote: str = "a sentence", payload: str = "a" * 64) -> Evidence:
    return Evidence(field="condition", quote=quote, locator=Locator(payload=payload, pointer="/conditions/0"))


def says(doc_id: str, *triples: tuple[str, str, str], generation: int = 1, token: int = 1, **more: object) -> Item:
    """Knowledge of drugs and conditions: `drug predicate condition`, the names being the local keys too."""
    ids: dict[str, tuple[Identifier, ...]] = more.get("identifiers", {})  # type: ignore[assignment]
    tenant = str(more.get("tenant", "t"))
    names = {subject: "Drug" for subject, _, _ in triples} | {target: "Condition" for _, _, target in triples}
    knowledge = Knowledge(
        entities=tuple(
            Entity(key=name, type=type, name=name, identifiers=ids.get(name, ()), evidence=(proof(name),))
            for name, type in names.items()
        ),
        claims=tuple(
            Claim(
                subject=subject, predicate=predicate, object=target, evidence=(proof(f"{doc_id}: {subject} {target}"),)
            )
            for subject, predicate, target in triples
        ),
        extractor="by hand",
        version="1",
    )
    return StageContext(tenant, doc_id, "c", {"generation": generation, "token": token}), knowledge


def silent(doc_id: str, generation: int, token: int = 1) -> Item:
    ctx = StageContext("t", doc_id, "c", {"generation": generation, "token": token})
    return ctx, Knowledge(extractor="by hand", version="1")
