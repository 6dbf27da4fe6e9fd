"""The last door: every error in one line, with the right exit status; and how lines are made."""

from __future__ import annotations

import subprocess
import sys
from io import StringIO

import pytest
from rich.console import Console

from command import Penstock
from penstock.cli import progress, screen
from penstock.errors import StageFailed, Stopped, StorageFull, UsageError


def raising(error: BaseException) -> object:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("what you asked for", next_step="ask otherwise"), 2),
        (StageFailed("the service is away"), 1),
        (StorageFull("the disk is full"), 1),
        (Stopped("stopped"), 130),
    ],
)
def test_an_error_of_ours_is_one_line_and_never_a_traceback(
    penstock: Penstock, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    monkeypatch.setattr("penstock.bootstrap.open_app", raising(error))
    said = penstock("jobs")
    assert said.status == status
    assert said.err.count("\n") == 1
    assert said.err.startswith(str(error))
    assert error.next_step in said.err  # type: ignore[attr-defined]


def test_a_bug_is_told_as_one_and_its_traceback_shown_when_asked_for(
    penstock: Penstock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.bootstrap.open_app", raising(ZeroDivisionError("oh")))
    said = penstock("jobs")
    assert (said.status, said.err.count("\n")) == (1, 1)
    assert said.err.startswith("this is a bug in penstock or a plugin: ZeroDivisionError: oh")
    for asked in (penstock("--debug", "jobs"), _with_variable(penstock, monkeypatch)):
        assert "Traceback" in asked.err
        assert asked.status == 1


def _with_variable(penstock: Penstock, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("PENSTOCK_DEBUG", "1")
    return penstock("jobs")


def test_a_setting_that_cannot_be_taken_is_a_mistake(penstock: Penstock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_GROUP_SIZE", "many")
    said = penstock("jobs")
    assert (said.status, "PENSTOCK_GROUP_SIZE" in said.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("jobs", "--bogus"), "no such option: --bogus (penstock jobs --help)"),
        (("jbs",), "no such command 'jbs'. Did you mean 'jobs'? (penstock --help)"),
        (("run",), "missing argument 'pipeline' (penstock run --help)"),
        (("jobs", "--limit", "0", "--json"), "'--limit': "),
        (("search", "x", "-k", "many"), "(penstock search --help)"),
        (("graph", "show", "--bogus"), "no such option: --bogus (penstock graph show --help)"),
    ],
)
def test_what_typer_refuses_is_one_line_and_exits_two(
    penstock: Penstock, arguments: tuple[str, ...], said: str
) -> None:
    refused = penstock(*arguments)
    assert (refused.status, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert said in refused.err


@pytest.mark.parametrize("arguments", [(), ("pipelines",)])
def test_a_group_without_a_command_shows_its_help(penstock: Penstock, arguments: tuple[str, ...]) -> None:
    said = penstock(*arguments)
    assert (said.status, said.err) == (2, "")
    assert "Usage: " in said.out


def test_an_interrupt_while_the_command_line_is_loading_is_one() -> None:
    interrupted = "import sys, signal, os, builtins; real = builtins.__import__\n"
    interrupted += "def early(name, *rest):\n"
    interrupted += "    if name == 'typer': os.kill(os.getpid(), signal.SIGINT)\n"
    interrupted += "    return real(name, *rest)\n"
    interrupted += "builtins.__import__ = early\nfrom penstock.__main__ import main; main()"
    ended = subprocess.run([sys.executable, "-c", interrupted], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "")


def test_the_version_is_told(penstock: Penstock) -> None:
    assert penstock("version").out.startswith("penstock ")


def test_a_line_holds_neither_control_characters_nor_turned_writing() -> None:
    assert screen.one_line("a\x1b[31mb\nc\td\u202ee\x00") == "a\ufffd[31mb c d\ufffde\ufffd"
    assert screen.short("word " * 9, 12) == "word word w…"
    assert screen.counted(1, "document") == "1 document"
    assert screen.counted(2000, "document") == "2,000 documents"


def test_progress_off_a_terminal_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    lines = progress.Lines(screen.stderr(), seconds=0)
    lines.advanced("parse", 1500, 3000)
    lines.advanced("ingest", 7, None)
    assert capsys.readouterr().err == "parse: 1,500 of 3,000\ningest: 7\n"


def test_progress_on_a_terminal_is_a_bar_for_each_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    screen_text = StringIO()
    terminal = Console(file=screen_text, force_terminal=True, width=80)
    monkeypatch.setattr(progress, "stderr", lambda: terminal)
    with progress.progress(["ingest", "parse", "chunk"], after=0) as observer:
        observer.advanced("ingest", 5, None)
        observer.advanced("parse", 2, 5)
        observer.advanced("parse", 5, 5)
    shown = screen_text.getvalue()
    assert "ingest" in shown
    assert "5/5" in shown
    assert "chunk" not in shown


def test_what_is_over_soon_shows_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen_text = StringIO()
    terminal = Console(file=screen_text, force_terminal=True, width=80)
    monkeypatch.setattr(progress, "stderr", lambda: terminal)
    with progress.progress(["parse"], after=60) as observer:
        observer.advanced("parse", 5, 5)
    assert screen_text.getvalue() == ""
