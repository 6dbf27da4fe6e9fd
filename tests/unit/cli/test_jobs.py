"""`penstock jobs`, `cancel`, `retry` and `ledger`."""

from __future__ import annotations

from pathlib import Path

import pytest

from command import Penstock


def test_jobs_lists_documents_with_where_each_stands(penstock: Penstock, notes: Path) -> None:
    penstock("run", "auto", "notes")
    said = penstock("jobs")
    assert said.status == 0
    assert "notes/a.md" in said.out
    assert "Metformin" in said.out
    assert "truncated" in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    listed = penstock("jobs", "--status", "dead", "--json").json
    assert listed["total"] == 1
    (job,) = listed["jobs"]
    assert (job["source_id"], job["current_stage"], job["reason"]) == (str(notes / "c.json"), "parse", "truncated")
    assert "not JSON" in job["message"]


def test_jobs_can_be_narrowed_and_cut_short(penstock: Penstock, good: Path) -> None:
    penstock("run", "auto", "notes/a.md")
    penstock("run", "auto", "notes")
    assert penstock("jobs", "--batch", "1", "--json").json["total"] == 1
    assert penstock("jobs", "--pipeline", "auto", "--json").json["total"] == 2
    assert penstock("jobs", "--pipeline", "pdf-two-phase", "--json").json["total"] == 0
    assert "1 of 2: --limit shows more" in penstock("jobs", "--limit", "1").out
    batches = penstock("jobs", "--batches", "--json").json["batches"]
    assert [(b["id"], b["status"], b["documents"]) for b in batches] == [(2, "complete", 2), (1, "complete", 1)]
    assert "complete" in penstock("jobs", "--batches").out


def test_without_jobs_it_says_how_to_start_some(penstock: Penstock, tmp_path: Path) -> None:
    assert penstock("jobs").out == "nothing here yet: penstock run PIPELINE PATH… starts some\n"
    assert penstock("jobs", "--json").json == {"jobs": [], "total": 0}
    assert penstock("jobs", "--batches", "--json").json == {"batches": [], "total": 0}
    for command in (("retry",), ("cancel", "a"), ("explain", "a"), ("graph", "a")):
        said = penstock(*command)
        assert (said.status, said.err.startswith("no ledger at .penstock/ledger.db yet")) == (2, True), command
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [("jobs",), ("explain", "a"), ("graph", "a"), ("retry",), ("run", "auto", "notes")])
def test_a_home_that_is_a_file_is_refused_with_what_helps(
    penstock: Penstock, good: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PENSTOCK_HOME", "notes/a.md")
    said = penstock(*command)
    assert (said.status, said.err.count("\n")) == (2, 1)
    assert "PENSTOCK_HOME" in said.err


def test_a_tenant_of_another_form_is_refused(penstock: Penstock, good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = "the tenant 'A/b': a name is 1 to 63 small letters, digits and dashes\n"
    for command in (("run", "auto", "notes"), ("submit", "auto", "notes"), ("jobs",), ("retry",)):
        assert penstock(*command, "--tenant", "A/b").err == refused
    monkeypatch.setenv("PENSTOCK_TENANT", "A/b")
    assert penstock("jobs").err == refused


def test_a_batch_counts_no_document_of_the_past(penstock: Penstock, good: Path) -> None:
    penstock("run", "auto", "notes")
    (good / "a.md").write_text("# Metformin\n\nMetformin is a biguanide.\n")
    penstock("run", "auto", "notes")
    batches = penstock("jobs", "--batches", "--json").json["batches"]
    assert [batch["documents"] for batch in batches] == [2, 1]


NOTHING_SO_CALLED = (
    (("jobs", "--status", "ded"), "no status is called 'ded' (did you mean 'dead'?)"),
    (("jobs", "--batches", "--status", "que"), "no status is called 'que'"),
    (("jobs", "--pipeline", "aut"), "no pipeline is called 'aut' (did you mean 'auto'?)"),
    (("jobs", "--batch", "7"), "no batch 7"),
    (("jobs", "--waiting", "--status", "done"), "--waiting means --status waiting"),
    (("retry", "--reason", "truncatd"), "no reason is called 'truncatd' (did you mean 'truncated'?)"),
    (("retry", "--status", "done"), "no status is called 'done' (one of: cancelled, dead, failed)"),
    (("retry", "c.jsn"), "no document is called 'c.jsn' (near it: {notes}/c.json)"),
    (("cancel", "nobody"), "no document is called 'nobody'"),
)


def test_a_filter_that_names_nothing_is_refused_with_the_nearest(penstock: Penstock, notes: Path) -> None:
    penstock("run", "auto", "notes")
    for arguments, message in NOTHING_SO_CALLED:
        said = penstock(*arguments)
        assert (said.status, said.out) == (2, ""), arguments
        assert said.err.startswith(message.format(notes=notes)), arguments


def test_retry_tries_a_dead_letter_again_as_a_new_round(penstock: Penstock, notes: Path) -> None:
    penstock("run", "auto", "notes")
    said = penstock("retry", "--reason", "truncated")
    assert said.status == 1
    assert "auto: 1 tried again, batch 2" in said.out
    (job,) = penstock("jobs", "--status", "dead", "--json").json["jobs"]
    assert job["round"] == 2
    assert ", round 2" in penstock("jobs").out


def test_retry_takes_a_dead_file_as_it_is_now(penstock: Penstock, notes: Path) -> None:
    penstock("run", "auto", "notes")
    (notes / "c.json").write_text('{"a": "mended"}\n')
    said = penstock("retry", "--json").json
    assert "truncated" not in {
        failure["reason"] for stage in said[0]["report"]["stages"] for failure in stage["failures"]
    }
    (notes / "c.json").write_text("")
    assert said[0]["report"]["stages"][0]["before"] == 1, "what it was before is replaced"
    assert penstock("retry", "--json").json[0]["report"]["stages"][1]["failures"][0]["reason"] == "empty"


def test_retry_may_leave_it_to_dagster(penstock: Penstock, notes: Path) -> None:
    penstock("run", "auto", "notes")
    said = penstock("retry", "c.json", "--submit", "--json")
    assert said.status == 0
    assert said.json == [{"pipeline": "auto", "batch": 2, "documents": 1}]
    (batch, _) = penstock("jobs", "--batches", "--json").json["batches"]
    assert (batch["kind"], batch["status"]) == ("retry", "queued")


def test_with_nothing_to_retry_it_says_so(penstock: Penstock, good: Path) -> None:
    penstock("run", "auto", "notes")
    said = penstock("retry")
    assert said.status == 0
    assert said.out.startswith("nothing to retry")
    assert penstock("retry", "--json").json == []


def test_a_retry_that_could_not_run_marks_nothing(
    penstock: Penstock, notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    penstock("run", "auto", "notes")
    config = tmp_path / "config/pipelines"
    config.mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setenv("PENSTOCK_CONFIG", str(config.parent))
        assert penstock("retry").status == 2
    assert penstock("jobs", "--status", "dead", "--json").json["jobs"][0]["round"] == 1


def test_a_cancelled_document_stays_so_until_it_is_asked_for(penstock: Penstock, notes: Path) -> None:
    penstock("run", "auto", "notes")
    assert "1 document cancelled" in penstock("cancel", "c.json").out
    assert penstock("retry").out.startswith("nothing to retry")
    again = penstock("run", "auto", "notes")
    assert again.status == 0
    assert penstock("jobs", "--status", "cancelled", "--json").json["total"] == 1
    assert penstock("cancel", "a.md", "--json").json["cancelled"] == []
    assert "tried again" in penstock("retry", "--status", "cancelled").out


def test_the_ledger_says_its_version_and_is_migrated_once(penstock: Penstock, good: Path) -> None:
    absent = penstock("ledger", "status")
    assert (absent.status, "not there yet" in absent.out) == (0, True)
    assert "was empty" in penstock("ledger", "migrate").out
    assert penstock("ledger", "migrate").out.count("(was") == 0
    assert penstock("ledger", "status", "--json").json["current"] is True
