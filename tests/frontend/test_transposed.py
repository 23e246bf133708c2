import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx.helper import make_node

from intaglio.errors import ImportModelError
from intaglio.frontend.onnx.importer import import_onnx
from intaglio.ir.ops_layout import Reshape, Slice, Transpose
from intaglio.ir.ops_linear import Conv

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


def weight(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@given(
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides=pairs,
    dilations=pairs,
    pads=st.tuples(*[st.integers(0, 4)] * 4),
    extra=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    groups=st.integers(1, 2),
    bias=st.booleans(),
)
def test_transposed_conv_equals_the_executor_for_every_geometry(
    model_of, check, sizes, kernel, strides, dilations, pads, extra, groups, bias
):
    for i in range(2):
        assume(extra[i] < strides[i])
        full = (sizes[i] - 1) * strides[i] + dilations[i] * (kernel[i] - 1) + 1 + extra[i]
        assume(full > pads[i] + pads[i + 2])
    weights = {"w": weight(2 * groups, 3, *kernel), "b": weight(3 * groups)}
    node = make_node(
        "ConvTranspose",
        ["x", "w", "b"] if bias else ["x", "w"],
        ["y"],
        strides=strides,
        dilations=dilations,
        pads=pads,
        output_padding=extra,
        group=groups,
    )
    graph = check(model_of([node], {"x": ["n", 2 * groups, *sizes]}, weights))
    assert {type(node.op) for node in graph.nodes} <= {Conv, Reshape, Transpose, Slice}


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_automatic_pads_follow_the_standard(model_of, check, auto_pad, stride):
    node = make_node("ConvTranspose", ["x", "w"], ["y"], auto_pad=auto_pad, strides=[stride] * 2)
    graph = check(model_of([node], {"x": ["n", 2, 4, 3]}, {"w": weight(2, 3, 4, 4)}))
    if auto_pad != "VALID":
        assert graph.type_of(graph.outputs[0]).shape == ("n", 3, 4 * stride, 3 * stride)


def test_a_given_output_shape_decides_the_pads(model_of, check):
    node = make_node("ConvTranspose", ["x", "w"], ["y"], output_shape=[7, 6], strides=[2, 2])
    graph = check(model_of([node], {"x": ["n", 2, 4, 3]}, {"w": weight(2, 3, 3, 3)}))
    assert graph.type_of(graph.outputs[0]).shape == ("n", 3, 7, 6)


def test_no_place_is_computed_that_the_border_cuts_off(model_of, check):
    node = make_node(
        "ConvTranspose", ["x", "w"], ["y"], pads=[1, 1, 1, 1], strides=[2, 2], kernel_shape=[4, 4]
    )
    graph = check(model_of([node], {"x": ["n", 1, 5, 5]}, {"w": weight(1, 1, 4, 4)}))
    (conv,) = (node for node in graph.nodes if isinstance(node.op, Conv))
    assert conv.type.shape == ("n", 4, 6, 6)


@pytest.mark.parametrize("axes", [1, 2])
def test_torch_modules_are_imported(check_torch, axes):
    made = (torch.nn.ConvTranspose1d, torch.nn.ConvTranspose2d)[axes - 1](
        4, 6, 3, stride=2, padding=1, output_padding=1, groups=2, dilation=2
    )
    check_torch(made.eval(), torch.randn(2, 4, *[5] * axes))


def test_a_weight_that_does_not_fit_is_refused(model_of):
    node = make_node("ConvTranspose", ["x", "w"], ["y"], name="up", group=2)
    model = model_of([node], {"x": ["n", 3, 4, 4]}, {"w": weight(3, 3, 3, 3)})
    with pytest.raises(ImportModelError) as caught:
        import_onnx(model)
    assert str(caught.value) == (
        "Node 'up' (ConvTranspose): Weight 'w' of shape (3, 3, 3, 3) in 2 groups does not fit "
        "float32[n,3,4,4]. It must be (channels, filters per group, kernel sizes)."
    )
