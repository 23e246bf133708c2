"""onnxruntime's arithmetic on codes: every code, every pair, and accumulators of every size."""

import numpy as np
import pytest
from onnx import ValueInfoProto, helper, numpy_helper

from intaglio.frontend.onnx import qarithmetic as q
from intaglio.ir.numeric import int_type

ort = pytest.importorskip("onnxruntime", reason="the arithmetic is onnxruntime's")

MICROSOFT = "com.microsoft"
F32 = np.float32
SIGNS = pytest.mark.parametrize("signed", [False, True], ids=["uint8", "int8"])


class Drawer:
    """Random grids of 8-bit codes."""

    def __init__(self, seed, signed):
        self.rng = np.random.default_rng(seed)
        self.dtype = int_type(8, signed=signed)

    def grid(self, near=None):
        """A grid whose scale is within a factor of 8 of ``near``'s, if given."""
        scale = self.rng.uniform(-7, 0) if near is None else np.log(near) + self.rng.uniform(-2, 2)
        zero = int(self.rng.integers(self.dtype.lo, self.dtype.hi + 1))
        return q.Grid(F32(np.exp(scale)), zero, self.dtype)


def parameters(grid, name):
    """Scale and zero point of a grid as two operands."""
    container = grid.dtype.container
    return {f"{name}_scale": grid.scale, f"{name}_zero": container.type(grid.zero_point)}


def run(operator, operands, domain=MICROSOFT, **attributes):
    """What onnxruntime computes; the operand 'x' is an input, the others are initializers."""
    node = helper.make_node(operator, list(operands), ["result"], domain=domain, **attributes)
    kind = helper.np_dtype_to_tensor_dtype(operands["x"].dtype)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", kind, operands["x"].shape)],
        [ValueInfoProto(name="result")],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in operands.items() if n != "x"],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": operands["x"]})[0]


def pairs(left, right):
    """Both tensors of codes that hold every pair."""
    grids = np.meshgrid(left.codes, right.codes, indexing="ij")
    return [each.astype(left.dtype.container) for each in grids]


@SIGNS
def test_every_pair_is_added_as_onnxruntime_adds(signed):
    draw = Drawer(1, signed)
    for _ in range(30):
        left, right = draw.grid(), draw.grid()
        to = draw.grid(left.scale)
        a, b = pairs(left, right)
        operands = {"x": a, **parameters(left, "x"), "z": b, **parameters(right, "z")}
        assert (run("QLinearAdd", operands | parameters(to, "y")) == q.added(left, right, to)).all()


@SIGNS
@pytest.mark.parametrize("first", [False, True], ids=["second", "first"])
def test_a_constant_per_channel_is_added_as_onnxruntime_adds(signed, first):
    draw = Drawer(2, signed)
    for _ in range(30):
        x, other = draw.grid(), draw.grid()
        to = draw.grid(x.scale)
        constant = draw.rng.choice(other.codes, 64)
        container = x.dtype.container
        a = np.broadcast_to(x.codes.astype(container), (1, 64, 256)).copy()
        one = {"x": a, **parameters(x, "x")}
        two = {"z": constant.astype(container).reshape(1, 64, 1), **parameters(other, "z")}
        operands = (two | one if first else one | two) | parameters(to, "y")
        found = run("QLinearAdd", operands)
        assert (found[0] == q.added_constant(x, other, constant, to)).all()


@SIGNS
def test_every_pair_is_multiplied_as_onnxruntime_multiplies(signed):
    draw = Drawer(3, signed)
    for _ in range(30):
        left, right = draw.grid(), draw.grid()
        to = draw.grid(left.scale * right.scale * 100)
        a, b = pairs(left, right)
        operands = {"x": a, **parameters(left, "x"), "z": b, **parameters(right, "z")}
        products = np.outer(left.codes - left.zero_point, right.codes - right.zero_point)
        expected = q.multiplied(products, left, right, to)
        assert (run("QLinearMul", operands | parameters(to, "y")) == expected).all()


@SIGNS
def test_unary_operators_equal_onnxruntimes_on_every_code(signed):
    draw = Drawer(4, signed)
    for _ in range(40):
        x = draw.grid()
        to, shares = draw.grid(x.scale), q.Grid(F32(draw.rng.uniform(0.003, 0.006)), 0, draw.dtype)
        codes = x.codes.astype(x.dtype.container)[None]
        slope = float(F32(draw.rng.uniform(0, 1)))
        given = {"x": codes, **parameters(x, "x")}
        found = run("QLinearLeakyRelu", given | parameters(to, "y"), alpha=slope)
        assert (found[0] == q.leaky_relu(x, to, slope)).all()
        found = run("QLinearSigmoid", given | parameters(shares, "y"))
        assert (found[0] == q.sigmoid(x, shares)).all()
        found = run("QLinearConcat", parameters(to, "y") | given, axis=1)
        assert (found[0] == q.rescaled(x, to)).all()


@SIGNS
def test_global_averages_equal_onnxruntimes(signed):
    draw = Drawer(5, signed)
    for elements in (1, 7, 49, 64, 195):
        x = draw.grid()
        to = draw.grid(x.scale)
        image = draw.rng.choice(x.codes, (2, 200, elements, 1)) // draw.rng.integers(1, 9)
        image = image.astype(x.dtype.container)
        given = {"x": image, **parameters(x, "x"), **parameters(to, "y")}
        found = run("QLinearGlobalAveragePool", given, channels_last=0)
        sums = (image.astype(np.int64) - x.zero_point).sum(axis=(2, 3), keepdims=True)
        scale = q.average_scale(x, to, elements)
        assert (found == q.requantized(sums, scale, to)).all()


@SIGNS
@pytest.mark.parametrize("bits", [12, 18, 24, 31])
def test_accumulators_of_every_size_are_requantized_as_in_a_conv(signed, bits):
    """A conv over one element that is 1: its bias is the accumulator less 1."""
    draw = Drawer(bits, signed)
    channels = 4096
    x = q.Grid(F32(draw.rng.uniform(0.01, 1)), 0, draw.dtype)
    bias = draw.rng.integers(-(1 << bits) + 1, (1 << bits) - 1, channels).astype(np.int32)
    to = q.Grid(F32(draw.rng.uniform(0.5, 2)), int(draw.grid().zero_point), draw.dtype)
    weight_scales = (draw.rng.uniform(0.01, 400, channels) * 2.0**-bits).astype(F32)
    operands = {
        "x": np.ones((1, 1, 1, 1), draw.dtype.container),
        **parameters(x, "x"),
        "w": np.ones((channels, 1, 1, 1), np.int8),
        "w_scale": weight_scales,
        "w_zero": np.zeros(channels, np.int8),
        **parameters(to, "y"),
        "b": bias,
    }
    found = run("QLinearConv", operands, domain="").reshape(-1)
    scale = q.output_scale(x.scale, weight_scales, to)
    assert (found == q.requantized(bias.astype(np.int64) + 1, scale, to)).all()


@SIGNS
def test_reals_are_quantized_as_onnxruntime_quantizes(signed):
    draw = Drawer(6, signed)
    for _ in range(20):
        to = draw.grid()
        ties = (np.arange(-300, 300) + 0.5).astype(F32) * to.scale
        reals = np.concatenate([np.nextafter(ties, F32(0)), ties, np.nextafter(ties, F32(9e9))])
        found = run("QuantizeLinear", {"x": reals, **parameters(to, "y")}, domain="")
        assert (found == to.quantize(reals)).all()


@SIGNS
@pytest.mark.parametrize("operator", ["QLinearMatMul", "QGemm"])
def test_matrix_products_are_requantized_as_onnxruntimes(signed, operator):
    draw = Drawer(7, signed)
    for _ in range(10):
        x, to = draw.grid(), draw.grid(40)
        weight = draw.rng.integers(-128, 128, (64, 96)).astype(np.int8)
        zeros = draw.rng.integers(-3, 4, 96).astype(np.int8)
        scales = draw.rng.uniform(0.0005, 0.01, 96).astype(F32) * to.scale / x.scale
        codes = draw.rng.choice(x.codes, (200, 64)).astype(x.dtype.container)
        operands = {
            "x": codes,
            **parameters(x, "x"),
            "w": weight,
            "w_scale": scales,
            "w_zero": zeros,
        }
        alpha, attributes, domain, bias = 1.0, {}, "", np.zeros(96, np.int32)
        if operator == "QGemm":
            alpha, domain, bias = (
                0.7,
                MICROSOFT,
                draw.rng.integers(-9999, 9999, 96).astype(np.int32),
            )
            attributes, operands["bias"] = {"alpha": alpha}, bias
        found = run(operator, operands | parameters(to, "y"), domain, **attributes)
        centered = codes.astype(np.int64) - x.zero_point
        sums = centered @ (weight.astype(np.int64) - zeros) + bias
        scale = q.output_scale(x.scale, scales, to, alpha)
        assert (found == q.requantized(sums, scale, to)).all()


def test_fused_products_are_rounded_once():
    """(1 + 2^-12)^2 lies between two float32 numbers: an addend decides, however small it is."""
    x, tie = np.asarray([1 + 2.0**-12], F32), 1 + 2.0**-11
    for addend, expected in ((0, tie), (-(2.0**-90), tie), (2.0**-90, tie + 2.0**-23)):
        assert q.fused(x, x[0], np.asarray([addend], F32))[0] == F32(expected)
