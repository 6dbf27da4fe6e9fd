"""The command line. A user's mistake is one line with its fix; commands import what they need when they run."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated

import typer

from penstock.cli import (
    demo,
    doctor,
    eval,
    explain,
    graph,
    index,
    init,
    jobs,
    ledger,
    picture,
    pipelines,
    retry,
    run,
    search,
    sources,
    submit,
    worker,
)
from penstock.cli.embedding import query_embedder
from penstock.errors import PenstockError, Stopped, UsageError

FAILED, USAGE, STOPPED = 1, 2, 130


@dataclass(slots=True)
class Invocation:
    debug: bool = False


app = typer.Typer(
    name="penstock",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def penstock(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="PENSTOCK_DEBUG", help="Show the traceback of what goes wrong.")
    ] = False,
) -> None:
    """Sources in; a hybrid search index and a knowledge graph out, nothing lost and nothing done twice.

    Exit status: 0 complete, 1 failed, 2 a mistake in what was asked for, 3 some documents did not get through.
    """
    context.ensure_object(Invocation).debug = debug


demo.register(app)
run.register(app)
submit.register(app)
jobs.register(app)
retry.register(app)
explain.register(app)
picture.register(app)
search.register(app, query_embedder)
graph.register(app)
app.add_typer(pipelines.app, name="pipelines")
app.add_typer(sources.app, name="sources")
app.add_typer(worker.app, name="worker")
app.add_typer(ledger.app, name="ledger")
app.add_typer(index.app, name="index")
app.add_typer(eval.app, name="eval")
doctor.register(app)
init.register(app)


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    sys.stdout.write(f"penstock {installed('penstock')}\n")


def main() -> None:
    """The entry point `penstock`."""
    from penstock.cli.streams import ready, unwritten

    invocation, status = Invocation(), None
    ready()
    try:
        try:
            status = app(obj=invocation, prog_name="penstock", standalone_mode=False)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(STOPPED)
    except typer.Abort:
        sys.exit(FAILED)
    except PenstockError as error:
        _complain(error, invocation.debug)
        sys.exit(_status(error))
    except Exception as error:  # noqa: BLE001 — the last door: a bug is told as one
        if said := _misused(error):
            if type(error).__name__ == "NoArgsIsHelpError":  # help is what was shown
                sys.exit(USAGE)
            _complain(said, invocation.debug)
            sys.exit(USAGE)
        if isinstance(error, OSError) and (refused := unwritten()):
            if not isinstance(refused, BrokenPipeError):  # who listened may have heard enough
                _complain(PenstockError(f"stdout can't be written to: {refused.strerror}"), invocation.debug)
        else:
            _confess(error, invocation.debug)
        sys.exit(FAILED)
    sys.exit(status if isinstance(status, int) else 0)


def _misused(error: Exception) -> UsageError | None:
    """What Typer says of a command line, as a mistake of ours; None for anything else.

    By its looks: Typer has the class from click, or has its own, and gives it no public name.
    """
    context, told = getattr(error, "ctx", None), getattr(error, "format_message", None)
    if told is None:
        return None
    asked = f"{context.command_path if context else 'penstock'} --help"
    what = told().rstrip(".")
    return UsageError(what[:1].lower() + what[1:], next_step=asked)


def _status(error: PenstockError) -> int:
    return USAGE if isinstance(error, UsageError) else STOPPED if isinstance(error, Stopped) else FAILED


def _complain(error: PenstockError, debug: bool) -> None:
    from penstock.cli.screen import complain

    if debug:
        _traceback(error)
    complain(error)


def _confess(error: Exception, debug: bool) -> None:
    from penstock.cli.screen import fault, stderr

    if debug:
        _traceback(error)
    what = f"this is a bug in penstock or a plugin: {type(error).__name__}: {error}"
    stderr().print(fault(what, "" if debug else "penstock --debug … shows the traceback"), soft_wrap=True)


def _traceback(error: Exception) -> None:
    import traceback

    traceback.print_exception(error, file=sys.stderr)
