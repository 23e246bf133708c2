"""Routines of every tier equal the references bit for bit, and write nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

import intaglio
from intaglio._draws import DRAWS
from intaglio.backends.plan import Plan, RoutineCalls
from intaglio.backends.reference import check, compare, trace_reference
from intaglio.backends.simulator import Simulator
from intaglio.errors import UsageError, VerifyError
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import BIPOLAR, INT32, NumericType, int_type
from intaglio.ir.ops_layout import Reshape
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_pointwise import Add
from intaglio.ir.ops_quant import Requantize, Threshold
from intaglio.ir.program import Program
from intaglio.ir.tensor import BATCH, Tensor, TensorType
from intaglio.ir.verify import verify
from intaglio.kernels import isa
from intaglio.kernels.avx512 import binary, finish
from intaglio.kernels.isa import Isa
from intaglio.passes.schedule import schedule
from intaglio.testing import int_tensors

TIERS = [each for each in get_args(Isa) if isa.available(each)]
FAST = [each for each in TIERS if each != "portable"]
BYTES = [int_type(bits, signed=signed) for bits in (8, 8, 8, 4, 2) for signed in (False, True)]
SUMS = ("conv", "depthwise", "gather_conv", "sum_pool", "add")
MOVES = ("max_pool", "slice", "pad", "concat", "reshape", "transpose", "take")


@st.composite
def byte_programs(draw: st.DrawFn) -> Program:
    """Networks of 8-bit codes as accelerators run them: sums, their requantization, what moves."""
    b = Builder("network")
    shape = (draw(st.integers(1, 90)), draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    values = [b.input(Value("x", TensorType((BATCH, *shape), draw(st.sampled_from(BYTES))), "x"))]
    for _ in range(draw(st.integers(1, 5))):
        values.append(_next(draw, b, values))
    outputs = {values[-1], draw(st.sampled_from(values[1:]))}
    try:
        return schedule(verify(b.build(tuple(sorted(outputs))), "integer"))
    except VerifyError:  # sums that may overflow
        reject()


def _next(draw: st.DrawFn, b: Builder, values: list[str]) -> str:
    name = draw(st.sampled_from(values[-1:-3:-1]))
    x = b.type_of(name)
    kinds = [*SUMS, *SUMS, *MOVES] if len(x.shape) == 4 else ["dense", "dense", "reshape"]
    kind = draw(st.sampled_from(kinds))
    if kind in MOVES:
        same = [each for each in values if b.type_of(each) == x]
        op, others = DRAWS[kind](draw, x)
        given = [b.constant("listed", each) for each in others if isinstance(each, Tensor)]
        given += [draw(st.sampled_from(same)) for each in others if not isinstance(each, Tensor)]
        return b.node(kind, op, name, *given, origin=f"/{kind}")
    operands, op = [name], None
    if kind == "add":
        operands.append(draw(st.sampled_from([v for v in values if b.type_of(v) == x])))
        op = DRAWS["add"](draw, x)[0]
    elif kind == "gather_conv":
        op, constants = _gathered(draw, x)
        operands += [b.constant("constant", each) for each in constants]
    elif kind == "sum_pool":
        op = DRAWS["sum_pool"](draw, x)[0]
    else:
        op, constants = _linear(draw, kind, x)
        operands += [b.constant("constant", each) for each in constants]
    total = b.node(kind, op, *operands, origin=f"/{kind}")
    return _coded(draw, b, total)


def _linear(draw: st.DrawFn, kind: str, x: TensorType) -> tuple[Any, list[Tensor]]:
    weights = int_type(draw(st.sampled_from((8, 8, 4, 2))))
    if kind == "dense":
        shape, op = (draw(st.integers(1, 40)), x.sample_shape[-1]), Dense()
    else:
        drawn, (weight, *_) = DRAWS["conv"](draw, x)
        channels, groups = x.sample_shape[0], drawn.groups
        if kind == "depthwise":
            groups = channels
        each = draw(st.integers(1, 20)) if groups < channels else 1
        op = Conv(drawn.strides, drawn.pads, drawn.dilations, groups, drawn.pad_value)
        shape = (groups * each, channels // groups, *weight.array.shape[2:])
    constants = [Tensor(draw(int_tensors(weights, shape)), weights)]
    if draw(st.booleans()):
        bias = draw(int_tensors(int_type(16), shape[:1]))
        constants.append(Tensor(bias, int_type(16)))
    if len(constants) == 2 and kind == "conv" and draw(st.booleans()):
        border = draw(int_tensors(int_type(12), (shape[0], *shape[2:])))
        constants.append(Tensor(border, int_type(12)))
    return op, constants


def _gathered(draw: st.DrawFn, x: TensorType) -> tuple[Any, list[Tensor]]:
    """Columns in any order, some of them twice."""
    op, (_, columns, *_) = DRAWS["gather_conv"](draw, x)
    shape = (draw(st.integers(1, 40)), len(columns.array))
    constants = [Tensor(draw(int_tensors(int_type(8), shape)), int_type(8)), columns]
    if draw(st.booleans()):
        constants.append(Tensor(draw(int_tensors(int_type(16), shape[:1])), int_type(16)))
        if draw(st.booleans()):
            border = draw(int_tensors(int_type(12), (shape[0], *op.kernel)))
            constants.append(Tensor(border, int_type(12)))
    return op, constants


def _coded(draw: st.DrawFn, b: Builder, total: str) -> str:
    """Requantized so that codes spread over their range, with one scale or by channel, or not."""
    if draw(st.integers(0, 3)) == 3:
        op, (thresholds,) = DRAWS["threshold"](draw, b.type_of(total))
        return b.node("threshold", op, total, b.constant("t", thresholds), origin="/threshold")
    dtype = draw(st.sampled_from([*BYTES, int_type(16)]))
    count = draw(st.sampled_from((1, b.type_of(total).sample_shape[0])))
    bits = draw(st.integers(1, 30))
    shift = draw(st.integers(0, 46))
    low, high = sorted(draw(st.integers(dtype.lo, dtype.hi)) for _ in range(2))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    parameters = (
        (rng.integers(-(2**bits), 2**bits + 1, count), int_type(32)),
        (rng.integers(-(2**40), 2**40, count) >> draw(st.integers(0, 40)), int_type(48)),
        (np.clip(shift + rng.integers(-2, 3, count), 0, 62), int_type(6, signed=False)),
    )
    names = [b.constant("p", Tensor(v.astype(t.container), t)) for v, t in parameters]
    return b.node("requantize", Requantize(dtype, low, high), total, *names, origin="/requantize")


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("tier", TIERS)
@settings(max_examples=25)
@given(data=st.data())
def test_an_add_after_a_conv_is_exact_whichever_operand_it_is(
    tier: Isa, index: int, data: Any
) -> None:
    """They are one routine where nothing else reads the conv."""
    draw, b = data.draw, Builder("network")
    shape = (BATCH, draw(st.integers(1, 40)), draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    x = b.input(Value("x", TensorType(shape, draw(st.sampled_from(BYTES))), "x"))
    dtype, depthwise = b.type_of(x).dtype, draw(st.booleans())
    channels = shape[1] if depthwise else draw(st.integers(1, 40))
    op, each = Conv(groups=channels if depthwise else 1), 1 if depthwise else shape[1]
    codes = []
    for name in ("a", "b"):
        weight = Tensor(draw(int_tensors(int_type(8), (channels, each, 1, 1))), int_type(8))
        total = b.node(name, op, x, b.constant("w", weight), origin=f"/{name}")
        codes.append(_scaled(draw, b, total, draw(st.sampled_from(BYTES))))
    kept = codes[1 - index]
    factors = draw(st.integers(-300, 300)), draw(st.integers(-300, 300))
    total = b.node("add", Add(factors), *codes, origin="/add")
    sums = _scaled(draw, b, total, dtype)
    program = schedule(verify(b.build((sums, kept)), "integer"))
    inputs = inputs_of(draw, program)
    expected = trace_reference(program, inputs)
    for name, found in Simulator(program, tier).run(inputs).items():
        assert np.array_equal(found, expected[name])


@st.composite
def binary_programs(draw: st.DrawFn) -> Program:
    """Networks of +1 and -1 with 64 channels or twice as many, after a layer of bytes or not."""
    b, rng = Builder("network"), np.random.default_rng(draw(st.integers(0, 999)))
    size = (draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    first = draw(st.sampled_from([int_type(8), BIPOLAR]))
    x = b.input(Value("x", TensorType((BATCH, draw(st.sampled_from((3, 64))), *size), first), "x"))
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(("conv", "conv", "max_pool")))
        if kind == "max_pool" and b.type_of(x).dtype == BIPOLAR:
            op = DRAWS["max_pool"](draw, b.type_of(x))[0]
            x = b.node("max_pool", op, x, origin="/max_pool")
            continue
        x = _signs(draw, b, x, _binary_conv(draw, b.type_of(x)), rng)
    flat = b.type_of(x).sample_shape
    if flat[1:] == (1, 1):
        x = b.node("reshape", Reshape(flat[:1]), x, origin="/reshape")
        if draw(st.booleans()):
            weight = rng.choice((-1, 1), (draw(st.integers(1, 70)), flat[0])).astype(np.int8)
            x = b.node("dense", Dense(), x, b.constant("w", Tensor(weight, BIPOLAR)), origin="/d")
    elif b.type_of(x).dtype == BIPOLAR and draw(st.integers(0, 3)):
        op, shape = _binary_conv(draw, b.type_of(x))
        weight = Tensor(rng.choice((-1, 1), shape).astype(np.int8), BIPOLAR)
        x = b.node("last", op, x, b.constant("w", weight), origin="/last")
    try:
        return schedule(verify(b.build((x,)), "integer"))
    except VerifyError:
        reject()


def _binary_conv(draw: st.DrawFn, x: TensorType) -> tuple[Conv, tuple[int, ...]]:
    op, (weight, *_) = DRAWS["conv"](draw, x)
    value = draw(st.sampled_from((-1, 1))) if x.dtype == BIPOLAR else op.pad_value
    conv = Conv(op.strides, op.pads, op.dilations, 1, value)
    return conv, (draw(st.sampled_from((64, 128, 5))), x.sample_shape[0], *weight.array.shape[2:])


def _signs(
    draw: st.DrawFn, b: Builder, x: str, conv: tuple[Conv, tuple[int, ...]], rng: Any
) -> str:
    """A conv with weights +1 and -1, and a threshold for each channel or for all."""
    op, shape = conv
    weight = b.constant("w", Tensor(rng.choice((-1, 1), shape).astype(np.int8), BIPOLAR))
    bias = [b.constant("b", Tensor(rng.integers(-9, 9, shape[0]).astype(np.int8), int_type(8)))]
    total = b.node("conv", op, x, weight, *bias[: draw(st.integers(0, 1))], origin="/conv")
    rows = draw(st.sampled_from((1, shape[0])))
    far = int(rng.choice((3, 30, 300)))
    each = np.repeat(rng.integers(-far, far, (rows, 1)), 2, axis=1).astype(np.int32)
    steps = b.constant("t", Tensor(each, INT32))
    return b.node("threshold", Threshold(BIPOLAR, -1), total, steps, origin="/threshold")


@pytest.mark.parametrize("tier", TIERS)
@settings(max_examples=100)
@given(program=binary_programs(), data=st.data())
def test_binary_networks_are_exact(tier: Isa, program: Program, data: Any) -> None:
    """In fast tiers codes +1 and -1 lie as bits."""
    inputs = inputs_of(data.draw, program)
    expected, simulator = trace_reference(program, inputs), Simulator(program, tier)
    for name, codes in simulator.run(inputs).items():
        assert np.array_equal(codes, expected[name])


@pytest.mark.skipif(
    "avx512" not in TIERS or binary.NEEDED not in isa.features(),
    reason="this machine has no instruction that counts bits of vectors",
)
def test_codes_between_binary_layers_lie_as_bits() -> None:
    b, rng = Builder("network"), np.random.default_rng(0)
    x = b.input(Value("x", TensorType((BATCH, 3, 6, 6), int_type(8)), "x"))
    total = ""
    for channels in (3, 64, 64):
        if total:
            steps = b.constant("t", Tensor(np.zeros((1, 2), np.int32), INT32))
            x = b.node("threshold", Threshold(BIPOLAR, -1), total, steps, origin="/t")
        shape = (64, channels, 2, 2)
        weight = b.constant("w", Tensor(rng.choice((-1, 1), shape).astype(np.int8), BIPOLAR))
        total = b.node("conv", Conv(), x, weight, origin="/conv")
    program = schedule(verify(b.build((total,)), "integer"))
    places = Plan(program, "avx512", program.outputs).layout.places
    lie = [(program.slots[slot].name, place.bits, place.sample) for slot, place in places.items()]
    assert lie == [
        ("x", False, 108),
        ("threshold", True, 25 * 8),
        ("threshold.1", True, 16 * 8),
        ("conv.2", False, 9 * 64 * 4),
    ]


def _scaled(draw: st.DrawFn, b: Builder, total: str, dtype: NumericType) -> str:
    """Requantized to about the whole range of a type."""
    factor, shift = draw(st.integers(1, 2**20)), draw(st.integers(16, 40))
    addend = draw(st.integers(0, 200)) << shift
    values = ((factor, int_type(32)), (addend, int_type(60)), (shift, int_type(6, signed=False)))
    names = [b.constant("p", Tensor(np.array([v], t.container), t)) for v, t in values]
    op = Requantize(dtype, dtype.lo, dtype.hi)
    return b.node("requantize", op, total, *names, origin="/requantize")


def inputs_of(draw: st.DrawFn, program: Program) -> dict[str, np.ndarray]:
    samples = draw(st.integers(1, 4))
    slots = [program.slots[index] for index in program.inputs]
    return {s.name: draw(int_tensors(s.type.dtype, (samples, *s.type.sample_shape))) for s in slots}


@pytest.mark.parametrize("tier", TIERS)
@settings(max_examples=100)
@given(program=byte_programs(), data=st.data())
def test_every_activation_equals_the_reference(tier: Isa, program: Program, data: Any) -> None:
    inputs = inputs_of(data.draw, program)
    expected, simulator = trace_reference(program, inputs), Simulator(program, tier)
    assert compare(program, simulator.trace(inputs), expected) > 0
    for threads in (1, 3):
        for name, codes in simulator.run(inputs, threads=threads).items():
            assert np.array_equal(codes, expected[name])


@pytest.mark.parametrize("tier", FAST)
@settings(max_examples=80)
@given(program=byte_programs(), data=st.data())
def test_nothing_is_written_but_activations(tier: Isa, program: Program, data: Any) -> None:
    plan = Plan(program, tier, program.outputs)
    arena = plan.arena()
    memory, inside = arena._bytes, np.zeros(plan.layout.size, bool)
    for place in plan.layout.places.values():
        rows, columns, _ = place.shape
        for sample in range(plan.samples):
            first = place.offset + sample * place.sample + place.origin
            for row in range(rows):
                inside[first + row * place.row :][: columns * place.pixel] = True
    before = memory.copy()
    outside = ~inside
    arena.samples = min(3, plan.samples)
    for name, codes in inputs_of(data.draw, program).items():
        slot = next(i for i in program.inputs if program.slots[i].name == name)
        arena.write(slot, np.resize(codes, (arena.samples, *codes.shape[1:])))
    for call in plan.calls:
        call.run(arena)
    assert np.array_equal(memory[outside], before[outside])


@pytest.mark.parametrize("tier", FAST)
def test_a_network_of_bytes_is_routines_in_one_call(tier: Isa) -> None:
    b, rng = Builder("network"), np.random.default_rng(0)
    x = b.input(Value("x", TensorType((BATCH, 3, 8, 8), int_type(8)), "x"))
    weight = Tensor(rng.integers(-128, 128, (20, 3, 3, 3)).astype(np.int8), int_type(8))
    total = b.node("conv", Conv((1, 1), (1, 1, 1, 1)), x, b.constant("w", weight), origin="/conv")
    scale = [Tensor(np.array([value]), INT32) for value in (1 << 20, 1 << 28, 29)]
    names = [b.constant("p", Tensor(t.array.astype(np.int32), INT32)) for t in scale]
    b.node("q", Requantize(int_type(8), -128, 127), total, *names, origin="/q")
    program = schedule(verify(b.build(("q",)), "integer"))
    calls = Plan(program, tier, program.outputs).calls
    assert [type(call) for call in calls] == [RoutineCalls]
    assert len(calls[0].routines) == 1


@pytest.mark.parametrize(("addend", "code"), [(-(2**62), 3), (2**62 - 1, 200)])
def test_a_requantization_to_one_code_has_a_routine(addend: int, code: int) -> None:
    """So compiled networks write channels that are constant."""
    one = np.array([1], np.int64)
    found = finish.scaling(2, (one, np.array([addend]), np.array([0])), 3, 200)
    assert found is not None
    assert found.multiplier.tolist() == [0, 0]
    assert (found.addend >> found.shift).tolist() == [code, code]


def test_what_a_machine_lacks_is_refused_before_anything_is_compiled(monkeypatch: Any) -> None:
    monkeypatch.setenv(isa.ENVIRONMENT, "avx512")
    monkeypatch.setattr(isa, "features", lambda: frozenset({"avx512f", "avx2"}))
    with pytest.raises(UsageError) as caught:
        isa.chosen()
    assert str(caught.value) == (
        "Environment variable INTAGLIO_ISA: The tier 'avx512' needs avx512bw, avx512dq, avx512vl, "
        "avx512vnni, which this machine does not have. "
        "Unset it for the fastest tier that this machine runs."
    )


def test_an_unknown_tier_is_refused(monkeypatch: Any) -> None:
    monkeypatch.setenv(isa.ENVIRONMENT, "sse9")
    with pytest.raises(UsageError) as caught:
        isa.chosen()
    assert str(caught.value) == (
        "Environment variable INTAGLIO_ISA: 'sse9' is no tier of kernels: there are portable, "
        "avx512. Set one of these, or unset it for the fastest one that this machine runs."
    )


@pytest.mark.parametrize("settings_", [{}, {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": ""}])
def test_a_process_runs_with_the_tier_it_chooses(settings_: dict[str, str]) -> None:
    """An instruction that the compiler lacks would abort the process."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import importlib.util\n"
        "spec = importlib.util.spec_from_file_location('t', sys.argv[2])\n"
        "t = importlib.util.module_from_spec(spec); sys.modules['t'] = t\n"
        "spec.loader.exec_module(t)\n"
        "print(t.run_one())\n"
    )
    root = str(Path(intaglio.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", script, root, __file__],
        env={**os.environ, **settings_},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    tier, codes = done.stdout.split()
    assert int(codes) > 0
    assert tier == "portable" if settings_ else tier in TIERS


def run_one() -> str:
    """The tier that is chosen, and how many codes were equal."""
    b = Builder("network")
    x = b.input(Value("x", TensorType((BATCH, 5), int_type(8)), "x"))
    weight = Tensor(np.arange(-40, 45, dtype=np.int8).reshape(17, 5), int_type(8))
    b.node("y", Dense(), x, b.constant("w", weight), origin="/y")
    program = schedule(verify(b.build(("y",)), "integer"))
    codes = np.arange(-128, 127, dtype=np.int8).reshape(51, 5)
    return f"{isa.chosen()} {check(program, {'x': codes})}"
