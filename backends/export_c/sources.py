"""The files of a C export: header, network, test driver, Makefile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...ir.layout import storage_shape, to_storage
from ...ir.ops_arg import ArgMax
from ...ir.ops_crop import Crop
from ...ir.ops_layout import Concat, Pad, Reshape, Slice, Take, Transpose
from ...ir.ops_linear import Conv, Dense, GatherConv
from ...ir.ops_norm import LayerNorm
from ...ir.ops_pointwise import Add
from ...ir.ops_pool import MaxPool, SumPool
from ...ir.ops_product import MatMul, Multiply
from ...ir.ops_quant import Lookup, Requantize, Threshold
from ...ir.ops_softmax import Softmax
from ...ir.program import Program, Slot, Step
from ...ir.text import attributes
from . import crops, lanes, linear, moves, pointwise
from .code import Code, Ending, Scope, c_type, member
from .helpers import helper_text
from .literals import array
from .names import comment, identifier, identifiers

EMITTERS: Mapping[type[Any], Callable[[Code, Scope, Step, Ending], None]] = {
    Conv: linear.conv,
    GatherConv: linear.gather_conv,
    Dense: linear.dense,
    SumPool: linear.sum_pool,
    MaxPool: linear.max_pool,
    Add: pointwise.add,
    Multiply: pointwise.multiply,
    MatMul: pointwise.matmul,
    Requantize: pointwise.rescale,
    Threshold: pointwise.rescale,
    Lookup: pointwise.rescale,
    Softmax: lanes.softmax,
    LayerNorm: lanes.layer_norm,
    ArgMax: moves.arg_max,
    Crop: crops.crop,
    Reshape: moves.reshape,
    Transpose: moves.transpose,
    Slice: moves.slice_,
    Take: moves.take,
    Pad: moves.pad,
    Concat: moves.concat,
}

MAKEFILE = """\
CFLAGS = -std=c99 -O3 -Wall -Wextra -Werror -pedantic

net: main.c net.c net.h
\t$(CC) $(CFLAGS) -o $@ main.c net.c

clean:
\trm -f net
"""


def c_sources(program: Program) -> dict[str, str]:
    """``net.h``, ``net.c``, ``main.c`` and a Makefile by name; the same for the same program."""
    return {
        "net.h": _header(program),
        "net.c": _network(program),
        "main.c": _driver(program),
        "Makefile": MAKEFILE,
    }


def _ends(program: Program) -> tuple[list[tuple[str, Slot]], list[tuple[str, Slot]]]:
    """C names and slots of the inputs and of the outputs."""
    taken = (_entry(program),)
    inputs, outputs = (
        [program.slots[index] for index in indices] for indices in (program.inputs, program.outputs)
    )
    given = identifiers((slot.name for slot in inputs), "in_", taken)
    made = identifiers((slot.name for slot in outputs), "out_", taken)
    return list(zip(given, inputs, strict=True)), list(zip(made, outputs, strict=True))


def _entry(program: Program) -> str:
    return f"{identifier(program.name)}_run"


def _signature(program: Program) -> str:
    inputs, outputs = _ends(program)
    given = [f"const {c_type(slot.type.dtype)} *{name}" for name, slot in inputs]
    given += [f"{c_type(slot.type.dtype)} *{name}" for name, slot in outputs]
    return f"void {_entry(program)}({', '.join(given)})"


def _header(program: Program) -> str:
    inputs, outputs = _ends(program)
    prefix = identifier(program.name).upper()
    lines = [f"/* {comment(program.name)}: one sample, codes in, codes out. */", ""]
    lines += ["#ifndef NET_H", "#define NET_H", "", "#include <stdint.h>", ""]
    for name, slot in (*inputs, *outputs):
        sizes = "x".join(map(str, storage_shape(slot.type.shape)[1:])) or "1"
        order = ", channels innermost" if len(slot.type.sample_shape) == 3 else ""
        lines.append(f"/* {comment(f'{name}: {slot.type.dtype}, {sizes}{order}')}")
        if slot.encoding is not None:
            lines.append(f"   real = {comment(slot.encoding.formula)}")
        lines[-1] += " */"
        lines.append(f"#define {prefix}_{name.upper()}_SIZE {slot.type.elements}")
    return "\n".join([*lines, "", f"{_signature(program)};", "", "#endif", ""])


def _network(program: Program) -> str:
    constants = [i for i, slot in enumerate(program.slots) if slot.constant is not None]
    read = {i for step in program.steps for i in (*step.inputs, *step.parameters)}
    texts = (program.slots[i].name for i in constants)
    names = identifiers(texts, "k_", (_entry(program),))
    scope = Scope(program, {i: n for i, n in zip(constants, names, strict=True) if i in read})
    helpers: set[str] = set()
    steps = [_step(scope, number, step, helpers) for number, step in enumerate(program.steps)]
    parts = [
        f"/* {comment(program.name)}. Integers only; sums wrap, as was proved. */\n",
        '#include "net.h"\n',
        *(_constant(scope, index) for index in scope.names),
        _arena(program),
        helper_text(helpers),
        *steps,
        _run(program, len(steps)),
    ]
    return "\n".join(part for part in parts if part)


def _constant(scope: Scope, index: int) -> str:
    slot = scope.slot(index)
    assert slot.constant is not None
    sizes = "x".join(map(str, storage_shape(slot.type.sample_shape))) or "1"
    note = f"{slot.name}: {slot.type.dtype} {sizes}"
    values = to_storage(slot.constant.array)
    return array(c_type(slot.type.dtype), scope.names[index], values, note)


def _arena(program: Program) -> str:
    """One block of memory, seen as each type that lies in it."""
    used = {slot.type.dtype for slot in program.slots if slot.constant is None}
    size = max(program.arena_bytes, 64)
    views = {
        member(dtype): f"{c_type(dtype)} {member(dtype)}[{size // dtype.container.itemsize}];"
        for dtype in used
    }
    body = "\n".join(f"    {views[key]}" for key in sorted(views))
    return f"static union {{\n{body}\n    uint64_t aligned;\n}} arena;\n"


def _step(scope: Scope, number: int, step: Step, helpers: set[str]) -> str:
    code, slot = Code(), scope.slot(step.output)
    ending = Ending(code, scope, step.output, step.epilogue, step.parameters)
    EMITTERS[type(step.op)](code, scope, step, ending)
    helpers |= code.helpers
    parts = [f"{op.name} {_options(op)}".rstrip() for op in (step.op, step.epilogue) if op]
    note = comment(f"{slot.origin or slot.name}: {', then '.join(parts)}")
    body = "\n".join(code.lines)
    return f"/* {note} */\nstatic void step_{number}(void)\n{{\n{body}\n}}\n"


def _options(op: Any) -> str:
    return ", ".join(f"{key} {value}" for key, value in attributes(op).items())


def _run(program: Program, count: int) -> str:
    inputs, outputs = _ends(program)
    lines = [_signature(program), "{"]
    for name, slot in inputs:
        lines += _copy(f"{_place(slot)} = {name}[n];", slot)
    lines += [f"    step_{number}();" for number in range(count)]
    for name, slot in outputs:
        lines += _copy(f"{name}[n] = {_place(slot)};", slot)
    return "\n".join([*lines, "}", ""])


def _place(slot: Slot) -> str:
    first = slot.offset // slot.type.dtype.container.itemsize
    return f"arena.{member(slot.type.dtype)}[{first} + n]"


def _copy(line: str, slot: Slot) -> list[str]:
    return [f"    for (int32_t n = 0; n < {slot.type.elements}; n++) {line}"]


def _driver(program: Program) -> str:
    """Reads samples from stdin, the inputs one after the other, and writes outputs to stdout.

    It fails where the last sample is cut off.
    """
    inputs, outputs = _ends(program)
    lines = [
        "/* Samples of raw codes from stdin, their outputs to stdout, in the order of net.h. */",
        *("", "#include <stdio.h>", "", '#include "net.h"', ""),
    ]
    for name, slot in (*inputs, *outputs):
        lines.append(f"static {c_type(slot.type.dtype)} {name}[{slot.type.elements}];")
    arguments = ", ".join(name for name, _ in (*inputs, *outputs))
    lines += ["", "int main(void)", "{"]
    lines.append("    for (;;) {")
    for position, (name, _) in enumerate(inputs):
        count = f"read_{position}"
        lines.append(f"        const size_t {count} = fread({name}, 1, sizeof {name}, stdin);")
        if position == 0:
            lines.append(f"        if ({count} == 0) return ferror(stdin) ? 1 : 0;")
        lines.append(f"        if ({count} != sizeof {name}) return 1;")
    lines.append(f"        {_entry(program)}({arguments});")
    lines += [
        f"        if (fwrite({name}, sizeof {name}, 1, stdout) != 1) return 1;"
        for name, _ in outputs
    ]
    return "\n".join([*lines, "    }", "}", ""])
