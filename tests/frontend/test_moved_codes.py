"""Weights that are codes with scales of their own, moved on their way into a layer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto
from onnx.helper import make_node

from intaglio.errors import PassError
from intaglio.frontend.emit.site import Coded
from intaglio.frontend.onnx.importer import import_onnx
from intaglio.ir.numeric import int_type

from .test_onnx_qdq import F32, lowered, model_of

INT8 = int_type(8)


@given(st.permutations(range(3)), st.integers(0, 2), st.integers(0, 99))
def test_scales_follow_their_channels(order, axis, seed):
    rng = np.random.default_rng(seed)
    shape = (3, 3, 3)  # all equal: nothing but the labels tells the axes apart
    scale = rng.uniform(0.1, 1, 3).astype(F32)
    coded = Coded(rng.integers(-128, 128, shape), INT8, scale, np.zeros(3, np.int64), axis)
    moved = coded.moved(lambda array: array.transpose(order)[::-1])
    assert np.array_equal(moved.real, coded.real.transpose(order)[::-1])


def test_scales_that_spread_over_two_axes_are_lost():
    coded = Coded(np.zeros((2, 6), int), INT8, np.arange(1, 7, dtype=F32), np.zeros(6, int), 1)
    assert coded.moved(lambda array: array.reshape(2, 2, 3)) is None
    assert coded.moved(lambda array: array.reshape(2, 6, 1)).axis == 1


@pytest.mark.parametrize(
    ("nodes", "shape", "axis"),
    [
        ([make_node("MatMul", ["r", "wr"], ["y"], "layer")], (4, 4), 0),
        ([make_node("Gemm", ["r", "wr"], ["y"], "layer")], (4, 4), 0),
        ([make_node("Gemm", ["r", "wr"], ["y"], "layer", transB=1)], (4, 4), 1),
        ([make_node("Conv", ["r", "wr"], ["y"], "layer")], (4, 4, 1), 1),
        ([make_node("MatMul", ["r", "wr"], ["y"], "layer")], (4,), 0),
    ],
    ids=["matmul", "gemm", "gemm transposed", "conv", "vector"],
)
def test_scales_per_input_are_refused_although_the_weight_is_square(nodes, shape, axis):
    points = [
        make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        make_node("DequantizeLinear", ["q", "s", "z"], ["r"]),
        make_node("DequantizeLinear", ["w", "sw", "zw"], ["wr"], axis=axis),
    ]
    weights = {
        "s": F32(0.1),
        "z": np.int8(0),
        "w": np.arange(np.prod(shape)).reshape(shape).astype(np.int8),
        "sw": np.arange(1, 5, dtype=F32),
        "zw": np.zeros(4, np.int8),
    }
    inputs = {"x": (TensorProto.FLOAT, ["n", 4, 5] if len(shape) == 3 else ["n", 4])}
    with pytest.raises(PassError) as caught:
        lowered(import_onnx(model_of([*points, *nodes], inputs, weights)))
    kind = "conv" if len(shape) == 3 else "dense"
    assert str(caught.value).startswith(
        f"Node 'layer' ({kind}): It has a weight with a scale per axis 1, not per output."
    )


def test_matrices_of_a_stack_stay_codes():
    points = [
        make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        make_node("DequantizeLinear", ["q", "s", "z"], ["r"]),
        make_node("DequantizeLinear", ["w", "sw", "zw"], ["wr"], axis=2),
        make_node("MatMul", ["r", "wr"], ["m"], "layer"),
    ]
    weights = {
        "s": F32(0.1),
        "z": np.int8(0),
        "w": np.arange(12).reshape(2, 3, 2).astype(np.int8),
        "sw": np.array([0.5, 2], F32),
        "zw": np.zeros(2, np.int8),
    }
    graph = import_onnx(
        model_of(points, {"x": (TensorProto.FLOAT, ["n", 2, 1, 3])}, weights, outputs=("m",))
    )
    held = [t.array.tolist() for t in graph.constants.values() if t.array.shape == (2, 3)]
    assert held == [[[0, 2, 4], [1, 3, 5]], [[6, 8, 10], [7, 9, 11]]]
