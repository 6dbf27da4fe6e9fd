"""What is made of nvidia-smi's answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import EngineUnavailable
from penstock.workers.engines.gpus import Gpu, usable_gpus

TWO = "0, GPU-aa11, NVIDIA A10, 24576, 24000\n1, GPU-bb22, NVIDIA RTX 6000, Ada Generation, 49140, 300\n"


def says(folder: Path, out: str, status: int = 0) -> dict[str, str]:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nprintf '%s' '{out}'\nexit {status}\n")
    program.chmod(0o755)
    return {"PATH": str(folder)}


def test_each_gpu_is_read_with_its_memory(tmp_path: Path) -> None:
    first, second = usable_gpus(says(tmp_path, TWO))
    assert first == Gpu(0, "GPU-aa11", "NVIDIA A10", 24576, 24000)
    assert second == Gpu(1, "GPU-bb22", "NVIDIA RTX 6000, Ada Generation", 49140, 300)
    assert str(first) == "GPU 0 (NVIDIA A10, 24 GiB)"


@pytest.mark.parametrize(
    ("visible", "numbers"), [("1", [1]), ("0,1", [0, 1]), ("GPU-bb", [1]), (" 1 , GPU-aa11", [0, 1])]
)
def test_only_those_that_cuda_is_allowed_are_usable(tmp_path: Path, visible: str, numbers: list[int]) -> None:
    environment = says(tmp_path, TWO) | {"CUDA_VISIBLE_DEVICES": visible}
    assert [gpu.number for gpu in usable_gpus(environment)] == numbers


@pytest.mark.parametrize("visible", ["", "-1", "2", "GPU-cc", "MIG-1"])
def test_where_none_is_allowed_that_is_said(tmp_path: Path, visible: str) -> None:
    environment = says(tmp_path, TWO) | {"CUDA_VISIBLE_DEVICES": visible}
    with pytest.raises(EngineUnavailable, match=f"no usable GPU: CUDA_VISIBLE_DEVICES={visible} leaves none of 2"):
        usable_gpus(environment)


@pytest.mark.parametrize(
    ("out", "status", "said"),
    [
        (
            "NVIDIA-SMI has failed because\nit could not reach the driver",
            9,
            "status 9: NVIDIA-SMI has failed because it",
        ),
        ("No devices were found\n", 6, "status 6: No devices were found"),
        ("", 0, "lists none"),
        ("0, GPU-aa, NVIDIA GB10, [N/A], [N/A]\n", 0, "lists none whose memory it can tell"),
        ("garbage\n,,,\n", 0, "lists none"),
    ],
)
def test_a_machine_without_one_says_so_in_one_line(tmp_path: Path, out: str, status: int, said: str) -> None:
    with pytest.raises(EngineUnavailable, match=f"^no usable GPU: nvidia-smi .*{said.replace('[', '.')}") as caught:
        usable_gpus(says(tmp_path, out, status))
    assert "\n" not in caught.value.message


def test_so_does_one_without_a_driver(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="nvidia-smi is not there"):
        usable_gpus({"PATH": str(tmp_path)})
    (tmp_path / "nvidia-smi").write_bytes(b"no program")
    (tmp_path / "nvidia-smi").chmod(0o755)
    with pytest.raises(EngineUnavailable, match="nvidia-smi can't be run"):
        usable_gpus({"PATH": str(tmp_path)})
