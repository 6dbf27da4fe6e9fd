"""The PDF worker as a whole (claim, child process, assembly, commit) against a bare loop over the same PDFs.

    python -m benchmarks.pdf_worker FOLDER [--documents 1000]

Each born-digital PDF of FOLDER is copied, every copy another document by its last bytes. CPU is of all processes of
`penstock worker pdf --engine cpu --once --slots 1`, less what the same costs when nothing waits; memory the most that
worker and child hold together, looked at while they work.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.pdf_engine import bare, born_digital

MOST = 2.0
MOST_GROWTH = 32.0
"""MiB between the first tenth of the documents and the last."""


def measured(command: list[str], environment: dict[str, str]) -> tuple[float, list[float]]:
    """CPU seconds of a command and its children, and MiB held by them, some times a second."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    held: list[float] = []
    while process.poll() is None:
        held.append(sum(map(resident, family(process.pid))))
        time.sleep(0.2)
    assert process.returncode == 0, process.returncode
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, [mib for mib in held if mib]


def family(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [one for child in task.read_text().split() for one in family(int(child))]
        except OSError:
            continue
    return found


def resident(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    except (OSError, IndexError):
        return 0.0


def main() -> int:
    parser = ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--documents", type=int, default=1000)
    arguments = parser.parse_args()
    originals = born_digital(arguments.folder)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "in").mkdir()
        paths = []
        for number in range(arguments.documents):
            original = originals[number % len(originals)]
            paths.append(folder / "in" / f"{number:05}.pdf")
            paths[-1].write_bytes(original.read_bytes() + b"\n%%%d\n" % number)
        penstock = [sys.executable, "-m", "penstock"]
        environment = os.environ | {"PENSTOCK_HOME": str(folder / "home")}
        work = [*penstock, "worker", "pdf", "--engine", "cpu", "--once", "--slots", "1"]
        subprocess.run([*penstock, "run", "pdf-two-phase", str(folder / "in")], env=environment, check=True, stdout=-3)
        worker, held = measured(work, environment)
        idle, _ = measured(work, environment)
        start = time.process_time()
        for path in paths:
            bare(path)
        plain = time.process_time() - start
    tenth = max(1, len(held) // 10)
    begin, end = max(held[tenth : 2 * tenth] or held), max(held[-tenth:])
    ratio = (worker - idle) / plain
    print(f"{arguments.documents} documents: bare {plain:.2f} s of CPU")
    print(f"worker {worker:.2f} s, {idle:.2f} s of it with nothing to do: {ratio:.2f} ×")
    print(f"worker and child: {begin:.0f} MiB after a tenth, {end:.0f} MiB at the end, {max(held):.0f} MiB at most")
    return 0 if ratio <= MOST and end - begin <= MOST_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
