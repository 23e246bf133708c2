"""What kind of network a blob is, and that its bytes add up."""

import numpy as np
import pytest

from intaglio.backends.blob_writer import write_blob
from intaglio.backends.compared import compared, kind_of, weight_bits
from intaglio.backends.cost import network_cost
from intaglio.backends.summary import weight_counts
from intaglio.cost_models.hardware import load_hardware
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import BIPOLAR, TERNARY, int_type
from intaglio.ir.ops_linear import Dense
from intaglio.ir.tensor import BATCH, Tensor, TensorType
from intaglio.passes.schedule import schedule

INT8 = int_type(8)


def network(mask):
    """One dense layer of 16 filters whose weights are 7 where the mask is true."""
    b = Builder("net")
    x = b.input(Value("x", TensorType((BATCH, mask.shape[1]), INT8)))
    w = b.constant("w", Tensor((7 * mask).astype(np.int8), INT8))
    return schedule(b.build((b.node("y", Dense(), x, w),)))


def in_groups(n, m):
    """n of every m neighbours, at random."""
    rng = np.random.default_rng(0)
    rows = [rng.permutation(np.arange(m) < n) for _ in range(16 * 64 // m)]
    return np.concatenate(rows).reshape(16, 64)


SCATTERED = np.random.default_rng(1).random((16, 64)) < 0.3
MASKS = {
    "dense": (np.ones((16, 64), bool), "dense"),
    "zeros of rounding": (np.random.default_rng(1).random((16, 64)) < 0.7, "dense"),
    "scattered": (SCATTERED, "non-structured"),
    "2 of 4": (in_groups(2, 4), "n:m"),
    "1 of 8": (in_groups(1, 8), "n:m"),
    "fewer columns": (np.ones((16, 20), bool), "structured"),
    "few": (np.eye(16, 64, dtype=bool), "non-structured"),
}


@pytest.mark.parametrize("case", MASKS)
def test_zeros_say_what_kind_of_pruning_it_was(case):
    mask, kind = MASKS[case]
    program = network(mask)
    most = weight_counts(program).nonzero if case == "zeros of rounding" else 16 * 64
    assert kind_of(program, most) == kind


@pytest.mark.parametrize("case", MASKS)
def test_bytes_and_rates_are_those_of_the_file(case):
    mask, _ = MASKS[case]
    program = network(mask)
    blob = write_blob(program)
    cost = network_cost(program, blob, load_hardware("edge-npu").machine())
    found = compared("one", program, blob, cost, 16 * 64)
    assert sum(found.parts.values()) == len(blob)
    assert min(found.parts.values()) >= 0
    assert found.rate == 16 * 64 / np.count_nonzero(mask)
    assert found.bits == weight_bits(program) == 1  # a single code beside places without a weight


def coded(*codes, dtype, zeros=0.0, shape=(16, 64)):
    """A layer whose weights take all the codes; a share of them is zero besides."""
    rng = np.random.default_rng(2)
    array = np.resize(codes, shape)
    array[rng.random(shape) < zeros] = 0
    return layers(Tensor(array.astype(np.int8), dtype))


def layers(*weights):
    """A program of dense layers, each with an input of its own."""
    b = Builder("net")
    outputs = []
    for at, weight in enumerate(weights):
        x = b.input(Value(f"x{at}", TensorType((BATCH, weight.array.shape[1]), INT8)))
        outputs.append(b.node(f"y{at}", Dense(), x, b.constant(f"w{at}", weight)))
    return schedule(b.build(tuple(outputs)))


def test_a_zero_in_a_pruned_layer_is_no_code():
    pruned = {"zeros": 0.9, "dtype": int_type(3)}
    assert weight_bits(coded(-1, 1, **pruned)) == 1
    assert weight_bits(coded(-2, -1, 1, 2, **pruned)) == 2
    assert weight_bits(coded(-3, -2, -1, 1, 2, **pruned)) == 3
    assert weight_bits(coded(-1, 1, zeros=0.9, dtype=TERNARY)) == 1


def test_a_zero_in_a_dense_layer_is_a_code():
    assert weight_bits(coded(-1, 0, 1, dtype=TERNARY)) == 2
    assert weight_bits(coded(-1, 1, dtype=BIPOLAR)) == 1
    assert weight_bits(coded(*range(-7, 8), dtype=int_type(4))) == 4
    assert weight_bits(coded(*range(-100, 100), dtype=INT8)) == 8
    assert weight_bits(coded(-64, -8, -1, 1, 8, 64, dtype=INT8)) == 3


def test_zeros_of_whole_columns_and_filters_are_no_codes():
    array = np.resize([-2, -1, 1, 2, 1], (16, 64)).astype(np.int8)
    array[:, :6] = 0
    array[3] = 0
    assert weight_bits(layers(Tensor(array, int_type(3)))) == 2
    array[5, 20] = 0
    assert weight_bits(layers(Tensor(array, int_type(3)))) == 3


def test_a_zero_in_a_pruned_network_is_no_code_in_its_densest_layer_either():
    first = np.resize([-2, -1, 1, 2], (4, 64)).astype(np.int8)
    first[np.random.default_rng(3).random((4, 64)) < 0.2] = 0
    rest = np.where(SCATTERED, np.resize([-2, -1, 1, 2], (16, 64)), 0).astype(np.int8)
    assert weight_bits(layers(Tensor(first, int_type(3)))) == 3
    assert weight_bits(layers(Tensor(first, int_type(3)), Tensor(rest, int_type(3)))) == 2


def test_the_layer_with_most_codes_counts():
    wide = Tensor(np.resize(np.arange(-100, 100), (16, 64)).astype(np.int8), INT8)
    narrow = Tensor(np.resize([-1, 1], (4, 64)).astype(np.int8), int_type(2))
    tiny = Tensor(np.arange(1, 11).reshape(2, 5).astype(np.int8), INT8)
    assert weight_bits(layers(narrow, wide)) == 8
    assert weight_bits(layers(wide, tiny)) == 8
    assert weight_bits(layers(tiny)) == 8  # ten weights do not show that there are ten codes
    assert weight_bits(layers(tiny, narrow)) == 4
