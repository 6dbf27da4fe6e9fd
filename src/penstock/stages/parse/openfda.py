"""openFDA drug labels (https://open.fda.gov/apis/drug/label/searchable-fields/)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from penstock.ir import Document, RawPayload, StageContext
from penstock.stages.parse.builder import DocumentBuilder
from penstock.stages.parse.html_table import table_rows
from penstock.stages.parse.jsonnode import Node, Writer, identified

VERSION = "1"

_FIRST = (
    "boxed_warning",
    "indications_and_usage",
    "purpose",
    "active_ingredient",
    "dosage_and_administration",
    "dosage_forms_and_strengths",
    "contraindications",
    "warnings",
    "warnings_and_cautions",
    "precautions",
    "adverse_reactions",
    "drug_interactions",
    "use_in_specific_populations",
)
_LAST = ("package_label_principal_display_panel", "spl_product_data_elements")
_NO_PROSE = frozenset(("id", "set_id", "version", "effective_time", "openfda"))
_FIELDS = {
    "indications_and_usage": ("indication", ""),
    "contraindications": ("contraindication", ""),
    "boxed_warning": ("warning", "boxed"),
    "warnings": ("warning", ""),
    "warnings_and_cautions": ("warning", "precaution"),
    "precautions": ("warning", "precaution"),
    "adverse_reactions": ("adverse_reaction", ""),
    "drug_interactions": ("interaction", ""),
}
_PRODUCT = (
    ("brand_name", "brand_name"),
    ("generic_name", "generic_name"),
    ("substance_name", "ingredient"),
    ("manufacturer_name", "manufacturer"),
    ("route", "route"),
)
_CLASSES = (("epc", "EPC"), ("moa", "MoA"), ("pe", "PE"), ("cs", "CS"))
_TITLE = re.compile(r".{1,100}(?=\s|$)", re.DOTALL)


def parse(ctx: StageContext, payload: RawPayload) -> Document:
    """A label: its product's names, then every section under its own name, tables after the section they belong to.

    Raises BadInput: malformed or truncated JSON, `schema` where a value is not what openFDA documents, `empty` for a
    label that says nothing.
    """
    label = Node.root(payload.content)
    out = DocumentBuilder(ctx, payload, parser="openfda", version=VERSION)
    out.language = "en"
    write = Writer(out)
    _product(write, label)
    for key, node in _sections(label):
        out.section(_heading(key), 1)
        for text in _texts(node):
            write.prose(text)
            if key in _FIELDS:
                name, kind = _FIELDS[key]
                write.field(name, text, type=kind)
        for table in _texts(label[f"{key}_table"]):
            _table(write, table)
    _identity(write, label)
    return out.build()


def _sections(label: Node) -> Iterator[tuple[str, Node]]:
    """The label's sections, the most telling first; a table whose section is missing stands as its own."""
    keys = [
        key
        for key in label.value
        if key not in _NO_PROSE
        and isinstance(label.value[key], str | list)
        and not (key.endswith("_table") and key.removesuffix("_table") in label.value)
    ]
    rank = {key: place for place, key in enumerate(_FIRST)} | {key: len(_FIRST) + 2 for key in _LAST}
    for key in sorted(keys, key=lambda key: rank.get(key.removesuffix("_table"), len(_FIRST) + 1)):
        if key.endswith("_table"):
            yield key.removesuffix("_table"), Node(None)
        else:
            yield key, label[key]


def _heading(key: str) -> str:
    return key.removeprefix("spl_").replace("_", " ").capitalize()


def _texts(node: Node) -> Iterator[Node]:
    """A section's texts: an array of strings, or (in some exports) one string."""
    if isinstance(node.value, str):
        yield node
    else:
        yield from node


def _product(write: Writer, label: Node) -> None:
    openfda = label["openfda"]
    names = [next(_texts(openfda[key]), Node(None)) for key in ("brand_name", "generic_name", "substance_name")]
    write.title(*names)
    if not write.out.title:
        elements = next(_texts(label["spl_product_data_elements"]), Node(None)).text.strip()
        found = _TITLE.match(elements)
        write.out.title = found.group() if found else ""
    write.out.section("Product", 1)
    said = {write.out.title}
    substances = list(_texts(openfda["substance_name"]))
    unii, rxcui = list(_texts(openfda["unii"])), list(_texts(openfda["rxcui"]))
    for key, name in _PRODUCT:
        for node in _texts(openfda[key]):
            if node.text not in said:
                write.line(node, "list_item")
                said.add(node.text)
            ids = []
            if name == "ingredient" and len(substances) == 1:
                ids = [identified("unii", code) for code in unii] if len(unii) == 1 else []
                ids += [identified("rxcui", code) for code in rxcui]
            write.field(name, node, *ids)
    for suffix, kind in _CLASSES:
        for node in _texts(openfda[f"pharm_class_{suffix}"]):
            write.line(node, "list_item")
            write.field("pharm_class", node, type=kind)


def _identity(write: Writer, label: Node) -> None:
    write.out.identifier("spl-set-id", label["set_id"].text.lower())
    write.out.identifier("spl-id", label["id"].text)
    for number in _texts(label.at("openfda", "application_number")):
        write.out.identifier("fda-application", number.text)
    found = re.fullmatch(r"(\d{4})(\d{2})(\d{2})", label["effective_time"].scalar)
    if found:
        write.out.date("published", "-".join(found.groups()))


def _table(write: Writer, node: Node) -> None:
    caption, rows, header_rows = table_rows(node.text)
    if rows:
        write.out.table(rows, write.locator(node), caption=caption, header_rows=header_rows, html=node.text)
    else:
        write.out.block(caption, write.locator(node), exact=False)
