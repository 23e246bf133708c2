"""A program's constants and golden vectors as plain files, for those who bring their own RTL."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..ir.layout import storage_shape, to_storage
from ..ir.numeric import Array, NumericType
from ..ir.program import Program, Slot
from ..ir.text import attributes
from .export_c.names import identifiers

FORMULAS = {
    "conv": "sum over the kernel and channels of x * weight, + bias, + border where it overhangs",
    "gather_conv": "like conv, with the listed columns of each patch alone",
    "dense": "sum over k of x[k] * weight[co, k], + bias[co]",
    "add": "m0 * x + m1 * y",
    "sum_pool": "sum of each window",
    "max_pool": "greatest of each window",
    "multiply": "(x - z0) * (y - z1)",
    "matmul": "sum over k of (x - z0) * (y - z1)",
    "requantize": "clip((x * multiplier + addend) >> shift, lo, hi), in 64 bits",
    "threshold": "base + number of thresholds[c] that are <= x",
    "lookup": "table[x - base]",
}
"""What is computed; for the others docs/blob_format.md has it."""


@dataclass(frozen=True, slots=True)
class Vector:
    """A constant, or the golden values of an activation for some samples."""

    file: str
    slot: Slot
    array: Array
    golden: bool

    @property
    def dtype(self) -> NumericType:
        """The type of its elements."""
        return self.slot.type.dtype

    @property
    def stored(self) -> Array:
        """The elements in storage order."""
        return to_storage(self.array).reshape(-1)


def vectors(program: Program, trace: Mapping[str, Array]) -> list[Vector]:
    """Every constant, then every activation that ``trace`` has, with a file name for each."""
    names = identifiers(slot.name for slot in program.slots)
    found = [
        Vector(f"constants/{name}", slot, slot.constant.array, golden=False)
        for name, slot in zip(names, program.slots, strict=True)
        if slot.constant is not None
    ]
    return found + [
        Vector(f"golden/{name}", slot, trace[slot.name], golden=True)
        for name, slot in zip(names, program.slots, strict=True)
        if slot.constant is None and slot.name in trace
    ]


def words(vector: Vector) -> list[str]:
    """Each element in two's complement as hexadecimal digits, as many as its bits need."""
    bits = vector.dtype.bits
    digits, mask = -(-bits // 4), (1 << bits) - 1
    values = vector.stored
    if vector.dtype.kind == "bipolar":
        values = (values > 0).astype(np.uint8)
    return [f"{int(value) & mask:0{digits}x}" for value in values.tolist()]


def hex_text(vector: Vector) -> str:
    """For ``$readmemh``: a word per line after a comment."""
    return "\n".join([f"// {_about(vector)}", *words(vector), ""])


def mem_text(vector: Vector) -> str:
    """For Vivado's memory initialisation: the first address, then the words."""
    return "\n".join([f"// {_about(vector)}", "@0", *words(vector), ""])


def coe_text(vector: Vector) -> str:
    """For Xilinx block memories."""
    listed = ",\n".join(words(vector)) or "0"
    return (
        f"; {_about(vector)}\nmemory_initialization_radix=16;\n"
        f"memory_initialization_vector=\n{listed};\n"
    )


TEXTS: Mapping[str, Callable[[Vector], str]] = {
    "hex": hex_text,
    "mem": mem_text,
    "coe": coe_text,
}


def plain_files(program: Program, trace: Mapping[str, Array], kind: str) -> dict[str, bytes]:
    """The files of one of TEXTS by name, the layout page among them."""
    found = vectors(program, trace)
    files = {f"{each.file}.{kind}": TEXTS[kind](each).encode("ascii") for each in found}
    return files | {"LAYOUT.md": layout(program, found, f".{kind}").encode()}


def npz_bytes(program: Program, trace: Mapping[str, Array]) -> bytes:
    """All vectors in logical order as arrays of one .npz file, and the page as text."""
    found = vectors(program, trace)
    arrays = {each.file: each.array for each in found}
    page = np.array(layout(program, found, ""))
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays, layout=page)
    return file.getvalue()


def layout(program: Program, found: list[Vector], suffix: str) -> str:
    """The page that says what lies in which file and what every step computes."""
    samples = next((len(each.array) for each in found if each.golden), 0)
    order = (
        "Arrays are in logical order, (c, h, w) and (co, ci, kh, kw)."
        if not suffix
        else "Elements are row-major, channels innermost: activations (h, w, c), weights "
        "(co, kh, kw, ci). A word is one element in two's complement; bipolar +1 is 1, -1 is 0."
    )
    lines = [
        f"# {program.name}",
        "",
        f"{order} Golden vectors hold {samples} samples, one after the other.",
        "",
        "| file | tensor | shape | type | bits | words |",
        "|---|---|---|---|---|---|",
        *(_row(each, suffix) for each in found),
        "",
        "## Steps",
        "",
        "Every step reads tensors of the table by name. Types, rounding and border: "
        "`docs/blob_format.md` of intaglio.",
        "",
        "| step | result | computes | from | attributes |",
        "|---|---|---|---|---|",
        *_steps(program),
        "",
    ]
    return "\n".join(lines)


def _row(vector: Vector, suffix: str) -> str:
    sample = vector.slot.type.sample_shape
    shape = storage_shape(vector.slot.type.shape) if suffix else vector.slot.type.shape
    sizes = shape[len(shape) - len(sample) :]
    return _cells(
        f"{vector.file}{suffix}",
        vector.slot.name,
        "x".join(map(str, sizes)) or "1",
        str(vector.dtype),
        str(vector.dtype.bits),
        f"{vector.array.size:,}",
    )


def _steps(program: Program) -> list[str]:
    rows = []
    for number, step in enumerate(program.steps):
        slot = program.slots[step.output]
        parts = [(step.op, step.inputs)]
        parts += [(step.epilogue, step.parameters)] if step.epilogue else []
        for position, (op, operands) in enumerate(parts):
            names = ", ".join(program.slots[index].name for index in operands)
            options = ", ".join(f"{key} = {value}" for key, value in attributes(op).items())
            last = position == len(parts) - 1
            rows.append(
                _cells(
                    str(number) if position == 0 else "",
                    slot.name if last else "(sum)",
                    f"{op.name}: {FORMULAS[op.name]}" if op.name in FORMULAS else op.name,
                    names if position == 0 else f"(sum), {names}",
                    options,
                )
            )
    return rows


def _cells(*texts: str) -> str:
    return f"| {' | '.join(text.replace('|', '/') for text in texts)} |"


def _about(vector: Vector) -> str:
    sizes = "x".join(map(str, storage_shape(vector.slot.type.shape))) or "1"
    plain = vector.slot.name.encode("ascii", "replace").decode().replace("\n", " ")
    return f"{plain} {vector.dtype} {sizes}"
