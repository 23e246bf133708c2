"""How long units wait for each other."""

import lzma
from collections import deque
from math import comb, inf
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from intaglio.api import load
from intaglio.cost_models.breakeven import packed
from intaglio.cost_models.imbalance import Balance, Dealing, balance, expected_imbalance
from intaglio.errors import UsageError
from intaglio.ir.formats.relative import Relative

LENET = Path(__file__).parents[2] / "examples/results/lenet-admm-17x-s0.intg.xz"


def slow_loads(mask: np.ndarray, dealing: Dealing) -> list[list[int]]:
    """Entries of each unit in each tile, weight after weight."""
    lines = mask if dealing.axis == "rows" else mask.T
    turns = -(-len(lines) // dealing.units)
    per_tile, width = dealing.lines or turns, dealing.positions or lines.shape[1]
    found: dict[tuple[int, int], list[int]] = {}
    for i, line in enumerate(lines):
        if dealing.order == "blocks":
            unit, turn = divmod(i, turns)
        else:
            turn, unit = divmod(i, dealing.units)
        for j, present in enumerate(line):
            tile = found.setdefault((turn // per_tile, j // width), [0] * dealing.units)
            tile[unit] += bool(present)
    return [found[place] for place in sorted(found)]


def slow_cycles(loads: list[list[int]], depth: int) -> int:
    """Cycle after cycle: a tile is sent when no queue of ``depth`` is full; heads are at work."""
    queues: list[deque[int]] = [deque() for _ in loads[0]]
    waiting, cycles = deque(loads), 0
    while waiting or any(queues):
        for queue in queues:
            while queue and not queue[0]:
                queue.popleft()
        if waiting and all(len(queue) < depth for queue in queues):
            for queue, work in zip(queues, waiting.popleft(), strict=True):
                queue.append(work)
            continue
        for queue in queues:
            if queue:
                queue[0] -= 1
        cycles += any(queues)
    return cycles


@st.composite
def dealings(draw: st.DrawFn) -> Dealing:
    some = st.none() | st.integers(1, 5)
    return Dealing(
        draw(st.integers(1, 6)),
        draw(st.sampled_from(["rows", "columns"])),
        draw(st.sampled_from(["interleaved", "blocks"])),
        draw(some),
        draw(some),
        draw(st.integers(0, 4)),
    )


masks = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda s: arrays(bool, s))


@given(masks, dealings())
def test_cycles_are_those_of_queues_simulated_cycle_by_cycle(mask, dealing: Dealing) -> None:
    loads = slow_loads(mask, dealing)
    found = balance(mask, dealing)
    assert found.cycles == slow_cycles(loads, dealing.ahead + 1)
    assert found.entries == mask.sum()
    full = balance(np.ones_like(mask), dealing)
    assert full.cycles == full.dense_cycles == found.dense_cycles


@given(masks, dealings())
def test_waiting_is_between_that_of_barriers_and_of_none(mask, dealing: Dealing) -> None:
    def cycles(ahead: int) -> int:
        shape = dealing.units, dealing.axis, dealing.order, dealing.lines, dealing.positions
        return balance(mask, Dealing(*shape, ahead)).cycles

    found = [cycles(ahead) for ahead in (0, 1, 2, 5, 1000)]
    assert found == sorted(found, reverse=True)
    loads = np.array(slow_loads(mask, dealing))
    assert found[0] == loads.max(axis=1).sum()
    assert found[-1] == loads.sum(axis=0).max()


MASK = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]])


def test_balance_by_hand() -> None:
    barrier = balance(MASK, Dealing(units=2))
    assert barrier == Balance(units=2, cycles=4 + 2, entries=7, dense_cycles=8)
    assert barrier.imbalance == pytest.approx(6 * 2 / 7)
    assert barrier.speedup == pytest.approx(8 / 6)
    assert balance(MASK, Dealing(2, order="blocks")).cycles == 4 + 1
    assert balance(MASK, Dealing(2, axis="columns")).cycles == 2 + 2
    assert balance(MASK, Dealing(2, lines=None)).cycles == 6
    assert balance(MASK, Dealing(2, lines=None, positions=1)).cycles == 1 + 1 + 2 + 2
    assert balance(MASK, Dealing(4, positions=2)).cycles == 2 + 2
    assert balance(MASK, Dealing(3)) == Balance(3, 4, 7, 8)


@pytest.mark.parametrize(("ahead", "cycles"), [(0, 6), (1, 5), (2, 4), (3, 3), (9, 3)])
def test_a_unit_runs_ahead_by_hand(ahead: int, cycles: int) -> None:
    """Loads 3 0 0 0 and 0 1 1 1: 1 ahead, the second waits with its third tile until cycle 3."""
    mask = np.array([[1, 1, 1] + [0] * 9, [0, 0, 0] + [1, 0, 0] * 3])
    dealing = Dealing(2, lines=None, positions=3, ahead=ahead)
    assert balance(mask, dealing).cycles == cycles


def test_matrices_without_work() -> None:
    nothing = balance(np.zeros((4, 4), bool), Dealing(2))
    assert (nothing.cycles, nothing.imbalance, nothing.speedup) == (0, 1.0, inf)
    for shape in ((0, 4), (4, 0)):
        empty = balance(np.zeros(shape, bool), Dealing(2, lines=None, ahead=1))
        assert (empty.cycles, empty.imbalance, empty.speedup) == (0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("positions", "density", "units", "simulated"),
    [
        (64, 0.5, 16, 1.22),
        (64, 0.5, 256, 1.35),
        (64, 0.1, 16, 1.70),
        (64, 0.1, 256, 2.19),
        (64, 0.02, 16, 2.78),
        (64, 0.02, 256, 4.18),
        (256, 0.1, 16, 1.34),
        (256, 0.1, 256, 1.56),
        (1024, 0.1, 16, 1.17),
        (1024, 0.1, 256, 1.27),
        (1024, 0.02, 16, 1.40),
        (1024, 0.02, 256, 1.67),
        (4096, 0.1, 16, 1.08),
        (4096, 0.1, 256, 1.14),
    ],
)
def test_expectation_and_random_masks_agree_with_a_simulation_of_binomial_loads(
    positions: int, density: float, units: int, simulated: float
) -> None:
    expected = expected_imbalance(positions, units, density)
    assert expected == pytest.approx(simulated, abs=0.01)
    rng = np.random.default_rng(7)
    mask = rng.random((units * max(4, 4096 // units), positions)) < density
    assert balance(mask, Dealing(units)).imbalance == pytest.approx(expected, rel=0.03)


@given(st.integers(1, 8), st.integers(1, 6), st.floats(0.05, 1))
def test_expectation_is_that_of_all_loads_counted(n: int, units: int, density: float) -> None:
    chances = [comb(n, x) * density**x * (1 - density) ** (n - x) for x in range(n + 1)]
    most = sum(
        x * (sum(chances[: x + 1]) ** units - sum(chances[:x]) ** units) for x in range(n + 1)
    )
    assert expected_imbalance(n, units, density) == pytest.approx(most / (n * density), rel=1e-9)


def test_a_trained_mask_is_stored_as_a_random_one_is_and_is_far_less_even(tmp_path: Path) -> None:
    """The first dense layer of LeNet-5, one weight left in 17 of the network."""
    (tmp_path / "net.intg").write_bytes(lzma.decompress(LENET.read_bytes()))
    constants = [slot.constant for slot in load(tmp_path / "net.intg").program.constants]
    weights = max(constants, key=lambda each: each.type.elements)
    mask = weights.array != 0
    expected = min(code.size(8) for code in packed(float(mask.mean()))[1:])
    assert Relative().size(weights).bits / mask.size == pytest.approx(expected, rel=0.05)
    assert expected_imbalance(mask.shape[1], 16, mask.mean()) == pytest.approx(1.32, abs=0.01)
    assert balance(mask, Dealing(16)).imbalance == pytest.approx(2.93, abs=0.01)


def test_queues_even_out_loads_as_published_of_eie() -> None:
    """ISCA 2016, section on queue depth, 64 units: at depth 1 half of all cycles are idle, and
    beyond 8 there is little to gain. AlexNet's fc6 has 9 % of its weights left."""
    mask = np.random.default_rng(3).random((4096, 2048)) < 0.09
    busy = {
        depth: 1 / balance(mask, Dealing(64, lines=None, positions=1, ahead=depth - 1)).imbalance
        for depth in (1, 8, 256)
    }
    assert busy[1] == pytest.approx(0.5, abs=0.02)
    assert busy[8] > 0.93
    assert busy[256] - busy[8] < 0.06


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Dealing(0), "There cannot be 0 units. State 1 or more."),
        (lambda: Dealing(2, lines=0), "There cannot be 0 lines. State 1 or more."),
        (lambda: Dealing(2, positions=-1), "There cannot be -1 positions. State 1 or more."),
        (lambda: Dealing(2, ahead=-1), "A unit cannot be -1 tiles ahead. State 0 or more."),
        (
            lambda: balance(np.zeros((2, 2, 2)), Dealing(2)),
            "A mask of 3 dimensions is no matrix. "
            "Give one of shape (rows, columns), of each group by itself.",
        ),
        (
            lambda: expected_imbalance(4, 2, 0.0),
            "2 units with 4 weights at a density of 0 are no array. "
            "State 1 or more units and weights, and a density above 0 and up to 1.",
        ),
    ],
)
def test_what_is_no_array_is_refused(make, text: str) -> None:
    with pytest.raises(UsageError) as error:
        make()
    assert str(error.value) == text
