"""Arrays of rationals over a common unit: what a quantized graph means, without any rounding.

Nothing of the compiler is used here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from math import gcd, lcm
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
SAFE = 1 << 62
DIGITS = 60
"""Of a decimal for a function that is not rational: no code of 16 bits is nearer to an edge."""


def _reach(values: Array) -> int:
    return max(abs(int(values.min())), abs(int(values.max()))) if values.size else 0


def times(values: Array, factor: int) -> Array:
    """``values * factor``, in Python's integers where int64 would not hold it."""
    wide = max(_reach(values), 1) * abs(factor) >= SAFE
    return np.asarray((values.astype(object) if wide else values) * factor)


def plus(x: Array, y: Array) -> Array:
    """``x + y``, in Python's integers where int64 would not hold it."""
    return np.asarray(x.astype(object) + y if _reach(x) + _reach(y) >= SAFE else x + y)


@dataclass(frozen=True, eq=False)
class Rational:
    """``unit * num``: integers times one positive rational."""

    num: Array
    unit: Fraction

    @classmethod
    def of_floats(cls, reals: Array) -> Rational:
        """Floats as the numbers that they are."""
        mantissas, exponents = np.frexp(reals.astype(np.float64))
        integers = (mantissas * 2.0**53).astype(np.int64)
        powers = np.where(integers == 0, 0, exponents.astype(np.int64) - 53)
        least = int(powers.min()) if powers.size else 0
        pairs = zip(integers.reshape(-1).tolist(), powers.reshape(-1).tolist(), strict=True)
        lifted = [integer << (power - least) for integer, power in pairs]
        shared = gcd(*lifted) or 1
        found = np.array([each // shared for each in lifted], dtype=object)
        return cls(_small(found.reshape(reals.shape)), Fraction(2) ** least * shared)

    def over(self, unit: Fraction) -> Array:
        """The integers over a unit that divides this one."""
        factor = self.unit / unit
        assert factor.denominator == 1
        return times(self.num, factor.numerator)

    def map(self, change: Callable[[Array], Array]) -> Rational:
        """The same elements, moved or chosen."""
        return Rational(change(self.num), self.unit)

    def floats(self) -> Array:
        """The nearest float64."""
        exact = [float(self.unit * int(each)) for each in self.num.reshape(-1)]
        return np.array(exact).reshape(self.num.shape)


def pad(values: Array, widths: Any, border: int) -> Array:
    """numpy's pad, which would put its own integers among Python's."""
    padded = np.pad(values, widths, constant_values=border)
    if padded.dtype != object:
        return padded
    flat = [int(each) for each in padded.reshape(-1)]
    return np.array(flat, dtype=object).reshape(padded.shape)


def _small(values: Array) -> Array:
    return values.astype(np.int64) if _reach(values) < SAFE else values


def common(*parts: Rational) -> tuple[Fraction, list[Array]]:
    """The greatest unit that divides all, and the integers over it."""
    below = lcm(*(part.unit.denominator for part in parts))
    unit = Fraction(gcd(*(int(part.unit * below) for part in parts)), below)
    return unit, [part.over(unit) for part in parts]


def add(x: Rational, y: Rational) -> Rational:
    unit, (a, b) = common(x, y)
    return Rational(plus(a, b), unit)


def multiply(x: Rational, y: Rational) -> Rational:
    wide = _reach(x.num) * _reach(y.num) >= SAFE
    return Rational((x.num.astype(object) if wide else x.num) * y.num, x.unit * y.unit)


def matmul(x: Rational, y: Rational) -> Rational:
    """Sums of products along the last axis of x and the last but one of y."""
    wide = _reach(x.num) * _reach(y.num) * x.num.shape[-1] >= SAFE
    left, right = (each.num.astype(object) if wide else each.num for each in (x, y))
    return Rational(left @ right, x.unit * y.unit)


def greatest(x: Rational, y: Rational, sign: int = 1) -> Rational:
    """``max(x, y)``, or ``min`` for sign -1."""
    unit, (a, b) = common(x, y)
    return Rational(np.maximum(a, b) if sign > 0 else np.minimum(a, b), unit)


def round_ratio(above: Array, below: int, rounding: str) -> Array:
    """``above / below`` rounded to integers, ``below`` positive."""
    wide = _reach(above) * 2 >= SAFE or below * 2 >= SAFE
    n = above.astype(object) if wide else above
    whole = n // below
    rest = n - whole * below
    twice, more = 2 * rest, rest > 0
    if rounding == "half_dpu":
        up = np.where(n < 0, twice >= below, (twice > below) | (twice == below) & (whole % 2 == 1))
    else:
        up = {
            "half_even": lambda: (twice > below) | (twice == below) & (whole % 2 == 1),
            "half_up": lambda: twice >= below,
            "half_away": lambda: (twice > below) | (twice == below) & (n > 0),
            "half_toward_zero": lambda: (twice > below) | (twice == below) & (n < 0),
            "floor": lambda: more & False,
            "ceil": lambda: more,
            "toward_zero": lambda: more & (n < 0),
            "away_from_zero": lambda: more & (n > 0),
        }[rounding]()
    return whole + up.astype(np.int64)


def quotient(x: Rational, scale: Fraction, before: int, rounding: str) -> Array:
    """``round(x / scale + before)``."""
    factor = x.unit / scale
    top = plus(times(x.num, factor.numerator), np.array(before * factor.denominator))
    return round_ratio(np.asarray(top), factor.denominator, rounding)


def exactly(values: Any) -> list[Fraction]:
    """The elements of a float array as rationals."""
    return [Fraction(float(each)) for each in np.asarray(values).reshape(-1)]


def apply(x: Rational, function: Callable[[Fraction], Fraction]) -> Rational:
    """A function of each number, computed once for each that occurs."""
    flat = [int(each) for each in x.num.reshape(-1)]
    made = {each: function(each * x.unit) for each in set(flat)}
    below = lcm(*(value.denominator for value in made.values()))
    top = np.array([int(made[each] * below) for each in flat], dtype=object)
    return Rational(_small(top.reshape(x.num.shape)), Fraction(1, below))


def _exp(x: Fraction) -> Decimal:
    return (Decimal(x.numerator) / Decimal(x.denominator)).exp()


def _decimal(compute: Callable[[Fraction], Decimal]) -> Callable[[Fraction], Fraction]:
    def function(x: Fraction) -> Fraction:
        with localcontext() as context:
            context.prec = DIGITS
            return Fraction(compute(x))

    return function


def _clipped(x: Fraction, lo: int, hi: int) -> Fraction:
    return min(max(x, Fraction(lo)), Fraction(hi))


def exponential(x: Fraction) -> Fraction:
    """e to the power x, to 60 digits."""
    return _decimal(_exp)(x)


FUNCTIONS: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "sigmoid": lambda x, a: _decimal(lambda v: 1 / (1 + _exp(-v)))(x),
    "tanh": lambda x, a: _decimal(lambda v: 1 - 2 / (1 + _exp(2 * v)))(x),
    "silu": lambda x, a: x * _decimal(lambda v: 1 / (1 + _exp(-v)))(x),
    "elu": lambda x, a: a * (exponential(x) - 1) if x < 0 else x,
    "exp": lambda x, a: exponential(x),
    "leaky_relu": lambda x, a: a * x if x < 0 else x,
    "hard_sigmoid": lambda x, a: _clipped(x * a + Fraction(1, 2), 0, 1),
    "hard_swish": lambda x, a: x * _clipped(x / 6 + Fraction(1, 2), 0, 1),
    "abs": lambda x, a: abs(x),
    "neg": lambda x, a: -x,
}
"""By name, of a real and the parameter alpha."""
