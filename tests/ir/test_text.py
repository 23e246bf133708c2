import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from intaglio.errors import TextError
from intaglio.ir.certificate import Certificate, Difference
from intaglio.ir.graph import Graph, Node, Value
from intaglio.ir.numeric import BIPOLAR, FLOAT32, INT32, ROUNDINGS, TERNARY, Encoding, int_type
from intaglio.ir.ops import ALL, BY_NAME
from intaglio.ir.ops_arg import ArgMax
from intaglio.ir.ops_crop import Crop
from intaglio.ir.ops_layout import Concat, Pad, Reshape, Slice, Take, Transpose
from intaglio.ir.ops_linear import Conv, Dense, GatherConv
from intaglio.ir.ops_norm import LayerNorm
from intaglio.ir.ops_pointwise import Add, Affine, Clip, PRelu, Relu, ScaleGradient, Unary
from intaglio.ir.ops_pool import AveragePool, MaxPool, SumPool
from intaglio.ir.ops_product import MatMul, Multiply
from intaglio.ir.ops_quant import Dequantize, Lookup, PairLookup, Quantize, Requantize, Threshold
from intaglio.ir.ops_softmax import Softmax
from intaglio.ir.tensor import BATCH, Tensor, TensorType, real
from intaglio.ir.text import attributes, from_text, make_op, to_text

whole = st.integers(-(2**40), 2**40)
pairs = st.tuples(whole, whole)
pads = st.tuples(whole, whole, whole, whole)
ints = st.lists(whole, max_size=4).map(tuple)
dtypes = st.sampled_from([FLOAT32, BIPOLAR, TERNARY, INT32]) | st.builds(
    int_type, st.integers(1, 64), signed=st.booleans()
)
reals = st.floats(allow_nan=False)
roundings = st.sampled_from(ROUNDINGS)
OPS = {
    Conv: st.builds(Conv, pairs, pads, pairs, whole, whole),
    GatherConv: st.builds(GatherConv, pairs, pairs, pads, pairs, whole),
    Take: st.just(Take()),
    Dense: st.just(Dense()),
    Add: st.builds(Add, pairs),
    Multiply: st.builds(Multiply, pairs),
    MatMul: st.builds(MatMul, pairs),
    Softmax: st.builds(Softmax, whole, whole, whole),
    LayerNorm: st.builds(LayerNorm, whole, whole),
    ArgMax: st.builds(ArgMax, whole, whole),
    PRelu: st.just(PRelu()),
    Crop: st.builds(Crop, pairs, whole, whole, whole),
    ScaleGradient: st.builds(ScaleGradient, reals),
    Affine: st.just(Affine()),
    Relu: st.just(Relu()),
    Clip: st.builds(Clip, reals, reals),
    Unary: st.builds(Unary, st.text(), reals),
    MaxPool: st.builds(MaxPool, pairs, pairs, pads, pairs),
    AveragePool: st.builds(AveragePool, pairs, pairs, pads, whole),
    SumPool: st.builds(SumPool, pairs, pairs, pads, whole),
    Reshape: st.builds(Reshape, ints),
    Transpose: st.builds(Transpose, ints),
    Slice: st.builds(Slice, ints, ints, ints),
    Pad: st.builds(Pad, ints, ints, reals),
    Concat: st.builds(Concat, whole),
    Quantize: st.builds(Quantize, dtypes, whole, roundings, whole, whole),
    PairLookup: st.builds(PairLookup, dtypes, pairs, reals, reals),
    Dequantize: st.builds(Dequantize, whole),
    Requantize: st.builds(Requantize, dtypes, whole, whole),
    Threshold: st.builds(Threshold, dtypes, whole),
    Lookup: st.builds(Lookup, dtypes, whole),
}
ops = st.one_of(*OPS.values())


@st.composite
def tensors(draw):
    dtype = draw(dtypes)
    shape = draw(array_shapes(min_dims=0, max_dims=3, max_side=3))
    if dtype == FLOAT32:
        return Tensor(draw(arrays(np.float32, shape)), dtype)
    values = st.integers(dtype.lo, dtype.hi).filter(lambda v: v or dtype != BIPOLAR)
    return Tensor(draw(arrays(dtype.container, shape, elements=values)), dtype)


names = st.text(min_size=0, max_size=6) | st.sampled_from(
    ["graph", "const", "return", "from", "proved", "n", "x.1", "1x", "//", "a b", '"', "é", "\n"]
)
types = st.builds(
    lambda batch, dims, dtype: TensorType((*batch, *dims), dtype),
    st.sampled_from([(), (BATCH,)]),
    st.lists(st.integers(0, 999), max_size=4),
    dtypes,
)
encodings = st.none() | st.builds(
    Encoding, st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**31), 2**31)
)
values = st.builds(Value, names, types, names, encodings)
certificates = st.none() | st.builds(
    Certificate,
    st.sampled_from(["exact", "certified", "table", "differs"]),
    names,
    whole,
    whole,
    whole,
    whole,
    st.lists(st.builds(Difference, whole, whole, whole, whole), max_size=2).map(tuple),
)
nodes = st.builds(Node, values, ops, st.lists(names, max_size=3).map(tuple), certificates)
graphs = st.builds(
    Graph,
    names,
    st.lists(values, max_size=3).map(tuple),
    st.dictionaries(names, tensors(), max_size=3),
    st.lists(nodes, max_size=4).map(tuple),
    st.lists(names, min_size=1, max_size=3).map(tuple),
)


@given(graphs)
def test_text_parses_back_to_an_equal_graph(graph):
    """Any names, operators, encodings and certificates, legal or not."""
    assert from_text(to_text(graph)) == graph


@given(graphs)
def test_text_has_one_line_for_each_part(graph):
    lines = to_text(graph).split("\n")
    assert len(lines) == 3 + len(graph.constants) + len(graph.nodes)
    assert lines[-1] == ""


@given(graphs)
def test_abbreviated_constants_are_found_by_digest(graph):
    known = {tensor.digest: tensor for tensor in graph.constants.values()}
    assert from_text(to_text(graph, max_elements=1), known) == graph


@given(ops)
def test_an_op_is_made_again_from_its_attributes(op):
    assert make_op(op.name, {k: _as_json(v) for k, v in attributes(op).items()}) == op


def _as_json(value):
    return list(value) if isinstance(value, tuple) else value


def test_every_op_has_a_unique_name_and_is_tested_here():
    assert set(OPS) == set(ALL)
    assert {name: cls.name for name, cls in BY_NAME.items()} == {name: name for name in BY_NAME}
    assert len(BY_NAME) == len(ALL)


def test_text_looks_as_documented():
    weight = Tensor(np.array([[1, -2]]), int_type(4))
    acc = Node(
        Value("fc", TensorType((BATCH, 1), INT32), "/fc/MatMul"),
        Dense(),
        ("image", "w"),
        Certificate("exact", "", 0, 3),
    )
    image = Value("image", TensorType((BATCH, 2), int_type(8)), "", Encoding(0.5, -3))
    graph = Graph("net", (image,), {"w": weight}, (acc,), ("fc",))
    assert to_text(graph, max_elements=1) == (
        "graph net (image: int8[n,2] ~ 0.5 -3)\n"
        f"  const w: int4[1,2] = #{weight.digest}\n"
        '  fc: int32[n,1] = dense (image, w) from "/fc/MatMul" '
        'proved {"verdict": "exact", "hi": 3}\n'
        "  return fc\n"
    )


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("offset", [0.0, (0.5, -1.0)])
def test_the_rounding_of_an_input_is_part_of_its_encoding(rounding, offset):
    value = Value("x", TensorType((BATCH, 2), INT32), "", Encoding(0.5, 3, offset, rounding))
    graph = Graph("net", (value,), {}, (), ("x",))
    assert from_text(to_text(graph)) == graph
    assert (f" {rounding})" in to_text(graph)) == (rounding != "half_up")


def test_comments_blank_lines_and_indentation_do_not_matter():
    text = "\n// a comment\ngraph g (x: float32[n,2])\n\n      // more\ny: float32[n,2] = relu (x)\nreturn y"
    graph = from_text(text)
    assert graph.nodes[0].op == Relu()
    assert graph.outputs == ("y",)


HEAD = "graph g (x: float32[n,2])\n"
GOOD = "y: float32[n,2] = "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The text holds no graph."),
        ("// nothing", "The text holds no graph."),
        (HEAD, "The graph has no 'return' line."),
        ("network g ()\n", "Line 1: Expected 'graph ', found 'network g ()'."),
        ("graph g x: float32[n]\n", "Line 1: Expected '(', found 'x: float32[n]'."),
        ("graph g (x float32[n])\n", "Line 1: Expected ':', found 'float32[n])'."),
        (
            "graph g (x: real[n])",
            "Line 1: 'real' is not a numeric type. Use float32, intN, uintN (N = 1..64), bipolar or ternary.",
        ),
        ("graph g (x: int8[n) more", "Line 1: Expected a dimension, found ') more'."),
        ("graph g (x: int8(n))", "Line 1: Expected '[', found '(n))'."),
        ("graph g () more", "Line 1: Expected the end of the line, found 'more'."),
        (HEAD + "return", "Line 2: Expected ':', found ''."),
        (HEAD + "return , y", "Line 2: Expected a name, found ', y'."),
        (HEAD + 'return "y', "Line 2: Expected a JSON value, found '\"y'."),
        (HEAD + "return y z", "Line 2: Expected the end of the line, found 'z'."),
        (HEAD + "\n\ny = relu (x)", "Line 4: Expected ':', found '= relu (x)'."),
        (HEAD + "y: float32[n,2] relu (x)", "Line 2: Expected '=', found 'relu (x)'."),
        (HEAD + GOOD + "(x)", "Line 2: Expected an operator, found '(x)'."),
        (HEAD + GOOD + "sine (x)", "Line 2: There is no operator 'sine'."),
        (HEAD + GOOD + "relu x", "Line 2: Expected '(', found 'x'."),
        (HEAD + GOOD + "relu (x", "Line 2: Expected ')', found ''."),
        (HEAD + GOOD + "relu (x y)", "Line 2: Expected ')', found 'y)'."),
        (HEAD + GOOD + "relu {} (x,,y)", "Line 2: Expected a name, found ',y)'."),
        (HEAD + GOOD + 'relu {"a": 1} (x)', "Line 2: Operator 'relu' has no attribute a."),
        (HEAD + GOOD + "relu {a (x)", "Line 2: Expected a JSON value, found '{a (x)'."),
        (HEAD + GOOD + "slice (x)", "Line 2: Operator 'slice' needs the attribute starts, steps, stops."),
        (
            HEAD + GOOD + 'max_pool {"kernel": [2]} (x)',
            "Line 2: Attribute kernel of operator 'max_pool' cannot be [2].",
        ),
        (
            HEAD + GOOD + 'max_pool {"kernel": 2} (x)',
            "Line 2: Attribute kernel of operator 'max_pool' cannot be 2.",
        ),
        (
            HEAD + GOOD + 'reshape {"shape": [2, "n"]} (x)',
            "Line 2: Attribute shape of operator 'reshape' cannot be [2, \"n\"].",
        ),
        (
            HEAD + GOOD + 'clip {"lo": "0"} (x)',
            "Line 2: Attribute lo of operator 'clip' cannot be \"0\".",
        ),
        (
            HEAD + GOOD + 'quantize {"dtype": "int8", "rounding": "up"} (x)',
            "Line 2: Attribute rounding of operator 'quantize' cannot be \"up\".",
        ),
        (
            HEAD + GOOD + 'quantize {"dtype": 8} (x)',
            "Line 2: Attribute dtype of operator 'quantize' cannot be 8.",
        ),
        (
            HEAD + GOOD + 'quantize {"dtype": "int99"} (x)',
            "Line 2: A numeric type has 1 to 64 bits, not 99.",
        ),
        (HEAD + GOOD + "relu (x) ~ half 0", "Line 2: Expected a scale, found 'half 0'."),
        (HEAD + GOOD + "relu (x) ~ 0.5 z", "Line 2: Expected a zero point, found 'z'."),
        (HEAD + GOOD + "relu (x) ~ +-. 0", "Line 2: Expected a scale, found '+-. 0'."),
        (HEAD + GOOD + "relu (x) from y", "Line 2: Expected a JSON value, found 'y'."),
        (HEAD + GOOD + "relu (x) proved {}", "Line 2: Expected a certificate, found '{}'."),
        (HEAD + GOOD + "relu (x) proved 3", "Line 2: Expected a certificate, found '3'."),
        (
            HEAD + GOOD + 'relu (x) proved {"verdict": "exact", "examples": [[1]]}',
            "Line 2: Expected a certificate, found '{\"verdict\": \"exact\", \"examples'.",
        ),
        (HEAD + "const w int8[1] = 3", "Line 2: Expected ':', found 'int8[1] = 3'."),
        (HEAD + "const w: int8[1] 3", "Line 2: Expected '=', found '3'."),
        (HEAD + "const w: int8[1] = #xyz", "Line 2: Expected a digest, found 'xyz'."),
        (
            HEAD + "const w: int8[1] = #0123456789abcdef",
            "Line 2: Constant #0123456789abcdef is abbreviated and was not given as int8[1].",
        ),
        (HEAD + 'const w: int8[1] = "%%%"', "Line 2: This does not hold the elements of int8[1]."),
        (HEAD + 'const w: int8[1] = " "', "Line 2: This does not hold the elements of int8[1]."),
        (HEAD + "const w: int8[1] = 3", "Line 2: This does not hold the elements of int8[1]."),
    ],
)  # fmt: skip
def test_text_that_is_no_graph_is_refused_with_its_line(text, message):
    with pytest.raises(TextError, match=f"^{re.escape(message)}$"):
        from_text(text)


@pytest.mark.parametrize("declared", ["int8[4]", "int8[2]", "int8[n,3]", "int16[3]", "bipolar[3]"])
def test_a_constant_must_have_as_many_elements_as_declared_and_of_its_type(declared):
    graph = Graph("g", (), {"w": Tensor(np.array([1, 2, 3]), int_type(8))}, (), ("w",))
    text = to_text(graph).replace("int8[3]", declared)
    expected = f"Line 2: This does not hold the elements of {declared}."
    if declared == "bipolar[3]":
        expected = "Line 2: A constant has elements that are not values of bipolar."
    with pytest.raises(TextError, match=f"^{re.escape(expected)}$"):
        from_text(text)


def test_a_constant_is_not_inflated_beyond_its_declared_size():
    graph = Graph("g", (), {"w": real(np.zeros(10**6))}, (), ("w",))
    text = to_text(graph).replace("float32[1000000]", "float32[2]")
    message = r"^Line 2: This does not hold the elements of float32\[2\]\.$"
    with pytest.raises(TextError, match=message):
        from_text(text)


@given(graphs, st.data())
def test_damaged_text_gives_a_graph_or_a_text_error_and_nothing_else(graph, data):
    text = to_text(graph)
    at = data.draw(st.integers(0, len(text)))
    damage = data.draw(
        st.sampled_from(["", "(", ")", "[", '"', "{", ",", "~", "1", "proved ", "\n"])
    )
    skip = data.draw(st.integers(0, 4))
    try:
        from_text(text[:at] + damage + text[at + skip :])
        found = "The graph."
    except TextError as error:
        found = str(error)
    assert found.startswith(("Line ", "The "))
