import re

import numpy as np
import pytest

from intaglio.errors import NumericError, PassError
from intaglio.ir.certificate import Certificate
from intaglio.ir.evaluate import evaluate
from intaglio.ir.numeric import Encoding, int_type
from intaglio.ir.ops_linear import Conv
from intaglio.ir.ops_quant import Lookup, Requantize, Threshold
from intaglio.ir.tensor import Tensor, real
from intaglio.ir.text import from_text
from intaglio.ir.verify import verify
from intaglio.passes.base import Context
from intaglio.passes.lower import Lower

QUANTIZE = 'quantize {"dtype": "uint8", "rounding": "half_up"}'
WEIGHT = Tensor(np.array([[[[3]], [[-2]]]]), int_type(4))
CONSTANTS = {
    "half": real(np.array(0.5)),
    "third": real(np.array(1 / 3)),
    "three": Tensor(np.array(3), int_type(8)),
    "no": Tensor(np.array(0), int_type(8)),
    "rows": real(np.array([0.5, 0.25])),
    "reals": real(np.full((2, 2), 1 / 3)),
    "line": Tensor(np.array([[3, -2]]), int_type(4)),
    "kernel": WEIGHT,
    "tall": Tensor(np.full((1, 70, 31, 31), 127), int_type(8)),
}


def graph_of(body, shape="2", inputs=""):
    """A graph whose input x is quantized to q and read as y; ``body`` uses the CONSTANTS."""
    used = [f"  const {k}: {t.type} = #{t.digest}" for k, t in CONSTANTS.items() if k in body]
    used += [
        f"  const {k}: {CONSTANTS[k].type} = #{CONSTANTS[k].digest}"
        for k in ("half", "three")
        if k not in body
    ]
    head = f"graph g (x: float32[n,{shape}]{inputs})"
    lines = [
        head,
        *used,
        f'  q: uint8[n,{shape}] = {QUANTIZE} (x, half, three) from "/in"',
        f"  y: float32[n,{shape}] = dequantize (q, half, three)",
        body,
    ]
    known = {tensor.digest: tensor for tensor in CONSTANTS.values()}
    return from_text("\n".join(lines), known)


def lower(body, shape="2", inputs=""):
    graph = verify(graph_of(body, shape, inputs), "quantized")
    return verify(Lower().run(graph, Context()), "integer")


def point(name, shape="2"):
    """The quantize point of a value and its return."""
    return (
        f'z.q: uint8[n,{shape}] = {QUANTIZE} ({name}, half, three) from "/out"\n'
        f"z.r: float32[n,{shape}] = dequantize (z.q, half, three)\nreturn z.r"
    )


def ops(graph):
    return [(node.name, node.op.name) for node in graph.nodes]


def test_the_networks_input_becomes_codes_with_their_encoding():
    lowered = lower("return q")
    assert ops(lowered) == [("q", "reshape")]
    (value,) = lowered.inputs
    assert (value.name, str(value.type)) == ("x", "uint8[n,2]")
    assert value.encoding == Encoding(0.5, 3)
    assert lowered.outputs == ("q",)


def test_an_output_may_be_codes_or_their_real_value():
    assert lower("return q").outputs == ("q",)
    assert ops(lower("return y")) == [("y", "reshape")]  # a copy, under the name of the output


def test_a_layer_is_an_accumulator_and_one_certified_rescaling():
    lowered = lower(
        'w: float32[1,2,1,1] = dequantize {"axis": 0} (kernel, half, no)\n'
        'c: float32[n,1,3,3] = conv {"pads": [1, 1, 0, 0]} (y, w) from "/conv"\n'
        'r: float32[n,1,3,3] = relu (c) from "/relu"\n' + point("r", "1,3,3"),
        "2,2,2",
    )
    assert ops(lowered) == [("c.acc", "conv"), ("z.r", "requantize")]
    conv, rescale = lowered.nodes
    assert conv.op == Conv(pads=(1, 1, 0, 0), pad_value=3)
    assert (conv.value.origin, rescale.value.origin) == ("/conv", "/out")
    assert rescale.op == Requantize(int_type(8, signed=False), 3, 255)
    assert rescale.certificate == Certificate("certified", "requantize", -510, 765)
    assert rescale.value.encoding == Encoding(0.5, 3)
    assert lowered.outputs == ("z.r",)


def test_a_function_of_codes_is_a_table_of_every_code():
    lowered = lower('u: float32[n,2] = unary {"function": "tanh"} (y)\n' + point("u"))
    assert ops(lowered) == [("z.r", "lookup")]
    node = lowered.nodes[0]
    assert node.op == Lookup(int_type(8, signed=False), 0)
    assert node.certificate == Certificate("table", "lookup", 0, 255)
    table = lowered.constants["u.table"].array
    exact = np.tanh(0.5 * (np.arange(256) - 3)) / 0.5
    assert table.tolist() == (np.floor(exact + 0.5) + 3).tolist()


def test_a_rounding_that_no_addend_expresses_becomes_thresholds():
    even = QUANTIZE.replace("half_up", "half_even")
    lowered = lower(
        f'w: float32[1,2] = dequantize {{"axis": 0}} (line, half, no)\n'
        f"d: float32[n,1] = dense (y, w)\nz: uint8[n,1] = {even} (d, half, three)\nreturn z"
    )
    assert ops(lowered) == [("d.acc", "dense"), ("z", "threshold")]
    node = lowered.nodes[1]
    assert isinstance(node.op, Threshold)
    assert node.certificate == Certificate("exact", "threshold", -510, 765)
    codes = np.stack(np.meshgrid(np.arange(9), np.arange(9)), axis=-1).reshape(-1, 2)
    got = evaluate(lowered, {"x": codes.astype(np.uint8)})["z"][:, 0]
    exact = ((codes - 3) @ [3, -2]) * 0.25 / 0.5
    assert got.tolist() == np.clip(np.rint(exact) + 3, 0, 255).tolist()


def test_codes_that_keep_their_encoding_need_no_rescaling():
    lowered = lower('m: float32[n,2] = reshape {"shape": [2]} (y)\n' + point("m"))
    assert ops(lowered) == [("z.r", "reshape")]
    assert lowered.nodes[0].value.encoding == Encoding(0.5, 3)


def test_parts_of_a_concat_are_brought_to_its_scale():
    lowered = lower(
        f"p: uint8[n,2] = {QUANTIZE} (y, half, no)\n"
        "pr: float32[n,2] = dequantize (p, half, no)\n"
        "c: float32[n,4] = concat (y, pr)\n" + point("c", "4")
    )
    assert ops(lowered) == [("y", "requantize"), ("c.part1", "requantize"), ("z.r", "concat")]
    codes = np.array([[0, 9]], dtype=np.uint8)
    assert evaluate(lowered, {"x": codes})["z.r"].tolist() == [[0, 9, 3, 9]]


def test_two_equal_quantize_points_of_an_input_are_one():
    lowered = lower(
        f"p: uint8[n,2] = {QUANTIZE} (x, half, three)\n"
        "pr: float32[n,2] = dequantize (p, half, three)\n"
        "s: float32[n,2] = add (y, pr)\n" + point("s")
    )
    assert [value.name for value in lowered.inputs] == ["x"]


def test_an_input_of_codes_is_taken_as_it_is():
    graph = from_text(
        f"graph g (x: int8[n,2])\n  const half: float32[] = #{CONSTANTS['half'].digest}\n"
        f"  const no: int8[] = #{CONSTANTS['no'].digest}\n"
        "y: float32[n,2] = dequantize (x, half, no)\nreturn y",
        {tensor.digest: tensor for tensor in CONSTANTS.values()},
    )
    lowered = Lower().run(graph, Context())
    assert str(lowered.inputs[0].type) == "int8[n,2]"
    assert lowered.inputs[0].encoding == Encoding(0.5, 0)


FIX = "Quantize what it reads and what it gives, or stop before it with outputs (--output-tensor)."


@pytest.mark.parametrize(
    ("body", "shape", "message"),
    [
        ("return x", "2", "Output 'x': It is real, not codes. Put a quantize point before it."),
        (
            'r: float32[n,2] = relu (y) from "/r"\nreturn r',
            "2",
            "Output 'r': It is real, not codes. Put a quantize point before it, or stop before it "
            "with outputs=['y'] (--output-tensor 'y').",
        ),
        (
            'r: float32[n,2] = unary {"function": "sigmoid"} (x) from "/r"\n' + point("r"),
            "2",
            f"Node '/r' (unary): It reads 'x', which is not quantized. {FIX}",
        ),
        (
            "r: float32[n,2] = relu (y)\n"
            's: float32[n,2] = add (y, r) from "/s"\n' + point("s"),
            "2",
            f"Node '/s' (add): It reads 'r', which is not quantized. {FIX}",
        ),
        (
            'd: float32[n,2] = dense (y, reals) from "/d"\n' + point("d"),
            "2",
            f"Node '/d' (dense): It has a weight that is not quantized. {FIX}",
        ),
        (
            "w: float32[1,2] = dequantize {\"axis\": 0} (line, half, no)\n"
            'd: float32[n,4,1] = dense (y, w) from "/d"\n' + point("d", "4,1"),
            "4,2",
            f"Node '/d' (dense): It multiplies along the last of several axes. {FIX}",
        ),
        (
            "r: float32[n,2] = relu (y)\n"
            'z: uint8[n,2] = quantize {"dtype": "uint8"} (r, rows, no) from "/q"\nreturn z',
            "2",
            "Node '/q' (quantize): It quantizes channel by channel what is not linear in codes. "
            + FIX,
        ),
        (
            f'p: uint8[n,2] = {QUANTIZE} (x, half, no) from "/p"\nreturn q, p',
            "2",
            "Node '/p' (quantize): It quantizes the input 'x' otherwise than another node does. "
            "Give each input of the network one quantize point.",
        ),
    ],
)  # fmt: skip
def test_what_has_no_integer_form_is_refused_with_the_users_node(body, shape, message):
    with pytest.raises(PassError, match=f"^{re.escape(message)}$"):
        lower(body, shape)


def test_a_table_that_would_be_too_long_is_refused():
    wide = 'p: int20[n,2] = quantize {"dtype": "int20", "rounding": "half_up"} (y, half, no)\n'
    wide += "pr: float32[n,2] = dequantize (p, half, no)\n"
    wide += "u: float32[n,2] = unary (pr)\n" + point("u")
    message = f"Node '/out' (quantize): It would need a table of 2^20 entries. {FIX}"
    with pytest.raises(PassError, match=f"^{re.escape(message)}$"):
        lower(wide)


def test_an_accumulator_that_could_overflow_is_refused():
    body = 'w: float32[1,70,31,31] = dequantize {"axis": 0} (tall, half, no)\n'
    body += 'c: float32[n,1,1,1] = conv (y, w) from "/c"\n' + point("c", "1,1,1")
    message = (
        "Node '/c' (conv): Its values reach 0..2178538950 and overflow 32 bits. "
        "Use fewer bits for its weights or inputs, or split the layer."
    )
    with pytest.raises(NumericError, match=f"^{re.escape(message)}$"):
        lower(body, "70,31,31")


def test_a_function_that_is_no_number_for_a_code_is_refused():
    body = 'u: float32[n,2] = unary {"function": "sqrt"} (y)\n' + point("u")
    message = (
        "Node '/out' (quantize): It is not a number for -1.5, a code of its input. "
        "Clip its input to where it is defined."
    )
    with pytest.raises(NumericError, match=f"^{re.escape(message)}$"):
        lower(body)


def test_a_function_that_overflows_saturates():
    lowered = lower('u: float32[n,2] = unary {"function": "exp"} (y)\n' + point("u"))
    assert lowered.constants["u.table"].array.max() == 255
    assert lowered.constants["u.table"].array[0] == 3


def test_an_addition_of_wide_codes_without_exact_integers_is_refused():
    body = 'p: int16[n,2] = quantize {"dtype": "int16", "rounding": "half_up"} (z, third, no)\n'
    body += "pr: float32[n,2] = dequantize (p, third, no)\n"
    body += "s: float32[n,2] = add (pr, y)\n" + point("s")
    message = (
        "Node '/out' (quantize): No integers reproduce this addition of wide codes exactly. "
        "Use activations of at most 8 bits, or scales that are powers of two."
    )
    with pytest.raises(PassError, match=f"^{re.escape(message)}$"):
        lower(body, inputs=", z: float32[n,2]")
