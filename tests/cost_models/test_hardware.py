"""Hardware files: what they mean, and what is said of those that cannot be."""

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.cost_models.hardware import hardware_names, load_hardware
from intaglio.cost_models.sram import SPREAD, _table, access_energy
from intaglio.errors import UsageError

SMALL = """
name = "mine"
clock_mhz = 100
technology = "45nm"

[dram]
kind = "lpddr4"
bits_per_cycle = 32

[[memories]]
name = "SRAM"
bytes = 32768
word_bits = 64
read_bits_per_cycle = 64
write_bits_per_cycle = 64
holds = ["weights", "inputs", "outputs"]

[array]
rows = 4
columns = 4
dataflow = "output_stationary"
"""
ENERGY = '{ low = 1, nominal = 2, high = 3, unit = "pJ/bit", source = "measured" }'


def load(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return load_hardware(path)


@pytest.mark.parametrize("name", hardware_names())
def test_all_hardware_that_comes_along_loads(name):
    hardware = load_hardware(name)
    machine = hardware.machine()
    assert hardware.name == machine.name == name
    assert all(each.source and each.unit for each in hardware.assumptions())
    assert {operand for memory in machine.memories for operand in memory.holds} == {
        "weights", "inputs", "outputs"
    }  # fmt: skip


def test_operations_take_what_the_technology_says(tmp_path):
    machine = load(tmp_path, SMALL).machine()
    assert machine.multiply(8, 8).nominal == pytest.approx(0.197, abs=1e-3)
    assert machine.multiply(4, 2).nominal == pytest.approx(8 * 3.08e-3)
    assert machine.add(32).nominal == pytest.approx(0.1088)
    assert machine.dram.read.nominal == machine.dram.write.nominal == 8
    # a byte of a product with its sum, of 32 KiB and of DRAM: 1 to 7 to 213
    product = machine.multiply(8, 8).nominal + machine.add(32).nominal
    (sram,) = machine.memories
    assert sram.read.nominal * 8 / product == pytest.approx(6.9, abs=0.1)
    assert machine.dram.read.nominal * 8 / product == pytest.approx(209, abs=1)


def test_energies_of_its_own_take_the_place_of_the_technologys(tmp_path):
    text = SMALL.replace("[array]", f"read = {ENERGY}\nwrite = {ENERGY}\n\n[array]")
    hardware = load(tmp_path, text)
    (sram,) = hardware.machine().memories
    assert (sram.read.low, sram.read.nominal, sram.read.high) == (1, 2, 3)
    named = {each.name: each.source for each in hardware.assumptions()}
    assert named["SRAM read"] == "measured"
    assert named["DRAM read"].startswith("Accelergy and Timeloop")


def test_without_a_technology_there_is_time_but_no_energy(tmp_path):
    text = SMALL.replace('technology = "45nm"\n', "").replace('kind = "lpddr4"\n', "")
    machine = load(tmp_path, text).machine()
    assert machine.multiply(8, 8).high == machine.dram.read.high == 0
    assert load(tmp_path, text).assumptions() == ()


def reading(old, new):
    """A change of the file: a read energy that is itself changed."""
    return "[array]", f"read = {ENERGY.replace(old, new)}\n[array]"


BAD = {
    "unknown key": (
        ("rows = 4", "rows = 4\ncolunms = 4"),
        "'{}', array.colunms: There is no such key. Did you mean 'columns'?",
    ),
    "missing unit": (
        reading('unit = "pJ/bit", ', ""),
        "'{}', memories[0].read.unit: It is missing. Every number states all of its keys.",
    ),
    "wrong unit": (
        reading("pJ/bit", "nJ"),
        "'{}', memories[0].read: Is in 'nJ', not in 'pJ/bit'.",
    ),
    "negative energy": (
        reading("low = 1", "low = -1"),
        "'{}', memories[0].read.low: Input should be greater than or equal to 0, not -1.",
    ),
    "low above high": (
        reading("low = 1", "low = 5"),
        "'{}', memories[0].read: 5, 2 and 3 do not rise.",
    ),
    "another dataflow": (
        ("output_stationary", "no_stationary"),
        "'{}', array.dataflow: Input should be 'weight_stationary', 'output_stationary' or "
        "'row_stationary', not 'no_stationary'.",
    ),
    "an operand held nowhere": (
        (', "outputs"', ""),
        "'{}': 'outputs' are held by 0 memories, not by one.",
    ),
    "no TOML": (
        ("[array]", "[array"),
        "'{}': It is no TOML: Expected ']' at the end of a table declaration (at line 18, column "
        "7).",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_cannot_be_is_explained(tmp_path, case):
    (old, new), expected = BAD[case]
    with pytest.raises(UsageError) as error:
        load(tmp_path, SMALL.replace(old, new))
    assert str(error.value) == expected.format(tmp_path / "mine.toml")


def test_names_that_nobody_knows_are_explained(tmp_path):
    with pytest.raises(UsageError) as error:
        load_hardware("eyerisss")
    assert str(error.value) == (
        "'eyerisss': There is no hardware of that name and no such file. Name edge-npu, "
        "edge-npu-gate, edge-npu-skip, eyeriss-like, fpga, mcu, tpu-like, or a TOML file."
    )
    with pytest.raises(UsageError) as error:
        load(tmp_path, SMALL.replace("lpddr4", "lpddr9")).machine()
    assert str(error.value) == (
        "Hardware 'mine': Its technology knows no DRAM 'lpddr9'. Use ddr3, ddr4, lpddr3, lpddr4, "
        "hbm2, or state read and write."
    )
    with pytest.raises(UsageError) as error:
        load(tmp_path, SMALL.replace("bytes = 32768", "bytes = 512")).machine()
    assert str(error.value) == (
        "An SRAM of 512 bytes with words of 64 bits is not in the table of itrs-lstp at 45 nm: "
        "1,024 to 4,194,304 bytes, 32 to 256 bits. State its read and write energies."
    )


def test_the_table_is_met_at_its_points():
    for (word, size), (read, write) in _table("itrs-lstp", 45).items():
        found = access_energy(size, word, "itrs-lstp", 45)
        assert (found[0].nominal, found[1].nominal) == pytest.approx((read, write))
        assert found[0].high == pytest.approx(SPREAD * read)


@given(st.integers(1 << 11, 1 << 22), st.integers(32, 256))
def test_between_points_an_access_takes_what_lies_between(size, word):
    table = _table("itrs-lstp", 45)
    read, _ = access_energy(size, word, "itrs-lstp", 45)
    words = [w for w in (32, 64, 128, 256) if w <= word][-1:] + [
        w for w in (32, 64, 128, 256) if w >= word
    ][:1]
    exponent = size.bit_length() - 1
    around = [
        table[w, s][0] for w in words for s in (1 << exponent, 1 << exponent + 1) if (w, s) in table
    ]
    assert min(around) * (1 - 1e-9) <= read.nominal <= max(around) * (1 + 1e-9)


def test_loading_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_hardware("edge-npu").machine()
