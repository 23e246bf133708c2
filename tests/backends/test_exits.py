"""Exits in a program and in its blob, and what is no exit."""

from dataclasses import replace

import numpy as np
import pytest

from intaglio.backends.blob_check import check
from intaglio.backends.blob_layout import EXITS
from intaglio.backends.blob_reader import read_blob
from intaglio.backends.blob_sections import blob_sections, with_section
from intaglio.backends.blob_writer import exit_records, write_blob
from intaglio.backends.early import EarlySimulator, margins
from intaglio.backends.exits import exit_slots
from intaglio.errors import BlobError, DataError, UsageError, VerifyError
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import int_type
from intaglio.ir.ops_linear import Dense
from intaglio.ir.program import Exit, Program
from intaglio.ir.tensor import BATCH, Tensor, TensorType
from intaglio.passes.schedule import schedule

RULE = "Exits are outputs (n, 2 or more codes) before the last, in order of their steps."
INT8, MARGIN = int_type(8), 30


def program(*exits: int) -> Program:
    """Three dense of x, all outputs; exits by their number, of MARGIN."""
    rng, b = np.random.default_rng(0), Builder("net")
    x, names = b.input(Value("x", TensorType((BATCH, 3), int_type(4, signed=False)))), []
    for index, rows in enumerate((3, 1, 3)):
        weight = Tensor(rng.integers(-2, 3, (rows, 3)).astype(np.int8), INT8)
        names.append(b.node(f"y{index}", Dense(), x, b.constant(f"w{index}", weight)))
    made = schedule(b.build(tuple(names)))
    return replace(made, exits=tuple(Exit(made.outputs[index], MARGIN) for index in exits))


def test_exits_are_kept_in_a_section_that_others_skip() -> None:
    blob = write_blob(program(0))
    assert [row.id for row in blob_sections(blob)][-1] == EXITS
    assert read_blob(blob) == program(0)
    assert write_blob(program()) == write_blob(replace(program(0), exits=()))
    assert with_section(write_blob(program()), EXITS, exit_records(program(0).exits)) == blob
    unknown = with_section(write_blob(program()), b"NEWS", b"abc")
    assert read_blob(unknown) == program()


def test_an_output_that_is_an_input_is_no_exit() -> None:
    given = program()
    with pytest.raises(UsageError) as caught:
        exit_slots(replace(given, outputs=(given.inputs[0], given.outputs[2])))
    assert str(caught.value) == (
        "Network 'net' has 2 outputs, and no early exits among them. Give a network with two or "
        "more outputs of as many class scores, such as 'compile --glimpses' makes."
    )
    assert exit_slots(replace(given, outputs=given.outputs[::2])) == list(given.outputs[::2])


def test_half_a_record_is_refused() -> None:
    blob = with_section(write_blob(program()), EXITS, bytes(12))
    with pytest.raises(BlobError) as caught:
        read_blob(blob)
    assert caught.value.what == "Section EXIT does not consist of whole records."


@pytest.mark.parametrize(
    ("broken", "where", "finding"),
    [
        (program(2), "Program 'net'", "slot {2} is an exit and no earlier output"),
        (
            replace(program(), exits=(Exit(0, 1),)),
            "Program 'net'",
            "slot 0 is an exit and no earlier output",
        ),
        (program(1), "Tensor 'y1'", "it is an exit of int32[n,1]"),
        (
            replace(program(), exits=(Exit(program().outputs[0], -1),)),
            "Tensor 'y0'",
            "its margin is -1",
        ),
        (program(0, 0), "Program 'net'", "its exits are not in order"),
    ],
)
def test_what_is_no_exit_is_refused(broken: Program, where: str, finding: str) -> None:
    with pytest.raises(VerifyError) as caught:
        check(broken, VerifyError)
    slot = broken.outputs[-1]
    assert caught.value.what == f"{finding.replace('{2}', str(slot))}. Rule: {RULE}"
    assert caught.value.where == where


def test_a_margin_is_the_distance_to_the_next_best() -> None:
    codes = np.array([[1, 5, 3], [-7, -7, -9], [2**31 - 1, -(2**31), 0]], np.int32)
    assert margins(codes).tolist() == [2, 0, 2**31 - 1]


def test_samples_that_are_sure_are_done() -> None:
    x = np.random.default_rng(1).integers(0, 16, (50, 3)).astype(np.uint8)
    found = EarlySimulator(program(0)).run({"x": x})
    assert found.names == ("y0", "y2")
    weights = [program().slot(name).constant.array.astype(int) for name in ("w0", "w2")]
    first, last = (x.astype(int) @ weight.T for weight in weights)
    ordered = np.sort(first, axis=1)
    sure = ordered[:, -1] - ordered[:, -2] >= MARGIN
    assert 0 < sure.sum() < 50
    assert found.taken.tolist() == np.where(sure, 0, 1).tolist()
    assert np.array_equal(found.codes, np.where(sure[:, None], first, last))


def test_no_samples_are_no_error_and_other_shapes_are() -> None:
    early = EarlySimulator(program(0))
    assert early.run({"x": np.zeros((0, 3), np.uint8)}).codes.shape == (0, 3)
    with pytest.raises(DataError):
        early.run({"x": np.zeros((2, 4), np.uint8)})
