"""The YAML of a pipeline as closed models: every key there is, its type and its default."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SkipValidation,
    WithJsonSchema,
    field_validator,
)

from penstock.pipelines.cron import check_cron
from penstock.pipelines.names import MAX_LENGTH, PATTERN, check_name
from penstock.pipelines.problems import Refused, suggest

GATE = "Gate"
_DURATION = re.compile("^([0-9]{1,9}) ?([smhd])$")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise Refused(f"there is no time zone {name!r}", "an IANA name, for example Europe/Berlin") from error
    return name


def _seconds(value: object) -> object:
    if isinstance(value, str):
        found = _DURATION.match(value)
        if not found:
            raise Refused(f"{value!r} is no duration", "seconds, or a number with s, m, h or d: 36h")
        return int(found[1]) * _UNITS[found[2]]
    return value


def _executor(value: object) -> object:
    """`multiprocess` and `{multiprocess: {…}}` alike."""
    if isinstance(value, str):
        value = {value: {}}
    if not isinstance(value, dict) or len(value) != 1:
        raise Refused(
            "'executor' must be a name, or a mapping of one name to its options", "executor: {multiprocess: {}}"
        )
    [(name, config)] = value.items()
    known = get_args(_ExecutorName)
    if name not in known:
        raise Refused(f"unknown executor {name!r}", suggest(str(name), known))
    return {"name": name, "config": {} if config is None else config}


def _schedule(value: object) -> object:
    return {"cron": value} if isinstance(value, str) else value


Name = Annotated[
    str,
    AfterValidator(check_name),
    Field(json_schema_extra={"pattern": PATTERN, "maxLength": MAX_LENGTH}),
]
Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    Field(gt=0, allow_inf_nan=False),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": _DURATION.pattern}]}
    ),
]


_ExecutorName = Literal["in_process", "multiprocess", "docker", "celery", "celery_docker", "celery_k8s", "k8s"]
_ExecutorInput = _ExecutorName | Annotated[dict[_ExecutorName, dict[str, Any]], Field(min_length=1, max_length=1)]


class _Closed(BaseModel):
    """Unknown keys are refused, values are not coerced, empty is not absent."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @field_validator("*", mode="before")
    @classmethod
    def _not_empty(cls, value: object) -> object:
        if value is None:
            raise ValueError("is empty")
        return value


class ConditionEntry(_Closed):
    """What a gate waits for: a ledger field that a worker outside sets to true."""

    ledger_field: str = Field(description="One of the fields that a worker outside sets, pdf_ir_ready for example.")
    equals: Literal[True] = Field(
        True, description="Nothing ever sets a ledger field back, so only true can be awaited."
    )


class GateEntry(_Closed):
    """A stage of type Gate: documents wait here until their condition holds."""

    name: Name
    type: Literal["Gate"]
    condition: ConditionEntry
    resume_stage: str = Field(description="The stage that goes on once the gate is open: one that depends on it.")
    depends_on: list[str] | None = Field(None, description="Default: the stage written above the gate.")
    timeout: Seconds | None = Field(None, description="Seconds, or 90m, 36h, 7d: how long a document may wait.")


class StageEntry(_Closed):
    """A stage that does something: a contract, and which implementation of it."""

    name: Name
    type: Annotated[str, Field(json_schema_extra={"not": {"const": GATE}})] = Field(description="The contract's name.")
    use: str | None = Field(None, description="The implementation's name; default: the contract's own.")
    with_: dict[str, Any] = Field({}, alias="with", description="The implementation's options.")
    policy: str | dict[str, Any] = Field(
        "default", description="A policy of resilience.yaml by name, or one written out here."
    )
    depends_on: list[str] = Field([], description="Stages that must be done before; data comes from any ancestor.")
    inputs: dict[str, str] = Field({}, description="Which ancestor fills an input, where two could.")


class ExecutorEntry(_Closed):
    name: str
    config: dict[str, Any] = {}


class Asked(_Closed):
    """A request: which source, and its own query."""

    source: str
    query: dict[str, Any] = {}


class ScheduleEntry(_Closed):
    """When a pipeline starts by itself, and what it then asks for."""

    cron: Annotated[str, AfterValidator(check_cron)]
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    request: Asked | None = None


class PipelineFile(_Closed):
    """A pipeline: a directed graph of stages, one file each."""

    version: Literal["1.0"] = Field(description="Of this format, in quotes.")
    name: Name
    description: str = ""
    applicable_sources: list[str] = Field([], description="Requests for these come here when they name no pipeline.")
    batch_size: int = Field(1000, ge=1, le=100_000, description="Documents a run takes, of a submission.")
    on_dead_letter: Literal["continue", "fail"] = Field(
        "continue", description="Whether a run with dead letters succeeds (partial) or fails."
    )
    executor: Annotated[ExecutorEntry | None, BeforeValidator(_executor, json_schema_input_type=_ExecutorInput)] = (
        Field(None, description="Dagster's executor: a name, or {name: options}.")
    )
    schedule: Annotated[
        ScheduleEntry | None, BeforeValidator(_schedule, json_schema_input_type=str | ScheduleEntry)
    ] = Field(None, description="A cron line, or {cron, timezone, request}.")
    stages: list[SkipValidation[GateEntry | StageEntry]] = Field(min_length=1)
