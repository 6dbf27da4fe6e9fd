"""A neighbourhood as one HTML page that works without a network: vis-network draws it, a click shows the evidence.

Nothing that documents say becomes markup: it travels as JSON in a block that browsers don't run, and is shown as text.
The page's policy (CSP) allows the scripts and the style by their hashes, and nothing else.
"""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from penstock.errors import UsageError
from penstock.graph_export.records import merge_record, neighbourhood_record, trail_record
from penstock.ledger.graph_view import Merge, Neighbourhood, describe

LIBRARY = "gravis/_internal/plotting/third_party/vis-network/vis-network.min.def.js"
"""vis-network 9.1.0 (Apache-2.0 or MIT), as the wheel of gravis brings it: one call of an AMD `define`."""


SHIM = """var regeneratorRuntime, vis = {};
var require = { defined: () => false }, define = (name, needs, make) => make(vis);
"""
"""What the library looks for. It evaluates text, which the page forbids, unless `regeneratorRuntime` is declared."""


def page(around: Neighbourhood, merges: list[Merge]) -> str:
    """The page. Raises UsageError when the library that draws is not installed."""
    here = files("penstock.graph_export") / "view"
    style, view = ((here / name).read_text(encoding="utf-8") for name in ("view.css", "view.js"))
    library = _library()
    policy = f"default-src 'none'; base-uri 'none'; form-action 'none'; style-src {_hash(style)}; "
    policy += f"script-src {_hash(library)} {_hash(view)}"
    return Template((here / "view.html").read_text(encoding="utf-8")).substitute(
        policy=policy,
        title=escape(around.node.name),
        style=style,
        data=_inert(_data(around, merges)),
        library=library,
        view=view,
    )


def _data(around: Neighbourhood, merges: list[Merge]) -> dict[str, Any]:
    record = neighbourhood_record(around) | {"merges": [merge_record(merge) for merge in merges]}
    for edge, shown in zip(around.edges, record["edges"], strict=True):
        shown["evidence"] = [trail_record(trail) | {"place": describe(trail.locator)} for trail in edge.evidence]
    return record


def _inert(value: Any) -> str:
    """JSON that can't end the element it stands in."""
    text = json.dumps(value, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _library() -> str:
    try:
        text = Path(str(distribution("gravis").locate_file(LIBRARY))).read_text(encoding="utf-8")
    except (PackageNotFoundError, FileNotFoundError):
        raise UsageError("what draws the page is missing: pip install 'gravis==0.1.0'") from None
    return SHIM + text


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
