"""multiply, matmul and softmax: small cases by hand, and the bound on softmax's error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import ShapeError, VerifyError
from intaglio.ir.graph import Builder, Value
from intaglio.ir.interval import Fact, Interval
from intaglio.ir.numeric import FLOAT32, INT32, int_type
from intaglio.ir.ops_product import MatMul, Multiply
from intaglio.ir.ops_softmax import Softmax
from intaglio.ir.tensor import Tensor, TensorType
from intaglio.ir.verify import verify
from intaglio.passes.lower_product import exponent_bits, exponentials, softmax_error

CODES = int_type(8, signed=False)


def fact(shape, lo, hi, dtype=CODES):
    return Fact(TensorType(("n", *shape), dtype), Interval.of(np.array(lo), np.array(hi)))


def test_multiply_takes_codes_less_their_zero_points():
    x = np.array([[[[10, 3]], [[0, 255]]]], np.uint8)
    y = np.array([[[[7]], [[2]]]], np.uint8)
    got = Multiply((3, 2)).reference(x, y)
    assert got.tolist() == [[[[35, 0]], [[0, 0]]]]


def test_the_interval_of_a_product_has_its_corners():
    x, y = fact((2, 4), [0, 5], [10, 6]), fact((2, 1), [0, 1], [3, 2])
    interval = Multiply((5, 1)).interval(x, y)
    assert interval.lo.tolist() == [-10, 0]
    assert interval.hi.tolist() == [10, 1]


def test_the_interval_of_a_matmul_has_as_many_products_as_it_is_deep():
    interval = MatMul((0, 1)).interval(fact((2, 7), 0, 3), fact((7, 4), 0, 3))
    assert interval.bounds == (-21, 42)


def test_matmul_multiplies_every_matrix_of_a_stack():
    x = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    y = np.arange(6, dtype=np.uint8).reshape(1, 2, 3, 1)
    got = MatMul((1, 2)).reference(x, y)
    rows = [
        [sum((int(a) - 1) * (int(b) - 2) for a, b in zip(r, m[:, 0], strict=True)) for r in q]
        for q, m in zip(x[0], y[0], strict=True)
    ]
    assert got[0, :, :, 0].tolist() == rows


@pytest.mark.parametrize(
    ("op", "x", "y", "message"),
    [
        (Multiply(), (2, 3), (2, 2), "float32[n,2,2] cannot be repeated to float32[n,2,3]."),
        (Multiply(), (1, 3), (2, 3), "float32[n,2,3] cannot be repeated to float32[n,1,3]."),
        (Multiply(), (2, 3), (2,), "float32[n,2] cannot be repeated to float32[n,2,3]."),
        (
            MatMul(),
            (2, 3),
            (2, 3),
            "float32[n,2,3] and float32[n,2,3] are not (n, ..., m, k) and (n, ..., k, p).",
        ),
    ],
)
def test_operands_that_do_not_fit_are_refused(op, x, y, message):
    with pytest.raises(ShapeError) as caught:
        op.infer(*(TensorType(("n", *shape), FLOAT32) for shape in (x, y)))
    assert str(caught.value) == message


def test_softmax_divides_once_and_rounds_half_up():
    table = np.array([6, 3, 1], np.uint8)
    x = np.array([[9, 8, 0, 1]], np.int8)
    assert Softmax(1).reference(x, table).tolist() == [
        [(2 * 65536 * e + 11) // 22 for e in (6, 3, 1, 1)]
    ]
    assert Softmax(1).infer(TensorType(("n", 4), int_type(8)), Tensor(table, CODES).type) == (
        TensorType(("n", 4), INT32)
    )


@given(
    codes=st.lists(st.integers(0, 255), min_size=1, max_size=300),
    scale=st.floats(2.0**-12, 4.0),
)
def test_integer_softmax_stays_within_its_bound_of_the_real_one(codes, scale):
    x = np.array([codes], np.uint8)
    got = Softmax(1).reference(x, exponentials(scale, 256, exponent_bits(len(codes))))
    real = 65536 * Softmax(1).reference(x.astype(np.float64) * scale)
    assert np.abs(got - real).max() <= float(softmax_error(len(codes))) + 1e-6


@given(length=st.integers(1, 5000))
def test_sums_of_exponentials_fit_int32(length):
    table = exponentials(0.01, 256, exponent_bits(length))
    assert Softmax(1).sums_fit(TensorType(("n", length), CODES), table)
    assert not Softmax(1).sums_fit(TensorType(("n", 4 * length), CODES), table)


def test_softmax_of_up_to_128_elements_is_within_one_share():
    assert softmax_error(128) == 1
    assert softmax_error(64) < 1


@pytest.mark.parametrize("table", [[0, 1], [-1, 1], [2**30, 0]])
def test_a_table_whose_sums_fail_is_refused(table):
    b = Builder("net")
    x = b.input(Value("x", TensorType(("n", 2), CODES)))
    name = b.constant("table", Tensor(np.array(table), INT32))
    graph = b.build((b.node("y", Softmax(1), x, name, origin="/y"),))
    with pytest.raises(VerifyError) as caught:
        verify(graph, "integer")
    assert str(caught.value) == (
        f"Node '/y' (softmax): its exponentials reach {max(table)}. Rule: Sums of exponentials "
        "are positive and fit int32."
    )
