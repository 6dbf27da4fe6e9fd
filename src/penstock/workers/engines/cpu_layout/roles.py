"""What blocks are: title, headings, captions, items of lists, tables, paragraphs; which go on from the one before."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from penstock.ir.documents import BlockKind
from penstock.workers.engines.cpu_layout.blocks import WORD, Block, ends_sentence
from penstock.workers.engines.cpu_layout.grid import Rows, grid, is_sure
from penstock.workers.engines.cpu_layout.lines import MARKER
from penstock.workers.engines.cpu_layout.words import compounds
from penstock.workers.parsed import Box, Element

_TABLES = r"table|tab\.|tabelle|tableau|tabl?[ae]|tabell?[aer]|cuadro|quadro|таблица|табл\.|表|표"
_CAPTION = re.compile(
    r"(?:supplementary |extended data )?"
    rf"(?:fig(?:ure|\.)?|scheme|algorithm|listing|box|chart|plate|abb(?:ildung|\.)|{_TABLES}"
    r"|figura|рис(?:унок|\.)?|图|圖|図|그림) ?"
    r"(?:[A-Z]?\d{1,3}(?:\.\d{1,2})?|[IVX]{1,5})(?:[A-Za-z])?(?:[.:|]| ?[–—-] |$)",
    re.I,
)
_TABLE = re.compile(rf"(?:{_TABLES}|tab) ?[A-Z]?(?:\d|[IVX]+\b)", re.I)
_NUMBERED = re.compile(r"(\d{1,2}(?:\.\d{1,2}){0,4})\.?\s")
_LEAST_LINES = 3
"""Of a paragraph, where it has no more characters than a heading."""
_BIGGER = 1.08
"""Times the body's size: a heading by its size alone."""
_NOT_SMALLER = 0.92
_LONGEST_HEADING = 200
_MOST_LINES = 4
_DEEPEST_LEVEL = 6
_TITLE_SIZE = 1.15
_TITLE_ABOVE = 0.65
"""Of the first page's height: where a title starts."""
_LONGEST_TITLE = 400
_FRONT = re.compile(
    r"abstract|summary|key ?words|introduction|background|objectives?|r[ée]sum[ée]|zusammenfassung", re.I
)
"""What may be a heading between the title and the text: names and addresses are large or bold there, too."""
_ABSTRACT = re.compile(r"(?:a ?b ?s ?t ?r ?a ?c ?t|summary|r[ée]sum[ée]|zusammenfassung)(?:\s*[.:—–-]|$)", re.I)
_ADDRESS = re.compile(r"\W*correspond(?:ence|ing)", re.I)
_LABELS = re.compile(r"(?:original |research |review )?(?:article|paper|report|review)|.*\bopen access", re.I)
_LONG_PARAGRAPH = 200
"""Characters."""
_MOST_BETWEEN = 100
"""Blocks that may stand between the two parts of a sentence."""


class Placed(NamedTuple):
    """A block on its page. `column`: which of the page's columns it is in. `box`: in fractions. `aside`: it is turned
    otherwise than most of the page's text."""

    block: Block
    page: int
    column: int
    box: Box
    aside: bool = False


@dataclass(frozen=True, slots=True)
class _Draft:
    placed: Placed
    text: str
    rows: Rows = ()
    kind: BlockKind = "paragraph"
    caption: str = ""


def elements(placed: Sequence[Placed]) -> tuple[list[Element], str]:
    """The elements in reading order, and the title's text, "" where none looks like one."""
    own = compounds(line.text for part in placed for line in part.block.lines)
    drafts = [_draft(part, text) for part in placed if (text := part.block.text(own))]
    body = _body_size(part.block for part in placed)
    first = min((part.page for part in placed), default=0)
    title = _title([draft for draft in drafts if draft.placed.page == first], body)
    front = _front(drafts, title, body, _body_size(part.block for part in placed if part.page == first))
    prose = _prose_sizes(drafts)
    drafts = [
        replace(draft, kind="title" if draft in title else _kind(drafts, place, body, prose, in_front=place in front))
        for place, draft in enumerate(drafts)
    ]
    drafts = _with_captions(drafts)
    levels = _levels(drafts)
    found = [_element(draft, levels, continues) for draft, continues in _in_sentences(drafts, body)]
    return found, " ".join(draft.text for draft in title)


def _draft(placed: Placed, text: str) -> _Draft:
    return _Draft(placed, text, grid(placed.block.lines) if placed.block.tabular else ())


def _body_size(blocks: Iterable[Block]) -> float:
    """The size of most characters, in half points."""
    sizes: Counter[float] = Counter()
    for block in blocks:
        for line in block.lines:
            sizes[_rounded(line.size)] += len(line.text)
    return max(sizes, key=lambda size: (sizes[size], size), default=0.0)


def _prose_sizes(drafts: Iterable[_Draft]) -> frozenset[float]:
    """The sizes, in half points, of which most characters are in paragraphs: one may be larger than the body's where
    most of that is no prose, but programs, say."""
    sizes: Counter[float] = Counter()
    for draft in drafts:
        block = draft.placed.block
        is_long = len(block.lines) >= _LEAST_LINES or len(draft.text) > _LONGEST_HEADING
        sizes[_rounded(block.size)] += len(draft.text) if is_long else -len(draft.text)
    return frozenset(size for size, count in sizes.items() if count > 0)


def _rounded(size: float) -> float:
    return round(2 * size) / 2


def _title(drafts: list[_Draft], body: float) -> list[_Draft]:
    """Of the first page's drafts those of the largest font, one below the other."""
    likely = [
        draft
        for draft in drafts
        if not draft.placed.aside
        and draft.placed.block.size >= _TITLE_SIZE * body
        and draft.placed.box[1] < _TITLE_ABOVE
        and len(draft.text) <= _LONGEST_TITLE
        and len(draft.text.split()) > 1
        and WORD.search(draft.text)
        and not _LABELS.fullmatch(draft.text)
    ]
    largest = max((draft.placed.block.size for draft in likely), default=0.0)
    title: list[_Draft] = []
    for draft in drafts:
        if draft in likely and draft.placed.block.size >= _NOT_SMALLER * largest:
            title.append(draft)
        elif title:
            break
    return title


def _front(drafts: list[_Draft], title: list[_Draft], *usual: float) -> range:
    """The places between the title and the abstract or the first long paragraph: of authors and where they are, which
    may be as long, but are bold, of an unusual size or no sentences."""
    if not title:
        return range(0)
    start = drafts.index(title[-1]) + 1
    for place, draft in enumerate(drafts[start:], start):
        block = draft.placed.block
        prose = len(draft.text) >= _LONG_PARAGRAPH and (block.size < _BIGGER * max(usual) or ends_sentence(draft.text))
        if _ABSTRACT.match(draft.text) or (prose and not block.bold and block.size >= _NOT_SMALLER * min(usual)):
            return range(start, place)
    return range(start, start)


def _kind(drafts: list[_Draft], place: int, body: float, prose: frozenset[float], *, in_front: bool) -> BlockKind:
    draft = drafts[place]
    if draft.placed.block.tabular:
        return "table" if _is_table(drafts, place, in_front=in_front) else "paragraph"
    if _CAPTION.match(draft.text):
        return "caption"
    if draft.placed.page == drafts[0].placed.page and _ABSTRACT.fullmatch(draft.text):
        return "heading"
    if _is_heading(draft, body, prose) and not (
        in_front and not _FRONT.match(draft.text) and not _NUMBERED.match(draft.text)
    ):
        return "heading"
    return "list_item" if MARKER.match(draft.text) else "paragraph"


def _is_table(drafts: list[_Draft], place: int, *, in_front: bool) -> bool:
    """Where a caption says so, or there can be no doubt. What stands in columns below a title may be its authors."""
    draft = drafts[place]
    beside = drafts[max(place - 1, 0) : place] + drafts[place + 1 : place + 2]
    said = any(_TABLE.match(other.text) for other in beside)
    return bool(draft.rows) and (said or (not in_front and is_sure(draft.placed.block.lines, draft.rows)))


def _with_captions(drafts: list[_Draft]) -> list[_Draft]:
    """Tables with the caption above or else below them, which is no part of its own then."""
    done: list[_Draft] = []
    for draft in drafts:
        last = done[-1] if done else draft
        if draft.kind == "table" and _is_of_table(last):
            done[-1] = replace(draft, caption=last.text)
        elif last.kind == "table" and not last.caption and _is_of_table(draft):
            done[-1] = replace(last, caption=draft.text)
        else:
            done.append(draft)
    return done


def _is_of_table(draft: _Draft) -> bool:
    return draft.kind == "caption" and bool(_TABLE.match(draft.text))


def _is_heading(draft: _Draft, body: float, prose: frozenset[float]) -> bool:
    block, text = draft.placed.block, draft.text
    if draft.placed.aside or len(text) > _LONGEST_HEADING or len(block.lines) > _MOST_LINES or not WORD.search(text):
        return False
    if not _NUMBERED.match(text) and (text[-1] in ".。" or MARKER.match(text)):
        return False
    if text[-1] in ",;":
        return False
    if block.size >= _BIGGER * body and _rounded(block.size) not in prose:
        return True
    return block.size >= _NOT_SMALLER * body and (block.bold or text.isupper())


def _levels(drafts: list[_Draft]) -> dict[tuple[float, bool], int]:
    """Of each style that headings have, the largest first."""
    styles = sorted({_style(draft) for draft in drafts if draft.kind == "heading"}, reverse=True)
    return {style: min(level, _DEEPEST_LEVEL) for level, style in enumerate(styles, 1)}


def _style(draft: _Draft) -> tuple[float, bool]:
    return _rounded(draft.placed.block.size), draft.placed.block.bold


def _in_sentences(drafts: list[_Draft], body: float) -> list[tuple[_Draft, bool]]:
    """The drafts, and whether each goes on the one before it: what stood between the two comes behind them."""
    done: list[tuple[_Draft, bool]] = []
    for draft in drafts:
        begun = _begun([last for last, _ in done[-_MOST_BETWEEN:]], draft, body)
        done.insert(len(done) - (begun or 0), (draft, begun is not None))
    return done


def _begun(before: list[_Draft], draft: _Draft, body: float) -> int | None:
    """How many drafts stand between what this one goes on and itself, None if it goes on nothing. Those between are
    notes, tables and figures, not formulas; only what is as large as most text goes on beyond them."""
    between: list[_Draft] = []
    for last in reversed(before):
        if _goes_on(last, draft):
            shown = any(one.kind in ("caption", "table") for one in between)
            formulas = not shown and any(one.placed.block.tabular for one in between)
            return None if formulas else len(between)
        if draft.placed.block.size < _NOT_SMALLER * body or not _is_between(last, draft, between):
            return None
        between.append(last)
    return None


def _is_between(last: _Draft, draft: _Draft, below: list[_Draft]) -> bool:
    """Whether it is a note, a table or a part of a figure, as a line above one in its column is."""
    a, b = last.placed, draft.placed
    if _is_inset(last) or _ADDRESS.match(last.text) or (a.aside and not b.aside):
        return True
    if a.block.size < _NOT_SMALLER * b.block.size:
        return True
    if not below or last.kind != "paragraph" or len(a.block.lines) > 1:
        return False
    return _is_inset(below[-1]) and (a.page, a.column) == (below[-1].placed.page, below[-1].placed.column)


def _is_inset(draft: _Draft) -> bool:
    return draft.kind in ("caption", "table") or draft.placed.block.tabular


def _goes_on(last: _Draft, draft: _Draft) -> bool:
    a, b = last.placed, draft.placed
    if (a.page, a.column) == (b.page, b.column) or a.aside != b.aside or not _is_open(last):
        return False
    if draft.kind != "paragraph" or b.block.tabular:
        return False
    alike = abs(a.block.size - b.block.size) <= (1 - _NOT_SMALLER) * a.block.size
    return alike and (draft.text[0].islower() or (_is_filled(a.block) and len(draft.text) >= _LONG_PARAGRAPH))


def _is_open(draft: _Draft) -> bool:
    """Whether it is running text that doesn't end with a sentence."""
    if draft.kind not in ("paragraph", "list_item") or draft.placed.block.tabular:
        return False
    return not ends_sentence(draft.text) and not _ADDRESS.match(draft.text)


def _is_filled(block: Block) -> bool:
    """Whether its last line is full, as one is that goes on elsewhere."""
    return len(block.lines) > 1 and block.box[2] - block.lines[-1].box[2] < block.size


def _element(draft: _Draft, levels: dict[tuple[float, bool], int], continues: bool) -> Element:
    is_table = draft.kind == "table"
    level = 0
    if draft.kind == "heading":
        number = _NUMBERED.match(draft.text)
        level = number[1].count(".") + 1 if number else levels[_style(draft)]
    return Element(
        kind=draft.kind,
        text="\n".join(map("\t".join, draft.rows)) if is_table else draft.text,
        page=draft.placed.page,
        box=draft.placed.box,
        level=level,
        continues=continues,
        caption=draft.caption,
        rows=draft.rows if is_table else (),
    )
