"""intaglio inspect: layers, bytes, accumulators, certificates."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import intaglio

Call = Callable[..., Any]


def test_inspect_shows_header_bytes_layers_and_recipe(made: Path, here: Path, call: Call) -> None:
    found = call("inspect", made / "w4.intg", "--json").json
    blob = (made / "w4.intg").read_bytes()
    assert sum(found["sections"].values()) == len(blob) == found["bytes"]["total"]
    assert list(found["sections"]) == ["HEAD", "SLOT", "STEP", "WORD", "DATA", "META"]
    assert (found["name"], found["slots"], found["steps"]) == ("tiny", 13, 4)
    assert [slot["type"] for slot in found["inputs"] + found["outputs"]] == [
        "uint8[n,1,6,6]",
        "int16[n,3]",
    ]
    assert [layer["op"] for layer in found["layers"]] == ["conv", "max_pool", "conv", "reshape"]
    text = call("inspect", made / "w4.intg").out
    assert "digest      47942387074614ba" in text
    assert "arena   192 bytes per sample" in text


def test_the_accumulators_of_inspect_are_those_that_extreme_inputs_reach(
    made: Path, here: Path, call: Call
) -> None:
    layer = call("inspect", made / "w4.intg", "--json").json["layers"][0]
    (weight,) = (
        slot.constant.array
        for slot in intaglio.load(made / "w4.intg").program.constants
        if slot.name == "c.weight"
    )
    rows = weight.astype(int).reshape(2, -1)
    lo = 255 * np.minimum(rows, 0).sum(axis=1).min()
    hi = 255 * np.maximum(rows, 0).sum(axis=1).max()
    assert layer["accumulator"] == [lo, hi]
    assert -(2 ** (layer["accumulator_bits"] - 1)) <= lo
    assert hi < 2 ** (layer["accumulator_bits"] - 1)
    assert max(-lo - 1, hi) >= 2 ** (layer["accumulator_bits"] - 2)


def test_inspect_prints_the_program(made: Path, here: Path, call: Call) -> None:
    lines = call("inspect", made / "w4.intg", "--text").out.splitlines()
    assert lines[0] == "program tiny: 192 bytes of arena per sample"
    assert lines[1] == "  const c.weight: int4[2,1,3,3]"
    assert lines[-3].startswith("  y.conv: int16[n,3,1,1] at 0 ~ ")
    assert " = conv (p, y.conv.weight) then requantize {dtype: int16, lo: -32768," in lines[-3]
    assert lines[-1] == "  return y"


def test_inspect_prints_every_certificate(made: Path, here: Path, call: Call) -> None:
    lines = call("inspect", made / "w4.intg", "--certificates").out.splitlines()
    program = intaglio.load(made / "w4.intg").program
    proofs = program.certificates
    assert lines == [f"/conv/Conv: {proofs['r']}", f"/fc/Gemm: {proofs['y.conv']}"]
