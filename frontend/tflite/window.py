"""Windows of TFLite: SAME and VALID padding."""

from __future__ import annotations

from ...ir.windows import Pads, Pair
from ..emit.site import Site

SAME, VALID = 0, 1


def pads_of(
    site: Site, padding: int, sizes: Pair, kernel: Pair, strides: Pair, dilations: Pair
) -> Pads:
    """The border of a window; an odd one has its larger half behind.

    Raises ImportModelError when the window is not legal.
    """
    if padding not in (SAME, VALID) or min(*kernel, *strides, *dilations) < 1:
        raise site.fail(
            f"Kernel {kernel}, strides {strides}, dilations {dilations} and padding {padding} do "
            "not describe a window.",
            "Convert the model again.",
        )
    if padding == VALID:
        return 0, 0, 0, 0
    before, after = [], []
    for size, k, s, d in zip(sizes, kernel, strides, dilations, strict=True):
        total = max((-(-size // s) - 1) * s + d * (k - 1) + 1 - size, 0)
        before.append(total // 2)
        after.append(total - total // 2)
    return before[0], before[1], after[0], after[1]
