"""Routines: compiled loops that a plan calls by address, with parameters in a row of int64.

A row is the address of a routine, then what ``read(row, i)`` gives it. Positions are offsets in an
arena, so that threads run one plan over their own; constants are addresses. Nothing here checks a
bound: who makes a row answers for every address that follows from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba import cfunc, njit, types
from numba.extending import intrinsic

from ..ir.numeric import Array

_SIGNATURE = types.void(types.int64, types.int64, types.int64)
_I64 = ir.IntType(64)


@dataclass(frozen=True)
class Routine:
    """One call: its row, and the arrays whose addresses are in it."""

    row: Array
    kept: tuple[Array, ...]


def routine_row(address: int, values: Sequence[int | Array]) -> Routine:
    """The row of a routine; of an array it holds the address of its elements, one after another."""
    whole = [np.ascontiguousarray(v) if isinstance(v, np.ndarray) else v for v in values]
    words = [each.ctypes.data if isinstance(each, np.ndarray) else int(each) for each in whole]
    kept = tuple(each for each in whole if isinstance(each, np.ndarray))
    return Routine(np.array([address, *words], np.int64), kept)


@cache
def sources() -> str:
    """What the code of all kernels hashes to: a routine captures it, so that its key in the cache
    of numba, which looks at one file only, changes with any of them."""
    found = sorted(Path(__file__).parent.rglob("*.py"))
    return sha256(b"".join(path.read_bytes() for path in found)).hexdigest()


def routine(function: Callable[[int, int, int], None]) -> Any:
    """``function(row, arena, samples)``, compiled at once; ``.address`` is where."""
    try:
        return cfunc(_SIGNATURE, cache=True)(function)
    except RuntimeError:
        return cfunc(_SIGNATURE)(function)


def _declare_read(typingctx: Any, row: Any, index: Any) -> Any:
    """read(row, index): the int64 there."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], _I64.as_pointer())
        return builder.load(builder.gep(pointer, [args[1]]))

    return types.int64(row, types.int64), emit


read: Any = intrinsic(_declare_read)


def _declare_call(typingctx: Any, row: Any, arena: Any, samples: Any) -> Any:
    """call(row, arena, samples): the routine whose row lies at that address."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [_I64] * 3)
        first = builder.load(builder.inttoptr(args[0], _I64.as_pointer()))
        following = builder.add(args[0], _I64(8))
        builder.call(builder.inttoptr(first, kind.as_pointer()), [following, *args[1:]])
        return context.get_dummy_value()

    return types.void(row, arena, samples), emit


call: Any = intrinsic(_declare_call)


def _execute(rows: Array, arena: int, samples: int) -> None:
    for row in rows:
        call(row, arena, samples)


@cache
def executor() -> Callable[[Array, int, int], None]:
    """What calls the routines whose rows lie at addresses ``rows``, one after the other."""
    signature = "void(int64[::1], int64, int64)"
    try:
        found = njit(signature, nogil=True, cache=True)(_execute)
    except RuntimeError:
        found = njit(signature, nogil=True)(_execute)
    return found
