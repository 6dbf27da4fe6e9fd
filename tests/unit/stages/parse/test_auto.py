from __future__ import annotations

import subprocess
import sys

import pytest
from json_cases import CTX, payload

from penstock.errors import BadInput
from penstock.sources.sniff import FAULTS, KNOWN, READ
from penstock.stages.contracts import ParseStage
from penstock.stages.parse import AutoParser


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


@pytest.mark.parametrize("kind", [*KNOWN, "something else"])
def test_a_kind_that_nothing_reads_is_refused_and_told_what_is_read(kind: str) -> None:
    with pytest.raises(BadInput) as caught:
        AutoParser().execute(CTX, payload(kind, b"x"))
    assert caught.value.reason == "unsupported"
    assert all(known in caught.value.next_step for known in READ)


def test_no_format_is_imported_before_its_first_payload() -> None:
    code = (
        "import sys, penstock.stages.parse as p, penstock.sources.files as f;"
        "bad = [m for m in ('lxml', 'markdown_it', 'haystack', 'dagster') if m in sys.modules]; assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
