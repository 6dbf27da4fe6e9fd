"""Each file in `broken/` is refused with exactly the words in the .txt beside it.

After a change of wording: PENSTOCK_WRITE_GOLDEN=1 pytest tests/unit/pipelines/test_broken_files.py, then read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.errors import ConfigError
from penstock.pipelines.catalogue import StaticCatalogue
from penstock.pipelines.loader import load_pipeline
from penstock.resilience.policy import Policy

FOLDER = Path(__file__).parent / "broken"
FILES = sorted(path.name for path in FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("name", FILES)
def test_a_broken_file_is_refused_in_the_words_agreed(
    name: str, catalogue: StaticCatalogue, policies: dict[str, Policy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FOLDER)
    with pytest.raises(ConfigError) as refusal:
        load_pipeline(Path(name), catalogue, policies, Policy)
    said = "\n".join(str(problem) for problem in refusal.value.problems) + "\n"
    golden = FOLDER / f"{Path(name).stem}.txt"
    if os.environ.get("PENSTOCK_WRITE_GOLDEN"):
        golden.write_text(said, encoding="utf-8")
    assert said == golden.read_text(encoding="utf-8")


def test_there_are_many_ways_to_be_wrong() -> None:
    assert len(FILES) >= 60
