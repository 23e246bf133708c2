"""Numeric types, the encoding of reals as integers, and rounding. Equations: docs/numerics.md."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import NumericError

Array = NDArray[Any]
Kind = Literal["float", "int", "uint", "bipolar", "ternary"]
Rounding = Literal[
    "half_even",
    "half_up",
    "half_away",
    "half_toward_zero",
    "half_dpu",
    "floor",
    "ceil",
    "toward_zero",
    "away_from_zero",
]
ROUNDINGS: tuple[Rounding, ...] = (
    "half_even",
    "half_up",
    "half_away",
    "half_toward_zero",
    "half_dpu",
    "floor",
    "ceil",
    "toward_zero",
    "away_from_zero",
)
MAX_BITS = 64
_NAME = re.compile(r"(float32)|(bipolar)|(ternary)|(u?int)([1-9][0-9]?)")


@dataclass(frozen=True, slots=True)
class NumericType:
    """The set of values one element may take: float32, intN, uintN, bipolar {-1,+1}, ternary."""

    kind: Kind
    bits: int

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= MAX_BITS:
            raise NumericError(f"A numeric type has 1 to {MAX_BITS} bits, not {self.bits}.")

    @classmethod
    def parse(cls, text: str) -> NumericType:
        """``'uint8'`` -> the type; raises NumericError for any other text."""
        match = _NAME.fullmatch(text)
        if match is None:
            raise NumericError(
                f"'{text}' is not a numeric type.",
                fix="Use float32, intN, uintN (N = 1..64), bipolar or ternary.",
            )
        if match[1]:
            return FLOAT32
        if match[2]:
            return BIPOLAR
        if match[3]:
            return TERNARY
        return cls("int" if match[4] == "int" else "uint", int(match[5]))

    def __str__(self) -> str:
        if self.kind in ("bipolar", "ternary"):
            return self.kind
        return f"{self.kind}{self.bits}"

    @property
    def is_integer(self) -> bool:
        return self.kind != "float"

    @property
    def lo(self) -> int:
        """Least value; an integer type only."""
        if self.kind in ("bipolar", "ternary"):
            return -1
        return 0 if self.kind == "uint" else -(1 << (self.bits - 1))

    @property
    def hi(self) -> int:
        """Greatest value; an integer type only."""
        if self.kind in ("bipolar", "ternary"):
            return 1
        return (1 << self.bits) - 1 if self.kind == "uint" else (1 << (self.bits - 1)) - 1

    @property
    def container(self) -> np.dtype[Any]:
        """Smallest numpy dtype that holds every value."""
        if self.kind == "float":
            return np.dtype(np.float32)
        size = next(size for size in (8, 16, 32, 64) if size >= self.bits)
        return np.dtype(f"uint{size}" if self.kind == "uint" else f"int{size}")

    def contains(self, array: Array) -> bool:
        """Whether every element is a value of this type."""
        if self.kind == "float":
            return array.dtype.kind == "f"
        if array.dtype.kind not in "iu":
            return False
        if array.size == 0 or self._fills(array.dtype):
            return True
        if self.kind == "bipolar" and np.count_nonzero(array) < array.size:
            return False
        return self.lo <= int(array.min()) and int(array.max()) <= self.hi

    def _fills(self, container: np.dtype[Any]) -> bool:
        """Whether every integer that the container holds is a value of this type."""
        signed = {"int": "i", "uint": "u"}.get(self.kind)
        return container.kind == signed and 8 * container.itemsize == self.bits


FLOAT32 = NumericType("float", 32)
BIPOLAR = NumericType("bipolar", 1)
TERNARY = NumericType("ternary", 2)


def int_type(bits: int, *, signed: bool = True) -> NumericType:
    """``int_type(8) == int8``; ``int_type(8, signed=False) == uint8``."""
    return NumericType("int" if signed else "uint", bits)


INT32 = int_type(32)


def narrowest(lo: int, hi: int) -> NumericType:
    """The integer type of fewest bits that holds lo..hi; unsigned when lo >= 0."""
    if lo >= 0:
        return int_type(max(1, int(hi).bit_length()), signed=False)
    return int_type(1 + max(int(-lo - 1).bit_length(), int(max(hi, 0)).bit_length()))


Numbers = float | tuple[float, ...]
Integers = int | tuple[int, ...]
"""One number for a whole tensor, or one per channel (axis 1)."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """Codes stand for reals: ``real = scale * (code - zero_point) + offset`` (1).

    A tuple holds one number per channel (axis 1). Accumulators that are outputs have an ``offset``,
    and inputs that were linear in something before they were rounded. ``rounding`` is how reals
    become codes.
    """

    scale: Numbers
    zero_point: Integers = 0
    offset: Numbers = 0.0
    rounding: Rounding = "half_up"

    @property
    def step(self) -> float:
        """The greatest real difference between two neighboring codes."""
        return max(map(abs, numbers(self.scale)))

    def decode(self, codes: Array) -> Array:
        """Codes ``(n, c, ...)`` to float64 reals."""
        scale, zero_point, offset = self._spread(codes.ndim)
        return scale * (codes.astype(np.float64) - zero_point) + offset

    def encode(self, real: Array, dtype: NumericType, rounding: Rounding | None = None) -> Array:
        """Reals ``(n, c, ...)`` to codes of dtype, rounded once and saturated."""
        scale, zero_point, offset = self._spread(real.ndim)
        if dtype.kind == "bipolar":
            return np.where(real >= offset, 1, -1).astype(dtype.container)
        steps = (real.astype(np.float64) - offset) / scale
        codes = round_real(steps, rounding or self.rounding) + zero_point
        return np.clip(codes, dtype.lo, dtype.hi).astype(dtype.container)

    def _spread(self, rank: int) -> list[Array]:
        """The three parameters, shaped to broadcast along axis 1."""
        shape = (-1, *(1,) * (rank - 2))
        parameters = (np.asarray(each) for each in (self.scale, self.zero_point, self.offset))
        return [each.reshape(shape) if each.ndim else each for each in parameters]

    @property
    def formula(self) -> str:
        """How a code becomes a real, for people: per channel where a parameter is a list."""
        scale = _short(self.scale)
        moved = "code" if self.zero_point == 0 else f"(code - {_short(self.zero_point)})"
        return f"{scale} * {moved}" + (f" + {_short(self.offset)}" if self.offset else "")

    def to_json(self) -> dict[str, Any]:
        """Its parameters by name; offset and rounding only if they are not the usual ones."""
        offset = {"offset": self.offset} if self.offset else {}
        rounding = {"rounding": self.rounding} if self.rounding != "half_up" else {}
        return {"scale": self.scale, "zero_point": self.zero_point} | offset | rounding

    def __str__(self) -> str:
        """``scale zero_point`` and, if not 0, ``offset``, as JSON; a rounding but half_up."""
        parts = [self.scale, self.zero_point, *([self.offset] if self.offset else [])]
        tail = [self.rounding] if self.rounding != "half_up" else []
        return " ".join([*map(json.dumps, parts), *tail])


def numbers(parameter: Numbers) -> tuple[float, ...]:
    """A parameter of an encoding as a tuple."""
    return parameter if isinstance(parameter, tuple) else (parameter,)


def _short(parameter: Numbers) -> str:
    """One number in 8 digits, or the ends of a list."""
    found = numbers(parameter)
    least, most = f"{min(found):.8g}", f"{max(found):.8g}"
    return least if least == most else f"[{least}..{most}]"


SHORT_BITS = 12
LEAST_SCALE = 2.0**-100
"""Scales stay above this, so that no quotient or product of theirs leaves float32's range."""


def short_scale(scale: Array) -> Array:
    """Positive reals rounded to float32 with mantissas of ``SHORT_BITS`` bits.

    The product of two over a power of two is a multiplier of 24 bits: exact for any accumulator.
    Over a third one it is a ratio of small integers (docs/numerics.md section 4).
    """
    wide = np.maximum(np.asarray(scale, dtype=np.float64), LEAST_SCALE)
    mantissa, exponent = np.frexp(wide)
    rounded = np.ldexp(np.rint(mantissa * (1 << SHORT_BITS)), exponent - SHORT_BITS)
    return rounded.astype(np.float32)


def round_real(values: Array, rounding: Rounding) -> Array:
    """Round float64 values to integral float64 values."""
    return _ROUND_REAL[rounding](values)


def _half_up(values: Array) -> Array:
    return np.floor(values) + (values - np.floor(values) >= 0.5)


def _half_away(values: Array) -> Array:
    whole = np.floor(np.abs(values))
    return np.copysign(whole + (np.abs(values) - whole >= 0.5), values)


def _half_toward_zero(values: Array) -> Array:
    whole = np.floor(np.abs(values))
    return np.copysign(whole + (np.abs(values) - whole > 0.5), values)


def _half_dpu(values: Array) -> Array:
    """As Xilinx' DPU: half_up below zero, half_even above."""
    return np.where(values < 0, _half_up(values), np.rint(values))


_ROUND_REAL: dict[Rounding, Callable[[Array], Array]] = {
    "half_even": np.rint,
    "half_up": _half_up,
    "half_away": _half_away,
    "half_toward_zero": _half_toward_zero,
    "half_dpu": _half_dpu,
    "floor": np.floor,
    "ceil": np.ceil,
    "toward_zero": np.trunc,
    "away_from_zero": lambda values: np.copysign(np.ceil(np.abs(values)), values),
}
