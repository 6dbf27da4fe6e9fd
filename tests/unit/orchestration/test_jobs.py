"""Topologies as Dagster jobs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from dagster import JobDefinition

from penstock.bootstrap import App
from penstock.errors import ConfigError
from penstock.orchestration.executors import executor_of
from penstock.orchestration.jobs import job_of
from penstock.pipelines.topology import Topology

from .conftest import SMALL, Project


def edges(job: JobDefinition) -> dict[str, set[str]]:
    """Op → the ops it waits for."""
    return {
        invocation.alias or invocation.name: {node.node for node in inputs.values()}
        for invocation, inputs in job.graph.dependencies.items()
    }


def wanted(topology: Topology) -> dict[str, set[str]]:
    return {s.dagster_name: {p.dagster_name for p in topology.parents(s.name)} for s in topology.stages}


@pytest.mark.parametrize("name", ["auto", "pdf-two-phase"])
def test_the_graph_of_a_job_is_the_pipelines(name: str, seeds: Callable[[], None], app: App) -> None:
    seeds()
    topology = app.pipelines.named(name)
    job = job_of(topology)
    assert edges(job) == wanted(topology)
    assert job.name == name.replace("-", "_")


def test_extract_before_embed_is_another_graph(project: Project, seeds: Callable[[], None], app: App) -> None:
    seeds()
    text = (project.pipelines / "auto.yaml").read_text()
    head, ingest, parse, chunk, embed, index, extract, kg = text.split("  - name: ")
    extract = extract.replace("[index]", "[chunk]")
    embed = embed.replace("[chunk]", "[extract]")
    kg = kg.replace("[extract]", "[index]")
    text = "  - name: ".join((head, ingest, parse, chunk, extract, embed, index, kg))
    project.pipeline(text, "auto")
    graph = edges(job_of(app.pipelines.named("auto")))
    assert graph["extract"] == {"chunk"}
    assert graph["embed"] == {"extract"}
    assert graph["kg"] == {"index"}


def test_two_pipelines_may_have_stages_of_the_same_names(project: Project) -> None:
    project.pipeline(SMALL)
    project.pipeline(SMALL.replace("name: small", "name: other"), "other")
    project.document("a.md")
    assert project.run("small").success
    assert project.run("other").success


def test_one_flat_config_reaches_every_op(project: Project, app: App) -> None:
    project.pipeline(SMALL)
    project.document("a.md")
    assert project.run(request={"paths": [str(project.docs)]}, tenant="acme").success
    assert app.ledger.batches.batch(1).tenant == "acme"


def test_a_config_key_that_is_not_known_is_refused(project: Project) -> None:
    project.pipeline(SMALL)
    with pytest.raises(Exception, match="requst"):
        project.run(requst={"paths": []})


def test_ops_say_what_the_yaml_says_of_them(project: Project, app: App) -> None:
    project.pipeline(SMALL)
    node = job_of(app.pipelines.named("small")).graph.node_named("chunk")
    assert node.tags["penstock/implementation"] == "witness"
    assert node.tags["penstock/policy"] == "default"
    assert node.tags["penstock/yaml"] == "small.yaml:7"


def test_the_executor_is_the_yamls(project: Project, app: App) -> None:
    project.pipeline(SMALL + "executor: {multiprocess: {max_concurrent: 2}}\n")
    assert job_of(app.pipelines.named("small")).executor_def.name == "multiprocess"


@pytest.mark.parametrize(
    ("executor", "place", "message", "fix"),
    [
        ("k8s", (8, 11), "executor 'k8s' needs the package dagster-k8s, which is not installed",
         "pip install dagster-k8s"),
        ("{docker: {}}", (8, 20), "executor 'docker' needs the package dagster-docker, which is not installed",
         "pip install dagster-docker"),
        ("{multiprocess: {max_concurent: 2}}", (8, 27), "executor 'multiprocess' has no option 'max_concurent'",
         "did you mean 'max_concurrent'?"),
        ("{multiprocess: {retries: {enabld: {}}}}", (8, 37), "executor 'multiprocess' has no option 'retries:enabld'",
         "did you mean 'enabled'?"),
        ("{multiprocess: {max_concurrent: -3}}", (8, 43), "executor 'multiprocess': -3 processes at once",
         "0 (as many as there are cores) or more"),
    ],
)  # fmt: skip
def test_an_executor_that_cannot_be_had_is_told_where_it_is_named(
    project: Project, app: App, executor: str, place: tuple[int, int], message: str, fix: str
) -> None:
    project.pipeline(SMALL + f"executor: {executor}\n")
    with pytest.raises(ConfigError) as caught:
        executor_of(app.pipelines.named("small"))
    [problem] = caught.value.problems
    assert ((problem.line, problem.column), problem.message, problem.fix) == (place, message, fix)


def test_an_executors_option_of_the_wrong_kind_is_told_at_its_value(project: Project, app: App) -> None:
    project.pipeline(SMALL + "executor: {multiprocess: {max_concurrent: two}}\n")
    with pytest.raises(ConfigError, match='Value "two"') as caught:
        executor_of(app.pipelines.named("small"))
    assert caught.value.problems[0].column == 43
