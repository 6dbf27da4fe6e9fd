"""What makes a stage's output what it is: hashes of implementations and options, and of how data flows between them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, SecretBytes, SecretStr

from penstock.errors import UsageError
from penstock.pipelines.catalogue import Implementation
from penstock.pipelines.topology import Stage, Topology

_ADDRESS = re.compile(r" at 0x[0-9a-f]+", re.IGNORECASE)
"""What Python says of a thing that has no words for itself: where in memory it lies."""


def digest(*parts: object) -> str:
    """sha256 (hex) of the canonical JSON of `parts`. Raises UsageError for what JSON has no words for."""
    try:
        return sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()
    except orjson.JSONEncodeError as error:
        raise UsageError(f"an option can't be told apart from others: {error}") from None


def options_identity(options: BaseModel | None) -> dict[str, Any]:
    """Options as they enter a digest: files and folders by their content; secrets, and what a model excludes from
    dumps, not. Raises UsageError for what can't be read, or is another in each process."""
    if options is None:
        return {}
    values = {name: getattr(options, name) for name, f in type(options).model_fields.items() if not f.exclude}
    values |= options.__pydantic_extra__ or {}
    return {name: _plain(value) for name, value in values.items() if not _secret(value)}


def _secret(value: object) -> bool:
    return isinstance(value, SecretStr | SecretBytes) or (
        isinstance(value, Mapping) and value.get("type") in ("env_var", "token")
    )


def _plain(value: object) -> Any:
    if isinstance(value, BaseModel):
        return options_identity(value)
    if isinstance(value, Path):
        try:
            return {"folder": _folder(value)} if value.is_dir() else {"file": sha256(value.read_bytes()).hexdigest()}
        except OSError as error:
            raise UsageError(f"an option names {value}, which can't be read: {error.strerror}") from None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items() if not _secret(item)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(
            (_plain(item) for item in value), key=lambda item: orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
        )
    if value is None or isinstance(value, str | bool | float) or (isinstance(value, int) and abs(value) < 1 << 63):
        return value
    said = str(value)
    if _ADDRESS.search(said):
        raise UsageError(
            f"an option holds a {type(value).__name__}, of which nothing says what it does",
            next_step="give its class a __str__ that tells one from another",
        )
    return said


def _folder(root: Path) -> list[tuple[str, str]]:
    """Each file in it, by its place within and its content."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return [(path.relative_to(root).as_posix(), sha256(path.read_bytes()).hexdigest()) for path in files]


def definition_of(stage: Stage, implementation: Implementation) -> dict[str, Any]:
    """The row that says what this stage was: contract, implementation, version, model, options."""
    return {
        "contract": implementation.contract,
        "implementation": implementation.name,
        "version": str(implementation.version),
        "model": str(getattr(implementation, "model", "") or ""),
        "options": options_identity(stage.options),
    }


def flow_hashes(topology: Topology, definitions: Mapping[str, str]) -> dict[str, str]:
    """Stage → hash over its definition and, through its data inputs only, those of the stages it lives on."""
    hashes: dict[str, str] = {}
    for stage in topology.stages:
        inputs = sorted((field, hashes[source]) for field, source in stage.inputs.items())
        own = definitions.get(stage.name) or f"gate:{stage.gate.ledger_field if stage.gate else ''}"
        hashes[stage.name] = digest(own, inputs)
    return hashes


def fingerprint_of(topology: Topology, hashes: Mapping[str, str]) -> str:
    """One hash for everything that reaches a sink, or a stage that nothing follows."""
    ends = {s.name for s in topology.stages if s.contract is not None and s.contract.sink}
    ends |= {leaf.name for leaf in topology.leaves}
    return digest(sorted(hashes[name] for name in ends))
