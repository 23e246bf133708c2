"""Single quantized layers in QONNX, and qonnx's executor as their oracle."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from onnx import TensorProto, helper, numpy_helper

import intaglio

ROUNDINGS = ("ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")
HALF = Fraction(1, 2)
DOMAIN = "qonnx.custom_op.general"


@dataclass(frozen=True)
class Layer:
    """Input quantizer, one layer with quantized weights, output quantizer."""

    bits: int
    signed: bool
    per_channel: bool
    rounding: str
    narrow: bool = False
    operator: str = "Conv"
    zero_point: int = 0
    powers: bool = True  # scales that are powers of two: every tie of the definition occurs
    domain: str = DOMAIN

    @property
    def seed(self) -> list[int]:
        return list(repr(self).encode())


@dataclass(frozen=True)
class Built:
    """A model, its inputs, and how its output floats become codes again."""

    model: object
    x: np.ndarray
    constants: dict[str, np.ndarray]

    def codes(self, reals):
        """The codes behind dequantized floats; they must be whole."""
        steps = reals.astype(np.float64) / self.constants["y_scale"] + self.constants["zero"]
        assert np.abs(steps - np.rint(steps)).max() < 1e-3
        return np.rint(steps).astype(np.int64)


def build(layer: Layer, batch: int = 16) -> Built:
    """The model of a layer, with inputs that reach every code."""
    rng = np.random.default_rng(layer.seed)
    conv = layer.operator == "Conv"
    x_shape = (batch, 4, 6, 5) if conv else (batch, 12)
    w_shape = (6, 4, 3, 3) if conv else (12, 6)
    along = (6, 1, 1, 1) if conv else (1, 6)

    def scales(size):
        if layer.powers:
            return (2.0 ** rng.integers(-4, 1, size)).astype(np.float32)
        return rng.uniform(0.05, 1.0, size).astype(np.float32)

    w_scale = scales(along if layer.per_channel else ())
    span = 1.0 if layer.bits == 1 else 2.0 ** (layer.bits - 1)
    weight = (rng.uniform(-1.2, 1.2, w_shape) * span * w_scale).astype(np.float32)
    x_scale = scales(())
    x = (rng.uniform(-9, 9, x_shape) * x_scale).astype(np.float32)
    spread = np.sqrt(np.prod(w_shape) / 6) * 3 * span * float(np.median(w_scale)) * float(x_scale)
    y_scale = np.float32(
        2.0 ** np.round(np.log2(spread / span))
        if layer.powers
        else spread / span * rng.uniform(0.7, 1.4)
    )
    constants = {
        "w": weight,
        "w_scale": w_scale,
        "x_scale": x_scale,
        "y_scale": y_scale,
        "none": np.float32(0),
        "zero": np.float32(layer.zero_point),
        "bits": np.float32(layer.bits),
        "four": np.float32(4),
    }
    flags = {"signed": int(layer.signed), "narrow": int(layer.narrow)}
    quantizer = {"domain": layer.domain, "rounding_mode": layer.rounding}
    rounded = {"domain": layer.domain, "rounding_mode": "ROUND"}
    nodes = [
        helper.make_node(
            "Quant", ["x", "x_scale", "none", "four"], ["xq"], "qx", signed=1, narrow=0, **rounded
        ),
        helper.make_node(
            "Quant", ["w", "w_scale", "none", "bits"], ["wq"], "qw", signed=1, narrow=1, **quantizer
        )
        if layer.bits > 1
        else helper.make_node("BipolarQuant", ["w", "w_scale"], ["wq"], "qw", domain=layer.domain),
        helper.make_node(layer.operator, ["xq", "wq"], ["acc"], "layer"),
        helper.make_node(
            "Quant", ["acc", "y_scale", "zero", "bits"], ["y"], "qy", **flags, **quantizer
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x_shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(each), name) for name, each in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(layer.domain, 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    return Built(model, x, {name: np.asarray(each) for name, each in constants.items()})


def execute(model, x, name="y"):
    """The output of qonnx's executor."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    wrapped = ModelWrapper(model).transform(InferShapes())
    return execute_onnx(wrapped, {wrapped.graph.input[0].name: x})[name]


EXACT = {
    "ROUND": round,
    "CEIL": lambda v: -(-v // 1),
    "FLOOR": lambda v: v // 1,
    "UP": lambda v: -(-v // 1) if v > 0 else v // 1,
    "DOWN": lambda v: v // 1 if v > 0 else -(-v // 1),
    "HALF_UP": lambda v: (v + HALF) // 1 if v > 0 else -((HALF - v) // 1),
    "HALF_DOWN": lambda v: -((HALF - v) // 1) if v > 0 else (v + HALF) // 1,
}
"""QONNX's roundings of a Fraction."""
DIRECTED = ("CEIL", "FLOOR", "UP", "DOWN")


def exact_steps(layer: Layer, built: Built) -> list[Fraction]:
    """What the output quantizer rounds, in units of a code and flattened: exact rationals."""
    parts = built.constants
    x = np.clip(np.rint(built.x.astype(np.float64) / parts["x_scale"]), -8, 7).astype(np.int64)
    w = _int_quant(parts["w"], parts["w_scale"], layer)
    if layer.operator == "Conv":
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
        acc = np.einsum("nchwij,ocij->nohw", windows, w)
    else:
        acc = x @ w
    w_scale = parts["w_scale"].reshape(1, -1, *(1,) * (acc.ndim - 2))
    scale = np.broadcast_to(w_scale, acc.shape)
    common = Fraction(float(parts["x_scale"])) / Fraction(float(parts["y_scale"]))
    ratios = {float(each): Fraction(float(each)) * common for each in np.unique(scale)}
    pairs = zip(acc.reshape(-1).tolist(), scale.reshape(-1).tolist(), strict=True)
    return [a * ratios[s] + layer.zero_point for a, s in pairs]


def _int_quant(w, scale, layer: Layer):
    """Weight codes by qonnx's own function."""
    from qonnx.custom_op.general.bipolar_quant import binary_quant
    from qonnx.custom_op.general.intquant import int_quant

    if layer.bits == 1:
        return np.rint(binary_quant(w, scale) / scale).astype(np.int64)
    bits = np.float32(layer.bits)
    reals = int_quant(w, scale, np.float32(0), bits, True, True, layer.rounding)
    return np.rint(reals / scale).astype(np.int64)


def exact_code(layer: Layer, value: Fraction) -> int:
    """The definition of Quant."""
    if layer.bits == 1 and layer.signed:
        return 1 if value >= 0 else -1
    lo = -(1 << (layer.bits - 1)) + layer.narrow if layer.signed else 0
    hi = (1 << (layer.bits - layer.signed)) - 1 - (layer.narrow and not layer.signed)
    return min(max(int(EXACT[layer.rounding](value)), lo), hi)


def edge_distance(layer: Layer, value: Fraction) -> Fraction:
    """How far a value is from the nearest real where its code changes."""
    if layer.bits == 1 and layer.signed:
        return abs(value)
    moved = value if layer.rounding in DIRECTED else value + HALF
    return abs(moved - round(moved))


@dataclass(frozen=True)
class Result:
    """Codes compared: how many, ours that are not the definition's, and qonnx's that are not.

    ``far`` counts those of qonnx's that float32 does not explain: not within ``NEAR`` of an edge.
    """

    codes: int
    ours: int
    theirs: int
    far: int


NEAR = Fraction(1, 1 << 18)  # of a code: what adding up 36 float32 products can be off by


def compare(layer: Layer) -> Result:
    """One layer by intaglio, by qonnx's executor and by rationals."""
    built = build(layer)
    expected = built.codes(execute(built.model, built.x)).reshape(-1).tolist()
    got = intaglio.compile(built.model).run(built.x).codes.reshape(-1).tolist()
    steps = exact_steps(layer, built)
    exact = [exact_code(layer, each) for each in steps]
    wrong = [value for value, e, q in zip(steps, exact, expected, strict=True) if e != q]
    return Result(
        len(exact),
        sum(e != g for e, g in zip(exact, got, strict=True)),
        len(wrong),
        sum(edge_distance(layer, value) > NEAR for value in wrong),
    )


def model_of(nodes, shape, constants, version=1):
    """A model from float x of that shape to y; constants are float32 initializers."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.asarray(each, dtype=np.float32), name)
            for name, each in constants.items()
        ],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, version)]
    return helper.make_model(graph, opset_imports=opsets)


def quant(x, scale, bits, y, *, zero="none", signed=1, narrow=0, mode="ROUND"):
    """A Quant node named after its result."""
    flags = {"signed": signed, "narrow": narrow, "rounding_mode": mode}
    return helper.make_node("Quant", [x, scale, zero, bits], [y], f"/{y}", domain=DOMAIN, **flags)
