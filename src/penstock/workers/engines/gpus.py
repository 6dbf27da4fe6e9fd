"""The NVIDIA GPUs of this machine, as `nvidia-smi` tells them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from shutil import which
from typing import NamedTuple

from penstock.errors import EngineUnavailable

_SECONDS = 20.0
_QUERY = "index,uuid,name,memory.total,memory.free"


class Gpu(NamedTuple):
    """`number` in the order of the PCI bus; memory in MiB."""

    number: int
    uuid: str
    name: str
    total_mb: int
    free_mb: int

    def __str__(self) -> str:
        return f"GPU {self.number} ({self.name}, {self.total_mb / 1024:.0f} GiB)"


def usable_gpus(environment: Mapping[str, str]) -> list[Gpu]:
    """Those that `CUDA_VISIBLE_DEVICES` leaves, if it is set; at least one.

    Raises EngineUnavailable, which says what is missing.
    """
    program = which("nvidia-smi", path=environment.get("PATH"))
    if program is None:
        raise _none("nvidia-smi is not there: no NVIDIA driver is installed")
    command = [program, f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise _none(f"nvidia-smi gives no answer in {_SECONDS:g} s") from None
    except OSError as error:
        raise _none(f"nvidia-smi can't be run: {error.strerror}") from None
    if ran.returncode:
        said = " ".join((ran.stderr or ran.stdout).split())
        raise _none(f"nvidia-smi ended with status {ran.returncode}: {said[:200]}")
    gpus = [gpu for line in ran.stdout.splitlines() if (gpu := _gpu(line)) is not None]
    if not gpus:
        raise _none("nvidia-smi lists none whose memory it can tell")
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    allowed = gpus if visible is None else [gpu for gpu in gpus if _named(gpu, visible)]
    if not allowed:
        raise _none(f"CUDA_VISIBLE_DEVICES={visible[:100] if visible else ''} leaves none of {len(gpus)}")
    return allowed


def _gpu(line: str) -> Gpu | None:
    index, _, rest = line.partition(", ")
    uuid, _, rest = rest.partition(", ")
    name, *memory = rest.rsplit(", ", 2)
    try:
        return Gpu(int(index), uuid, name, *map(int, memory))
    except (ValueError, TypeError):
        return None


def _named(gpu: Gpu, visible: str) -> bool:
    names = [name.strip() for name in visible.split(",")]
    return str(gpu.number) in names or any(name.startswith("GPU-") and gpu.uuid.startswith(name) for name in names)


def _none(why: str) -> EngineUnavailable:
    return EngineUnavailable(f"no usable GPU: {why}", next_step="mend that, or take --engine cpu or mineru-http")
