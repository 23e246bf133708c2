"""The page of an export: which file holds what, and what each step computes from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields

from ..ir.op import Op
from ..ir.program import Program
from ..ir.tensor import TensorType
from .export_formulas import FORMULAS
from .export_items import Item, roles, step_name
from .export_words import digits

_WORDS = {
    "npz": "All arrays are in `network.npz`, under the names below, in logical order: shapes are "
    "those of the tables. Read it with `numpy.load`.",
    "hex": "A file holds one word a line, as `$readmemh` reads it; its first line is a comment.",
    "mem": "A file holds the address of its first word, `@00000000`, then one word a line.",
    "coe": "A file holds `memory_initialization_radix=16;` and the words of "
    "`memory_initialization_vector`, one a line.",
}
_ORDER = """A word is one element: two's complement in as many bits as its type has, written in
ceil(bits / 4) hex digits (the upper bits of the first digit are 0); of a `bipolar` type 1 is +1 and
0 is -1. Words are in storage order: row-major over the axes that the column "words" names from
outermost to innermost. Golden vectors have all words of sample 0 first, then those of sample 1, and
so on."""
_AXES = {4: ("co", "kh", "kw", "ci"), 3: ("h", "w", "c")}
_TYPES = """`uintN` is 0 to 2^N - 1, `intN` two's complement, `bipolar` -1 or +1, `ternary` -1, 0 or
+1. `acc` is what a step's operator gives to its rescaling: a signed integer of 32 bits, which was
proved not to overflow (64 bits where layer_norm says so). `>>` and `//` round down, and ^ is a
power."""


def layout_page(
    program: Program, format_: str, items: Sequence[Item], names: Mapping[str, str]
) -> str:
    """Markdown for an engineer who builds the network; ``names`` are the files by stem."""
    constants = [item for item in items if not item.type.batched]
    vectors = [item for item in items if item.type.batched]
    title = _cell(program.name) or "network"
    parts = [
        f"# {title}: {len(program.steps)} steps, {len(constants)} constants",
        "",
        _WORDS[format_],
        *([] if format_ == "npz" else ["", _ORDER]),
        "",
        _TYPES,
        "",
        *_section("Inputs and outputs", _ENDS, _ends(program)),
        *_section("Steps, in order of execution", _STEPS, _steps(program)),
        *_section("Constants", _FILES, (_file(item, names, format_) for item in constants)),
        *_section(
            f"Golden vectors, {len(vectors[0].array)} samples" if vectors else "Golden vectors",
            _FILES,
            (_file(item, names, format_) for item in vectors),
        ),
        "## What the steps compute",
        "",
        *(f"- **{name}**: {FORMULAS[name]}" for name in _used(program)),
    ]
    return "\n".join(parts) + "\n"


_ENDS = ("", "name", "type", "shape", "real value")
_STEPS = ("step", "operator and attributes", "operands", "rescaling", "result", "type", "shape")
_FILES = ("file", "holds", "tensor", "type", "bits", "hex digits", "shape", "words")


def _section(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    cells = [" | ".join(_cell(each) for each in row) for row in rows]
    if not cells:
        return []
    line = "| " + " | ".join(heads) + " |"
    return [f"## {title}", "", line, "|" + "---|" * len(heads), *(f"| {c} |" for c in cells), ""]


def _cell(value: object) -> str:
    text = "".join(each if each.isprintable() else "?" for each in str(value))
    return text.replace("|", "\\|")


def _ends(program: Program) -> Iterable[tuple[object, ...]]:
    for what, places in (("input", program.inputs), ("output", program.outputs)):
        for slot in (program.slots[place] for place in places):
            meaning = slot.encoding.formula if slot.encoding else ""
            yield what, f"`{slot.name}`", slot.type.dtype, _shape(slot.type), meaning


def _steps(program: Program) -> Iterable[tuple[object, ...]]:
    for index, step in enumerate(program.steps):
        target = program.slots[step.output]
        yield (
            step_name(program, index),
            _op_text(step.op),
            ", ".join(f"{role} = `{program.slots[place].name}`" for role, place in roles(step)),
            _op_text(step.epilogue) if step.epilogue else "",
            f"`{target.name}`",
            target.type.dtype,
            _shape(target.type),
        )


def _op_text(op: Op) -> str:
    values = ", ".join(f"{each.name} = {getattr(op, each.name)}" for each in fields(op))  # type: ignore[arg-type]
    return f"{op.name} ({values})" if values else op.name


def _file(item: Item, names: Mapping[str, str], format_: str) -> tuple[object, ...]:
    count = item.array.size
    words = f"{count:,}" if format_ == "npz" else f"{count:,} ({_order(item)})"
    return (
        f"`{names[item.stem]}`",
        item.use,
        f"`{item.slot}`",
        item.type.dtype,
        item.type.dtype.bits,
        digits(item.type),
        _shape(item.type),
        words,
    )


def _order(item: Item) -> str:
    """The axes from outermost to innermost with their sizes."""
    shape = item.array.shape
    if item.type.batched:
        sample = item.type.sample_shape
        if len(sample) == 3:
            named = zip(_AXES[3], (*sample[1:], sample[0]), strict=True)
            return f"samples {shape[0]}, " + ", ".join(f"{a} {n}" for a, n in named)
        return ", ".join(("samples " + str(shape[0]), *map(str, sample)))
    if len(shape) == 4:
        named = zip(_AXES[4], (shape[0], *shape[2:], shape[1]), strict=True)
        return ", ".join(f"{a} {n}" for a, n in named)
    return ", ".join(map(str, shape)) or "1"


def _shape(type_: TensorType) -> str:
    """The logical shape of a sample or constant, with the names of its axes where it has four."""
    sizes = type_.sample_shape
    return "x".join(map(str, sizes)) or "one number"


def _used(program: Program) -> list[str]:
    """Operators that occur, in the order of the formulas."""
    found = {op.name for step in program.steps for op in (step.op, step.epilogue) if op}
    return [name for name in FORMULAS if name in found]
