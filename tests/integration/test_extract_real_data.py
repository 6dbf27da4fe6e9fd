"""The extractors on real documents: every evidence is where it says, in the text and in the payload."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from locators import resolve
from penstock.errors import BadInput
from penstock.ir import Document, Evidence, RawPayload, StageContext
from penstock.sources.files import Files
from penstock.stages.chunk import SentenceChunker
from penstock.stages.contracts import Extractable
from penstock.stages.extract import StructuredExtractor
from penstock.stages.extract.dictionary import DictionaryExtractor
from penstock.stages.parse import AutoParser

CHUNKER = SentenceChunker(SentenceChunker.Options())
EXTRACTOR = StructuredExtractor(StructuredExtractor.Options())
VOCABULARY = """\
id,name,synonyms,type
mesh:D009369,neoplasm,cancer|tumour|tumor|carcinoma,Disease
mesh:D003920,diabetes mellitus,diabetes|diabetic,Disease
mesh:D010361,patient,participant|subject,Concept
mesh:D004364,medicine,drug|tablet|treatment,Drug
"""


def check(evidence: Evidence, document: Document, payload: RawPayload, chunks: dict[str, tuple[int, int]]) -> None:
    """A span says what the text says there and starts in its chunk; a field says what its payload says there,
    if maybe in another order (a person's names)."""
    assert evidence.locator.payload == payload.sha256
    if evidence.start is not None:
        assert document.text[evidence.start : evidence.end] == evidence.quote
        assert evidence.chunk_id is not None
        start, end = chunks[evidence.chunk_id]
        assert start <= evidence.start < end
    elif evidence.field != "cites":
        there = resolve(payload.content, evidence.locator, html=payload.kind == "html")
        assert there.startswith(evidence.quote) or all(word in there for word in evidence.quote.split())


@pytest.mark.parametrize("folder", ["ctgov", "openalex", "openfda", "jats_pubmed"])
def test_every_claim_has_its_evidence(data: Path, folder: str, tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.csv"
    path.write_text(VOCABULARY)
    dictionary = DictionaryExtractor(DictionaryExtractor.Options(vocabulary=path))
    read = Counter[str]()
    for payload in Files().list({"paths": [str(data / folder)]}):
        ctx = StageContext("t", payload.source_id, "c", {"generation": 1, "token": 1})
        try:
            document = AutoParser().execute(ctx, payload)
        except BadInput:
            continue
        chunks = CHUNKER.execute(ctx, document)
        spans = {chunk.chunk_id: (chunk.start, chunk.end) for chunk in chunks}
        structured = EXTRACTOR.execute(ctx, Extractable(document, chunks))
        knowledge = dictionary.execute(ctx, Extractable(document, chunks, structured))
        known = {entity.key for entity in knowledge.entities}
        assert len(known) == len(knowledge.entities)
        for entity in knowledge.entities:
            for evidence in entity.evidence:
                check(evidence, document, payload, spans)
        for claim in knowledge.claims:
            assert claim.evidence
            assert claim.subject in known
            assert (claim.object in known) != (claim.value is not None)
            for evidence in claim.evidence:
                check(evidence, document, payload, spans)
        read["fields"] += len(structured.claims)
        read["text"] += len(knowledge.claims) - len(structured.claims)
    assert all(read[place] > 0 for place in ("fields", "text"))
