"""intaglio compile: what it writes and says, and how it fails."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import intaglio
from intaglio.commands.compile import differs
from intaglio.frontend.compare import compare_onnx

Call = Callable[..., Any]
Samples = Callable[..., np.ndarray]
Model = Callable[..., onnx.ModelProto]


def test_compile_writes_the_same_blob_as_the_library(
    made: Path, here: Path, compile_tiny: Call
) -> None:
    result = compile_tiny("--weights", 4)
    assert result.code == 0
    assert (here / "tiny.intg").read_bytes() == (made / "w4.intg").read_bytes()
    size = (here / "tiny.intg").stat().st_size
    assert result.out.endswith(f"Wrote tiny.intg ({size:,} bytes).\n")


def test_compile_tells_of_every_layer_in_the_words_of_the_model(
    made: Path, here: Path, compile_tiny: Call
) -> None:
    lines = [line.rstrip() for line in compile_tiny("--weights", 4).out.splitlines()]
    (row,) = (line for line in lines if line.startswith(" /conv/Conv"))
    assert row.split()[:6] == ["/conv/Conv", "conv", "2x6x6", "uint8", "int4", "9"]
    assert row.split()[-1] == "certified"
    assert "proof       all 2 rescalings equal their definition on every reachable input" in lines


def test_compile_prints_the_difference_to_the_executor_of_the_model(
    made: Path, here: Path, compile_tiny: Call
) -> None:
    found = compile_tiny("--json").json["import"]
    assert re.fullmatch(r"(onnxruntime|onnx\.reference) [0-9.]+", found["executor"])
    assert [each["output"] for each in found["outputs"]] == ["y"]
    assert found["outputs"][0]["relative"] < 1e-6


def test_compile_as_json_gives_layers_bytes_and_passes(
    made: Path, here: Path, compile_tiny: Call
) -> None:
    found = compile_tiny("--weights", 4, "-o", "net.intg", "--json").json
    assert found["output"] == "net.intg"
    assert found["bytes"]["total"] == (here / "net.intg").stat().st_size
    assert sum(found["bytes"].values()) == 2 * found["bytes"]["total"]
    assert [each["name"] for each in found["passes"]] == [
        "canonicalize",
        "equalize",
        "quantize",
        "lower",
        "dead_channels",
        "columns",
    ]
    assert (
        found["recipe"]
        == 'canonicalize,equalize,quantize{"weight_bits": 4},lower,dead_channels,columns'
    )
    assert found["digest"] == intaglio.Pipeline.parse(found["recipe"]).digest
    assert found["proved"] is True
    assert found["layers"][0]["origin"] == "/conv/Conv"


def test_compile_takes_a_recipe(made: Path, here: Path, compile_tiny: Call) -> None:
    Path("recipe.toml").write_text(
        '[[pass]]\nname = "canonicalize"\n[[pass]]\nname = "quantize"\nweight_bits = 2\n'
        '[[pass]]\nname = "lower"\n'
    )
    found = compile_tiny("--recipe", "recipe.toml", "--json").json
    assert found["recipe"] == 'canonicalize,quantize{"weight_bits": 2},lower'


def test_compile_prints_the_graph_after_a_pass_to_stderr(
    made: Path, here: Path, compile_tiny: Call
) -> None:
    result = compile_tiny("--print-after", "canonicalize", "--json")
    assert result.err.startswith("// after canonicalize\ngraph tiny (x: float32[n,1,6,6])\n")
    assert result.json["output"] == "tiny.intg"


def test_compile_takes_a_model_with_a_fixed_batch(
    made: Path, here: Path, call: Call, tiny_model: Model
) -> None:
    model = tiny_model()
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 7
    onnx.save(model, "fixed.onnx")
    assert call("compile", "fixed.onnx", "--data", made / "calib.npz").code == 0


@pytest.mark.parametrize(("scale", "other"), [(1.0, False), (1.1, True)])
def test_an_import_that_is_another_network_is_told_from_rounding(
    made: Path, tiny_model: Model, scale: float, other: bool
) -> None:
    graph = intaglio.import_model(made / "tiny.onnx")
    assert differs(compare_onnx(tiny_model(scale), graph)) is other


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["compile", "none.onnx", "--data", "calib.npz"],
            "File 'none.onnx': There is no such file. Check the path.\n",
        ),
        (
            ["compile", "tiny.onnx", "--data", "none.npz"],
            "'none.npz': It cannot be read: No such file or directory.\n",
        ),
        (
            ["compile", "tiny.onnx", "--data", "junk.npz"],
            "'junk.npz': It is not a readable .npy or .npz file. Write numbers to it with "
            "numpy.save or numpy.savez.\n",
        ),
        (
            ["compile", "tiny.onnx", "--data", "cut.npz"],
            "'cut.npz': It is not a readable .npy or .npz file. Write numbers to it with "
            "numpy.save or numpy.savez.\n",
        ),
        (
            ["compile", "tiny.onnx", "--data", "empty.npy"],
            "The calibration data is empty. Give at least one sample, better 100 to 1000 that "
            "look like real inputs.\n",
        ),
        (
            ["compile", "tiny.onnx", "--data", "wrong.npy"],
            "Input 'x': Calibration data is float32[3, 1, 7, 6], expected reals of shape "
            "('n', 1, 6, 6). Prepare the data exactly as the float network takes it.\n",
        ),
        (
            ["compile", "tiny.onnx", "--data", "other.npz"],
            "Input 'x': The calibration data has no array of this name, only z. Name each array "
            "after the input it belongs to.\n",
        ),
        (
            ["compile", "tiny.onnx", "--data", "nan.npy"],
            "Input 'x': The calibration data holds NaN or infinite values. Remove or repair these "
            "samples.\n",
        ),
        (
            ["compile", "tiny.onnx", "--data", "calib.npz", "--weights", "9"],
            "weight_bits is 9. Choose 1 to 8.\n",
        ),
        (
            ["compile", "tiny.onnx", "--data", "calib.npz", "--recipe", "typo.toml"],
            "Pass 'quantize' has no option weigth_bits. Its options are weight_bits, "
            "activation_bits, output_bits, per_channel, calibration, percentile, weights, "
            "bias_correction, layers.\n",
        ),
        (
            ["compile", "tiny.onnx", "--data", "calib.npz", "--recipe", "none.toml"],
            "'none.toml': It cannot be read: No such file or directory.\n",
        ),
        (
            ["compile", "tiny.onnx", "--data", "calib.npz", "--recipe", "lower", "--weights", "4"],
            "Options weight_bits and a recipe were given together. Put the options into the "
            "recipe's quantize pass.\n",
        ),
        (
            ["compile", "tiny.onnx", "--data", "calib.npz", "-o", "none/net.intg"],
            "'none/net.intg': The file cannot be written: No such folder. Choose a folder that "
            "exists and that you may write to.\n",
        ),
        (
            ["compile", "tiny.onnx", "--data", "calib.npz", "-o", "calib.npz/net.intg"],
            "'calib.npz/net.intg': The file cannot be written: No such folder. Choose a folder "
            "that exists and that you may write to.\n",
        ),
        (
            ["compile", "tiny.onnx", "--data", "calib.npz", "--print-after", "prune"],
            "There is no pass 'prune' to print after. The passes are canonicalize, train, admm, "
            "magnitude, purify, branch, strip, equalize, quantize, qat, lower, dead_channels, "
            "columns.\n",
        ),
        (
            ["compile", "calib.npz", "--data", "calib.npz"],
            "'calib.npz': This is not a model file that intaglio reads. Give an .onnx or .tflite file, or a "
            "torch.nn.Module from Python.\n",
        ),
    ],
)
def test_a_failed_compile_explains_itself_and_leaves_no_file(
    made: Path,
    here: Path,
    arguments: list[str],
    error: str,
    call: Call,
    samples: Samples,
    wrong: np.ndarray,
) -> None:
    for name in ("tiny.onnx", "calib.npz"):
        Path(name).write_bytes((made / name).read_bytes())
    Path("junk.npz").write_text("junk")
    Path("cut.npz").write_bytes((made / "calib.npz").read_bytes()[:300])
    np.save("empty.npy", samples(0))
    np.save("wrong.npy", wrong)
    np.save("nan.npy", np.full((2, 1, 6, 6), np.nan, np.float32))
    np.savez("other.npz", z=samples(2))
    Path("typo.toml").write_text('[[pass]]\nname = "quantize"\nweigth_bits = 4\n')
    before = sorted(here.iterdir())
    result = call(*arguments)
    assert (result.code, result.out, result.err) == (2, "", error)
    assert sorted(here.iterdir()) == before


def test_an_interrupted_compile_exits_130_and_keeps_the_old_file(
    made: Path, here: Path, monkeypatch: pytest.MonkeyPatch, compile_tiny: Call
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    Path("tiny.intg").write_text("old")
    monkeypatch.setattr(os, "replace", interrupt)
    result = compile_tiny()
    assert (result.code, result.err) == (130, "Interrupted.\n")
    assert [(path.name, path.read_text()) for path in here.iterdir()] == [("tiny.intg", "old")]


def test_storage_by_pattern_and_a_warning_for_a_pattern_of_nothing(
    made: Path, here: Path, compile_tiny: Call
) -> None:
    result = compile_tiny("--storage", "dense", "--storage", "/conv/*=bitmap")
    assert (result.code, result.err) == (0, "")
    net = intaglio.compile(
        made / "tiny.onnx", made / "calib.npz", storage=["dense", "/conv/*=bitmap"]
    )
    assert intaglio.load(here / "tiny.intg").blob == net.blob
    result = compile_tiny("--storage", "/fcl/*=bitmap")
    assert result.code == 0
    assert result.err == (
        "Warning: --storage names '/fcl/*', which no constant of the blob matches.\n"
    )
