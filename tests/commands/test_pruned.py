"""intaglio compile of a pruned network: how many weights count, and what purify removed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import intaglio
from intaglio.ir.ops_linear import Conv, Dense

Call = Callable[..., Any]
RECIPE = "canonicalize,purify,quantize,lower"


@pytest.fixture
def pruned(made: Path, here: Path, tiny_model: Callable[..., onnx.ModelProto]) -> Path:
    """The tiny network without its first filter, and half of the scores' weights."""
    model = tiny_model()
    for held in model.graph.initializer:
        array = numpy_helper.to_array(held).copy()
        if held.name == "w1":
            array[0] = 0
        if held.name == "w2":
            array[:, ::2] = 0
        held.CopyFrom(numpy_helper.from_array(array, held.name))
    onnx.save(model, "pruned.onnx")
    return made / "calib.npz"


def compiled(call: Call, data: Path, recipe: str, *more: str) -> Any:
    return call("compile", "pruned.onnx", "--data", data, "--recipe", recipe, *more)


def facts(out: str, name: str) -> list[str]:
    lines = (line.split(maxsplit=1) for line in out.splitlines() if line.startswith(f"{name} "))
    return [value.rstrip() for _, value in lines]


def test_compile_tells_how_many_weights_count(pruned: Path, call: Call) -> None:
    recipe = "canonicalize,quantize,lower"
    assert facts(compiled(call, pruned, recipe).out, "kept")[0] == "36 of 72 are not zero"
    found = compiled(call, pruned, recipe, "--json").json
    program = intaglio.load("pruned.intg").program
    steps = [step for step in program.steps if isinstance(step.op, Conv | Dense)]
    arrays = [program.slots[step.inputs[1]].constant.array for step in steps]
    assert found["weights"] == {
        "nonzero": sum(int(np.count_nonzero(array)) for array in arrays),
        "total": sum(array.size for array in arrays),
    }
    assert found["removed"] == []


def test_compile_tells_what_purify_removed(pruned: Path, call: Call) -> None:
    result = compiled(call, pruned, RECIPE)
    assert result.code == 0
    assert facts(result.out, "removed") == [
        "/conv/Conv: 1 of 2 filters, 0 of 1 channels and 0 of 9 columns",
        "/fc/Gemm: 0 of 3 filters, 1 of 2 channels and 9 of 18 columns",
    ]
    found = compiled(call, pruned, RECIPE, "--json").json["removed"]
    assert [each["layer"] for each in found] == ["/conv/Conv", "/fc/Gemm"]
    assert found[0]["before"] == {"rows": 2, "channels": 1, "columns": 9}
    assert found[0]["after"] == {"rows": 1, "channels": 1, "columns": 9}


def test_a_network_that_is_not_pruned_is_not_said_to_be(
    made: Path, here: Path, compile_tiny: Call
) -> None:
    assert [value.split()[-1] for value in facts(compile_tiny().out, "weights")] == ["bytes"]
