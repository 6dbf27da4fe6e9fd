"""How commands speak: documents' text is shown as text, never as markup, and never steers the terminal."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from penstock.errors import PenstockError

_UNSHOWN = {
    **dict.fromkeys((*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000)), "\ufffd"),
    **dict.fromkeys(map(ord, "\t\n\u2028\u2029"), " "),
    **dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd"),
}
"""Control characters, line ends and marks that turn the direction of writing."""

_UNBROKEN = 10_000


def stdout() -> Console:
    """Where answers go. Lines are broken for a terminal's width, and for nobody else's."""
    from rich.console import Console

    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _UNBROKEN
    return Console(highlight=False, markup=False, emoji=False, width=wide)


def stderr() -> Console:
    """Where everything goes that is no answer."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def text(value: object, style: str = "") -> Text:
    """`value` on one line, as it is."""
    from rich.text import Text

    return Text(one_line(value), style=style)


def one_line(value: object) -> str:
    return str(value).translate(_UNSHOWN)


def document_name(source_id: str) -> str:
    """What a document is called here: a path below the current folder goes without it."""
    return one_line(source_id.removeprefix(os.path.join(os.getcwd(), "")))


def short(value: object, width: int) -> str:
    """One line of at most `width` characters."""
    line = one_line(value)
    return line if len(line) <= width else f"{line[: width - 1].rstrip()}…"


def say(console: Console, value: object, style: str = "") -> None:
    """One line, which stays one however narrow the terminal is."""
    console.print(text(value, style), soft_wrap=True)


def complain(error: PenstockError) -> None:
    """An error as one red line, and what to do about it; a broken file's problems, each with its place and fix."""
    from penstock.errors import ConfigError

    console = stderr()
    if isinstance(error, ConfigError):
        for problem in error.problems:
            say(console, f"{problem.file}:{problem.line}:{problem.column}: {problem.message}", "red")
            if problem.fix:
                say(console, f"    fix: {problem.fix}")
        return
    console.print(fault(error.message, error.next_step), soft_wrap=True)


def fault(message: str, next_step: str) -> Text:
    from rich.text import Text

    fix = f" ({one_line(next_step)})" if next_step and next_step not in message else ""
    return Text.assemble((one_line(message), "red"), fix)


def print_json(value: object) -> None:
    """`value`, dataclasses and pydantic models in it too, as JSON on stdout, in UTF-8 whatever its encoding."""
    import orjson

    sys.stdout.flush()
    sys.stdout.buffer.write(orjson.dumps(value, default=_plain, option=orjson.OPT_INDENT_2) + b"\n")


def _plain(value: object) -> object:
    from pathlib import Path

    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, frozenset | set):
        return sorted(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


def moment(epoch_ms: int | None) -> str:
    """A time of the ledger's, in this machine's zone."""
    return datetime.fromtimestamp(epoch_ms / 1000).strftime("%Y-%m-%d %H:%M:%S") if epoch_ms else ""


def duration(milliseconds: int) -> str:
    """`850 ms`, `12 s`, `5 min`, `3 h`, `4 d`: in the largest unit there are at least two of."""
    for size, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s")):
        if milliseconds >= 2 * size:
            return f"{milliseconds // size} {unit}"
    return f"{milliseconds} ms"


def counted(number: int, noun: str) -> str:
    """`1 document`, `2 documents`."""
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + ("es" if noun.endswith("ch") else "s")
    return f"{number:,} {noun if number == 1 else plural}"
