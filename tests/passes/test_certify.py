from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from intaglio.errors import InternalError
from intaglio.ir.certificate import Certificate
from intaglio.ir.interval import Interval
from intaglio.ir.numeric import ROUNDINGS, short_scale
from intaglio.passes.certify import (
    MAX_EXAMPLES,
    addend_range,
    differing,
    find_parameters,
    nearest_parameters,
    prove,
    thresholds,
)
from intaglio.passes.rescale import Rescale

simple = st.fractions(-4, 4, max_denominator=16)
"""Small denominators: many exact ties."""
floats = st.floats(-8, 8, width=32).map(Fraction)
extreme = st.sampled_from([1, -1]).flatmap(
    lambda sign: st.integers(-60, 40).map(lambda e: sign * Fraction(2) ** e * Fraction(11, 7))
)
scales = simple | floats | extreme | st.just(Fraction(0))
offsets = simple | st.fractions(-300, 300, max_denominator=1000) | floats


@st.composite
def rescalings(draw, max_span=3000, max_channels=3):
    """(definition, reach): every rounding, sign and size of scale, and one-point intervals."""
    channels = draw(st.integers(1, max_channels))
    scale = tuple(draw(scales) for _ in range(channels))
    if draw(st.booleans()):
        scale = scale[:1] * channels
    offset = tuple(draw(offsets) for _ in range(channels))
    lo = draw(st.integers(-300, 300))
    rounding, hi = draw(st.sampled_from(ROUNDINGS)), lo + draw(st.integers(0, 300))
    f = Rescale(scale, offset, rounding, lo, hi, draw(st.integers(-300, 300)))
    first = np.array([draw(st.integers(-2000, 2000)) for _ in range(channels)])
    return f, Interval.of(first, first + [draw(st.integers(0, max_span)) for _ in range(channels)])


def accumulators(reach, channel):
    return np.arange(int(reach.lo[channel]), int(reach.hi[channel]) + 1)


def difference_by_hand(f, parameters, reach):
    """(channel, input, got, expected) for every accumulator, one by one."""
    found = []
    for channel in range(f.channels):
        every = accumulators(reach, channel)
        expected = f.codes(every.tolist(), channel).tolist()
        for acc, code in zip(every.tolist(), expected, strict=True):
            got = parameters.code(acc, channel)
            if got != code:
                found.append((channel, acc, got, code))
    return found


def certificate_by_hand(f, parameters, reach):
    found = difference_by_hand(f, parameters, reach)
    worst = max((abs(got - code) for _, _, got, code in found), default=0)
    examples = tuple(found[:MAX_EXAMPLES])
    verdict = "differs" if found else "certified"
    return verdict, "requantize", *reach.bounds, len(found), worst, examples


def fields(certificate):
    examples = tuple((d.channel, d.input, d.got, d.expected) for d in certificate.examples)
    head = (certificate.verdict, certificate.method, certificate.lo, certificate.hi)
    return (*head, certificate.count, certificate.worst, examples)


@given(rescalings(max_channels=1))
def test_staircase_is_the_definition_over_the_whole_interval(case):
    f, reach = case
    stairs = f.stairs(0, *reach.bounds)
    every = stairs.sign * accumulators(reach, 0)
    climbed = stairs.base + (every[:, None] >= stairs.steps).sum(axis=1)
    assert climbed.tolist() == f.codes((stairs.sign * every).tolist(), 0).tolist()
    assert stairs.clipped_below == (stairs.base == f.lo)
    assert stairs.clipped_above == (stairs.base + len(stairs.steps) == f.hi)


@given(rescalings())
def test_what_is_found_equals_the_definition_on_every_accumulator(case):
    f, reach = case
    parameters = find_parameters(f, reach)
    if parameters is None:
        return
    assert difference_by_hand(f, parameters, reach) == []
    assert prove(f, parameters, reach) == Certificate("certified", "requantize", *reach.bounds)
    for channel in range(f.channels):
        every = accumulators(reach, channel)
        assert np.array_equal(parameters.codes(every, channel), f.codes(every.tolist(), channel))


@given(rescalings())
def test_channels_of_equal_scale_share_multiplier_and_shift(case):
    f, reach = case
    parameters = find_parameters(f, reach)
    assume(parameters is not None)
    pairs = zip(parameters.multiplier.tolist(), parameters.shift.tolist(), strict=True)
    assert len(set(zip(f.scale, pairs, strict=True))) == len(set(f.scale))


@given(rescalings(max_channels=1), st.integers(1, 400), st.integers(0, 12))
def test_addend_range_holds_exactly_the_addends_that_climb_the_stairs(case, multiplier, shift):
    f, reach = case
    stairs = f.stairs(0, *reach.bounds)
    least, most = addend_range(stairs, multiplier, shift)
    every = stairs.sign * accumulators(reach, 0)
    expected = f.codes((stairs.sign * every).tolist(), 0)
    for addend in (least - 1, least, (least + most) // 2, most, most + 1):
        if abs(addend) < 2**62 - 2**40:
            codes = np.clip(every * multiplier + addend >> shift, f.lo, f.hi)
            assert np.array_equal(codes, expected) == (least <= addend <= most)


@given(
    rescalings(max_span=400),
    st.sampled_from(["multiplier", "addend", "shift"]),
    st.integers(0, 2),
    st.integers(-3, 3) | st.integers(-(2**30), 2**30),
)
def test_a_certificate_broken_on_purpose_lists_exactly_the_accumulators_that_differ(
    case, which, channel, change
):
    f, reach = case
    parameters = find_parameters(f, reach)
    assume(parameters is not None)
    column = getattr(parameters, which).copy()
    column[channel % f.channels] += change
    column = np.clip(column, 0, 62) if which == "shift" else column
    broken = replace(parameters, **{which: column})
    assume(fits_int64(broken, reach))
    assert fields(prove(f, broken, reach)) == certificate_by_hand(f, broken, reach)
    wrong = {
        (c, acc)
        for c in range(f.channels)
        for part in differing(f, broken, c, int(reach.lo[c]), int(reach.hi[c]))
        for acc in part
    }
    assert wrong == {(c, acc) for c, acc, _, _ in difference_by_hand(f, broken, reach)}


@pytest.mark.parametrize("which", ["multiplier", "shift"])
def test_a_multiplier_or_shift_that_is_off_by_one_is_caught(which):
    f = Rescale((Fraction(3, 1000),), (Fraction(1, 3),), "half_up", -100, 100)
    reach = Interval.of(-30000, 30000)
    parameters = find_parameters(f, reach)
    broken = replace(parameters, **{which: getattr(parameters, which) + 1})
    certificate = prove(f, broken, reach)
    assert not certificate.proved
    assert fields(certificate) == certificate_by_hand(f, broken, reach.per_channel(1))


def test_no_addend_beside_the_admissible_ones_is_certified():
    f = Rescale((Fraction(3, 1000),), (Fraction(1, 3),), "half_up", -100, 100)
    reach = Interval.of(-30000, 30000)
    parameters = find_parameters(f, reach)
    multiplier, shift = int(parameters.multiplier[0]), int(parameters.shift[0])
    least, most = addend_range(f.stairs(0, -30000, 30000), multiplier, shift)
    verdicts = [
        prove(f, replace(parameters, addend=np.array([addend])), reach).verdict
        for addend in (least - 1, least, most, most + 1)
    ]
    assert verdicts == ["differs", "certified", "certified", "differs"]


def test_a_proof_does_not_believe_steps_that_are_not_those_of_the_definition():
    class Wrong(Rescale):
        def steps(self, channel, first, last):
            return super().steps(channel, first, last) + 1

    f = Wrong((Fraction(1, 8),), (Fraction(0),), "half_up", -10, 10)
    reach = Interval.of(-50, 50)
    text = r"^The steps of a rescaling are not those of its definition\.$"
    with pytest.raises(InternalError, match=text):
        prove(f, find_parameters(f, reach), reach)


@given(rescalings())
def test_nearest_parameters_are_proved_or_listed_exactly(case):
    f, reach = case
    parameters = nearest_parameters(f, reach)
    assert fits_int64(parameters, reach)
    assert fields(prove(f, parameters, reach)) == certificate_by_hand(f, parameters, reach)


@given(rescalings())
def test_thresholds_are_the_definition(case):
    f, reach = case
    found = thresholds(f, reach)
    if any(scale < 0 for scale in f.scale):
        assert found is None
        return
    table, base = found
    for channel in range(f.channels):
        every = accumulators(reach, channel)
        codes = base + (every[:, None] >= table[channel]).sum(axis=1)
        assert codes.tolist() == f.codes(every.tolist(), channel).tolist()
        assert (np.diff(table[channel]) >= 0).all()


def fits_int64(parameters, reach):
    """In unbounded integers: neither the product nor the sum leaves int64."""
    for channel in range(len(parameters.multiplier)):
        m, r = int(parameters.multiplier[channel]), int(parameters.addend[channel])
        for acc in (int(reach.lo[channel]), int(reach.hi[channel])):
            if not (abs(acc * m) < 2**63 and -(2**63) <= acc * m + r < 2**63):
                return False
    return True


wide = st.integers(-(2**31), 2**31 - 1)


@given(
    st.integers(-50, 30).flatmap(
        lambda e: st.floats(1, 2, width=32).map(lambda m: Fraction(m) * Fraction(2) ** e)
    ),
    st.sampled_from([1, -1]),
    st.floats(-(2.0**40), 2.0**40, width=32).map(Fraction) | offsets,
    st.sampled_from(ROUNDINGS),
    st.integers(1, 16),
    st.booleans(),
    st.tuples(wide, wide).map(sorted),
)
def test_int64_never_overflows_on_full_accumulators(
    scale, sign, offset, rounding, bits, signed, ends
):
    lo = -(1 << bits - 1) if signed else 0
    f = Rescale((sign * scale,), (offset,), rounding, lo, lo + (1 << bits) - 1)
    reach = Interval.of(*ends).per_channel(1)
    for parameters in (find_parameters(f, reach), nearest_parameters(f, reach)):
        if parameters is not None:
            assert fits_int64(parameters, reach)
            certificate = prove(f, parameters, reach)
            sample = np.unique(np.linspace(*ends, 50).astype(np.int64).clip(*ends))
            same = parameters.codes(sample, 0) == f.codes(sample.tolist(), 0)
            assert same.all() or not certificate.proved


def short(exponent):
    """A random short scale near 2^exponent."""
    return st.floats(1, 2).map(lambda m: Fraction(float(short_scale(np.array(m * 2.0**exponent)))))


@st.composite
def layers(draw, bits, power_of_two, reach_bits):
    """The rescaling of a layer: short scales of input and weight over that of the output."""
    x, w = draw(st.integers(-14, 2).flatmap(short)), draw(st.integers(-14, 0).flatmap(short))
    reach = draw(st.integers(1, 1 << reach_bits))
    levels = (1 << bits) - 1
    ideal = float(x * w) * 2 * reach / levels * 2.0 ** draw(st.integers(-5, 2))
    step = 2.0 ** np.ceil(np.log2(ideal)) if power_of_two else short_scale(np.array(ideal))
    out = Fraction(float(step))
    bias = Fraction(draw(st.floats(-1, 1, width=32))) * int(2**bits)
    sums, zero = draw(st.integers(-(2**16), 2**16)), draw(st.integers(0, levels))
    offset = bias - x * w / out * sums + zero
    f = Rescale((x * w / out,), (offset,), "half_up", 0, levels)
    return f, Interval.of(-draw(st.integers(0, reach)), draw(st.integers(0, reach)))


@given(st.integers(9, 12).flatmap(lambda bits: layers(bits, True, 31)))
def test_short_scales_over_a_power_of_two_are_always_certified(case):
    """docs/numerics.md section 4: the multiplier is the product of two mantissas, the addend is exact."""
    f, reach = case
    parameters = find_parameters(f, reach)
    assert prove(f, parameters, reach).proved
    assert int(parameters.multiplier[0]).bit_length() <= 24


@given(st.integers(1, 8).flatmap(lambda bits: layers(bits, False, 24)))
def test_short_scales_of_byte_codes_are_certified_up_to_24_bit_accumulators(case):
    """docs/numerics.md section 4: observed, not guaranteed; thresholds stand behind it."""
    f, reach = case
    assert prove(f, find_parameters(f, reach), reach).proved


@given(
    st.integers(1, 15),
    st.integers(1, 2**10),
    st.integers(1, 2**10),
    st.fractions(-9, 9, max_denominator=10**6),
    st.integers(0, 2**10),
)
def test_whatever_the_bound_of_equation_9_admits_is_found(bits, p, q, offset, span):
    """2 P (N + 1) < 2^31 suffices for half_up, whatever the offset."""
    scale = Fraction(p, q)
    f = Rescale((scale,), (offset,), "half_up", 0, (1 << bits) - 1)
    assume(2 * scale.numerator * (span + 1) < 2**31)
    assert find_parameters(f, Interval.of(-span // 2, span - span // 2 - 1)) is not None
