"""Settings in, a wired application out: the only place that picks concrete classes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from penstock.ledger.database import Database
from penstock.ledger.graph import SqlGraph
from penstock.ledger.ledger import Ledger
from penstock.pipelines.catalogue import Implementation
from penstock.pipelines.folder import PipelineSet, load_folder
from penstock.pipelines.topology import Stage
from penstock.resilience.guard import Guard
from penstock.resilience.policy import Policy
from penstock.runner import Limits, Runner
from penstock.settings import Settings, load_settings
from penstock.stages.embed import EmbeddingEndpoint
from penstock.stages.registry import EntryPointCatalogue
from penstock.stores.artifacts import ArtifactStore, open_artifacts
from penstock.stores.search_index import SqliteSearchIndex


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
    def graph(self) -> SqlGraph:
        return SqlGraph(self.ledger.database)

    @cached_property
    def sources(self) -> Mapping[str, Any]:
        return _Sources(self)

    @cached_property
    def embedding(self) -> EmbeddingEndpoint | None:
        """The configured endpoint; None: keyword search only."""
        s = self.settings
        return EmbeddingEndpoint(s.embed_url, s.embed_model, s.embed_api_key) if s.embed_url else None

    @cached_property
    def runner(self) -> Runner:
        return Runner(
            self.ledger,
            self.artifacts,
            build=self.build,
            guard=self.guard,
            sources=self.sources,
            limits=Limits(self.settings.group_size, self.settings.group_seconds),
            lease_seconds=self.settings.lease_seconds,
        )

    def build(self, stage: Stage) -> Implementation:
        """A stage's implementation with the services it needs."""
        assert stage.contract is not None
        return self.catalogue.build(stage.contract.name, stage.implementation, stage.options, _Services(self, stage))

    def guard(self, stage: Stage) -> Guard | None:
        """What wraps the stage's calls; None where every request is guarded instead."""
        assert stage.contract is not None
        assert isinstance(stage.policy, Policy)
        needs = self.catalogue.load(stage.contract.name, stage.implementation).needs
        return None if "http" in needs else Guard(stage.policy, stage.name)

    def close(self) -> None:
        made = self.__dict__
        if "runner" in made:
            self.runner.close()
        self.closing.close()
        if "index" in made:
            self.index.close()
        if "ledger" in made:
            self.ledger.database.close()


class _Sources(Mapping[str, Any]):
    """Source name → source, each made when asked for."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._app.catalogue.sources:
            raise KeyError(name)
        if name not in self._made:
            limit = int(self._app.settings.max_payload_mb * (1 << 20))
            self._made[name] = self._app.catalogue.source(name)(max_bytes=limit)
        return self._made[name]

    def __iter__(self) -> Any:
        return iter(self._app.catalogue.sources)

    def __len__(self) -> int:
        return len(self._app.catalogue.sources)


class _Services(Mapping[str, object]):
    """The services of one stage, made when it needs them."""

    NAMES = ("artifacts", "embedding", "graph", "http", "index", "sources")

    def __init__(self, app: App, stage: Stage) -> None:
        self._app, self._stage = app, stage

    def __getitem__(self, name: str) -> object:
        if name == "http":
            return self._http()
        if name in self.NAMES:
            return getattr(self._app, name)
        raise KeyError(name)

    def __iter__(self) -> Any:
        return iter(self.NAMES)

    def __len__(self) -> int:
        return len(self.NAMES)

    def _http(self) -> object:
        """Guarded by the stage's policy. Only what the operator named for this stage may be at a private address."""
        from penstock.resilience.http import MAX_BYTES, Http

        stage = self._stage
        assert isinstance(stage.policy, Policy)
        embeds = stage.type == "EmbedStage"
        named = (self._app.settings.embed_url if embeds else "", str(getattr(stage.options, "url", "") or ""))
        most = getattr(stage.options, "max_mb", None)
        http = Http(
            stage.policy,
            stage.policy_name or stage.name,
            origins=[url for url in named if url],
            retry_posts=embeds,
            max_bytes=int(most * (1 << 20)) if isinstance(most, int | float) else MAX_BYTES,
        )
        self._app.closing.callback(http.close)
        return http


def open_app(**overrides: object) -> App:
    """The application of this process's environment."""
    return App(load_settings(**overrides))
