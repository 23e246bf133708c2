"""The simulator equals the reference at every activation, in bounded memory."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.backends.reference import check, compare, run_reference, trace_reference
from intaglio.backends.simulator import WORKING_BYTES, RangeEnds, Simulator, range_ends
from intaglio.errors import DataError, MismatchError, NumericError, UsageError, VerifyError
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import BIPOLAR, INT32, Array, NumericType, int_type
from intaglio.ir.ops_layout import Transpose
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_pointwise import Add
from intaglio.ir.ops_pool import MaxPool
from intaglio.ir.ops_quant import Requantize
from intaglio.ir.program import Program
from intaglio.ir.tensor import Tensor, TensorType
from intaglio.passes.schedule import schedule
from intaglio.testing import int_tensors, small_programs

INT8, UINT8 = int_type(8), int_type(8, signed=False)


def codes_for(program: Program, samples: int, seed: int = 0) -> dict[str, Array]:
    """Random codes for every input."""
    rng = np.random.default_rng(seed)
    slots = [program.slots[index] for index in program.inputs]
    return {
        slot.name: rng.integers(
            slot.type.dtype.lo,
            slot.type.dtype.hi,
            (samples, *slot.type.sample_shape),
            endpoint=True,
        )
        for slot in slots
    }


def convolutions(size: int, channels: int = 4, layers: int = 3) -> Program:
    """Requantized 3x3 convolutions of uint8 images ``(n, channels, size, size)``, in a chain."""
    rng = np.random.default_rng(1)
    b = Builder("chain")
    x = b.input(Value("image", TensorType(("n", channels, size, size), UINT8), "input"))
    for layer in range(layers):
        shape = (channels, channels, 3, 3)
        weight = b.constant(f"w{layer}", Tensor(rng.integers(-128, 128, shape), INT8))
        sums = b.node(f"sums{layer}", Conv(pads=(1, 1, 1, 1)), x, weight, origin=f"/conv{layer}")
        x = b.node(
            f"codes{layer}", Requantize(UINT8, 0, 255), sums, *scaling(b), origin=f"/relu{layer}"
        )
    return schedule(b.build((x,)))


def scaling(b: Builder) -> list[str]:
    """Parameters that divide by 64 and add 100."""
    values = {"one": 1, "addend": 100 * 64, "shift": 6}
    return [b.constant(name, Tensor(np.array([value]), INT32)) for name, value in values.items()]


def dense(dtype: NumericType = UINT8, weight: int = 1) -> Program:
    """``codes = x0 + x1 + x2``, times ``weight``, of x ``(n, 3)``, not requantized."""
    b = Builder("sum")
    x = b.input(Value("x", TensorType(("n", 3), dtype), "input"))
    w = b.constant("w", Tensor(np.full((1, 3), weight), int_type(16)))
    return schedule(b.build((b.node("codes", Dense(), x, w, origin="/fc"),)))


def two_inputs() -> Program:
    b = Builder("two")
    left, right = (b.input(Value(name, TensorType(("n", 2), INT8))) for name in ("left", "right"))
    return schedule(b.build((b.node("sum", Add((2, 3)), left, right),)))


@given(program=small_programs(), data=st.data())
def test_simulator_equals_reference_at_every_activation(
    program: Program, data: st.DataObject
) -> None:
    slot = program.slots[program.inputs[0]]
    codes = data.draw(int_tensors(slot.type.dtype, (3, *slot.type.sample_shape)))
    trace = Simulator(program).trace({"image": codes})
    assert check(program, {"image": codes}) == sum(array.size for array in trace.values())
    assert list(trace) == ["image", *(program.slots[step.output].name for step in program.steps)]
    for name, array in trace.items():
        type_ = program.slot(name).type
        assert array.shape == (3, *type_.sample_shape)
        assert array.dtype == type_.dtype.container


@given(program=small_programs(), data=st.data())
def test_run_gives_the_outputs_of_the_trace(program: Program, data: st.DataObject) -> None:
    slot = program.slots[program.inputs[0]]
    codes = {"image": data.draw(int_tensors(slot.type.dtype, (2, *slot.type.sample_shape)))}
    outputs = {program.slots[index].name for index in program.outputs}
    trace = Simulator(program).trace(codes)
    for found in (Simulator(program).run(codes), run_reference(program, codes)):
        assert set(found) == outputs
        assert all(np.array_equal(found[name], trace[name]) for name in outputs)


def test_chunks_of_samples_give_what_single_samples_give() -> None:
    program = convolutions(size=64)
    simulator, codes = Simulator(program), codes_for(program, 50)["image"]
    calls: list[tuple[int, int]] = []
    whole = simulator.run({"image": codes}, lambda done, total: calls.append((done, total)))
    singles = [simulator.run({"image": codes[i : i + 1]})["codes2"] for i in range(50)]
    assert np.array_equal(whole["codes2"], np.concatenate(singles))
    assert np.array_equal(whole["codes2"], run_reference(program, {"image": codes})["codes2"])
    chunk = calls[0][0]
    assert 1 < chunk < 50
    assert calls == [(min(done + chunk, 50), 50) for done in range(0, 50, chunk)]


def test_arena_is_reused_while_the_trace_keeps_every_activation() -> None:
    program = convolutions(size=8, layers=6)
    activations = [slot for slot in program.slots if slot.constant is None]
    assert program.arena_bytes < sum(slot.size_bytes for slot in activations) / 2
    assert check(program, codes_for(program, 5)) == 7 * 5 * 4 * 8 * 8


def test_memory_stays_bounded_for_any_batch() -> None:
    program = convolutions(size=32)
    simulator, codes = Simulator(program), codes_for(program, 3000)["image"].astype(np.uint8)
    simulator.run({"image": codes[:1]})
    tracemalloc.start()
    found = simulator.run({"image": codes})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert codes.nbytes > 5 * WORKING_BYTES
    assert peak < found["codes2"].nbytes + 2 * WORKING_BYTES


def test_threads_share_a_simulator() -> None:
    program = convolutions(size=16)
    simulator = Simulator(program)
    batches = [codes_for(program, 9, seed) for seed in range(8)]
    expected = [simulator.run(batch)["codes2"] for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(simulator.run, batches))
    assert all(np.array_equal(f["codes2"], e) for f, e in zip(found, expected, strict=True))


def test_empty_batch_gives_empty_outputs() -> None:
    program = convolutions(size=8)
    empty = {"image": np.zeros((0, 4, 8, 8), np.uint8)}
    found = Simulator(program).run(empty)["codes2"]
    assert found.shape == (0, 4, 8, 8)
    assert found.dtype == np.uint8
    assert check(program, empty) == 0


def test_inputs_may_be_of_any_integer_dtype_and_are_not_changed() -> None:
    codes = np.array([[1, 2, 255]])
    assert Simulator(dense()).run({"x": codes})["codes"].tolist() == [[258]]
    assert codes.tolist() == [[1, 2, 255]]


def test_outputs_are_in_logical_order() -> None:
    b = Builder("turn")
    x = b.input(Value("x", TensorType(("n", 2, 3, 4), INT8)))
    program = schedule(b.build((b.node("y", Transpose((0, 3, 1, 2)), x),)))
    codes = np.arange(24, dtype=np.int8).reshape(1, 2, 3, 4)
    assert np.array_equal(Simulator(program).run({"x": codes})["y"], np.moveaxis(codes, 3, 1))


def test_an_input_may_be_an_output() -> None:
    b = Builder("both")
    x = b.input(Value("x", TensorType(("n", 1, 2, 2), INT8)))
    program = schedule(b.build((b.node("y", MaxPool((2, 2)), x), x)))
    codes = np.array([[[[1, -2], [3, 4]]]])
    found = Simulator(program).run({"x": codes})
    assert found["x"].tolist() == codes.tolist()
    assert found["y"].tolist() == [[[[4]]]]


@pytest.mark.parametrize(
    ("program", "inputs", "message"),
    [
        (
            dense(),
            {"y": np.zeros((1, 3), np.uint8)},
            "The network's inputs are 'x', but the data has 'y'. Give one array of codes for each "
            "input, by its name.",
        ),
        (
            two_inputs(),
            {},
            "The network's inputs are 'left', 'right', but the data has none. Give one array of "
            "codes for each input, by its name.",
        ),
        (
            two_inputs(),
            {"left": np.zeros((1, 2), np.int8), "right": np.zeros((4, 2), np.int8)},
            "The inputs differ in their number of samples: left has 1, right has 4. Give every "
            "input the same number of samples.",
        ),
        (
            dense(),
            {"x": np.zeros((1, 3), np.float32)},
            "Input 'x': Its elements are float32, but the network takes codes of uint8. Quantize "
            "the data with the scale and zero point of the input.",
        ),
        (
            dense(),
            {"x": np.zeros((3,), np.uint8)},
            "Input 'x': Its shape is (3,), but the network takes (n, 3). The first axis counts the "
            "samples; reshape the data.",
        ),
        (
            dense(),
            {"x": np.array([[0, -1, 300]])},
            "Input 'x': Its codes reach -1..300, but uint8 holds 0..255. Quantize the data with "
            "the scale and zero point of the input.",
        ),
        (
            dense(BIPOLAR),
            {"x": np.array([[0, 1, 1]])},
            "Input 'x': Its codes reach 0..1, but bipolar holds only -1 and 1. Quantize the data "
            "with the scale and zero point of the input.",
        ),
    ],
)
def test_data_that_does_not_fit_is_refused(
    program: Program, inputs: dict[str, Array], message: str
) -> None:
    for call in (Simulator(program).run, lambda data: run_reference(program, data)):
        with pytest.raises(DataError) as error:
            call(inputs)
        assert str(error.value) == message


def test_a_program_whose_slots_do_not_fit_is_refused() -> None:
    program = dense()
    slots = tuple(
        replace(slot, type=TensorType(("n", 9), INT32)) if slot.name == "codes" else slot
        for slot in program.slots
    )
    with pytest.raises(VerifyError, match=r"^Node '/fc' \(dense\): its slot is int32\[n,9\], "):
        Simulator(replace(program, slots=slots, arena_bytes=4096))


def test_reference_names_the_node_whose_accumulator_overflows() -> None:
    program = dense(weight=2**14)
    inputs = {"x": np.full((1, 3), 65535)}
    wide = replace(
        program,
        slots=tuple(
            replace(s, type=s.type.with_dtype(int_type(16, signed=False))) if s.name == "x" else s
            for s in program.slots
        ),
    )
    with pytest.raises(NumericError) as error:
        trace_reference(wide, inputs)
    assert str(error.value) == (
        "Node '/fc': Its values reach 3221176320..3221176320, which int32 does not hold. The "
        "program is damaged; compile the network again."
    )


def test_a_difference_is_named_with_place_and_both_codes() -> None:
    program = convolutions(size=4)
    expected = trace_reference(program, codes_for(program, 2))
    got = {name: array.copy() for name, array in expected.items()}
    got["codes1"][1, 3, 2, 1] ^= 255
    got["codes1"][1, 3, 0, 2] = 17
    expected["codes1"][1, 3, 0, 2] = 18
    with pytest.raises(MismatchError) as error:
        compare(program, got, expected)
    assert str(error.value) == (
        "Node '/relu1': 2 of 128 codes differ, first at (1, 3, 0, 2): the simulator gives 17, the "
        "reference 18. This is a fault of intaglio; please report it with the network."
    )


def test_range_ends_count_the_codes_of_requantized_slots() -> None:
    program = convolutions(size=4, layers=2)
    trace = trace_reference(program, codes_for(program, 3))
    found = range_ends(program, trace)
    low, high = (int((trace["codes0"] == end).sum()) for end in (0, 255))
    assert low > 0
    assert high > 0
    assert found["codes0"] == RangeEnds(low, high, 3 * 4 * 4 * 4)
    assert set(found) == {"codes0", "codes1"}


def test_no_threads_are_refused() -> None:
    with pytest.raises(UsageError) as caught:
        Simulator(dense()).run({"x": np.zeros((1, 3), np.uint8)}, threads=0)
    assert str(caught.value) == "0 threads were asked for. Ask for at least 1."
