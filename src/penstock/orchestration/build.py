"""All pipelines of the configured folder as Dagster definitions, each file on its own."""

import re
from pathlib import Path

from dagster import (
    DagsterError,
    DefaultScheduleStatus,
    Definitions,
    JobDefinition,
    ScheduleDefinition,
    get_dagster_logger,
    in_process_executor,
)

from penstock.bootstrap import open_app
from penstock.errors import ConfigError, Problem
from penstock.ir.model import clean_text
from penstock.orchestration.assets import assets_of, checks_of
from penstock.orchestration.gate_sensor import gate_sensors
from penstock.orchestration.jobs import broken_job, job_of
from penstock.orchestration.sensors import batches_sensor
from penstock.pipelines.names import MAX_LENGTH, RESERVED
from penstock.pipelines.topology import Topology


def build_definitions() -> Definitions:
    """Jobs, assets, checks, schedules, the sensors. A broken file becomes a job that says why, and takes none down."""
    pipelines = open_app().pipelines
    jobs: dict[str, JobDefinition] = {}
    schedules: list[ScheduleDefinition] = []
    topologies: dict[str, Topology] = {}
    broken = dict(pipelines.broken)
    for name, topology in pipelines.loaded.items():
        try:
            job = job_of(topology)
            schedules += schedules_of(topology, job)
        except ConfigError as error:
            broken[topology.path] = error
            continue
        except DagsterError as error:
            broken[topology.path] = ConfigError([Problem(str(topology.path), 1, 1, " ".join(str(error).split()))])
            continue
        jobs[job.name] = job
        topologies[name] = topology
    _log(topologies, broken)
    standing = dict(jobs)
    for path, problem in broken.items():
        name = name_of(path)
        while name in jobs:
            name += "__broken"
        jobs[name] = broken_job(name, problem)
    return Definitions(
        jobs=list(jobs.values()),
        assets=[spec for topology in topologies.values() for spec in assets_of(topology)],
        asset_checks=[check for topology in topologies.values() for check in checks_of(topology)],
        schedules=schedules,
        sensors=[
            *([batches_sensor(topologies, list(standing.values()))] if standing else []),
            *gate_sensors(topologies, standing),
        ],
        executor=in_process_executor,
    )


def name_of(path: Path) -> str:
    """What Dagster can call a broken file's job, whatever the file's own name."""
    plain = re.sub("[^A-Za-z0-9]+", "_", path.stem).strip("_")[:MAX_LENGTH]
    return f"{plain}__broken".lstrip("_") if plain in {"", *RESERVED} else plain


def schedules_of(topology: Topology, job: JobDefinition) -> list[ScheduleDefinition]:
    """The schedule its YAML asks for, which runs unless it is stopped in the UI; or none."""
    wanted = topology.schedule
    if wanted is None:
        return []
    return [
        ScheduleDefinition(
            name=f"{topology.dagster_name}_schedule",
            job=job,
            cron_schedule=wanted.cron,
            execution_timezone=wanted.timezone,
            run_config={"source": wanted.source or "files", "request": dict(wanted.query)},
            description=f"As {topology.path} says.",
            default_status=DefaultScheduleStatus.RUNNING,
        )
    ]


def _log(topologies: dict[str, Topology], broken: dict[Path, ConfigError]) -> None:
    log = get_dagster_logger("penstock")
    for problem in broken.values():
        log.error(clean_text(str(problem)))  # a file name may be no UTF-8
    warnings = sum(len(topology.warnings) for topology in topologies.values())
    if warnings:
        log.debug(f"{warnings} warnings about pipelines: penstock pipelines check shows them")
