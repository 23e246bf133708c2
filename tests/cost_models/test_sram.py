"""The table of SRAM: met at its points, between them where it lies between, refused beyond."""

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from intaglio.cost_models.sram import access_energy, leakage, source_of
from intaglio.errors import UsageError

# Bytes, bits, cell, node, read, write [pJ]: as CACTI 7 printed them.
PRINTED = [
    (1024, 32, "itrs-hp", 45, 1.16841, 1.75072),
    (1024, 64, "itrs-lstp", 90, 6.1404, 12.0606),
    (32768, 64, "itrs-lstp", 90, 53.7412, 53.5621),
    (262144, 64, "itrs-lstp", 90, 162.256, 133.727),
]
ROUNDED = [
    (32768, 64, "itrs-hp", 45, 14.9, 12.7),
    (4194304, 128, "itrs-hp", 45, 207, 199),
    (16384, 256, "itrs-lstp", 45, 14.3, 44.5),
    (2097152, 64, "itrs-lstp", 45, 128, 110),
]
POWERS = [1 << k for k in range(10, 23)]
WORDS = {45: (32, 64, 128, 256), 90: (64,), 65: (64,), 32: (64,), 22: (64,)}
ends = st.sampled_from([(node, word) for node, words in WORDS.items() for word in words])


def reads(bytes_, word, node=45, cell="itrs-lstp"):
    return access_energy(bytes_, word, cell, node)[0].nominal


@pytest.mark.parametrize("point", PRINTED)
def test_points_of_the_table_are_met_exactly(point):
    bytes_, word, cell, node, read, write = point
    found = access_energy(bytes_, word, cell, node)
    assert (found[0].nominal, found[1].nominal) == (read, pytest.approx(write, rel=1e-12))


@pytest.mark.parametrize("point", ROUNDED)
def test_points_agree_with_the_published_digits(point):
    bytes_, word, cell, node, read, write = point
    found = access_energy(bytes_, word, cell, node)
    assert found[0].nominal == pytest.approx(read, rel=0.005)
    assert found[1].nominal == pytest.approx(write, rel=0.005)


def test_leakage_is_that_of_the_table_and_between_its_points():
    # CACTI, 128 KiB in words of 64 bits [mW]; 28 nm lies between 22 and 32
    at = {node: leakage(131072, 64, "itrs-lstp", node) for node in (90, 45, 32, 28, 22, 7)}
    assert at[90].nominal == pytest.approx(0.0111535, rel=1e-12)
    assert at[45].nominal == pytest.approx(0.00334055, rel=1e-12)
    assert at[45].high == pytest.approx(2.5 * 0.00334055, rel=1e-12)
    assert leakage(131072, 64, "itrs-hp", 45).nominal == pytest.approx(62.1672, rel=1e-12)
    assert at[32].nominal < at[28].nominal < at[22].nominal == at[7].nominal


def test_all_154_points_are_there():
    found = 0
    for cell, nodes in (("itrs-lstp", (90, 65, 45, 32, 22)), ("itrs-hp", (45,))):
        for node in nodes:
            for word in WORDS[node]:
                sizes = POWERS[1:] if word == 256 else POWERS
                found += sum(reads(size, word, node, cell) > 0 for size in sizes)
    assert found == 154


def test_low_and_high_are_two_and_a_half_times_less_and_more():
    for each in access_energy(20000, 96, "itrs-lstp", 45):
        assert each.nominal / each.low == pytest.approx(2.5)
        assert each.high / each.nominal == pytest.approx(2.5)


def test_half_way_by_logarithms_is_the_geometric_mean():
    # 32 and 64 KiB by 64 bits: 17.0 and 25.9 pJ; half way is 32768 sqrt(2), less than a byte off.
    expected = (reads(32768, 64) * reads(65536, 64)) ** 0.5
    assert reads(46341, 64) == pytest.approx(expected, rel=1e-5)
    four = [reads(size, word) for size in (32768, 65536) for word in (64, 128)]
    middle = (four[0] * four[1] * four[2] * four[3]) ** 0.25
    assert reads(46341, 91) == pytest.approx(middle, rel=0.005)


@given(ends, st.sampled_from([*pairwise(POWERS[1:])]), st.data())
def test_where_the_table_rises_with_bytes_so_does_what_lies_between(end, between, data):
    (node, word), (low, high) = end, between
    assume(reads(low, word, node) < reads(high, word, node))
    one, other = sorted(data.draw(st.tuples(*[st.integers(low, high)] * 2)))
    slack = 1 + 1e-12
    assert reads(one, word, node) <= reads(other, word, node) * slack
    assert reads(low, word, node) <= reads(one, word, node) * slack
    assert reads(other, word, node) <= reads(high, word, node) * slack


@given(
    st.sampled_from([*pairwise((22, 32, 45, 65, 90))]), st.floats(0, 1), st.integers(1024, 1 << 22)
)
def test_nodes_between_those_of_the_table_lie_between_their_energies(nodes, part, bytes_):
    below, above = nodes
    found = reads(bytes_, 64, below + part * (above - below))
    assert reads(bytes_, 64, below) * (1 - 1e-9) <= found <= reads(bytes_, 64, above) * (1 + 1e-9)


@given(st.floats(1, 22), st.integers(1024, 1 << 22))
def test_sram_does_not_get_better_below_22_nm(node, bytes_):
    assert access_energy(bytes_, 64, "itrs-lstp", node) == access_energy(
        bytes_, 64, "itrs-lstp", 22
    )


def test_the_source_says_whose_node_it_is():
    begin = "CACTI 7 (HewlettPackard/cacti), itrs-lstp, "
    assert source_of("itrs-lstp", 45).startswith(begin + "45 nm, RAM")
    between = begin + "28 nm interpolated between 22 and 32, RAM"
    assert source_of("itrs-lstp", 28).startswith(between)
    below = begin + "22 nm, below which SRAM is taken not to get better, RAM"
    assert source_of("itrs-lstp", 7).startswith(below)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (
            (1000, 64, "itrs-lstp", 45),
            "An SRAM of 1,000 bytes with words of 64 bits is not in the table of itrs-lstp at 45 "
            "nm: 1,024 to 4,194,304 bytes. State its read and write energies.",
        ),
        (  # there is no KiB in words of 256 bits, so none between 128 and 256 either
            (1024, 200, "itrs-hp", 45),
            "An SRAM of 1,024 bytes with words of 200 bits is not in the table of itrs-hp at 45 "
            "nm: 2,048 to 4,194,304 bytes. State its read and write energies.",
        ),
        (
            (4194305, 64, "itrs-lstp", 22),
            "An SRAM of 4,194,305 bytes with words of 64 bits is not in the table of itrs-lstp at "
            "22 nm: 1,024 to 4,194,304 bytes. State its read and write energies.",
        ),
        (
            (2048, 512, "itrs-lstp", 45),
            "Words of 512 bits are not in the table of itrs-lstp at 45 nm: 32 to 256 bits. State "
            "its read and write energies.",
        ),
        (
            (2048, 128, "itrs-lstp", 32),
            "Words of 128 bits are not in the table of itrs-lstp at 32 nm: 64 bits. State its read "
            "and write energies.",
        ),
        (
            (2048, 64, "itrs-lstp", 130),
            "node: There is no table of itrs-lstp at 130 nm. Use 22 nm, 32 nm, 45 nm, 65 nm, 90 nm, "
            "or state read and write.",
        ),
        (
            (2048, 64, "itrs-hp", 32),
            "node: There is no table of itrs-hp at 32 nm. Use 45 nm, or state read and write.",
        ),
        (
            (2048, 64, "edram", 45),
            "sram_cell: There is no table of SRAM cells 'edram'. Use itrs-hp or itrs-lstp.",
        ),
    ],
)  # fmt: skip
def test_what_is_beyond_the_table_is_explained(asked, expected):
    with pytest.raises(UsageError) as error:
        access_energy(*asked)
    assert str(error.value) == expected
