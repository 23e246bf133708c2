import weakref

import numpy as np
import pytest

from intaglio.ir.evaluate import evaluate, evaluate_batches, facts, walk
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import INT32, int_type
from intaglio.ir.ops_linear import Dense
from intaglio.ir.ops_pointwise import Add, Relu
from intaglio.ir.ops_quant import Dequantize, Requantize
from intaglio.ir.tensor import BATCH, Tensor, TensorType, real

UINT4 = int_type(4, signed=False)


def integer_network():
    """acc = x w; y = clip(acc + 1 >> 2, 0, 15)."""
    builder = Builder("g")
    x = builder.input(Value("x", TensorType((BATCH, 2), UINT4)))
    w = builder.constant("w", Tensor(np.array([[1, -2], [3, 1], [0, 0]]), int_type(3)))
    acc = builder.node("acc", Dense(), x, w)
    one, two = (builder.constant(str(v), Tensor(np.array([v]), UINT4)) for v in (1, 2))
    return builder.build((builder.node("y", Requantize(UINT4, 0, 15), acc, one, one, two),))


def long_chain(length):
    builder = Builder("g")
    name = builder.input(Value("x", TensorType((BATCH, 1000))))
    one = builder.constant("one", real(np.ones((1000, 1000), dtype=np.float32) / 1000))
    for index in range(length):
        name = builder.node(f"n{index}", Dense(), name, one)
    return builder.build((name,))


def test_evaluate_gives_outputs_by_name():
    codes = np.array([[15, 0], [0, 15], [15, 15]], dtype=np.uint8)
    assert evaluate(integer_network(), {"x": codes})["y"].tolist() == [
        [4, 11, 0],
        [0, 4, 0],
        [0, 15, 0],
    ]


def test_outputs_may_be_inputs_constants_and_inner_values():
    builder = Builder("g")
    x = builder.input(Value("x", TensorType((BATCH, 2))))
    c = builder.constant("c", real(np.array([5.0, 6.0])))
    inner = builder.node("inner", Relu(), x)
    last = builder.node("last", Add(), inner, inner)
    graph = builder.build((last, inner, x, c))
    found = evaluate(graph, {"x": np.array([[-1, 2]], dtype=np.float32)})
    assert {name: array.tolist() for name, array in found.items()} == {
        "last": [[0, 4]],
        "inner": [[0, 2]],
        "x": [[-1, 2]],
        "c": [5, 6],
    }


def test_walk_holds_only_a_result_and_its_operand_of_a_chain():
    seen, most = [], 0
    for _, result in walk(long_chain(12), {"x": np.ones((1, 1000), dtype=np.float32)}):
        seen.append(weakref.ref(result))
        most = max(most, sum(each() is not None for each in seen))
    assert (len(seen), most) == (12, 2)


def test_walk_frees_a_result_that_nothing_reads():
    builder = Builder("g")
    x = builder.input(Value("x", TensorType((BATCH, 2))))
    builder.node("dead", Relu(), x)
    y = builder.node("y", Relu(), x)
    steps = walk(builder.build((y,)), {"x": np.ones((1, 2), dtype=np.float32)})
    dead = weakref.ref(next(steps)[1])
    next(steps)
    assert dead() is None


@pytest.mark.parametrize("count", [0, 1, 5, 6, 7])
def test_batches_of_any_size_equal_one_evaluation(count):
    graph = integer_network()
    codes = np.random.default_rng(0).integers(0, 16, (count, 2)).astype(np.uint8)
    expected = evaluate(graph, {"x": codes})["y"]
    got = evaluate_batches(graph, {"x": codes}, batch=3)["y"]
    assert np.array_equal(got, expected)
    assert got.shape == (count, 3)


def test_facts_follow_the_weights_to_the_interval_of_each_channel():
    known = facts(integer_network())
    assert known["x"].interval.bounds == (0, 15)
    assert known["acc"].interval.lo.tolist() == [-30, 0, 0]
    assert known["acc"].interval.hi.tolist() == [15, 60, 0]
    assert known["acc"].type == TensorType((BATCH, 3), INT32)
    assert known["y"].interval.hi.tolist() == [4, 15, 0]
    assert known["w"].interval.bounds == (-2, 3)
    assert known["w"].constant.tolist() == [[1, -2], [3, 1], [0, 0]]


def test_facts_skip_reals_and_start_again_at_codes():
    builder = Builder("g")
    x = builder.input(Value("x", TensorType((BATCH, 2), UINT4)))
    scale = builder.constant("scale", real(np.array(0.5)))
    zero = builder.constant("zero", Tensor(np.array(0), INT32))
    y = builder.node("y", Dequantize(), x, scale, zero)
    known = facts(builder.build((y,)))
    assert set(known) == {"x", "zero"}


def test_facts_of_an_empty_constant():
    builder = Builder("g")
    name = builder.constant("empty", Tensor(np.zeros((2, 0), dtype=np.int8), UINT4))
    known = facts(builder.build((name,)))
    assert known["empty"].interval.bounds == (0, 0)
