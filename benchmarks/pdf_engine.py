"""The CPU engine against a bare loop that takes text with boxes from the same PDFs.

    python -m benchmarks.pdf_engine FOLDER [--rounds N]

FOLDER is searched for born-digital PDFs: those that the engine reads and whose pages all have text. CPU is this
process's, without its start, the best of N rounds for each PDF and side. The bare loop is frozen: change it and no
figure compares with an older one.
"""

from __future__ import annotations

import resource
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

from pypdfium2 import PdfDocument

from penstock.errors import BadInput
from penstock.workers.engines.cpu import CpuEngine, CpuOptions

MOST = 2.0
"""Times the bare loop's CPU, over all the PDFs."""
MOST_GROWTH = 20.0
"""Megabytes, while everything is read once more."""


def bare(path: Path) -> int:
    """What pypdfium2 offers as text with boxes; how many boxes there are."""
    boxes = []
    document = PdfDocument(path)
    for index in range(len(document)):
        page = document[index]
        text_page = page.get_textpage()
        for number in range(text_page.count_rects()):
            box = text_page.get_rect(number)
            boxes.append((box, text_page.get_text_bounded(*box)))
        text_page.close()
        page.close()
    document.close()
    return len(boxes)


def engine(path: Path) -> int:
    return len(CpuEngine(CpuOptions()).parse(path, lambda _done, _all: None).elements)


def born_digital(folder: Path) -> list[Path]:
    found = []
    for path in sorted(folder.glob("**/*.pdf")):
        try:
            parsed = CpuEngine(CpuOptions()).parse(path, lambda _done, _all: None)
        except BadInput:
            continue
        if all(page.kind == "text" for page in parsed.pages):
            found.append(path)
    return found


def cpu(work: Callable[[Path], int], path: Path, rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        made = work(path)
        best = min(best, time.process_time() - start)
        assert made > 0, path
    return best


def megabytes() -> float:
    """The most this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    parser = ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    paths = born_digital(arguments.folder)
    if not paths:
        print(f"no born-digital PDF under {arguments.folder}")
        return 2
    bare_all = engine_all = 0.0
    for path in paths:
        plain, ours = cpu(bare, path, arguments.rounds), cpu(engine, path, arguments.rounds)
        bare_all, engine_all = bare_all + plain, engine_all + ours
        print(f"{path.name:50} bare {1000 * plain:7.1f} ms   engine {1000 * ours:7.1f} ms   {ours / plain:4.2f} ×")
    before = megabytes()
    for path in paths * arguments.rounds:
        engine(path)
    growth = megabytes() - before
    print(f"{len(paths)} PDFs: bare {bare_all:.3f} s, engine {engine_all:.3f} s of CPU: {engine_all / bare_all:.2f} ×")
    print(f"memory: {before:.0f} MB, {growth:+.1f} MB while {len(paths) * arguments.rounds} more were read")
    return 0 if engine_all <= MOST * bare_all and growth <= MOST_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
