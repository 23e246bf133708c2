"""The entropy code: what goes in comes out, hostile bytes do not, and it is small."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import NumericError
from intaglio.ir.formats.costs import Costs
from intaglio.ir.formats.entropy import Entropy
from intaglio.ir.formats.fit import coded_bits, fit
from intaglio.ir.formats.rans import TOTAL
from intaglio.ir.numeric import BIPOLAR, TERNARY, NumericType, int_type
from intaglio.ir.tensor import Tensor
from intaglio.kernels.rans import Compiled

from .cases import TYPES, tensors

FAST, REFERENCE = Entropy(Compiled()), Entropy()
INT8 = int_type(8)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@settings(max_examples=6)
@given(data=st.data())
def test_a_constant_comes_back_and_takes_what_size_says(
    dtype: NumericType, data: st.DataObject
) -> None:
    tensor = data.draw(tensors(dtype, 5))
    packed = FAST.pack(tensor)
    assert packed == REFERENCE.pack(tensor)
    assert len(packed) == FAST.size(tensor).bytes
    assert FAST.unpack(packed, tensor.type) == tensor
    assert REFERENCE.unpack(packed, tensor.type) == tensor


@pytest.mark.parametrize("dtype", [INT8, int_type(13), int_type(40), BIPOLAR, TERNARY], ids=str)
@settings(max_examples=25)
@given(data=st.data())
def test_hostile_bytes_are_refused_or_a_constant_of_the_type(
    dtype: NumericType, data: st.DataObject
) -> None:
    tensor = data.draw(tensors(dtype, 6))
    packed = bytearray(FAST.pack(tensor))
    for _ in range(data.draw(st.integers(1, 3))):
        if packed:
            packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(packed)))
    for hostile in (bytes(packed), bytes(packed[:end]), bytes(packed) + b"\0"):
        try:
            found = FAST.unpack(hostile, tensor.type)
        except NumericError:
            continue
        assert found.type == tensor.type
        assert dtype.contains(found.array)


def gaussian(count: int, density: float, bits: int) -> Tensor:
    """Gaussian weights of which the greatest are left, uniform codes up to the absolute maximum."""
    random = np.random.default_rng(0)
    weights = random.normal(size=count)
    weights[np.abs(weights) < np.quantile(np.abs(weights), 1 - density)] = 0
    codes = np.round(weights / np.abs(weights).max() * ((1 << bits - 1) - 1))
    return Tensor(codes.astype(np.int8).reshape(64, -1), int_type(bits))


def entropy_bytes(tensor: Tensor) -> float:
    """The zero-order entropy of the elements."""
    _, counts = np.unique(tensor.array, return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum() * tensor.array.size / 8)


@pytest.mark.parametrize(("density", "most"), [(1, 1.006), (0.25, 1.01), (0.05, 1.02)])
@pytest.mark.parametrize("bits", [4, 8])
def test_many_weights_take_their_entropy_and_a_little(
    density: float, most: float, bits: int
) -> None:
    tensor = gaussian(64 * 2048, density, bits)
    assert len(FAST.pack(tensor)) <= most * entropy_bytes(tensor)


def test_rows_of_different_widths_take_less_than_the_entropy_of_all() -> None:
    random = np.random.default_rng(0)
    widths = np.where(np.arange(64) % 2, 3, 30)[:, None]
    codes = np.clip(np.round(random.normal(size=(64, 1024)) * widths), -127, 127)
    tensor = Tensor(codes.astype(np.int8), INT8)
    assert len(FAST.pack(tensor)) < 0.95 * entropy_bytes(tensor)


def test_thresholds_that_rise_evenly_take_few_bits() -> None:
    steps = np.arange(255) * np.array([1000, 1357, 77])[:, None] - 120_000
    tensor = Tensor((steps + steps % 3).astype(np.int32), int_type(20))
    assert 8 * len(FAST.pack(tensor)) < 4 * tensor.array.size


def test_a_constant_of_one_value_takes_a_dozen_bytes() -> None:
    tensor = Tensor(np.full((100, 100), 7, np.int8), INT8)
    assert len(FAST.pack(tensor)) < 24


def test_tiles_are_decoded_one_by_one() -> None:
    """Bytes of the last tile changed: the tiles before it are as they were."""
    tensor = gaussian(64 * 4096, 1, 8)
    packed = bytearray(FAST.pack(tensor))
    packed[-1] ^= 1
    with pytest.raises(NumericError, match="do not end where they began"):
        FAST.unpack(bytes(packed), tensor.type)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=256), st.integers(0, 7))
def test_frequencies_sum_to_the_total_and_every_symbol_that_occurs_has_one(
    counts: list[int], spacing: int
) -> None:
    counts[-1] += 1
    for spacings in ((0,), (spacing,)):
        found = fit(np.array(counts), (0, *spacings)).frequencies()
        assert found.sum() == TOTAL
        assert all(found[: len(counts)][np.array(counts) > 0] > 0)


def test_costs_are_linear_between_knots() -> None:
    found = Costs(2, (0, 64), 5).frequencies()[:5]
    assert found.tolist() == [8457, 4227, 2114, 1057, 529]  # 0 to 4 bits: shares of 31


def test_no_costs_are_better_than_those_found_for_a_spacing() -> None:
    counts = np.round(1e4 * np.exp(-((np.arange(200) - 100) ** 2) / 900)).astype(int) + 1
    found = fit(counts, (4,))
    least = coded_bits(found, counts)
    for knot in range(len(found.knots)):
        for change in (-2, 2):
            knots = list(found.knots)
            knots[knot] = min(max(knots[knot] + change, 0), 254)
            assert coded_bits(Costs(4, tuple(knots), 200), counts) >= least * 0.9999
