"""`penstock doctor` and `penstock init`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from shutil import rmtree
from typing import Any

import httpx
import pytest
import respx

from command import Penstock, Said
from penstock.bootstrap import App
from penstock.runner import RunRequest
from penstock.settings import Settings

SECRET = "key-that-must-not-be-seen"


def by_name(said: Said) -> dict[str, Any]:
    """The worst check of each name."""
    worst = {}
    for check in sorted(said.json, key=lambda check: ("ok", "warn", "bad").index(check["state"])):
        worst[check["name"]] = check
    return worst


def test_a_fresh_machine_is_well(penstock: Penstock, tmp_path: Path) -> None:
    said = penstock("doctor")
    assert said.status == 0
    assert "sqlite" in said.out
    assert "fix: set PENSTOCK_EMBED_URL" in said.out
    assert list(tmp_path.iterdir()) == []


def test_after_a_run_it_tells_what_there_is(penstock: Penstock, good: Path) -> None:
    penstock("run", "auto", "notes")
    checks = by_name(penstock("doctor", "--json"))
    assert "version" in checks["ledger"]["detail"]
    assert "2 documents, 2 chunks, no vectors" in checks["index"]["detail"]


def test_what_got_stuck_is_told_with_what_helps(penstock: Penstock, notes: Path) -> None:
    penstock("run", "auto", "notes")
    checks = [check for check in penstock("doctor", "--json").json if check["name"] == "documents"]
    assert [(check["state"], check["detail"]) for check in checks] == [("warn", "1 document stands dead")]
    (notes / "c.json").unlink()
    assert "none stands dead" not in penstock("doctor").out


def test_what_a_killed_run_left_is_told(penstock: Penstock, good: Path, root: Path, tmp_path: Path) -> None:
    with closing(App(Settings(home=Path(".penstock"), config=root / "config/orchestration"))) as app:
        topology = app.pipelines.named("auto")
        run = app.runner.open(topology, RunRequest(query={"paths": [str(good)]}))
        app.runner.run_stage(run, "ingest")
        assert "none stands dead, failed or left behind" in penstock("doctor").out
    assert "2 documents were left on the way by runs that died" in penstock("doctor").out
    penstock("retry")
    assert "none stands dead, failed or left behind" in penstock("doctor").out


def test_an_index_of_another_ledger_is_told_with_what_helps(penstock: Penstock, good: Path, tmp_path: Path) -> None:
    for more in ("", "More.", "Yet more."):
        (good / "a.md").write_text(f"# Metformin\n\nMetformin lowers glucose. {more}\n")
        penstock("run", "auto", "notes/a.md")
    for file in (tmp_path / ".penstock").glob("ledger.db*"):
        file.unlink()
    assert "PENSTOCK_INDEX_PATH" in " ".join(penstock("run", "auto", "notes/a.md").out.split())
    found = by_name(penstock("doctor", "--json"))["documents"]
    assert (found["state"], "PENSTOCK_INDEX_PATH" in found["fix"]) == ("bad", True)
    for file in (tmp_path / ".penstock").glob("index.db*"):
        file.unlink()
    assert penstock("retry").status == 0


def test_where_no_makefile_is_no_target_of_one_is_named(
    penstock: Penstock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_EMBEDDER", "none")
    assert "make " not in penstock("doctor").out
    (tmp_path / "Makefile").write_text("x:\n\nui:\n\ninstall-model:\n")
    assert "make install-model" in penstock("doctor").out


def test_an_output_that_the_artifact_store_lost_is_told(penstock: Penstock, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/long.txt").write_text("Metformin lowers glucose. " * 20_000)
    penstock("run", "auto", "notes")
    assert "looked for" not in penstock("doctor").out
    rmtree(tmp_path / ".penstock/artifacts")
    said = penstock("doctor")
    assert (said.status, "looked for are not there" in said.out) == (1, True)


def test_each_broken_thing_is_named_and_the_others_are_looked_at_too(
    penstock: Penstock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("PENSTOCK_CONFIG", "nowhere")
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", f"postgresql://me:{SECRET}@127.0.0.1:1/ledger")
    monkeypatch.setenv("PENSTOCK_ARTIFACTS_URL", "bogus://bucket")
    monkeypatch.setenv("PENSTOCK_INDEX_PATH", "file")
    monkeypatch.setenv("PENSTOCK_EMBED_URL", f"http://me:{SECRET}@127.0.0.1:9/v1")
    monkeypatch.setenv("PENSTOCK_EMBED_MODEL", "any")
    monkeypatch.setenv("PENSTOCK_EMBED_API_KEY", SECRET)
    said = penstock("doctor", "--json")
    assert said.status == 1
    checks = by_name(said)
    assert {name for name, check in checks.items() if check["state"] == "bad"} == {
        "pipelines",
        "ledger",
        "artifacts",
        "index",
        "embedding",
    }
    assert SECRET not in said.out + said.err
    assert SECRET not in penstock("doctor").out


def test_a_home_that_cannot_be_is_bad(penstock: Penstock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "file/home"))
    said = penstock("doctor", "--json")
    assert (said.status, by_name(said)["home"]["state"]) == (1, "bad")


@pytest.mark.parametrize(
    ("answer", "state", "said"),
    [
        (httpx.Response(200, json={"data": [{"id": "minilm"}]}), "ok", "minilm at https://embed.test/v1"),
        (httpx.Response(200, json={"data": [{"id": "other"}]}), "warn", "does not list minilm"),
        (httpx.Response(401), "bad", "answers 401"),
        (httpx.Response(404), "warn", "answers 404"),
        (httpx.ReadTimeout("slow"), "bad", "ReadTimeout"),
    ],
)
def test_the_embedding_endpoint_is_asked_for_its_models(
    penstock: Penstock, monkeypatch: pytest.MonkeyPatch, answer: Any, state: str, said: str
) -> None:
    monkeypatch.setenv("PENSTOCK_EMBED_URL", "https://embed.test/v1/")
    monkeypatch.setenv("PENSTOCK_EMBED_MODEL", "minilm")
    monkeypatch.setenv("PENSTOCK_EMBED_API_KEY", SECRET)
    with respx.mock:
        route = respx.get("https://embed.test/v1/models").mock(side_effect=[answer])
        check = by_name(penstock("doctor", "--json"))["embedding"]
    assert route.calls.last.request.headers["Authorization"] == f"Bearer {SECRET}"
    assert (check["state"], said in check["detail"]) == (state, True)


def test_dagsters_home_is_looked_at_when_it_is_named(penstock: Penstock, tmp_path: Path) -> None:
    home = tmp_path / "dagster"
    home.mkdir()
    assert "has no dagster.yaml" in penstock("doctor", "--dagster-home", str(home)).out
    (home / "dagster.yaml").write_text("")
    assert by_name(penstock("doctor", "--dagster-home", str(home), "--json"))["dagster"]["state"] == "ok"


def test_init_starts_a_project_that_runs(
    penstock: Penstock, tmp_path: Path, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = penstock("init", "mine")
    assert said.status == 0
    monkeypatch.setenv("PENSTOCK_CONFIG", "mine/config/orchestration")
    assert penstock("pipelines", "check").status == 0
    assert penstock("run", "auto", "notes").status == 0
    assert (tmp_path / "mine/.gitignore").read_text() == ".penstock/\n"
    assert penstock("init", "mine").out.startswith("everything is there already")


def test_init_overwrites_nothing(penstock: Penstock, tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("mine")
    (tmp_path / ".gitignore").write_text("*.pyc")
    said = penstock("init")
    assert (said.status, "dagster.yaml is there already" in said.err) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gitignore", "dagster.yaml"]
    (tmp_path / "dagster.yaml").unlink()
    assert penstock("init").status == 0
    assert (tmp_path / ".gitignore").read_text() == "*.pyc\n.penstock/\n"


def test_init_into_a_file_is_refused(penstock: Penstock, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = penstock("init", "file")
    assert (said.status, said.err.startswith("can't write the project")) == (2, True)


def test_what_init_writes_is_what_this_project_itself_uses(root: Path) -> None:
    templates = root / "src/penstock/templates"
    for template in (path for path in templates.rglob("*") if path.is_file()):
        assert template.read_bytes() == (root / template.relative_to(templates)).read_bytes(), template
    ours = {path.relative_to(root) for path in (root / "config").rglob("*") if path.is_file()}
    assert ours <= {path.relative_to(templates) for path in templates.rglob("*")}
