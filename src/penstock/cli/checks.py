"""What `penstock doctor` looks at, each thing on its own, so that one that is broken hides no other."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from penstock.cli.request import missing_ledger
from penstock.cli.screen import counted
from penstock.errors import ArtifactLost, NotFound, PenstockError, TransientError
from penstock.explain.standing import FOREIGN_INDEX
from penstock.settings import Settings

if TYPE_CHECKING:
    from penstock.ledger.health import Health

PROBE_SECONDS = 3.0
MAX_ANSWER = 1 << 20
LITTLE, TOO_LITTLE = 1 << 30, 100 << 20
"""Free bytes below which to warn, and below which a run can't end well."""
SAMPLE = 20
"""Outputs looked for in the artifact store."""


@dataclass(frozen=True, slots=True)
class Check:
    """`state`: ok, warn (works, but you may want to know) or bad (something that is needed doesn't work)."""

    name: str
    state: Literal["ok", "warn", "bad"]
    detail: str
    fix: str = ""


def all_checks(settings: Settings, dagster_home: Path | None) -> Iterator[Check]:
    looks: tuple[tuple[str, Callable[[Settings], Iterator[Check]]], ...] = (
        ("home", _home),
        ("pipelines", _pipelines),
        ("ledger", _ledger),
        ("documents", _documents),
        ("artifacts", _artifacts),
        ("artifacts", _outputs),
        ("sqlite", _sqlite),
        ("index", _index),
        ("embedding", _embedding),
    )
    for name, look in looks:
        try:
            yield from look(settings)
        except TransientError as error:
            yield Check(name, "bad", error.message, "start it again, or correct the PENSTOCK_ variable that names it")
        except PenstockError as error:
            yield Check(name, "bad", error.message, error.next_step)
        except Exception as error:  # noqa: BLE001 — whatever is wrong there, the other checks go on
            yield Check(name, "bad", f"{type(error).__name__}: {error}")
    yield _dagster(dagster_home)


def _home(settings: Settings) -> Iterator[Check]:
    home = settings.home
    there = _nearest(home)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Check("home", "bad", f"{home}: {there} can't be written to", "set PENSTOCK_HOME to a folder of yours")
        return
    free = shutil.disk_usage(there).free
    detail = f"{home}{'' if home.exists() else ' (the first run makes it)'}, {free >> 20:,} MiB free"
    state: Literal["ok", "warn", "bad"] = "bad" if free < TOO_LITTLE else "warn" if free < LITTLE else "ok"
    yield Check("home", state, detail, "" if state == "ok" else "free some space, or set PENSTOCK_HOME elsewhere")


def _nearest(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    path = path.absolute()
    return next((p for p in (path, *path.parents) if p.exists()), Path("/"))


def _pipelines(settings: Settings) -> Iterator[Check]:
    from penstock.cli.pipelines import load_all

    found = load_all(settings)
    for path, error in found.broken.items():
        found_wrong = counted(len(error.problems), "problem")
        yield Check("pipelines", "bad", f"{path}: {found_wrong}", "penstock pipelines check")
    names = ", ".join(found.loaded)
    if names:
        yield Check("pipelines", "ok", f"{settings.config}: {names}")
    elif not found.broken:
        yield Check("pipelines", "bad", f"{settings.config}: no pipelines in it", "penstock init")


def _ledger(settings: Settings) -> Iterator[Check]:
    from penstock.ledger.database import Database
    from penstock.ledger.migrate import HEAD, current

    database = Database(settings.ledger_url)
    where = database.url.render_as_string(hide_password=True)
    try:
        if database.path is not None and not database.path.exists():
            yield Check("ledger", "ok", f"{where}: the first run makes it")
            return
        version = current(database)
    finally:
        database.close()
    if version == HEAD:
        yield Check("ledger", "ok", f"{where}, version {version}")
    elif version is not None and version > HEAD:
        yield Check(
            "ledger", "bad", f"{where}: version {version} is newer than this Penstock's {HEAD}", "upgrade Penstock"
        )
    else:
        older = f"{where}: version {version or 'none'}, this Penstock needs {HEAD}"
        yield Check("ledger", "warn" if database.sqlite else "bad", older, "penstock ledger migrate")


def _health(settings: Settings) -> Iterator[Health]:
    """The ledger's own findings, where there is one that can be read; where it can't, `_ledger` says why."""
    from penstock.ledger.database import Database
    from penstock.ledger.health import Health
    from penstock.ledger.migrate import HEAD, current

    if missing_ledger(settings) is None:
        with closing(Database(settings.ledger_url)) as database:
            try:
                readable = current(database) == HEAD
            except PenstockError:
                return
            if readable:
                yield Health(database, settings.tenant)


def _documents(settings: Settings) -> Iterator[Check]:
    """What got stuck on its way."""
    for health in _health(settings):
        stuck, left = health.stuck(), health.left_behind()
        for status, count in stuck.items():
            found = f"{counted(count, 'document')} {'stands' if count == 1 else 'stand'} {status}"
            yield Check("documents", "warn", found, f"penstock jobs --status {status}, then penstock retry")
        if left and _foreign_index(settings, health):
            found = f"{settings.index_location} was written by another ledger: {counted(left, 'document')} can't get in"
            yield Check("documents", "bad", found, FOREIGN_INDEX)
        elif left:
            found = f"{counted(left, 'document')} {'was' if left == 1 else 'were'} left on the way by runs that died"
            yield Check("documents", "warn", found, "penstock retry")
        if not stuck and not left:
            yield Check("documents", "ok", "none stands dead, failed or left behind")


def _foreign_index(settings: Settings, health: Health) -> bool:
    """Whether the index has newer generations of documents left on their way than the ledger has."""
    from penstock.stores.search_index import SqliteSearchIndex

    with closing(SqliteSearchIndex(settings.index_location)) as index:
        if not index.exists:
            return False
        held = ((index.generation_of(settings.tenant, doc_id), known) for doc_id, known in health.on_the_way(SAMPLE))
        return any(generation is not None and generation > known for generation, known in held)


def _outputs(settings: Settings) -> Iterator[Check]:
    """Whether some of the outputs that the ledger keeps in the artifact store are there."""
    from penstock.stores.artifacts import open_artifacts

    for health in _health(settings):
        store, digests, lost = open_artifacts(settings.artifacts_location), health.stored(SAMPLE), 0
        for digest in digests:
            try:
                store.get(digest)
            except (NotFound, ArtifactLost):
                lost += 1
        if lost:
            found = f"{lost} of {counted(len(digests), 'output')} looked for {'is' if lost == 1 else 'are'} not there"
            fix = "correct PENSTOCK_ARTIFACTS_URL, or run the same again: what can be made again is"
            yield Check("artifacts", "bad", f"{settings.artifacts_location}: {found}", fix)


def _artifacts(settings: Settings) -> Iterator[Check]:
    from penstock.stores.artifacts import open_artifacts

    where = settings.artifacts_location
    if "://" not in where or where.startswith("file://"):
        there = _nearest(Path(where.removeprefix("file://")))
        able = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
        yield Check("artifacts", "ok" if able else "bad", f"{where}{'' if able else f': {there} can’t be written to'}")
        return
    store = open_artifacts(where)
    probe = b"penstock doctor was here"
    same = store.get(store.put(probe)) == probe
    yield Check(
        "artifacts", "ok" if same else "bad", f"{where}{'' if same else ' gives other bytes than it was given'}"
    )


def _sqlite(settings: Settings) -> Iterator[Check]:
    """A new index in a folder of its own proves that FTS5 and sqlite-vec load."""
    import apsw

    from penstock.stores.search_index import SqliteSearchIndex

    with TemporaryDirectory() as folder:
        index = SqliteSearchIndex(Path(folder) / "probe.db")
        index.store_id()
        index.close()
    yield Check("sqlite", "ok", f"SQLite {apsw.sqlite_lib_version()} with FTS5 and sqlite-vec")


def _index(settings: Settings) -> Iterator[Check]:
    from penstock.stores.search_generations import Generations
    from penstock.stores.search_index import SqliteSearchIndex

    index = SqliteSearchIndex(settings.index_location)
    if not index.exists:
        yield Check("index", "ok", f"{index.path}: the first run makes it")
        return
    try:
        counts, space = index.count(), index.space
    finally:
        index.close()
    held = f"vectors of {space.model} ({space.dimension} dimensions)" if space else "no vectors: keyword search only"
    size = f"{counted(counts.documents, 'document')}, {counted(counts.chunks, 'chunk')}"
    yield Check("index", "ok", f"{index.path}: {size}, {held}")
    if space is not None and settings.embed_url and settings.embed_model != space.model:
        yield Check(
            "index",
            "warn",
            f"it holds {space.model}, but PENSTOCK_EMBED_MODEL is {settings.embed_model}: vectors are never mixed",
            "set the model back, or: penstock index rebuild",
        )
    if Generations(settings.index_location).next is not None:
        built = SqliteSearchIndex(settings.index_location, building=True)
        try:
            there = counted(built.count().documents if built.exists else 0, "document")
        finally:
            built.close()
        found = f"{built.path}: being built beside it, {there} so far; runs write to it, searches don't see it yet"
        yield Check("index", "warn", found, "penstock index rebuild goes on with it, penstock index discard drops it")


def _embedding(settings: Settings) -> Iterator[Check]:
    """Ask the configured endpoint for its models; without one, say what embeds instead."""
    if not settings.embed_url:
        yield _embeds_here(settings)
        return
    import httpx

    from penstock.stages.embed import EmbeddingEndpoint

    endpoint = EmbeddingEndpoint(settings.embed_url, settings.embed_model, settings.embed_api_key)
    url = httpx.URL(f"{endpoint.url}/models")
    shown = url.copy_with(userinfo=b"", query=None, fragment=None)
    key = endpoint.api_key.get_secret_value() if endpoint.api_key else ""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    fix = "start the server, or correct PENSTOCK_EMBED_URL"
    try:
        with httpx.Client(timeout=PROBE_SECONDS, headers=headers) as client, client.stream("GET", url) as answer:
            body = b""
            for part in answer.iter_bytes():
                body += part
                if len(body) > MAX_ANSWER:
                    break
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        yield Check("embedding", "bad", f"{shown}: {type(error).__name__}: {error}", fix)
        return
    if answer.status_code in (401, 403):
        yield Check("embedding", "bad", f"{shown} answers {answer.status_code}", "set PENSTOCK_EMBED_API_KEY")
    elif answer.status_code != 200:
        yield Check("embedding", "warn", f"{shown} answers {answer.status_code}; it may still embed", fix)
    elif settings.embed_model.encode() not in body:
        yield Check(
            "embedding", "warn", f"{shown} does not list {settings.embed_model}", "correct PENSTOCK_EMBED_MODEL"
        )
    else:
        yield Check("embedding", "ok", f"{settings.embed_model} at {shown.copy_with(path=shown.path[:-7] or '/')}")


def _embeds_here(settings: Settings) -> Check:
    from penstock.cli.ui import has_target
    from penstock.stages.embed.ladder import Embedding, without_endpoint
    from penstock.stores.search_index import SqliteSearchIndex

    index = SqliteSearchIndex(settings.index_location)
    try:
        chosen = without_endpoint(
            Embedding(settings.home / "models", None, settings.embedder, settings.fastembed_cache), index
        )
    finally:
        index.close()
    fix = "set PENSTOCK_EMBED_URL and PENSTOCK_EMBED_MODEL to an OpenAI-compatible endpoint"
    if has_target("install-model"):
        fix += "; or: make install-model"
    return Check("embedding", "ok", chosen.note) if chosen.works else Check("embedding", "warn", chosen.note, fix)


def _dagster(home: Path | None) -> Check:
    from importlib.metadata import PackageNotFoundError, version

    from penstock.cli.ui import ui_command

    try:
        installed = version("dagster")
    except PackageNotFoundError:
        return Check("dagster", "warn", "not installed: penstock run works without it", "pip install penstock")
    if home is None:
        fix = ui_command()
        return Check("dagster", "warn", f"{installed}, and DAGSTER_HOME is not set", fix)
    if not home.is_absolute() or not home.is_dir():
        return Check("dagster", "warn", f"DAGSTER_HOME {home} is no absolute path of a folder", f"mkdir -p {home}")
    if not (home / "dagster.yaml").is_file():
        return Check("dagster", "warn", f"DAGSTER_HOME {home} has no dagster.yaml", f"cp dagster.yaml {home}/")
    return Check("dagster", "ok", f"{installed}, DAGSTER_HOME {home}")
