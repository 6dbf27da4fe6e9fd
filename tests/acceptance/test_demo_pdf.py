"""`penstock demo --pdf`, through the front door: both phases, with a worker and a Dagster daemon of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from PIL import Image

Demo = Callable[..., str]
COMMAND = (sys.executable, "-m", "penstock", "demo", "--pdf")


@pytest.fixture(scope="module")
def environment(root: Path) -> dict[str, str]:
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("PENSTOCK_", "DAGSTER_"))}
    own = {"PENSTOCK_CONFIG": str(root / "config/orchestration"), "PENSTOCK_EMBEDDER": "none", "COLUMNS": "100"}
    return keep | own


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo-pdf")


@pytest.fixture(scope="module")
def demo(environment: dict[str, str], root: Path, here: Path) -> Demo:
    """The output of `penstock demo --pdf`, called in a folder that has the examples under their name."""
    (here / "examples-pdf").symlink_to(root / "examples-pdf")

    def run() -> str:
        done = subprocess.run(COMMAND, cwd=here, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


@pytest.fixture(scope="module")
def shown(demo: Demo) -> str:
    """The first time."""
    return demo()


def left_over(folder: Path) -> list[int]:
    """Processes that work in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def test_it_goes_from_the_gate_through_a_worker_and_the_sensor_to_the_end(shown: str, here: Path) -> None:
    assert re.search(r"^  pdf_gate +12 ", shown, re.MULTILINE)
    assert "partial: 13 documents: 12 waiting, 1 dead" in shown
    assert "11 documents parsed, 1 failed; 13 pages" in shown
    launched = re.findall(r"pdf_ir_ready_sensor launched a run for (\d+) documents?: complete", shown)
    assert sum(map(int, launched)) == 11
    assert "\x1b" not in shown
    assert left_over(here) == []


def test_what_did_not_get_through_is_shown_with_its_reason(shown: str) -> None:
    lost = shown[shown.index("penstock jobs --status dead") : shown.index("penstock search")]
    assert re.search(r"apixaban-dialysis-dosing\.pdf +dead at download_pdf", lost)
    assert re.search(r"referral-letter-scan\.pdf +dead at pdf_gate, no-text-layer", lost)
    assert "penstock worker pdf --engine mineru" in lost


def test_a_hit_names_page_and_box_and_its_place_is_a_picture(shown: str, here: Path) -> None:
    first = shown[shown.index("penstock search") :]
    assert "ketoacidosis-fourteen-cases.pdf · p. 1" in first
    boxes = re.findall(r"page (\d), box ([\d.]+), ([\d.]+), ([\d.]+), ([\d.]+)", first)
    assert boxes
    assert all(0 <= float(side) <= 1 for _, *sides in boxes for side in sides)
    path = re.search(r"^ +(\.penstock/pictures/\S+\.png)$", shown, re.MULTILINE)
    assert path is not None
    assert Image.open(here / path[1]).width > 800
    assert 'penstock graph "Diabetic ketoacidosis' in shown


def test_the_second_time_there_is_nothing_to_do_and_the_tour_is_the_same(demo: Demo, shown: str) -> None:
    second = demo()
    assert "dagster-daemon" not in second
    tour = "penstock jobs --status dead\n"
    assert second[second.index(tour) :] == shown[shown.index(tour) :]


def test_stopped_in_the_middle_it_leaves_nothing_running(
    environment: dict[str, str], root: Path, tmp_path: Path
) -> None:
    (tmp_path / "examples-pdf").symlink_to(root / "examples-pdf")
    process = subprocess.Popen(
        COMMAND, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("engine cpu"):
            break
    assert len(left_over(tmp_path)) >= 3, "the demo, its daemon, its worker"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "stopped by SIGTERM" in err
    assert left_over(tmp_path) == []
