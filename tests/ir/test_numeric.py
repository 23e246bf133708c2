import re
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    ROUND_UP,
    Decimal,
)
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import NumericError
from intaglio.ir.numeric import (
    BIPOLAR,
    FLOAT32,
    INT32,
    LEAST_SCALE,
    ROUNDINGS,
    SHORT_BITS,
    TERNARY,
    Encoding,
    NumericType,
    int_type,
    narrowest,
    round_real,
    short_scale,
)

REALS = (-2.5, -2.0, -1.5, -0.51, -0.5, -0.49, 0.0, 0.49, 0.5, 0.51, 1.5, 2.0, 2.49, 2.5)

INTEGERS = [int_type(b, signed=s) for b in range(1, 65) for s in (True, False)]
EVERY = [FLOAT32, BIPOLAR, TERNARY, *INTEGERS]


def decimal_rounding(value: float, rounding: str) -> int:
    """The rounding by Python's decimal module; half_up is floor(x + 1/2), which decimal lacks."""
    if rounding == "half_dpu":
        rounding = "half_even" if value >= 0 else "half_up"
    if rounding == "half_up":
        return int((Decimal(value) + Decimal("0.5")).to_integral_value(ROUND_FLOOR))
    mode = {
        "half_even": ROUND_HALF_EVEN,
        "half_away": ROUND_HALF_UP,
        "half_toward_zero": ROUND_HALF_DOWN,
        "floor": ROUND_FLOOR,
        "ceil": ROUND_CEILING,
        "toward_zero": ROUND_DOWN,
        "away_from_zero": ROUND_UP,
    }[rounding]
    return int(Decimal(value).to_integral_value(mode))


# The table of docs/numerics.md, rows in the order of ROUNDINGS.
TABLE = {
    "half_even": (-2, -2, -2, -1, 0, 0, 0, 0, 0, 1, 2, 2, 2, 2),
    "half_up": (-2, -2, -1, -1, 0, 0, 0, 0, 1, 1, 2, 2, 2, 3),
    "half_away": (-3, -2, -2, -1, -1, 0, 0, 0, 1, 1, 2, 2, 2, 3),
    "half_toward_zero": (-2, -2, -1, -1, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2),
    "half_dpu": (-2, -2, -1, -1, 0, 0, 0, 0, 0, 1, 2, 2, 2, 2),
    "floor": (-3, -2, -2, -1, -1, -1, 0, 0, 0, 0, 1, 2, 2, 2),
    "ceil": (-2, -2, -1, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3),
    "toward_zero": (-2, -2, -1, 0, 0, 0, 0, 0, 0, 0, 1, 2, 2, 2),
    "away_from_zero": (-3, -2, -2, -1, -1, -1, 0, 1, 1, 1, 2, 2, 3, 3),
}


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_rounding_gives_the_documented_table(rounding):
    assert round_real(np.array(REALS), rounding).tolist() == list(TABLE[rounding])


def test_the_documents_show_this_table():
    lines = (Path(__file__).parents[2] / "docs" / "numerics.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    rows = {row[0].split(" ")[0]: row[1:] for row in cells}
    assert [float(value) for value in rows["round(x)"]] == list(REALS)
    assert {mode: tuple(map(int, rows[mode])) for mode in TABLE} == TABLE


@given(
    st.floats(-(2.0**52), 2.0**52) | st.integers(-(2**20), 2**20).map(lambda n: n / 2),
    st.sampled_from(ROUNDINGS),
)
def test_rounding_equals_decimal(value, rounding):
    assert int(round_real(np.array([value]), rounding)[0]) == decimal_rounding(value, rounding)


@pytest.mark.parametrize("step", [-1, 1])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_rounding_is_exact_just_beside_a_tie(rounding, step):
    ties = np.arange(-1000, 1000) + 0.5
    beside = np.nextafter(ties, step * np.inf)
    expected = [decimal_rounding(value, rounding) for value in beside.tolist()]
    assert round_real(beside, rounding).tolist() == expected


@pytest.mark.parametrize("dtype", EVERY, ids=str)
def test_type_parses_back_from_its_text(dtype):
    assert NumericType.parse(str(dtype)) == dtype


@pytest.mark.parametrize(
    "text", ["int0", "int", "uint007", "float64", "int8 ", "Int8", "", "int-1", "int٣"]
)
def test_parse_refuses_any_other_text(text):
    expected = (
        f"'{text}' is not a numeric type. Use float32, intN, uintN (N = 1..64), bipolar or ternary."
    )
    with pytest.raises(NumericError, match=f"^{re.escape(expected)}$"):
        NumericType.parse(text)


@pytest.mark.parametrize("bits", [0, -1, 65])
def test_type_refuses_widths_outside_1_to_64(bits):
    expected = f"A numeric type has 1 to 64 bits, not {bits}."
    with pytest.raises(NumericError, match=f"^{re.escape(expected)}$"):
        int_type(bits)


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integer_type_spans_two_to_the_bits_values_around_its_container(dtype):
    assert dtype.is_integer
    assert dtype.hi - dtype.lo + 1 == 2**dtype.bits
    assert (dtype.lo == 0) == (dtype.kind == "uint")
    info = np.iinfo(dtype.container)
    assert info.min <= dtype.lo
    assert dtype.hi <= info.max
    assert info.bits == min(size for size in (8, 16, 32, 64) if size >= dtype.bits)


def test_bipolar_and_ternary_hold_their_values_in_an_int8():
    for dtype in (BIPOLAR, TERNARY):
        assert (dtype.lo, dtype.hi, dtype.container) == (-1, 1, np.int8)
    assert not BIPOLAR.contains(np.array([0], dtype=np.int8))
    assert TERNARY.contains(np.array([-1, 0, 1], dtype=np.int8))
    assert not TERNARY.contains(np.array([2], dtype=np.int8))


@given(st.sampled_from([*INTEGERS, BIPOLAR, TERNARY]), st.data())
def test_contains_agrees_with_membership(dtype, data):
    value = data.draw(
        st.sampled_from([dtype.lo - 1, dtype.lo, 0, dtype.hi, dtype.hi + 1]).filter(
            lambda v: -(2**63) <= v < 2**64
        )
    )
    array = np.array([value], dtype=np.uint64 if value >= 2**63 else np.int64)
    member = dtype.lo <= value <= dtype.hi and (dtype != BIPOLAR or value != 0)
    assert dtype.contains(array) == member


def test_contains_distinguishes_reals_integers_and_booleans():
    assert FLOAT32.contains(np.array([1.5]))
    assert not FLOAT32.contains(np.array([1]))
    assert not INT32.contains(np.array([1.0]))
    assert not INT32.contains(np.array([True]))
    assert all(dtype.contains(np.zeros(0, dtype=np.int8)) for dtype in (INT32, BIPOLAR, TERNARY))


@given(st.integers(-(2**62), 2**62), st.integers(-(2**62), 2**62))
def test_narrowest_holds_the_range_and_one_bit_less_does_not(a, b):
    lo, hi = min(a, b), max(a, b)
    dtype = narrowest(lo, hi)
    assert dtype.lo <= lo <= hi <= dtype.hi
    assert (dtype.kind == "uint") == (lo >= 0)
    if dtype.bits > 1:
        less = int_type(dtype.bits - 1, signed=dtype.kind == "int")
        assert not less.lo <= lo <= hi <= less.hi


@pytest.mark.parametrize(
    ("lo", "hi", "text"),
    [
        (0, 0, "uint1"),
        (-1, 0, "int1"),
        (-1, -1, "int1"),
        (-1, 1, "int2"),
        (0, 255, "uint8"),
        (0, 256, "uint9"),
        (-128, 127, "int8"),
        (-129, 0, "int9"),
        (-5, -3, "int4"),
    ],
)
def test_narrowest_at_the_edges(lo, hi, text):
    assert str(narrowest(lo, hi)) == text


def scales():
    mantissa = st.integers(2**23, 2**24 - 1)
    return st.builds(lambda m, e: float(np.ldexp(m, e - 24)), mantissa, st.integers(-30, 20))


@given(st.integers(1, 16), st.booleans(), scales(), st.data())
def test_encoding_decodes_and_encodes_every_code_to_itself(bits, signed, scale, data):
    dtype = int_type(bits, signed=signed)
    encoding = Encoding(scale, data.draw(st.integers(dtype.lo, dtype.hi)))
    rounding = data.draw(st.sampled_from(["half_even", "half_up", "half_away"]))
    codes = np.arange(dtype.lo, dtype.hi + 1).astype(dtype.container)
    assert np.array_equal(encoding.encode(encoding.decode(codes), dtype, rounding), codes)


@given(scales(), st.lists(st.floats(-1e5, 1e5, width=32), min_size=1), st.sampled_from(ROUNDINGS))
def test_encode_of_float32_equals_the_exact_quotient_rounded_once(scale, reals, rounding):
    """Division in float64 cannot cross a rounding edge: docs/numerics.md section 1."""
    dtype = int_type(16)
    got = Encoding(scale, 3).encode(np.array(reals, dtype=np.float32), dtype, rounding)
    for code, value in zip(got.tolist(), reals, strict=True):
        exact = Fraction(value) / Fraction(scale)
        assert code == min(max(exact_round(exact, rounding) + 3, dtype.lo), dtype.hi)


@given(scales(), st.integers(-(2**14), 2**14), st.sampled_from([-1, 0, 1]))
def test_encode_decides_near_ties_exactly(scale, twice, step):
    value = np.float32((twice + 0.5) * scale)
    value = np.nextafter(value, np.float32(step * np.inf)) if step else value
    got = Encoding(scale).encode(np.array([value]), int_type(16), "half_even")[0]
    assert int(got) == round(Fraction(float(value)) / Fraction(scale))


def exact_round(value: Fraction, rounding: str) -> int:
    half, whole = Fraction(1, 2), value.numerator // value.denominator
    rest = value - whole
    return {
        "half_even": round(value),
        "half_up": whole + (rest >= half),
        "half_away": whole + (rest >= half if value >= 0 else rest > half),
        "half_toward_zero": whole + (rest > half if value >= 0 else rest >= half),
        "half_dpu": round(value) if value >= 0 else whole + (rest >= half),
        "floor": whole,
        "ceil": whole + (rest > 0),
        "toward_zero": whole + (rest > 0 and value < 0),
        "away_from_zero": whole + (rest > 0 and value > 0),
    }[rounding]


@given(st.floats(2.0**-100, 2.0**100))
def test_short_scale_is_the_nearest_number_with_a_short_mantissa(scale):
    short = Fraction(float(short_scale(np.array(scale))))
    mantissa = short.numerator
    while mantissa % 2 == 0:
        mantissa //= 2
    assert mantissa.bit_length() <= SHORT_BITS
    assert abs(short / Fraction(scale) - 1) <= Fraction(1, 2**SHORT_BITS)


def test_short_scale_keeps_shape_powers_of_two_and_the_type_float32():
    powers = np.ldexp(np.ones((2, 3)), np.arange(6).reshape(2, 3))
    assert np.array_equal(short_scale(powers), powers)
    assert short_scale(powers).dtype == np.float32
    assert short_scale(np.array(0.1)).shape == ()


@pytest.mark.parametrize("scale", [0.0, 5e-324, 1e-45, 2.0**-101])
def test_short_scale_never_vanishes(scale):
    assert short_scale(np.array(scale)) == LEAST_SCALE
