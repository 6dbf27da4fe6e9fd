"""content_list.json of MinerU 2 and 3: a flat list of blocks, boxes in thousandths, text as Markdown.

Captions and footnotes are lists of strings. What goes on in another place is merged into its first block, and a list is
often one text with hard line breaks. What was moved to the page's margin comes after everything else on the page.
"""

from __future__ import annotations

from penstock.stages.parse.jsonnode import Node
from penstock.workers.mineru.draft import Draft
from penstock.workers.mineru.inline import unescaped
from penstock.workers.mineru.place import Place, box, level, page_number
from penstock.workers.parsed import Parsed

_LEFT_OUT = frozenset({"header", "footer", "page_number", "aside_text", "discarded"})
_HARD_BREAK = "  \n"


def read(root: Node, draft: Draft) -> Parsed:
    """Raises BadInput (schema) where `root` is not what MinerU 2 or 3 writes."""
    pages = 0
    for block in root:
        number = page_number(block["page_idx"])
        pages = max(pages, number)
        _block(block, Place(number, box(block["bbox"], 1000, 1000)), draft)
    for number in range(1, pages + 1):
        draft.page(number)
    return draft.parsed("MinerU")


def _block(block: Node, at: Place, draft: Draft) -> None:
    kind = block["type"].text
    caption = " ".join(_strings(block[f"{kind}_caption"]))
    match kind:
        case kind if kind in _LEFT_OUT:
            return
        case "equation":
            draft.formula(block["text"].text, at, block["img_path"].text)
        case "image" | "chart":
            draft.figure(block["content"].text, at, caption, block["img_path"].text)
        case "table":
            draft.table(block["table_body"].text, at, caption, block["img_path"].text)
        case "code":
            draft.code(unescaped(block["code_body"].text), at, caption)
        case "list" | "index" | "ref_text":
            for item in _strings(block["list_items"]) or [unescaped(block["text"].text)]:
                if kind == "ref_text" or block["sub_type"].text == "ref_text":
                    draft.reference(item, at)
                else:
                    draft.text(item, at, "list_item")
        case "page_footnote":
            draft.note(unescaped(block["text"].text), at)
        case _:
            _text(block, at, draft)
    for note in _strings(block[f"{kind}_footnote"]):
        draft.note(note, at)


def _text(block: Node, at: Place, draft: Draft) -> None:
    text = unescaped(block["text"].text)
    if block["text_level"]:
        draft.heading(text, level(block["text_level"]), at)
    elif _HARD_BREAK in text.strip():
        for item in text.split(_HARD_BREAK):
            draft.text(item, at, "list_item")
    else:
        draft.text(text, at)


def _strings(node: Node) -> list[str]:
    """A list of strings, or one."""
    strings = [node] if isinstance(node.value, str) else list(node)
    return [unescaped(string.text) for string in strings]
