"""content_list_v2.json of MinerU 3: a list of pages, each a list of {type, content, bbox}, boxes in thousandths.

In `content` text is a list of spans. What goes on in another place is merged into its first block.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock.stages.parse.jsonnode import Node
from penstock.workers.mineru.draft import Draft
from penstock.workers.mineru.inline import flowing, formula, plain
from penstock.workers.mineru.place import Place, box, level, page_number
from penstock.workers.parsed import Parsed

_LEFT_OUT = frozenset({"page_header", "page_footer", "page_number", "page_aside_text"})
_MAX_DEPTH = 16


def read(root: Node, draft: Draft) -> Parsed:
    """Raises BadInput (schema) where `root` is not what MinerU 3 writes."""
    for index, page in enumerate(root):
        number = page_number(Node(index, page.steps))
        draft.page(number)
        for block in page:
            _block(block, Place(number, box(block["bbox"], 1000, 1000)), draft)
    return draft.parsed("MinerU 3")


def _block(block: Node, at: Place, draft: Draft) -> None:
    kind = block["type"].text
    content = block["content"]
    if kind in _LEFT_OUT:
        return
    caption = _text(content[f"{kind}_caption"], " ")
    image = content.at("image_source", "path").text.removesuffix("images/")
    match kind:
        case "title":
            draft.heading(_text(content["title_content"]), level(content["level"]), at)
        case "equation_interline":
            draft.formula(content["math_content"].text, at, image)
        case "image" | "chart":
            draft.figure(content["content"].text, at, caption, image)
        case "table":
            draft.table(content["html"].text, at, caption, image)
        case "code" | "algorithm":
            draft.code(_text(content[f"{kind}_content"]), at, caption)
        case "list" | "index":
            _items(content, at, draft)
        case "page_footnote":
            draft.note(_text(content["page_footnote_content"]), at)
        case _:
            draft.text(_text(content[f"{kind}_content"]), at)
    draft.note(_text(content[f"{kind}_footnote"], " "), at)


def _items(content: Node, at: Place, draft: Draft, depth: int = 1) -> None:
    if depth > _MAX_DEPTH:
        raise content.surprise("a list in fewer lists")
    references = content["list_type"].text == "reference_list"
    for item in content["list_items"]:
        text = _text(item["item_content"])
        if references:
            draft.reference(text, at)
        else:
            draft.text(text, at, "list_item")
        if item["list_items"]:
            _items(item, at, draft, depth + 1)


def _text(content: Node, gap: str = "") -> str:
    """A string, or spans; `gap` between those that are captions of their own."""
    return plain(content.text) if isinstance(content.value, str) else flowing(_pieces(content), gap)


def _pieces(spans: Node) -> Iterator[str]:
    """A link's spans have their text in its own `content`, too."""
    for span in spans:
        text = span["content"].text
        yield formula(text) if span["type"].text == "equation_inline" else plain(text)
