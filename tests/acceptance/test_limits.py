"""Too little room, and much to do: what fails says why, and memory does not grow with the work."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

import corpus
import oracle
from house import House

MIB = 1 << 20
FORGIVEN_MIB = 20
"""How much more memory ten times the documents may take."""


def limited(size: int) -> Callable[[], None]:
    """No file may grow beyond so many bytes."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    return corpus.mixed(tmp_path / "documents", 40)


@pytest.mark.parametrize("room", [200_000, 900_000, 2_000_000])
def test_a_disk_that_is_full_is_told_in_one_line_and_the_rerun_goes_on(
    house: House, new_house: Callable[[str], House], documents: Path, room: int
) -> None:
    full = house.penstock("run", "counted", str(documents), PENSTOCK_GROUP_SIZE="16", set_up=limited(room))
    assert full.status == 1
    assert "Traceback" not in full.err
    told = [line for line in full.err.splitlines() if "no room" in line or "can't grow" in line]
    assert len(told) == 1, full.err
    assert "free" in full.err
    assert not list(house.home.glob("artifacts/*/.*")), "no torn object is left"
    ran = house.run(documents, PENSTOCK_GROUP_SIZE="16")
    assert ran.status == 0, ran.err
    assert oracle.problems(house.home) == []
    assert house.redone().total() <= 16
    calm = new_house("calm")
    assert calm.run(documents).status == 0
    assert oracle.facts(house.home) == oracle.facts(calm.home)


def test_a_volume_that_is_full_is_told_in_one_line_and_the_rerun_goes_on(house: House, documents: Path) -> None:
    """A real one: a file system of 2 MiB, in a mount namespace that ends with the run."""
    volume, kept = house.folder / "volume", house.folder / "kept"
    volume.mkdir()
    script = (
        'mount -t tmpfs -o size=2m none "$1" || exit 77; PENSTOCK_HOME="$1/home" "$3" -m witness.command run counted '
        '"$4" ; status=$?; cp -r "$1/home" "$2"; exit $status'
    )
    ran = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", str(volume), str(kept), sys.executable, str(documents)],
        env=os.environ | house.environment | {"PENSTOCK_GROUP_SIZE": "16"},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode == 77 or "unshare" in ran.stderr:
        pytest.skip(f"no file system can be mounted here: {ran.stderr.strip()}")
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert "no room" in ran.stderr or "can't grow" in ran.stderr
    shutil.move(kept, house.home)
    assert house.run(documents, PENSTOCK_GROUP_SIZE="16").status == 0
    assert oracle.problems(house.home) == []


def peak(house: House, documents: Path) -> float:
    """The most memory, in MiB, that a complete run took."""
    child = house.start("run", "counted", str(documents), PENSTOCK_GROUP_SECONDS="1")
    assert child.process.stdout is not None
    out = child.process.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.process.returncode = os.waitstatus_to_exitcode(status)
    assert child.process.returncode == 0, out
    child.process.communicate()
    assert oracle.problems(house.home) == []
    return usage.ru_maxrss / 1024


@pytest.mark.full
@pytest.mark.parametrize("words", [200_000, 600_000])
def test_memory_does_not_grow_with_the_number_of_big_documents(
    new_house: Callable[[str], House], tmp_path: Path, words: int
) -> None:
    """Of 1.4 and 4.2 MB: six of the small ones are more than may be held at a time."""

    def big(count: int) -> Path:
        folder = tmp_path / f"{count} documents"
        folder.mkdir()
        for n in range(count):
            (folder / f"{n}.txt").write_text(corpus.prose(Random(n), words))
        return folder

    few, many = peak(new_house("few"), big(6)), peak(new_house("many"), big(18))
    assert many - few <= FORGIVEN_MIB, f"{few:.0f} MiB for 6 documents, {many:.0f} MiB for 18"


@pytest.mark.full
def test_memory_does_not_grow_with_the_number_of_documents(new_house: Callable[[str], House], tmp_path: Path) -> None:
    few = peak(new_house("few"), corpus.notes(tmp_path / "2,000 documents", 2_000))
    many = peak(new_house("many"), corpus.notes(tmp_path / "20,000 documents", 20_000))
    print(f"{few:.0f} MiB for 2,000 documents, {many:.0f} MiB for 20,000")
    assert many - few <= FORGIVEN_MIB, f"{few:.0f} MiB for 2,000 documents, {many:.0f} MiB for 20,000"


def test_open_files_and_threads_do_not_grow_with_the_number_of_documents(
    new_house: Callable[[str], House], tmp_path: Path
) -> None:
    def held(count: int) -> tuple[int, int]:
        """Open files and threads of a run that has just done everything."""
        house = new_house(f"house {count}")
        documents = corpus.mixed(tmp_path / f"{count} documents", count)
        child = house.start("run", "counted", str(documents), FAILPOINT="enter Batches.close #1", FAILSIGNAL="SIGSTOP")
        child.until_stopped()
        process = Path(f"/proc/{child.pid}")
        found = len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))
        child.process.send_signal(signal.SIGCONT)
        assert child.result().status == 0
        return found

    few, many = held(10), held(150)
    assert many == few
    assert many[0] < 40
    assert many[1] < 10
