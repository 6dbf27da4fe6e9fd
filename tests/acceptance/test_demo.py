"""`penstock demo`, through the front door: what it shows follows from the documents it is given."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Demo = Callable[[Path, str], str]


@pytest.fixture(scope="module")
def demo(root: Path) -> Demo:
    """The output of `penstock demo DOCUMENTS`, called in a folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    environment |= {"PENSTOCK_CONFIG": str(root / "config/orchestration"), "COLUMNS": "80"}
    command = [sys.executable, "-c", "from penstock.cli import main; main()", "demo"]

    def run(here: Path, documents: str) -> str:
        done = subprocess.run([*command, documents], cwd=here, env=environment, capture_output=True, timeout=180)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    return run


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def shown(demo: Demo, root: Path, here: Path) -> str:
    """The first time, over the examples."""
    return demo(here, str(root / "examples"))


def test_it_shows_the_way_from_documents_to_hits_edges_and_bytes(shown: str) -> None:
    assert re.search(r"^  kg +\d+ ", shown, re.MULTILINE)
    assert re.search(r"complete: \d+ documents: \d+ done", shown)
    assert shown.count('penstock search "') == 4, "three searches, and one in what to type next"
    assert "Empagliflozin and hospital admission for heart failure" in shown
    assert "90000203" in shown
    assert 'penstock graph "Metformin"' in shown
    assert "Metformin ─ investigated_for → Polycystic Ovary Syndrome" in shown
    assert "what to type next:" in shown
    assert "\x1b" not in shown


def test_the_trail_it_shows_is_true_to_the_byte(shown: str) -> None:
    flat = " ".join(shown.split())
    trails = re.findall(
        r"“([^”]+)” document \S+, .*? file (\S+(?: \S+)*?) place .*? bytes bytes ([\d,]+)–([\d,]+) of the file", flat
    )
    assert trails
    for quote, file, start, end in trails:
        path = Path(file.replace(" ", "").partition(",frombyte")[0])
        there = path.read_bytes()[int(start.replace(",", "")) : int(end.replace(",", ""))]
        assert " ".join(there.decode().split()) == quote


def test_the_second_time_there_is_nothing_to_do_and_the_tour_is_the_same(
    demo: Demo, root: Path, here: Path, shown: str
) -> None:
    second = demo(here, str(root / "examples"))
    assert re.search(r"^nothing to do: all \d+ documents are done$", second, re.MULTILINE)
    tour = "penstock search "
    assert second[second.index(tour) :] == shown[shown.index(tour) :]


def test_its_answers_follow_when_a_drug_is_called_otherwise(demo: Demo, root: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(root / "examples", tmp_path / "examples")
    for path in (path for path in folder.rglob("*") if path.is_file()):
        text = path.read_text()
        for before, after in (("metformin", "zorbinal"), ("Metformin", "Zorbinal"), ("METFORMIN", "ZORBINAL")):
            text = text.replace(before, after)
        path.write_text(text)
    shown = demo(tmp_path, "examples")
    assert "metformin" not in shown.replace(str(root), "").lower().replace("label-metformin", "").replace(
        "nct90001014-metformin-pcos", ""
    )
    assert 'penstock search "Zorbinal in Polycystic Ovary Syndrome"' in shown
    assert 'penstock graph "Zorbinal"' in shown
    assert "Zorbinal ─ investigated_for → Polycystic Ovary Syndrome" in shown


def test_documents_that_name_no_drug_get_a_tour_as_well(demo: Demo, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.md").write_text("# Bridges\n\nA bridge spans a river.\n")
    shown = demo(tmp_path, "notes")
    assert "complete: 1 document: 1 done" in shown
    assert "what to type next:" in shown
