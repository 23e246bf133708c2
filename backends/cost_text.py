"""Numbers of a comparison as text: units, digits, and what the numbers say in a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..cost_models.comparison import HOLDS, STRUCTURED, Compared, Verdict, verdicts
from ..cost_models.range import Range

UNITS = {"pJ": 1.0, "nJ": 1e3, "µJ": 1e6, "mJ": 1e9, "J": 1e12}
"""Units of energy in [pJ]."""
DIGITS = 4
"""Significant digits of numbers that are not counts."""
UNKNOWN = "?"
TOGETHER = (
    "The energy verdict holds if energy favours the same side with all constants nominal, with all "
    "of them low in both networks, and with all of them high in both; else it turns. Low is never "
    "compared with high."
)
MEASURED, MODEL = "measured on this machine", "model"


def energy_unit(compared: Sequence[Compared]) -> str:
    """The greatest unit of which the greatest energy is at least one."""
    greatest = max(each.cost.energy.nominal for each in compared)
    return next((name for name in reversed(UNITS) if UNITS[name] <= greatest), "pJ")


def byte_unit(compared: Sequence[Compared]) -> tuple[str, int]:
    """A unit for figures of files that keeps numbers short, and its bytes."""
    greatest = max(each.cost.file_bytes for each in compared)
    units = {"MB": 10**6, "kB": 10**3}
    return next(((n, size) for n, size in units.items() if greatest >= 10 * size), ("bytes", 1))


def in_unit(energy: float, unit: str) -> str:
    """An energy in [pJ] as a number of units."""
    return shown(energy / UNITS[unit])


def spread(energy: Range, unit: str) -> tuple[str, str, str]:
    """Nominal, low and high."""
    return in_unit(energy.nominal, unit), in_unit(energy.low, unit), in_unit(energy.high, unit)


def shown(number: float, digits: int = DIGITS) -> str:
    """A number with at least so many significant digits, never in powers of ten; 0 is 0."""
    if not number:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(number))))
    text = f"{number:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def percent(share: float | None) -> str:
    """A share in percent; a question mark if it is not known."""
    return UNKNOWN if share is None else f"{100 * share:.2f} %"


def ratio(left: float, right: float) -> str:
    """Left over right; a question mark if that is not a number."""
    return f"{shown(left / right, digits=3)}x" if right else UNKNOWN


def lead(compared: Sequence[Compared]) -> str:
    """What the comparison says, in a sentence or two."""
    found = verdicts(compared)
    if not found:
        return (
            f"{len(compared)} networks on {compared[0].cost.hardware}: no structured and "
            "non-structured network have weights of equal bits, so there is no verdict."
        )
    if len(found) == 1:
        return sentence(found[0], energy_unit(compared))
    less = {
        name: sum(getattr(each, name) == STRUCTURED for each in found)
        for name in ("storage", "energy", "time")
    }
    holds = sum(each.stability == HOLDS for each in found)
    return (
        f"In {len(found)} pairs of a structured and a non-structured network with weights of equal "
        f"bits, the structured one has the smaller file in {less['storage']}, takes less energy in "
        f"{less['energy']} and less time in {less['time']}. The energy verdict holds over the "
        f"range of the constants in {holds} of {len(found)}. {_gaps(found)}"
    )


def sentence(verdict: Verdict, unit: str) -> str:
    """A verdict with its numbers."""
    ours, theirs = verdict.structured, verdict.non_structured
    energies = [in_unit(each.cost.energy.nominal, unit) for each in (ours, theirs)]
    return (
        f"At {ours.bits} bits, {ours.name} against {theirs.name}: storage favours "
        f"{verdict.storage} ({ours.cost.file_bytes:,} against {theirs.cost.file_bytes:,} bytes), "
        f"energy favours {verdict.energy} ({energies[0]} against {energies[1]} {unit}), time "
        f"favours {verdict.time} ({ours.cost.time:,} against {theirs.cost.time:,} cycles). The "
        f"energy verdict {verdict.stability} over the range of the constants. Accuracy: "
        f"{percent(ours.accuracy)} against {percent(theirs.accuracy)}."
    )


def _gaps(found: Sequence[Verdict]) -> str:
    """Whether pairs are equally accurate: without that, fewer bytes or less energy say little."""
    gaps = [abs(each.accuracy_gap) for each in found if each.accuracy_gap is not None]
    if len(gaps) < len(found):
        return f"Both accuracies are known in {len(gaps)} of {len(found)}."
    return f"In a pair, accuracies differ by up to {100 * max(gaps):.2f} points."
