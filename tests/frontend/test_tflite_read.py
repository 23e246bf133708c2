"""TFLite files that are damaged, hostile or not supported: one clear error each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("tflite", reason="the reader of TFLite files")
pytest.importorskip("ai_edge_litert", reason="LiteRT's schema writes the files")

from intaglio.errors import ImportModelError, IntaglioError, UsageError
from intaglio.frontend.tflite.importer import import_tflite

from .tflite_cases import CASES
from .tflite_models import Written

RNG = np.random.default_rng(3)
CONV = CASES["conv"](RNG)[0]


def refused(model, **options):
    with pytest.raises(ImportModelError) as caught:
        import_tflite(model, **options)
    return str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    path = tmp_path / "none.tflite"
    with pytest.raises(UsageError) as caught:
        import_tflite(path)
    assert str(caught.value) == f"File '{path}': There is no such file. Check the path."


def opened(data):
    """Import bytes: whatever they are, they give a network or one error that says where."""
    error = None
    try:
        import_tflite(data)
    except IntaglioError as caught:
        error = caught
    assert error is None or (error.where and error.what)


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\0" * 100, b"onnx model, or so"])
def test_what_is_no_model_is_refused(data):
    assert refused(data) == (
        "TFLite model: It is not a TFLite model, or it is cut off. Convert the model again, or copy "
        "it again."
    )


@given(cut=st.integers(8, len(CONV) - 1))
def test_a_file_that_is_cut_off_is_refused_or_means_a_network(cut):
    opened(CONV[:cut])


@given(at=st.integers(0, len(CONV) - 4), value=st.binary(min_size=1, max_size=4))
def test_altered_bytes_give_a_network_or_one_clear_error(at, value):
    altered = CONV[:at] + value + CONV[at + len(value) :]
    opened(altered)


def test_an_operator_that_is_not_supported_names_itself_and_the_nearest():
    w = Written()
    x = w.tensor((1, 4), "int8", 0.1)
    y = w.tensor((1, 4), "int8", 0.1)
    w.operator("LOG_SOFTMAX", [x], [y])
    assert refused(w.model([x], [y])) == (
        "Operator 0 (LOG_SOFTMAX): The operator 'LOG_SOFTMAX' is not supported. Nearest supported "
        "operators: SOFTMAX. Replace it, or name 'outputs' before it."
    )


def test_a_float_model_is_told_to_be_quantized():
    w = Written()
    x, y = w.tensor((1, 4), "float32"), w.tensor((1, 4), "float32")
    w.operator("LOGISTIC", [x], [y])
    assert refused(w.model([x], [y])) == (
        "Operator 0 (LOGISTIC): Its operand 'tensor0' is float32 without a scale. Convert the model "
        "with full integer quantization."
    )


def test_the_batch_cannot_be_merged():
    w = Written()
    x, y = w.tensor((1, 4), "int8", 0.1), w.tensor((4, 1), "int8", 0.1)
    w.operator("RESHAPE", [x, w.ints([4, 1])], [y])
    assert refused(w.model([x], [y])) == (
        "Operator 0 (RESHAPE): It reshapes [1, 4] to [4, 1]. Axis 0 is the batch: nothing may merge "
        "or move it."
    )


def test_a_shape_that_does_not_follow_is_refused():
    w = Written()
    x, y = w.tensor((1, 4, 4, 2), "int8", 0.1), w.tensor((1, 3, 2, 2), "int8", 0.1)
    w.operator(
        "MAX_POOL_2D", [x], [y], padding=1, strideH=2, strideW=2, filterHeight=2, filterWidth=2
    )
    assert refused(w.model([x], [y])) == (
        "Operator 0 (MAX_POOL_2D): Its output 'tensor1' has the shape [1, 3, 2, 2] in the file, but "
        "a sample of it has (2, 2, 2). Convert the model again."
    )


def test_an_index_out_of_range_is_refused():
    w = Written()
    x, y = w.tensor((1, 4), "int8", 0.1), w.tensor((1, 4), "int8", 0.1)
    w.operator("RELU", [99], [y])
    assert refused(w.model([x], [y])) == (
        "TFLite model: The inputs of Operator 0 name tensor 99, but there are 2. Convert the model "
        "again, or copy it again."
    )


def test_a_scale_that_is_not_positive_is_refused():
    w = Written()
    x, y = w.tensor((1, 4), "int8", -1.0), w.tensor((1, 4), "int8", 0.1)
    w.operator("RELU", [x], [y])
    assert refused(w.model([x], [y])) == (
        "Tensor 'tensor0': Its 1 scales and 1 zero points do not fit it. Convert the model again, or "
        "copy it again."
    )


def test_an_unknown_output_is_refused():
    with pytest.raises(UsageError) as caught:
        import_tflite(CONV, outputs=["tensor9"])
    assert str(caught.value) == (
        "outputs: No operator of the model computes a tensor 'tensor9'. The most similar names are "
        "tensor3."
    )
