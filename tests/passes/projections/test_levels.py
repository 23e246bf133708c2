import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import NumericError, UsageError
from intaglio.ir.numeric import BIPOLAR, TERNARY, int_type, short_scale
from intaglio.ir.ops_quant import Dequantize
from intaglio.passes.projections.levels import (
    PowerOfTwoLevels,
    UniformLevels,
    binary,
    bits_top,
)

ZEROS = ("pruned", "level", "never")
numbers = st.integers(-40, 40).map(lambda number: number / 8)


@st.composite
def weights(draw):
    shape = draw(st.sampled_from([(1, 4), (2, 3), (3, 5), (2, 2, 1, 2)]))
    size = int(np.prod(shape))
    return np.array(draw(st.lists(numbers, min_size=size, max_size=size)), np.float32).reshape(
        shape
    )


levels = st.one_of(
    st.builds(
        UniformLevels,
        st.integers(1, 6),
        zeros=st.sampled_from(ZEROS),
        per_channel=st.booleans(),
    ),
    st.builds(
        PowerOfTwoLevels,
        st.integers(1, 4),
        zeros=st.sampled_from(ZEROS),
        per_channel=st.booleans(),
    ),
)


def codes_of(kind):
    """Every positive code."""
    if isinstance(kind, UniformLevels):
        return range(1, kind.top + 1)
    return [2**power for power in range(kind.count)]


def least_distance(kind, number, scale):
    """From the number to the nearest value that it may take."""
    if number == 0 and kind.zeros == "pruned":
        return 0.0
    values = [sign * code * scale for code in codes_of(kind) for sign in (-1, 1)]
    return min(abs(number - value) for value in values + [0.0] * (kind.zeros == "level"))


@given(levels, weights(), st.floats(0.01, 4))
def test_every_weight_takes_the_nearest_value_that_it_may(kind, weight, scale):
    scale = short_scale(np.array([scale] * (len(weight) if kind.per_channel else 1)))
    point = kind.project(weight, scale)
    assert point.dtype == np.float32
    for row, found, step in zip(weight, point, np.resize(scale, len(weight)), strict=True):
        for number, value in zip(row.flat, found.flat, strict=True):
            distance = least_distance(kind, float(number), float(step))
            assert abs(float(number) - float(value)) == pytest.approx(distance, abs=1e-12)


def optimum(kind, row):
    """The least squared error of any scale: each piece on which no code changes has its own."""
    sizes = np.abs(row.astype(np.float64)).reshape(-1)
    if kind.zeros == "pruned":
        sizes = sizes[sizes > 0]
    edges = np.unique([size / (code + 0.5) for size in sizes for code in range(kind.top)])
    edges = edges[edges > 0]
    errors = []
    for low, high in zip([0.0, *edges], [*edges, np.inf], strict=True):
        middle = high / 2 if low == 0 else (low + high) / 2 if high < np.inf else 2 * low
        if not 0 < middle < np.inf:
            continue
        codes = kind.nearest(sizes / middle)
        scale = sizes @ codes / (codes @ codes) if codes.any() else middle
        errors.append(((sizes - scale * codes) ** 2).sum())
    return min(errors, default=0.0)


def squared_error(weight, point):
    return ((weight.astype(np.float64) - point) ** 2).sum()


@pytest.mark.parametrize("top", [1, 3, 7])
@pytest.mark.parametrize("zeros", ZEROS)
def test_the_scale_of_a_layer_is_near_the_best_of_all(top, zeros):
    rng = np.random.default_rng(top)
    kind, ratios = UniformLevels(top, zeros=zeros), []
    for tail in (1, 1, 1, 3, 3):
        weight = (rng.normal(size=(4, 30)) ** tail).astype(np.float32)
        weight[rng.random(weight.shape) < 0.3] = 0
        found = squared_error(weight, kind.project(weight))
        ratios.append(found / optimum(kind, weight))
    assert max(ratios) < (1 + 1e-5 if top == 1 else 1.00002)
    assert min(ratios) > 1 - 1e-9


@given(weights(), st.sampled_from(ZEROS))
def test_the_scale_of_one_level_is_the_exact_optimum_but_for_its_rounding(weight, zeros):
    kind = UniformLevels(1, zeros=zeros)
    rounding = 2.0**-24 * (weight.astype(np.float64) ** 2).sum()
    found = squared_error(weight, kind.project(weight))
    assert found <= optimum(kind, weight) + rounding


@given(weights(), st.integers(1, 5), st.sampled_from(ZEROS))
def test_a_scale_of_powers_of_two_is_the_best_power(weight, count, zeros):
    kind = PowerOfTwoLevels(count, zeros=zeros)
    if not weight.any():
        return
    scale = kind.fit(weight)
    mantissa, _ = np.frexp(scale)
    assert mantissa.tolist() == [0.5]
    best = min(
        squared_error(weight, kind.project(weight, np.array([2.0**power], np.float32)))
        for power in range(-12, 6)
    )
    assert squared_error(weight, kind.project(weight, scale)) == best


@given(levels, weights())
def test_codes_times_scale_are_the_point_in_every_bit(kind, weight):
    codes, scale = kind.codes(weight)
    point = kind.project(weight)
    assert codes.dtype.contains(codes.array)
    zero = np.zeros((), np.int64)
    meant = Dequantize(axis=0).reference(codes.array, scale.reshape(scale.shape), zero)
    assert meant.tobytes() == point.tobytes()
    assert (
        np.float32(1) * codes.array * scale.reshape(-1, *[1] * (weight.ndim - 1))
    ).tobytes() == (point.tobytes())


@given(levels, weights())
def test_a_weight_on_levels_stays_where_it_is(kind, weight):
    point = kind.project(weight)
    assert kind.project(point).tolist() == point.tolist()


@given(st.integers(1, 20), st.lists(st.integers(-20, 20), min_size=1), st.integers(1, 4095))
def test_whole_multiples_of_a_short_step_keep_it_whatever_codes_they_use(top, codes, mantissa):
    codes = np.clip(np.array([codes]), -top, top)
    weight = (codes * np.float32(mantissa / 4096)).astype(np.float32)
    for zeros in ("pruned", "level"):
        assert UniformLevels(top, zeros=zeros).project(weight).tolist() == weight.tolist()


@given(weights())
def test_zeros_have_no_say_in_the_scale_of_the_others(weight):
    padded = np.concatenate([weight, np.zeros_like(weight)], axis=1)
    for kind in (UniformLevels(3), PowerOfTwoLevels(3), binary(zeros="pruned")):
        assert kind.fit(padded).tolist() == kind.fit(weight).tolist()
        assert not kind.project(padded)[:, weight.shape[1] :].any()


def test_channels_have_scales_of_their_own():
    rows = np.random.default_rng(0).normal(size=(3, 2, 3, 3)).astype(np.float32)
    rows *= np.array([1, 100, 0.01], np.float32).reshape(-1, 1, 1, 1)
    for zeros in ZEROS:
        together = UniformLevels(3, zeros=zeros, per_channel=True)
        alone = UniformLevels(3, zeros=zeros)
        assert together.fit(rows).shape == (3,)
        parts = [alone.project(rows[index : index + 1])[0] for index in range(3)]
        assert together.project(rows).tolist() == np.array(parts).tolist()


def test_one_outlier_does_not_fix_the_scale():
    weight = np.random.default_rng(0).normal(size=(10, 1000)).astype(np.float32)
    weight[0, 0] = 50
    assert UniformLevels(7).fit(weight)[0] < 0.5


@pytest.mark.parametrize(
    ("kind", "weight", "codes", "dtype", "scale"),
    [
        (UniformLevels(1, zeros="level"), [[4, -5, 1, 0.5]], [[1, -1, 0, 0]], TERNARY, 4.5),
        (UniformLevels(1, zeros="level"), [[4, -4]], [[1, -1]], TERNARY, 4),
        (binary(), [[4, -5, 1, 0]], [[1, -1, 1, 1]], BIPOLAR, 2.5),
        (binary(zeros="pruned"), [[4, -5, 3, 0]], [[1, -1, 1, 0]], TERNARY, 4),
        (binary(zeros="pruned"), [[4, -5, 3]], [[1, -1, 1]], BIPOLAR, 4),
        (UniformLevels(3), [[0.5, -1, 1.5]], [[1, -2, 3]], int_type(3), 0.5),
        (UniformLevels(4), [[0.5, -1, 2]], [[1, -2, 4]], int_type(4), 0.5),
        (UniformLevels(127), [[127, 1, -126]], [[127, 1, -126]], int_type(8), 1),
        (PowerOfTwoLevels(3), [[1, -2, 4, 0, 2.9]], [[1, -2, 4, 0, 2]], int_type(4), 1),
        (PowerOfTwoLevels(3), [[1, -2, 4, 3.5]], [[1, -2, 4, 4]], int_type(4), 1),
        (PowerOfTwoLevels(1), [[0.25, -0.25]], [[1, -1]], BIPOLAR, 0.25),
    ],
)
def test_codes_have_the_narrowest_type(kind, weight, codes, dtype, scale):
    found, step = kind.codes(np.array(weight, np.float32))
    assert (found.array.tolist(), found.dtype, step.tolist()) == (codes, dtype, [scale])


def test_a_layer_of_zeros_stays_one():
    zero = np.zeros((2, 3), np.float32)
    for kind in (
        UniformLevels(3),
        PowerOfTwoLevels(3),
        UniformLevels(1, zeros="level", per_channel=True),
    ):
        assert not kind.project(zero).any()
        assert (kind.fit(zero) == 1).all()
    assert np.abs(binary().project(zero)).max() == np.float32(2.0**-100)


@pytest.mark.parametrize(("bits", "top"), [(1, 1), (2, 1), (3, 3), (4, 7), (8, 127)])
def test_levels_of_some_bits_fit_the_integer_type(bits, top):
    assert bits_top(bits) == top
    if bits > 2:
        assert UniformLevels(top).type_of(np.array([1, -top])) == int_type(bits)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: UniformLevels(0), "There are 0 levels on a side. Choose 1 to 127."),
        (lambda: UniformLevels(128), "There are 128 levels on a side. Choose 1 to 127."),
        (lambda: PowerOfTwoLevels(0), "There are 0 levels on a side. Choose 1 to 7."),
        (lambda: PowerOfTwoLevels(8), "There are 8 levels on a side. Choose 1 to 7."),
    ],
)
def test_levels_that_no_eight_bits_hold_are_refused(make, text):
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        make()


def test_weights_of_a_diverged_training_are_refused():
    with pytest.raises(NumericError, match=r"^A weight to project is not finite\."):
        UniformLevels(3).fit(np.array([[np.nan]], np.float32))
