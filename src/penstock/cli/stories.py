"""The stories of `penstock.explain`, told on a terminal."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from penstock.cli.pages import on_pages, textless
from penstock.cli.screen import counted, document_name, moment, one_line, say, short, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from penstock.explain import (
        ChunkStory,
        DocumentStory,
        EdgeStory,
        EvidenceStory,
        JobStory,
        Origination,
        Passage,
        StageStory,
        Standing,
    )

_STYLES = {"done": "green", "dead": "red", "failed": "yellow", "running": "cyan", "waiting": "cyan"}
_NOW = {
    "same": ("it has the same bytes still", "green"),
    "changed": ("other bytes stand there by now: run the pipeline again to take them in", "yellow"),
    "unreadable": ("it can't be read now: see the permissions of the file and of its folders", "yellow"),
    "gone": ("it is gone, or has no such record any more; its bytes are kept here", "yellow"),
}
_SHOWN_PASSAGES = 12
_SHOWN_EVIDENCE = 12


def tell_document(console: Console, story: DocumentStory) -> None:
    """Bytes, standing, then each generation's way, the newest in full."""
    _head(console, story)
    _tell_origin(console, story.origin)
    for uri in story.other_places[:3]:
        _fact(console, "also at", uri)
    if story.pages is not None:
        missing = textless(story.missing_pages)
        _fact(console, "pages", f"{story.pages:,}{missing}", "yellow" if missing else "")
    console.print()
    _tell_standing(console, story.standing)
    for number, job in enumerate(story.jobs):
        console.print()
        _tell_job(console, job, full=number == 0)
    say(console, f"penstock explain {story.doc_id} --raw writes the bytes as they came", "dim")


def tell_chunk(console: Console, story: ChunkStory) -> None:
    """Its text, piece by piece with the place each came from, then its document."""
    from rich.padding import Padding

    say(console, f"chunk {story.chunk_id} of generation {story.generation}", "bold")
    if story.heading:
        _fact(console, "under", " › ".join(story.heading))
    _fact(console, "text", f"characters {story.start:,}–{story.end:,} of the document's")
    console.print(Padding(text(short(story.text, 600)), (0, 0, 0, 2), expand=False))
    console.print()
    if story.pages:
        _fact(console, "stands on", on_pages(story.pages))
        _fact(console, "look at it", f"penstock picture {story.chunk_id}", "bold")
        console.print()
    for passage in story.passages[:_SHOWN_PASSAGES]:
        _tell_passage(console, passage, story.document.origin)
    if len(story.passages) > _SHOWN_PASSAGES:
        say(console, f"  … and {len(story.passages) - _SHOWN_PASSAGES} passages more: --json has all", "dim")
    console.print()
    _head(console, story.document)
    _tell_origin(console, story.document.origin)
    _tell_standing(console, story.document.standing)
    say(console, f"penstock explain {story.document.doc_id} tells all of its document", "dim")


def tell_edge(console: Console, story: EdgeStory, most: int = _SHOWN_EVIDENCE) -> None:
    """The edge, then each evidence down to the bytes."""
    from rich.text import Text

    ends = (one_line(story.subject), "bold"), (f" ─ {story.predicate} → ", "cyan"), (one_line(story.object), "bold")
    console.print(Text.assemble(*ends))
    say(console, f"edge {story.id}, said by {counted(story.documents, 'document')}", "dim")
    passages = _by_passage(story.evidence)
    for same in passages[:most]:
        console.print()
        _tell_evidence(console, same)
    if len(passages) > most:
        say(console, f"… and {len(passages) - most} more: penstock explain --edge {story.id} --json", "dim")


def _by_passage(evidence: Sequence[EvidenceStory]) -> list[list[EvidenceStory]]:
    """Evidences that are one and the same passage, found by several fields, together."""
    together: dict[object, list[EvidenceStory]] = {}
    for one in evidence:
        passage = (one.doc_id, one.generation, one.passage.locator.model_dump_json(), one.passage.text)
        together.setdefault(passage, []).append(one)
    return list(together.values())


def _tell_evidence(console: Console, same: Sequence[EvidenceStory]) -> None:
    from rich.padding import Padding

    evidence = same[0]
    console.print(Padding(text(f"“{evidence.passage.text}”", "italic"), (0, 0, 0, 2), expand=False))
    name = document_name(evidence.source_id or evidence.doc_id)
    about = f", {short(evidence.title, 60)}" if evidence.title and evidence.title != evidence.source_id else ""
    _fact(console, "document", f"{name}{about}, generation {evidence.generation}")
    if evidence.start is not None:
        chunk = f", chunk {evidence.chunk_id}" if evidence.chunk_id else ""
        _fact(console, "text", f"characters {evidence.start:,}–{evidence.end:,}{chunk}")
    if fields := ", ".join(dict.fromkeys(one.field for one in same if one.field)):
        _fact(console, "field", fields)
    for key, value in sorted(evidence.attributes.items()):
        _fact(console, key, value)
    _fact(console, "found by", f"{evidence.extractor} {evidence.version}")
    if evidence.origin is None:
        _fact(console, "bytes", evidence.passage.problem or "they are not kept any more", "yellow")
        return
    _tell_place(console, evidence.passage, evidence.origin)
    _fact(console, "read", f"{moment(evidence.origin.fetched_at)}, sha256 {evidence.origin.sha256}")


def _tell_passage(console: Console, passage: Passage, origin: Origination) -> None:
    from rich.padding import Padding

    from penstock.ledger.graph_view import describe

    console.print(Padding(text(short(passage.text, 200), "italic"), (0, 0, 0, 2), expand=False))
    if passage.locator.page is None:
        _tell_place(console, passage, origin)
    else:
        _fact(console, "place", describe(passage.locator))


def _tell_place(console: Console, passage: Passage, origin: Origination) -> None:
    """File, place in it, and what stands there."""
    from penstock.ledger.graph_view import describe

    _fact(console, "file", _file(origin))
    _fact(console, "place", describe(passage.locator))
    found = passage.found
    if passage.locator.page is not None:
        return
    if found is None:
        _fact(console, "bytes", passage.problem, "yellow")
        return
    where = ""
    if found.start is not None and found.end is not None:
        first = found.start + (origin.offset or 0)
        where = f"bytes {first:,}–{first + found.end - found.start:,} of the file: "
    elif found.line is not None:
        where = f"from line {found.line:,} of the {'record' if origin.offset else 'file'}: "
    same = "the very same text stands there" if passage.exact else f"made from “{short(found.text, 160)}”"
    _fact(console, "bytes", f"{where}{same}", "green" if passage.exact else "")
    _tell_now(console, origin)


def _head(console: Console, story: DocumentStory) -> None:
    from rich.text import Text

    console.print(Text.assemble((document_name(story.source_id), "bold"), f"  {one_line(story.title or '')}"))
    _fact(console, "document", f"{story.doc_id}, generation {story.generation}, pipeline {story.pipeline}")


def _tell_origin(console: Console, origin: Origination) -> None:
    _fact(console, "from", _file(origin))
    size = f"{counted(origin.size, 'byte')} of {origin.kind}"
    _fact(console, "bytes", f"{size}, read {moment(origin.fetched_at)}" if origin.fetched_at else size)
    _fact(console, "sha256", origin.sha256)
    _tell_now(console, origin)
    if origin.note:
        _fact(console, "note", origin.note, "yellow")


def _tell_now(console: Console, origin: Origination) -> None:
    if origin.now in _NOW:
        _fact(console, "file now", *_NOW[origin.now])


def _file(origin: Origination) -> str:
    member = f", member {origin.member}" if origin.member is not None else ""
    offset = f", from byte {origin.offset:,}" if origin.offset is not None else ""
    return f"{shown_path(origin.uri)}{member}{offset}"


def shown_path(uri: str) -> str:
    """A path below the current folder as a person there would type it."""
    here = os.getcwd() + os.sep
    return uri.removeprefix(here)


def _tell_standing(console: Console, standing: Standing) -> None:
    def held(generation: int | None) -> str:
        return "nothing" if generation is None else f"generation {generation}"

    if not standing.searchable:
        verdict, style = f"no: {standing.why}", "red"
    elif standing.index is not None and standing.index > standing.ledger:
        verdict, style = f"yes, but not as this ledger knows it: {standing.why}", "yellow"
    elif standing.index != standing.ledger:
        verdict, style = f"yes, but an older generation: {standing.why}", "yellow"
    else:
        verdict, style = f"yes{f'; but {standing.why}' if standing.why else ''}", "yellow" if standing.why else "green"
    _fact(console, "searchable", verdict, style)
    stores = f"index {held(standing.index)}, graph {held(standing.graph)}"
    _fact(console, "stands at", f"ledger generation {standing.ledger} ({standing.status}), {stores}")
    if gate := standing.gate:
        until = f", until {moment(gate.until)} at most" if gate.until else ""
        at = f"; worked on since {moment(gate.worked_on)}" if gate.worked_on else ""
        _fact(console, "waits", f"since {moment(gate.since)}{until}{at}")
    if standing.next_step:
        _fact(console, "next", standing.next_step, "bold")


def _tell_job(console: Console, story: JobStory, *, full: bool) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.padding import Padding
    from rich.table import Column, Table

    job = story.job
    again = f", round {job.round}" if job.round > 1 else ""
    head = f"generation {job.generation} in pipeline {job.pipeline}{again}: {job.status}, {moment(job.updated_at)}"
    say(console, head, "bold" if full else "dim")
    if not full:
        return
    came = [f"{b.batch}{f' (submission {b.submission})' if b.submission else ''}" for b in story.batches[:4]]
    if came:
        more = f" and {len(story.batches) - 4} more" if len(story.batches) > 4 else ""
        _fact(console, "came by", f"batch {', '.join(came)}{more}")
    right = [Column(name, justify="right") for name in ("tries", "seconds")]
    table = Table("stage", "status", Column("by", overflow="fold"), *right, box=SIMPLE_HEAD)
    for stage in story.stages:
        seconds = "" if stage.seconds is None else f"{stage.seconds:.2f}"
        status = f"{stage.status}{', reused' if stage.reused else ''}{f', lost {stage.lost}' if stage.lost else ''}"
        row = (text(stage.stage), text(status, _STYLES.get(stage.status, "dim")), text(_doer(stage)))
        table.add_row(*row, str(stage.attempts or ""), seconds)
    console.print(table)
    if any(stage.seconds is not None for stage in story.stages):
        say(console, "  seconds are those of the group of documents that was committed with it", "dim")
    for stage in story.stages:
        if stage.reason and stage.status in ("dead", "failed"):
            say(console, f"  {stage.stage} {stage.status}: {stage.error_type}, {stage.reason}: {stage.message}", "red")
    for letter in story.dead_letters:
        told = f"dead letter at {letter.stage}, round {letter.round}, {moment(letter.created_at)}: {letter.message}"
        console.print(Padding(text(told, "dim"), (0, 0, 0, 2), expand=False))


def _doer(stage: StageStory) -> str:
    """`sentences 1, size=200`."""
    if stage.implementation is None:
        return ""
    model = f", model {stage.model}" if stage.model else ""
    options = "".join(f", {k}={json.dumps(v, ensure_ascii=False)}" for k, v in (stage.options or {}).items() if v)
    return f"{stage.implementation} {stage.version}{model}{options}"


def _fact(console: Console, label: str, value: str, style: str = "") -> None:
    from rich.padding import Padding
    from rich.table import Table

    line = Table.grid(padding=(0, 1))
    line.add_column(width=10)
    line.add_column(overflow="fold")
    line.add_row(text(label, "dim"), text(value, style))
    console.print(Padding(line, (0, 0, 0, 2), expand=False))
