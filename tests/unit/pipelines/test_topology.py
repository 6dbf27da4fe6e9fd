"""What a file becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from penstock.errors import ConfigError, NotFound
from penstock.pipelines.catalogue import StaticCatalogue
from penstock.pipelines.folder import load_folder
from penstock.pipelines.topology import Topology
from penstock.resilience.policy import Policy

Load = Callable[[str], Topology]

HEAD = """
version: "1.0"
name: given
stages:
  - {name: ingest, type: IngestStage}
  - {name: parse, type: ParseStage, depends_on: [ingest]}
"""


def stages(*lines: str) -> str:
    return HEAD + "".join(f"  - {{{line}}}\n" for line in lines)


def names(found: object) -> list[str]:
    return [stage.name for stage in found]  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def seeds(root: Path, catalogue: StaticCatalogue) -> dict[str, Topology]:
    pipelines = load_folder(root / "config/orchestration", catalogue, Policy)
    assert pipelines.broken == {}
    return dict(pipelines.loaded)


def test_auto_loads_as_it_is_printed(seeds: dict[str, Topology]) -> None:
    auto = seeds["auto"]
    assert names(auto.stages) == ["ingest", "parse", "chunk", "embed", "index", "extract", "kg"]
    assert auto.sources == ("clinicaltrials", "openalex", "openfda-drug-label")
    assert auto.stage("index").inputs == {"document": "parse", "chunks": "chunk", "vectors": "embed"}
    assert auto.stage("extract").inputs == {"document": "parse", "chunks": "chunk"}
    assert auto.stage("embed").policy_name == "gpu-bound"
    assert auto.stage("embed").policy.max_attempts == 1  # type: ignore[attr-defined]
    assert [w.line for w in auto.warnings] == [5]
    assert names(auto.leaves) == ["kg"]


def test_pdf_two_phase_hangs_its_gate_on_the_stage_above(seeds: dict[str, Topology]) -> None:
    pdf = seeds["pdf-two-phase"]
    gate = pdf.stage("pdf_gate")
    assert gate.depends_on == ("download_pdf",)
    assert gate.inputs == {"pdf_ir_ready": "download_pdf"}
    assert gate.gate is not None
    assert gate.gate.resume_stage == "chunk"
    assert gate.gate.timeout_seconds is None
    assert pdf.stage("chunk").inputs == {"document": "pdf_gate"}
    assert pdf.stage("chunk").options_dict == {"size": 200, "overlap": 0, "mode": "words"}
    assert pdf.dagster_name == "pdf_two_phase"


def test_walking_a_topology(load: Load) -> None:
    topology = load(
        stages(
            "name: chunk, type: ChunkStage, depends_on: [parse]",
            "name: embed, type: EmbedStage, depends_on: [chunk]",
            "name: extract, type: ExtractStage, depends_on: [chunk]",
            "name: index, type: IndexStage, depends_on: [embed, extract]",
        )
    )
    assert names(topology.parents("index")) == ["embed", "extract"]
    assert names(topology.children("chunk")) == ["embed", "extract"]
    assert names(topology.ancestors("extract")) == ["ingest", "parse", "chunk"]
    assert names(topology.descendants("chunk")) == ["embed", "extract", "index"]
    with pytest.raises(NotFound) as missing:
        topology.stage("indx")
    assert missing.value.next_step == "did you mean 'index'?"
    with pytest.raises(FrozenInstanceError):
        topology.name = "other"  # type: ignore[misc]


def test_lines_may_stand_in_any_order(load: Load) -> None:
    topology = load(
        """
        version: "1.0"
        name: upside-down
        stages:
          - {name: chunk, type: ChunkStage, depends_on: [parse]}
          - {name: parse, type: ParseStage, depends_on: [ingest]}
          - {name: ingest, type: IngestStage}
        """
    )
    assert names(topology.stages) == ["ingest", "parse", "chunk"]
    assert [stage.line for stage in topology.stages] == [7, 6, 5]


def test_extract_may_stand_before_embed(load: Load) -> None:
    topology = load(
        stages(
            "name: chunk, type: ChunkStage, depends_on: [parse]",
            "name: extract, type: ExtractStage, depends_on: [chunk]",
            "name: embed, type: EmbedStage, depends_on: [extract]",
            "name: index, type: IndexStage, depends_on: [embed]",
            "name: kg, type: KGStage, depends_on: [index]",
        )
    )
    assert topology.stage("index").inputs == {"document": "parse", "chunks": "chunk", "vectors": "embed"}
    assert topology.stage("kg").inputs == {"knowledge": "extract"}


def test_an_optional_input_that_nothing_gives_is_left_out(load: Load) -> None:
    topology = load(
        stages(
            "name: chunk, type: ChunkStage, depends_on: [parse]",
            "name: index, type: IndexStage, depends_on: [chunk]",
        )
    )
    assert topology.stage("index").inputs == {"document": "parse", "chunks": "chunk"}


def test_of_two_that_give_the_same_the_nearest_is_taken(load: Load) -> None:
    topology = load(
        stages(
            "name: translate, type: TranslateStage, depends_on: [parse]",
            "name: chunk, type: ChunkStage, depends_on: [translate, parse]",
        )
    )
    assert topology.stage("translate").inputs == {"document": "parse"}
    assert topology.stage("chunk").inputs == {"document": "translate"}


def test_inputs_may_name_one_that_is_farther(load: Load) -> None:
    topology = load(
        stages(
            "name: translate, type: TranslateStage, depends_on: [parse]",
            "name: chunk, type: ChunkStage, depends_on: [translate], inputs: {document: parse}",
        )
    )
    assert topology.stage("chunk").inputs == {"document": "parse"}


def test_between_branches_the_number_of_steps_does_not_decide(load: Load) -> None:
    text = stages(
        "name: short, type: TranslateStage, depends_on: [parse]",
        "name: long1, type: TranslateStage, depends_on: [parse]",
        "name: long2, type: TranslateStage, depends_on: [long1]",
        "name: mind, type: JudgeStage, depends_on: [long2]",
        "name: chunk, type: ChunkStage, depends_on: [short, long2]INPUTS",
    ).replace("  - {name: mind, type: JudgeStage, depends_on: [long2]}\n", "")
    with pytest.raises(ConfigError, match="'short' and 'long2'"):
        load(text.replace("INPUTS", ""))
    assert load(text.replace("INPUTS", ", inputs: {document: short}")).stage("chunk").inputs == {"document": "short"}


def test_the_optional_keys(load: Load) -> None:
    topology = load(
        """
        version: "1.0"
        name: full
        batch_size: 50
        on_dead_letter: fail
        executor: {multiprocess: {max_concurrent: 2}}
        schedule: {cron: "0 6 * * *", timezone: Europe/Berlin, request: {source: files, query: {paths: [a]}}}
        stages:
          - {name: ingest, type: IngestStage, policy: {max_attempts: 7}}
          - {name: download, type: DownloadStage, depends_on: [ingest]}
          - name: wait
            type: Gate
            condition: {ledger_field: pdf_ir_ready}
            resume_stage: chunk
            timeout: 36h
          - {name: chunk, type: ChunkStage, use: sentences, with: {size: 100}, depends_on: [wait]}
        """
    )
    assert (topology.batch_size, topology.on_dead_letter) == (50, "fail")
    assert (topology.executor.name, topology.executor.config) == ("multiprocess", {"max_concurrent": 2})
    assert topology.schedule is not None
    assert (topology.schedule.cron, topology.schedule.source) == ("0 6 * * *", "files")
    assert topology.stage("ingest").policy_name == "inline"
    assert topology.stage("ingest").policy.max_attempts == 7  # type: ignore[attr-defined]
    assert topology.stage("wait").gate.timeout_seconds == 36 * 3600  # type: ignore[union-attr]
    assert topology.stage("chunk").options_dict["size"] == 100
    assert topology.warnings == ()


def test_short_forms_of_executor_and_schedule(load: Load) -> None:
    topology = load(HEAD.replace("stages:", 'executor: k8s\nschedule: "@daily"\nstages:'))
    assert topology.executor.name == "k8s"
    assert topology.schedule is not None
    assert (topology.schedule.cron, topology.schedule.timezone, topology.schedule.source) == ("@daily", "UTC", None)


@pytest.mark.parametrize(
    "change",
    [
        ("name: given", "name: given # a comment"),
        ("name: given", "name: given\ndescription: words"),
        ("name: given", "name: given\nbatch_size: 1000"),
        ("type: IngestStage", "type: IngestStage, policy: default, use: source"),
    ],
)
def test_the_digest_does_not_mind_what_means_the_same(load: Load, change: tuple[str, str]) -> None:
    assert load(HEAD).digest == load(HEAD.replace(*change)).digest


@pytest.mark.parametrize(
    "change",
    [
        ("name: given", "name: other"),
        ("name: given", "name: given\nbatch_size: 10"),
        ("name: given", "name: given\nexecutor: k8s"),
        ("name: given", 'name: given\nschedule: "@daily"'),
        ("name: given", "name: given\napplicable_sources: [files]"),
        ("type: IngestStage", "type: IngestStage, policy: gpu-bound"),
        ("type: IngestStage", "type: IngestStage, policy: {max_attempts: 9}"),
        ("name: parse", "name: parser"),
    ],
)
def test_the_digest_minds_what_changes_a_run(load: Load, change: tuple[str, str]) -> None:
    assert load(HEAD).digest != load(HEAD.replace(*change)).digest


def test_a_change_of_an_option_changes_the_digest_and_its_default_does_not(load: Load) -> None:
    chunk = "name: chunk, type: ChunkStage, depends_on: [parse]"
    plain = load(stages(chunk)).digest
    assert load(stages(f"{chunk}, with: {{size: 200}}")).digest == plain
    assert load(stages(f"{chunk}, with: {{size: 100}}")).digest != plain


def test_a_stage_in_doubt_hides_no_mistake_elsewhere_and_invents_none(load: Load) -> None:
    text = stages(
        "name: chunk, type: ChunkStage, depends-on: [parse]",
        "name: embed, type: EmbedStage, depends_on: [chunk]",
        "name: kg, type: KGStage, depends_on: [parse]",
    )
    with pytest.raises(ConfigError) as refusal:
        load(text)
    assert [p.message.split()[0:3] for p in refusal.value.problems] == [
        ["unknown", "key", "'depends-on'"],
        ["stage", "'kg'", "(KGStage)"],
    ]


def test_a_wide_and_a_long_pipeline_load(load: Load) -> None:
    chain = [f"name: t{i}, type: TranslateStage, depends_on: [{f't{i - 1}' if i else 'parse'}]" for i in range(300)]
    topology = load(stages(*chain))
    assert len(topology.ancestors("t299")) == 301
    assert topology.stage("t299").inputs == {"document": "t298"}
