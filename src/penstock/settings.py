"""The only reader of the environment: PENSTOCK_… variables, and their defaults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from penstock.errors import UsageError

_ORIGIN = re.compile(r"https?://[^\s/?#@]+/?", re.IGNORECASE)


class Settings(BaseSettings):
    """Everything a run keeps lies under `home` unless a URL says otherwise. Secrets are SecretStr and never printed."""

    model_config = SettingsConfigDict(env_prefix="PENSTOCK_", frozen=True, extra="ignore")

    home: Path = Path(".penstock")
    config: Path = Path("config/orchestration")
    """The folder that holds resilience.yaml and pipelines/."""
    dagster_home: str = Field(default="", validation_alias="DAGSTER_HOME")
    """Dagster's own variable: where it keeps its state."""
    database_url: str = ""
    """SQLAlchemy URL of the ledger; empty: SQLite in `home`."""
    artifacts_url: str = ""
    """fsspec URL of the artifact store; empty: a folder in `home`."""
    index_path: Path | None = None
    """The search index file; empty: in `home`."""
    tenant: str = "default"

    embedder: Literal["auto", "endpoint", "fastembed", "minilm", "none"] = "auto"
    """What embeds where a pipeline names nothing. auto: the first there is, in this order; endpoint: a configured one,
    else nothing. An index stays with what its first vectors were made by."""
    embed_url: str = ""
    """Base URL of an OpenAI-compatible endpoint (…/v1)."""
    embed_model: str = ""
    embed_api_key: SecretStr | None = None

    fastembed_cache: Path | None = Field(default=None, validation_alias="FASTEMBED_CACHE_PATH")
    """FastEmbed's own variable: where it keeps its models; empty: in `home`."""

    clinicaltrials_url: str = ""
    """Base URL of ClinicalTrials.gov's API; empty: the public one. Here and below a URL may be at a private address."""
    openalex_url: str = ""
    openalex_key: SecretStr | None = None
    openalex_updates: bool = False
    """Whether the key's plan may ask for what was updated since a day: then a listing is repeated for changes only."""
    openfda_url: str = ""
    openfda_key: SecretStr | None = None
    ncbi_url: str = ""
    """Base URL of NCBI's E-utilities."""
    ncbi_key: SecretStr | None = None
    ncbi_bucket_url: str = ""
    """Base URL of PMC's open data, which PDFs are downloaded from, too."""
    unpaywall_url: str = ""
    unpaywall_email: SecretStr | None = None
    """Whose requests they are; Unpaywall answers nobody else."""
    core_url: str = ""
    core_key: SecretStr | None = None
    download_origins: str = ""
    """Servers that downloads may ask though they are at a private address or without TLS: https://host[:port], parted
    by blanks."""

    pdf_engine: Literal["auto", "cpu", "mineru", "mineru-http"] = "auto"
    """What `penstock worker pdf` parses with. auto: MinerU on a GPU where there is one, else the CPU engine."""
    pdf_cpu: bool = True
    """Whether `auto` may take the CPU engine."""
    mineru_url: str = ""
    """Base URL of the MinerU server that the engine mineru-http asks."""
    mineru_key: SecretStr | None = None

    lease_seconds: float = Field(default=60.0, gt=0, le=86_400)
    gather_seconds: float = Field(default=30.0, gt=0, le=3600)
    """How long a run that the sensor started for what is through its gate takes along what comes after, at most."""
    group_size: int = Field(default=64, ge=1, le=10_000)
    group_seconds: float = Field(default=1.0, gt=0, le=3600)
    max_payload_mb: float = Field(default=100.0, gt=0, le=65_536)
    """Larger records are dead-lettered as too-large."""

    @field_validator("download_origins")
    @classmethod
    def _are_servers(cls, value: str) -> str:
        for origin in value.split():
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin[:80]!r} is not like https://host[:port]")
        return value

    @property
    def ledger_url(self) -> str:
        return self.database_url or f"sqlite:///{self.home / 'ledger.db'}"

    @property
    def artifacts_location(self) -> str:
        return self.artifacts_url or str(self.home / "artifacts")

    @property
    def index_location(self) -> Path:
        return self.index_path or self.home / "index.db"


def load_settings(**overrides: object) -> Settings:
    """The settings of this process. Raises UsageError naming each variable that can't be taken."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        wrong = "; ".join(
            f"PENSTOCK_{'_'.join(map(str, e['loc'])).upper()}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        )
        raise UsageError(f"settings: {wrong}") from None
