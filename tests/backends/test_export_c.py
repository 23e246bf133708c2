"""C exports, compiled with every warning and sanitizer, against the simulator."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intaglio.backends.export_c.names import comment, identifiers
from intaglio.backends.export_c.sources import c_sources
from intaglio.backends.simulator import Simulator
from intaglio.ir.graph import Builder, Value
from intaglio.ir.layout import to_storage
from intaglio.ir.numeric import int_type
from intaglio.ir.ops_layout import Concat
from intaglio.ir.ops_linear import Dense, GatherConv
from intaglio.ir.ops_norm import LayerNorm
from intaglio.ir.ops_quant import Threshold
from intaglio.ir.program import Program
from intaglio.ir.tensor import Tensor, TensorType
from intaglio.passes.schedule import schedule
from intaglio.testing import OPERATORS, OpCase, int_tensors, op_cases, small_programs

GCC = shutil.which("gcc")
needs_gcc = pytest.mark.skipif(GCC is None, reason="gcc is not installed")
STRICT = "-std=c99 -Wall -Wextra -Werror -pedantic -Wconversion -Wno-sign-conversion -O1".split()  # noqa: SIM905
SANITIZED = ["-fsanitize=address,undefined", "-fno-sanitize-recover"]
FEW = settings(max_examples=2, suppress_health_check=list(HealthCheck))


def built(program: Program, folder: Path) -> Path:
    for name, text in c_sources(program).items():
        (folder / name).write_text(text)
    command = [str(GCC), *STRICT, *SANITIZED, "-o", "net", "main.c", "net.c"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return folder / "net"


def executed(binary: Path, program: Program, inputs: dict[str, np.ndarray]) -> list[bytes]:
    """The outputs' bytes of each sample."""
    samples = len(next(iter(inputs.values())))
    stored = [to_storage(inputs[program.slots[index].name]) for index in program.inputs]
    given_bytes = b"".join(part[n].tobytes() for n in range(samples) for part in stored)
    done = subprocess.run([str(binary)], input=given_bytes, capture_output=True)
    assert not done.returncode, done.stderr.decode()
    size = len(done.stdout) // samples
    return [done.stdout[n * size : (n + 1) * size] for n in range(samples)]


def expected(program: Program, inputs: dict[str, np.ndarray]) -> list[bytes]:
    found = Simulator(program).run(inputs)
    stored = [to_storage(found[program.slots[index].name]) for index in program.outputs]
    samples = len(stored[0])
    return [b"".join(part[n].tobytes() for part in stored) for n in range(samples)]


def program_of(case: OpCase) -> tuple[Program, dict[str, np.ndarray]]:
    """A program of one op, its activations the inputs."""
    b, names, inputs = Builder("case"), [], {}
    for name, type_, array in zip(case.names, case.types, case.arrays, strict=True):
        if type_.batched:
            names.append(b.input(Value(name, type_, name)))
            inputs[name] = array
        else:
            names.append(b.constant(name, Tensor(array, type_.dtype)))
    result = b.node("result", case.op, *names, origin="/result */ ??/")
    return schedule(b.build((result,))), inputs


@needs_gcc
@pytest.mark.parametrize("name", OPERATORS)
@FEW
@given(data=st.data())
def test_every_operator_gives_the_codes_of_the_simulator(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    program, inputs = program_of(data.draw(op_cases(name)))
    binary = built(program, tmp_path_factory.mktemp("net"))
    assert executed(binary, program, inputs) == expected(program, inputs)


@needs_gcc
@settings(FEW, max_examples=12)
@given(data=st.data())
def test_networks_with_epilogues_and_a_shared_arena_give_the_codes_of_the_simulator(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    program = data.draw(small_programs())
    inputs = {
        (slot := program.slots[index]).name: data.draw(
            int_tensors(slot.type.dtype, (2, *slot.type.sample_shape))
        )
        for index in program.inputs
    }
    binary = built(program, tmp_path_factory.mktemp("net"))
    assert executed(binary, program, inputs) == expected(program, inputs)


def test_the_same_program_gives_the_same_text_and_no_floats_or_heap() -> None:
    program = replace(_one_op(), name="two words")
    sources = c_sources(program)
    assert sources == c_sources(program)
    assert "void two_words_run(const uint8_t *in_x, int32_t *out_result);" in sources["net.h"]
    for word in ("float ", "double", "malloc", "calloc"):
        assert word not in sources["net.c"]


def _one_op() -> Program:
    b = Builder("case")
    b.input(Value("x", TensorType(("n", 3), int_type(8, signed=False)), "x"))
    b.constant("w", Tensor(np.ones((2, 3), np.int8), int_type(8)))
    return schedule(b.build((b.node("result", Dense(), "x", "w"),)))


def test_names_of_the_model_become_unique_identifiers() -> None:
    names = ["conv/1", "conv.1", "CONV-1", "1", "int", "", "näme"]
    found = ["k_conv_1", "k_conv_1_2", "k_CONV_1_3", "k_v_1", "k_int", "k_v", "k_n_me"]
    assert identifiers(names, "k_") == found
    assert identifiers(["run"], "k_", taken=("k_run",)) == ["k_run_2"]


@needs_gcc
@pytest.mark.parametrize(
    ("program", "x", "y", "result"),
    [
        ("step_0", "n", "stdin", "step_0"),
        ("int", "uint8_t", "INT32_MAX", "EOF"),
        ("in_a", "a_run", "fread", "arena"),
        ("net", "n", "n_read", "read_0"),
        ("1", "a", "A", "main"),
    ],
)
def test_names_of_the_model_are_no_words_of_c(
    program: str, x: str, y: str, result: str, tmp_path: Path
) -> None:
    b = Builder(program)
    b.input(Value(x, TensorType(("n", 2), int_type(8)), x))
    b.input(Value(y, TensorType(("n", 3), int_type(8)), y))
    made = schedule(b.build((b.node(result, Concat(1), x, y),)))
    inputs = {x: np.array([[1, -2]], np.int8), y: np.array([[3, 127, -128]], np.int8)}
    assert executed(built(made, tmp_path), made, inputs) == [bytes([1, 254, 3, 127, 128])]


@needs_gcc
def test_thresholds_apply_to_a_layer_norm(tmp_path: Path) -> None:
    b = Builder("case")
    b.input(Value("x", TensorType(("n", 4), int_type(8)), "x"))
    b.constant("epsilon", Tensor(np.array(0, np.int8), int_type(8)))
    b.node("norm", LayerNorm(1), "x", "epsilon")
    levels = np.array([[-80000, 0, 1, 90000]], np.int32)
    b.constant("levels", Tensor(levels, int_type(32)))
    op = Threshold(int_type(8), 0)
    program = schedule(b.build((b.node("result", op, "norm", "levels"),)))
    assert program.steps[0].epilogue == op
    inputs = {"x": np.array([[-128, 127, 0, 3], [5, 5, 5, 5]], np.int8)}
    # The first row's results are about -1.43, 1.42, -0.01, 0.02 times 2^16, the second's 0.
    assert executed(built(program, tmp_path), program, inputs) == [
        bytes([0, 4, 1, 3]),
        bytes(4 * [2]),
    ]


@needs_gcc
def test_a_sample_cut_off_is_an_error(tmp_path: Path) -> None:
    binary = built(_one_op(), tmp_path)
    done = subprocess.run([str(binary)], input=bytes([1, 2, 3, 4]), capture_output=True)
    assert (done.returncode, done.stdout) == (1, np.array([6, 6], np.int32).tobytes())


@needs_gcc
def test_a_patch_far_outside_the_image_overflows_no_index(tmp_path: Path) -> None:
    """The border is 100 million pixels wide; a stride as wide leaves four patches."""
    far = 100_000_000
    op = GatherConv((1, 1), (far, far), (far, far, 0, 0), (1, 1), 7)
    b = Builder("case")
    b.input(Value("x", TensorType(("n", 2, 30, 40), int_type(8)), "x"))
    b.constant("w", Tensor(np.array([[1, 2]], np.int8), int_type(8)))
    b.constant("columns", Tensor(np.array([0, 1], np.uint8), int_type(8, signed=False)))
    program = schedule(b.build((b.node("result", op, "x", "w", "columns"),)))
    inputs = {"x": np.ones((1, 2, 30, 40), np.int8)}
    found = executed(built(program, tmp_path), program, inputs)
    assert found == [np.array([21, 21, 21, 3], np.int32).tobytes()]


def test_names_of_the_model_end_no_comment() -> None:
    assert comment("a */ b /* c\n??/\\") == "a * / b / * c_? ?/"
