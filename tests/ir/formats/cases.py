"""Constants to store: every type, shapes of rank 0 to 4, masks from empty to clustered."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from intaglio.ir.numeric import BIPOLAR, TERNARY, NumericType, int_type
from intaglio.ir.tensor import Tensor

WIDTHS = [*range(1, 17), 24, 32, 33, 63, 64]
TYPES = [
    *(int_type(bits, signed=signed) for bits in WIDTHS for signed in (True, False)),
    *(BIPOLAR, TERNARY),
]
MASKS = ("all", "none", "one", "some", "few", "clustered", "rows", "columns")


@st.composite
def tensors(draw: st.DrawFn, dtype: NumericType, most: int = 12) -> Tensor:
    """A constant of dtype: some values or all of its range, zeros by one of MASKS."""
    shape = tuple(draw(st.lists(st.integers(0, most), max_size=4)))
    random = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    array = _values(draw, shape, dtype, random)
    if dtype != BIPOLAR:
        array = array * _mask(draw(st.sampled_from(MASKS)), shape, random).astype(array.dtype)
    return Tensor(array, dtype)


def _values(
    draw: st.DrawFn, shape: tuple[int, ...], dtype: NumericType, random: np.random.Generator
) -> np.ndarray:
    if dtype == BIPOLAR:
        return random.choice(np.array([-1, 1], np.int8), shape)
    if draw(st.booleans()):
        return random.integers(dtype.lo, dtype.hi, shape, dtype.container, endpoint=True)
    few = draw(st.lists(st.integers(dtype.lo, dtype.hi), min_size=1, max_size=5))
    return random.choice(np.array(few, dtype.container), shape)


def _mask(kind: str, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    if kind in ("some", "few"):
        return random.random(shape) < (0.5 if kind == "some" else 0.05)
    mask = np.zeros(shape, bool)
    flat = mask.reshape(-1)
    if kind == "all":
        mask[...] = True
    elif kind == "one" and mask.size:
        flat[random.integers(mask.size)] = True
    elif kind == "clustered":
        flat[mask.size // 3 : mask.size // 2] = True
    elif kind == "rows" and mask.ndim:
        mask[random.random(len(mask)) < 0.5] = True
    elif kind == "columns" and mask.ndim > 1:
        mask[:, random.random(mask.shape[1]) < 0.5] = True
    return mask
