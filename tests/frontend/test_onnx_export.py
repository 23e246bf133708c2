"""A program as an ONNX model: onnxruntime, which shares no code with us, gives the same codes."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from intaglio.backends.simulator import Simulator
from intaglio.errors import UsageError
from intaglio.frontend.onnx_export import export
from intaglio.frontend.onnx_export.export import EMITTERS, onnx_bytes, onnx_model
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import INT32, Array, NumericType, int_type
from intaglio.ir.ops_layout import Pad, Reshape
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_norm import LayerNorm
from intaglio.ir.ops_pool import MaxPool
from intaglio.ir.ops_quant import Requantize, Threshold
from intaglio.ir.ops_softmax import EXACT, FLOAT, NEWTON, RECIPROCAL, TABLE, Softmax
from intaglio.ir.program import Program
from intaglio.ir.tensor import Tensor, TensorType
from intaglio.passes.schedule import schedule
from intaglio.testing import OPERATORS, OpCase, int_tensors, op_cases, small_programs

INT8, UINT8 = int_type(8), int_type(8, signed=False)
EXAMPLES = 25


def executed(program: Program, codes: dict[str, Array]) -> dict[str, Array]:
    """The outputs by onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(
        onnx_bytes(program), options, providers=["CPUExecutionProvider"]
    )
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(None, codes), strict=True))


def compare(program: Program, codes: dict[str, Array]) -> None:
    """Codes and containers of onnxruntime are those of the simulator."""
    fed = {n: a.astype(program.slot(n).type.dtype.container) for n, a in codes.items()}
    found = executed(program, fed)
    expected = Simulator(program).run(fed)
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


def program_of(case: OpCase) -> tuple[Program, dict[str, Array]]:
    """A program of one step, and the codes of its activations."""
    b = Builder("case")
    given = list(zip(case.names, case.types, case.arrays, strict=True))
    operands = [
        b.input(Value(name, type_, f"/{name}"))
        if type_.batched
        else b.constant(name, Tensor(array, type_.dtype))
        for name, type_, array in given
    ]
    graph = b.build((b.node("result", case.op, *operands, origin="/result"),))
    return schedule(graph), {name: array for name, type_, array in given if type_.batched}


FORMLESS = {"crop"}
"""ONNX has nothing that samples where another tensor says, in integers."""


def test_every_operator_of_the_integer_stage_has_a_form() -> None:
    assert set(EMITTERS) == set(OPERATORS) - FORMLESS


@pytest.mark.parametrize("name", sorted(FORMLESS))
@settings(max_examples=2)
@given(data=st.data())
def test_what_has_no_form_is_refused_by_name(name: str, data: st.DataObject) -> None:
    program, _ = program_of(data.draw(op_cases(name)))
    with pytest.raises(UsageError) as caught:
        onnx_model(program)
    assert caught.value.what == f"Operator '{name}' has no form in ONNX's integer operators here."


@pytest.mark.parametrize("name", [name for name in OPERATORS if name not in FORMLESS])
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_onnxruntime_gives_the_codes_of_every_operator(name: str, data: st.DataObject) -> None:
    compare(*program_of(data.draw(op_cases(name))))


@settings(max_examples=2 * EXAMPLES)
@given(program=small_programs(), data=st.data())
def test_onnxruntime_gives_the_codes_of_small_networks(
    program: Program, data: st.DataObject
) -> None:
    assume(FORMLESS.isdisjoint(step.op.name for step in program.steps))
    slot = program.slots[program.inputs[0]]
    compare(
        program, {"image": data.draw(int_tensors(slot.type.dtype, (2, *slot.type.sample_shape)))}
    )


def one_step(op, dtype: NumericType, shape: tuple[int, ...], **constants: Tensor) -> Program:
    b = Builder("one")
    x = b.input(Value("x", TensorType(("n", *shape), dtype)))
    names = [b.constant(name, each) for name, each in constants.items()]
    return schedule(b.build((b.node("y", op, x, *names),)))


def pattern(*reals: float) -> list[int]:
    return np.array(reals, np.float32).view(np.int32).tolist()


@pytest.mark.parametrize(
    ("division", "bits", "table"),
    [
        (EXACT, 16, [1000, 900, 500, 1]),
        (NEWTON, 8, [2**31 - 1, 2**30, 12345, 0]),
        (NEWTON, 30, [2**30, 2**29, 77, 0]),
        (FLOAT, 16, pattern(1.0, 0.7, 1e-3, 1e-30)),
        (FLOAT, 8, pattern(3.0e38 / 2**20, 1.5, 1e-44, 0.0)),
        (TABLE, 15, [2**15 - 1, 20000, 3, 0]),
        (RECIPROCAL, 8, pattern(1.0, 0.33333334, 1e-3, 0.0)),
        (RECIPROCAL, 16, pattern(1.0, 0.9999999, 0.5, 1e-44)),
    ],
)
def test_every_division_of_softmax_is_exact_over_long_axes(
    division: int, bits: int, table: list[int]
) -> None:
    op = Softmax(1, bits, division)
    program = one_step(op, int_type(3), (300, 2), table=Tensor(np.array(table), INT32))
    codes = np.random.default_rng(0).integers(-4, 4, (40, 300, 2))
    compare(program, {"x": codes})


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 9, 11, 13])
def test_newtons_division_of_equal_shares(count: int) -> None:
    table = Tensor(np.array([2**30, 2**29]), INT32)
    program = one_step(Softmax(1, 30, NEWTON), INT8, (count,), table=table)
    compare(program, {"x": np.zeros((1, count), np.int8)})


def test_a_root_that_float64_rounds_up_is_corrected() -> None:
    epsilon = Tensor(np.array(2**60 + 2**31 - 2**26), int_type(64))  # one less than a square
    program = one_step(LayerNorm(1), int_type(16), (2,), epsilon=epsilon)
    codes = np.array([[8192, 0]], np.int16)
    assert executed(program, {"x": codes})["y"].tolist() == [[1, 0]]
    compare(program, {"x": codes})


def test_products_that_leave_32_bits_before_the_bias_brings_them_back() -> None:
    weight = Tensor(np.full((1, 2), 2**15 - 1), int_type(16))
    bias = Tensor(np.array([-(2**31)]), INT32)
    program = one_step(Dense(), int_type(16, signed=False), (2,), weight=weight, bias=bias)
    compare(program, {"x": np.array([[65535, 65535], [0, 0], [65535, 1]])})
    stored = {tensor.name: tensor.data_type for tensor in onnx_model(program).graph.initializer}
    assert stored["y/weight"] == onnx.TensorProto.INT64


@pytest.mark.parametrize(("depth", "used"), [(33025, "MatMulInteger"), (33026, "MatMul")])
def test_no_executor_must_wrap_sums_of_octets(depth: int, used: str) -> None:
    program = one_step(Dense(), UINT8, (depth,), weight=Tensor(np.ones((1, depth), int), INT8))
    assert used in {node.op_type for node in onnx_model(program).graph.node}
    compare(program, {"x": np.full((1, depth), 255)})


def test_uint8_by_int8_products_do_not_saturate() -> None:
    weight = Tensor(np.full((4, 64), 127), INT8)
    program = one_step(Dense(), UINT8, (64,), weight=weight)
    assert executed(program, {"x": np.full((1, 64), 255, np.uint8)})["y"].tolist() == [
        [64 * 255 * 127] * 4
    ]


@pytest.mark.parametrize("shift", [0, 1, 31, 62, 63])
def test_requantize_shifts_negative_numbers_down_by_any_amount(shift: int) -> None:
    given = {"multiplier": 3, "addend": -(2**40), "shift": shift}
    constants = {n: Tensor(np.array([v]), int_type(64)) for n, v in given.items()}
    program = one_step(Requantize(INT32, INT32.lo, INT32.hi), INT32, (3,), **constants)
    compare(program, {"x": np.array([[-(2**31), -1, 2**31 - 1]])})


@pytest.mark.parametrize("levels", [1, 2, 3, 7, 8, 255])
def test_thresholds_are_counted_as_the_search_bounds_them(levels: int) -> None:
    rows = np.sort(np.random.default_rng(levels).integers(-300, 300, (3, levels)), axis=1)
    rows[1] = rows[1, 0]  # all levels at once
    program = one_step(
        Threshold(int_type(16), -5), int_type(10), (3, 200), thresholds=Tensor(rows, int_type(10))
    )
    compare(program, {"x": np.random.default_rng(1).integers(-512, 512, (2, 3, 200))})


def test_a_border_as_wide_as_the_dilated_kernel_never_wins() -> None:
    program = one_step(MaxPool((2, 2), (1, 1), (2, 2, 2, 2), (3, 3)), INT8, (2, 4, 4))
    compare(program, {"x": np.random.default_rng(0).integers(-128, -100, (2, 2, 4, 4))})


def test_a_step_that_changes_nothing_has_a_name_of_its_own() -> None:
    b = Builder("same")
    x = b.input(Value("x", TensorType(("n", 2), INT8)))
    y = b.node("y", Reshape((2, 1)), x)
    z = b.node("z", Pad((0, 0), (0, 0)), y)
    program = schedule(b.build((y, z)))
    compare(program, {"x": np.array([[1, 2]])})


def conv_program(dtype: NumericType) -> Program:
    weight = Tensor(np.arange(-9, 9).reshape(2, 1, 3, 3), INT8)
    return one_step(Conv(pads=(1, 1, 1, 1), groups=1), dtype, (1, 5, 5), weight=weight)


def test_operands_of_8_bits_take_the_integer_operators_of_onnx() -> None:
    assert "ConvInteger" in {node.op_type for node in onnx_model(conv_program(UINT8)).graph.node}
    wide = {node.op_type for node in onnx_model(conv_program(int_type(16))).graph.node}
    assert "MatMul" in wide
    assert "ConvInteger" not in wide


def test_the_model_states_codes_in_their_containers_for_any_batch() -> None:
    model = onnx_model(conv_program(int_type(3)))
    (x,), (y,) = model.graph.input, model.graph.output
    assert (x.name, x.type.tensor_type.elem_type) == ("x", onnx.TensorProto.INT8)
    assert (y.name, y.type.tensor_type.elem_type) == ("y", onnx.TensorProto.INT32)
    assert [d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim] == ["n", 1, 5, 5]
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 20)]
    assert {node.domain for node in model.graph.node} == {""}


@pytest.mark.parametrize("samples", [0, 1, 3])
@pytest.mark.parametrize("dtype", [UINT8, int_type(16)])
def test_a_batch_has_any_size(samples: int, dtype: NumericType) -> None:
    compare(conv_program(dtype), {"x": np.ones((samples, 1, 5, 5), int)})


def test_the_same_program_gives_the_same_bytes() -> None:
    assert onnx_bytes(conv_program(UINT8)) == onnx_bytes(conv_program(UINT8))


def test_a_step_without_a_form_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(EMITTERS, "conv")
    with pytest.raises(UsageError) as error:
        onnx_model(conv_program(UINT8))
    assert str(error.value) == (
        "Step 'y': Operator 'conv' has no form in ONNX's integer operators here. "
        "Export the network as npz, hex, mem or coe."
    )


def test_a_network_beyond_the_limit_of_onnx_files_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(export, "MAX_BYTES", 100)
    size = onnx_model(conv_program(UINT8)).ByteSize()
    with pytest.raises(UsageError) as error:
        onnx_bytes(conv_program(UINT8))
    assert str(error.value) == (
        f"As one ONNX file the network takes {size:,} bytes, and those end at 100. "
        "Export it as npz, hex, mem or coe."
    )
