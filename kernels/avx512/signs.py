"""Codes +1 and -1 by one threshold of each channel: what a bit says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...ir.numeric import Array
from ...ir.ops_quant import Threshold
from ..job import Job
from ..place import channels_of
from .constants import aligned
from .steps import steps


def below_of(job: Job) -> Array | None:
    """The greatest sums whose code is -1, int64 ``(co,)``; None where codes are no such signs.

    That is also where every sum of a channel gives +1.
    """
    if not isinstance(job.epilogue, Threshold) or job.result.dtype.kind != "bipolar":
        return None
    found = steps(channels_of(job.result), job.parameters[0], job.epilogue.base)
    if found is None or found.below.shape[1] != 1 or np.any(found.base != -1):
        return None
    return np.where(found.weight[:, 0] == 0, np.iinfo(np.int32).max, found.below[:, 0])


def known_below(job: Job) -> Array:
    """The same of a job that has them."""
    found = below_of(job)
    assert found is not None
    return found


def parameters_of(job: Job, spread: Callable[[Array], Array]) -> Array:
    """What sums in registers are compared with, channels as ``spread`` orders them."""
    return aligned(spread(known_below(job)).astype(np.int32))
