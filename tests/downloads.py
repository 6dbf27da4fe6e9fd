"""A pipeline of downloads and nothing else, for tests that go through the runner."""

from __future__ import annotations

from penstock.pipelines.catalogue import StaticCatalogue
from penstock.stages import contracts
from penstock.stages.download import HttpDownload
from tiny import Listing

PIPELINE = """\
version: "1.0"
name: downloads
applicable_sources: []
stages:
  - {name: ingest, type: IngestStage, policy: once}
  - {name: download, type: DownloadStage, policy: once, depends_on: [ingest]}
"""
CATALOGUE = StaticCatalogue(
    {"IngestStage": contracts.INGEST, "DownloadStage": contracts.DOWNLOAD},
    {("IngestStage", "source"): Listing, ("DownloadStage", "http"): HttpDownload},
)
