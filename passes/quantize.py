"""Quantize after training: put explicit quantize points into a float graph.

A point is a ``quantize`` followed by a ``dequantize``. Weights become constant codes behind a
``dequantize``, and those that are so already stay; biases stay real, for lowering folds them
exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import ClassVar

import numpy as np

from ..errors import UsageError
from ..ir.graph import Graph, Node, Rewriter, rewrite
from ..ir.numeric import INT32, LEAST_SCALE, Encoding, NumericType, Rounding, int_type, short_scale
from ..ir.ops_linear import Conv, Dense
from ..ir.ops_quant import Dequantize
from ..ir.ops_quant import Quantize as QuantizeOp
from ..ir.tensor import Tensor, real
from ..ir.verify import Stage
from .base import Context, Pass
from .calibrate import METHODS, Histogram, Method, choose_range, observe
from .correct import correct_biases
from .flow import Flow
from .weights import (
    WEIGHT_METHODS,
    WeightMethod,
    scale_tensor,
    weight_codes,
    weight_scale,
)

ROUNDING: Rounding = "half_up"
"""One addition in hardware, and the only half rounding that (M, r, s) express in every tie."""


@dataclass(frozen=True)
class Layer:
    """Bits for nodes whose name or origin matches the shell pattern ``match``; 0 = as elsewhere."""

    match: str
    weight_bits: int = 0
    activation_bits: int = 0


@dataclass(frozen=True)
class Quantize(Pass):
    """Choose codes for weights and activations from the weights and calibration data.

    Activations take unsigned codes with a zero point; those of more than 8 bits and outputs take a
    power of two as scale, which makes additions exact. ``calibration`` is minmax, percentile, mse
    or entropy; inputs always use minmax. ``weights`` is mse or max. Weights that are codes already
    stay these codes, whatever their bits.
    """

    name: ClassVar[str] = "quantize"
    stages: ClassVar[Mapping[Stage, Stage]] = {"float": "quantized"}
    needs_data: ClassVar[bool] = True
    weight_bits: int = 8
    activation_bits: int = 8
    output_bits: int = 16
    per_channel: bool = True
    calibration: Method = "mse"
    percentile: float = 99.99
    weights: WeightMethod = "mse"
    bias_correction: bool = True
    layers: tuple[Layer, ...] = field(default=())

    def __post_init__(self) -> None:
        bits = [("weight_bits", self.weight_bits, 8), ("output_bits", self.output_bits, 16)]
        bits += [("activation_bits", self.activation_bits, 16)]
        for layer in self.layers:
            bits += [(f"weight_bits of '{layer.match}'", layer.weight_bits or 1, 8)]
            bits += [(f"activation_bits of '{layer.match}'", layer.activation_bits or 1, 16)]
        for what, value, most in bits:
            if not 1 <= value <= most:
                raise UsageError(f"{what} is {value}.", fix=f"Choose 1 to {most}.")
        if not 50 < self.percentile <= 100:
            raise UsageError(f"percentile is {self.percentile}.", fix="Choose above 50, to 100.")
        if self.calibration not in METHODS or self.weights not in WEIGHT_METHODS:
            raise UsageError(
                f"There is no calibration '{self.calibration}' with weights '{self.weights}'.",
                fix=f"Calibration: {', '.join(METHODS)}; weights: {', '.join(WEIGHT_METHODS)}.",
            )

    def run(self, graph: Graph, context: Context) -> Graph:
        self._check_layers(graph)
        flow = Flow(graph)
        histograms = observe(graph, set(flow.points), context)
        encodings: dict[str, tuple[Encoding, NumericType]] = {}
        for name in flow.points:
            of = flow.crops.get(name)
            made = self._encoding(flow, name, histograms[name]) if of is None else encodings[of]
            encodings[name] = made
        quantized = insert_points(graph, encodings, self)
        return correct_biases(graph, quantized, context) if self.bias_correction else quantized

    def _check_layers(self, graph: Graph) -> None:
        for layer in self.layers:
            if not any(matches(layer, node) for node in graph.nodes):
                names = ", ".join(node.value.origin or node.name for node in graph.nodes)
                raise UsageError(
                    f"No node matches the layer pattern '{layer.match}'.",
                    fix=f"The nodes are: {names}.",
                )

    def bits_of(self, node: Node) -> tuple[int, int]:
        """Weight and activation bits of a node: the last matching layer entry wins."""
        weight, activation = self.weight_bits, self.activation_bits
        for layer in self.layers:
            if matches(layer, node):
                weight = layer.weight_bits or weight
                activation = layer.activation_bits or activation
        return weight, activation

    def _encoding(
        self, flow: Flow, name: str, histogram: Histogram
    ) -> tuple[Encoding, NumericType]:
        borders = flow.borders(name)
        if name in flow.tells:
            return Encoding(0.5 ** flow.tells[name], 0), int_type(flow.tells[name], signed=False)
        if name in flow.outputs:
            return symmetric(histogram, self.output_bits, borders)
        node = flow.graph.producers.get(name)
        bits = self.bits_of(node)[1] if node else self.activation_bits
        method = self.calibration if node else "minmax"
        lo, hi = choose_range(histogram, 1 << bits, method, self.percentile)
        return asymmetric(min(lo, *borders), max(hi, *borders), bits)


def matches(layer: Layer, node: Node) -> bool:
    """Whether the layer entry speaks of this node."""
    return fnmatchcase(node.name, layer.match) or fnmatchcase(node.value.origin, layer.match)


def asymmetric(lo: float, hi: float, bits: int) -> tuple[Encoding, NumericType]:
    """Unsigned codes that span lo..hi, with real 0 exactly a code."""
    dtype = int_type(bits, signed=False)
    step = max((hi - lo) / dtype.hi, LEAST_SCALE) if hi > lo else 1.0
    scale = float(short_scale(np.asarray(step))) if bits <= 8 else 2.0 ** np.ceil(np.log2(step))
    zero_point = int(np.clip(np.rint(-lo / scale), 0, dtype.hi))
    return Encoding(float(scale), zero_point), dtype


def symmetric(
    histogram: Histogram, bits: int, borders: tuple[float, ...] = ()
) -> tuple[Encoding, NumericType]:
    """Signed codes without zero point that span every value seen; the scale is a power of two."""
    dtype = int_type(bits) if bits > 1 else int_type(1, signed=False)
    reach = max(map(abs, (histogram.lo, histogram.hi, *borders))) or 1.0
    step = max(reach / dtype.hi, LEAST_SCALE)
    return Encoding(float(2.0 ** np.ceil(np.log2(step)))), dtype


def insert_points(
    graph: Graph, encodings: dict[str, tuple[Encoding, NumericType]], options: Quantize
) -> Graph:
    """The graph with a quantize point at each encoding and codes for every weight."""

    def rule(r: Rewriter, node: Node) -> str:
        for name in node.inputs:
            if name in encodings and name not in pointed and name not in r.old.producers:
                pointed.add(name)
                r.renamed[name] = _point(r, name, *encodings[name])
        if isinstance(node.op, Conv | Dense) and node.inputs[1] in r.old.constants:
            made = r.copy(node, inputs=_weighted(r, node, options, shared))
        else:
            made = r.copy(node)
        return _point(r, made, *encodings[node.name], node) if node.name in encodings else made

    pointed: set[str] = set()
    shared: dict[tuple[str, int], str] = {}
    return rewrite(graph, rule)


def _point(
    r: Rewriter, name: str, encoding: Encoding, dtype: NumericType, node: Node | None = None
) -> str:
    origin = node.value.origin if node else ""
    scale = r.new.constant(f"{name}.scale", real(np.asarray(encoding.scale)))
    zero = r.new.constant(f"{name}.zero_point", Tensor(np.asarray(encoding.zero_point), INT32))
    codes = r.new.node(
        f"{name}.codes", QuantizeOp(dtype, rounding=ROUNDING), name, scale, zero, origin=origin
    )
    return r.new.node(real_name(name), Dequantize(), codes, scale, zero, origin=origin)


def real_name(name: str) -> str:
    """The name that a value has behind its quantize point; its codes keep the name itself."""
    return f"{name}.real"


def _weighted(
    r: Rewriter, node: Node, options: Quantize, shared: dict[tuple[str, int], str]
) -> tuple[str, ...]:
    """The operands with codes for the weight: those of a layer before that has the same weight."""
    key = node.inputs[1], options.bits_of(node)[0]
    if key not in shared:
        shared[key] = _weight(r, node, options, *key)
    return (r[node.inputs[0]], shared[key], *(r[bias] for bias in node.inputs[2:]))


def _weight(r: Rewriter, node: Node, options: Quantize, name: str, bits: int) -> str:
    weight = r.array(name)
    scale = weight_scale(weight, bits, options.weights, per_channel=options.per_channel)
    codes = r.new.constant(f"{node.name}.weight", weight_codes(weight, scale, bits))
    step = r.new.constant(f"{node.name}.weight_scale", scale_tensor(scale))
    zero = r.new.constant("zero", Tensor(np.asarray(0), INT32))
    return r.new.node(
        f"{node.name}.weight_real", Dequantize(axis=0), codes, step, zero, origin=node.value.origin
    )
