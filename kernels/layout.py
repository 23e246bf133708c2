"""Ops that only move elements: numpy moves them between views in logical order."""

from __future__ import annotations

import numpy as np

from ..ir.layout import from_storage
from ..ir.numeric import Array
from ..ir.ops_layout import Concat, Pad, Reshape, Slice, Take, Transpose
from .kernel import Operands


def reshape(op: Reshape, inputs: Operands, out: Array) -> None:
    """x ``(n, ...)`` -> ``(n, *shape)``; a plain copy unless storage order differs."""
    logical = from_storage(out)
    logical[...] = from_storage(inputs[0]).reshape(logical.shape)


def transpose(op: Transpose, inputs: Operands, out: Array) -> None:
    """x ``(n, ...)`` -> its axes in the order ``axes``."""
    from_storage(out)[...] = from_storage(inputs[0]).transpose(op.axes)


def slice_(op: Slice, inputs: Operands, out: Array) -> None:
    """x ``(n, ...)`` -> ``x[:, start:stop:step, ...]``."""
    from_storage(out)[...] = from_storage(inputs[0])[(slice(None), *op.parts)]


def take(op: Take, inputs: Operands, out: Array) -> None:
    """x ``(n, c, ...)``, channels ``(k,)`` -> the listed channels."""
    from_storage(out)[...] = from_storage(inputs[0])[:, inputs[1]]


def pad(op: Pad, inputs: Operands, out: Array) -> None:
    """x ``(n, ...)`` -> x in a border of ``value``."""
    out[...] = op.value
    logical, x = from_storage(out), from_storage(inputs[0])
    inside = (slice(b, b + size) for b, size in zip(op.before, x.shape[1:], strict=True))
    logical[(slice(None), *inside)] = x


def concat(op: Concat, inputs: Operands, out: Array) -> None:
    """Operands ``(n, ...)`` one after the other along ``axis``."""
    np.concatenate([from_storage(x) for x in inputs], axis=op.axis, out=from_storage(out))
