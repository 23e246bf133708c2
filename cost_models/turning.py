"""How far single weights must be pruned to match structures, and at which width a verdict turns."""

from __future__ import annotations

from dataclasses import dataclass

from .comparison import NEITHER

AMOUNTS = ("storage", "energy", "time")


@dataclass(frozen=True, slots=True)
class Needed:
    """The least non-structured rates that match a structured network at ``bits``; infinite if none.

    The structured network has its shapes at every width.
    """

    structured: str
    bits: int
    storage: float
    energy: float
    time: float


@dataclass(frozen=True, slots=True)
class Turn:
    """Which kind a pair of networks favours in one amount, by bits of weights from 1 on.

    ``bits`` is where the two are as they were given, or the structured one is.
    """

    structured: str
    non_structured: str
    amount: str
    bits: int
    favours: tuple[str, ...]

    @property
    def favoured(self) -> str:
        """The kind that takes less at ``bits``."""
        return self.favours[self.bits - 1]

    @property
    def at(self) -> int | None:
        """The width nearest to ``bits``, the lower of two, at which the other kind takes less."""
        others = [
            width
            for width, kind in enumerate(self.favours, 1)
            if kind not in (self.favoured, NEITHER)
        ]
        return min(others, key=lambda width: (abs(width - self.bits), width), default=None)


@dataclass(frozen=True, slots=True)
class Even:
    """What is known of break-even: rates count from the ``weights`` of the network ``dense``."""

    dense: str = ""
    weights: int = 0
    needed: tuple[Needed, ...] = ()
    turns: tuple[Turn, ...] = ()

    @property
    def curves(self) -> dict[tuple[str, str], list[tuple[float, float]]]:
        """For each structured network and amount, by bits the rate from which it is matched."""
        names = dict.fromkeys(each.structured for each in self.needed)
        return {
            (name, amount): [
                (each.bits, getattr(each, amount))
                for each in self.needed
                if each.structured == name
            ]
            for name in names
            for amount in AMOUNTS
        }


UNKNOWN_EVEN = Even()
