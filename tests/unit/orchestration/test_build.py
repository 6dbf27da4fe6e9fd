"""A folder of pipelines as Dagster definitions."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from dagster import AssetCheckKey, AssetKey, DefaultScheduleStatus, Definitions, build_schedule_context

from penstock.orchestration.ops import CHECK

from .conftest import SMALL, Project


def names(definitions: Definitions) -> set[str]:
    return {job.name for job in definitions.jobs or []}


def test_both_seeds_load_with_assets_checks_and_the_sensor(project: Project, seeds: Callable[[], None]) -> None:
    seeds()
    definitions = project.definitions()
    assert names(definitions) == {"auto", "pdf_two_phase"}
    graph = definitions.resolve_asset_graph()
    assert graph.get(AssetKey(["auto", "chunk"])).parent_keys == {AssetKey(["auto", "parse"])}
    assert graph.get(AssetKey(["pdf_two_phase", "chunk"])).parent_keys == {AssetKey(["pdf_two_phase", "pdf_gate"])}
    assert AssetCheckKey(AssetKey(["auto", "kg"]), CHECK) in graph.asset_check_keys
    assert [s.name for s in definitions.sensors or []] == ["submitted_batches", "pdf_ir_ready_sensor"]
    Definitions.validate_loadable(definitions)


def test_a_broken_file_is_a_job_that_says_why_and_the_others_stand(project: Project) -> None:
    project.pipeline(SMALL)
    path = project.pipeline(SMALL.replace("ChunkStage", "ChunkStaje"), "bent")
    project.document("a.md")
    definitions = project.definitions()
    assert names(definitions) == {"small", "bent"}
    said = definitions.get_job_def("bent").description
    assert f"{path}:7:" in str(said)
    assert "ChunkStage" in str(said)
    failed = project.run("bent", request={})
    assert not failed.success
    [failure] = [e for e in failed.all_events if e.is_step_failure]
    assert "ChunkStaje" in str(failure.step_failure_data.error)
    assert project.run("small").success


def test_a_broken_file_does_not_hide_a_good_pipeline_of_that_name(project: Project) -> None:
    project.pipeline(SMALL, "a")
    project.pipeline("version: 1", "small")
    assert names(project.definitions()) == {"small", "small__broken"}


def test_a_broken_file_stands_as_a_job_whatever_its_name(project: Project) -> None:
    project.pipeline(SMALL)
    files = (
        "my draft",
        "small.old",
        "type",
        "1é",
        "é",
        "my-draft",
        "my_draft",
        "a" * 200,
        "submitted_batches",
        "\udcff",
    )
    for name in files:
        project.pipeline("oops: [", name)
    definitions = project.definitions()
    Definitions.validate_loadable(definitions)
    assert names(definitions) == {
        *("small", "my_draft", "my_draft__broken", "my_draft__broken__broken", "small_old", "type__broken", "1"),
        *("broken", "broken__broken", "a" * 60, "submitted_batches"),
    }
    for job in definitions.jobs or []:
        str(job.description).encode()


def test_an_executor_that_is_not_installed_breaks_only_its_own_pipeline(project: Project) -> None:
    project.pipeline(SMALL)
    project.pipeline(SMALL.replace("name: small", "name: wide\nexecutor: k8s"), "wide")
    definitions = project.definitions()
    assert "pip install dagster-k8s" in str(definitions.get_job_def("wide").description)
    assert definitions.get_job_def("small").tags == {"penstock/pipeline": "small"}


def test_a_schedule_of_the_yaml_runs_the_job_with_its_request(project: Project) -> None:
    nightly = 'schedule: {cron: "0 3 * * *", timezone: Europe/Berlin, request: {source: files, query: {paths: [in]}}}'
    project.pipeline(SMALL + nightly)
    definitions = project.definitions()
    schedule = definitions.get_schedule_def("small_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 3 * * *", "Europe/Berlin")
    assert schedule.default_status is DefaultScheduleStatus.RUNNING
    with build_schedule_context(instance=project.instance) as context:
        [request] = schedule.evaluate_tick(context).run_requests or []
    assert request.run_config == {"source": "files", "request": {"paths": ["in"]}}


def test_sources_that_are_not_installed_make_no_noise_at_load(
    project: Project, seeds: Callable[[], None], capfd: pytest.CaptureFixture[str]
) -> None:
    seeds()
    logging.getLogger("penstock").setLevel(logging.INFO)
    project.definitions()
    assert "unpaywall" not in "".join(capfd.readouterr())


def test_a_folder_without_a_good_pipeline_loads_too(project: Project) -> None:
    project.pipeline("stages: []", "bent")
    definitions = project.definitions()
    assert names(definitions) == {"bent"}
    assert not definitions.sensors
