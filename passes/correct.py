"""Bias correction: move each layer's mean error, caused by quantization, into its bias.

Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
ICCV 2019, section 4.2, in its empirical form and layer after layer: each layer is corrected with
the inputs that the corrected layers before it produce.
"""

from __future__ import annotations

import numpy as np

from ..ir.evaluate import walk
from ..ir.graph import Graph, Node, Rewriter, rewrite
from ..ir.numeric import Array
from ..ir.ops_linear import Conv, Dense
from ..ir.tensor import real
from .base import Context

SAMPLES = 256


def correct_biases(graph: Graph, quantized: Graph, context: Context) -> Graph:
    """``quantized`` with biases that give each layer the channel means of the float ``graph``."""
    batch = first_samples(graph, context, SAMPLES)
    layers = {node.name for node in graph.nodes if isinstance(node.op, Conv | Dense)}
    truth = {
        node.name: channel_means(result)
        for node, result in walk(graph, batch)
        if node.name in layers
    }
    biases = _corrections(quantized, batch, truth, context)

    def rule(r: Rewriter, node: Node) -> str | None:
        if node.name not in biases:
            return None
        bias = r.new.constant(f"{node.name}.bias", real(biases[node.name]))
        return r.copy(node, inputs=(*(r[name] for name in node.inputs[:2]), bias))

    return rewrite(quantized, rule)


def first_samples(graph: Graph, context: Context, count: int) -> dict[str, Array]:
    """The first ``count`` calibration samples as one batch."""
    parts: list[dict[str, Array]] = []
    held = 0
    for batch in context.sweep(graph, "Correct biases: data"):
        if held < count:
            parts.append(batch)
            held += len(next(iter(batch.values())))
    return {
        value.name: np.concatenate([part[value.name] for part in parts])[:count]
        for value in graph.inputs
    }


def channel_means(result: Array) -> Array:
    """Mean per channel: axis 1 of ``(n, c, h, w)``, the last axis of anything else."""
    axis = 1 if result.ndim == 4 else result.ndim - 1
    others = tuple(i for i in range(result.ndim) if i != axis)
    return result.mean(axis=others, dtype=np.float64)


def _corrections(
    quantized: Graph, batch: dict[str, Array], truth: dict[str, Array], context: Context
) -> dict[str, Array]:
    live: dict[str, Array] = dict(batch)
    biases: dict[str, Array] = {}
    for index, node in enumerate(quantized.nodes):
        operands = [
            live[name] if name in live else quantized.constants[name].array for name in node.inputs
        ]
        result = node.op.reference(*operands)
        if node.name in truth:
            error = truth[node.name] - channel_means(result)
            old = operands[2] if len(operands) > 2 else np.zeros(len(error), dtype=np.float32)
            biases[node.name] = (old + error).astype(np.float32)
            delta = biases[node.name] - old
            result = result + (delta.reshape(-1, 1, 1) if result.ndim == 4 else delta)
        live[node.name] = result
        for name in node.inputs:
            if quantized.last_use[name] <= index:
                live.pop(name, None)
        context.progress("Correct biases", index + 1, len(quantized.nodes))
    return biases
