"""JSON text to values, whatever its Unicode encoding, with every failure a typed one."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import orjson

from penstock.errors import BadInput


def load_json(content: bytes) -> Any:
    """The value that `content` spells (RFC 8259).

    UTF-8 with or without a byte order mark, UTF-16 and UTF-32 are told apart as RFC 4627 section 3 says. Escaped lone
    surrogates are taken as they stand, and of duplicate keys the last counts. Raises BadInput: `empty`, `truncated`
    when the text ends too early, else `malformed` (which NaN, other encodings and nesting too deep to hold are).
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return _load_slowly(content)


def objects(value: object) -> list[dict[str, Any]]:
    """The objects of a list, whatever else is in it; none where there is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _load_slowly(content: bytes) -> Any:
    if not content.strip():
        raise BadInput("no JSON: the text is blank", reason="empty")
    try:
        text = content.decode(json.detect_encoding(content))
    except UnicodeDecodeError as error:
        if error.end >= len(content) and error.reason.startswith(("unexpected end", "truncated")):
            raise BadInput(f"the JSON text ends inside a character at byte {error.start}", reason="truncated") from None
        raise BadInput(f"the JSON text is not {error.encoding} at byte {error.start}") from None
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        ended = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
        line = f"line {error.lineno}, " if "\n" in text else ""
        where = f"{error.msg.removesuffix(' at')} at {line}column {error.colno}"
        raise BadInput(f"not JSON: {where}", reason="truncated" if ended else "malformed") from None
    except RecursionError:
        raise BadInput("the JSON is nested too deeply") from None
    except ValueError as error:
        raise BadInput(f"not JSON: {error}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")
