"""Energy of logic in another process and at another voltage.

Source: Stillmaker and Baas, "Scaling equations for the accurate prediction of CMOS device
performance from 180 nm to 7 nm", Integration 58, 2017; coefficients as in Accelergy's scaling.py.
"""

from __future__ import annotations

from ..errors import UsageError

COEFFICIENTS = {
    130: (7.171, -6.709, 2.904),
    90: (4.762, -4.781, 2.092),
    65: (3.755, -4.398, 1.975),
    45: (1.103, -0.362, 0.2767),
    32: (0.9559, -0.7823, 0.471),
    20: (0.373, -0.1582, 0.04104),
    16: (0.2958, -0.1241, 0.03024),
    14: (0.2363, -0.09675, 0.02239),
    10: (0.2068, -0.09311, 0.02375),
    7: (0.1776, -0.09097, 0.02447),
}
"""By node [nm] a, b, c of a V^2 + b V + c, which energy is proportional to."""
VOLTAGES = (0.5, 1.2)
"""[V] that are taken; ours, since a parabola says something of any voltage."""
SRAM_ENDS = 22
"""[nm] below which an SRAM is taken not to get better."""


def logic_ratio(
    node: float, voltage: float, to_node: float, to_voltage: float
) -> tuple[float, str]:
    """How many times the energy an operation takes there, and a sentence of how that was found.

    Nodes between those of the source lie on a straight line between its two; the sentence says so.
    Raises UsageError for nodes and voltages beyond the source.
    """
    ratio = _factor(to_node, to_voltage) / _factor(node, voltage)
    between = [_between(each) for each in (node, to_node) if each not in COEFFICIENTS]
    label = f" ({', '.join(between)})" if between else ""
    way = f"from {node:g} nm, {voltage:g} V to {to_node:g} nm, {to_voltage:g} V"
    return ratio, f"scaled {way}{label}, Stillmaker and Baas, Integration 58, 2017"


def _factor(node: float, voltage: float) -> float:
    least, most = min(COEFFICIENTS), max(COEFFICIENTS)
    if not least <= node <= most:
        raise UsageError(
            f"Energies cannot be scaled to {node:g} nm.",
            where="node",
            fix=f"Choose {least} to {most} nm, or state every energy.",
        )
    if not VOLTAGES[0] <= voltage <= VOLTAGES[1]:
        raise UsageError(
            f"Energies cannot be scaled to {voltage:g} V.",
            where="voltage",
            fix=f"Choose {VOLTAGES[0]:g} to {VOLTAGES[1]:g} V, or state every energy.",
        )
    below, above = _around(node)
    part = (node - below) / (above - below) if above > below else 0.0
    return (1 - part) * _at(below, voltage) + part * _at(above, voltage)


def _at(node: int, voltage: float) -> float:
    a, b, c = COEFFICIENTS[node]
    return a * voltage**2 + b * voltage + c


def _around(node: float) -> tuple[int, int]:
    below = max(each for each in COEFFICIENTS if each <= node)
    above = min(each for each in COEFFICIENTS if each >= node)
    return below, above


def _between(node: float) -> str:
    below, above = _around(node)
    return f"{node:g} nm interpolated between {below} and {above}"
