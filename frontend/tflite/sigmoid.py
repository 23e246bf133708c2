"""LOGISTIC and TANH of 16 bits: interpolation of a table of 256 entries.

Sources: tflite/kernels/activations.cc (SigmoidPrepare, TanhPrepare), reference/integer_ops and the
table in internal/common.h.
"""

from __future__ import annotations

import numpy as np

from ...ir.numeric import Array
from ..emit.site import Site
from .arithmetic import INT32_REACH
from .model import Tensor

_ROWS = """
32768 33451 34133 34813 35493 36169 36843 37513 38180 38841 39498 40149 40794 41432 42064 42688
43304 43912 44511 45102 45683 46255 46817 47369 47911 48443 48964 49475 49975 50464 50942 51409
51865 52311 52745 53169 53581 53983 54374 54755 55125 55485 55834 56174 56503 56823 57133 57433
57724 58007 58280 58544 58800 59048 59288 59519 59743 59959 60168 60370 60565 60753 60935 61110
61279 61441 61599 61750 61896 62036 62172 62302 62428 62549 62666 62778 62886 62990 63090 63186
63279 63368 63454 63536 63615 63691 63765 63835 63903 63968 64030 64090 64148 64204 64257 64308
64357 64405 64450 64494 64536 64576 64614 64652 64687 64721 64754 64786 64816 64845 64873 64900
64926 64950 64974 64997 65019 65039 65060 65079 65097 65115 65132 65149 65164 65179 65194 65208
65221 65234 65246 65258 65269 65280 65291 65301 65310 65319 65328 65337 65345 65352 65360 65367
65374 65381 65387 65393 65399 65404 65410 65415 65420 65425 65429 65433 65438 65442 65445 65449
65453 65456 65459 65462 65465 65468 65471 65474 65476 65479 65481 65483 65485 65488 65489 65491
65493 65495 65497 65498 65500 65501 65503 65504 65505 65507 65508 65509 65510 65511 65512 65513
65514 65515 65516 65517 65517 65518 65519 65520 65520 65521 65522 65522 65523 65523 65524 65524
65525 65525 65526 65526 65526 65527 65527 65528 65528 65528 65529 65529 65529 65529 65530 65530
65530 65530 65531 65531 65531 65531 65531 65532 65532 65532 65532 65532 65532 65533 65533 65533
65533 65533 65533 65533 65533 65534 65534 65534 65534 65534 65534 65534 65534 65534 65534 65535
"""
TABLE = np.array(_ROWS.split(), np.int64)
"""About ``2**16 * sigmoid(i / 24)``, as the source has it."""
_POWER = {"LOGISTIC": (0,), "TANH": (0, 1)}


def wide_table(site: Site, kind: str, x: Tensor, y: Tensor) -> Array:
    """The code of every int16 code of x; y has the scale 2**-15 and no zero point."""
    if float(y.scale) != 2.0**-15 or x.zero_point or y.zero_point:
        raise site.fail(
            f"Its scales are {float(x.scale):g} and {float(y.scale):g}.",
            "A result of 16 bits must have the scale 1/32768, and no zero points.",
        )
    factor, shift = _multiplier(float(x.scale), _POWER[kind])
    if -x.dtype.lo * factor > INT32_REACH:
        raise site.fail(
            f"Its scale {float(x.scale):g} overflows TFLite's 32 bits.",
            "Quantize its input to a finer scale: beyond 12 nothing changes.",
        )
    codes = np.arange(x.dtype.lo, x.dtype.hi + 1, dtype=np.int64)
    scaled = (codes * factor + ((1 << shift) >> 1)) >> shift
    return _logistic(scaled) if kind == "LOGISTIC" else _tanh(scaled)


def _multiplier(scale: float, powers: tuple[int, ...]) -> tuple[int, int]:
    """Factor and right shift that bring codes to steps of 1 / (3 * 4096)."""
    power = np.log2(scale)
    left = 12 + round(power)
    if abs(power - round(power)) < 1e-3 and left in powers:
        return 3 << left, 0
    real, shift = scale * 4096.0 * 3.0, 0
    while real <= 32767.0 / 2.0 and shift <= 30:
        real, shift = real * 2.0, shift + 1
    return int(real), shift


def _interpolated(size: Array, bits: int, most: int) -> Array:
    """The table at ``size / 2**bits``, with ``bits`` more bits; ``most`` beyond its end."""
    place = size >> bits
    inside = np.minimum(place, 254)
    low, high = TABLE[inside], TABLE[inside + 1]
    value = (low << bits) + (size & ((1 << bits) - 1)) * (high - low)
    return np.where(place >= 255, most, value)


def _logistic(x: Array) -> Array:
    value = _interpolated(np.abs(x), 9, 0x7FFF << 10)
    result: Array = np.where(x >= 0, value + (1 << 9), (1 << 25) - value + (1 << 9) - 1) >> 10
    return result


def _tanh(x: Array) -> Array:
    value = _interpolated(np.abs(x), 8, 0xFFFF << 8)
    half, extra = 1 << 23, 1 << 7
    result: Array = np.where(x >= 0, value - half + extra, half - value + extra - 1) >> 8
    return result
