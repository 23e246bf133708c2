"""Resize and Upsample against onnxruntime, for every way to state a size and a coordinate."""

import numpy as np
import pytest
from onnx import TensorProto
from onnx.helper import make_node

from intaglio.errors import ImportModelError
from intaglio.frontend.onnx.importer import import_onnx
from intaglio.ir.evaluate import evaluate
from intaglio.ir.ops_linear import Dense

IMAGE = {"x": [1, 2, 4, 6]}


def resized(model_of, opset=19, outputs=("y",), **given):
    """A model of one Resize; arrays among the attributes become operands."""
    arrays = {k: np.asarray(given.pop(k)) for k in ("roi", "scales", "sizes") if k in given}
    arrays = {k: a.astype(np.int64 if k == "sizes" else np.float32) for k, a in arrays.items()}
    names = ["x", *(name if name in arrays else "" for name in ("roi", "scales", "sizes"))]
    node = make_node("Resize", names, ["y"], name="r", **given)
    return model_of([node], IMAGE, arrays, opset=opset)


@pytest.mark.parametrize("scales", [(2, 3), (0.5, 0.5), (1.5, 2.5), (1, 2)])
@pytest.mark.parametrize(
    "mode", ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]
)
@pytest.mark.parametrize("nearest", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
def test_nearest_neighbors(model_of, check, scales, mode, nearest):
    model = resized(
        model_of,
        scales=(1, 1, *scales),
        coordinate_transformation_mode=mode,
        nearest_mode=nearest,
    )
    graph = check(model)
    assert not any(isinstance(node.op, Dense) for node in graph.nodes)


@pytest.mark.parametrize("sizes", [(8, 12), (2, 3), (7, 5), (1, 1)])
@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric", "align_corners"])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_mixtures_of_neighbors(model_of, check, sizes, coordinates, mode):
    check(
        resized(
            model_of,
            sizes=(1, 2, *sizes),
            mode=mode,
            coordinate_transformation_mode=coordinates,
        )
    )


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_the_policy_keeps_the_aspect_ratio(model_of, policy):
    graph = import_onnx(
        resized(model_of, sizes=(8, 9), axes=[2, 3], keep_aspect_ratio_policy=policy)
    )
    expected = (2, 6, 9) if policy == "not_larger" else (2, 8, 12)
    assert graph.type_of("y").sample_shape == expected


def test_an_odd_upsampling_of_ten_is_ten_slices_at_most(model_of, check):
    graph = check(resized(model_of, scales=(1, 1, 2, 2)))
    kinds = [node.op.name for node in graph.nodes]
    assert kinds.count("slice") == 0
    assert kinds.count("concat") == 2


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_resize_of_opset_10_and_upsample(model_of, check, mode):
    weights = {"s": np.array([1, 1, 2, 3], np.float32)}
    old = model_of([make_node("Resize", ["x", "s"], ["y"], mode=mode)], IMAGE, weights, opset=10)
    check(old)
    up = model_of([make_node("Upsample", ["x", "s"], ["y"], mode=mode)], IMAGE, weights, opset=9)
    check(up)
    attribute = make_node("Upsample", ["x"], ["y"], mode=mode, scales=[1.0, 1.0, 2.0, 3.0])
    check(model_of([attribute], IMAGE, opset=8))


def test_a_crop_is_resized_and_the_outside_filled(model_of, check):
    model = resized(
        model_of,
        roi=(0, 0, 0.4, 0.6, 1, 1, 1.2, 1.7),
        sizes=(1, 2, 3, 3),
        mode="linear",
        coordinate_transformation_mode="tf_crop_and_resize",
        extrapolation_value=10.0,
    )
    check(model)


def test_what_is_not_supported_is_refused_by_name(model_of):
    cases = {
        "Node 'r' (Resize): It has neither scales nor sizes, or both. Give one of them, for every "
        "axis.": resized(model_of),
        "Node 'r' (Resize): Its scales or sizes do not fit its axes. Export the model again.": (
            resized(model_of, scales=(2, 2))
        ),
        "Node 'r' (Resize): It resizes the batch. Each sample must keep its own rows: axis 0 is "
        "the batch, and nothing may merge or move it. A model whose axis 0 is no batch is imported "
        "with batch=False (--no-batch).": resized(model_of, scales=(2, 1, 1, 1)),
    }
    for message, model in cases.items():
        with pytest.raises(ImportModelError) as caught:
            import_onnx(model)
        assert str(caught.value) == message


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_codes_are_resized_as_they_are(model_of, dtype):
    model = resized(model_of, scales=(1, 1, 2, 3), coordinate_transformation_mode="half_pixel")
    kind = TensorProto.UINT8 if dtype is np.uint8 else TensorProto.INT8
    model.graph.input[0].type.tensor_type.elem_type = kind
    x = np.arange(48, dtype=dtype).reshape(1, 2, 4, 6)
    (found,) = evaluate(import_onnx(model), {"x": x}).values()
    assert (found == x.repeat(2, axis=2).repeat(3, axis=3)).all()
