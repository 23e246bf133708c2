"""What kind of network a blob is, and that its bytes add up."""

import numpy as np
import pytest

from intaglio.backends.blob_writer import write_blob
from intaglio.backends.compared import compared, kind_of, weight_bits
from intaglio.backends.cost import network_cost
from intaglio.backends.summary import weight_counts
from intaglio.cost_models.hardware import load_hardware
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import int_type
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
    assert found.bits == weight_bits(program) == 8
