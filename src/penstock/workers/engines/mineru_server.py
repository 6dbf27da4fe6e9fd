"""A `mineru-api` of our own on a GPU of this machine, proved before it is given documents and started anew when tired.

MinerU itself doesn't fail without a GPU: it goes on with the CPU. So each thing that it needs is looked at apart.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple, Self

from pydantic import SecretStr

from penstock.errors import EngineUnavailable
from penstock.resilience.classify import describe
from penstock.workers.children import Limits
from penstock.workers.engine import LOST
from penstock.workers.engines.gpus import Gpu, usable_gpus
from penstock.workers.engines.mineru_api import KEY_VARIABLE, URL_VARIABLE, MineruApi
from penstock.workers.engines.mineru_http import LIMITS, MineruHttp, MineruHttpOptions
from penstock.workers.engines.mineru_jobs import START_SECONDS, Jobs, OcrMode, Pace, Tier
from penstock.workers.engines.mineru_process import MineruProcess, interpreter
from penstock.workers.host import checked_options
from penstock.workers.mineru import read_output

STARTUP_SECONDS = 900.0
"""Loading the models onto the GPU may take minutes."""
DOCUMENTS = 500
"""So many, then it is started anew: its memory grows with every long document."""
GROWTH_MB = 8192
"""So much more memory than when it was fresh, and it is started anew."""
_TAKEN_MB = 256
_GRACE_SECONDS = 5.0
_LOOK_SECONDS = 0.2
_VERIFY_SECONDS = 120.0
_GPU_DEFAULTS = {
    "MINERU_DEVICE_MODE": "cuda",
    "MINERU_MODEL_SMALL_BACKEND": "torch",
    "MINERU_MODEL_VLM_ENGINE": "vllm",
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
}
_CPU_DEFAULTS = {"MINERU_DEVICE_MODE": "cpu"}
_DEFAULTS = {"MINERU_MODEL_SOURCE": "local", "MINERU_API_RETENTION_SECONDS": "3600", "COLUMNS": "400"}
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "XDG_CACHE_HOME", "HF_HOME")
_PASSED_ON_FAMILIES = (
    "MINERU_",
    "CUDA_",
    "NVIDIA_",
    "NCCL_",
    "VLLM_",
    "TORCH",
    "PYTORCH_",
    "TRITON_",
    "OMP_",
    "MODELSCOPE_",
)


class Readiness(NamedTuple):
    """What was found at its start, each in a few words: the program and its tier, its weights, what it made of a plain
    page, the GPU and the memory taken there."""

    configured: str
    weights: str
    canary: str
    gpu: str


class MineruServer:
    """The host of the engine `mineru`: one server at one GPU, the freest that is usable, or at the CPU if `allow_cpu`.

    It parses one document at a time. Its address and key stay the same when it is started anew. Of `inherited` it gets
    what concerns it; MINERU_ variables there win over ours. Methods that start it raise EngineUnavailable, one line
    that says what is missing. Raises UsageError for options that MineruHttp doesn't take.
    """

    name = "mineru"
    version = MineruHttp.version
    target = f"{MineruHttp.__module__}:{MineruHttp.__name__}"
    slots = 1

    def __init__(
        self,
        options: Mapping[str, Any],
        *,
        limits: Limits = LIMITS,
        mineru_api: Path | None = None,
        allow_cpu: bool = False,
        documents: int = DOCUMENTS,
        growth_mb: int = GROWTH_MB,
        startup_seconds: float = STARTUP_SECONDS,
        inherited: Mapping[str, str] = os.environ,
    ) -> None:
        self.options = checked_options(self.name, MineruHttpOptions, {**options, "patience_seconds": 0.0})
        self.limits = limits
        self._tier: Tier = self.options["tier"]
        self._ocr_mode: OcrMode = self.options["ocr_mode"]
        self._program, self._allow_cpu = mineru_api, allow_cpu
        self._documents, self._growth_mb, self._startup_seconds = documents, growth_mb, startup_seconds
        self._inherited = inherited
        self._port = _free_port()
        self._url = f"http://127.0.0.1:{self._port}"
        self._key = SecretStr(secrets.token_urlsafe(32))
        self._gpu: Gpu | None = None
        self._folder: Path | None = None
        self._process: MineruProcess | None = None
        self._parsed = self._fresh_mb = 0
        self._stop: Callable[[], None] = lambda: None
        self.readiness: Readiness | None = None
        """Since it was started."""

    @property
    def environment(self) -> dict[str, str]:
        return {URL_VARIABLE: self._url, KEY_VARIABLE: self._key.get_secret_value()}

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, stop: Callable[[], None] = lambda: None) -> None:
        """Look at all it needs, start it, let it parse a plain page. Where any of that fails, nothing is left of it.

        `stop` is called all along, today and whenever it is started anew.
        """
        self._stop = stop
        script = self._script()
        gpu = self._choose_gpu()
        environment = self._environment(gpu)
        weights = self._weights(script, environment)
        try:
            process, made_by = self._launch(script, environment)
            text = self._parse_plain_page()
            taken = self._taken(gpu)
        except BaseException:
            self.close()
            raise
        self._parsed, self._fresh_mb = 0, process.resident_mb()
        self.readiness = Readiness(f"{script}, {made_by}, tier {self._tier}", weights, f"reads {text!r}", taken)

    def parsed(self) -> None:
        """The GPU is still there, and so is the server; one that is dead, busy or tired is started anew."""
        if self._gpu is not None:
            self._seen(self._gpu)
        self._parsed += 1
        if self._tired():
            self.restart()

    def recover(self, error: EngineUnavailable) -> None:
        """Raises `error` where the server is well and will do the same again."""
        if self._gpu is not None:
            self._seen(self._gpu)
        if error.reason != LOST and not self._tired():
            raise error
        self.restart()

    def restart(self) -> None:
        """Also whatever it is at: a job can't be stopped in any other way."""
        self.close()
        self.start(self._stop)

    def close(self) -> None:
        process, self._process = self._process, None
        folder, self._folder = self._folder, None
        if process is not None:
            process.stop(_GRACE_SECONDS)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _script(self) -> Path:
        named = self._program
        found = shutil.which(named or "mineru-api", path=self._inherited.get("PATH"))
        if found is None:
            raise EngineUnavailable(
                f"no mineru-api: {named} can't be run" if named else "no mineru-api on PATH",
                next_step="pip install 'mineru[full]>=4.0,<4.1' in an environment of its own, and --mineru-api PATH",
            )
        script = Path(found).resolve()
        interpreter(script)
        return script

    def _choose_gpu(self) -> Gpu | None:
        """The one it had, as it was before it was first started; else the freest."""
        if self._allow_cpu:
            return None
        if self._gpu is None:
            self._gpu = max(usable_gpus(self._inherited), key=lambda gpu: gpu.free_mb)
        else:
            self._seen(self._gpu)
        return self._gpu

    def _seen(self, gpu: Gpu) -> Gpu:
        """As it is now."""
        for now in usable_gpus(self._inherited):
            if now.uuid == gpu.uuid:
                return now
        raise EngineUnavailable(f"{gpu} is gone: nvidia-smi does not list it any more")

    def _environment(self, gpu: Gpu | None) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in self._inherited.items()
            if name in _PASSED_ON or name.startswith(_PASSED_ON_FAMILIES)
        }
        if gpu is None:
            return _DEFAULTS | _CPU_DEFAULTS | inherited
        return _DEFAULTS | _GPU_DEFAULTS | inherited | {"CUDA_VISIBLE_DEVICES": str(gpu.number)}

    @property
    def _server_tier(self) -> Tier:
        """A server of the tier standard has advanced, too."""
        return "standard" if self._tier == "advanced" else self._tier

    def _weights(self, script: Path, environment: Mapping[str, str]) -> str:
        """Asks without the network. The tier flash has none that it must have."""
        if self._tier == "flash":
            return "none needed"
        command = [str(script.with_name("mineru-kit")), "models", "verify", "--tier", self._server_tier]
        backends = {"--small-backend": "MINERU_MODEL_SMALL_BACKEND", "--vlm-engine": "MINERU_MODEL_VLM_ENGINE"}
        command += [
            part for option, name in backends.items() if name in environment for part in (option, environment[name])
        ]
        try:
            ran = subprocess.run(  # noqa: S603 — beside the operator's mineru-api
                command, env=dict(environment), capture_output=True, text=True, timeout=_VERIFY_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EngineUnavailable(f"MinerU's weights can't be verified: {describe(error)}") from None
        said = " ".join((ran.stdout + ran.stderr).split())
        if ran.returncode:
            raise EngineUnavailable(
                f"MinerU's weights are missing: {said[:200]}",
                next_step=" ".join([command[0], "models", "download", *command[3:]]),
            )
        return said[:200]

    def _launch(self, script: Path, environment: Mapping[str, str]) -> tuple[MineruProcess, str]:
        """The process, and which MinerU it is, as soon as it answers."""
        self._folder = Path(mkdtemp(prefix="penstock-mineru-"))
        options = {"host": "127.0.0.1", "port": self._port, "tier": self._server_tier, "concurrency": 1}
        arguments = [f"--{name}={value}" for name, value in options.items()]
        arguments += ["--preload-models", f"--upload-dir={self._folder / 'files'}"]
        self._process = process = MineruProcess(script, arguments, self._key, environment, self._folder)
        due = time.monotonic() + self._startup_seconds
        with MineruApi(self._url, self._key) as api:
            while True:
                self._stop()
                if process.ended:
                    raise EngineUnavailable(f"mineru-api ended at its start: {process.last_words()}")
                try:
                    return process, f"MinerU {api.version()}"
                except EngineUnavailable as error:
                    if error.status is not None:
                        raise
                if time.monotonic() > due:
                    said = process.last_words()
                    raise EngineUnavailable(f"mineru-api is not up after {self._startup_seconds:g} s: {said}")
                time.sleep(_LOOK_SECONDS)

    def _parse_plain_page(self) -> str:
        pace = Pace(poll=_LOOK_SECONDS, patience=0.0, due=time.monotonic() + START_SECONDS + self._startup_seconds)
        with MineruApi(self._url, self._key, self._stop) as api:
            made = Jobs(api, self._tier, self._ocr_mode, pace).prove()
        text = " ".join(element.text for element in read_output(made).elements).strip()
        if not text:
            raise EngineUnavailable("MinerU finds no text on a plain page")
        return text[:80]

    def _taken(self, gpu: Gpu | None) -> str:
        """Memory is the only proof: without torch MinerU goes on with the CPU and says nothing."""
        if gpu is None:
            return "the CPU, as allowed"
        taken = gpu.free_mb - self._seen(gpu).free_mb
        if taken < _TAKEN_MB:
            raise EngineUnavailable(
                f"MinerU parses, but took {max(taken, 0)} MiB of {gpu}: it runs on the CPU",
                next_step="pip install 'mineru[full]>=4.0,<4.1' where mineru-api is, with a torch for this driver",
            )
        return f"{gpu}, {taken} MiB taken"

    def _tired(self) -> bool:
        """Also when it is still at a document that its client has given up."""
        process = self._process
        if process is None or process.ended or self._parsed >= self._documents:
            return True
        if process.resident_mb() > self._fresh_mb + self._growth_mb:
            return True
        try:
            with MineruApi(self._url, self._key) as api:
                api.version()
                return api.busy()
        except EngineUnavailable:
            return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
