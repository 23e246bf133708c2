"""Lower a quantised graph to integers, every rescaling with its certificate.

The walk keeps for each real value what it means in integers (passes/meaning.py); a ``quantize``
turns a meaning into codes: by ``requantize`` (certified), ``threshold`` or ``lookup`` (exact).
Bias, zero points, averaging and ReLU all end in the parameters of that one step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from ..errors import NumericError, PassError
from ..ir.certificate import Certificate
from ..ir.graph import Builder, Graph, Node, Value
from ..ir.interval import Fact, Interval
from ..ir.numeric import Array, Encoding, NumericType, narrowest
from ..ir.ops_layout import Concat, Pad, Reshape, Slice, Transpose
from ..ir.ops_linear import Conv, Dense
from ..ir.ops_pointwise import Add, Affine, Clip, Relu, Unary
from ..ir.ops_pool import AveragePool, MaxPool, SumPool
from ..ir.ops_product import MatMul, Multiply
from ..ir.ops_quant import Dequantize, Lookup, Requantize, Threshold
from ..ir.ops_quant import Quantize as QuantizeOp
from ..ir.ops_softmax import Softmax
from ..ir.tensor import Tensor
from ..ir.verify import ACCUMULATOR_BITS, Stage
from .add import find_sum
from .base import Context, Pass
from .certify import find_parameters, nearest_parameters, prove, thresholds
from .lower_product import lower_product, lower_softmax
from .meaning import UNBOUNDED, Codes, Function, Image, Joined, Meaning, Sum
from .rescale import Parameters, Rescale, round_fraction

MAX_THRESHOLDS = 255
MAX_TABLE_BITS = 16


@dataclass(frozen=True)
class Lower(Pass):
    """Replace reals by integers; each rescaling is certified, or listed where it differs."""

    name: ClassVar[str] = "lower"
    stage_before: ClassVar[Stage] = "quantized"
    stage_after: ClassVar[Stage] = "integer"

    def run(self, graph: Graph, context: Context) -> Graph:
        lowering = Lowering(graph, Builder(graph.name))
        for index, node in enumerate(graph.nodes, 1):
            lowering.lower(node)
            context.progress("Lower and certify", index, len(graph.nodes))
        return lowering.finish()


class Lowering:
    """One walk over a quantised graph; ``meanings`` grows with every real value."""

    def __init__(self, graph: Graph, new: Builder) -> None:
        self.graph, self.new = graph, new
        self.meanings: dict[str, Meaning] = {}
        self.integers: dict[str, str] = {}
        self.facts: dict[str, Fact] = {}

    def lower(self, node: Node) -> None:
        rule = RULES.get(type(node.op))
        if rule is None:
            raise refuse(node, "has no integer form yet")
        rule(self, node)

    def finish(self) -> Graph:
        """The integer graph; every output must be codes."""
        outputs = []
        for name in self.graph.outputs:
            meaning = self.meanings.get(name)
            if name in self.integers:
                outputs.append(self.integers[name])
            elif isinstance(meaning, Codes):
                outputs.append(meaning.name)
            else:
                raise PassError(
                    "It is real, not codes.",
                    where=f"Output '{name}'",
                    fix="Put a quantise point before every output.",
                )
        return self.new.build(tuple(outputs))

    # Building blocks -----------------------------------------------------------------------------

    def emit(self, name: str, op: Any, *inputs: str, node: Node, **extra: Any) -> str:
        """Append an integer node that stands for ``node`` and derive where its values lie."""
        made = self.new.node(name, op, *inputs, origin=node.value.origin, **extra)
        interval = op.interval(*(self.facts[operand] for operand in inputs))
        lo, hi = interval.bounds
        dtype = self.new.type_of(made).dtype
        if lo < dtype.lo or hi > dtype.hi:
            raise NumericError(
                f"Its values reach {lo}..{hi} and overflow {ACCUMULATOR_BITS} bits.",
                where=node.where,
                fix="Use fewer bits for its weights or inputs, or split the layer.",
            )
        self.facts[made] = Fact(self.new.type_of(made), interval)
        return made

    def constant(self, name: str, array: Array, dtype: NumericType | None = None) -> str:
        """A constant in the narrowest type; equal elements of a 1-D array shrink to one."""
        if array.ndim == 1 and dtype is None and array.size and (array == array[0]).all():
            array = array[:1]
        span = (int(array.min()), int(array.max())) if array.size else (0, 0)
        made = self.new.constant(name, Tensor(array, dtype or narrowest(*span)))
        self.facts[made] = Fact(self.new.type_of(made), Interval.of(*span), array)
        return made

    def codes(self, node: Node, position: int = 0) -> Codes:
        """The operand as codes; refused when it is anything else."""
        meaning = self.meanings.get(node.inputs[position])
        if not isinstance(meaning, Codes):
            raise refuse(node, f"reads '{node.inputs[position]}', which is not quantised")
        return meaning

    def array(self, name: str) -> Array:
        return self.graph.constants[name].array

    def encode(self, name: str, node: Node, scale: Fraction, zero_point: int) -> None:
        """Note on an emitted value what its codes mean."""
        for index in range(len(self.new.nodes) - 1, -1, -1):
            made = self.new.nodes[index]
            if made.name == name:
                value = replace(made.value, encoding=Encoding(float(scale), zero_point))
                self.new.nodes[index] = replace(made, value=value)
                return


def refuse(node: Node, why: str) -> PassError:
    """The error for a node that lowering cannot express."""
    return PassError(
        f"It {why}.",
        where=node.where,
        fix="Quantise its operands, or replace it by operators that `intaglio ops` lists.",
    )


def fractions(array: Array, channels: int) -> tuple[Fraction, ...]:
    """Each channel's float32 as an exact rational."""
    spread = np.broadcast_to(array.reshape(-1), (channels,))
    return tuple(map(Fraction, spread.astype(np.float64).tolist()))


def scalar(array: Array, node: Node) -> Any:
    """The one element of a parameter that must be per tensor."""
    if array.size != 1:
        raise refuse(node, "has one scale per channel where one for the tensor is needed")
    return array.reshape(-1)[0].item()


# One rule per op: what the node's value means in integers ----------------------------------------


def lower_dequantize(self: Lowering, node: Node) -> None:
    """Codes behind their encoding; weights and biases are read by the ops that use them."""
    source, scale, zero_point = node.inputs
    if source in self.graph.constants:
        return  # A weight: conv and dense read its codes and scale themselves.
    step = Fraction(scalar(self.array(scale), node))
    zero = int(scalar(self.array(zero_point), node))
    if source not in self.integers:
        value = self.graph.values[source]
        encoded = Value(source, value.type, value.origin, Encoding(float(step), zero))
        self.integers[source] = self.new.input(encoded)
        self.facts[source] = Fact(value.type, Interval.of_type(value.type.dtype))
    self.meanings[node.name] = Codes(self.integers[source], step, zero)


def weight_of(self: Lowering, node: Node) -> tuple[Tensor, Array]:
    """The codes and the real scale behind a conv's or dense's weight."""
    source = self.graph.producers.get(node.inputs[1])
    if source is None or not isinstance(source.op, Dequantize):
        raise refuse(node, "has a weight that is not quantised")
    codes, scale, zero_point = source.inputs
    if codes not in self.graph.constants or self.array(zero_point).any():
        raise refuse(node, "has a weight that is not constant codes with zero point 0")
    return self.graph.constants[codes], self.array(scale)


def lower_linear(self: Lowering, node: Node) -> None:
    """value = sx sw (sum of x w - zx sum of w) + b; the border holds zx and so counts as 0."""
    x = self.codes(node)
    if isinstance(node.op, Dense) and len(node.type.shape) > 2:
        raise refuse(node, "multiplies along the last of several axes")
    weight, weight_scale = weight_of(self, node)
    name = self.constant(f"{node.name}.weight", weight.array, weight.dtype)
    op = replace(node.op, pad_value=x.zero_point) if isinstance(node.op, Conv) else node.op
    acc = self.emit(f"{node.name}.acc", op, x.name, name, node=node)
    channels = len(weight.array)
    scale = tuple(x.scale * each for each in fractions(weight_scale, channels))
    sums = weight.array.astype(np.int64).reshape(channels, -1).sum(axis=1).tolist()
    bias = fractions(self.array(node.inputs[2]) if len(node.inputs) > 2 else np.zeros(1), channels)
    offset = tuple(
        b - s * x.zero_point * total for b, s, total in zip(bias, scale, sums, strict=True)
    )
    self.meanings[node.name] = Image(acc, scale, offset)


def lower_affine(self: Lowering, node: Node) -> None:
    """An image of codes as they are, or of the accumulator that they stand for."""
    channels = node.type.sample_shape[0]
    factor = fractions(self.array(node.inputs[1]), channels)
    shift = fractions(self.array(node.inputs[2]), channels)
    before = self.meanings.get(node.inputs[0])
    if isinstance(before, Image) and before.bounds == UNBOUNDED:
        self.meanings[node.name] = before.affine(factor, shift)
        return
    x = self.codes(node)
    scale = tuple(x.scale * each for each in factor)
    offset = tuple(b - s * x.zero_point for b, s in zip(shift, scale, strict=True))
    self.meanings[node.name] = Image(x.name, scale, offset)


def lower_average_pool(self: Lowering, node: Node) -> None:
    """An image of the sum over the window."""
    op = node.op
    if not isinstance(op, AveragePool) or (any(op.pads) and not op.count_border):
        raise refuse(node, "averages windows of different sizes at the border")
    x = self.codes(node)
    pool = SumPool(op.kernel, op.strides, op.pads, x.zero_point)
    acc = self.emit(f"{node.name}.acc", pool, x.name, node=node)
    area = op.kernel[0] * op.kernel[1]
    channels = node.type.sample_shape[0]
    scale = x.scale / area
    self.meanings[node.name] = Image(
        acc, (scale,) * channels, (-x.scale * x.zero_point,) * channels
    )


def lower_add(self: Lowering, node: Node) -> None:
    """A sum; its integers depend on the codes that it becomes."""
    if not isinstance(node.op, Add):
        raise refuse(node, "is not an addition")
    self.meanings[node.name] = Sum(self.codes(node, 0), self.codes(node, 1), node.op.multipliers)


def lower_clip(self: Lowering, node: Node) -> None:
    """A relu or clip narrows the bounds of an image or sum; of anything else it is a function."""
    meaning = self.meanings.get(node.inputs[0])
    op = node.op
    ends = (op.lo, op.hi) if isinstance(op, Clip) else (0.0, np.inf)
    lo, hi = (exact_bound(end) for end in ends)
    if isinstance(meaning, Image | Sum):
        below, above = (min(max(end, lo), hi) for end in meaning.bounds)
        self.meanings[node.name] = replace(meaning, bounds=(below, above))
    elif isinstance(meaning, Function):
        inner = meaning.apply
        self.meanings[node.name] = replace(meaning, apply=lambda x: np.clip(inner(x), *ends))
    else:
        self.meanings[node.name] = Function(self.codes(node), lambda x: np.clip(x, *ends))


def exact_bound(end: float) -> Fraction:
    """The float32 nearest to ``end`` as a rational; infinity is a bound that no code reaches."""
    return Fraction(float(np.float32(end))) if np.isfinite(end) else UNBOUNDED[int(end > 0)]


def lower_unary(self: Lowering, node: Node) -> None:
    """A function of codes."""
    self.meanings[node.name] = Function(self.codes(node), node.op.reference)


def lower_pass_through(self: Lowering, node: Node) -> None:
    """Ops that choose among values run on codes; a border holds the code nearest to its value."""
    x = self.codes(node)
    op = node.op
    if isinstance(op, Pad):
        dtype = self.facts[x.name].type.dtype
        steps = exact_bound(op.value) / x.scale
        code = round_fraction(steps, "half_up") + x.zero_point
        op = replace(op, value=min(max(code, dtype.lo), dtype.hi))
    made = self.emit(node.name, op, x.name, node=node)
    self.encode(made, node, x.scale, x.zero_point)
    self.meanings[node.name] = Codes(made, x.scale, x.zero_point)


def lower_concat(self: Lowering, node: Node) -> None:
    """Several tensors of codes."""
    parts = tuple(self.codes(node, position) for position in range(len(node.inputs)))
    if isinstance(node.op, Concat):
        self.meanings[node.name] = Joined(parts, node.op.axis)


# A quantize turns a meaning into codes -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Target:
    """The codes that a quantize asks for."""

    dtype: NumericType
    scale: Fraction
    zero_point: int
    op: QuantizeOp

    def code(self, real: Fraction) -> int:
        """The code of one real."""
        exact = round_fraction(real / self.scale, self.op.rounding) + self.zero_point
        return min(max(exact, self.dtype.lo), self.dtype.hi)

    def definition(self, image: Image) -> Rescale:
        """The codes of an image as a function of its accumulator; bounds become codes."""
        lo, hi = (self.code(end) for end in image.bounds)
        scale = tuple(each / self.scale for each in image.scale)
        offset = tuple(each / self.scale for each in image.offset)
        return Rescale(scale, offset, self.op.rounding, lo, hi, self.zero_point)


def lower_quantize(self: Lowering, node: Node) -> None:
    """Codes by the cheapest op that equals the definition."""
    if not isinstance(node.op, QuantizeOp):
        raise refuse(node, "is not a quantise point")
    source, scale, zero_point = node.inputs
    step = Fraction(scalar(self.array(scale), node))
    target = Target(node.op.dtype, step, int(scalar(self.array(zero_point), node)), node.op)
    if source not in self.meanings:
        _lower_input(self, node, target)
        return
    made = _to_codes(self, node, self.meanings[source], target, source)
    self.encode(made, node, step, target.zero_point)
    self.integers[node.name] = made


def _lower_input(self: Lowering, node: Node, target: Target) -> None:
    """The quantise point of a network input moves out of the network: it takes codes."""
    value = self.graph.values[node.inputs[0]]
    encoding = Encoding(float(target.scale), target.zero_point)
    codes = Value(value.name, value.type.with_dtype(target.dtype), value.origin, encoding)
    held = next((each for each in self.new.inputs if each.name == value.name), None)
    if held is None:
        self.new.input(codes)
        self.facts[codes.name] = Fact(codes.type, Interval.of_type(target.dtype))
    elif held != codes:
        raise PassError(
            f"It quantises the input '{value.name}' otherwise than another node does.",
            where=node.where,
            fix="Give each input of the network one quantise point.",
        )
    self.integers[node.name] = codes.name


def _to_codes(self: Lowering, node: Node, meaning: Meaning, target: Target, name: str) -> str:
    if isinstance(meaning, Codes):
        same = (meaning.scale, meaning.zero_point) == (target.scale, target.zero_point)
        if same and self.facts[meaning.name].type.dtype == target.dtype:
            return meaning.name
        image = Image(meaning.name, (meaning.scale,), (-meaning.scale * meaning.zero_point,))
        return _requantize(self, node, image, target, name)
    if isinstance(meaning, Image):
        return _requantize(self, node, meaning, target, name)
    if isinstance(meaning, Sum):
        return _add(self, node, meaning, target, name)
    if isinstance(meaning, Function):
        return _lookup(self, node, meaning, target, name)
    return _join(self, node, meaning, target, name)


def _requantize(self: Lowering, node: Node, image: Image, target: Target, name: str) -> str:
    """By (M, r, s) if some reproduce the definition, else by thresholds, else the nearest."""
    f = target.definition(image)
    reach = self.facts[image.name].interval
    reach = reach if f.channels > 1 else reach.hull
    parameters = find_parameters(f, reach)
    if parameters is None:
        steps = thresholds(f, reach)
        if steps is not None and steps[0].shape[1] <= MAX_THRESHOLDS:
            return _threshold(self, node, image, target, name, *steps)
        parameters = nearest_parameters(f, reach)
    certificate = prove(f, parameters, reach)
    return emit_requantize(self, node, image.name, target, name, parameters, certificate)


def emit_requantize(
    self: Lowering,
    node: Node,
    source: str,
    target: Target,
    name: str,
    parameters: Parameters,
    certificate: Certificate,
) -> str:
    """Append a requantize with these parameters."""
    operands = (
        self.constant(f"{name}.multiplier", parameters.multiplier),
        self.constant(f"{name}.addend", parameters.addend),
        self.constant(f"{name}.shift", parameters.shift),
    )
    op = Requantize(target.dtype, parameters.lo, parameters.hi)
    return self.emit(name, op, source, *operands, node=node, certificate=certificate)


def _threshold(
    self: Lowering, node: Node, image: Image, target: Target, name: str, steps: Array, base: int
) -> str:
    lo, hi = self.facts[image.name].interval.bounds
    table = self.constant(f"{name}.thresholds", steps)
    certificate = Certificate("exact", "threshold", lo, hi)
    op = Threshold(target.dtype, base)
    return self.emit(name, op, image.name, table, node=node, certificate=certificate)


def _add(self: Lowering, node: Node, total: Sum, target: Target, name: str) -> str:
    lo, hi = (target.code(end) for end in total.bounds)
    found = find_sum(
        total,
        target.scale,
        target.zero_point,
        target.op.rounding,
        (lo, hi),
        self.facts[total.x.name].interval.bounds,
        self.facts[total.y.name].interval.bounds,
    )
    if found is None:
        raise PassError(
            "No integers reproduce this addition of wide codes exactly.",
            where=node.where,
            fix="Use activations of at most 8 bits, or scales that are powers of two.",
        )
    acc = self.emit(f"{name}.acc", Add(found.multipliers), total.x.name, total.y.name, node=node)
    one = np.ones(1, dtype=np.int64)
    parameters = Parameters(one, one * found.addend, one * found.shift, lo, hi)
    return emit_requantize(self, node, acc, target, name, parameters, found.certificate)


def _lookup(self: Lowering, node: Node, function: Function, target: Target, name: str) -> str:
    codes = function.codes
    dtype = self.facts[codes.name].type.dtype
    if dtype.bits > MAX_TABLE_BITS:
        raise refuse(node, f"would need a table of 2^{dtype.bits} entries")
    inputs = np.arange(dtype.lo, dtype.hi + 1, dtype=np.int64)
    reals = float(codes.scale) * (inputs - codes.zero_point).astype(np.float64)
    encoding = Encoding(float(target.scale), target.zero_point)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        results = function.apply(reals)
        if np.isnan(results).any():
            raise NumericError(
                f"It is not a number for {reals[np.isnan(results)][0]:g}, a code of its input.",
                where=node.where,
                fix="Clip its input to where it is defined.",
            )
        outputs = encoding.encode(results, target.dtype, target.op.rounding)
    table = self.constant(f"{name}.table", outputs, target.dtype)
    certificate = Certificate("table", "lookup", dtype.lo, dtype.hi)
    op = Lookup(target.dtype, dtype.lo)
    return self.emit(name, op, codes.name, table, node=node, certificate=certificate)


def _join(self: Lowering, node: Node, joined: Joined, target: Target, name: str) -> str:
    parts = []
    for index, part in enumerate(joined.parts):
        made = _to_codes(self, node, part, target, f"{name}.part{index}")
        parts.append(made)
    return self.emit(name, Concat(joined.axis), *parts, node=node)


RULES: dict[type[Any], Callable[[Lowering, Node], None]] = {
    Dequantize: lower_dequantize,
    QuantizeOp: lower_quantize,
    Conv: lower_linear,
    Dense: lower_linear,
    Affine: lower_affine,
    AveragePool: lower_average_pool,
    Add: lower_add,
    Relu: lower_clip,
    Clip: lower_clip,
    Unary: lower_unary,
    MaxPool: lower_pass_through,
    Reshape: lower_pass_through,
    Transpose: lower_pass_through,
    Slice: lower_pass_through,
    Pad: lower_pass_through,
    Concat: lower_concat,
    Multiply: lower_product,
    MatMul: lower_product,
    Softmax: lower_softmax,
}
