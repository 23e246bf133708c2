import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from intaglio.errors import DataError, NumericError
from intaglio.ir.text import from_text
from intaglio.passes.base import Context
from intaglio.passes.calibrate import BINS, METHODS, Histogram, choose_range, observe

GRAPH = from_text(
    "graph g (x: float32[n,3])\na: float32[n,3] = relu (x)\n"
    'b: float32[n,3] = unary {"function": "exp"} (a) from "/exp"\nreturn b'
)
TWO = from_text(
    "graph g (x: float32[n,2], y: float32[n,2])\na: float32[n,2] = add (x, y)\nreturn a"
)


def batches(*arrays_):
    return Context([{"x": array} for array in arrays_])


def test_observe_counts_every_element_between_the_least_and_greatest():
    data = np.array([[-2, 0, 2], [1, 1, -1]], dtype=np.float32)
    found = observe(GRAPH, {"x", "a"}, batches(data))
    assert (found["x"].lo, found["x"].hi, found["x"].counts.sum()) == (-2, 2, 6)
    assert (found["a"].lo, found["a"].hi, found["a"].counts.sum()) == (0, 2, 6)
    assert found["a"].counts[0] == 3
    assert found["a"].counts[BINS // 2] == 2
    assert found["a"].counts[-1] == 1


@given(
    arrays(np.float32, (12, 3), elements=st.floats(-9, 9, width=32)),
    st.lists(st.integers(0, 12), max_size=4).map(sorted),
)
def test_uneven_batches_observe_what_one_batch_observes(data, cuts):
    one = observe(GRAPH, {"x", "a"}, batches(data))
    many = observe(GRAPH, {"x", "a"}, batches(*np.split(data, cuts)))
    for name, histogram in one.items():
        other = many[name]
        assert (other.lo, other.hi) == (histogram.lo, histogram.hi)
        assert np.array_equal(other.counts, histogram.counts)


def test_a_range_finer_than_float32_is_counted():
    data = np.array([[1, 1, np.nextafter(np.float32(1), np.float32(2))]], dtype=np.float32)
    found = observe(GRAPH, {"x"}, batches(data))["x"]
    assert (found.counts[0], found.counts[-1], found.counts.sum()) == (2, 1, 3)


def test_observe_reports_its_progress_over_two_sweeps():
    seen = []
    data = np.zeros((1, 3), dtype=np.float32)
    context = Context([{"x": data}] * 2, lambda *event: seen.append(event))
    observe(GRAPH, {"x"}, context)
    labels = ["Calibrate: ranges"] * 2 + ["Calibrate: histograms"] * 2
    assert seen == list(zip(labels, [1, 2, 1, 2], [2] * 4, strict=True))


@pytest.mark.parametrize("bad", [100.0, np.float32(3e38)])
def test_a_network_that_overflows_on_the_data_is_named(bad):
    data = np.array([[0, 1, bad]], dtype=np.float32)
    message = (
        "Node '/exp' (unary): It gives NaN or infinite values on the calibration data. "
        "Repair its weights or the samples; the float network overflows here."
    )
    with np.errstate(over="ignore"), pytest.raises(NumericError, match=f"^{re.escape(message)}$"):
        observe(GRAPH, {"x", "b"}, batches(np.zeros((1, 3), dtype=np.float32), data))


EMPTY = (
    "The calibration data is empty. "
    "Give at least one sample, better 100 to 1000 that look like real inputs."
)
NOT_FINITE = (
    "Input 'x': The calibration data holds NaN or infinite values. Remove or repair these samples."
)
SHAPE = "Prepare the data exactly as the float network takes it."


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], EMPTY),
        ([{"x": np.zeros((0, 3))}, {"x": np.zeros((0, 3))}], EMPTY),
        ([{"x": np.array([[0, 1, np.nan]])}], NOT_FINITE),
        ([{"x": np.array([[0, 1, -np.inf]])}], NOT_FINITE),
        ([{"x": np.array([[0, 1, 1e300]])}], NOT_FINITE),
        (
            [{"image": np.zeros((1, 3))}],
            "Input 'x': The calibration data has no array of this name, only image. "
            "Name each array after the input it belongs to.",
        ),
        (
            [{}],
            "Input 'x': The calibration data has no array of this name, only none. "
            "Name each array after the input it belongs to.",
        ),
        (
            [{"x": np.zeros((2, 4), dtype=np.float32)}],
            "Input 'x': Calibration data is float32[2, 4], expected reals of shape ('n', 3). " + SHAPE,
        ),
        (
            [{"x": np.zeros(3)}],
            f"Input 'x': Calibration data is float64[3], expected reals of shape ('n', 3). {SHAPE}",
        ),
        (
            [{"x": np.array([["a", "b", "c"]])}],
            f"Input 'x': Calibration data is <U1[1, 3], expected reals of shape ('n', 3). {SHAPE}",
        ),
        (
            [{"x": np.zeros((1, 3), dtype=bool)}],
            f"Input 'x': Calibration data is bool[1, 3], expected reals of shape ('n', 3). {SHAPE}",
        ),
    ],
)  # fmt: skip
def test_data_that_does_not_fit_is_refused(data, message):
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        observe(GRAPH, {"x"}, Context(data))


def test_inputs_with_different_numbers_of_samples_are_refused():
    data = [{"x": np.zeros((3, 2)), "y": np.zeros((2, 2))}]
    message = (
        "A batch of calibration data holds {'x': 3, 'y': 2} samples. "
        "Give as many samples of every input."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        observe(TWO, {"x"}, Context(data))


def test_empty_batches_among_others_are_skipped():
    data = [{"x": np.zeros((0, 3))}, {"x": np.array([[1.0, 2, 3]])}]
    found = observe(GRAPH, {"x"}, Context(data))
    assert (found["x"].lo, found["x"].hi) == (1, 3)


def histogram(lo, hi, counts):
    """Counts of BINS bins, given by position."""
    full = np.zeros(BINS, dtype=np.int64)
    for position, count in counts.items():
        full[position] = count
    return Histogram(lo, hi, full)


UNIFORM = Histogram(-1.0, 3.0, np.full(BINS, 100))
TAILED = histogram(0.0, 100.0, {**dict.fromkeys(range(BINS // 100), 1000), BINS - 1: 1})


def test_minmax_takes_everything_and_includes_zero():
    assert choose_range(UNIFORM, 256, "minmax", 99) == (-1, 3)
    assert choose_range(Histogram(2, 3, UNIFORM.counts), 256, "minmax", 99) == (0, 3)
    assert choose_range(Histogram(-3, -2, UNIFORM.counts), 256, "minmax", 99) == (-3, 0)


@pytest.mark.parametrize("method", METHODS)
def test_a_value_that_is_always_zero_has_an_empty_range(method):
    assert choose_range(histogram(0.0, 0.0, {0: 7}), 256, method, 99) == (0, 0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("lo", "hi"), [(5.0, 6.0), (-6.0, -5.0), (5.0, 5.0), (-1e-3, 9.0)])
def test_every_method_includes_zero_and_something_of_what_was_seen(method, lo, hi):
    found = choose_range(Histogram(lo, hi, UNIFORM.counts), 16, method, 99.9)
    assert min(lo, 0) <= found[0] <= 0 <= found[1] <= max(hi, 0)
    assert found[0] < found[1]


def test_percentile_cuts_the_tails():
    lo, hi = choose_range(UNIFORM, 256, "percentile", 90.0)
    assert lo == pytest.approx(-1 + 0.1 * 4, abs=2 * 4 / BINS)
    assert hi == pytest.approx(3 - 0.1 * 4, abs=2 * 4 / BINS)
    width = 100 / BINS
    assert choose_range(TAILED, 256, "percentile", 99.9)[1] <= (BINS // 100) * width
    assert choose_range(TAILED, 256, "percentile", 100.0)[1] == pytest.approx(100, abs=width)


@pytest.mark.parametrize("method", ["mse", "entropy"])
def test_a_lonely_outlier_is_cut_off_but_a_uniform_range_is_kept(method):
    data = np.append(np.random.default_rng(0).exponential(size=200_000), 100.0)
    tailed = Histogram(0.0, 100.0, np.histogram(data, BINS, (0, 100))[0])
    assert 2 < choose_range(tailed, 16, method, 99)[1] < 20
    lo, hi = choose_range(UNIFORM, 256, method, 99)
    assert (lo, hi) == (pytest.approx(-1, rel=0.05), pytest.approx(3, rel=0.05))


def test_mse_is_no_worse_than_any_other_shrunk_range():
    rng = np.random.default_rng(0)
    data = rng.laplace(size=20000)
    counts = np.histogram(data, BINS, (data.min(), data.max()))[0]
    seen = Histogram(float(data.min()), float(data.max()), counts)
    lo, hi = choose_range(seen, 16, "mse", 99)

    def loss(low, high):
        step = (high - low) / 15
        zero = np.rint(-low / step)
        code = np.clip(np.rint(seen.centers / step) + zero, 0, 15)
        return (counts * (seen.centers - step * (code - zero)) ** 2).sum()

    best = loss(lo, hi)
    assert all(best <= loss(seen.lo * part, seen.hi * part) for part in np.arange(1, 65) / 64)
    assert best < loss(seen.lo, seen.hi)
