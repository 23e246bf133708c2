"""Break-even of networks: rates that match a structured one, and where verdicts turn."""

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.backends.blob_writer import write_blob
from intaglio.backends.break_even import STEP, WIDTHS, Candidate, break_even
from intaglio.backends.break_even_rows import even_csv, even_json, even_tables
from intaglio.backends.compared import compared
from intaglio.backends.cost import network_cost, packed_constants
from intaglio.cost_models.breakeven import required_rate
from intaglio.cost_models.comparison import favoured
from intaglio.cost_models.hardware import load_hardware
from intaglio.cost_models.turning import UNKNOWN_EVEN, Even, Needed, Turn
from intaglio.cost_models.versions import amounts, random_order, uniform_masks
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import int_type
from intaglio.ir.ops_linear import Dense
from intaglio.ir.tensor import BATCH, Tensor, TensorType
from intaglio.passes.schedule import schedule

MOST = 32 * 128


def candidate(name: str, mask: np.ndarray, hardware: str = "edge-npu") -> Candidate:
    """A dense layer of 32 filters whose weights have 4 bits where the mask is true."""
    rng = np.random.default_rng(0)
    codes = rng.integers(1, 8, mask.shape) * rng.choice([-1, 1], mask.shape) * mask
    b = Builder("net")
    x = b.input(Value("x", TensorType((BATCH, mask.shape[1]), int_type(8))))
    w = b.constant("w", Tensor(codes.astype(np.int8), int_type(4)))
    program = schedule(b.build((b.node("y", Dense(), x, w),)))
    blob, machine = write_blob(program), load_hardware(hardware).machine()
    cost = network_cost(program, blob, machine)
    found = compared(name, program, blob, cost, MOST)
    return Candidate(found, program, packed_constants(program, blob), machine)


DENSE = candidate("dense", np.ones((32, 128), bool))
QUARTER = candidate("quarter", np.ones((32, 32), bool))
SINGLE = candidate("single", np.random.default_rng(1).random((32, 128)) < 0.125)


def test_storage_needs_the_rate_of_the_closed_form() -> None:
    even = break_even([DENSE, QUARTER, SINGLE])
    assert (even.dense, even.weights) == ("dense", MOST)
    assert [each.bits for each in even.needed] == list(WIDTHS)
    for each in even.needed:
        assert each.structured == "quarter"
        assert each.storage == required_rate(4, each.bits)
    # A bitmap takes a bit and 1 / r values of b bits: at 8 bits a quarter, 2 bits, is met at r = 8.
    # Relative indices of 3 bits do better; their rate times the bits they need is below that.
    assert 4 < even.needed[-1].storage < 8


@pytest.mark.parametrize(
    ("hardware", "amount"),
    [("edge-npu", "energy"), ("edge-npu-skip", "energy"), ("edge-npu-skip", "time")],
)
def test_rates_found_are_enough_and_the_step_below_is_not(hardware: str, amount: str) -> None:
    dense = candidate("dense", np.ones((32, 128), bool), hardware)
    quarter = candidate("quarter", np.ones((32, 32), bool), hardware)
    needed = break_even([dense, quarter]).needed[3]
    assert needed.bits == 4
    order = random_order(dense.program)

    def taken(rate: float) -> float:
        masks = uniform_masks(order, rate)
        found = amounts(dense.program, dense.packed, dense.machine, 4, masks)
        return float(getattr(found, amount))

    goal, rate = getattr(quarter.at(4), amount), getattr(needed, amount)
    assert 1 < rate < inf
    assert taken(rate) <= goal < taken(rate / STEP)


def test_where_the_array_takes_zeros_no_rate_is_as_fast() -> None:
    needed = break_even([DENSE, QUARTER]).needed[3]
    everything = amounts(
        DENSE.program, DENSE.packed, DENSE.machine, 4,
        uniform_masks(random_order(DENSE.program), MOST),
    )  # fmt: skip
    assert everything.time > QUARTER.at(4).time  # with one weight left
    assert (needed.bits, needed.time) == (4, inf)


def test_without_a_structured_network_nothing_is_known() -> None:
    assert break_even([DENSE, SINGLE]) == UNKNOWN_EVEN
    assert even_tables(UNKNOWN_EVEN) == []


def test_a_pair_has_a_verdict_for_each_amount_and_width() -> None:
    even = break_even([DENSE, QUARTER, SINGLE])
    assert [(each.structured, each.non_structured, each.amount) for each in even.turns] == [
        ("quarter", "single", amount) for amount in ("storage", "energy", "time")
    ]
    # 1/8 left: a bitmap's bit and b / 8 against b / 4; relative indices turn it below 8 bits.
    storage = even.turns[0]
    assert storage.favours[0] == "structured"
    assert storage.favours[-1] == "non-structured"
    for turn in even.turns:
        ours, theirs = (each.taken(turn.amount, 4) for each in (QUARTER, SINGLE))
        assert turn.favoured == favoured(ours, theirs)
    assert QUARTER.taken("storage", 4) == QUARTER.compared.cost.file_bytes
    assert SINGLE.taken("time", 4) == SINGLE.compared.cost.time


def test_a_verdict_turns_at_the_nearest_width() -> None:
    s, n = "structured", "non-structured"
    assert Turn("a", "b", "storage", 4, (s, s, "neither", n, n)).at == 2
    assert Turn("a", "b", "storage", 1, (s, s, "neither", n, n)).at == 4
    assert Turn("a", "b", "time", 2, (n, s, n)).at == 1
    assert Turn("a", "b", "time", 2, (s, s, s)).at is None


@settings(max_examples=20, deadline=None)
@given(st.floats(1, 500), st.floats(1, 4), st.sampled_from(WIDTHS))
def test_a_higher_rate_needs_no_more_storage(rate: float, factor: float, bits: int) -> None:
    order = random_order(DENSE.program)
    more, less = (
        amounts(DENSE.program, DENSE.packed, DENSE.machine, bits, uniform_masks(order, each))
        for each in (rate, rate * factor)
    )
    assert less.storage <= more.storage + 1  # sizes are rounded to bits


EVEN = Even(
    "d", 4096, (Needed("s", 4, 8.25, 1234.5, inf),), (Turn("s", "n", "storage", 4, ("x",) * 8),)
)


def test_tables_and_rows_say_what_was_found() -> None:
    rates, turns = even_tables(EVEN)
    assert rates.rows == (("s", "4", "8.25x", "1,234x", "at no rate"),)
    assert rates.remark == (
        "How far single weights of d must be pruned to take no more than the structured network at "
        "equal bits: one left of so many, of its 4,096 weights. Places are random and rates the "
        "same in every layer."
    )
    assert turns.rows == (("s", "n", "storage", "4", "x", "none in 1..8"),)
    assert even_json(EVEN)["rates"] == [
        {"structured": "s", "bits": 4, "storage_rate": 8.25, "energy_rate": 1234.5}
        | {"time_rate": None}
    ]
    assert [each["level"] for each in even_csv(EVEN)] == ["break-even", "crossover"]


@pytest.mark.parametrize("bits", WIDTHS)
def test_a_structured_network_is_matched_later_with_fewer_bits(bits: int) -> None:
    rates = {each.bits: each.storage for each in break_even([DENSE, QUARTER]).needed}
    assert rates[bits] >= rates[8]
