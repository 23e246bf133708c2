"""What a comparison favours, and what it refuses to compare."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.cost_models.comparison import (
    Compared,
    Verdict,
    all_assumptions,
    check_comparable,
    energy_by_memory,
    energy_by_operand,
    on_front,
    part_names,
    verdicts,
)
from intaglio.cost_models.cost import (
    OPERANDS,
    Arithmetic,
    Assumption,
    LayerCost,
    NetworkCost,
    Transfer,
)
from intaglio.cost_models.range import Range
from intaglio.errors import UsageError


def compared(name: str = "net", kind: str = "structured", **changes: object) -> Compared:
    """A network of one layer whose energy, cycles and bytes are given."""
    given = {"energy": Range(1, 2, 3), "cycles": 10, "bytes": 100, "bits": 4, "accuracy": None}
    given |= changes
    moved = Transfer("DRAM", "weights", 8, 0, given["energy"])
    layer = LayerCost("fc", "dense", 5, 5, 1, (moved,), (), {"compute": given["cycles"]})
    cost = NetworkCost(name, "edge", 200.0, (layer,), given["bytes"], ())
    return Compared(
        name, kind, given["bits"], given["accuracy"], 2.0, cost, given["bytes"], 0, 0, 0, None
    )


def pair(ours: Range, theirs: Range) -> Verdict:
    return Verdict(compared(energy=ours), compared(kind="non-structured", energy=theirs))


def refused(text: str) -> pytest.RaisesExc:
    return pytest.raises(UsageError, match=f"^{re.escape(text)}$")


def test_an_unknown_kind_is_refused() -> None:
    text = (
        "net: There is no kind of pruning 'random'. "
        "Use one of dense, structured, n:m, non-structured."
    )
    with refused(text):
        compared(kind="random")


def test_parts_that_do_not_make_up_the_file_are_refused() -> None:
    text = (
        "net: The parts of the file have 107 bytes, the file has 100. "
        "Count what is neither value nor index nor header as other."
    )
    with refused(text):
        replace(compared(), header_bytes=7)


@pytest.mark.parametrize("accuracy", [91.5, -0.1])
def test_an_accuracy_in_percent_is_refused(accuracy: float) -> None:
    text = f"net: An accuracy is a share in 0..1, not {accuracy}. Divide percent by 100."
    with refused(text):
        compared(accuracy=accuracy)


def test_nothing_is_compared_with_nothing() -> None:
    with refused("There is no network to compare. Give at least one."):
        check_comparable([])


def test_two_networks_of_one_name_are_refused() -> None:
    with refused("Two networks are called 'a'. Give each network a name of its own."):
        check_comparable([compared("a"), compared("b"), compared("a")])


def test_networks_on_different_hardware_are_refused() -> None:
    other = compared("b")
    other = replace(other, cost=replace(other.cost, clock_mhz=250.5))
    text = "b: It is on 'edge' at 250.5 MHz, 'a' on 'edge' at 200 MHz. Compare networks on one hardware."
    with refused(text):
        check_comparable([compared("a"), other])


def test_the_time_of_the_model_is_cycles_over_the_clock() -> None:
    assert compared(cycles=500_000).model_ms == 2.5


@pytest.mark.parametrize(
    ("ours", "theirs", "favours", "stability"),
    [
        (Range(1, 2, 9), Range(2, 3, 10), ("structured",) * 3, "holds"),
        # 9 > 2, but high is compared with high only.
        (Range(3, 5, 9), Range(2, 4, 8), ("non-structured",) * 3, "holds"),
        (Range(1, 2, 9), Range(2, 3, 8), ("structured", "structured", "non-structured"), "turns"),
        (Range(3, 3, 9), Range(2, 3, 9), ("non-structured", "neither", "neither"), "turns"),
        (Range(1, 2, 3), Range(1, 2, 3), ("neither",) * 3, "holds"),
    ],
)
def test_an_energy_verdict_holds_if_low_nominal_and_high_agree(
    ours: Range, theirs: Range, favours: tuple[str, str, str], stability: str
) -> None:
    verdict = pair(ours, theirs)
    assert (verdict.energy_low, verdict.energy, verdict.energy_high) == favours
    assert verdict.stability == stability


def test_storage_and_time_favour_the_smaller() -> None:
    verdict = Verdict(
        compared(cycles=10, bytes=101), compared(kind="non-structured", cycles=11, bytes=100)
    )
    assert (verdict.storage, verdict.time) == ("non-structured", "structured")


def test_pairs_have_equal_bits_and_leave_other_kinds_out() -> None:
    networks = [
        compared("d", "dense"),
        compared("s4"),
        compared("n4", "non-structured"),
        compared("s2", bits=2),
        compared("m4", "n:m"),
        compared("n8", "non-structured", bits=8),
        compared("t4"),
    ]
    found = [(each.structured.name, each.non_structured.name) for each in verdicts(networks)]
    assert found == [("s4", "n4"), ("t4", "n4")]


def test_the_gap_of_accuracy_needs_both() -> None:
    known, unknown = compared(accuracy=0.75), compared()
    assert Verdict(known, compared(accuracy=0.5)).accuracy_gap == 0.25
    assert Verdict(known, unknown).accuracy_gap is None
    assert Verdict(unknown, known).accuracy_gap is None


RANGES = st.tuples(*[st.integers(0, 2**40)] * 3).map(lambda three: Range(*sorted(three)))
TRANSFERS = st.builds(
    Transfer,
    st.sampled_from(["DRAM", "SRAM", "decode"]),
    st.sampled_from(OPERANDS),
    st.integers(0, 9),
    st.integers(0, 9),
    RANGES,
)
ARITHMETIC = st.builds(
    Arithmetic, st.sampled_from(["add", "multiply", "decode"]), st.integers(0, 9), RANGES
)
COSTS = st.lists(
    st.tuples(st.lists(TRANSFERS, max_size=5), st.lists(ARITHMETIC, max_size=3)), max_size=3
).map(
    lambda layers: NetworkCost(
        "n",
        "edge",
        1.0,
        tuple(LayerCost("x", "y", 0, 0, 0, tuple(t), tuple(a), {}) for t, a in layers),
        0,
        (),
    )
)


@given(COSTS)
def test_the_parts_of_the_energy_add_up_to_it(cost: NetworkCost) -> None:
    # Integers below 2**53: the sums are exact in any order.
    assert Range.total(energy_by_memory(cost).values()) == cost.energy
    assert Range.total(energy_by_operand(cost).values()) == cost.energy


def test_what_is_computed_comes_last_and_operands_in_their_order() -> None:
    one, none = Range.exact(1.0), Range.exact(0.0)
    parts = [{"SRAM": one, "arithmetic": one}, {"decode": one, "DRAM": one, "arithmetic": none}]
    assert part_names(parts) == ["SRAM", "DRAM", "arithmetic", "decode"]
    parts = [{"sums": one, "inputs": one, "decode": one}, {"indices": one, "weights": one}]
    assert part_names(parts) == ["weights", "indices", "inputs", "sums", "decode"]


NETWORKS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=6
).map(
    lambda points: [
        compared(str(at), accuracy=a / 4, energy=Range.exact(float(e)), bytes=b)
        for at, (a, e, b) in enumerate(points)
    ]
)


@given(NETWORKS)
def test_every_network_off_the_front_is_beaten_by_one_on_it(networks: list[Compared]) -> None:
    def scores(each: Compared) -> tuple[float, float, int]:
        return -each.accuracy, each.cost.energy.nominal, each.cost.file_bytes

    def beats(a: Compared, b: Compared) -> bool:
        return scores(a) != scores(b) and all(
            x <= y for x, y in zip(scores(a), scores(b), strict=True)
        )

    names = on_front(networks)
    best = [each for each in networks if each.name in names]
    assert best
    assert not any(beats(a, b) for a in networks for b in best)
    assert all(any(beats(a, b) for a in best) for b in networks if b.name not in names)


def test_a_network_of_unknown_accuracy_is_not_on_the_front() -> None:
    assert on_front([compared("a", accuracy=0.1), compared("b", bytes=1)]) == {"a"}


def test_an_assumption_of_two_networks_is_listed_once() -> None:
    dram, sram = (Assumption(n, Range(1, 2, 3), "pJ", "s") for n in ("DRAM", "SRAM"))
    a, b = compared("a"), compared("b")
    a = replace(a, cost=replace(a.cost, assumptions=(dram,)))
    b = replace(b, cost=replace(b.cost, assumptions=(sram, dram)))
    assert all_assumptions([a, b]) == [dram, sram]
