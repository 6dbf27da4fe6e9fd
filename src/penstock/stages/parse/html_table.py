"""A table out of a fragment of HTML."""

from __future__ import annotations

from typing import Any

from penstock.stages.parse.tables import Cell, grid, span


def table_rows(fragment: str) -> tuple[str, list[list[str]], int]:
    """Caption, rows (merged cells filled in) and the number of heading rows of the first table in `fragment`.

    Without a table the fragment's text is the caption, and there are no rows.
    """
    from lxml import etree, html

    parser = html.HTMLParser(no_network=True, huge_tree=False, recover=True, remove_comments=True, remove_pis=True)
    try:
        root = html.fromstring(f"<div>{fragment}</div>", parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError):
        return " ".join(fragment.split()), [], 0
    table: Any = next(root.iter("table"), None)
    if table is None:
        return _words(root), [], 0
    caption = next(table.iter("caption"), None)
    lines = [row for row in table.iter("tr") if next(row.iterancestors("table")) is table]
    cells = [
        [
            Cell(_words(cell), span(cell.get("colspan")), span(cell.get("rowspan")))
            for cell in row.iterchildren("td", "th")
        ]
        for row in lines
    ]
    headings = len([row for row in lines if row.getparent().tag == "thead"])
    return _words(caption) if caption is not None else "", grid(cells), headings


def _words(element: Any) -> str:
    return " ".join(" ".join(element.itertext()).split())
