"""docvortex.middle 2.0, which MinerU 4 writes: pages of blocks in reading order, boxes in fractions.

A block's `content` is its text as spans, a string (formulas, code, what is in a picture, a table's HTML) or blocks: a
table, figure or code of its body, captions and footnotes, a list of its items. Values that are the default are left
out.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock.stages.parse.jsonnode import Node
from penstock.workers.mineru.draft import Draft
from penstock.workers.mineru.inline import flowing, formula
from penstock.workers.mineru.place import Place, box, level, page_number, size
from penstock.workers.parsed import Parsed

_LEFT_OUT = frozenset({"header", "footer", "page_number", "aside_text"})
_MAX_DEPTH = 16


def read(root: Node, draft: Draft) -> Parsed:
    """Raises BadInput (schema) where `root` is not what MinerU 4 writes."""
    if (root["schema"].text, root["schema_version"].text) != ("docvortex.middle", "2.0"):
        raise root["schema"].surprise("docvortex.middle of schema_version 2.0, the only one that is read,")
    sizes = {
        page_number(page["page_idx"]): size(page["width_pt"], page["height_pt"])
        for page in root.at("extensions", "docvortex_layout", "pages")
    }
    for page in root["pages"]:
        number = page_number(page["page_idx"])
        draft.page(number, *sizes.get(number, (0.0, 0.0)))
        for block in page["blocks"]:
            _block(block, Place(number, box(block["bbox"])), draft)
    producer = root.at("metadata", "producer")
    tier = root.at("extensions", "mineru", "tier").text
    return draft.parsed(
        " ".join(filter(None, ("MinerU", producer["version"].text, tier))),
        root.at("metadata", "document", "title").text,
    )


def _block(block: Node, at: Place, draft: Draft) -> None:
    kind = block["type"].text
    continues = block["continues_prev"].value is True
    match kind:
        case kind if kind in _LEFT_OUT:
            pass
        case "doc_title" | "paragraph_title":
            draft.heading(_text(block["content"]), level(block["level"]), at)
        case "ref_text":
            draft.reference(_text(block["content"]), at, continues=continues)
        case "page_footnote":
            draft.note(_text(block["content"]), at)
        case "equation":
            draft.formula(block["content"].text, at, block["image_path"].text)
        case "list" | "index":
            _items(block, at, draft)
        case "image" | "chart" | "table" | "code":
            _composed(block, at, draft)
        case _:
            draft.text(_text(block["content"]), at, continues=continues)


def _items(block: Node, at: Place, draft: Draft, depth: int = 1) -> None:
    if depth > _MAX_DEPTH:
        raise block.surprise("a list in fewer lists")
    for item in block["content"]:
        there = Place(at.page, box(item["bbox"], default=at.box))
        match item["type"].text:
            case "list" | "index":
                _items(item, there, draft, depth + 1)
            case "ref_text":
                draft.reference(_text(item["content"]), there)
            case _:
                draft.text(_text(item["content"]), there, "list_item")


def _composed(block: Node, at: Place, draft: Draft) -> None:
    """A figure, table or code with what is written about it."""
    kind = block["type"].text
    parts: dict[str, list[Node]] = {"body": [], "caption": [], "footnote": []}
    for part in block["content"]:
        parts.setdefault(part["type"].text.rpartition("_")[2], []).append(part)
    caption = " ".join(_text(part["content"]).strip() for part in parts["caption"])
    for body in parts["body"] or [Node(None, block.steps)]:
        content, image = body["content"], body["image_path"].text
        if kind == "code":
            draft.code(_text(content), at, caption)
        elif kind == "table" and (content.text or image):
            draft.table(content.text, at, caption, image)
        else:
            draft.figure(content.text, at, caption, image)
    for note in parts["footnote"]:
        draft.note(_text(note["content"]), Place(at.page, box(note["bbox"], default=at.box)))


def _text(content: Node) -> str:
    """A string, or spans."""
    return content.text if isinstance(content.value, str) else flowing(_pieces(content))


def _pieces(spans: Node, depth: int = 1) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        raise spans.surprise("a span in fewer spans")
    for span in spans:
        if span["type"].text == "equation_inline":
            yield formula(span["content"].text)
        elif span["type"].text == "hyperlink":
            yield from _pieces(span["content"], depth + 1)
        else:
            yield span["content"].text
