"""What a TFLite file holds, as plain values: a model, its tensors and its operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import ImportModelError
from ...ir.numeric import Array, Encoding, NumericType


@dataclass(frozen=True, eq=False, slots=True)
class Tensor:
    """A tensor of the file: ``scales`` and ``zero_points`` are empty, one or one per ``axis``.

    ``data`` are the elements of a constant. ``type_name`` is the file's type.
    """

    name: str
    shape: tuple[int, ...]
    type_name: str
    dtype: NumericType
    scales: Array
    zero_points: Array
    axis: int
    data: Array | None
    where: str

    @property
    def is_codes(self) -> bool:
        """Whether it holds codes with a scale."""
        return self.dtype.is_integer and self.scales.size > 0

    @property
    def scale(self) -> np.float32:
        """The scale of the whole tensor; raises ImportModelError when there is none."""
        return np.float32(self._single(self.scales, "scale"))

    @property
    def zero_point(self) -> int:
        """The zero point of the whole tensor; raises ImportModelError when there is none."""
        return int(self._single(self.zero_points, "zero point"))

    def _single(self, parameter: Array, what: str) -> Any:
        if parameter.size != 1:
            count = "no" if parameter.size == 0 else parameter.size
            raise ImportModelError(
                f"It has {count} {what}{'s' if parameter.size else ''} where it needs one.",
                where=self.where,
                fix="Convert the model with full integer quantization.",
            )
        return parameter[0]

    @property
    def encoding(self) -> Encoding:
        """What its codes mean."""
        return Encoding(float(self.scale), self.zero_point)


@dataclass(frozen=True, eq=False, slots=True)
class Operator:
    """An operator: indices of tensors, -1 for an operand that is absent, and its options."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True, eq=False, slots=True)
class Model:
    """The main graph of a file."""

    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
