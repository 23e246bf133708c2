"""intaglio diff: where two networks part, and what cannot be compared."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

import intaglio
from intaglio.ir.evaluate import walk
from intaglio.passes.base import Context

Call = Callable[..., Any]
Samples = Callable[..., np.ndarray]
Model = Callable[..., onnx.ModelProto]


def test_diff_finds_no_difference_between_a_network_and_itself(
    made: Path, here: Path, call: Call
) -> None:
    for name in ("w4.intg", "tiny.onnx"):
        result = call("diff", made / name, made / name, made / "x.npy", "--json")
        assert result.code == 0
        assert result.json["equal"] is True
        assert {layer["different"] for layer in result.json["layers"]} == {0}


def test_diff_of_two_blobs_compares_codes_exactly(
    made: Path, here: Path, call: Call, wrong: np.ndarray
) -> None:
    result = call("diff", made / "w4.intg", made / "w8.intg", made / "x.npy", "--json")
    one, two = (intaglio.load(made / f"w{bits}.intg") for bits in (4, 8))
    x = np.load(made / "x.npy")
    a, b = (net.trace(x)["r"] for net in (one, two))
    assert a.encoding == b.encoding
    wrong = np.argwhere(a.codes != b.codes)
    layer = result.json["layers"][0]
    assert result.code == 1
    assert (layer["name"], layer["unit"], layer["different"]) == ("r", "codes", len(wrong))
    assert layer["first"]["index"] == wrong[0].tolist()
    assert layer["first"]["a"] == a.codes[tuple(wrong[0])]
    assert layer["first"]["b"] == b.codes[tuple(wrong[0])]
    assert layer["worst"] == np.abs(a.codes.astype(int) - b.codes.astype(int)).max()
    text = call("diff", made / "w4.intg", made / "w8.intg", made / "x.npy").out
    assert text.splitlines()[-1].startswith(f"They part at layer 'r': {len(wrong)} of 360 elements")


def test_diff_of_float_and_blob_counts_steps_of_the_scale(
    made: Path, here: Path, call: Call
) -> None:
    result = call("diff", made / "tiny.onnx", made / "w8.intg", made / "x.npy", "--json")
    names = [layer["name"] for layer in result.json["layers"]]
    assert names == ["r", "p", "y.conv", "y"]
    assert {layer["unit"] for layer in result.json["layers"]} == {"steps"}
    mirrored = call("diff", made / "w8.intg", made / "tiny.onnx", made / "x.npy", "--json").json
    for one, two in zip(result.json["layers"], mirrored["layers"], strict=True):
        assert (one["worst"], one["different"]) == (two["worst"], two["different"])
        assert one["first"]["a"] == two["first"]["b"]


def test_a_code_differs_from_a_real_beyond_half_a_step(made: Path, here: Path, call: Call) -> None:
    net = intaglio.load(made / "w8.intg")
    reals = net.encode(np.load(made / "x.npy"))["x"] * np.float32(net.inputs[0].encoding.scale)
    np.save("x.npy", reals)
    graph = intaglio.import_model(made / "tiny.onnx")
    same = intaglio.Pipeline.parse("canonicalize,equalize").run(graph, Context())
    expected = next(array for node, array in walk(same, {"x": reals}) if node.name == "r")
    codes = net.trace(reals)["r"]
    steps = np.abs(codes.real - expected) / codes.encoding.scale
    layer = call("diff", made / "w8.intg", made / "tiny.onnx", "x.npy", "--json").json["layers"][0]
    assert layer["different"] == (steps > 0.5).sum() < (steps > 0).sum()
    assert layer["worst"] == steps.max()


def test_float_and_eight_bit_codes_stay_close_through_equalization(
    made: Path, here: Path, call: Call
) -> None:
    layers = call("diff", made / "tiny.onnx", made / "w8.intg", made / "x.npy", "--json").json
    first = layers["layers"][0]
    assert first["mean"] < 1, "the float side was not brought to the form of the recipe"


def test_diff_refuses_networks_with_different_inputs(
    made: Path, here: Path, call: Call, tiny_model: Model
) -> None:
    model = tiny_model()
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 8
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 8
    model.graph.node[4].input[0] = "p"
    del model.graph.node[3:]
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("p", TensorProto.FLOAT, None))
    onnx.save(model, "wide.onnx")
    Path("w4.intg").write_bytes((made / "w4.intg").read_bytes())
    result = call("diff", "w4.intg", "wide.onnx")
    assert (result.code, result.err) == (
        2,
        "The inputs differ: 'w4.intg' takes x [n,1,6,6]; 'wide.onnx' takes x [n,1,8,8]. Compare "
        "two versions of the same network.\n",
    )


def test_diff_refuses_blobs_whose_inputs_have_other_codes(
    made: Path, here: Path, call: Call, samples: Samples
) -> None:
    net = intaglio.compile(made / "tiny.onnx", 3 * samples(64), weight_bits=4)
    net.save("other.intg")
    Path("w4.intg").write_bytes((made / "w4.intg").read_bytes())
    result = call("diff", "w4.intg", "other.intg")
    (one,), (two,) = (intaglio.load(name).inputs for name in ("w4.intg", "other.intg"))
    assert (result.code, result.err) == (
        2,
        f"Input 'x': The codes differ: uint8[n,1,6,6] with {one.encoding} in 'w4.intg', "
        f"uint8[n,1,6,6] with {two.encoding} in 'other.intg'. Compile both with the same "
        "calibration data.\n",
    )


def test_diff_refuses_inputs_of_another_shape(
    made: Path, here: Path, call: Call, wrong: np.ndarray
) -> None:
    np.save("wrong.npy", wrong)
    result = call("diff", made / "tiny.onnx", made / "w4.intg", "wrong.npy")
    assert (result.code, result.err) == (
        2,
        "Input 'x': The array is [3, 1, 7, 6], expected [n, 1, 6, 6]. Name each array after the "
        "input it belongs to.\n",
    )
