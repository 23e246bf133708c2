"""The kernel test kit, used as somebody would who tests their own kernel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from intaglio.ir.numeric import INT32, TERNARY, Array, NumericType, int_type
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_quant import Requantize
from intaglio.ir.program import Program
from intaglio.ir.tensor import TensorType
from intaglio.ir.verify import verify
from intaglio.passes.schedule import schedule
from intaglio.testing import (
    INLINE_ELEMENTS,
    OPERATORS,
    OpCase,
    assert_bit_exact,
    dump_golden,
    int_tensors,
    numeric_types,
    op_cases,
    reference,
    small_networks,
    small_programs,
)

INT4, INT8 = int_type(4), int_type(8)


def dense_case(x: list[list[int]], weight: list[list[int]]) -> OpCase:
    types = (TensorType(("n", len(x[0])), INT8), TensorType((len(weight), len(x[0])), INT4))
    return OpCase(Dense(), types, (np.array(x, np.int8), np.array(weight, np.int8)))


@given(data=st.data(), dtype=numeric_types())
def test_tensors_hold_values_of_their_type_in_its_container(
    data: st.DataObject, dtype: NumericType
) -> None:
    array = data.draw(int_tensors(dtype, (2, 3)))
    assert array.shape == (2, 3)
    assert array.dtype == dtype.container
    assert dtype.contains(array)


@pytest.mark.parametrize("dtype", [INT4, int_type(16, signed=False), TERNARY])
def test_tensors_reach_both_ends_of_their_type_at_once(dtype: NumericType) -> None:
    found = find(int_tensors(dtype, (4,)), lambda a: {dtype.lo, dtype.hi} <= set(a.tolist()))
    assert {dtype.lo, dtype.hi} <= set(found.tolist())


def test_numeric_types_have_the_bits_and_kinds_asked_for() -> None:
    strategy = numeric_types(2, 3, kinds=("int", "ternary"))
    for text in ("int2", "int3", "ternary"):
        assert str(find(strategy, lambda t, text=text: str(t) == text)) == text
    seen = set()
    given(strategy)(lambda dtype: seen.add(str(dtype)))()
    assert seen == {"int2", "int3", "ternary"}


@pytest.mark.parametrize("name", OPERATORS)
@given(data=st.data())
def test_cases_are_of_the_operator_asked_for_and_fit_their_types(
    name: str, data: st.DataObject
) -> None:
    case = data.draw(op_cases(name))
    assert case.op.name == name
    for type_, array in zip(case.types, case.arrays, strict=True):
        assert array.shape[type_.batched :] == type_.sample_shape
        assert array.dtype == type_.dtype.container
        assert type_.dtype.contains(array)
    assert case.result.dtype.contains(case.expected)


@pytest.mark.parametrize(
    "kind",
    [
        lambda op, c, co: 1 < op.groups < c,
        lambda op, c, co: op.groups == c == co > 1,
        lambda op, c, co: op.groups == c > 1 and co == 2 * c,
        lambda op, c, co: op.dilations == (2, 2),
        lambda op, c, co: op.strides[0] != op.strides[1],
        lambda op, c, co: len(set(op.pads)) > 2 and op.pad_value != 0,
        lambda op, c, co: op.groups == 1 and co > 16,
    ],
    ids=["grouped", "depthwise", "multiplied", "dilated", "strided", "padded", "wide"],
)
def test_convolutions_of_every_kind_occur(kind: object) -> None:
    found = find(
        op_cases("conv"),
        lambda case: kind(case.op, case.arrays[0].shape[1], len(case.arrays[1])),
        settings=settings(max_examples=5000, phases=(Phase.generate,)),
    )
    assert isinstance(found.op, Conv)


@pytest.mark.parametrize("end", [INT32.lo, INT32.hi])
def test_accumulators_at_the_ends_of_int32_occur(end: int) -> None:
    generate = settings(max_examples=5000, phases=(Phase.generate,))
    case = find(
        op_cases("conv"), lambda case: bool((case.expected == end).any()), settings=generate
    )
    assert end in case.expected


def test_an_unknown_operator_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^'gelu' is not one of add, arg_max, concat, conv, crop, dense, "
    ):
        find(op_cases("gelu"), lambda case: True)


@given(case=op_cases())
def test_source_rebuilds_the_case(case: OpCase) -> None:
    names: dict[str, object] = {}
    exec(case.source(), names)
    assert names["op"] == case.op
    for name, array in zip(case.names, case.arrays, strict=True):
        rebuilt = names[name]
        assert isinstance(rebuilt, np.ndarray)
        assert rebuilt.dtype == array.dtype
        assert np.array_equal(rebuilt, array)
    assert np.array_equal(names["expected"], case.expected)


def test_source_of_a_great_array_is_compressed_and_rebuilds_it() -> None:
    codes = np.tile(np.arange(128, dtype=np.int8), (INLINE_ELEMENTS // 64, 1))
    case = dense_case(codes.tolist(), [[1] * 128])
    names: dict[str, object] = {}
    exec(case.source(), names)
    assert np.array_equal(names["x"], codes)
    assert len(case.source()) < 2500


def test_reference_is_the_meaning_of_the_operator() -> None:
    case = dense_case([[1, 2], [3, -4]], [[1, 1], [2, 7]])
    assert reference(case.op, *case.arrays).tolist() == [[3, 16], [-1, -22]]


def test_equal_integers_pass_whatever_their_containers() -> None:
    assert_bit_exact(np.array([1, -2], np.int8), np.array([1, -2], np.int64))


def test_a_difference_is_reported_with_a_reproducer_that_runs() -> None:
    case = dense_case([[1, 2], [3, -4]], [[1, 1], [2, 7]])
    got = case.expected.astype(np.int32)
    got[1] += (5, -7)
    with pytest.raises(AssertionError) as error:
        assert_bit_exact(got, case.expected, case=case)
    text = str(error.value)
    assert text == (
        "2 of 4 elements differ, first at (1, 0): 4 instead of -1; the greatest difference is 7 "
        "(got int32 (2, 2), expected int64 (2, 2)).\n\n"
        "To reproduce it:\n\n"
        "import numpy as np\n"
        "from intaglio.ir.numeric import NumericType\n"
        "from intaglio.ir.ops_linear import Dense\n\n"
        "op = Dense()\n"
        "x = np.array([[1, 2], [3, -4]], 'int8').reshape((2, 2))  # int8[n,2]\n"
        "weight = np.array([[1, 1], [2, 7]], 'int8').reshape((2, 2))  # int4[2,2]\n"
        "expected = op.reference(x, weight)  # int32[n,2]\n"
    )
    names: dict[str, object] = {}
    exec(text[text.index("import numpy") :], names)
    assert np.array_equal(names["expected"], case.expected)


@pytest.mark.parametrize(
    ("got", "message"),
    [
        (np.zeros((2, 1), np.int8), "The shapes differ (got int8 (2, 1), expected int64 (2,))."),
        (
            np.zeros(2, np.float32),
            "The result is not made of integers (got float32 (2,), expected int64 (2,)).",
        ),
        (
            np.array([-(2**63), 0]),
            "1 of 2 elements differ, first at (0,): -9223372036854775808 instead of 0; the "
            "greatest difference is 9223372036854775808 (got int64 (2,), expected int64 (2,)).",
        ),
    ],
)
def test_a_result_of_another_kind_is_reported(got: Array, message: str) -> None:
    with pytest.raises(AssertionError) as error:
        assert_bit_exact(got, np.zeros(2, np.int64))
    assert str(error.value) == message


def test_a_wrong_kernel_is_found_with_a_small_case() -> None:
    def forgets_the_rounding(op: Requantize, x: Array, *parameters: Array) -> Array:
        multiplier, _, shift = parameters
        return reference(op, x, multiplier, np.zeros(1, np.int64), shift)

    @settings(max_examples=500, database=None)
    @given(op_cases("requantize").filter(lambda case: len(case.types[0].shape) == 2))
    def test(case: OpCase) -> None:
        assert_bit_exact(forgets_the_rounding(case.op, *case.arrays), case.expected, case=case)

    with pytest.raises(AssertionError, match=r"^\d of \d elements differ, first at \(0, \d\): "):
        test()


def test_golden_vectors_of_a_case(tmp_path: Path) -> None:
    case = dense_case([[1, -2], [3, -4]], [[1, 1], [2, 7]])
    dump_golden(tmp_path / "golden", case)
    folder = tmp_path / "golden"
    stems = ("000_x", "001_weight", "002_expected")
    assert {p.name for p in folder.iterdir()} == {
        "golden.npz",
        "case.py",
        *(f"{stem}.hex" for stem in stems),
    }
    arrays = np.load(folder / "golden.npz")
    assert sorted(arrays.files) == sorted(stems)
    assert np.array_equal(arrays["000_x"], case.arrays[0])
    assert arrays["002_expected"].dtype == np.int32
    assert (folder / "000_x.hex").read_text() == "// 'x' int8 (2, 2)\n01\nfe\n03\nfc\n"
    assert (folder / "002_expected.hex").read_text() == (
        "// 'expected' int32 (2, 2)\nffffffff\nfffffff4\nffffffff\nffffffea\n"
    )
    assert (folder / "case.py").read_text() == case.source()


def test_golden_vectors_of_a_trace_are_in_storage_order(tmp_path: Path) -> None:
    codes = np.arange(8, dtype=np.uint16).reshape(1, 2, 2, 2)
    dump_golden(tmp_path, {"/conv 1/out": codes, "file": np.array([[-1]], np.int8)})
    assert (tmp_path / "000__conv_1_out.hex").read_text() == (
        "// '/conv 1/out' uint16 (1, 2, 2, 2)\n0000\n0004\n0001\n0005\n0002\n0006\n0003\n0007\n"
    )
    assert (tmp_path / "001_file.hex").read_text() == "// 'file' int8 (1, 1)\nff\n"
    assert np.array_equal(np.load(tmp_path / "golden.npz")["000__conv_1_out"], codes)


@given(program=small_programs(3))
def test_programs_have_steps_and_an_arena(program: Program) -> None:
    assert 1 <= len(program.steps) <= 3
    assert program.arena_bytes > 0


@given(data=st.data())
def test_networks_keep_the_rules_of_the_integer_stage(data: st.DataObject) -> None:
    network = data.draw(small_networks(max_nodes=4))
    assert 1 <= len(network.nodes) <= 4
    verify(network, "integer")


def test_fused_steps_and_values_with_two_users_occur() -> None:
    generate = settings(max_examples=2000, phases=(Phase.generate,))
    fused = find(
        small_networks(),
        lambda network: any(step.epilogue for step in schedule(network).steps),
        settings=generate,
    )
    shared = find(
        small_networks(),
        lambda network: any(len(users) > 1 for users in network.users.values()),
        settings=generate,
    )
    assert len(fused.nodes) >= 2
    assert len(shared.nodes) >= 2


def test_intaglio_itself_imports_neither_the_kit_nor_numba() -> None:
    code = (
        "import sys, intaglio.api, intaglio.backends.simulator, intaglio.backends.reference\n"
        "print([name for name in ('hypothesis', 'numba', 'torch', 'onnx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
