"""How every loop of this folder is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., None]) -> Any:
    """``function``, compiled at its first call for the types it gets; it runs without the GIL.

    The machine code is kept on disk: beside the source, else in the user's cache folder. Where
    neither can be written nothing is kept, and each process compiles anew.
    """
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:
        return njit(nogil=True)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """``function`` for loops compiled as above, which take it in where they call it."""
    return njit(inline="always")(function)
