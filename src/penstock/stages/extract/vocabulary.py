"""A vocabulary as people have it: a CSV or TSV file of things, the names they go by and what they are."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from penstock.errors import ConfigError, Problem, UsageError
from penstock.ir import Identifier, clean_text
from penstock.ir.knowledge import TYPES
from penstock.pipelines.problems import nearest, suggest

COLUMNS = ("id", "name", "synonyms", "type")
MOST_PROBLEMS = 20
"""Problems of one file that are told at once."""

_TYPES = {type.casefold(): type for type in TYPES} | {"disease": "Condition", "chemical": "Substance"}
_ID = re.compile(r"([A-Za-z][\w.-]*):(\S.*)")


@dataclass(slots=True, eq=False)
class Term:
    """One thing; equal to itself only. `names` begin with the preferred one, none of them twice; `id` is
    `scheme:value`, or empty."""

    id: str
    type: str
    names: list[str]
    line: int = 0

    @property
    def identifiers(self) -> tuple[Identifier, ...]:
        scheme, _, value = self.id.partition(":")
        return (Identifier(scheme=scheme, value=value),) if value else ()


def read_vocabulary(
    path: Path, content: bytes, *, scheme: str = "", type: str = "Concept", rows: int | None = None
) -> list[Term]:
    """The terms of a file's content, in its order; rows of one id are one term.

    UTF-8, with or without a byte order mark; separated by tabs, commas or semicolons as its first line is. That line
    names the columns, in any case and order: `name`, and where there are some `id`, `synonyms` (separated by `|` or
    `;`) and `type`. Other columns are passed over, blank lines too. `scheme` is that of ids which state none
    (`D008687` rather than `mesh:D008687`), `type` that of rows which state none. With `rows` no more than so many are
    looked at.

    Raises ConfigError, which names file and line of the first 20 problems.
    """
    reading = _Reading(path, scheme, type)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        reading.note(line, "this is not UTF-8 text", "save the file as UTF-8")
    else:
        reading.read(clean_text(text), rows)
    if reading.problems:
        raise ConfigError(reading.problems)
    return list(reading.terms.values())


def read_words(path: Path) -> list[str]:
    """The lines of a UTF-8 text file, blank ones and those that begin with # left out. Raises UsageError."""
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text", next_step="save the file as UTF-8") from None
    return [word for line in lines if (word := line.strip()) and not word.startswith("#")]


@dataclass(slots=True)
class _Reading:
    path: Path
    scheme: str
    type: str
    problems: list[Problem] = field(default_factory=list)
    terms: dict[str, Term] = field(default_factory=dict)

    def note(self, line: int, message: str, fix: str = "") -> None:
        self.problems.append(Problem(str(self.path), line, 1, message, fix))

    def read(self, text: str, rows_at_most: int | None) -> None:
        rows = self._rows(text)
        line, header = next(rows, (1, []))
        places = self._places(line, header)
        if self.problems:
            return
        for line, row in islice(rows, rows_at_most):
            if len(row) != len(header):
                message = f"{_count(len(row))} where the first line has {len(header)}"
                self.note(line, message, "put cells that contain the separator in double quotes, leave none out")
            else:
                self._term(line, *("" if place is None else " ".join(row[place].split()) for place in places))
            if len(self.problems) >= MOST_PROBLEMS:
                return
        if not self.terms and not self.problems:
            self.note(line, "nothing follows the column names", "add a line for each thing")

    def _rows(self, text: str) -> Iterator[tuple[int, list[str]]]:
        """Each row that is not blank, and the line it begins on."""
        first = next((line for line in text.splitlines() if line.strip()), "")
        separator = next((one for one in "\t,;" if one in first), ",")
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        line = 1
        try:
            for row in reader:
                if any(cell.strip() for cell in row):
                    yield line, row
                line = reader.line_num + 1
        except csv.Error as error:
            fix = "close the double quotes; one inside of quotes is written twice"
            self.note(line, f"this row can't be read: {error}", fix)

    def _places(self, line: int, header: Sequence[str]) -> list[int | None]:
        """Where each of COLUMNS stands."""
        given = [name.strip().casefold() for name in header]
        for name in COLUMNS:
            if given.count(name) > 1:
                self.note(line, f"the column {name!r} is there twice", "delete or rename one")
        for name in given:
            meant = nearest(name, COLUMNS) if name not in COLUMNS else None
            if meant and meant not in given:
                self.note(line, f"there is no column {name!r}", f"did you mean {meant!r}?")
        if "name" not in given and not self.problems:
            columns = ", ".join(COLUMNS)
            self.note(line, "there is no column 'name'", f"name the columns in the first line: {columns}")
        return [given.index(name) if name in given else None for name in COLUMNS]

    def _term(self, line: int, id: str, name: str, synonyms: str, type: str) -> None:
        known_type = _TYPES.get(type.casefold()) if type else self.type
        if not name:
            self.note(line, "the name is empty", "give it one, or delete the line")
        elif known_type is None:
            self.note(line, f"there is no type {type!r}", suggest(type, (*TYPES, "Disease", "Chemical")))
        elif (known_id := self._id(line, id)) is not None:
            others = [other for one in re.split("[|;]", synonyms) if (other := one.strip())] if synonyms else []
            term = self.terms.setdefault(known_id or f"{known_type}:{name}", Term(known_id, known_type, [], line))
            if term.type != known_type:
                message = f"{known_id} is a {known_type} here and a {term.type} on line {term.line}"
                self.note(line, message, "give it one type, or two ids")
            term.names = list(dict.fromkeys((*term.names, name, *others)))

    def _id(self, line: int, id: str) -> str | None:
        """`scheme:value`, empty where none is given; None where no scheme is known."""
        if not id:
            return ""
        if stated := _ID.fullmatch(id):
            return f"{stated[1].lower()}:{stated[2]}"
        if self.scheme:
            return f"{self.scheme.lower()}:{id}"
        self.note(line, f"the id {id!r} names no scheme", f"write mesh:{id} (or whose it is), or set the option scheme")
        return None


def _count(cells: int) -> str:
    return "1 cell" if cells == 1 else f"{cells} cells"
