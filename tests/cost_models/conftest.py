"""A machine for tests, with round numbers."""

import pytest

from intaglio.cost_models.machine import Array, Machine, Memory
from intaglio.cost_models.range import Range

GIVEN = Range.exact


def make(
    kilobytes=2048,
    rows=32,
    columns=32,
    dataflow="weight_stationary",
    zero_skip="none",
    gated=0.0,
):
    """One shared memory; a bit costs 10 (read) and 20 (write) in DRAM, 1 and 2 on chip [pJ]."""
    return Machine(
        name="round",
        clock_mhz=100,
        dram=Memory("DRAM", GIVEN(10), GIVEN(20), 64, 64),
        memories=(Memory("SRAM", GIVEN(1), GIVEN(2), 2048, 2048, kilobytes * 8192),),
        array=Array(rows, columns, dataflow, zero_skip, GIVEN(gated), 1),
        multiply=lambda a, b: GIVEN(0.01 * a * b),
        add=lambda bits: GIVEN(0.001 * bits),
        register=lambda bits: GIVEN(0.01 * bits),
        place=GIVEN(1),
        symbol=GIVEN(2),
    )


@pytest.fixture
def machine():
    return make
