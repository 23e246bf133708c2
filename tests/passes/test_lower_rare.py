"""What random networks found: borders without a code, signs of sums, wide codes with ties."""

import re

import numpy as np
import pytest

from intaglio.errors import PassError
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import BIPOLAR, int_type
from intaglio.ir.ops_layout import Pad, Transpose
from intaglio.ir.ops_linear import Conv
from intaglio.ir.ops_pointwise import Add
from intaglio.ir.ops_quant import Dequantize, Quantize
from intaglio.ir.tensor import BATCH, Tensor, TensorType, real

from ..networks.check import check_stages, staged

TERNARY = int_type(2)


class Draft(Builder):
    """A graph of codes and reals."""

    def parameters(self, scale, zero):
        return (
            self.constant("scale", real(np.array(scale))),
            self.constant("zero", Tensor(np.array(zero), int_type(8))),
        )

    def codes(self, name, dtype, scale, zero=0):
        """An input of codes, as reals."""
        x = self.input(Value(name, TensorType((BATCH, 2, 4, 4), dtype)))
        return self.node(f"{name}.real", Dequantize(), x, *self.parameters(scale, zero))

    def rounded(self, name, x, dtype, scale, zero=0):
        return self.node(name, Quantize(dtype), x, *self.parameters(scale, zero))


def every(dtype, seed=0):
    rng = np.random.default_rng(seed)
    values = [-1, 1] if dtype == BIPOLAR else np.arange(dtype.lo, dtype.hi + 1)
    return rng.choice(values, (40, 2, 4, 4)).astype(dtype.container)


def checked(graph):
    inputs = {value.name: every(value.type.dtype, seed) for seed, value in enumerate(graph.inputs)}
    stages = staged(graph)
    tally = check_stages(stages, inputs)
    assert tally.codes["program = meaning"] > 0
    assert tally.verdicts["differs"] == 0
    return [node.op.name for node in stages.integers.nodes]


PAD = Pad((0, 1, 0), (0, 0, 2))


@pytest.mark.parametrize("value", [0.0, 0.3, -np.inf])
def test_a_border_that_no_code_stands_for_waits_for_the_next_codes(value):
    b = Draft("border")
    x = b.codes("x", TERNARY, 2.0, -3)  # 2, 4, 6 and 8
    padded = b.node("padded", Pad((0, 1, 0), (0, 0, 2), value), x)
    moved = b.rounded("y", padded, int_type(4), 0.5, 1)
    assert checked(b.build((moved,))) == ["requantize", "pad"]


@pytest.mark.parametrize(("dtype", "zero"), [(TERNARY, -3), (BIPOLAR, 0)])
def test_zeros_that_no_code_stands_for_cannot_enter_a_layer(dtype, zero):
    b = Draft("border")
    channel = Pad((1, 0, 0), (0, 0, 0))
    padded = b.node("padded", channel, b.codes("x", dtype, 2.0, zero), origin="/pad")
    weight = b.constant("w", real(np.ones((1, 3, 1, 1))))
    y = b.rounded("y", b.node("conv", Conv(), padded, weight), int_type(8), 1.0)
    message = (
        f"Node '/pad' (pad): It puts 0 around codes of {dtype}, none of which stands for 0. (in "
        "pass 'lower'; passes done: canonicalize) Quantize what it reads and what it gives, or stop "
        "before it with outputs (--output-tensor)."
    )
    graph = b.build((y,))
    with pytest.raises(PassError, match=f"^{re.escape(message)}$"):
        staged(graph)


def test_the_sign_of_a_sum_of_any_two_scales_is_a_table():
    b = Draft("sign")
    scales = 0.7310585975646973, 0.0031415927410125732
    left, right = (b.codes(name, int_type(8), s) for name, s in zip("xy", scales, strict=True))
    y = b.rounded("sign", b.node("sum", Add((1, -1)), left, right), BIPOLAR, 1.0)
    assert checked(b.build((y,))) == ["add", "requantize", "lookup"]


def test_wide_codes_whose_ties_no_multiplier_rounds_are_rescaled_by_a_table():
    b = Draft("ties")
    y = b.rounded("y", b.codes("x", int_type(12), 0.25), int_type(11), 0.5)
    assert checked(b.build((y,))) == ["lookup"]


@pytest.mark.parametrize("function", ["conv", "sum"])
def test_what_is_moved_before_it_is_rounded_moves_as_codes(function):
    b = Draft("moved")
    x = b.codes("x", int_type(8), 0.37, 3)
    if function == "sum":
        made = b.node("sum", Add(), x, b.codes("z", int_type(8), 0.11, -7))
    else:
        weight = b.constant("w", real(np.array([[1.0, -2.0], [3.0, 1.0]]).reshape(2, 2, 1, 1)))
        bias = b.constant("bias", real(np.array([0.3, -1.1])))
        made = b.node("conv", Conv(), x, weight, bias)
    turned = b.node("turned", Transpose((0, 2, 1, 3)), b.node("padded", PAD, made))
    graph = b.build((b.rounded("y", turned, int_type(8), 0.93, -20),))
    assert checked(graph)[-2:] == ["pad", "transpose"]
