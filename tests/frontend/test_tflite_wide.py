"""16-bit activations of TFLite: every code equal to LiteRT's, and what is refused."""

import numpy as np
import pytest

pytest.importorskip("tflite", reason="the reader of TFLite files")
pytest.importorskip("ai_edge_litert", reason="LiteRT is the oracle")

from intaglio.api import compile as compile_
from intaglio.errors import ImportModelError
from intaglio.frontend.tflite.importer import import_tflite

from . import tflite_cases
from .tflite_compare import codes_of, codes_that_agree
from .tflite_models import Written, litert
from .tflite_wide_cases import CASES, WIDE

SEEDS = 3
RUNTIMES = ("tflite", "xnnpack")


@pytest.mark.parametrize("semantics", RUNTIMES)
@pytest.mark.parametrize("name", CASES)
def test_codes_are_those_of_litert(name, semantics):
    assert len(codes_that_agree(CASES[name], semantics, SEEDS)) > 100


def test_sums_that_need_36_bits_round_halves_away_from_zero():
    """Pairs of codes whose weighted sum lies halfway between two codes, or one beside it."""
    w = Written()
    x, y = w.tensor((1, 3, 3, 1), WIDE, 0.001), w.tensor((1, 7, 7, 1), WIDE, 0.001)
    w.operator("RESIZE_BILINEAR", [x, w.ints([7, 7])], [y])
    model = w.model([x], [y])
    place = 439 * np.arange(7)  # 1024 * 3 / 7, rounded
    share = place[1] * place[1], (1024 - place[1]) * place[1]  # of the corner and of its neighbor
    first = np.arange(-32768, 32768, dtype=np.int64)
    second = np.arange(-200, 200, dtype=np.int64)[:, None]
    rest = (share[0] * first + share[1] * second) % (1 << 20)
    found = np.argwhere(np.abs(rest - (1 << 19)) <= 1)
    assert len(found) > 30
    images = np.zeros((len(found), 3, 3, 1), np.int16)
    images[:, 1, 1, 0], images[:, 0, 1, 0] = first[found[:, 1]], second[found[:, 0], 0]
    for semantics in RUNTIMES:
        codes = codes_of(model, semantics, [images])[1][0]
        assert np.array_equal(codes, litert(model, semantics, images)[0])


@pytest.mark.parametrize(
    ("name", "most"),
    [("add", 520_000), ("mul", 270_000), ("fully_connected", 270_000), ("softmax", 270_000)],
)
def test_an_operator_holds_at_most_two_tables_of_its_codes(name, most):
    model, _ = CASES[name](np.random.default_rng(1))
    assert len(compile_(import_tflite(model)).blob) < most


def refused(model, semantics="tflite"):
    with pytest.raises(ImportModelError) as caught:
        import_tflite(model, semantics=semantics)
    return str(caught.value)


def layer(**bias):
    w = Written()
    x, y = w.tensor((1, 4), WIDE, 0.001), w.tensor((1, 2), WIDE, 0.001)
    weight = w.tensor((2, 4), "int8", 0.01, 0, np.ones((2, 4)))
    operands = [x, weight]
    if bias:
        operands.append(w.tensor((2,), bias["dtype"], 1e-5, 0, [1, 2]))
    w.operator("FULLY_CONNECTED", operands, [y])
    return w.model([x], [y])


def test_biases_of_32_bits_are_refused():
    for semantics in RUNTIMES:
        assert refused(layer(dtype="int32"), semantics) == (
            "Operator 0 (FULLY_CONNECTED): Its bias is int32: the runtime then rescales 32-bit sums "
            "by rules that depend on the machine. Convert it with int64 biases, or import with "
            "semantics='onnx'."
        )


def test_a_layer_without_a_bias_is_the_reference_kernels_only():
    model = layer()
    inputs = [tflite_cases.codes(np.random.default_rng(0), (1, 4), WIDE, 50)]
    assert np.array_equal(codes_of(model, "tflite", inputs)[1], litert(model, "tflite", *inputs))
    assert refused(model, "xnnpack") == (
        "Operator 0 (FULLY_CONNECTED): It has no bias: LiteRT's default then rescales 32-bit sums by "
        "rules that depend on the machine. Give it an int64 bias, or import with semantics='tflite'."
    )


def test_sums_beyond_32_bits_are_refused():
    w = Written()
    x, y = w.tensor((1, 1000), WIDE, 0.001), w.tensor((1, 1), WIDE, 0.001)
    weight = w.tensor((1, 1000), "int8", 0.01, 0, np.full((1, 1000), 100))
    w.operator("FULLY_CONNECTED", [x, weight], [y])
    assert refused(w.model([x], [y])) == (
        "Operator 0 (FULLY_CONNECTED): Its sums reach -3276800000..3276700000, beyond 32 bits. Split "
        "the layer, or narrow its weights."
    )


def unary(name, zero_point=0, target=WIDE, scale=0.001):
    w = Written()
    x, y = w.tensor((1, 4), WIDE, 0.001, zero_point), w.tensor((1, 4), target, scale)
    w.operator(name, [x], [y])
    return w.model([x], [y])


def test_functions_that_litert_does_not_run_on_16_bits_are_refused():
    for name in ("HARD_SWISH", "RELU_N1_TO_1", "RELU_0_TO_1"):
        assert refused(unary(name)) == (
            f"Operator 0 ({name}): It maps int16 to int16, which LiteRT does not run. Use codes of 8 "
            "bits there."
        )


def test_a_softmax_to_another_scale_is_refused():
    assert refused(unary("SOFTMAX")) == (
        "Operator 0 (SOFTMAX): Its result has the scale 0.001. A result of 16 bits must have the "
        "scale 1/32768."
    )


def test_zero_points_of_16_bits_are_refused():
    assert refused(unary("SOFTMAX", zero_point=3, scale=2.0**-15)) == (
        "Operator 0 (SOFTMAX): Its zero points are 3, 0. Codes of 16 bits must have the zero point 0."
    )


def total(name, scales, **options):
    w = Written()
    tensors = [w.tensor((1, 4), WIDE, scale) for scale in scales]
    w.operator(name, tensors[:2], tensors[2:], **options)
    return w.model(tensors[:2], tensors[2:])


def test_powers_of_two_that_no_shift_aligns_are_refused():
    model = total("ADD", (2.0**-10, 2.0**-11, 2.0**-12), potScaleInt16=True)
    assert refused(model) == (
        "Operator 0 (ADD): Its scales are 2^-10, 2^-11 and 2^-12, its shapes (1, 4) and (1, 4), which "
        "TFLite cannot add by shifts. Convert it with pot_scale_int16 off."
    )


def test_scales_that_tflite_does_not_add_are_refused():
    assert refused(total("ADD", (0.3, 0.3, 1e-6))) == (
        "Operator 0 (ADD): Its scales are so far apart that TFLite refuses to add them. Convert it "
        "again."
    )


def test_slopes_of_16_bits_are_refused():
    w = Written()
    x, y = w.tensor((1, 2, 2, 3), WIDE, 0.001), w.tensor((1, 2, 2, 3), WIDE, 0.001)
    slope = w.tensor((1, 1, 3), WIDE, 0.001, 0, [1, 2, 3])
    w.operator("PRELU", [x, slope], [y])
    assert refused(w.model([x], [y])) == (
        "Operator 0 (PRELU): It maps int16 with zero point 0 to int16 with slopes of int16. Supported "
        "are int8, or int16 without zero points, with slopes of int8."
    )


@pytest.mark.parametrize("name", ["LOGISTIC", "TANH"])
def test_scales_that_overflow_tflite_are_refused(name):
    w = Written()
    x, y = w.tensor((1, 4), WIDE, 6.0), w.tensor((1, 4), WIDE, 2.0**-15)
    w.operator(name, [x], [y])
    assert refused(w.model([x], [y])) == (
        f"Operator 0 ({name}): Its scale 6 overflows TFLite's 32 bits. Quantize its input to a finer "
        "scale: beyond 12 nothing changes."
    )


def test_a_rescaling_that_overflows_tflite_is_refused():
    assert refused(unary("RELU", scale=1e-9)) == (
        "Operator 0 (RELU): Its operands do not fit it: Its sums overflow TFLite's 32 bits. Convert "
        "the model again."
    )


def test_a_layer_that_enlarges_its_sums_beyond_tflite_is_refused():
    w = Written()
    x, y = w.tensor((1, 2, 2, 1), WIDE, 1.0), w.tensor((1, 2, 2, 1), WIDE, 1e-6)
    weight = w.tensor((1, 1, 1, 1), "int8", 1.0, 0, [[[[1]]]])
    bias = w.tensor((1,), "int64", 1.0, 0, [0])
    w.operator("CONV_2D", [x, weight, bias], [y], strideH=1, strideW=1)
    assert refused(w.model([x], [y])) == (
        "Operator 0 (CONV_2D): Its bias or its scales are out of the range of its multipliers. Convert "
        "it again."
    )
