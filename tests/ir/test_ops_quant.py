import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import ShapeError
from intaglio.ir.interval import Fact, Interval
from intaglio.ir.numeric import INT32, int_type
from intaglio.ir.op import Work
from intaglio.ir.ops_quant import Dequantize, Lookup, Quantize, Requantize, Threshold
from intaglio.ir.tensor import BATCH, Tensor, TensorType

INT8, UINT8, UINT4 = int_type(8), int_type(8, signed=False), int_type(4, signed=False)
rngs = st.integers(0, 2**32).map(np.random.default_rng)


def constant(values):
    array = np.asarray(values, dtype=np.int64)
    span = Interval.of(int(array.min()), int(array.max())) if array.size else Interval.of(0, 0)
    return Fact(TensorType(array.shape, int_type(64)), span, array)


def accumulator(x):
    return Fact(TensorType((BATCH, *x.shape[1:]), INT32), Interval.of(x.min(), x.max()))


@given(rngs, st.sampled_from([(2, 3), (2, 3, 2), (2, 3, 2, 2)]), st.booleans())
def test_quantize_of_reals_is_equation_2_per_channel(rng, shape, per_channel):
    x = rng.normal(0, 20, shape).astype(np.float32)
    scale = rng.uniform(0.1, 1, 3 if per_channel else ()).astype(np.float32)
    zero = rng.integers(0, 8, scale.shape)
    got = Quantize(UINT4).reference(x, scale, zero)
    assert got.dtype == np.uint8
    for index in np.ndindex(*shape):
        channel = (index[1],) if per_channel else ()
        exact = Fraction(float(x[index])) / Fraction(float(scale[channel]))
        assert got[index] == min(max(round(exact) + int(zero[channel]), 0), 15)


@given(rngs)
def test_dequantize_is_equation_1_along_its_axis(rng):
    codes = rng.integers(-128, 128, (3, 2)).astype(np.int8)
    scale, zero = rng.uniform(0.1, 1, 3).astype(np.float32), rng.integers(-9, 9, 3)
    got = Dequantize(axis=0).reference(codes, scale, zero)
    assert got.dtype == np.float32
    for i, j in np.ndindex(3, 2):
        exact = (int(codes[i, j]) - int(zero[i])) * float(scale[i])
        assert got[i, j] == np.float32(exact)


@given(rngs, st.sampled_from([(2, 3), (2, 3, 2, 2)]), st.booleans())
def test_requantize_is_equation_5_in_unbounded_integers(rng, shape, per_channel):
    size = 3 if per_channel else 1
    x = rng.integers(-(2**31), 2**31, shape)
    factor = rng.integers(-(2**30), 2**30, size)
    offset = rng.integers(-(2**60), 2**60, size)
    shift = rng.integers(0, 47, size)
    op = Requantize(INT8, -100, 90)
    got = op.reference(x, factor, offset, shift)
    assert got.dtype == np.int8
    for index in np.ndindex(*shape):
        c = index[1] if per_channel else 0
        exact = int(x[index]) * int(factor[c]) + int(offset[c]) >> int(shift[c])
        assert got[index] == min(max(exact, -100), 90)
    facts = map(constant, (factor, offset, shift))
    assert op.interval(accumulator(x), *facts).contains(got)


@given(rngs, st.booleans())
def test_requantize_interval_is_attained(rng, per_channel):
    size = 3 if per_channel else 1
    parameters = (rng.integers(-9, 9, size), rng.integers(-99, 99, size), rng.integers(0, 4, size))
    op = Requantize(INT8, -100, 90)
    every = np.repeat(np.arange(-50, 61)[:, None], 3, axis=1)
    reach = op.interval(accumulator(every), *map(constant, parameters)).per_channel(3)
    codes = op.reference(every, *parameters)
    assert reach.lo.tolist() == codes.min(axis=0).tolist()
    assert reach.hi.tolist() == codes.max(axis=0).tolist()


@given(rngs, st.sampled_from([(2, 3), (2, 3, 2, 2)]), st.sampled_from([1, 3]), st.integers(0, 15))
def test_threshold_counts_the_steps_passed(rng, shape, rows, levels):
    x = rng.integers(-50, 50, shape)
    steps = np.sort(rng.integers(-50, 50, (rows, levels)), axis=1)
    op = Threshold(INT8, -7)
    got = op.reference(x, steps)
    for index in np.ndindex(*shape):
        row = steps[index[1] if rows > 1 else 0].tolist()
        assert got[index] == -7 + sum(int(x[index]) >= step for step in row)
    assert op.interval(accumulator(x), constant(steps)).contains(got)
    type_ = accumulator(x).type
    assert op.work(type_, constant(steps).type) == Work(compares=type_.elements * levels)


@given(rngs, st.sampled_from([INT8, UINT4]))
def test_lookup_reads_the_entry_of_each_code(rng, dtype):
    table = rng.integers(0, 16, dtype.hi - dtype.lo + 1)
    x = rng.integers(dtype.lo, dtype.hi + 1, (2, 5)).astype(dtype.container)
    op = Lookup(UINT4, dtype.lo)
    got = op.reference(x, table.astype(np.uint8))
    for index in np.ndindex(*x.shape):
        assert got[index] == table[int(x[index]) - dtype.lo]
    fact = Fact(TensorType((BATCH, 5), dtype), Interval.of(x.min(), x.max()))
    reach = op.interval(fact, constant(table))
    assert reach.contains(got)
    inside = table[int(x.min()) - dtype.lo : int(x.max()) - dtype.lo + 1]
    assert reach.bounds == (inside.min(), inside.max())


X, WIDE = TensorType((BATCH, 3)), TensorType((BATCH, 3), INT32)
SCALAR, PAIR = TensorType((), INT32), TensorType((2,), INT32)


@pytest.mark.parametrize(
    ("op", "types", "text"),
    [
        (
            Quantize(INT8),
            [X, SCALAR, PAIR],
            "Parameter int32[2] fits neither a scalar nor axis 1 of float32[n,3].",
        ),
        (
            Dequantize(axis=1),
            [WIDE, PAIR, SCALAR],
            "Parameter int32[2] fits neither a scalar nor axis 1 of int32[n,3].",
        ),
        (
            Requantize(INT8, 0, 1),
            [WIDE, PAIR, SCALAR, SCALAR],
            "Multiplier must be a scalar or (3,), got int32[2].",
        ),
        (
            Requantize(INT8, 0, 1),
            [WIDE, SCALAR, PAIR, SCALAR],
            "Addend must be a scalar or (3,), got int32[2].",
        ),
        (
            Requantize(INT8, 0, 1),
            [WIDE, SCALAR, SCALAR, PAIR],
            "Shift must be a scalar or (3,), got int32[2].",
        ),
        (Requantize(INT8, 0, 128), [WIDE, SCALAR, SCALAR, SCALAR], "0..128 is not a range of int8."),
        (Requantize(INT8, 2, 1), [WIDE, SCALAR, SCALAR, SCALAR], "2..1 is not a range of int8."),
        (
            Threshold(UINT4, 0),
            [WIDE, TensorType((2, 3), INT32)],
            "Thresholds must be (3, levels), got int32[2,3].",
        ),
        (Threshold(UINT4, 1), [WIDE, TensorType((1, 15), INT32)], "1..16 is not a range of uint4."),
        (
            Lookup(INT8, 0),
            [TensorType((BATCH, 3), UINT4), TensorType((15,), INT8)],
            "A table for uint4 has 16 entries, got int8[15].",
        ),
        (
            Lookup(INT8, 1),
            [TensorType((BATCH, 3), UINT4), TensorType((16,), INT8)],
            "A table for uint4 has 16 entries, got int8[16].",
        ),
        (Lookup(INT8, 0), [X, TensorType((1,), INT8)], "A table for float32 has 0 entries, got int8[1]."),
    ],
)  # fmt: skip
def test_operands_that_do_not_fit_are_refused(op, types, text):
    with pytest.raises(ShapeError, match=f"^{re.escape(text)}$"):
        op.infer(*types)


def test_types_and_work():
    assert Quantize(UINT4).infer(X, TensorType(()), SCALAR) == X.with_dtype(UINT4)
    assert Dequantize().infer(WIDE, TensorType((3,)), SCALAR) == X
    assert Quantize(UINT4).interval(X, X, X).bounds == (0, 15)
    assert Quantize(UINT4).work(X, SCALAR, SCALAR) == Work(multiplies=3, compares=6)
    assert Dequantize().work(WIDE, SCALAR, SCALAR) == Work(adds=3, multiplies=3)
    assert Requantize(INT8, 0, 1).work(WIDE, SCALAR, SCALAR, SCALAR) == Work(macs=3, compares=6)
    assert Lookup(INT8, 0).work(WIDE, SCALAR) == Work(lookups=3)
    assert Tensor(np.zeros(3), X.dtype).type.elements == 3
