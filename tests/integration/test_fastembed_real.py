"""FastEmbed embeds, through its Haystack integration and our rung, with no model hub: as `penstock[fastembed]` has it.

Its model is one that it knows and whose weights the package index has. The cache is laid out as the hub's client does.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from safetensors.numpy import load_file

from isolated import environment
from penstock.retrieval.datasets import read_collection
from penstock.stages.embed import minilm
from penstock.stages.embed.bert import Shape, sentence_encoder
from penstock.stages.embed.fast import Hosted

MINILM = Hosted("sentence-transformers/all-MiniLM-L6-v2", "Qdrant/all-MiniLM-L6-v2-onnx", "model.onnx")
EMBED = r"""
import json, re, sys
from pathlib import Path
import numpy as np
from fastembed import TextEmbedding
from penstock.stages.embed.fast import FastEmbed, Hosted

folder, *hosted = sys.argv[1:]
hosted = Hosted(*hosted)
(known,) = [model for model in TextEmbedding.list_supported_models() if model["model"] == hosted.name]
assert (known["sources"]["hf"], known["model_file"]) == (hosted.repository, hosted.file), known
rung = FastEmbed(Path(folder) / "cache", hosted)
assert rung.missing() == "", rung.missing()
embedder = rung.open()
texts = json.loads((Path(folder) / "texts.json").read_text())
np.savez(Path(folder) / "vectors.npz", rows=embedder.embed(texts), query=embedder.embed_query(texts[0]))
print(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
"""
MOST_MIB = 600
"""Of 256 texts in one batch it would be 2,000."""


@pytest.mark.full
def test_it_gives_the_vectors_of_the_original(root: Path, data: Path, tmp_path: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    python = environment(tmp_path / "venv", [*project["dependencies"], *project["optional-dependencies"]["fastembed"]])
    reference = np.load(data.parent / "models/minilm-reference.npz")
    documents = read_collection(data / "ir/cisi").documents
    texts = [f"{documents[str(number)].title} {documents[str(number)].text}" for number in reference["doc_ids"]]
    (tmp_path / "texts.json").write_text(json.dumps(texts * 4))
    cached(tmp_path / "cache")
    offline = {"PYTHONPATH": str(root / "src"), "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(
        [str(python), "-c", EMBED, str(tmp_path), MINILM.name, MINILM.repository, MINILM.file],
        env=os.environ | offline,
        stdout=subprocess.PIPE,
        check=True,
    )
    assert int(ran.stdout) / 1024 < MOST_MIB
    vectors = np.load(tmp_path / "vectors.npz")
    cosines = (vectors["rows"] * np.tile(reference["vectors"], (4, 1))).sum(axis=1)
    assert len(cosines) == 240
    assert cosines.min() >= 0.999
    assert vectors["query"] == pytest.approx(vectors["rows"][0], abs=1e-4)


def cached(folder: Path) -> None:
    """MiniLM in FastEmbed's cache, as if it had been fetched; texts are cut where those of the reference were."""
    repository = folder / f"models--{MINILM.repository.replace('/', '--')}"
    snapshot = repository / "snapshots/0"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("0")
    package = minilm._folder()
    for name in ("config.json", "special_tokens_map.json", "tokenizer.json"):
        shutil.copy(package / name, snapshot / name)
    told = json.loads((package / "tokenizer_config.json").read_text()) | {"model_max_length": minilm.TOKENS}
    (snapshot / "tokenizer_config.json").write_text(json.dumps(told))
    onnx.save(token_encoder(minilm._verified(package / "model.safetensors")), snapshot / MINILM.file)


def token_encoder(weights: Path) -> onnx.ModelProto:
    """MiniLM with the inputs and output of its published graph: FastEmbed masks, takes the mean and the length."""
    model = sentence_encoder(load_file(weights), Shape(layers=6, heads=12, positions=minilm.TOKENS))
    graph = model.graph
    *layers, mean, _ = graph.node
    hidden = mean.input[0]
    for node in layers:
        node.input[:] = ["input_ids" if name == "ids" else name for name in node.input]
        if node.op_type == "MultiHeadAttention":
            node.input.extend(["", "mask"])  # no bias; which tokens are there
    mask = helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.INT32)
    shape = ["texts", "tokens"]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in ("input_ids", "attention_mask")]
    output = helper.make_tensor_value_info(hidden, TensorProto.FLOAT, [*shape, 384])
    told = helper.make_graph([mask, *layers], "token-encoder", inputs, [output], graph.initializer)
    return helper.make_model(told, opset_imports=model.opset_import, ir_version=model.ir_version)
