"""A slow reference of QDQ models: exact rationals, rounded once by each QuantizeLinear.

It shares nothing with the compiler. A real tensor is a sum of terms, integers times an exact unit
per channel, plus an exact offset. float64 decides a rounding where it is 1e-6 or more away from a
tie; fractions decide the rest. Sums of products run as float64 convolutions of integers, which are
exact below 2^53.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812  (the name that torch's users know)
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[Any]
Units = tuple[Fraction, ...]
NEAR = 1e-6
FAR = Fraction(10**30)


@dataclass(frozen=True)
class Term:
    """``unit[c] * integers``; one unit for all channels, or one each (axis 1)."""

    integers: Array
    unit: Units


@dataclass(frozen=True)
class Real:
    """The sum of ``terms`` plus ``offset[c]``, clipped to ``lo..hi``."""

    terms: tuple[Term, ...]
    offset: Units = (Fraction(0),)
    lo: Fraction = -FAR
    hi: Fraction = FAR

    def map(self, move: Callable[[Array], Array]) -> Real:
        """The same with the elements of each term moved; channels stay where they are."""
        terms = tuple(replace(term, integers=move(term.integers)) for term in self.terms)
        return replace(self, terms=terms)

    @property
    def only(self) -> Term:
        """Its one term; the models here never multiply anything else."""
        (term,) = self.terms
        assert (self.offset, self.lo) == ((0,), -FAR), "a biased or clipped real is quantized next"
        return term


def spread(values: Array, rank: int) -> Array:
    """Per-channel numbers, shaped to repeat along every axis but 1."""
    return values.reshape(1, -1, *(1,) * (rank - 2))


def steps(real: Real, scale: Fraction) -> Array:
    """``real / scale`` in float64."""
    rank = real.terms[0].integers.ndim
    total: Array = spread(np.array([float(o / scale) for o in real.offset]), rank)
    for term in real.terms:
        total = total + term.integers * spread(
            np.array([float(u / scale) for u in term.unit]), rank
        )
    return np.clip(total, float(real.lo / scale), float(real.hi / scale))


def exact_at(real: Real, index: tuple[int, ...]) -> Fraction:
    """One element, as a fraction."""

    def pick(values: Units) -> Fraction:
        return values[index[1] if len(values) > 1 else 0]

    total = pick(real.offset)
    for term in real.terms:
        total += pick(term.unit) * int(term.integers[index])
    return min(max(total, real.lo), real.hi)


def quantize(real: Real, scale: Fraction, zero: int, dtype: np.dtype[Any]) -> Array:
    """``clip(round(real / scale) + zero)``, half to even."""
    rough = steps(real, scale)
    codes = np.rint(rough).astype(np.int64)
    near = np.abs(rough - np.floor(rough) - 0.5) < NEAR
    for place in np.argwhere(near):
        index = tuple(int(i) for i in place)
        codes[index] = round(exact_at(real, index) / scale)  # Python rounds half to even
    info = np.iinfo(dtype)
    return np.clip(codes + zero, info.min, info.max).astype(dtype)


@dataclass
class Reference:
    """One run over a model; ``forced`` gives codes to go on with instead of the computed ones."""

    model: onnx.ModelProto
    forced: Mapping[str, Array]

    def __post_init__(self) -> None:
        self.known: dict[str, Any] = {
            t.name: numpy_helper.to_array(t) for t in self.model.graph.initializer
        }
        self.codes: dict[str, Array] = {}
        self.before: dict[str, tuple[Real, Fraction, int]] = {}

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Every tensor of codes by name, with those that stand before each in ``before``."""
        self.known.update(inputs)
        for node in self.model.graph.node:
            operands = [self.known[name] if name else None for name in node.input]
            given = {each.name: helper.get_attribute_value(each) for each in node.attribute}
            self.known[node.output[0]] = self._node(node, operands, given)
        return self.codes

    def _node(self, node: onnx.NodeProto, operands: list[Any], given: dict[str, Any]) -> Any:
        kind, name = node.op_type, node.output[0]
        x = operands[0]
        if kind == "QuantizeLinear":
            scale, zero = Fraction(float(operands[1])), int(operands[2])
            if isinstance(x, np.ndarray):  # the input of the network: float32, taken as it is
                x = None
                codes = self.forced[name]
            else:
                codes = quantize(x, scale, zero, operands[2].dtype)
                self.before[name] = x, scale, zero
            self.codes[name] = codes
            return self.forced.get(name, codes)
        if kind == "DequantizeLinear":
            return dequantized(x, *operands[1:])
        return OPERATORS[kind](given, *operands)


def dequantized(codes: Array, scale: Array, zero: Array | None = None) -> Real:
    """Codes less their zero point, times the exact scale; for constants channels are axis 0."""
    units = tuple(map(Fraction, np.atleast_1d(scale).astype(float).tolist()))
    zeros = np.zeros(1, np.int64) if zero is None else np.atleast_1d(zero).astype(np.int64)
    shape = (-1, *(1,) * (codes.ndim - 1)) if zeros.size > 1 else ()
    return Real((Term(codes.astype(np.int64) - zeros.reshape(shape), units),))


def outer(left: Units, right: Units) -> Units:
    """The unit of a product: that of the activation times each of the weight."""
    return tuple(left[0] * each for each in right)


def biased(bias: Real | None) -> Units:
    """A bias as exact rationals."""
    if bias is None:
        return (Fraction(0),)
    term = bias.only
    units = term.unit * (term.integers.size // len(term.unit))
    return tuple(u * int(b) for u, b in zip(units, term.integers.reshape(-1), strict=True))


def conv(given: dict[str, Any], x: Real, w: Real, b: Real | None = None) -> Real:
    """Convolution of zero-padded integers; the bias is the offset."""
    top, left, bottom, right = given.get("pads", (0, 0, 0, 0))
    a, k = x.only, w.only
    image = F.pad(torch.from_numpy(a.integers).double(), (left, right, top, bottom))
    found = F.conv2d(
        image,
        torch.from_numpy(k.integers).double(),
        stride=tuple(given.get("strides", (1, 1))),
        groups=given.get("group", 1),
    )
    return Real((Term(found.numpy().astype(np.int64), outer(a.unit, k.unit)),), biased(b))


def gemm(given: dict[str, Any], x: Real, w: Real, b: Real | None = None) -> Real:
    """A matrix product; the bias is the offset."""
    a, k = x.only, w.only
    matrix = k.integers.T if given.get("transB") else k.integers
    return Real((Term(a.integers @ matrix, outer(a.unit, k.unit)),), biased(b))


def mean(given: dict[str, Any], x: Real, *_: Any) -> Real:
    """The mean over the whole image: sums in units of their number."""
    term = x.only
    area = term.integers.shape[2] * term.integers.shape[3]
    assert tuple(given.get("kernel_shape", term.integers.shape[2:])) == term.integers.shape[2:]
    sums = term.integers.sum(axis=(2, 3), keepdims=True)
    return Real((Term(sums, tuple(u / area for u in term.unit)),))


def clip(given: dict[str, Any], x: Real, lo: Any = None, hi: Any = None) -> Real:
    """The bounds of both; absent ones do not bind."""
    ends = (
        Fraction(float(lo)) if lo is not None else -FAR,
        Fraction(float(hi)) if hi is not None else FAR,
    )
    return replace(x, lo=max(x.lo, ends[0]), hi=min(x.hi, ends[1]))


def max_pool(given: dict[str, Any], x: Real) -> Real:
    """Greatest integer of each window: units are positive."""
    size, stride = given["kernel_shape"], given["strides"]
    return x.map(
        lambda a: F.max_pool2d(torch.from_numpy(a).double(), size, stride).numpy().astype(np.int64)
    )


def concat(given: dict[str, Any], *parts: Real) -> Real:
    """Each part in its own term, zero elsewhere."""
    sizes = [part.only.integers.shape for part in parts]
    total = sum(shape[1] for shape in sizes)
    terms, start = [], 0
    for part, shape in zip(parts, sizes, strict=True):
        whole = np.zeros((shape[0], total, *shape[2:]), np.int64)
        whole[:, start : start + shape[1]] = part.only.integers
        terms.append(Term(whole, part.only.unit))
        start += shape[1]
    return Real(tuple(terms))


def resize(given: dict[str, Any], x: Real, _: Any, scales: Array) -> Real:
    """Each element repeated."""
    high, wide = (int(each) for each in scales[2:])
    return x.map(lambda a: a.repeat(high, axis=2).repeat(wide, axis=3))


def pad(given: dict[str, Any], x: Real, pads: Array, *_: Any) -> Real:
    """A border of zeros."""
    half = len(pads) // 2
    widths = list(zip(pads[:half].tolist(), pads[half:].tolist(), strict=True))
    return x.map(lambda a: np.pad(a, widths))


def cut(given: dict[str, Any], x: Real, starts: Any, ends: Any, axes: Any, paces: Any) -> Real:
    """A slice along the axes that are named."""
    parts = [slice(None)] * 4
    for axis, start, end, pace in zip(axes, starts, ends, paces, strict=True):
        parts[int(axis)] = slice(int(start), int(end), int(pace))
    return x.map(lambda a: a[tuple(parts)])


OPERATORS: dict[str, Callable[..., Any]] = {
    "Conv": conv,
    "Gemm": gemm,
    "MatMul": gemm,
    "Add": lambda given, x, y: Real((*x.terms, *y.terms)),
    "Relu": lambda given, x: replace(x, lo=max(x.lo, Fraction(0))),
    "Clip": clip,
    "AveragePool": mean,
    "GlobalAveragePool": mean,
    "MaxPool": max_pool,
    "Concat": concat,
    "Resize": resize,
    "Pad": pad,
    "Slice": cut,
    "Flatten": lambda given, x: x.map(lambda a: a.reshape(len(a), -1)),
    "Reshape": lambda given, x, shape: x.map(lambda a: a.reshape(len(a), -1)),
}
