"""What a user does wrong, and the whole paragraph that answers it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import intaglio
from intaglio.errors import UsageError


def model(
    *,
    shape: tuple[str | int, ...] = ("n", 1, 6, 6),
    operator: str = "Relu",
    weight: np.ndarray | None = None,
    **attributes: object,
) -> onnx.ModelProto:
    """A conv and an activation; each argument spoils one thing."""
    weight = np.ones((2, 1, 3, 3), np.float32) if weight is None else weight
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["c"], name="/conv1/Conv", **attributes),
        helper.make_node(operator, ["c"], ["out"], name="/act/Act"),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w")],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)


def samples(count: int = 8, side: int = 6) -> np.ndarray:
    return np.random.default_rng(0).random((count, 1, side, side), dtype=np.float32)


@pytest.fixture(scope="module")
def network() -> intaglio.Network:
    return intaglio.compile(model(), samples())


def text_of(action: Callable[[], object]) -> str:
    with pytest.raises(intaglio.IntaglioError) as caught:
        action()
    return str(caught.value)


def test_a_truncated_onnx_file(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    whole = model().SerializeToString()
    path.write_bytes(whole[: len(whole) // 2])
    assert text_of(lambda: intaglio.import_model(path)) == (
        f"File '{path}': It is not an ONNX model, or it is cut off. Export the model again, or copy "
        "it again."
    )


def test_an_unknown_operator() -> None:
    assert text_of(lambda: intaglio.import_model(model(operator="FancyGelu"))) == (
        "Node '/act/Act' (FancyGelu): Operator 'FancyGelu' of domain 'ai.onnx', opset 17, is not "
        "supported. No supported operator has a similar name; 'intaglio ops' lists them all. "
        "Replace it, or stop before it with outputs=['c'] (--output-tensor 'c')."
    )


def test_an_unsupported_value_of_an_attribute() -> None:
    assert text_of(lambda: intaglio.import_model(model(auto_pad="SAME_WEIRD"))) == (
        "Node '/conv1/Conv' (Conv): Attribute 'auto_pad' = 'SAME_WEIRD' is not supported. "
        "Supported: 'NOTSET', 'VALID', 'SAME_UPPER', 'SAME_LOWER'."
    )


def test_an_unknown_attribute() -> None:
    assert text_of(lambda: intaglio.import_model(model(frobnicate=3))) == (
        "Node '/conv1/Conv' (Conv): Attribute 'frobnicate' = 3 is not supported. Supported "
        "attributes: auto_pad, dilations, group, kernel_shape, pads, strides."
    )


def test_a_symbolic_height() -> None:
    assert text_of(lambda: intaglio.import_model(model(shape=("n", 1, "h", "w")))) == (
        "Input 'image': Axis 2 has the symbolic size 'h'. Every size but the batch must be a "
        "number: export with fixed sizes, or run 'python -m "
        "onnxruntime.tools.make_dynamic_shape_fixed --dim_param h --dim_value 224 model.onnx "
        "fixed.onnx' with your size."
    )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_is_not_finite(value: float) -> None:
    weight = np.ones((2, 1, 3, 3), np.float32)
    weight[1, 0, 2, 2] = value
    assert text_of(lambda: intaglio.import_model(model(weight=weight))) == (
        "Node '/conv1/Conv' (Conv): Weight 'w' has 1 of 18 elements that are not finite in float32 "
        f"(the first, at [1, 0, 2, 2], is {value}). No integer stands for them: repair or retrain "
        "the weights."
    )


def test_an_input_of_the_wrong_shape(network: intaglio.Network) -> None:
    assert text_of(lambda: network.run(np.zeros((3, 1, 5, 5), np.uint8))) == (
        "Input 'image': Its shape is (3, 1, 5, 5), but the network takes (n, 1, 6, 6). The first "
        "axis counts the samples; reshape the data."
    )


def test_an_input_of_the_wrong_dtype(network: intaglio.Network) -> None:
    assert text_of(lambda: network.run(np.zeros((3, 1, 6, 6), bool))) == (
        "Input 'image': Its elements are bool, but the network takes codes of uint8. Quantize the "
        "data with the scale and zero point of the input."
    )


def test_codes_outside_their_type(network: intaglio.Network) -> None:
    assert text_of(lambda: network.run(np.full((3, 1, 6, 6), 300))) == (
        "Input 'image': Its codes reach 300..300, but uint8 holds 0..255. Quantize the data with "
        "the scale and zero point of the input."
    )


def test_an_input_that_is_not_finite(network: intaglio.Network) -> None:
    assert text_of(lambda: network.run(np.full((3, 1, 6, 6), np.nan))) == (
        "Input 'image': The input holds NaN or infinite values. Remove or repair these samples."
    )


@pytest.mark.parametrize("data", [samples(0), [], {"image": samples(0)}])
def test_empty_calibration_data(data: object) -> None:
    assert text_of(lambda: intaglio.compile(model(), data)) == (
        "The calibration data is empty. Give at least one sample, better 100 to 1000 that look "
        "like real inputs."
    )


def test_calibration_data_of_the_wrong_shape() -> None:
    assert text_of(lambda: intaglio.compile(model(), samples(side=5))) == (
        "Input 'image': Calibration data is float32[8, 1, 5, 5], expected reals of shape "
        "('n', 1, 6, 6). Prepare the data exactly as the float network takes it."
    )


def test_an_output_that_cannot_be_written(network: intaglio.Network, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "net.intg"
    assert text_of(lambda: network.save(path)) == (
        f"'{path}': The file cannot be written: No such file or directory. Choose a folder that "
        "exists and that you may write to."
    )


def damaged(network: intaglio.Network, path: Path, blob: bytes) -> str:
    path.write_bytes(blob)
    return text_of(lambda: intaglio.load(path))


def test_a_truncated_blob(network: intaglio.Network, tmp_path: Path) -> None:
    path = tmp_path / "net.intg"
    assert damaged(network, path, network.blob[:500]) == (
        f"'{path}': The blob is truncated: it has 500 bytes, not {len(network.blob)}. Copy or "
        "download the file again."
    )


def test_a_flipped_bit_in_a_blob(network: intaglio.Network, tmp_path: Path) -> None:
    path = tmp_path / "net.intg"
    blob = bytearray(network.blob)
    blob[len(blob) // 2] ^= 16
    assert damaged(network, path, bytes(blob)) == (
        f"'{path}': The blob is damaged: the checksum of its section WORD does not match. Copy or "
        "download the file again."
    )


def test_a_blob_of_a_newer_version(network: intaglio.Network, tmp_path: Path) -> None:
    path = tmp_path / "net.intg"
    blob = bytearray(network.blob)
    blob[4] = 2
    blob[60:64] = struct.pack("<I", zlib.crc32(bytes(blob[:60])))
    assert damaged(network, path, bytes(blob)) == (
        f"'{path}': The blob has format version 2.2, this intaglio reads 1.x. Update intaglio, or "
        "compile the network again with this version."
    )


def test_a_file_that_is_no_blob(network: intaglio.Network, tmp_path: Path) -> None:
    path = tmp_path / "net.intg"
    assert damaged(network, path, b"hello") == (
        f"'{path}': This is not a blob: it begins with b'hell', not with b'INTG'. Give a file that "
        "intaglio wrote."
    )


def test_bits_that_do_not_exist() -> None:
    assert text_of(lambda: intaglio.compile(model(), samples(), weight_bits=9)) == (
        "weight_bits is 9. Choose 1 to 8."
    )


def test_a_file_that_is_missing() -> None:
    assert text_of(lambda: intaglio.import_model("nothing.onnx")) == (
        "File 'nothing.onnx': There is no such file. Check the path."
    )


def test_a_save_that_fails_leaves_no_file(
    network: intaglio.Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.replace", refuse_to_rename)
    text_of(lambda: network.save(tmp_path / "net.intg"))
    assert list(tmp_path.iterdir()) == []


def refuse_to_rename(source: str, target: str) -> None:
    raise OSError(28, "No space left on device")


def test_integers_as_calibration_data() -> None:
    assert text_of(lambda: intaglio.compile(model(), (samples() * 255).astype(np.uint8))) == (
        "Input 'image': Calibration data is uint8, but integers are codes, as in running a "
        "network. Convert it to float32, scaled as the float network takes it."
    )


@pytest.mark.parametrize(("recipe", "stage"), [("", "float"), ("canonicalize", "float")])
def test_a_recipe_that_does_not_reach_integers(recipe: str, stage: str) -> None:
    assert text_of(lambda: intaglio.compile(model(), samples(), recipe=recipe)) == (
        f"The recipe '{recipe}' leaves the {stage} stage, not integers. The usual order is "
        "canonicalize, equalize, quantize, lower."
    )


def test_a_percentile_that_keeps_less_than_half() -> None:
    assert text_of(lambda: intaglio.compile(model(), samples(), percentile=3.0)) == (
        "percentile is 3.0. Choose above 50, to 100."
    )


def test_a_tflite_model_without_a_batch() -> None:
    with pytest.raises(UsageError) as caught:
        intaglio.compile("net.tflite", batch=False)
    assert str(caught.value) == (
        "Only ONNX models may have no batch. Leave out 'batch' (--no-batch)."
    )


def test_inner_tensors_of_a_module() -> None:
    torch = pytest.importorskip("torch", reason="modules are torch's")
    with pytest.raises(UsageError) as caught:
        intaglio.compile(torch.nn.ReLU(), outputs=["relu"], example_inputs=(torch.zeros(1, 2),))
    assert str(caught.value) == (
        "outputs: A torch.nn.Module has no named tensors to stop at. Leave it out, and return what "
        "you want from the module's forward."
    )
