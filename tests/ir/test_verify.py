import re
from dataclasses import replace

import numpy as np
import pytest

from intaglio.errors import VerifyError
from intaglio.ir.graph import Graph, Node, Value
from intaglio.ir.numeric import INT32, int_type
from intaglio.ir.ops import ALL
from intaglio.ir.ops_layout import Take
from intaglio.ir.ops_linear import Dense
from intaglio.ir.ops_pool import SumPool
from intaglio.ir.ops_quant import Requantize
from intaglio.ir.tensor import BATCH, Tensor, TensorType, real
from intaglio.ir.text import from_text
from intaglio.ir.verify import LEGAL, verify

ONCE = "Rule: Every value is defined once."
BEFORE = "Rule: Operands are defined before they are used."
STAGE = "Rule: Only ops of the stage occur."
TYPES = "Rule: Types are those that the ops infer."
LEADS = "Rule: What depends on an input begins with the batch n; nothing else has one."
REALS = "Rule: Reals occur only where the stage allows them."
FLOAT = "graph g (x: float32[n,2])\n"
CODES = "graph g (x: uint8[n,2])\n"


def test_legal_graphs_are_returned_as_they_are():
    graph = from_text(FLOAT + "a: float32[n,2] = relu (x)\nreturn a, x")
    assert verify(graph, "float") is graph
    assert verify(graph, "quantized") is graph
    codes = from_text(CODES + "a: int32[n,2] = add (x, x)\nreturn a")
    assert verify(codes, "integer") is codes


@pytest.mark.parametrize(
    ("stage", "text", "message"),
    [
        ("float", FLOAT + "x: float32[n,2] = relu (x)\nreturn x", f"Value 'x': it is defined twice. {ONCE}"),
        (
            "float",
            FLOAT + 'a: float32[n,2] = relu (b) from "/act"\nb: float32[n,2] = relu (x)\nreturn a',
            f"Node '/act' (relu): its operand 'b' is not defined before it. {BEFORE}",
        ),
        ("float", FLOAT + "return y", f"Output 'y': nothing defines it. {BEFORE}"),
        (
            "float",
            CODES + 'a: int32[n,1] = sum_pool {"kernel": [1, 1]} (x)\nreturn a',
            f"Node 'a' (sum_pool): operator 'sum_pool' is not legal in the float stage. {STAGE}",
        ),
        (
            "integer",
            FLOAT + "a: float32[n,2] = relu (x)\nreturn a",
            f"Node 'a' (relu): operator 'relu' is not legal in the integer stage. {STAGE}",
        ),
        (
            "float",
            FLOAT + "a: float32[n,3] = relu (x)\nreturn a",
            "Node 'a' (relu): its type is float32[n,3] but its operands give float32[n,2]. " + TYPES,
        ),
        (
            "float",
            FLOAT + "a: float32[n,2] = add (x)\nreturn a",
            f"Node 'a' (add): Operator 'add' takes x, y; got 1 operands. {TYPES}",
        ),
        (
            "float",
            "graph g (x: float32[n,2], y: float32[n,3])\na: float32[n,2] = add (x, y)\nreturn a",
            f"Node 'a' (add): Operands float32[n,2] and float32[n,3] differ. {TYPES}",
        ),
        ("float", "graph g (x: float32[2])\nreturn x", f"Value 'x': its type is float32[2]. {LEADS}"),
        ("float", "graph g (x: float32[n,n])\nreturn x", f"Value 'x': its type is float32[n,n]. {LEADS}"),
        ("float", CODES + "return x", f"Value 'x': uint8[n,2] is not real. {REALS}"),
        ("integer", FLOAT + "return x", f"Value 'x': float32[n,2] is not an integer. {REALS}"),
        (
            "integer",
            CODES + 'a: int32[n,2] = add {"multipliers": [8421504, 1]} (x, x)\nreturn a',
            "Node 'a' (add): its values reach 0..2147483775 and overflow int32. "
            "Rule: No integer can overflow its type.",
        ),
    ],
)  # fmt: skip
def test_each_broken_rule_is_named_with_the_node(stage, text, message):
    with pytest.raises(VerifyError, match=f"^{re.escape(message)}$"):
        verify(from_text(text), stage)


def test_what_depends_on_no_input_must_not_have_a_batch():
    value = Value("a", TensorType((BATCH, 2)))
    graph = Graph(
        "g", (), {"c": Tensor(np.zeros((1, 2), np.float32), value.type.dtype)}, (), ("a",)
    )
    text = 'graph g (x: float32[n,2])\na: float32[n,2] = reshape {"shape": [2]} (c)\nreturn a'
    parsed = from_text(text)
    broken = Graph("g", parsed.inputs, graph.constants, parsed.nodes, ("a",))
    message = f"Value 'a': its type is float32[n,2]. {LEADS}"
    with pytest.raises(VerifyError, match=f"^{re.escape(message)}$"):
        verify(broken, "float")


def rescaled(multiplier, addend, shift):
    """uint8 codes x 255 -> requantize."""
    x = Value("x", TensorType((BATCH, 1), int_type(8, signed=False)))
    numbers = {"m": multiplier, "r": addend, "s": shift}
    constants = {name: Tensor(np.array([v]), int_type(64)) for name, v in numbers.items()}
    constants["w"] = Tensor(np.array([[1]]), int_type(2))
    acc = Node(Value("acc", TensorType((BATCH, 1), INT32)), Dense(), ("x", "w"))
    out = Value("y", TensorType((BATCH, 1), int_type(8)), "/conv")
    y = Node(out, Requantize(int_type(8), -128, 127), ("acc", "m", "r", "s"))
    return Graph("g", (x,), constants, (acc, y), ("y",))


def test_the_greatest_rescaling_that_fits_into_int64_is_legal():
    most = (2**63 - 1) // 255
    verify(rescaled(most, 2**63 - 1 - 255 * most, 62), "integer")
    verify(rescaled(-most, 0, 0), "integer")


@pytest.mark.parametrize(
    ("parameters", "finding"),
    [
        ((2**56, 0, 0), f"255 * {2**56} + 0 overflows int64"),
        ((-(2**56), 0, 0), f"255 * {2**56} + 0 overflows int64"),
        ((1, 2**63 - 200, 0), f"255 * 1 + {2**63 - 200} overflows int64"),
        ((1, 0, 63), "its shifts are 63..63"),
        ((1, 0, -1), "its shifts are -1..-1"),
    ],
)
def test_a_rescaling_that_could_overflow_is_refused(parameters, finding):
    message = f"Node '/conv' (requantize): {finding}. "
    message += "Rule: Rescaling fits into int64 and shifts right by 0 to 62."
    with pytest.raises(VerifyError, match=f"^{re.escape(message)}$"):
        verify(rescaled(*parameters), "integer")


def test_a_list_names_only_what_is_there():
    x, dtype = Value("x", TensorType((BATCH, 3), int_type(8))), int_type(8)
    listed = Tensor(np.array([0, 3]), int_type(8))
    y = Node(Value("y", TensorType((BATCH, 2), dtype), "/fc"), Take(), ("x", "channels"))
    message = "Node '/fc' (take): its list reaches 0..3. Rule: A list names what its operand holds."
    with pytest.raises(VerifyError, match=f"^{re.escape(message)}$"):
        verify(Graph("g", (x,), {"channels": listed}, (y,), ("y",)), "integer")


def test_a_real_constant_in_the_integer_stage_is_refused():
    broken = rescaled(1, 0, 0)
    constants = dict(broken.constants) | {"m": real(np.array([0.5]))}
    message = f"Constant 'm': float32[1] is not an integer. {REALS}"
    with pytest.raises(VerifyError, match=f"^{re.escape(message)}$"):
        verify(replace(broken, constants=constants), "integer")


def test_every_op_is_legal_in_some_stage():
    assert set().union(*LEGAL.values()) == set(ALL)
    assert SumPool in LEGAL["integer"]
