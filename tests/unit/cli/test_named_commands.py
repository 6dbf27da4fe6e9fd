"""Every command that a message, a help text or the manual names is there, with the options it is named with."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from penstock.cli import app

NAMED = re.compile(r"\bpenstock ((?:--debug )?[a-z]+(?:[ =][^\s;,:)(`|#]+)*)")
TARGET = re.compile(r"(?:^|[:;`] ?)make ([a-z][a-z-]*)")
PROSE = {"is", "or"}
"""What follows the name where a sentence speaks of it."""
BY_DEFAULT = {"graph": "show"}
"""The subcommand that may be left out."""


def literals(tree: ast.AST) -> Iterator[str]:
    """Its strings but docstrings; what an f-string fills in is X."""
    inner: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            inner.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            inner |= {id(part) for part in node.values}
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.value


def texts(root: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted((root / "src").rglob("*.py")):
        for text in literals(ast.parse(path.read_text())):
            yield path, text
    for path in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        for code in re.findall(r"`([^`\n]+)`|^((?:penstock|make) .+)$", path.read_text(), re.MULTILINE):
            yield path, "".join(code)


def wrong_with(line: str) -> str | None:
    """What is not there of `COMMAND [SUBCOMMAND] … --option …`."""
    command: Any = get_command(app)
    known = {option for parameter in command.params for option in parameter.opts}
    words = [word.rstrip(".") for word in line.split()]
    while words and (commands := getattr(command, "commands", None)):
        if words[0] not in commands and command.name in BY_DEFAULT:
            words.insert(0, BY_DEFAULT[command.name])
        if words[0].startswith("--"):
            words.pop(0)
            continue
        if words[0] not in commands:
            return None if words[0] in PROSE else f"no command {words[0]!r}"
        command = commands[words.pop(0)]
        known |= {option for parameter in command.params for option in parameter.opts}
    unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in known | {"--help"}]
    return f"{command.name} has no {', '.join(unknown)}" if unknown else None


def test_each_command_that_is_named_is_there(root: Path) -> None:
    wrong, seen = [], 0
    for path, text in texts(root):
        for line in NAMED.findall(text):
            seen += 1
            if problem := wrong_with(line):
                wrong.append(f"{path.relative_to(root)}: {text!r}: {problem}")
    assert seen > 60
    assert wrong == []


def test_each_target_that_is_named_is_there(root: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.MULTILINE))
    named = {(path.name, target) for path, text in texts(root) for target in TARGET.findall(text)}
    assert ("README.md", "demo") in named
    assert {target for _, target in named} <= targets


def test_what_is_not_there_is_noticed() -> None:
    assert wrong_with("serve all") == "no command 'serve'"
    assert wrong_with("run auto --bacth 3") == "run has no --bacth"
    assert wrong_with("pipelines chekc") == "no command 'chekc'"
    assert wrong_with("pipelines check X --json") is None
