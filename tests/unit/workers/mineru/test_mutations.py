"""Results with a value that is missing, or is another: read or refused, never anything else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mineru_results import folder, middle, spans
from penstock.errors import BadInput
from penstock.workers.mineru import read_files
from penstock.workers.parsed import Parsed

SOME = {"layout.json": 1, "_middle.json": 3, "content_list_v2.json": 3, "content_list.json": 40}
"""What the recorded files are called, and how many of a file's pages (or blocks) are enough."""
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 10**400, 1e308, "", "text", "\ud800", "\0", "-", "$", "<eq>", "<table><tr><td colspan=9>",
    "</div><b>", "list", "table", "code", "ref_text", [], {}, [[]], [None], [0], [{}], {"a": 1}, [0, 0, 1, 1],
)  # fmt: skip
INLINE = [{"type": "equation_inline", "content": "x"}, {"type": "hyperlink", "url": "#", "content": spans("a")}]
MIDDLE = middle(
    [
        {"type": "doc_title", "level": 1, "content": spans("Title")},
        {"type": "text", "content": [*spans("a-"), *INLINE]},
        {"type": "text", "content": spans("b"), "continues_prev": True},
        {"type": "list", "content": [{"type": "ref_text", "content": spans("[1]")}]},
        {"type": "table", "content": [{"type": "table_body", "content": "<table><tr><td>1</td></tr></table>"}]},
        {"type": "code", "content": [{"type": "code_body", "content": "x"}, {"type": "code_caption", "content": []}]},
        {"type": "equation", "content": "", "image_path": "a.jpg"},
    ],
    [],
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a value, with every key or index of it."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(inner, dict | list):
            yield from places(inner)


def mutated(random: Random, original: Any) -> Any:
    """It with one to three values put in another's place, or gone."""
    changed = deepcopy(original)
    for _ in range(random.randint(1, 3)):
        container, key = random.choice(list(places(changed)))
        if random.random() < 0.3:
            del container[key]
        else:
            container[key] = deepcopy(random.choice((*ODD, random.choice(list(places(original)))[0])))
        if not changed:
            break
    return changed


def outcome(name: str, value: Any) -> str:
    try:
        parsed = read_files({name: json.dumps(value).encode()})
    except BadInput as error:
        return error.reason if len(error.message.splitlines()) == 1 else error.message
    assert isinstance(parsed, Parsed)
    assert {element.page for element in parsed.elements} <= {page.number for page in parsed.pages}
    return "read"


def outcomes(name: str, original: Any, seed: int, times: int) -> set[str]:
    assert outcome(name, original) == "read"
    random = Random(seed)
    return {outcome(name, mutated(random, original)) for _ in range(times)}


@pytest.mark.parametrize("seed", range(4))
def test_of_mineru_4(seed: int) -> None:
    assert outcomes("middle_json.json", MIDDLE, seed, 400) <= {"read", "schema", "no-pages"}


@pytest.mark.parametrize("name", SOME)
def test_of_recorded_ones(data: Path, name: str) -> None:
    seen = set()
    for path in sorted((data / "mineru").iterdir()):
        for found, content in folder(path, name).items() if path.is_dir() else ():
            if found.endswith(name):
                whole = json.loads(content)
                pages = whole["pdf_info"] if isinstance(whole, dict) else whole
                del pages[SOME[name] :]
                seen |= outcomes(found, whole, len(content), 60)
    assert {"read", "schema"} <= seen <= {"read", "schema", "no-pages"}
