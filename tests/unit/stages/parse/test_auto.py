from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from json_cases import CTX, payload, truncations
from penstock.errors import BadInput
from penstock.sources.files import Files
from penstock.sources.sniff import FAULTS, KNOWN, READ
from penstock.stages.contracts import ParseStage
from penstock.stages.parse import AutoParser

REASONS = {*FAULTS, "unsupported", "schema"}


def test_it_is_a_parse_stage_that_needs_nothing() -> None:
    parser = AutoParser(AutoParser.Options())
    assert isinstance(parser, ParseStage)
    assert (parser.contract, parser.needs) == ("ParseStage", ())


@pytest.mark.parametrize("kind", READ)
def test_every_kind_that_is_said_to_be_read_has_a_parser(kind: str) -> None:
    with pytest.raises(BadInput) as caught:
        AutoParser().execute(CTX, payload(kind, b""))
    assert caught.value.reason == "empty"


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_of_the_source_is_the_reason_of_the_refusal(kind: str) -> None:
    broken = payload(kind, b"x").model_copy(update={"note": "at byte 7"})
    with pytest.raises(BadInput, match="at byte 7") as caught:
        AutoParser().execute(CTX, broken)
    assert caught.value.reason == kind
    assert ("PENSTOCK_MAX_PAYLOAD_MB" in caught.value.next_step) == (kind == "too-large")


TWO_PHASES = {
    "pdf": "penstock run pdf-two-phase PATH…",
    "uri-list": "penstock run pdf-two-phase --source urls --query urls=ADDRESS",
}


@pytest.mark.parametrize("kind", [*sorted(KNOWN.keys() - TWO_PHASES), "something else"])
def test_a_kind_that_nothing_reads_is_refused_and_told_what_is_read(kind: str) -> None:
    with pytest.raises(BadInput, match="nothing reads this kind") as caught:
        AutoParser().execute(CTX, payload(kind, b"x"))
    assert caught.value.reason == "unsupported"
    assert all(known in caught.value.next_step for known in READ)


@pytest.mark.parametrize(("kind", "command"), TWO_PHASES.items())
def test_a_kind_that_another_pipeline_reads_is_refused_with_its_command(kind: str, command: str) -> None:
    with pytest.raises(BadInput, match="in two phases") as caught:
        AutoParser().execute(CTX, payload(kind, b"x"))
    assert (caught.value.reason, caught.value.next_step) == ("unsupported", command)


def test_real_files_cut_short_give_documents_or_refusals_that_say_why(data: Path, tmp_path: Path) -> None:
    files = [
        path for folder in ("ctgov", "openalex", "openfda", "jats_pubmed") for path in (data / folder).rglob("*.*")
    ]
    parser = AutoParser()
    for path in files:
        content = path.read_bytes()
        whole = {found.sha256 for found in Files().list({"paths": [str(path)]})}
        for number, cut in enumerate(truncations(content, points=10 if len(content) < 60_000 else 2)):
            place = tmp_path / f"{number}-{path.name}"
            place.write_bytes(cut)
            found = list(Files().list({"paths": [str(place)]}))
            assert found, place
            assert {payload.sha256 for payload in found[:-1]} <= whole
            for last in found[-2:]:
                try:
                    parser.execute(CTX, last)
                except BadInput as refusal:
                    assert refusal.reason in REASONS, (place, refusal.message)  # noqa: PT017


def test_records_cut_out_of_a_file_keep_its_encoding(tmp_path: Path) -> None:
    record = (
        "<PubmedArticle><MedlineCitation><PMID>{}</PMID><Article><ArticleTitle>Ménière’s</ArticleTitle>"
        "</Article></MedlineCitation></PubmedArticle>"
    )
    text = "<?xml version='1.0' encoding='windows-1252'?><PubmedArticleSet>" + record.format(1) + record.format(2)
    (tmp_path / "two.xml").write_bytes((text + "</PubmedArticleSet>").encode("windows-1252"))
    found = list(Files().list({"paths": [str(tmp_path)]}))
    assert [payload.source_id for payload in found] == ["1", "2"]
    assert [AutoParser().execute(CTX, payload).title for payload in found] == ["Ménière’s"] * 2


def test_a_record_is_read_without_the_namespaces_its_wrapper_declares(tmp_path: Path) -> None:
    (tmp_path / "oai.xml").write_text(
        '<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/" xmlns:xlink="http://www.w3.org/1999/xlink"><record>'
        '<metadata><article><front><article-meta><article-id pub-id-type="pmc">7</article-id><title-group>'
        "<article-title>On drugs</article-title></title-group></article-meta></front>"
        '<body><p>See <ext-link xlink:href="x">there</ext-link>.</p></body></article></metadata></record></OAI-PMH>'
    )
    [payload] = Files().list({"paths": [str(tmp_path)]})
    document = AutoParser().execute(CTX, payload)
    assert (payload.source_id, document.title) == ("PMC7", "On drugs")
    assert "See there." in document.text


def test_no_format_is_imported_before_its_first_payload() -> None:
    code = (
        "import sys, penstock.stages.parse as p, penstock.sources.files as f;"
        "bad = [m for m in ('lxml', 'markdown_it', 'haystack', 'dagster') if m in sys.modules]; assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
