"""The kernel test kit: test your own kernel, C code or RTL bit for bit against intaglio.

    from hypothesis import given
    from intaglio.testing import assert_bit_exact, op_cases

    @given(op_cases("conv"))
    def test_my_conv(case):
        assert_bit_exact(my_conv(case.op, *case.arrays), case.expected, case=case)

Arrays are in logical order, activations ``(n, c, h, w)``. Needs hypothesis.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from ._draws import (
    DRAWS,
    LOOKUP_BITS,
    WIDE,
    WINDOWED,
    int_tensors,
    numeric_types,
    operand_types,
    sum_of,
)
from .ir.graph import Builder, Graph, Value
from .ir.layout import to_storage
from .ir.numeric import Array
from .ir.op import Op
from .ir.ops_layout import Concat
from .ir.program import Program
from .ir.tensor import Tensor, TensorType
from .ir.verify import LEGAL, verify
from .passes.schedule import schedule

__all__ = [
    "OpCase",
    "assert_bit_exact",
    "dump_golden",
    "int_tensors",
    "numeric_types",
    "op_cases",
    "reference",
    "small_networks",
    "small_programs",
]

OPERATORS: tuple[str, ...] = tuple(sorted(op.name for op in LEGAL["integer"]))
"""The names that ``op_cases`` takes: every operator of an integer network."""
INLINE_ELEMENTS = 512
"""A reproducer spells out arrays of up to so many elements; it compresses greater ones."""


def reference(op: Op, *arrays: Array) -> Array:
    """What ``op`` means for these operands, slow and obvious; accumulators are int64."""
    return op.reference(*arrays)


@dataclass(frozen=True, slots=True, eq=False)
class OpCase:
    """An operator and its operands: their types, and arrays in logical order.

    The type of an activation begins with the batch ``"n"``; other operands are constants.
    """

    op: Op
    types: tuple[TensorType, ...]
    arrays: tuple[Array, ...]

    @property
    def result(self) -> TensorType:
        """The type of the result."""
        return self.op.infer(*self.types)

    @property
    def expected(self) -> Array:
        """The result by the operator's reference."""
        return reference(self.op, *self.arrays)

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each operand: ``x``, ``weight``, ...; ``x0``, ``x1`` ... of a variadic op."""
        if self.op.variadic:
            return tuple(f"x{index}" for index in range(len(self.arrays)))
        return tuple(name.rstrip("?") for name in self.op.inputs[: len(self.arrays)])

    def source(self) -> str:
        """Python text that rebuilds ``op``, the operands and ``expected``."""
        cls = type(self.op)
        lines = [
            *(
                ["import base64, zlib"]
                if max(a.size for a in self.arrays) > INLINE_ELEMENTS
                else []
            ),
            "import numpy as np",
            "from intaglio.ir.numeric import NumericType",
            f"from {cls.__module__} import {cls.__name__}",
            "",
            f"op = {self.op!r}",
        ]
        for name, type_, array in zip(self.names, self.types, self.arrays, strict=True):
            lines.append(f"{name} = {_array_source(array)}  # {type_}")
        lines.append(f"expected = op.reference({', '.join(self.names)})  # {self.result}")
        return "\n".join(lines) + "\n"

    def __repr__(self) -> str:
        return f"OpCase({self.op!r}, {', '.join(map(str, self.types))})"


def _array_source(array: Array) -> str:
    if array.size <= INLINE_ELEMENTS:
        return f"np.array({array.tolist()}, {array.dtype.name!r}).reshape({array.shape})"
    data = base64.b85encode(zlib.compress(np.ascontiguousarray(array).tobytes())).decode()
    raw = f"zlib.decompress(base64.b85decode({data!r}))"
    return f"np.frombuffer({raw}, {array.dtype.name!r}).reshape({array.shape})"


def assert_bit_exact(got: Array, expected: Array, *, case: OpCase | None = None) -> None:
    """Raise AssertionError unless shapes and every integer are equal; containers may differ.

    The error tells how many differ, the first place, the greatest difference, and how to rebuild
    ``case``.
    """
    got, expected = np.asarray(got), np.asarray(expected)
    finding = _difference(got, expected)
    if finding is None:
        return
    kinds = f"got {got.dtype} {got.shape}, expected {expected.dtype} {expected.shape}"
    how = f"\n\nTo reproduce it:\n\n{case.source()}" if case is not None else ""
    raise AssertionError(f"{finding} ({kinds}).{how}")


def _difference(got: Array, expected: Array) -> str | None:
    if got.dtype.kind not in "iu":
        return "The result is not made of integers"
    if got.shape != expected.shape:
        return "The shapes differ"
    places = np.argwhere(got != expected)
    if not len(places):
        return None
    first = tuple(map(int, places[0]))
    wrong = got != expected
    gaps = (abs(int(a) - int(b)) for a, b in zip(got[wrong], expected[wrong], strict=True))
    return (
        f"{len(places)} of {got.size} elements differ, first at {first}: {got[first]} instead of "
        f"{expected[first]}; the greatest difference is {max(gaps)}"
    )


def dump_golden(folder: str | Path, given: OpCase | Mapping[str, Array]) -> None:
    """Write golden vectors of an OpCase or of a trace (arrays by name) into ``folder``.

    ``golden.npz`` holds the arrays in logical order under ``000_name``, ``001_name``, ... Beside
    it each array is text, ``000_name.hex``, as Verilog's $readmemh reads it: a ``//`` line with
    name, container and shape, then one element per line in storage order (axis 1 of four
    innermost), two's complement in as many hex digits as its container has. Of a case the result is
    ``expected``, and ``case.py`` rebuilds it.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    if isinstance(given, OpCase):
        (place / "case.py").write_text(given.source())
        stored = given.expected.astype(given.result.dtype.container)
        given = dict(zip(given.names, given.arrays, strict=True)) | {"expected": stored}
    arrays = {name: np.asarray(array) for name, array in given.items()}
    stems = [f"{i:03}_{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}" for i, name in enumerate(arrays)]
    np.savez(place / "golden.npz", **dict(zip(stems, arrays.values(), strict=True)))  # type: ignore[arg-type]
    for stem, (name, array) in zip(stems, arrays.items(), strict=True):
        (place / f"{stem}.hex").write_text(_hex(name, array))


def _hex(name: str, array: Array) -> str:
    bits = 8 * array.dtype.itemsize
    codes = (int(code) & ((1 << bits) - 1) for code in to_storage(array).reshape(-1))
    lines = [f"// {name!r} {array.dtype} {array.shape}"]
    return "\n".join([*lines, *(f"{code:0{bits // 4}x}" for code in codes)]) + "\n"


@st.composite
def op_cases(draw: st.DrawFn, name: str | None = None) -> OpCase:
    """An operator of an integer network, with operands it may meet there; ``name`` picks one.

    Elements have 1 to 16 bits, accumulators fit int32; convolutions are grouped, depthwise,
    dilated, strided and padded. Raises ValueError for a name not in OPERATORS.
    """
    if name is not None and name not in DRAWS:
        raise ValueError(f"'{name}' is not one of {', '.join(OPERATORS)}.")
    name = name or draw(st.sampled_from(OPERATORS))
    x = draw(operand_types(name))
    op, others = DRAWS[name](draw, x)
    samples = draw(st.integers(1, 3))
    arrays = tuple(
        operand.array
        if isinstance(operand, Tensor)
        else draw(int_tensors(operand.dtype, (samples, *operand.sample_shape)))
        for operand in (x, *others)
    )
    types = (each.type if isinstance(each, Tensor) else each for each in (x, *others))
    return OpCase(op, tuple(types), arrays)


def _applicable(x: TensorType) -> list[str]:
    """The ops whose other operands are constants that a network may apply to a value of type x."""
    names = [name for name in DRAWS if name not in ("add", "concat", "matmul", "multiply")]
    if x.dtype.bits > 16:
        names = [name for name in names if name in WIDE]
    if x.dtype.bits > LOOKUP_BITS:
        names = [name for name in names if name != "lookup"]
    if len(x.shape) != 4 or min(x.sample_shape[1:]) < 2 or x.dtype.kind == "bipolar":
        names = [name for name in names if name != "crop"]
    return names if len(x.shape) == 4 else [name for name in names if name not in WINDOWED]


def _has_axes(type_: TensorType) -> bool:
    return bool(type_.sample_shape)


@st.composite
def small_networks(draw: st.DrawFn, max_nodes: int = 6) -> Graph:
    """Integer graphs, verified, of up to ``max_nodes`` operators; values may have several users."""
    b = Builder("network")
    kind = draw(st.sampled_from(("conv", "add")))
    values = [b.input(Value("image", draw(operand_types(kind).filter(_has_axes)), "input"))]
    for _ in range(draw(st.integers(1, max_nodes))):
        values.append(_append(draw, b, values))
    outputs = {values[-1], draw(st.sampled_from(values[1:]))}
    return verify(b.build(tuple(sorted(outputs))), "integer")


def _append(draw: st.DrawFn, b: Builder, values: Sequence[str]) -> str:
    """Apply a random op to one of the last two values, or join it with a value of its type."""
    name = draw(st.sampled_from(values[-1:-3:-1]))
    x = b.type_of(name)
    if draw(st.integers(0, 4)) == 4:
        other = draw(st.sampled_from([each for each in values if b.type_of(each) == x]))
        narrow = x.dtype.bits <= 16
        op: Op = sum_of(draw, x, x) if narrow and draw(st.booleans()) else Concat(1)
        return b.node(op.name, op, name, other, origin=f"/{op.name}")
    op, constants = DRAWS[draw(st.sampled_from(_applicable(x)))](draw, x)
    operands = [b.constant("constant", each) for each in constants if isinstance(each, Tensor)]
    return b.node(op.name, op, name, *operands, origin=f"/{op.name}")


def small_programs(max_nodes: int = 6) -> st.SearchStrategy[Program]:
    """Programs of ``small_networks``: with fused steps and an arena whose bytes are reused."""
    return small_networks(max_nodes).map(schedule)
