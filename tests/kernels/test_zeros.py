"""Products that leave zeros out equal the references, write nowhere else, and are chosen where they
pay."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from intaglio._draws import DRAWS
from intaglio.backends.plan import Plan, RoutineCalls
from intaglio.backends.reference import trace_reference
from intaglio.backends.simulator import Simulator
from intaglio.errors import VerifyError
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import BIPOLAR, INT32, int_type
from intaglio.ir.ops_linear import Conv, Dense, GatherConv
from intaglio.ir.ops_pointwise import Add
from intaglio.ir.ops_quant import Requantize, Threshold
from intaglio.ir.program import Program
from intaglio.ir.tensor import BATCH, Tensor, TensorType
from intaglio.ir.verify import verify
from intaglio.kernels import isa
from intaglio.kernels.avx512 import zeros
from intaglio.kernels.avx512.ending import SUMS
from intaglio.passes.schedule import schedule
from intaglio.testing import int_tensors

pytestmark = pytest.mark.skipif(not isa.available("avx512"), reason="another processor")
BYTE, UNSIGNED = int_type(8), int_type(8, signed=False)
ENDS = ("sums", "codes", "words", "thresholds", "signs", "added")


@st.composite
def layers(draw: st.DrawFn) -> Program:
    """A conv, gather_conv or dense whose weights are mostly zero, and what becomes of its sums."""
    b, kind = Builder("network"), draw(st.sampled_from(("conv", "conv", "gather_conv", "dense")))
    dtype = draw(st.sampled_from((BYTE, UNSIGNED)))
    channels, size = draw(st.integers(1, 70)), (draw(st.integers(1, 11)), draw(st.integers(1, 11)))
    shape = (BATCH, channels) if kind == "dense" else (BATCH, channels, *size)
    x = b.input(Value("x", TensorType(shape, dtype), "x"))
    end = draw(st.sampled_from(ENDS))
    out = 64 if end == "signs" else draw(st.integers(1, 40))
    op, constants = _drawn(draw, kind, b.type_of(x), out)
    total = b.node(kind, op, x, *(b.constant("c", each) for each in constants), origin="/l")
    names = [x, *_ended(draw, b, total, end)]
    try:
        return schedule(verify(b.build((names[-1],)), "integer"))
    except VerifyError:  # sums that may overflow
        reject()


def _drawn(draw: st.DrawFn, kind: str, x: TensorType, out: int) -> tuple[Any, list[Tensor]]:
    rng, share = np.random.default_rng(draw(st.integers(0, 99))), draw(st.floats(0.3, 1))
    if kind == "dense":
        op, shape, more = Dense(), (out, x.sample_shape[-1]), []
    else:
        op, (weight, *others) = DRAWS[kind](draw, x)
        shape, more = (out, *weight.array.shape[1:]), others[:1] if kind == "gather_conv" else []
        if isinstance(op, Conv):
            op = Conv(op.strides, op.pads, op.dilations, 1, op.pad_value)
            shape = (out, x.sample_shape[0], *shape[2:])
    weight = rng.integers(-128, 128, shape) * (rng.random(shape) >= share)
    constants = [Tensor(weight.astype(np.int8), BYTE), *more]
    if draw(st.booleans()):
        constants.append(Tensor(draw(int_tensors(int_type(16), (out,))), int_type(16)))
        if kind != "dense" and draw(st.booleans()):
            kernel = op.kernel if isinstance(op, GatherConv) else shape[2:]
            constants.append(Tensor(draw(int_tensors(int_type(12), (out, *kernel))), int_type(12)))
    return op, constants


def _ended(draw: st.DrawFn, b: Builder, total: str, end: str) -> list[str]:
    """What reads the sums."""
    if end == "sums":
        return [total]
    if end in ("thresholds", "signs"):
        channels, signs = b.type_of(total).sample_shape[0], end == "signs"
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        each = np.sort(rng.integers(-3000, 3000, (channels, 2 if signs else 7)), axis=1)
        each = np.repeat(each[:, :1], 2, axis=1) if signs else each
        steps = b.constant("t", Tensor(each.astype(np.int32), INT32))
        op = Threshold(BIPOLAR, -1) if signs else Threshold(int_type(3, signed=False), 0)
        codes = b.node("threshold", op, total, steps, origin="/t")
        return [codes, _counted(b, codes)] if signs else [codes]
    codes = _scaled(b, total, 16 if end == "words" else 8)
    if end != "added":
        return [codes]
    other = b.input(Value("other", b.type_of(codes), "other"))
    sums = b.node("add", Add((3, -5)), codes, other, origin="/add")
    return [codes, _scaled(b, sums, 8)]


def _counted(b: Builder, codes: str) -> str:
    """A layer of +1 and -1, for which they lie as bits."""
    rank = len(b.type_of(codes).sample_shape)
    ones = np.where(np.arange(5 * 64).reshape(5, 64, *[1] * (rank - 1)) % 3, 1, -1)
    weight = b.constant("w", Tensor(ones.astype(np.int8), BIPOLAR))
    return b.node("next", Conv() if rank == 3 else Dense(), codes, weight, origin="/next")


def _scaled(b: Builder, total: str, bits: int) -> str:
    dtype, shift = int_type(bits), 24 if bits == 8 else 18
    values = ((40_001, INT32), (1 << (shift - 1), int_type(60)), (shift, int_type(6, signed=False)))
    names = [b.constant("p", Tensor(np.array([v], t.container), t)) for v, t in values]
    op = Requantize(dtype, dtype.lo, dtype.hi)
    return b.node("requantize", op, total, *names, origin="/requantize")


def codes_of(draw: st.DrawFn, program: Program, samples: int) -> dict[str, np.ndarray]:
    slots = [program.slots[index] for index in program.inputs]
    return {s.name: draw(int_tensors(s.type.dtype, (samples, *s.type.sample_shape))) for s in slots}


@settings(max_examples=150)
@given(program=layers(), data=st.data())
def test_layers_that_leave_zeros_out_are_exact(program: Program, data: Any) -> None:
    """Of one sample, of some, and of so many that blocks of patches are full."""
    inputs = codes_of(data.draw, program, data.draw(st.sampled_from((1, 3, 70))))
    expected = trace_reference(program, inputs)
    with patch.object(zeros, "pays", return_value=True):
        simulator = Simulator(program, "avx512")
    for threads in (1, 2):
        for name, codes in simulator.run(inputs, threads=threads).items():
            assert np.array_equal(codes, expected[name])


@settings(max_examples=60)
@given(program=layers(), data=st.data())
def test_they_write_nothing_but_activations(program: Program, data: Any) -> None:
    with patch.object(zeros, "pays", return_value=True):
        plan = Plan(program, "avx512", program.outputs)
    arena, inside = plan.arena(), np.zeros(plan.layout.size, bool)
    arena.samples = data.draw(st.integers(1, min(40, plan.samples - 1)))
    for place in plan.layout.places.values():
        for sample in range(plan.samples):
            first = place.offset + sample * place.sample + place.origin
            for row in range(place.shape[0]):
                inside[first + row * place.row :][: place.shape[1] * place.pixel] = True
    for name, codes in codes_of(data.draw, program, arena.samples).items():
        slot = next(i for i in program.inputs if program.slots[i].name == name)
        arena.write(slot, codes)
    before = arena._bytes.copy()
    for call in plan.calls:
        call.run(arena)
    assert np.array_equal(arena._bytes[~inside], before[~inside])


def leaves_zeros_out(share: float, channels: int, size: int, groups: int = 1) -> bool:
    """Whether the routine of a 3x3 conv with so many zeros does."""
    b, rng = Builder("network"), np.random.default_rng(0)
    x = b.input(Value("x", TensorType((BATCH, channels, size, size), UNSIGNED), "x"))
    shape = (channels, channels // groups, 3, 3)
    weight = rng.integers(1, 128, shape) * (rng.random(shape) >= share)
    w = b.constant("w", Tensor(weight.astype(np.int8), BYTE))
    op = Conv((1, 1), (1, 1, 1, 1), (1, 1), groups)
    b.node("c", op, x, w, origin="/c")
    program = schedule(verify(b.build(("c",)), "integer"))
    (call,) = Plan(program, "avx512", program.outputs).calls
    assert isinstance(call, RoutineCalls)
    (routine,) = call.routines
    return bool(routine.row[0] == zeros.listed(SUMS, 4).address)


@pytest.mark.parametrize(
    ("channels", "size", "share", "left_out"),
    [
        (64, 8, 0.0, False),
        (64, 8, 0.75, False),
        (64, 8, 0.9, True),
        (32, 16, 0.75, False),
        (32, 16, 0.95, True),
        (16, 32, 0.9, False),
        (16, 32, 0.99, True),
        (64, 9, 0.83, False),  # 81 patches are two blocks of 64
        (64, 8, 0.83, True),
        (256, 8, 0.83, False),  # patches of more than the nearest cache
        (256, 8, 0.9, True),
    ],
)
def test_zeros_are_left_out_where_that_was_measured_to_be_faster(
    channels: int, size: int, share: float, left_out: bool
) -> None:
    assert leaves_zeros_out(share, channels, size) == left_out


def test_zeros_of_groups_are_multiplied() -> None:
    assert not leaves_zeros_out(0.99, 64, 8, groups=2)


def test_vectors_are_turned_as_entries_list_them() -> None:
    """A count, then where each word of weights lies and what it is; a channel of none has one."""
    words = np.zeros((2, 3), np.int32)
    words[1] = 7, 0, -1
    found = zeros._entries(words).reshape(-1, 2)
    assert found[:5].tolist() == [[1, 0], [0, 0], [2, 0], [0, 7], [2 * zeros.WORD, -1]]
    assert found[5:].tolist() == [[1, 0], [0, 0]] * 14


def test_few_patches_are_multiplied_as_if_there_were_no_zeros() -> None:
    """One sample of dense is one patch; its codes are those of many."""
    b, rng = Builder("network"), np.random.default_rng(0)
    x = b.input(Value("x", TensorType((BATCH, 200), UNSIGNED), "x"))
    weight = (rng.integers(-128, 128, (40, 200)) * (rng.random((40, 200)) > 0.95)).astype(np.int8)
    b.node("y", Dense(), x, b.constant("w", Tensor(weight, BYTE)), origin="/y")
    program = schedule(verify(b.build(("y",)), "integer"))
    codes = rng.integers(0, 256, (130, 200)).astype(np.uint8)
    simulator = Simulator(program, "avx512")
    many = simulator.run({"x": codes})["y"]
    for count in (1, 63, 64, 65):
        assert np.array_equal(simulator.run({"x": codes[:count]})["y"], many[:count])
    assert np.array_equal(many, codes.astype(np.int32) @ weight.T.astype(np.int32))
