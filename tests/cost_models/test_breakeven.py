"""Rates at which single weights and structures come to the same."""

from math import comb, inf, log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.cost_models.breakeven import (
    Losses,
    Verdict,
    bitmap,
    cheapest,
    crossover_bits,
    csr,
    dense,
    fillers,
    holds,
    matched_rate,
    packed,
    relative,
    required_rate,
    required_rate_for_speed,
    shannon,
    speedup,
)
from intaglio.cost_models.range import Range
from intaglio.errors import UsageError
from intaglio.ir.formats.bitmap import Bitmap
from intaglio.ir.formats.csr import Csr
from intaglio.ir.formats.relative import Relative
from intaglio.ir.numeric import int_type
from intaglio.ir.tensor import Tensor

RATES = st.floats(1.01, 500)
WIDTHS = st.floats(0.5, 16)
INDICES = st.sampled_from([packed, shannon])


def random_tensor(density: float, rows: int = 512, columns: int = 512) -> Tensor:
    """Values 1 to 7 where a mask of independent elements is true."""
    rng = np.random.default_rng(5)
    mask = rng.random((rows, columns)) < density
    return Tensor(np.where(mask, rng.integers(1, 8, mask.shape), 0).astype(np.int8), int_type(4))


def test_sizes_of_codes_by_hand() -> None:
    assert dense(0.1).size(8) == 8
    assert bitmap(0.25).size(8) == pytest.approx(1 + 2)
    assert csr(0.1, columns=512, pointer_bits=0).size(8) == pytest.approx(0.1 * (8 + 9))
    assert csr(0.1, columns=500, pointer_bits=16).size(8) == pytest.approx(0.1 * 17 + 16 / 500)
    assert fillers(0.5, 1) == pytest.approx(0.25 / 0.75)
    assert relative(0.5, 1).size(4) == pytest.approx(0.5 * (4 / 3) * 5)
    assert relative(1.0, 3).size(4) == 7
    assert shannon(0.5)[0].size(8) == pytest.approx(1 + 4)
    assert shannon(1.0)[0].size(3) == 3


@pytest.mark.parametrize(
    ("bits", "density", "four", "best", "limit"),
    [
        (8, 0.25, 3.03, 3.03, 2.81),
        (8, 0.1, 1.473, 1.346, 1.269),
        (8, 0.05, 1.072, 0.727, 0.686),
        (8, 0.01, 0.808, 0.171, 0.161),
        (4, 0.1, 0.982, 0.932, 0.869),
        (1, 0.1, 0.614, 0.614, 0.569),
    ],
)
def test_bits_per_weight_that_an_independent_calculation_gives(
    bits: int, density: float, four: float, best: float, limit: float
) -> None:
    assert relative(density, 4).size(bits) == pytest.approx(four, rel=4e-3)
    assert min(code.size(bits) for code in packed(density)[1:]) == pytest.approx(best, rel=4e-3)
    assert shannon(density)[0].size(bits) == pytest.approx(limit, rel=4e-3)


@pytest.mark.parametrize("density", [0.5, 0.1, 0.02])
@pytest.mark.parametrize("k", [2, 4])
def test_fillers_are_those_of_a_random_mask(density: float, k: int) -> None:
    places = np.flatnonzero(random_tensor(density).array)
    zeros = np.diff(places, prepend=-1) - 1
    measured, spread = (zeros >> k).mean(), (zeros >> k).std() / np.sqrt(len(zeros))
    assert fillers(density, k) == pytest.approx(measured, abs=4 * spread)


@pytest.mark.parametrize("density", [0.5, 0.1, 0.02])
def test_sizes_are_those_of_packed_random_weights(density: float) -> None:
    tensor = random_tensor(density)
    count = tensor.type.elements
    stored = {format_.name: format_.size(tensor).bits / count for format_ in (Bitmap(), Csr())}
    real = np.count_nonzero(tensor.array) / count
    assert bitmap(real).size(4) == pytest.approx(stored["bitmap"])
    pointer = int(count * real + 1).bit_length()
    assert csr(real, 512, pointer).size(4) == pytest.approx(stored["csr"], abs=40 / count)
    best = min(code.size(4) for code in packed(real)[1:])
    assert best == pytest.approx(Relative().size(tensor).bits / count, rel=0.01)


def test_the_limit_is_that_of_all_masks_counted() -> None:
    n, left = 20_000, 1_000
    exact = log2(comb(n, left)) / n + 8 * left / n
    assert shannon(left / n)[0].size(8) == pytest.approx(exact, abs=log2(n) / n)


STRUCTURED = (1, 2, 3, 4, 5, 10, 20)
PACKED = {
    8: (1.14, 2.67, 4.59, 6.43, 8.26, 18.0, 38.9),
    4: (1.33, 3.85, 6.43, 9.24, 12.0, 27.6, 60.9),
    3: (1.50, 4.69, 7.91, 11.2, 15.0, 34.1, 75.9),
    2: (2.00, 6.43, 11.0, 16.0, 20.9, 48.3, 111),
    1: (4.69, 13.0, 22.2, 32.3, 41.9, 96.8, 222),
}
SHANNON = {
    (8, 2): 2.63,
    (8, 4): 5.94,
    (8, 10): 16.8,
    (4, 2): 3.51,
    (4, 4): 8.43,
    (4, 10): 25.2,
    (1, 1): 4.40,
    (1, 2): 11.9,
    (1, 4): 29.1,
    (1, 10): 89.1,
}


@pytest.mark.parametrize("bits", PACKED)
def test_required_rates_to_three_digits(bits: int) -> None:
    found = [float(f"{required_rate(structured, bits):.3g}") for structured in STRUCTURED]
    assert tuple(found) == PACKED[bits]


@pytest.mark.parametrize(("bits", "structured"), SHANNON)
def test_required_rates_at_the_limit_to_three_digits(bits: int, structured: int) -> None:
    found = required_rate(structured, bits, shannon)
    assert float(f"{found:.3g}") == SHANNON[bits, structured]


def test_required_rates_by_hand() -> None:
    assert required_rate(1, 8) == pytest.approx(8 / 7, rel=1e-12)  # 1 + 8 / r = 8
    assert required_rate(2, 8) == pytest.approx(8 / 3, rel=1e-12)  # 1 + 8 / r = 4
    assert required_rate(1, 2, shannon) == pytest.approx(2, rel=1e-7)  # H(1/2) + 2 / 2 = 2
    assert required_rate(8, 8, lambda density: [bitmap(density)]) == inf  # 1 bit is the mask
    assert required_rate(16, 4, lambda density: [relative(density, 4)]) == inf  # 8 bits of 16


@given(RATES, WIDTHS, INDICES)
def test_from_the_required_rate_on_and_not_before_single_weights_are_no_larger(
    structured: float, bits: float, index
) -> None:
    rate, most = required_rate(structured, bits, index), bits / structured
    sizes = [cheapest(rate * factor, bits, index).size(bits) for factor in (1, 1.001, 3)]
    assert max(sizes) <= most * (1 + 1e-12)
    assert sizes == sorted(sizes, reverse=True)
    assert cheapest(rate * (1 - 1e-9), bits, index).size(bits) > most * (1 - 1e-12)
    assert rate > structured


@given(RATES, WIDTHS)
def test_no_code_passes_the_limit_where_it_is_smaller_than_dense(rate: float, bits: float) -> None:
    size = cheapest(rate, bits, packed).size(bits)
    assert size > bits or size >= cheapest(rate, bits, shannon).size(bits) * (1 - 1e-12)


@given(RATES, WIDTHS, INDICES)
def test_the_matched_rate_is_the_inverse(structured: float, bits: float, index) -> None:
    rate = required_rate(structured, bits, index)
    assert matched_rate(rate, bits, index) == pytest.approx(structured, rel=1e-9)


@given(st.floats(1, 50), st.floats(1.01, 10), WIDTHS, INDICES)
def test_structures_are_smaller_below_the_crossover_only(
    structured: float, factor: float, bits: float, index
) -> None:
    rate = structured * factor
    crossover = crossover_bits(structured, rate, index)
    sizes = cheapest(rate, bits, index).size(bits), bits / structured
    if abs(bits / crossover - 1) > 1e-9:
        assert (sizes[0] > sizes[1]) == (bits < crossover)


def test_crossovers_of_published_pairs_of_equal_accuracy() -> None:
    """CaffeNet conv2-5 at 57.5 % and 55.4 % top-1, from the README of kaiqzhan/ADAM-ADMM."""
    assert crossover_bits(4.8, 16.1) == pytest.approx(2.60, abs=5e-3)
    assert crossover_bits(13.2, 40.5) == pytest.approx(3.60, abs=5e-3)
    assert [matched_rate(16.1, bits) < 4.8 for bits in (1, 2, 3, 4, 8)] == [1, 1, 0, 0, 0]
    assert [matched_rate(40.5, bits) < 13.2 for bits in (1, 2, 3, 4, 8)] == [1, 1, 1, 0, 0]
    assert crossover_bits(2, 2) == inf


def losses(index_bits: int | None = None) -> Losses:
    return Losses(
        efficiency=Range(0.8, 0.9, 1.0),
        imbalance=Range(1.0, 1.2, 1.6),
        slowdown=Range(0.0, 0.1, 0.25),
        area=Range(0.0, 0.25, 0.5),
        index_bits=index_bits,
    )


def test_speed_is_lowest_where_the_gain_is_low_and_losses_are_high() -> None:
    found = speedup(10, losses())
    assert found.low == pytest.approx(10 * 0.8 / (1.6 * 1.25 * 1.5))
    assert found.nominal == pytest.approx(10 * 0.9 / (1.2 * 1.1 * 1.25))
    assert found.high == pytest.approx(10)


def test_fillers_take_cycles() -> None:
    rate = 10 / (1 + fillers(0.1, 3))
    assert speedup(10, losses(3)).high == pytest.approx(rate)
    assert speedup(1e6, losses(3)).high == pytest.approx(8, rel=1e-4)


def test_the_rate_that_a_speed_takes() -> None:
    found = required_rate_for_speed(4, losses())
    assert found.low == 4
    assert found.nominal == pytest.approx(4 * 1.2 * 1.1 * 1.25 / 0.9)
    assert found.high == pytest.approx(4 * 1.6 * 1.25 * 1.5 / 0.8)
    assert required_rate_for_speed(0.5, losses()).low == 1
    assert required_rate_for_speed(8, losses(3)).low == inf
    assert required_rate_for_speed(7.9, losses(3)).low < inf


@given(st.floats(1, 12), st.sampled_from([None, 4, 8]))
def test_at_the_rate_that_a_speed_takes_it_is_reached(structured: float, k: int | None) -> None:
    rates = required_rate_for_speed(structured, losses(k))
    assert rates.low <= rates.nominal <= rates.high
    assert speedup(rates.low, losses(k)).high == pytest.approx(structured)
    if rates.high < inf:
        assert speedup(rates.high, losses(k)).low == pytest.approx(structured)


@pytest.mark.parametrize(
    ("smaller", "greater", "verdict"),
    [
        ((1, 2, 3), (3.1, 4, 5), Verdict.ALWAYS),
        ((1, 2, 3), (3, 4, 5), Verdict.NOMINAL),
        ((1, 4, 6), (2, 3, 5), Verdict.EXTREME),
        ((1, 3, 6), (2, 3, 5), Verdict.EXTREME),
        ((3, 4, 6), (2, 3, 5), Verdict.EXTREME),
        ((5, 6, 7), (2, 3, 5), Verdict.NEVER),
    ],
)
def test_over_which_part_of_two_ranges_a_claim_holds(smaller, greater, verdict) -> None:
    assert holds(Range(*smaller), Range(*greater)) is verdict


def test_what_is_no_rate_density_or_width_is_refused() -> None:
    with pytest.raises(
        UsageError,
        match=r"^A rate of 0\.5 is not one of pruning\. "
        r"It is how many weights there were for each that is left: 1 or more\.$",
    ):
        required_rate(0.5, 8)
    with pytest.raises(UsageError, match=r"^A rate of 0 is not one of pruning\."):
        crossover_bits(2, 0)
    with pytest.raises(
        UsageError, match=r"^A density of 0 is none\. It is the share of weights left, up to 1\.$"
    ):
        bitmap(0)
    with pytest.raises(
        UsageError,
        match=r"^Values cannot have nan bits\. State a number of bits above 0, such as 4\.$",
    ):
        required_rate(2, float("nan"))
