"""Small documents of all the kinds that examples/ has, as many as a test wants, each with an identifier of its own."""

from __future__ import annotations

import re
from itertools import cycle, islice
from pathlib import Path
from random import Random
from uuid import NAMESPACE_URL, uuid5

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
WORDS = re.findall(
    r"\w+",
    """metformin apixaban dose renal clinic patients weekly glucose trial bleeding stroke therapy after before with
    without semaglutide outcome randomised placebo kidney heart insulin review ward evidence risk lower higher""",
)
_SINGLE = ("clinicaltrials/NCT*", "openalex/W*", "openfda/label-[mw]*", "jats/*4*", "web/*", "notes/*")
_IDENTIFIERS = {
    r"NCT9\d{7}": lambda n: f"NCT8{n:07d}",
    r"W99\d{8}": lambda n: f"W88{n:08d}",
    r"99\d{6}(?=</article-id>)": lambda n: f"88{n:06d}",
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}": lambda n: str(uuid5(NAMESPACE_URL, str(n))),
}


def mixed(folder: Path, count: int, *, texts_between: int = 4) -> Path:
    """`count` documents: examples under new identifiers, `texts_between` short notes after each; one is big enough
    that its bytes rest in the artifact store."""
    templates = [path for pattern in _SINGLE for path in sorted(EXAMPLES.glob(pattern))]
    endless = cycle(templates)
    for n in range(count - 1):
        if n % (texts_between + 1):
            note(folder, n)
        else:
            template = next(endless)
            _write(folder / f"{n:05d}-{template.name}", _renamed(template.read_text(), n))
    _write(folder / "big.txt", prose(Random(0), 40_000))
    return folder


def notes(folder: Path, count: int, *, marked: dict[int, str] | None = None) -> Path:
    """`count` short texts; those numbered in `marked` hold that word."""
    for n in range(count):
        note(folder, n, (marked or {}).get(n, ""))
    return folder


def note(folder: Path, number: int, mark: str = "") -> Path:
    return _write(folder / f"{number:05d}.txt", f"Note {number} {mark}\n\n{prose(Random(number), 60)}\n")


def prose(random: Random, words: int) -> str:
    """Sentences of ten words."""
    drawn = iter(random.choices(WORDS, k=words))
    sentences = []
    while sentence := list(islice(drawn, 10)):
        sentences.append(f"{' '.join(sentence).capitalize()}.")
    return " ".join(sentences)


def _renamed(text: str, number: int) -> str:
    for pattern, name in _IDENTIFIERS.items():
        text = re.sub(pattern, name(number), text)
    return text


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
