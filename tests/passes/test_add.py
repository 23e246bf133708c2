from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from intaglio.ir.numeric import ROUNDINGS, short_scale
from intaglio.passes.add import ACCUMULATOR_LIMIT, find_sum
from intaglio.passes.meaning import Codes, Sum
from intaglio.passes.rescale import round_fraction

roundings = st.sampled_from(ROUNDINGS)
factors = st.tuples(st.sampled_from([1, -1, 2]), st.sampled_from([1, -1]))
ranges = st.tuples(st.integers(-20, 20), st.integers(0, 15)).map(lambda p: (p[0], p[0] + p[1]))
rationals = st.fractions(Fraction(1, 50), 4, max_denominator=64)
powers = st.integers(-6, 3).map(lambda e: Fraction(2) ** e * 5)


def expected_code(total, scale, zero_point, rounding, codes, x, y):
    """The definition, from the meaning of the codes."""
    left = total.factors[0] * total.x.scale * (x - total.x.zero_point)
    right = total.factors[1] * total.y.scale * (y - total.y.zero_point)
    code = round_fraction((left + right) / scale, rounding) + zero_point
    return min(max(code, codes[0]), codes[1])


def differences(found, total, scale, zero_point, rounding, codes, x_range, y_range):
    """(pair number, got, expected) for every pair, one by one."""
    a, b = found.multipliers
    pairs = product(range(x_range[0], x_range[1] + 1), range(y_range[0], y_range[1] + 1))
    wrong = []
    for number, (x, y) in enumerate(pairs):
        acc = a * x + b * y
        assert abs(acc) <= ACCUMULATOR_LIMIT
        got = min(max(acc + found.addend >> found.shift, codes[0]), codes[1])
        expected = expected_code(total, scale, zero_point, rounding, codes, x, y)
        wrong += [(number, got, expected)] if got != expected else []
    return wrong


def check(found, *given_):
    """The certificate says exactly what comparing every pair says."""
    wrong = differences(found, *given_)
    proof = found.certificate
    assert proof.proved == (not wrong)
    assert proof.count == len(wrong)
    assert proof.worst == max((abs(got - expected) for _, got, expected in wrong), default=0)
    assert [(e.input, e.got, e.expected) for e in proof.examples] == wrong[:8]


def total_of(scales, zeros, factors_):
    return Sum(Codes("x", scales[0], zeros[0]), Codes("y", scales[1], zeros[1]), factors_)


@given(
    st.tuples(rationals, rationals, rationals) | st.tuples(powers, powers, powers),
    st.tuples(*[st.integers(-20, 20)] * 3),
    factors,
    roundings,
    ranges,
    ranges,
    ranges,
)
def test_the_certificate_says_for_every_pair_whether_the_integers_equal_the_definition(
    scales, zeros, factors_, rounding, codes, x_range, y_range
):
    total = total_of(scales, zeros, factors_)
    given_ = (total, scales[2], zeros[2], rounding, codes, x_range, y_range)
    check(find_sum(*given_), *given_)


@given(
    st.tuples(powers, powers, powers),
    st.tuples(*[st.integers(-128, 127)] * 3),
    factors,
    st.sampled_from(["half_up", "floor", "ceil"]),
    st.integers(1, 12),
)
def test_ratios_that_are_powers_of_two_are_exact_by_construction(
    scales, zeros, factors_, rounding, bits
):
    codes = (-(1 << bits - 1), (1 << bits - 1) - 1)
    given_ = (total_of(scales, zeros, factors_), scales[2], zeros[2], rounding, codes, codes, codes)
    found = find_sum(*given_)
    assert found.certificate.verdict == "exact"
    assert str(found.certificate) == "exact by construction (add, powers of two)"
    rng = np.random.default_rng(0)
    for x, y in rng.integers(codes[0], codes[1] + 1, (50, 2)).tolist():
        assert differences(found, *given_[:5], (x, x), (y, y)) == []


@given(st.tuples(powers, powers, powers), factors, st.sampled_from(["half_even", "half_away"]))
def test_a_tie_rounding_that_is_no_addend_is_not_called_exact(scales, factors_, rounding):
    codes = (-8, 7)
    given_ = (total_of(scales, (0, 0), factors_), scales[2], 0, rounding, codes, codes, codes)
    found = find_sum(*given_)
    assert found.certificate.verdict != "exact" or found.shift == 0
    check(found, *given_)


short = st.floats(2.0**-4, 1).map(lambda s: Fraction(float(short_scale(np.array(s)))))


@settings(max_examples=20)
@given(short, short, st.floats(0.25, 1.2), st.tuples(*[st.integers(0, 255)] * 3))
def test_short_scales_of_bytes_are_certified_for_all_pairs(x, y, part, zeros):
    """docs/numerics.md section 5: observed for every ratio tried."""
    scale = Fraction(float(short_scale(np.array(float(x + y) * part))))
    byte = (0, 255)
    total = total_of((x, y), zeros[:2], (1, 1))
    found = find_sum(total, scale, zeros[2], "half_up", byte, byte, byte)
    assert found.certificate.proved
    for pair in ((0, 0), (255, 255), zeros[:2], (17, 200)):
        one = ((code, code) for code in pair)
        assert not differences(found, total, scale, zeros[2], "half_up", byte, *one)


def test_where_no_integers_are_exact_the_nearest_are_given_with_every_pair_that_differs():
    total = total_of((Fraction(323, 10**5), Fraction(1, 700)), (0, 0), (1, 1))
    codes, scale = (0, 1023), Fraction(1, 997)
    found = find_sum(total, scale, 0, "half_even", codes, codes, codes)
    x, y = np.arange(1024)[:, None], np.arange(1024)[None, :]
    a, b = found.multipliers
    got = np.clip(a * x + b * y + found.addend >> found.shift, *codes).ravel()
    below = 10**5 * 7
    sums = (323 * 7 * x + 1000 * y).ravel() * 997
    whole, rest = np.divmod(sums, below)
    half_even = whole + ((2 * rest > below) | ((2 * rest == below) & (whole % 2 == 1)))
    expected = np.clip(half_even, *codes)
    wrong = np.flatnonzero(got != expected)
    certificate = found.certificate
    assert (certificate.verdict, certificate.count) == ("differs", len(wrong))
    assert certificate.worst == np.abs(got - expected).max() == 1
    assert (certificate.lo, certificate.hi) == (0, 1024**2 - 1)
    assert [(e.channel, e.input, e.got, e.expected) for e in certificate.examples] == [
        (0, i, got[i], expected[i]) for i in wrong[:8].tolist()
    ]
    assert len(wrong) < 1024**2 / 1000


@pytest.mark.parametrize("bits", [12, 16])
def test_codes_with_too_many_pairs_to_try_have_no_answer_unless_exact(bits):
    wide = (0, (1 << bits) - 1)
    odd = total_of((Fraction(1, 3), Fraction(1, 7)), (0, 0), (1, 1))
    assert find_sum(odd, Fraction(1, 5), 0, "half_up", wide, wide, wide) is None
    even = total_of((Fraction(1, 4), Fraction(1, 2)), (0, 0), (1, 1))
    assert find_sum(even, Fraction(1, 8), 0, "half_up", wide, wide, wide).multipliers == (2, 4)


@given(ranges, ranges, st.integers(0, 2**20))
def test_multipliers_that_could_overflow_int32_are_not_taken(x_range, y_range, factor):
    assume(factor > 0)
    total = total_of((Fraction(factor), Fraction(factor)), (0, 0), (2**10, 2**10))
    found = find_sum(total, Fraction(1), 0, "floor", (-9, 9), x_range, y_range)
    if found is not None:
        check(found, total, Fraction(1), 0, "floor", (-9, 9), x_range, y_range)
