"""Settings in, a wired application out: the only place that picks concrete classes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.errors import StoreBusy, UsageError
from penstock.ir import PDFFile, StageContext
from penstock.ir.codec import decode
from penstock.ir.context import check_tenant
from penstock.ledger.database import Database
from penstock.ledger.graph import SqlGraph
from penstock.ledger.ledger import Ledger
from penstock.pipelines.catalogue import Implementation
from penstock.pipelines.folder import PipelineSet, load_folder
from penstock.pipelines.policies import read_policies
from penstock.pipelines.topology import Stage
from penstock.resilience.guard import Guard
from penstock.resilience.limits import Limits, SharedLimits
from penstock.resilience.policy import Policy, leaving_alone
from penstock.runner import Limits as GroupLimits
from penstock.runner import Runner
from penstock.settings import Settings, load_settings
from penstock.stages.embed import Embedding, EmbeddingEndpoint
from penstock.stages.registry import EntryPointCatalogue
from penstock.stores.artifacts import ArtifactStore, open_artifacts
from penstock.stores.search_generations import ENDINGS, Generations
from penstock.stores.search_index import SqliteSearchIndex

if TYPE_CHECKING:
    from penstock.resilience.http import Http


_DAGSTERS = ("dagster.yaml", "history", "logs", "schedules", "storage")
"""What Dagster has in its home."""


def _own(folder: Path, *names: str) -> list[Path]:
    """The folder; where it is (around) the current one, only what has these names in it, for the rest is the user's."""
    return [folder / name for name in names] if Path.cwd().is_relative_to(folder.resolve()) else [folder]


@dataclass(frozen=True)
class App:
    """Everything a process needs, each part made when first asked for. `close()` when done."""

    settings: Settings
    closing: ExitStack = field(default_factory=ExitStack)

    @cached_property
    def catalogue(self) -> EntryPointCatalogue:
        return EntryPointCatalogue()

    @cached_property
    def pipelines(self) -> PipelineSet:
        return load_folder(self.settings.config, self.catalogue, Policy)

    @cached_property
    def ledger(self) -> Ledger:
        """Brought up to date on first use."""
        ledger = Ledger(Database(self.settings.ledger_url))
        ledger.open()
        return ledger

    @cached_property
    def artifacts(self) -> ArtifactStore:
        return open_artifacts(self.settings.artifacts_location)

    @cached_property
    def index(self) -> SqliteSearchIndex:
        return SqliteSearchIndex(self.settings.index_location)

    @cached_property
    def written(self) -> SqliteSearchIndex:
        """The index that runs write to: the generation that is being built, if one is, else what is searched."""
        return SqliteSearchIndex(self.settings.index_location, building=True)

    @cached_property
    def graph(self) -> SqlGraph:
        return SqlGraph(self.ledger.database)

    @cached_property
    def sources(self) -> Mapping[str, Any]:
        return _Sources(self)

    @property
    def own_places(self) -> list[Path]:
        """Ledger, index and artifacts, configuration and what Dagster keeps, there or not: no source may open them."""
        s = self.settings
        folders = [
            s.home,
            *_own(s.config, "pipelines", "pipeline.schema.json", "resilience.yaml"),
            *map(Path, ("dagster.yaml", "workspace.yaml")),
            *(_own(Path(s.dagster_home), *_DAGSTERS) if s.dagster_home else ()),
            *(Path(path) for path in [s.artifacts_location.removeprefix("file://")] if "://" not in path),
        ]
        ledger = Database(s.ledger_url).path
        beside = [Path(f"{ledger}{ending}") for ending in ENDINGS] if ledger is not None else []
        return [*folders, *beside, *Generations(s.index_location).files]

    def sources_under(self, policy: Policy, limits: Limits) -> Mapping[str, Any]:
        """The sources, their requests guarded by this policy."""
        return _Sources(self, policy, "probe", limits)

    @cached_property
    def policies(self) -> Mapping[str, Policy]:
        """Those of resilience.yaml that hold."""
        return read_policies(self.settings.config / "resilience.yaml", Policy)[0]

    @cached_property
    def limits(self) -> SharedLimits:
        """How fast services may be called, by all processes of this ledger together."""
        limits = SharedLimits(lambda: self.ledger.rates)
        self.closing.callback(limits.close)
        return limits

    def http(self, policy: Policy, name: str, *, limits: Limits | None = None, **options: Any) -> Http:
        """A guarded client, closed with the application."""
        from penstock.resilience.http import Http

        http = Http(policy, name, limits=limits or self.limits, **options)
        self.closing.callback(http.close)
        return http

    @cached_property
    def embedding(self) -> Embedding:
        """What there is to embed with, where a pipeline names nothing."""
        s = self.settings
        endpoint = EmbeddingEndpoint(s.embed_url, s.embed_model, s.embed_api_key) if s.embed_url else None
        return Embedding(s.home / "models", endpoint, s.embedder, s.fastembed_cache)

    @cached_property
    def runner(self) -> Runner:
        return Runner(
            self.ledger,
            self.artifacts,
            build=self.build,
            guard=self.guard,
            sources=self.sources,
            limits=GroupLimits(self.settings.group_size, self.settings.group_seconds),
            lease_seconds=self.settings.lease_seconds,
            gather_seconds=self.settings.gather_seconds,
        )

    def build(self, stage: Stage, index: SqliteSearchIndex | None = None) -> Implementation:
        """A stage's implementation with the services it needs. `index`: another than what runs write to."""
        assert stage.contract is not None
        services = _Services(self, stage, index)
        return self.catalogue.build(stage.contract.name, stage.implementation, stage.options, services)

    def guard(self, stage: Stage) -> Guard | None:
        """What wraps the stage's calls; None where every request is guarded instead."""
        assert stage.contract is not None
        assert isinstance(stage.policy, Policy)
        needs = self.catalogue.load(stage.contract.name, stage.implementation).needs
        return None if "http" in needs else Guard(stage.policy, stage.name)

    def last_download(self, ctx: StageContext) -> PDFFile | None:
        """What was downloaded for a document last, in whatever generation of it."""
        found = self.ledger.outputs.newest("PDFFile", ctx.tenant_id, ctx.doc_id)
        return decode(PDFFile, *found) if found else None

    def close(self) -> None:
        """Close each thing that was made, whatever becomes of the others.

        A ledger that is away keeps its leases until they lapse; what made it be noticed is for others to tell.
        """
        made = self.__dict__
        with suppress(StoreBusy), ExitStack() as last_first:
            if "ledger" in made:
                last_first.callback(self.ledger.database.close)
            for index in ("index", "written"):
                if index in made:
                    last_first.callback(made[index].close)
            last_first.callback(self.closing.close)
            if "runner" in made:
                last_first.callback(self.runner.close)


class _Sources(Mapping[str, Any]):
    """Source name → source, each made when asked for.

    `policy` and its name: what its requests are guarded by; None: what the source itself asks for.
    """

    def __init__(
        self, app: App, policy: Policy | None = None, policy_name: str = "", limits: Limits | None = None
    ) -> None:
        self._app = app
        self._policy, self._policy_name, self._limits = policy, policy_name, limits
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._app.catalogue.sources:
            raise KeyError(name)
        if name not in self._made:
            limit = int(self._app.settings.max_payload_mb * (1 << 20))
            found = self._app.catalogue.source(name)
            services = {need: self._service(found, need) for need in getattr(found, "needs", ())}
            self._made[name] = found(max_bytes=limit, **services)
        return self._made[name]

    def __iter__(self) -> Any:
        return iter(self._app.catalogue.sources)

    def __len__(self) -> int:
        return len(self._app.catalogue.sources)

    def _service(self, found: Any, need: str) -> object:
        if need == "skip":
            return self._app.own_places
        if need == "http":
            return self._http(found)
        if need in ("url", "key", "updates", "email", "bucket_url"):
            return getattr(self._app.settings, f"{found.SERVICE.lower()}_{need}")
        raise UsageError(f"source {found.name!r} needs {need!r}, which there is not", next_step="correct its `needs`")

    def _allowed(self, found: Any) -> float | None:
        """Requests a second that the service allows, as far as the source says."""
        keyed = "key" in found.needs and self._service(found, "key") is not None
        with_key: float | None = getattr(found, "per_second_with_key", None)
        without: float | None = getattr(found, "per_second", None)
        return (with_key if keyed else None) or without

    def _http(self, found: Any) -> Http:
        policy, name = self._policy, self._policy_name
        if policy is None:
            name = getattr(found, "policy", "default")
            policy = self._app.policies.get(name) or Policy(rate_limit_per_second=5.0)
            slowest = min(filter(None, (policy.rate_limit_per_second, self._allowed(found))), default=None)
            policy = policy.model_copy(update={"rate_limit_per_second": slowest})
        urls = [str(self._service(found, need)) for need in ("url", "bucket_url") if need in found.needs]
        return self._app.http(policy, name, origins=[url for url in urls if url], limits=self._limits)


class _Services(Mapping[str, object]):
    """The services of one stage, made when it needs them."""

    NAMES = ("artifacts", "embedding", "graph", "http", "index", "last_download", "sources")

    def __init__(self, app: App, stage: Stage, index: SqliteSearchIndex | None) -> None:
        self._app, self._stage, self._index = app, stage, index

    def __getitem__(self, name: str) -> object:
        if name == "http":
            return self._http()
        if name == "sources":
            return self._sources()
        if name == "index":
            return self._index or self._app.written
        if name in self.NAMES:
            return getattr(self._app, name)
        raise KeyError(name)

    def __iter__(self) -> Any:
        return iter(self.NAMES)

    def __len__(self) -> int:
        return len(self.NAMES)

    def _sources(self) -> _Sources:
        """Under the stage's policy, where that is not just the default one."""
        stage = self._stage
        assert isinstance(stage.policy, Policy)
        return (
            _Sources(self._app)
            if stage.policy_name == "default"
            else _Sources(self._app, stage.policy, stage.policy_name)
        )

    def _http(self) -> object:
        """Guarded by the stage's policy. Only what the operator named for this stage may be at a private address."""
        from penstock.resilience.http import MAX_BYTES

        stage = self._stage
        policy = stage.policy
        assert isinstance(policy, Policy)
        settings, embeds = self._app.settings, stage.type == "EmbedStage"
        named = [settings.embed_url if embeds else "", str(getattr(stage.options, "url", "") or "")]
        if stage.type == "DownloadStage":
            named += [settings.ncbi_bucket_url, *settings.download_origins.split()]
            policy = leaving_alone(policy)
        most = getattr(stage.options, "max_mb", None)
        return self._app.http(
            policy,
            stage.policy_name or stage.name,
            origins=[url for url in named if url],
            retry_posts=embeds,
            max_bytes=int(most * (1 << 20)) if isinstance(most, int | float) else MAX_BYTES,
        )


def open_app(**overrides: object) -> App:
    """The application of this process's environment. Raises UsageError for a setting that can't be."""
    settings = load_settings(**overrides)
    check_tenant(settings.tenant)
    return App(settings)
