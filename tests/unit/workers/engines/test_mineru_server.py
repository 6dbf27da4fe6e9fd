"""The host of a mineru-api of our own: what it needs is looked at, and nothing of it stays behind.

The program and nvidia-smi are stand-ins, since what is tried here are faults; tests/integration has the real one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mineru_double import install
from penstock.errors import EngineUnavailable, Stopped, UsageError
from penstock.workers.engines import mineru_server
from penstock.workers.engines.canary import canary
from penstock.workers.engines.mineru_http import MineruHttp, MineruHttpOptions
from penstock.workers.engines.mineru_process import interpreter
from penstock.workers.engines.mineru_server import MineruServer

PATIENCE = 60.0
NVIDIA_SMI = """\
#!/bin/sh
cd "$(dirname "$0")"
[ -e gone ] && { echo "Unable to determine the device handle" >&2; exit 15; }
free=24000
[ -e seen.json ] && free=$(cat free)
echo "0, GPU-aa11, NVIDIA A10, 24576, $free"
echo "1, GPU-bb22, NVIDIA A10, 24576, 20000"
"""


class Machine:
    """Has a GPU that a started server takes memory of. `mood` is the stand-in's."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.program = install(self.bin)
        (self.bin / "nvidia-smi").write_text(NVIDIA_SMI)
        (self.bin / "nvidia-smi").chmod(0o755)
        (self.bin / "free").write_text("18000")

    def mood(self, **mood: Any) -> None:
        (self.bin / "mood.json").write_text(json.dumps(mood))

    def seen(self) -> Any:
        """The arguments and environment that the server was started with."""
        return json.loads((self.bin / "seen.json").read_bytes())


Build = Callable[..., MineruServer]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return Machine(tmp_path)


@pytest.fixture
def build(machine: Machine) -> Iterator[Build]:
    made: list[MineruServer] = []

    def make(options: Any = None, **more: Any) -> MineruServer:
        environment = {"PATH": f"{machine.bin}:/usr/bin:/bin", "PENSTOCK_CORE_KEY": "x", "HOME": "/", "AWS_SECRET": "x"}
        inherited = environment | more.pop("inherited", {})
        made.append(MineruServer({"poll_seconds": 0.01} | (options or {}), inherited=inherited, **more))
        return made[-1]

    yield make
    for server in made:
        server.close()


def processes(folder: Path) -> list[int]:
    """Those that run in a folder below this one."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if place.readlink().is_relative_to(folder):
                found.append(int(place.parts[2]))
        except OSError:
            continue
    return found


def eventually(true: Callable[[], Any]) -> None:
    until = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_server_that_works_is_reported_thing_by_thing(machine: Machine, build: Build) -> None:
    server = build()
    assert server.readiness is None
    server.start()
    assert server.readiness is not None
    assert server.readiness.configured == f"{machine.program}, MinerU 4.0.12, tier standard"
    assert server.readiness.weights == "MinerU models: ok"
    assert server.readiness.canary == "reads 'a plain page'"
    assert server.readiness.gpu == "GPU 0 (NVIDIA A10, 24 GiB), 6000 MiB taken"


def test_what_it_is_started_with(machine: Machine, build: Build) -> None:
    server = build(
        {"tier": "advanced"}, inherited={"MINERU_MODEL_VLM_ENGINE": "lmdeploy", "CUDA_VISIBLE_DEVICES": "1,0"}
    )
    server.start()
    seen = machine.seen()
    assert {"--host=127.0.0.1", "--tier=standard", "--concurrency=1", "--preload-models"} <= set(seen["argv"])
    wanted = {
        "MINERU_MODEL_SOURCE": "local",
        "MINERU_DEVICE_MODE": "cuda",
        "MINERU_MODEL_SMALL_BACKEND": "torch",
        "MINERU_MODEL_VLM_ENGINE": "lmdeploy",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "0",
    }
    assert seen["env"].items() >= wanted.items()
    assert not {"PENSTOCK_CORE_KEY", "AWS_SECRET"} & set(seen["env"])


def test_its_key_is_not_in_the_list_of_processes(machine: Machine, build: Build, tmp_path: Path) -> None:
    server = build()
    server.start()
    key = server.environment["PENSTOCK_MINERU_KEY"].encode()
    running = processes(tmp_path)
    assert len(running) == 3  # the server, what it started, the warden
    assert not any(key in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in running)
    assert key.decode() in machine.seen()["argv"]
    assert not any(key in path.read_bytes() for path in tmp_path.glob("penstock-mineru-*/*") if path.is_file())


def test_the_engine_finds_it_by_the_environment(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = build()
    server.start()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "a.pdf").write_bytes(canary())
    engine = MineruHttp(MineruHttpOptions.model_validate(server.options))
    assert server.target == "penstock.workers.engines.mineru_http:MineruHttp"
    assert engine.parse(tmp_path / "a.pdf", lambda *_: None).elements[0].text == "a plain page"


@pytest.mark.parametrize(
    ("mood", "said"),
    [
        (
            {"exit": "Error: missing runtime\n dependencies: torch"},
            "ended at its start: Error: missing runtime dependencies",
        ),
        ({"health": "model_preload_device_unavailable"}, "503: model_preload_device_unavailable: of the mood"),
        ({"mute": True}, "not up after 0.5 s"),
        ({"job": "CUDA out of memory"}, "can't parse even a plain page: parse_failed: CUDA out of memory"),
        ({"text": " "}, "finds no text on a plain page"),
    ],
)
def test_what_is_missing_is_said_and_nothing_left_running(
    machine: Machine, build: Build, tmp_path: Path, mood: dict[str, Any], said: str
) -> None:
    machine.mood(**mood)
    with pytest.raises(EngineUnavailable, match=said) as caught:
        build(startup_seconds=0.5 if "mute" in mood else PATIENCE).start()
    assert "\n" not in caught.value.message
    assert not processes(tmp_path)
    assert not list(tmp_path.glob("penstock-mineru-*"))


def test_who_is_asked_to_stop_does_not_wait_for_it_to_come_up(machine: Machine, build: Build, tmp_path: Path) -> None:
    machine.mood(mute=True)

    def stop() -> None:
        if processes(tmp_path):
            raise Stopped("enough")

    with pytest.raises(Stopped):
        build(startup_seconds=PATIENCE).start(stop)
    assert not processes(tmp_path)


def test_one_that_parses_without_the_gpu_is_refused(machine: Machine, build: Build, tmp_path: Path) -> None:
    (machine.bin / "free").write_text("23990")
    with pytest.raises(EngineUnavailable, match=r"took 10 MiB of GPU 0 .*: it runs on the CPU"):
        build().start()
    assert not processes(tmp_path)


def test_without_program_gpu_or_weights_nothing_is_started(machine: Machine, build: Build, tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="no mineru-api on PATH"):
        build(inherited={"PATH": "/usr/bin"}).start()
    with pytest.raises(EngineUnavailable, match="no mineru-api: /nowhere can't be run"):
        build(mineru_api=Path("/nowhere")).start()
    with pytest.raises(EngineUnavailable, match="/env is not the mineru-api that installing mineru leaves"):
        build(mineru_api=Path("/usr/bin/env")).start()
    (machine.bin / "missing").write_text("A: missing key paths: b,\n  c\nD: missing")
    with pytest.raises(EngineUnavailable, match="weights are missing: A: missing key paths: b, c D: missing") as caught:
        build({"tier": "basic"}).start()
    assert caught.value.next_step.endswith("models download --tier basic --small-backend torch --vlm-engine vllm")
    (machine.bin / "gone").touch()
    with pytest.raises(EngineUnavailable, match="no usable GPU: nvidia-smi ended with status 15: Unable"):
        build().start()
    assert not (machine.bin / "seen.json").exists()


def test_without_a_gpu_where_that_is_allowed(machine: Machine, build: Build) -> None:
    (machine.bin / "gone").touch()
    (machine.bin / "missing").write_text("all of them")
    server = build({"tier": "flash"}, allow_cpu=True)
    server.start()
    assert server.readiness is not None
    assert (server.readiness.weights, server.readiness.gpu) == ("none needed", "the CPU, as allowed")
    assert machine.seen()["env"]["MINERU_DEVICE_MODE"] == "cpu"


def test_options_that_the_engine_does_not_take_are_refused() -> None:
    with pytest.raises(UsageError, match="engine mineru: tier"):
        MineruServer({"tier": "pipeline"})


def test_a_server_that_is_well_is_left_alone(build: Build, tmp_path: Path) -> None:
    server = build()
    server.start()
    before = processes(tmp_path)
    server.parsed()
    with pytest.raises(EngineUnavailable, match="as it was"):
        server.recover(EngineUnavailable("as it was"))
    assert processes(tmp_path) == before


def _kill(machine: Machine, server: MineruServer, running: list[int]) -> None:
    os.kill(min(running), signal.SIGKILL)


def _die(machine: Machine, server: MineruServer, running: list[int]) -> None:
    """Its engine does; the next one is well."""
    machine.mood(health="engine_dead")
    start, server.start = server.start, lambda stop: (machine.mood(), start(stop))[1]  # type: ignore[method-assign]


def _stay_busy(machine: Machine, server: MineruServer, running: list[int]) -> None:
    """With what its client has given up."""
    machine.mood(busy=True)


def _grow(machine: Machine, server: MineruServer, running: list[int]) -> None:
    machine.mood(hold=64)
    server.parsed()
    server.parsed()
    machine.mood()


@pytest.mark.parametrize("tire", [_kill, _die, _stay_busy, _grow])
def test_one_that_is_dead_busy_or_has_grown_is_started_anew(
    machine: Machine, build: Build, tmp_path: Path, tire: Callable[[Machine, MineruServer, list[int]], None]
) -> None:
    server = build(growth_mb=100)
    server.start()
    before, address = processes(tmp_path), server.environment
    tire(machine, server, before)
    server.parsed()
    after = processes(tmp_path)
    assert after
    assert not set(after) & set(before)
    assert server.environment == address


def test_one_that_has_parsed_many_is_started_anew(build: Build, tmp_path: Path) -> None:
    server = build(documents=2)
    server.start()
    seen = [processes(tmp_path)]
    for _ in range(3):
        server.parsed()
        seen.append(processes(tmp_path))
    assert seen[0] == seen[1]
    assert seen[2] == seen[3]
    assert not set(seen[1]) & set(seen[2])


def test_one_that_lost_a_document_is_started_anew(build: Build, tmp_path: Path) -> None:
    server = build()
    server.start()
    before = processes(tmp_path)
    server.recover(EngineUnavailable("it hangs", reason="engine-lost"))
    assert not set(processes(tmp_path)) & set(before)


@pytest.mark.parametrize("how", ["driver", "card"])
def test_a_gpu_that_is_gone_is_said_in_one_line(machine: Machine, build: Build, how: str) -> None:
    server = build()
    server.start()
    if how == "driver":
        (machine.bin / "gone").touch()
        said = "no usable GPU: nvidia-smi ended with status 15"
    else:
        smi = machine.bin / "nvidia-smi"
        smi.write_text(smi.read_text().replace("GPU-aa11", "GPU-cc33"))
        said = r"GPU 0 \(NVIDIA A10, 24 GiB\) is gone"
    with pytest.raises(EngineUnavailable, match=said):
        server.parsed()
    with pytest.raises(EngineUnavailable, match=said):
        server.recover(EngineUnavailable("parse_failed"))


def test_closing_takes_all_that_it_started(build: Build, tmp_path: Path) -> None:
    server = build()
    server.start()
    assert processes(tmp_path)
    server.close()
    server.close()
    assert not processes(tmp_path)
    assert not list(tmp_path.glob("penstock-mineru-*"))


def test_one_that_does_not_listen_is_killed(machine: Machine, build: Build, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(mineru_server, "_GRACE_SECONDS", 0.1)
    server = build()
    server.start()
    for pid in processes(tmp_path):
        os.kill(pid, signal.SIGSTOP)
    server.close()
    assert not processes(tmp_path)


def test_it_does_not_outlive_a_parent_that_is_killed(machine: Machine, tmp_path: Path) -> None:
    program = (
        "import os, sys, threading\n"
        "from penstock.workers.engines.mineru_server import MineruServer\n"
        "server = MineruServer({}, inherited={'PATH': sys.argv[1]})\n"
        "starting = threading.Thread(target=server.start)\n"  # which ends before the server does
        "starting.start()\n"
        "starting.join()\n"
        "print(server.readiness is not None, flush=True)\n"
        "sys.stdin.read()\n"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", program, f"{machine.bin}:/usr/bin:/bin"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        cwd="/",
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"True\n"
        assert len(processes(tmp_path)) == 3
        parent.kill()
    eventually(lambda: not processes(tmp_path))
    eventually(lambda: not list(tmp_path.glob("penstock-mineru-*")))


def test_the_python_of_a_script_is_found_in_both_forms(tmp_path: Path) -> None:
    script = tmp_path / "mineru-api"
    script.write_text(f"#!{sys.executable}\n")
    assert interpreter(script) == sys.executable
    script.write_text(f"#!/bin/sh\n'''exec' \"{sys.executable}\" \"$0\" \"$@\"\n' '''\n")
    assert interpreter(script) == sys.executable
    script.write_text(f"#!/bin/sh\n'''exec' {sys.executable} \"$0\" \"$@\"\n' '''\n")
    assert interpreter(script) == sys.executable
    for other in ("#!/usr/bin/env python3\n", "#!/bin/sh\nexec python\n", "", "#!/nowhere/python3\n"):
        script.write_text(other)
        with pytest.raises(EngineUnavailable, match="is not the mineru-api"):
            interpreter(script)
