"""Tensors of torch as arrays."""

from __future__ import annotations

from typing import Any

from ...ir.numeric import Array


def as_array(tensor: Any) -> Array:
    """The elements of a tensor; halves become float32."""
    plain = tensor.detach().cpu()
    if plain.is_floating_point() and plain.element_size() < 4:
        plain = plain.float()
    array: Array = plain.numpy()
    return array
