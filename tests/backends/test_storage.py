"""What every byte of a blob is for."""

from math import comb, log2

import numpy as np
import pytest
from hypothesis import given, settings

from intaglio.backends.blob_writer import write_blob
from intaglio.backends.choose_formats import Storage
from intaglio.backends.storage import bounds, storage_report
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import int_type
from intaglio.ir.ops_linear import Dense
from intaglio.ir.program import Program
from intaglio.ir.tensor import Tensor, TensorType
from intaglio.passes.schedule import schedule
from intaglio.testing import small_programs


@settings(max_examples=20)
@given(small_programs())
def test_bytes_add_up_to_the_file(program: Program) -> None:
    for storage in (Storage(), Storage("entropy"), Storage("dense")):
        blob = write_blob(program, storage)
        report = storage_report(program, blob)
        assert sum(report.totals.values()) == report.file_bytes == len(blob)
        assert len(report.constants) == len(program.constants)
        for each in report.constants:
            bits = each.value_bits + each.index_bits + each.header_bits
            assert bits + each.filling_bits == 8 * each.bytes
            assert 0 <= each.filling_bits < 8


def test_bounds_are_entropy_the_cost_of_its_model_and_the_places_of_zeros() -> None:
    found = bounds(np.array([0] * 60 + [1] * 30 + [-1] * 10, np.int8))
    shares = (0.6, 0.3, 0.1)
    assert found.entropy == pytest.approx(-100 * sum(share * log2(share) for share in shares))
    assert found.model == pytest.approx(2 / 2 * log2(100))
    assert found.mask == pytest.approx(log2(comb(100, 40)))


def test_a_constant_of_one_value_has_no_entropy() -> None:
    found = bounds(np.full(10, 3))
    assert (found.entropy, found.model, found.mask) == (0, 0, 0)


def test_tiles_cost_the_states_of_their_lanes_and_their_size() -> None:
    b = Builder("net")
    codes = np.clip(np.rint(np.random.default_rng(0).normal(size=(64, 4096)) * 30), -127, 127)
    b.input(Value("x", TensorType(("n", 4096), int_type(2)), "x"))
    b.constant("w", Tensor(codes.astype(np.int8), int_type(8)))
    program = schedule(b.build((b.node("y", Dense(), "x", "w"),)))
    (stored,) = storage_report(program, write_blob(program)).constants
    tiles = 64 * 4096 >> 16
    assert stored.format == "entropy"
    assert stored.tile_bytes == (tiles - 1) * (4 * 4 + 4)
