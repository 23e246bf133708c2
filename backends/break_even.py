"""Break-even of networks that are compared: their versions at other widths and rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, inf, log

from ..cost_models.breakeven import required_rate
from ..cost_models.comparison import NON_STRUCTURED, STRUCTURED, Compared, favoured
from ..cost_models.machine import Machine
from ..cost_models.network import Packed
from ..cost_models.turning import AMOUNTS, Even, Needed, Turn
from ..cost_models.versions import Amounts, Masks, amounts, own_masks, random_order, uniform_masks
from ..ir.program import Program

WIDTHS = (1, 2, 3, 4, 6, 8)
"""Bits of weights for which rates are looked for."""
MOST_BITS = 8
"""A verdict is looked at from 1 to so many bits, or to those that the networks have."""
STEP = 1.05
"""Between two rates that are tried: those of energy and time are found to 5 %."""


@dataclass(frozen=True)
class Candidate:
    """A network that is compared, with what its versions are made of."""

    compared: Compared
    program: Program
    packed: Mapping[int, Packed]
    machine: Machine

    @cached_property
    def masks(self) -> Masks:
        """Where it has weights now."""
        return own_masks(self.program)

    @cached_property
    def weights(self) -> int:
        """How many weights it holds, zeros among them."""
        return sum(mask.size for mask in self.masks.values())

    @cached_property
    def _found(self) -> dict[int, Amounts]:
        return {}

    def at(self, bits: int) -> Amounts:
        """The same weights with values of other bits."""
        if bits not in self._found:
            found = amounts(self.program, self.packed, self.machine, bits, self.masks)
            self._found[bits] = found
        return self._found[bits]

    def taken(self, amount: str, bits: int) -> float:
        """What it takes at ``bits``: as it was given, times what the model says of the change."""
        given, model = self._given(amount), self._modelled
        return (
            given
            if bits == self.compared.bits
            else (given * model(amount, bits) / (model(amount, self.compared.bits) or 1))
        )

    def _given(self, amount: str) -> float:
        cost = self.compared.cost
        return {"storage": cost.file_bytes, "energy": cost.energy.nominal, "time": cost.time}[
            amount
        ]

    def _modelled(self, amount: str, bits: int) -> float:
        found = getattr(self.at(bits), amount)
        if amount != "storage":
            return float(found)
        held = sum(self.packed[slot].bits for slot in self.masks)
        return float(found) / 8 + self.compared.cost.file_bytes - held / 8


def break_even(candidates: Sequence[Candidate], widths: Sequence[int] = WIDTHS) -> Even:
    """Rates from which single weights match each structured network, and where verdicts turn.

    Rates are looked for at ``widths`` [bits]. They count from the weights of the network that holds
    most; nothing is known without a structured one beside it.
    """
    structured = [each for each in candidates if each.compared.kind == STRUCTURED and each.weights]
    if not structured:
        return Even()
    largest = max(candidates, key=lambda each: each.weights)
    trial = _Trial(largest)
    needed = (_needed(each, trial, bits) for each in structured for bits in widths)
    turns = (_turn(a, b, x) for a, b in _pairs(candidates) for x in AMOUNTS)
    return Even(largest.compared.name, largest.weights, tuple(needed), tuple(turns))


class _Trial:
    """The largest network without structure, at any rate; what was found is kept."""

    def __init__(self, largest: Candidate) -> None:
        self.largest = largest
        self._order = random_order(largest.program)
        self._found: dict[tuple[int, int], Amounts] = {}

    def at(self, bits: int, step: int) -> Amounts:
        """At the rate of a step, ``STEP ** step``."""
        key = bits, step
        if key not in self._found:
            masks, of = uniform_masks(self._order, STEP**step), self.largest
            self._found[key] = amounts(of.program, of.packed, of.machine, bits, masks)
        return self._found[key]

    @property
    def steps(self) -> int:
        """To the rate at which one weight is left."""
        return ceil(log(self.largest.weights, STEP))


def _needed(structured: Candidate, trial: _Trial, bits: int) -> Needed:
    """Storage by the closed form; energy and time by halving, of random masks of uniform rate."""
    goal = structured.at(bits)
    return Needed(
        structured.compared.name,
        bits,
        required_rate(trial.largest.weights / structured.weights, bits),
        _least(lambda step: trial.at(bits, step).energy <= goal.energy < inf, trial.steps),
        _least(lambda step: trial.at(bits, step).time <= goal.time < inf, trial.steps),
    )


def _least(reached: Callable[[int], bool], most: int) -> float:
    """The rate of the least step from which on ``reached``; infinite where not even at ``most``."""
    low, high = 0, 16
    while high < most and not reached(high):
        low, high = high, 2 * high
    high = min(high, most)
    if not reached(high):
        return inf
    if not low and reached(0):
        return 1.0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return STEP**high


def _pairs(candidates: Sequence[Candidate]) -> list[tuple[Candidate, Candidate]]:
    """Each structured network with those without structure of equal bits; all where none has."""
    found = []
    others = [each for each in candidates if each.compared.kind == NON_STRUCTURED]
    for each in candidates:
        if each.compared.kind != STRUCTURED:
            continue
        equal = [other for other in others if other.compared.bits == each.compared.bits]
        found += [(each, other) for other in equal or others]
    return found


def _turn(structured: Candidate, other: Candidate, amount: str) -> Turn:
    bits = structured.compared.bits
    widths = range(1, max(MOST_BITS, bits) + 1)
    favours = (
        favoured(structured.taken(amount, width), other.taken(amount, width)) for width in widths
    )
    return Turn(structured.compared.name, other.compared.name, amount, bits, tuple(favours))
