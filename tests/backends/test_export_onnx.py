"""ONNX exports through onnxruntime, which shares no code with the simulator: equal codes."""

import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from intaglio.backends.export_onnx.model import onnx_model
from intaglio.backends.simulator import Simulator
from intaglio.errors import UsageError
from intaglio.ir.graph import Builder, Value
from intaglio.ir.ops_softmax import EXACT, Softmax
from intaglio.ir.program import Program
from intaglio.ir.tensor import Tensor
from intaglio.passes.schedule import schedule
from intaglio.testing import OPERATORS, OpCase, int_tensors, op_cases, small_programs

MANY = settings(max_examples=25, suppress_health_check=list(HealthCheck))


def by_onnxruntime(program: Program, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    model = onnx_model(program).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def check(program: Program, inputs: dict[str, np.ndarray]) -> None:
    found = by_onnxruntime(program, inputs)
    for name, codes in Simulator(program).run(inputs).items():
        given_name = name if name in found else f"{name}/output"
        assert found[given_name].dtype == codes.dtype
        assert np.array_equal(found[given_name], codes)


def program_of(case: OpCase) -> tuple[Program, dict[str, np.ndarray]]:
    """A program of one op, its activations the inputs."""
    b, names, inputs = Builder("case"), [], {}
    for name, type_, array in zip(case.names, case.types, case.arrays, strict=True):
        if type_.batched:
            names.append(b.input(Value(name, type_, name)))
            inputs[name] = array
        else:
            names.append(b.constant(name, Tensor(array, type_.dtype)))
    result = b.node("result", case.op, *names, origin="/result")
    return schedule(b.build((result,))), inputs


@pytest.mark.parametrize("name", OPERATORS)
@MANY
@given(data=st.data())
def test_every_operator_gives_the_codes_of_the_simulator(name: str, data: st.DataObject) -> None:
    case = data.draw(op_cases(name))
    assume(not isinstance(case.op, Softmax) or case.op.division == EXACT)
    check(*program_of(case))


@settings(MANY, max_examples=60)
@given(data=st.data())
def test_networks_give_the_codes_of_the_simulator(data: st.DataObject) -> None:
    program = data.draw(small_programs())
    assume(all(not isinstance(s.op, Softmax) or s.op.division == EXACT for s in program.steps))
    inputs = {
        (slot := program.slots[index]).name: data.draw(
            int_tensors(slot.type.dtype, (2, *slot.type.sample_shape))
        )
        for index in program.inputs
    }
    check(program, inputs)


@settings(MANY, max_examples=5)
@given(case=op_cases("softmax").filter(lambda case: case.op.division != EXACT))
def test_a_softmax_that_divides_as_another_runtime_does_is_refused(case: OpCase) -> None:
    with pytest.raises(UsageError) as raised:
        onnx_model(program_of(case)[0])
    assert str(raised.value) == (
        "Node '/result' (softmax): It divides as another runtime does, which no standard ONNX "
        "operator does. Export to C (--format c), or import the model without its last softmax."
    )
