"""A catalogue of given things, so that messages stay the same whatever is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any, ClassVar, Protocol

import pytest
from pydantic import BaseModel, ConfigDict, Field

from penstock.errors import UsageError
from penstock.ir import Document, Knowledge
from penstock.pipelines.catalogue import Contract, Implementation, StaticCatalogue, Take
from penstock.pipelines.loader import load_pipeline
from penstock.pipelines.policies import load_policies
from penstock.pipelines.topology import Topology
from penstock.resilience.policy import Policy
from penstock.sources.files import FilesQuery
from penstock.stages import contracts


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sized(Options):
    model_config = ConfigDict(strict=True)

    size: int = Field(200, ge=1)
    overlap: int = 0
    mode: str | int = "words"


class Endpoint(Options):
    url: str


class Hostile(Options):
    """A plugin's model whose validator raises what pydantic does not expect."""

    def model_post_init(self, context: Any, /) -> None:
        raise KeyError("colour")


class Translation(Protocol):
    def execute(self, ctx: object, document: Document) -> Document: ...


TRANSLATE = Contract("TranslateStage", Translation, (Take("document", Document),), Document, default="copy")
JUDGE = Contract("JudgeStage", Translation, (Take("verdict", complex),), Knowledge)
CONTRACTS = [c for c in vars(contracts).values() if isinstance(c, Contract)] + [TRANSLATE, JUDGE]


def implementation(of: str, called: str, options: type[BaseModel] = Options) -> type[Implementation]:
    class Made:
        name = called
        version = "1"
        contract = of
        needs: ClassVar[tuple[str, ...]] = ()
        Options = options

        def __init__(self, options: Any, **services: Any) -> None: ...

    return Made


class Given(StaticCatalogue):
    """With one implementation that can't be imported."""

    def implementations(self, contract: str) -> list[str]:
        return sorted([*super().implementations(contract), *(["heavy"] if contract == "ParseStage" else [])])

    def load(self, contract: str, name: str) -> type[Implementation]:
        if name == "heavy":
            raise UsageError("'ParseStage.heavy' needs the module 'heavy'", next_step="pip install 'plugin[heavy]'")
        return super().load(contract, name)


@pytest.fixture(scope="session")
def catalogue() -> StaticCatalogue:
    classes = {(c.name, c.default): implementation(c.name, c.default) for c in CONTRACTS if c.default}
    classes["ChunkStage", "sentences"] = implementation("ChunkStage", "sentences", Sized)
    classes["EmbedStage", "endpoint"] = implementation("EmbedStage", "endpoint", Endpoint)
    classes["ExtractStage", "hostile"] = implementation("ExtractStage", "hostile", Hostile)
    sources = ("files", "openalex", "clinicaltrials")
    return Given({c.name: c for c in CONTRACTS}, classes, sources, contracts.LEDGER_FIELDS, {"files": FilesQuery})


@pytest.fixture(scope="session")
def policies(root: Path) -> dict[str, Policy]:
    return load_policies(root / "config/orchestration/resilience.yaml", Policy)


@pytest.fixture
def load(catalogue: StaticCatalogue, policies: dict[str, Policy], tmp_path: Path) -> Callable[[str], Topology]:
    """Text of a file → its topology."""

    def load(text: str) -> Topology:
        path = tmp_path / "given.yaml"
        path.write_text(dedent(text), encoding="utf-8")
        return load_pipeline(path, catalogue, policies, Policy)

    return load
