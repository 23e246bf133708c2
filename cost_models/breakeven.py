"""Where pruning single weights and pruning whole structures come to the same: in bits, in speed.

A network at rate r has one weight left in r, its density is 1 / r. Structured: whole filters or
columns are gone and the list of those left is neglected. Non-structured: each weight is left by
itself with the same probability, so that every code has an exact expectation; the masks of LeNet-5
pruned 17 and 71 times take up to 5 % more with relative indices. Values take the same bits in both;
a width may be a fraction, where values are entropy coded.

The fillers of a relative index are values of 0, and of 1 bit there is none beside +1 and -1. Up to
2 bits its sizes are below Shannon's limit at high densities therefore, but only where they are
above a dense network's. Required rates can be reached: an index whose highest count is an escape
without a value needs up to 3 % less at 1 bit, and up to 6 % less at 8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from enum import StrEnum
from math import ceil, exp, expm1, inf, log, log1p, log2

from ..errors import UsageError
from .range import Range

STEPS = 60
"""Halvings of a rate that lies between 1 and 2 times another: to a float's last digits."""
MOST = 2.0**40
"""Rates beyond are said to be infinite."""
MOST_INDEX_BITS = 32


@dataclass(frozen=True, slots=True)
class Code:
    """Per weight before pruning: ``values`` stored, and bits of ``places`` that say where."""

    name: str
    values: float
    places: float

    def size(self, bits: float) -> float:
        """[bit] per weight before pruning, with values of ``bits``."""
        return self.values * bits + self.places


Index = Callable[[float], Sequence[Code]]
"""The codes that may be chosen from, of a density in (0, 1]."""


def dense(density: float) -> Code:
    """Every weight, zeros as well."""
    _check(density)
    return Code("dense", 1.0, 0.0)


def bitmap(density: float) -> Code:
    """A bit per weight, and the values of those left."""
    _check(density)
    return Code("bitmap", density, 1.0)


def csr(density: float, columns: int, pointer_bits: float) -> Code:
    """The column of each weight left, and a pointer per row."""
    _check(density)
    return Code("csr", density, density * ceil(log2(columns)) + pointer_bits / columns)


def relative(density: float, k: int) -> Code:
    """The zeros before each weight left, in k bits, fillers included."""
    entries = density * (1 + fillers(density, k))
    return Code(f"relative {k}", entries, entries * k)


def fillers(density: float, k: int) -> float:
    """Fillers per weight left, of k-bit relative indices: ``q^L / (1 - q^L)``, q = 1 - density.

    One for every L = 2^k zeros in a row; a run of n zeros and more has the probability q^n. Source
    of the format: Han et al., "EIE: Efficient Inference Engine on Compressed Deep Neural Network",
    ISCA 2016.
    """
    _check(density)
    if density == 1:
        return 0.0
    run = 2**k * log1p(-density)
    return exp(run) / -expm1(run)


def packed(density: float) -> tuple[Code, ...]:
    """A bitmap, and relative indices of every width."""
    return bitmap(density), *(relative(density, k) for k in range(1, MOST_INDEX_BITS + 1))


def shannon(density: float) -> tuple[Code]:
    """The limit of every code: ``-d log2 d - (1 - d) log2 (1 - d)`` bits for a weight's place.

    Source: Shannon, "A Mathematical Theory of Communication", 1948.
    """
    _check(density)
    q = 1 - density
    gone = -q * log1p(-density) / log(2) if q else 0.0
    return (Code("shannon", density, gone - density * log2(density)),)


INDICES: dict[str, Index] = {"packed": packed, "shannon": shannon}
"""By the name that the command line gives them."""


def cheapest(rate: float, bits: float, index: Index = packed) -> Code:
    """The code that takes the fewest bits."""
    return min(index(_density(rate)), key=lambda code: code.size(bits))


def matched_rate(rate: float, bits: float, index: Index = packed) -> float:
    """The structured rate whose bits are those of single weights pruned at ``rate``."""
    _check_bits(bits)
    return bits / cheapest(rate, bits, index).size(bits)


def required_rate(structured_rate: float, bits: float, index: Index = packed) -> float:
    """From which rate on single weights take no more bits than structures at ``structured_rate``.

    To 12 digits; infinite if at no rate. There is one such rate: a code that takes fewer bits than
    a dense network takes still fewer at a higher rate.
    """
    _check_bits(bits)
    most = bits * _density(structured_rate)
    return _least(lambda rate: cheapest(rate, bits, index).size(bits) <= most)


def crossover_bits(structured_rate: float, rate: float, index: Index = packed) -> float:
    """Below which width of values structures take fewer bits than single weights; exact.

    Infinite where single weights are larger at every width. There is one such width: bits per
    weight of each code are a line over the width, so their least is concave, and above 0 at 0.
    """
    kept = _density(structured_rate)
    gains = ((kept - code.values, code.places) for code in index(_density(rate)))
    return min((places / gain for gain, places in gains if gain > 0), default=inf)


@dataclass(frozen=True, slots=True)
class Losses:
    """What an array that skips zeros loses against a dense one of the same area.

    ``efficiency``: the share of a unit's cycles in which the activation of its weight is there, at
    most 1. ``imbalance``: entries of the slowest unit over the mean, at least 1. ``slowdown``: how
    much longer a cycle is, 0.1 for 10 %. ``area``: that of decoders and queues over a unit's.
    ``index_bits``: of a relative index, whose fillers take cycles; None where there are no fillers,
    or where rates count entries and not weights.
    """

    efficiency: Range
    imbalance: Range
    slowdown: Range
    area: Range
    index_bits: int | None = None

    @property
    def kept(self) -> Range:
        """The share of a dense array's speed at equal numbers of entries."""
        losses = zip(*map(astuple, (self.imbalance, self.slowdown, self.area)), strict=True)
        least, nominal, most = (
            imbalance * (1 + slowdown) * (1 + area) for imbalance, slowdown, area in losses
        )
        gain = self.efficiency
        return Range(gain.low / most, gain.nominal / nominal, gain.high / least)


def speedup(rate: float, losses: Losses) -> Range:
    """Of single weights pruned at ``rate``, over the dense network on a dense array of equal area.

    ``rate efficiency / (imbalance (1 + fillers) (1 + slowdown) (1 + area))``: cycles grow with the
    slowest unit's entries, units become fewer as each becomes larger.
    """
    return losses.kept * _skipped(rate, losses.index_bits)


def required_rate_for_speed(structured_speedup: float, losses: Losses) -> Range:
    """At which rate single weights are as fast as structures: 1 at least, else infinite.

    To 12 digits. With a k-bit relative index no array is faster than 2^k times its losses: every
    2^k zeros still take a cycle.
    """
    kept = losses.kept
    low, nominal, high = (
        _rate_that_skips(structured_speedup / share if share else inf, losses.index_bits)
        for share in (kept.high, kept.nominal, kept.low)
    )
    return Range(low, nominal, high)


class Verdict(StrEnum):
    """Over which part of what is not known a claim holds."""

    ALWAYS = "always"
    NOMINAL = "nominal"
    EXTREME = "extreme"
    NEVER = "never"


def holds(smaller: Range, greater: Range) -> Verdict:
    """Whether ``smaller < greater``: for all values of both, else whether for the nominal ones.

    ``EXTREME``: not for the nominal ones, but for some. The two are independent: of numbers that
    rest on the same constants this asks for more than is needed.
    """
    if smaller.high < greater.low:
        return Verdict.ALWAYS
    if smaller.low >= greater.high:
        return Verdict.NEVER
    return Verdict.NOMINAL if smaller.nominal < greater.nominal else Verdict.EXTREME


def _skipped(rate: float, index_bits: int | None) -> float:
    """Weights for each entry that takes a cycle."""
    density = _density(rate)
    return rate if index_bits is None else rate / (1 + fillers(density, index_bits))


def _rate_that_skips(weights: float, index_bits: int | None) -> float:
    """The rate at which each entry stands for so many weights."""
    if index_bits is None or weights <= 1:
        return max(1.0, weights)
    return _least(lambda rate: _skipped(rate, index_bits) >= weights)


def _least(reached: Callable[[float], bool]) -> float:
    """The least rate above 1 from which on ``reached`` is true; infinite beyond MOST."""
    low, high = 1.0, 2.0
    while not reached(high):
        if high > MOST:
            return inf
        low, high = high, 2 * high
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def _density(rate: float) -> float:
    if not 1 <= rate < inf:
        raise UsageError(
            f"A rate of {rate:g} is not one of pruning.",
            fix="It is how many weights there were for each that is left: 1 or more.",
        )
    return 1 / rate


def _check(density: float) -> None:
    if not 0 < density <= 1:
        raise UsageError(
            f"A density of {density:g} is none.", fix="It is the share of weights left, up to 1."
        )


def _check_bits(bits: float) -> None:
    if not 0 < bits < inf:
        raise UsageError(
            f"Values cannot have {bits:g} bits.", fix="State a number of bits above 0, such as 4."
        )
