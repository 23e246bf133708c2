import random

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.helper import make_node

from intaglio.errors import ImportModelError, IntaglioError, UsageError
from intaglio.frontend.onnx.importer import import_onnx
from intaglio.frontend.onnx.read import array_of

NEWEST = onnx.defs.onnx_opset_version()
AGAIN = "Export the model again, or copy it again."


def refused(source):
    with pytest.raises(ImportModelError) as caught:
        import_onnx(source)
    return str(caught.value)


@pytest.fixture(scope="session")
def tiny(model_of):
    """A model with a bit of everything that is read from a file."""
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.standard_normal((4, 3, 3, 3)).astype(np.float32),
        "b": rng.standard_normal(4).astype(np.float32),
        "lo": np.float32(0),
        "target": np.array([0, -1]),
        "m": rng.standard_normal((64, 5)).astype(np.float32),
        "axis": np.array([0]),
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    }
    fill = numpy_helper.from_array(np.ones(1, np.float32))
    nodes = [
        make_node("Conv", ["x", "w", "b"], ["c"], name="conv", pads=[1, 1, 1, 1], strides=[2, 2]),
        make_node("Clip", ["c", "lo"], ["r"], name="clip"),
        make_node("Pad", ["r", "pads"], ["p"], name="pad", mode="constant"),
        make_node("MaxPool", ["p"], ["q"], name="pool", kernel_shape=[2, 2], ceil_mode=1),
        make_node("ConstantOfShape", ["axis"], ["ones"], value=fill),
        make_node("Reshape", ["q", "target"], ["f"], name="flat"),
        make_node("MatMul", ["f", "m"], ["y"], name="fc"),
    ]
    nodes[3].attribute.append(helper.make_attribute("strides", [1, 1]))
    return model_of(nodes, {"x": ["n", 3, 5, 5]}, weights)


def test_the_model_that_is_damaged_below_is_good(tiny, check):
    assert check(tiny).type_of("y").sample_shape == (5,)


@pytest.mark.parametrize("as_text", [False, True])
def test_a_path_may_be_a_string(tiny, tmp_path, as_text):
    path = tmp_path / "net.onnx"
    onnx.save(tiny, path)
    assert import_onnx(str(path) if as_text else path) == import_onnx(tiny)


def test_a_missing_file(tmp_path):
    with pytest.raises(UsageError) as caught:
        import_onnx(tmp_path / "no.onnx")
    assert str(caught.value) == (
        f"File '{tmp_path / 'no.onnx'}': There is no such file. Check the path."
    )


@pytest.mark.parametrize("content", [b"not a model at all", b"\x00" * 100, b"\x08"])
def test_garbage(tmp_path, content):
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    assert refused(path) == (f"File '{path}': It is not an ONNX model, or it is cut off. {AGAIN}")


def test_an_empty_file(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"")
    assert refused(path) == (
        f"File '{path}': It holds no network: nodes, inputs or outputs are missing. {AGAIN}"
    )


def test_a_file_beyond_the_limit_is_not_read(tmp_path):
    path = tmp_path / "net.onnx"
    with path.open("wb") as stream:
        stream.truncate(2**31 + 1)
    assert refused(path) == (
        f"File '{path}': It has 2147483649 bytes, more than the limit of 2147483648. Store large "
        "weights as external data."
    )


def test_external_data_beyond_the_limit_is_not_read(tiny, tmp_path):
    path = external(tmp_path, tiny, length=2**32 + 1)
    with (path.parent / "weights.bin").open("r+b") as stream:
        stream.truncate(2**33)
    assert refused(path) == (
        f"File '{path}': The external data of 'm' exceeds 4294967296 bytes in all. {BESIDE}"
    )


def test_a_truncated_file_is_an_error_wherever_it_ends(tiny, tmp_path):
    data = tiny.SerializeToString()
    path = tmp_path / "net.onnx"
    opset = len(tiny.opset_import[0].SerializeToString()) + 2  # the last field: it may be missing
    for length in range(0, len(data) - opset, 37):
        path.write_bytes(data[:length])
        assert refused(path).endswith(AGAIN)
    path.write_bytes(data[:-opset])
    assert refused(path) == (
        f"File '{path}': Its opset 0 is not supported. Supported are 7 to {NEWEST}: use "
        "onnx.version_converter."
    )


@given(seed=st.integers(0, 2**32))
def test_flipped_bytes_give_a_graph_or_one_clear_error(tiny, tmp_path_factory, seed):
    rng = random.Random(seed)
    data = bytearray(tiny.SerializeToString())
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(len(data))] = rng.choice([0, 1, 0x80, 0xFF, rng.randrange(256)])
    path = tmp_path_factory.getbasetemp() / "flipped.onnx"
    path.write_bytes(bytes(data))
    error = failure(path)
    assert error is None or (error.what and error.where and error.fix)


def failure(path):
    try:
        import_onnx(path)
    except IntaglioError as error:
        return error
    return None


@pytest.mark.parametrize("opset", [6, NEWEST + 1])
def test_an_opset_that_is_too_old_or_too_new(model_of, opset):
    model = model_of([make_node("Relu", ["x"], ["y"])], {"x": ["n", 3]}, opset=opset)
    assert refused(model) == (
        f"ONNX model: Its opset {opset} is not supported. Supported are 7 to {NEWEST}: use "
        "onnx.version_converter."
    )


def test_too_many_nodes(model_of):
    nodes = [make_node("Relu", ["x"], [f"y{index}"]) for index in range(65537)]
    assert refused(model_of(nodes, {"x": ["n", 3]}, outputs=["y0"])) == (
        "ONNX model: It has 65537 nodes, more than the limit of 65536. Simplify the model."
    )


def test_model_local_functions(model_of):
    model = model_of([make_node("Relu", ["x"], ["y"])], {"x": ["n", 3]})
    body = [make_node("Relu", ["a"], ["b"])]
    model.functions.append(helper.make_function("f", "F", ["a"], ["b"], body, []))
    assert refused(model) == (
        "ONNX model: It has functions, which are not supported. Inline functions with "
        "onnx.inliner, and store weights as dense initializers."
    )


def test_subgraphs_are_unknown_operators(model_of):
    inner = helper.make_graph([make_node("Relu", ["x"], ["z"])], "inner", [], [])
    node = make_node("If", ["c"], ["y"], name="if", then_branch=inner, else_branch=inner)
    model = model_of([node], {"x": ["n", 3]}, {"c": np.array(True)})
    assert refused(model) == (
        "Node 'if' (If): Operator 'If' of domain 'ai.onnx', opset 17, is not supported. No "
        "supported operator has a similar name; 'intaglio ops' lists them all. Replace it."
    )


def external(tmp_path, model, location="weights.bin", **changed):
    """The model saved with 'm' in another file; ``changed`` overrides what it says of that file."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    tensor = next(tensor for tensor in copy.graph.initializer if tensor.name == "m")
    data = tensor.raw_data
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "weights.bin").write_bytes(b"head" + data)
    (tmp_path / "outside.bin").write_bytes(data)
    entries = {"location": location, "offset": 4, "length": len(data)} | changed
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    path = tmp_path / "net" / "net.onnx"
    path.write_bytes(copy.SerializeToString())
    return path


def test_external_data_beside_the_model_is_read(tiny, tmp_path, check):
    path = external(tmp_path, tiny)
    assert check(path) == import_onnx(tiny)


BESIDE = "Keep external data beside the model, as onnx.save writes it."


@pytest.mark.parametrize(
    "location", ["../outside.bin", "sub/../../outside.bin", "/etc/hostname", "C:\\w.bin", "..\\w"]
)
def test_external_data_may_not_leave_the_folder(tiny, tmp_path, location):
    path = external(tmp_path, tiny, location)
    assert refused(path) == (
        f"File '{path}': The external data of 'm' points to '{location}', outside the model's "
        f"folder. {BESIDE}"
    )


def test_external_data_may_not_leave_the_folder_by_a_link(tiny, tmp_path):
    path = external(tmp_path, tiny, "link.bin")
    (path.parent / "link.bin").symlink_to(tmp_path / "outside.bin")
    assert refused(path) == (
        f"File '{path}': The external data of 'm' points to 'link.bin', outside the model's "
        f"folder. {BESIDE}"
    )


@pytest.mark.parametrize(
    ("location", "changed", "message"),
    [
        ("gone.bin", {}, "points to 'gone.bin', which is not a file there"),
        ("", {}, "points to '', which is not a file there"),
        ("weights.bin", {"offset": 2000}, "lies beyond the 1284 bytes of 'weights.bin'"),
        ("weights.bin", {"offset": -1}, "lies beyond the 1284 bytes of 'weights.bin'"),
        ("weights.bin", {"length": 2**40}, "lies beyond the 1284 bytes of 'weights.bin'"),
        ("weights.bin", {"length": "many"}, "has an offset or length of no number"),
    ],
)
def test_external_data_that_is_not_there(tiny, tmp_path, location, changed, message):
    path = external(tmp_path, tiny, location, **changed)
    assert refused(path) == f"File '{path}': The external data of 'm' {message}. {BESIDE}"


def test_external_data_that_is_too_short(tiny, tmp_path):
    assert refused(external(tmp_path, tiny, length=8)) == (
        "Node 'fc' (MatMul): The tensor 'm' does not hold the elements that it declares. Weights "
        "must be dense float32, float16 or float64, shapes integers."
    )


def test_external_data_of_a_model_in_memory(tiny, tmp_path):
    model = onnx.load(external(tmp_path, tiny), load_external_data=False)
    assert refused(model) == (
        "ONNX model: Its weights are stored outside, in a place that a model in memory does not "
        "know. Pass the path of the file, or load the model together with its external data."
    )


def test_external_data_of_a_constant_node_is_never_opened():
    tensor = TensorProto(name="c", data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")
    with pytest.raises(ImportModelError) as caught:
        array_of(tensor, "Node 'c' (Constant)")
    assert str(caught.value) == (
        "Node 'c' (Constant): The tensor 'c' is stored outside the model but is not an "
        "initializer. Weights must be dense float32, float16 or float64, shapes integers."
    )


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (TensorProto(name="t", data_type=1, dims=[2**40]), "has the shape [1099511627776]"),
        (TensorProto(name="t", data_type=1, dims=[-1]), "has the shape [-1]"),
        (
            TensorProto(name="t", data_type=1, dims=[2], raw_data=b"1234"),
            "does not hold the elements that it declares",
        ),
        (
            TensorProto(name="t", data_type=99, dims=[1], raw_data=b"1234"),
            "does not hold the elements that it declares",
        ),
        (
            TensorProto(name="t", data_type=TensorProto.STRING, dims=[1], string_data=[b"a"]),
            "has elements of type object",
        ),
        (
            TensorProto(name="t", data_type=TensorProto.COMPLEX64, dims=[1], float_data=[1, 2]),
            "has elements of type complex64",
        ),
    ],
)
def test_tensors_that_cannot_be_weights(tensor, message):
    with pytest.raises(ImportModelError) as caught:
        array_of(tensor, "Node 'n' (Conv)")
    assert str(caught.value) == (
        f"Node 'n' (Conv): The tensor 't' {message}. Weights must be dense float32, float16 or "
        "float64, shapes integers."
    )
