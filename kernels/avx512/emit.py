"""Instructions of LLVM by short names, for the inner loops that numba has no words for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
LANES = 16
"""Elements of int32 in a vector, and output channels of a panel."""
BYTES = ir.VectorType(I8, 64)
WORDS = ir.VectorType(I32, LANES)
LONGS = ir.VectorType(I64, 8)
CODES = ir.VectorType(I8, LANES)
MASK = ir.VectorType(ir.IntType(1), LANES)


def load(builder: Any, address: Any, type_: Any) -> Any:
    """The value at an address, which need not be aligned."""
    value = builder.load(builder.inttoptr(address, type_.as_pointer()))
    value.align = 1
    return value


def store(builder: Any, value: Any, address: Any) -> None:
    """Store at an address, which need not be aligned."""
    builder.store(value, builder.inttoptr(address, value.type.as_pointer())).align = 1


def store_lanes(builder: Any, value: Any, address: Any, lanes: Any) -> None:
    """Store the first ``lanes`` of 16 elements; all of them without a mask, which costs time."""
    whole = builder.icmp_signed(">=", lanes, I64(LANES))
    with builder.if_else(whole, likely=True) as (all_of_them, some):
        with all_of_them:
            store(builder, value, address)
        with some:
            _store_masked(builder, value, address, lane_mask(builder, lanes))


def lane_mask(builder: Any, lanes: Any) -> Any:
    """True in the first ``lanes``, of which there are fewer than 16."""
    bits = builder.sub(builder.shl(I32(1), builder.trunc(lanes, I32)), I32(1))
    return builder.bitcast(builder.trunc(bits, I16), MASK)


def _store_masked(builder: Any, value: Any, address: Any, mask: Any) -> None:
    pointer = builder.inttoptr(address, value.type.as_pointer())
    name = f"llvm.masked.store.v{LANES}i{value.type.element.width}.p0"
    call(builder, name, ir.VoidType(), value, pointer, I32(1), mask)


def load_masked(builder: Any, address: Any, mask: Any) -> Any:
    """Sixteen codes of a byte, 0 where the mask is false; nothing is read there."""
    pointer = builder.inttoptr(address, CODES.as_pointer())
    name = f"llvm.masked.load.v{LANES}i8.p0"
    return call(builder, name, CODES, pointer, I32(1), mask, ir.Constant(CODES, [0] * LANES))


def call(builder: Any, name: str, result: Any, *args: Any) -> Any:
    """Call an intrinsic of LLVM."""
    known = builder.module.globals.get(name)
    kind = ir.FunctionType(result, [value.type for value in args])
    return builder.call(known or ir.Function(builder.module, kind, name), args)


def splat(builder: Any, value: Any, type_: Any) -> Any:
    """A vector of one value."""
    undefined = ir.Constant(type_, ir.Undefined)
    first = builder.insert_element(undefined, value, I32(0))
    zeros = ir.Constant(ir.VectorType(I32, type_.count), [0] * type_.count)
    return builder.shuffle_vector(first, undefined, zeros)


def constant(value: int, type_: Any) -> Any:
    """A vector of one constant."""
    return ir.Constant(type_, [value] * type_.count)


def plus(builder: Any, address: Any, *offsets: Any) -> Any:
    """The sum of an address and offsets; integers of Python are constants."""
    for offset in offsets:
        address = builder.add(address, I64(offset) if isinstance(offset, int) else offset)
    return address


def loop(
    builder: Any, count: Any, values: Sequence[Any], body: Callable[[Any, list[Any]], Sequence[Any]]
) -> list[Any]:
    """``count >= 1`` turns of ``body(index, values)``, which returns the values of the next."""
    before, turn = builder.block, builder.append_basic_block("turn")
    after = builder.append_basic_block("after")
    builder.branch(turn)
    builder.position_at_end(turn)
    index, carried = builder.phi(I64), [builder.phi(value.type) for value in values]
    changed = list(body(index, list(carried)))
    following = builder.add(index, I64(1))
    for phi, first, again in zip(
        [index, *carried], [I64(0), *values], [following, *changed], strict=True
    ):
        phi.add_incoming(first, before)
        phi.add_incoming(again, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, count), turn, after)
    builder.position_at_end(after)
    return changed
