"""Resize by nearest neighbors, on reals and on codes."""

import numpy as np
import pytest
from onnx import TensorProto
from onnx.helper import make_node

from intaglio.frontend.onnx_import import import_onnx
from intaglio.ir.evaluate import evaluate


def resize(scales=None, sizes=None, **attributes):
    operands = ["x", "", "scales" if scales else "", *(["sizes"] if sizes else [])]
    weights = {"scales": np.array(scales, np.float32)} if scales else {}
    weights |= {"sizes": np.array(sizes)} if sizes else {}
    return [make_node("Resize", operands, ["y"], name="r", mode="nearest", **attributes)], weights


@pytest.mark.parametrize("mode", ["half_pixel", "pytorch_half_pixel", "asymmetric"])
@pytest.mark.parametrize("scales", [[1, 1, 2, 2], [1, 1, 3, 1], [1, 1, 1, 4], [1, 1, 0.5, 0.25]])
def test_elements_are_repeated_or_skipped(model_of, check, mode, scales):
    nearest = "floor" if mode == "asymmetric" else "round_prefer_floor"
    nodes, weights = resize(scales, coordinate_transformation_mode=mode, nearest_mode=nearest)
    check(model_of(nodes, {"x": ["n", 3, 4, 8]}, weights))


def test_sizes_may_be_given_instead_of_scales(model_of, check):
    nodes, weights = resize(sizes=[2, 3, 8, 12])
    check(model_of(nodes, {"x": [2, 3, 4, 4]}, weights))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_codes_are_resized_as_they_are(model_of, dtype):
    nodes, weights = resize([1, 1, 2, 3], coordinate_transformation_mode="half_pixel")
    model = model_of(nodes, {"x": ["n", 2, 3, 3]}, weights)
    kind = TensorProto.UINT8 if dtype is np.uint8 else TensorProto.INT8
    model.graph.input[0].type.tensor_type.elem_type = kind
    x = np.arange(36, dtype=dtype).reshape(2, 2, 3, 3)
    (found,) = evaluate(import_onnx(model), {"x": x}).values()
    assert (found == x.repeat(2, axis=2).repeat(3, axis=3)).all()
