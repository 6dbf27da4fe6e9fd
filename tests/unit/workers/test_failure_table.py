"""docs/pdf.md says of every reason that a PDF can fail for what it means."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock import errors
from penstock.sources.sniff import FAULTS

HALF = ("stages/download", "stages/faults.py", "workers", "resilience")
"""What downloads and parses PDFs, and what it asks servers through."""
BASES = (errors.TerminalError, errors.TransientError)
NAMED = re.compile("reason|_REASONS", re.IGNORECASE)
WORD = re.compile("[a-z]+(-[a-z]+)*")


def words(node: ast.AST) -> Iterator[str]:
    """Every word that a reason can become by this expression; a key that one is looked up by is none."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and WORD.fullmatch(node.value):
        yield node.value
    for part in ast.iter_child_nodes(node) if not isinstance(node, ast.Subscript) else ():
        yield from words(part)


def said(path: Path) -> Iterator[str]:
    """The reasons written in a module: `reason=…`, `reason = …`, a table of them, or the second argument of the
    classifier's `_as`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.keyword(arg="reason", value=value):
                yield from words(value)
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if NAMED.fullmatch(name):
                yield from words(value)
            case ast.Call(func=ast.Name(id="_as"), args=[_, value]):
                yield from words(value)


def of_errors() -> Iterator[str]:
    """Those of errors that a document can fail with."""
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, BASES) and kind not in BASES:
            yield kind.reason
    yield errors.ArtifactLost.reason


def reasons(package: Path) -> set[str]:
    found = {*FAULTS, *of_errors()}
    for part in HALF:
        place = package / part
        for path in place.rglob("*.py") if place.is_dir() else [place]:
            found |= {*said(path)}
    return found


@pytest.fixture(scope="module")
def package() -> Path:
    return Path(errors.__file__).parent


def test_reasons_are_found_in_whatever_way_they_are_written(package: Path) -> None:
    plain, chosen, table, classified = "not-a-pdf", "encrypted", "unsupported", "connect"
    assert plain in {*said(package / "stages/download/content.py")}
    assert chosen in {*said(package / "workers/mineru/archive.py")}
    assert table in {*said(package / "workers/engines/mineru_jobs.py")}
    assert classified in {*said(package / "resilience/classify.py")}
    assert {"gate-timeout", "crashed", "artifact-lost"} <= {*of_errors()}


def test_every_reason_is_explained(root: Path, package: Path) -> None:
    section = (root / "docs/pdf.md").read_text(encoding="utf-8").partition("\n## What each failure means\n")[2]
    table = section.partition("\n## ")[0]
    assert sorted(word for word in reasons(package) if f"`{word}`" not in table) == []
