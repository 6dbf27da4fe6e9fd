"""All pipelines of the configured folder as Dagster definitions, each file on its own."""

from dagster import Definitions, JobDefinition, ScheduleDefinition, get_dagster_logger, in_process_executor

from penstock.bootstrap import open_app
from penstock.errors import ConfigError, Problem, UsageError
from penstock.orchestration.assets import assets_of, checks_of
from penstock.orchestration.jobs import broken_job, job_of
from penstock.orchestration.sensors import batches_sensor, remember
from penstock.pipelines.names import dagster_name
from penstock.pipelines.topology import Topology


def build_definitions() -> Definitions:
    """Jobs, assets, checks, schedules and the sensor. A broken file becomes a job that says why, and takes none down."""
    log = get_dagster_logger("penstock")
    pipelines = open_app().pipelines
    jobs: dict[str, JobDefinition] = {}
    topologies: dict[str, Topology] = {}
    broken = dict(pipelines.broken)
    for name, topology in pipelines.loaded.items():
        try:
            jobs[topology.dagster_name] = job_of(topology)
        except UsageError as error:
            broken[topology.path] = ConfigError([Problem(str(topology.path), 1, 1, error.message, error.next_step)])
            continue
        topologies[name] = topology
        remember(topology)
        for warning in topology.warnings:
            log.warning(str(warning))
    standing = list(jobs.values())
    for path, error in broken.items():
        log.error(str(error))
        name = dagster_name(path.stem)
        name = f"{name}__broken" if name in jobs else name
        jobs[name] = broken_job(name, error)
    return Definitions(
        jobs=list(jobs.values()),
        assets=[spec for t in topologies.values() for spec in assets_of(t)],
        asset_checks=[check for t in topologies.values() for check in checks_of(t)],
        schedules=[s for t in topologies.values() if (s := _schedule(t, jobs[t.dagster_name])) is not None],
        sensors=[batches_sensor(topologies, standing)] if standing else [],
        executor=in_process_executor,
    )


def _schedule(topology: Topology, job: JobDefinition) -> ScheduleDefinition | None:
    if topology.schedule is None:
        return None
    wanted = topology.schedule
    return ScheduleDefinition(
        name=f"{topology.dagster_name}_schedule",
        job=job,
        cron_schedule=wanted.cron,
        execution_timezone=wanted.timezone,
        run_config={"source": wanted.source or "files", "request": dict(wanted.query)},
        description=f"{topology.path}: schedule",
    )
