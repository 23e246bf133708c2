"""The arithmetic of a TFLite runtime as functions of integers: what an importer has to know.

One ``Dialect`` per runtime: ``tflite`` are the reference kernels, ``xnnpack`` is what LiteRT runs
on processors by default. Their codes are not cut to a range yet, unless said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...ir.numeric import Array
from .model import Tensor

Codes = Callable[[Array], Array]
"""int64 accumulators, ``(channels, n)`` where they have channels, to codes, elementwise."""
Pairs = Callable[[Array, Array], Array]


@dataclass(frozen=True, slots=True)
class Linear:
    """Input, output and weight scales of a sum of products; ``kind`` is the operator."""

    kind: str
    x: Tensor
    y: Tensor
    scales: Array


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one runtime rounds.

    ``linear``       codes of sums of (x - zero point) w + bias, rising
    ``mean``         codes of plain sums of ``count`` codes, rising
    ``average``      codes of plain sums of ``count`` codes of a pool, rising
    ``add``          codes of x and y, the second times ``sign``
    ``multiply``     codes of products of (x - zero point) (y - zero point), rising
    ``table``        the code of every code of x, cut to y's type; None if it has no such function
    ``bounds``       the least and greatest code under a fused activation
    ``softmax``      the table of exponentials and the rule of division of ``Softmax``
    ``interpolate``  weights along one axis for ``(size, new size, align corners, half pixels)``,
                     first and second place per element and the weight of the second
    ``resized``      codes of sums of interpolated products, rising
    ``weight_bits``  fraction bits of the weights along one axis
    """

    name: str
    linear: Callable[[Linear], Codes]
    mean: Callable[[Tensor, Tensor, int], Codes]
    average: Callable[[int], Codes]
    add: Callable[[Tensor, Tensor, Tensor, int], Pairs]
    multiply: Callable[[Tensor, Tensor, Tensor], Codes]
    table: Callable[[str, Tensor, Tensor, float], Array | None]
    bounds: Callable[[int, Tensor], tuple[int, int]]
    softmax: Callable[[Tensor, float, int], tuple[Array, int]]
    interpolate: Callable[[int, int, bool, bool], tuple[Array, Array, Array]]
    resized: Codes
    weight_bits: int
