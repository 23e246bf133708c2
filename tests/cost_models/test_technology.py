"""Constants of a technology, what operations make of them, and other nodes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.cost_models.quantity import Quantity
from intaglio.cost_models.range import Range
from intaglio.cost_models.reading import read_toml
from intaglio.cost_models.scaling import COEFFICIENTS, logic_ratio
from intaglio.cost_models.sram import access_energy
from intaglio.cost_models.technology import DramKind, Technology, scaled
from intaglio.errors import UsageError

NM45 = read_toml("45nm", "technologies", "technology", Technology)
widths = st.integers(1, 64)


def three(found):
    return found.low, found.nominal, found.high


def quantities(model):
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, Quantity):
            yield name, value
        elif isinstance(value, DramKind):
            yield from quantities(value)
        elif isinstance(value, dict):
            for each in value.values():
                yield from quantities(each)


def test_every_constant_has_a_source_and_a_range_that_is_not_empty():
    found = list(quantities(NM45))
    assert len(found) == 12 + 5 * 4
    assert all(len(each.source) > 10 and each.low < each.high for _, each in found)


def test_operations_take_their_bits_times_the_constant():
    assert three(NM45.multiply(8, 4)) == pytest.approx((0.09696, 0.09856, 0.3968))
    assert three(NM45.add(32)) == pytest.approx((0.0992, 0.1088, 0.2112))
    assert three(NM45.shift(16)) == pytest.approx((0.104, 0.208, 0.416))
    assert three(NM45.compare(8)) == pytest.approx((0.00368, 0.00736, 0.01472))
    assert three(NM45.register(32)) == pytest.approx((0.144, 0.288, 0.576))


def test_constants_agree_with_the_operations_that_were_published():
    # Horowitz, ISSCC 2014: 0.2 and 3.1 pJ a product, 0.03 and 0.1 a sum, of 8 and 32 bits.
    assert NM45.multiply(8, 8).nominal == pytest.approx(0.2, rel=0.02)
    assert NM45.multiply(32, 32).nominal == pytest.approx(3.1, rel=0.02)
    assert NM45.add(8).nominal == pytest.approx(0.03, rel=0.1)
    assert NM45.add(32).nominal == pytest.approx(0.1, rel=0.1)
    # Aladdin at 40 nm: the highs.
    assert NM45.multiply(32, 32).high == pytest.approx(12.68, rel=0.01)
    assert NM45.add(32).high == pytest.approx(0.21, rel=0.01)


def test_counted_products_of_bits_take_gates_and_full_adders():
    # 255 gates, and 255 - 8 full adders that count to 255.
    assert NM45.xnor(255).nominal == pytest.approx(255 * 0.57e-3 + 247 * 3.4e-3)
    assert NM45.xnor(1).nominal == pytest.approx(0.57e-3)
    product = NM45.multiply(8, 8) + NM45.add(32)
    assert product.nominal / (NM45.xnor(1024).nominal / 1024) == pytest.approx(77, abs=1)


def test_the_ways_of_a_byte_are_as_one_to_6_to_213_to_533():
    product = NM45.multiply(8, 8).nominal + NM45.add(32).nominal
    assert product == pytest.approx(0.30, rel=0.03)
    cache, _ = access_energy(32768, 64, "itrs-hp", 45)
    assert cache.nominal / 8 / product == pytest.approx(6, abs=0.2)
    assert 8 * NM45.dram("lpddr4").read.nominal / product == pytest.approx(213, rel=0.03)
    assert 8 * NM45.dram("ddr3").read.low / product == pytest.approx(533, rel=0.03)


@given(widths, widths, widths)
def test_operations_are_sums_of_their_parts(a, b, c):
    for found, parts in (
        (NM45.multiply(a, b + c), NM45.multiply(a, b) + NM45.multiply(a, c)),
        (NM45.add(a + b), NM45.add(a) + NM45.add(b)),
        (NM45.shift(a + b), NM45.shift(a) + NM45.shift(b)),
        (NM45.register(a + b), NM45.register(a) + NM45.register(b)),
    ):
        assert three(found) == pytest.approx(three(parts))


@given(widths)
def test_more_bits_never_take_less(bits):
    for operation in (NM45.add, NM45.shift, NM45.register, NM45.compare, NM45.xnor):
        assert operation(bits).low <= operation(bits + 1).low
        assert operation(bits).high <= operation(bits + 1).high


def test_an_open_row_is_worth_it_and_one_burst_of_it_is_not():
    # DRAMPower's currents: opening a row takes 0.22 pJ a bit if all of it is read, 27.8 for a burst.
    kind = NM45.dram("ddr3")
    assert kind.activation.nominal / (8 * kind.row_bytes) == pytest.approx(0.22, abs=0.005)
    assert kind.activation.nominal / (8 * kind.burst_bytes) == pytest.approx(27.8, abs=0.05)
    kind = NM45.dram("lpddr3")
    assert kind.activation.nominal / (8 * kind.burst_bytes) == pytest.approx(15.8, abs=0.05)


def test_a_kind_of_dram_that_is_unknown_is_explained():
    with pytest.raises(UsageError) as error:
        NM45.dram("ddr9")
    assert str(error.value) == (
        "dram.kind: Technology '45nm' knows no DRAM 'ddr9'. Use ddr3, ddr4, lpddr3, lpddr4, hbm2, "
        "or state read and write instead."
    )


@pytest.mark.parametrize(
    ("node", "at_0v8", "at_1v0"),
    [
        (130, 3.07, 3.31), (90, 1.90, 2.04), (65, 1.24, 1.31), (45, 1, 1), (32, 0.659, 0.633),
        (28, 0.513, 0.506), (20, 0.221, 0.251), (16, 0.174, 0.198), (14, 0.139, 0.159),
        (10, 0.118, 0.135), (7, 0.094, 0.109),
    ],
)  # fmt: skip
def test_logic_scales_as_published(node, at_0v8, at_1v0):
    for voltage, expected in ((0.8, at_0v8), (1.0, at_1v0)):
        ratio, _ = logic_ratio(45, voltage, node, voltage)
        assert ratio == pytest.approx(expected, rel=6e-3)


@given(st.floats(7, 130), st.floats(7, 130), st.floats(7, 130), st.floats(0.7, 1.1))
def test_two_ways_of_scaling_lead_to_the_same(a, b, c, volts):
    one, _ = logic_ratio(a, volts, b, volts)
    two, _ = logic_ratio(b, volts, c, volts)
    both, _ = logic_ratio(a, volts, c, volts)
    assert one * two == pytest.approx(both)


@given(st.sampled_from(sorted(COEFFICIENTS)), st.floats(0.7, 1.2), st.floats(0.7, 1.2))
def test_less_voltage_takes_less(node, one, other):
    low, high = sorted((one, other))
    assert logic_ratio(node, high, node, low)[0] <= 1


def test_logic_scales_and_the_sources_say_so():
    found = scaled(NM45, 16)
    # (0.2958 x 0.81 - 0.1241 x 0.9 + 0.03024) / (1.103 x 0.81 - 0.362 x 0.9 + 0.2767)
    assert found.multiply(8, 8).nominal == pytest.approx(0.19712 * 0.158148 / 0.84433, rel=1e-5)
    assert found.multiplier.source.endswith(
        "; scaled from 45 nm, 0.9 V to 16 nm, 0.9 V, Stillmaker and Baas, Integration 58, 2017"
    )
    assert (found.node, found.voltage) == (16, 0.9)
    less = scaled(NM45, 45, 0.8)
    assert less.add(32).nominal < NM45.add(32).nominal


def test_nodes_between_those_of_the_source_are_labelled():
    assert (
        "to 28 nm, 0.9 V (28 nm interpolated between 20 and 32)," in scaled(NM45, 28).adder.source
    )
    assert "interpolated" not in scaled(NM45, 32).adder.source


def test_dram_and_the_share_of_a_gated_product_stay_and_decoding_ends_with_sram():
    deep, edge = scaled(NM45, 7), scaled(NM45, 22)
    assert deep.drams == NM45.drams
    assert deep.gated == NM45.gated
    assert deep.symbol == edge.symbol
    assert deep.symbol.nominal < NM45.symbol.nominal
    assert deep.place.nominal < edge.place.nominal


def test_the_node_it_has_leaves_a_technology_alone():
    assert scaled(NM45, 45) is NM45


def test_nodes_and_voltages_beyond_the_source_are_explained():
    with pytest.raises(UsageError) as error:
        scaled(NM45, 5)
    assert str(error.value) == (
        "node: Energies cannot be scaled to 5 nm. Choose 7 to 130 nm, or state every energy."
    )
    with pytest.raises(UsageError) as error:
        scaled(NM45, 16, 3.3)
    assert str(error.value) == (
        "voltage: Energies cannot be scaled to 3.3 V. Choose 0.5 to 1.2 V, or state every energy."
    )


def test_a_scaled_quantity_keeps_its_unit_and_says_why():
    found = Quantity.of(Range(1, 2, 3), "pJ", "measured").times(2, "twice as many")
    assert found == Quantity.of(Range(2, 4, 6), "pJ", "measured; twice as many")
