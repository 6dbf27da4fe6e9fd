"""The middle file of MinerU 2 and 3: pages of blocks, lines and spans in points of the page.

MinerU merges what goes on in another place: the lines of such a block are moved to the end of the one before (their
block is left with `lines_deleted`), the rows of a table to the table on an earlier page. `preproc_blocks` has all
blocks as they were, so each part is given back what was its own, and stands on its own page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from penstock.stages.parse.jsonnode import Node
from penstock.workers.joining import joined
from penstock.workers.mineru.draft import Draft
from penstock.workers.mineru.inline import flowing, formula, plain
from penstock.workers.mineru.place import Place, around, box, level, page_number, size
from penstock.workers.parsed import Box, Parsed

_FORMULAS = frozenset({"inline_equation", "interline_equation"})


def read(root: Node, draft: Draft) -> Parsed:
    """Raises BadInput (schema) where `root` is not what MinerU 2 or 3 writes."""
    if not isinstance(root["pdf_info"].value, list):
        raise root["pdf_info"].surprise("an array of pages")
    merged = _Merged()
    for page in root["pdf_info"]:
        _Page(page, draft, merged).read()
    version, backend = root["_version_name"].text, root["_backend"].text
    return draft.parsed(" ".join(filter(None, ("MinerU", version, backend))))


class _Merged:
    """Lines, or items of a list, that were moved to an earlier block, on their way back."""

    def __init__(self) -> None:
        self._moved: dict[str, Iterator[Node]] = {"lines": iter(()), "blocks": iter(())}

    def own(self, block: Node, before: Node, key: str) -> list[Node]:
        """What was the block's own when it was as `before`."""
        there = list(block[key])
        count = len(list(before[key]))
        if not there and _is_emptied(block):
            return list(islice(self._moved[key], count))
        if not before or len(there) <= count:
            return there
        self._moved[key] = iter(there[count:])
        return there[:count]


class _Page:
    """One page's blocks, on their way into the draft."""

    def __init__(self, page: Node, draft: Draft, merged: _Merged) -> None:
        self._node = page
        self._draft = draft
        self._merged = merged
        self._number = page_number(page["page_idx"])
        self._size = size(page["page_size"])
        draft.page(self._number, *self._size)
        self._before = {_name(block): block for block in page["preproc_blocks"]}
        self._nothing = Node(None, page.steps)

    def read(self) -> None:
        for block in self._node["para_blocks"] if self._node["para_blocks"] else self._node["preproc_blocks"]:
            self._block(block, self._before.get(_name(block), self._nothing))
        for block in self._node["discarded_blocks"]:
            if block["type"].text == "page_footnote":
                self._draft.note(_prose(block["lines"]), self._place(block))

    def _place(self, block: Node) -> Place:
        return Place(self._number, box(block["bbox"], *self._size))

    def _block(self, block: Node, before: Node) -> None:
        at = self._place(block)
        match block["type"].text:
            case "title":
                self._draft.heading(_prose(block["lines"]), level(block["level"]) if block["level"] else 1, at)
            case "interline_equation":
                latex, image = _pictured(block["lines"])
                self._draft.formula(latex, at, image)
            case "image" | "chart" | "table" | "code":
                self._composed(block, before, at)
            case "list" | "index":
                self._list(block, before)
            case kind:
                lines = self._own(block, before, "lines")
                if kind == "ref_text":
                    self._draft.reference(_prose(lines), at, continues=_is_emptied(block))
                else:
                    self._draft.text(_prose(lines), at, continues=_is_emptied(block))

    def _own(self, block: Node, before: Node, key: str) -> list[Node]:
        own = self._merged.own(block, before, key)
        if not own and _is_emptied(block):
            self._draft.merged(self._place(block))
        return own

    def _list(self, block: Node, before: Node) -> None:
        """Its items are blocks, or begin at lines that say so."""
        if block["blocks"]:
            for item in self._own(block, before, "blocks"):
                self._item(block, list(item["lines"]), box(item["bbox"], *self._size))
            return
        items: list[list[Node]] = []
        for line in self._own(block, before, "lines"):
            if not items or line["is_list_start_line"].value is True:
                items.append([])
            items[-1].append(line)
        for lines in items:
            self._item(block, lines, around([box(line["bbox"], *self._size) for line in lines]))

    def _item(self, block: Node, lines: list[Node], around_it: Box) -> None:
        at = Place(self._number, around_it)
        if block["sub_type"].text == "ref_text":
            self._draft.reference(_prose(lines), at)
        else:
            self._draft.text(_prose(lines), at, "list_item")

    def _composed(self, block: Node, before: Node, at: Place) -> None:
        """A figure, table or code with what is written about it. A table's rows are those it had before."""
        kind = block["type"].text
        parts: dict[str, list[Node]] = {"body": [], "caption": [], "footnote": []}
        for part in block["blocks"]:
            parts.setdefault(part["type"].text.rpartition("_")[2], []).append(part)
        caption = " ".join(_prose(part["lines"]) for part in parts["caption"])
        if kind == "table" and before:
            parts["body"] = [part for part in before["blocks"] if part["type"].text == "table_body"]
        for body in parts["body"]:
            if kind == "code":
                self._draft.code("\n".join(flowing(_pieces(line), " ") for line in body["lines"]), at, caption)
                continue
            content, image = _pictured(body["lines"])
            if kind == "table":
                self._draft.table(content, at, caption, image)
            else:
                self._draft.figure(content, at, caption, image)
        for note in parts["footnote"]:
            self._draft.note(_prose(note["lines"]), self._place(note))


def _name(block: Node) -> str:
    """What tells a block from others of its page, before and after it was merged."""
    return str((block["index"].value, block["bbox"].value))


def _is_emptied(block: Node) -> bool:
    return block["lines_deleted"].value is True


def _prose(lines: Iterable[Node]) -> str:
    return joined(flowing(_pieces(line), " ") for line in lines)


def _pieces(line: Node) -> Iterator[str]:
    for span in line["spans"]:
        text = _said(span["content"])
        yield formula(text) if span["type"].text in _FORMULAS else plain(text)


def _pictured(lines: Node) -> tuple[str, str]:
    """What is said of a picture (a table's HTML, a formula's LaTeX, what can be read in it), and its file's name."""
    spans = [span for line in lines for span in line["spans"]]
    said = "\n".join(filter(None, (span["html"].text or _said(span["content"]) for span in spans)))
    return said, next((span["image_path"].text for span in spans if span["image_path"]), "")


def _said(content: Node) -> str:
    """A string, or several."""
    return "\n".join(part.text for part in content) if isinstance(content.value, list) else content.text
