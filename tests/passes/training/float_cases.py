"""Draws of every op of the float stage with real operands, for what must hold for all of them."""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from intaglio._draws import DRAWS, WINDOWED, operand_types
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import FLOAT32
from intaglio.ir.ops_norm import LayerNorm
from intaglio.ir.ops_pointwise import UNARY, Affine, Clip, PRelu, Relu, ScaleGradient, Unary
from intaglio.ir.ops_pool import AveragePool
from intaglio.ir.ops_quant import Dequantize
from intaglio.ir.ops_softmax import Softmax
from intaglio.ir.tensor import Tensor, TensorType, real
from intaglio.ir.verify import LEGAL, verify

OPERATORS = tuple(sorted(op.name for op in LEGAL["float"] - {Dequantize}))


@dataclass(frozen=True, eq=False)
class Case:
    """A verified graph of one node, and real inputs for it."""

    graph: object
    inputs: dict


@st.composite
def float_cases(draw, name):
    """An op of the float stage: its integer draw with real operands, or a draw of its own."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = draw(operand_types(like(name))).with_dtype(FLOAT32)
    op, others = draw_op(draw, name, x)
    b = Builder("case")
    operands = []
    for index, type_ in enumerate((x, *others)):
        if type_.batched:
            operands.append(b.input(Value(f"x{index}", type_)))
        else:
            operands.append(b.constant(f"c.{index}", real(elements(op, rng, type_.shape))))
    graph = verify(b.build((b.node("result", op, *operands),)), "float")
    return Case(graph, {v.name: elements(op, rng, (3, *v.type.sample_shape)) for v in graph.inputs})


def elements(op, rng, shape):
    """Noise, with many zeros and ties; positive where the op takes the root."""
    noise = np.where(rng.random(shape) < 0.5, rng.normal(size=shape), rng.integers(-2, 3, shape))
    return np.abs(noise) + 0.01 if isinstance(op, LayerNorm) or roots(op) else noise


def roots(op):
    return isinstance(op, Unary) and op.function in ("sqrt", "rsqrt")


def like(name):
    """An op of the integer stage that takes activations of the same shapes."""
    if name in DRAWS:
        return name
    return WINDOWED[0] if name == "average_pool" else "concat"


def draw_op(draw, name, x):
    """The op and the types of its operands but the first."""
    parameter = TensorType(draw(st.sampled_from(((), (1,), x.sample_shape[:1]))))
    if name in OWN:
        return OWN[name](draw, parameter)
    given = x.with_dtype(draw(operand_types(like(name))).dtype)
    if name == "softmax":
        return Softmax(draw(st.integers(1, len(x.shape) - 1))), ()
    if name == "layer_norm":
        return LayerNorm(draw(st.integers(1, len(x.shape) - 1))), (TensorType(()),)
    if name == "average_pool":
        return average_pool(draw, given), ()
    op, others = DRAWS[name](draw, given)
    if name == "conv":
        op = replace(op, pad_value=op.pad_value % 3)
    types = (each.type if isinstance(each, Tensor) else each for each in others)
    return op, tuple(each.with_dtype(FLOAT32) for each in types)


def average_pool(draw, x):
    """With a border that counts, or windows that all hold elements."""
    if draw(st.booleans()):
        pool, _ = DRAWS["sum_pool"](draw, x)
        return AveragePool(pool.kernel, pool.strides, pool.pads)
    pool, _ = DRAWS["max_pool"](draw, x)
    pads = tuple(min(pad, pool.kernel[i % 2] - 1) for i, pad in enumerate(pool.pads))
    return AveragePool(pool.kernel, pool.strides, pads, 0)


OWN = {
    "affine": lambda draw, parameter: (Affine(), (parameter, parameter)),
    "relu": lambda draw, parameter: (Relu(), ()),
    "clip": lambda draw, parameter: (Clip(draw(st.sampled_from((-1.1, 0.0))), 1.3), ()),
    "scale_gradient": lambda draw, parameter: (ScaleGradient(1.0), ()),
    "prelu": lambda draw, parameter: (PRelu(), (parameter,)),
    "unary": lambda draw, parameter: (
        Unary(draw(st.sampled_from(sorted(UNARY))), draw(st.sampled_from((0.1, 0.5)))),
        (),
    ),
}
