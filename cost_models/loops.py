"""A layer as nested loops: what the model of traffic and time sees of an operator."""

from __future__ import annotations

from dataclasses import dataclass

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Loops:
    """``out[n, g, m, p, q] += x[n, g, c, p stride + r dilation - pad, .] * weight[g, m, c, r, s]``.

    ``m`` and ``c`` count within each of ``groups`` groups. ``height`` and ``width`` are those of x;
    what lies outside of it is never read. A dense layer has p = q = r = s = height = width = 1.
    """

    n: int
    m: int
    c: int
    p: int
    q: int
    r: int
    s: int
    height: int
    width: int
    groups: int = 1
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    pad: Pair = (0, 0)

    @property
    def macs(self) -> int:
        """Products of all groups."""
        return self.n * self.groups * self.m * self.c * self.p * self.q * self.r * self.s

    @property
    def weights(self) -> int:
        """Weights of all groups."""
        return self.groups * self.m * self.c * self.r * self.s

    @property
    def outputs(self) -> int:
        """Outputs of all groups."""
        return self.n * self.groups * self.m * self.p * self.q
