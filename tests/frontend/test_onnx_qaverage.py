"""onnxruntime's average pool: the sum of codes decides, or it is known that it does not."""

import numpy as np
import pytest
from onnx import ValueInfoProto, helper, numpy_helper

from intaglio.frontend.onnx.qarithmetic import F32, Grid
from intaglio.frontend.onnx.qaverage import averaged
from intaglio.ir.numeric import int_type

ort = pytest.importorskip("onnxruntime", reason="the arithmetic is onnxruntime's")


def executed(x, grid, to, size):
    """What onnxruntime gives for windows of ``size`` that do not overlap."""
    kind = grid.dtype.container.type
    weights = {
        "x_s": grid.scale,
        "x_z": kind(grid.zero_point),
        "y_s": to.scale,
        "y_z": kind(to.zero_point),
    }
    node = helper.make_node(
        "QLinearAveragePool",
        ["x", *weights],
        ["y"],
        domain="com.microsoft",
        kernel_shape=[size, size],
        strides=[size, size],
    )
    element = helper.np_dtype_to_tensor_dtype(x.dtype)
    graph = helper.make_graph(
        [node],
        "pool",
        [helper.make_tensor_value_info("x", element, x.shape)],
        [ValueInfoProto(name="y")],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("signed", [False, True], ids=["uint8", "int8"])
def test_the_code_of_each_sum_is_onnxruntimes(size, signed):
    rng = np.random.default_rng(size)
    dtype = int_type(8, signed=signed)
    decided, tries = 0, 8 if size == 2 else 3
    for _ in range(tries):
        zeros = rng.integers(dtype.lo, dtype.hi + 1, 2).tolist()
        grid = Grid(F32(rng.uniform(0.01, 0.05)), zeros[0], dtype)
        to = Grid(F32(grid.scale * rng.uniform(0.3, 1)), zeros[1], dtype)
        table = averaged(grid, to, size * size)
        if table is None:
            continue
        decided += 1
        x = rng.integers(dtype.lo, dtype.hi + 1, (2, 30, 24, 24)).astype(dtype.container)
        tiles = x.astype(np.int64).reshape(2, 30, 24 // size, size, 24 // size, size)
        sums = tiles.sum(axis=(3, 5)) - dtype.lo * size * size
        assert (table[sums] == executed(x, grid, to, size)).all()
    assert decided >= tries // 2


def test_equal_scales_put_ties_where_roundings_decide():
    """Two windows of equal sums, of which onnxruntime makes different codes."""
    grid = Grid(F32(0.021), 0, int_type(8, signed=False))
    assert averaged(grid, grid, 4) is None
    codes = np.random.default_rng(0).integers(0, 256, (1, 1, 400, 400)).astype(np.uint8)
    found = executed(codes, grid, grid, 2).reshape(-1)
    sums = codes.astype(int).reshape(200, 2, 200, 2).sum(axis=(1, 3)).reshape(-1)
    assert any(len(set(found[sums == total].tolist())) > 1 for total in range(200, 800))
