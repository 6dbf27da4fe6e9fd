"""BERT's encoder as an ONNX graph that takes token ids and gives sentence vectors, built from the model's own weights.

The operators `MultiHeadAttention` and `Gelu` are ONNX Runtime's fused ones. Token type embeddings are part of the
position embeddings here, since there is one type only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 20, 10
_RUNTIME = "com.microsoft"


@dataclass(frozen=True, slots=True)
class Shape:
    """`positions`: at most so many tokens a text."""

    layers: int
    heads: int
    positions: int
    epsilon: float = 1e-12


class _Graph:
    """Nodes named by their one output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes))
        return output


def sentence_encoder(weights: Mapping[str, NDArray[np.float32]], shape: Shape) -> onnx.ModelProto:
    """The model: `ids` (int64, shape (texts, tokens)) → `vector` (float32, (texts, width)), the tokens' mean, length 1.

    There is no mask: texts that go together must have as many tokens. Raises KeyError for a weight that is not there.
    """
    g = _Graph()
    width = weights["embeddings.word_embeddings.weight"].shape[1]
    positions = weights["embeddings.position_embeddings.weight"][: shape.positions]
    positions = positions + weights["embeddings.token_type_embeddings.weight"][0]

    def linear(x: str, key: str) -> str:
        product = g.node("MatMul", [x, g.constant(f"{key}.w", weights[f"{key}.weight"].T)], f"{key}.product")
        return g.node("Add", [product, g.constant(f"{key}.b", weights[f"{key}.bias"])], key)

    def normed(x: str, added: str, key: str) -> str:
        scale, bias = (g.constant(f"{key}.{kind}", weights[f"{key}.{kind}"]) for kind in ("weight", "bias"))
        total = g.node("Add", [x, added], f"{key}.sum")
        return g.node("LayerNormalization", [total, scale, bias], key, axis=-1, epsilon=shape.epsilon)

    words = g.node("Gather", [g.constant("words", weights["embeddings.word_embeddings.weight"]), "ids"], "word")
    length = g.node("Shape", ["ids"], "length", start=1, end=2)
    first = g.constant("first", np.array([0], np.int64))
    place = g.node("Slice", [g.constant("positions", positions), first, length], "place")
    x = normed(words, place, "embeddings.LayerNorm")
    for layer in (f"encoder.layer.{number}" for number in range(shape.layers)):
        query, key, value = (linear(x, f"{layer}.attention.self.{part}") for part in ("query", "key", "value"))
        seen = g.node("MultiHeadAttention", [query, key, value], f"{layer}.seen", _RUNTIME, num_heads=shape.heads)
        x = normed(x, linear(seen, f"{layer}.attention.output.dense"), f"{layer}.attention.output.LayerNorm")
        inner = g.node("Gelu", [linear(x, f"{layer}.intermediate.dense")], f"{layer}.inner")
        x = normed(x, linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    mean = g.node("ReduceMean", [x, g.constant("tokens", np.array([1], np.int64))], "mean", keepdims=0)
    g.node("LpNormalization", [mean], "vector", axis=-1, p=2)
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["texts", "tokens"])
    vector = helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["texts", width])
    graph = helper.make_graph(g.nodes, "sentence-encoder", [ids], [vector], g.constants)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(_RUNTIME, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
