"""Hardware files: what they mean, and what is said of those that cannot be."""

import re
import warnings
from pathlib import Path

import pytest

from intaglio.cost_models.cost import Assumption
from intaglio.cost_models.hardware import hardware_names, load_hardware
from intaglio.cost_models.range import Range
from intaglio.cost_models.rows import Pages
from intaglio.cost_models.sram import access_energy
from intaglio.errors import UsageError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "hardware.md"

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
    assert machine.register(8).high == pytest.approx(8 * 18e-3)
    assert (machine.place.nominal, machine.symbol.nominal) == (0.2, 8.5)
    assert machine.dram.read == machine.dram.write == Range(4, 8, 20)


def test_the_energy_of_a_memory_is_that_of_its_words_by_their_bits(tmp_path):
    hardware = load(tmp_path, SMALL)
    read, write = hardware.memory_energy("SRAM")
    assert read.nominal == pytest.approx(17.042 / 64, rel=1e-3)
    assert write.nominal == pytest.approx(15.397 / 64, rel=1e-3)
    assert read.high / read.low == pytest.approx(6.25)
    assert hardware.memory_energy("DRAM")[0] == Range(4, 8, 20)
    with pytest.raises(UsageError) as error:
        hardware.memory_energy("cache")
    assert str(error.value) == (
        "Hardware 'mine' has no memory 'cache'. Its memories are DRAM, SRAM."
    )


@pytest.mark.parametrize(("bytes_", "nominal"), [(1, 0.012), (32, 0.012), (33, 0.04), (1023, 0.04)])
def test_memories_below_the_table_are_register_files(tmp_path, bytes_, nominal):
    hardware = load(tmp_path, SMALL.replace("bytes = 32768", f"bytes = {bytes_}"))
    assert [each.nominal for each in hardware.memory_energy("SRAM")] == [nominal] * 2
    (source,) = {each.source for each in hardware.assumptions() if each.name == "SRAM read"}
    assert source.startswith("Timeloop exercises" if bytes_ <= 32 else "ZigZag")


def test_memories_of_a_kibibyte_and_more_are_of_the_table(tmp_path):
    text = SMALL.replace("bytes = 32768", "bytes = 1024").replace(
        "word_bits = 64", "word_bits = 128"
    )
    read, write = load(tmp_path, text).memory_energy("SRAM")
    # CACTI, 1 KiB in words of 128 bits: 3.378 and 5.113 pJ a word
    assert read.nominal == pytest.approx(3.378 / 128, rel=1e-3)
    assert write.nominal == pytest.approx(5.113 / 128, rel=1e-3)


def test_energies_of_its_own_take_the_place_of_the_technologys(tmp_path):
    own = "\n".join(
        f'{name} = {{ low = 1, nominal = 2, high = 3, unit = "{unit}", source = "measured" }}'
        for name, unit in (
            ("product", "pJ"), ("adder", "fJ/bit"), ("registers", "fJ/bit"), ("place", "pJ"),
            ("symbol", "pJ"), ("gated", "1"),
        )
    )  # fmt: skip
    text = SMALL.replace("[array]", f"read = {ENERGY}\nwrite = {ENERGY}\n\n[array]")
    hardware = load(tmp_path, f'{text}{own}\nproduct_bits = 16\nzero_skip = "gate"\n')
    machine = hardware.machine()
    assert hardware.memory_energy("SRAM") == (Range(1, 2, 3), Range(1, 2, 3))
    assert machine.multiply(16, 16) == machine.place == machine.symbol == Range(1, 2, 3)
    assert machine.multiply(8, 16) == Range(0.5, 1, 1.5)
    assert machine.add(10).nominal == machine.register(10).nominal == pytest.approx(0.02)
    assert machine.array.gated == Range(1, 2, 3)
    named = {each.name: each.source for each in hardware.assumptions()}
    assert named["DRAM read"].startswith("Accelergy and Timeloop")
    assert named["DRAM write"].startswith("Accelergy and Timeloop")
    own = {source for name, source in named.items() if not name.startswith("DRAM")}
    assert own == {"measured"}


def test_assumptions_are_the_constants_in_use_in_their_units(tmp_path):
    found = {each.name: each for each in load(tmp_path, SMALL).assumptions()}
    assert {name: each.unit for name, each in found.items()} == {
        "DRAM read": "pJ/bit", "DRAM write": "pJ/bit", "product": "fJ/bit^2", "adder": "fJ/bit",
        "registers": "fJ/bit", "place": "pJ", "symbol": "pJ", "SRAM read": "pJ/bit",
        "SRAM write": "pJ/bit", "SRAM leakage": "mW", "DRAM activation": "pJ", "DRAM background": "mW",
        "DRAM burst": "bytes", "DRAM row": "bytes",
    }  # fmt: skip
    assert found["product"].value == Range(3.03, 3.08, 12.4)
    assert found["SRAM read"].value == load(tmp_path, SMALL).memory_energy("SRAM")[0]
    gate = load(tmp_path, SMALL + '\nzero_skip = "gate"')
    assert "gated" in {each.name for each in gate.assumptions()}


def test_a_node_scales_logic_and_takes_its_own_table_of_sram(tmp_path):
    text = SMALL.replace("clock_mhz", "node = 32\nvoltage = 0.9\nclock_mhz")
    hardware = load(tmp_path, text)
    machine = hardware.machine()
    # (0.9559 x 0.81 - 0.7823 x 0.9 + 0.471) / (1.103 x 0.81 - 0.362 x 0.9 + 0.2767)
    assert machine.add(32).nominal == pytest.approx(0.1088 * 0.541209 / 0.84433, rel=1e-5)
    expected, _ = access_energy(32768, 64, "itrs-lstp", 32)
    assert hardware.memory_energy("SRAM")[0].nominal == pytest.approx(expected.nominal / 64)
    assert machine.dram.read == Range(4, 8, 20)
    sources = {each.name: each.source for each in hardware.assumptions()}
    assert "scaled from 45 nm, 0.9 V to 32 nm, 0.9 V" in sources["adder"]
    assert "scaled" not in sources["DRAM read"]


def test_without_a_technology_there_is_time_but_no_energy(tmp_path):
    text = SMALL.replace('technology = "45nm"\n', "").replace('kind = "lpddr4"\n', "")
    hardware = load(tmp_path, text)
    machine = hardware.machine()
    assert machine.multiply(8, 8).high == machine.dram.read.high == 0
    assert hardware.assumptions() == ()
    assert not hardware.energy_is_modelled
    assert [name for name in hardware_names() if not load_hardware(name).energy_is_modelled] == [
        "fpga"
    ]


def test_the_arrays_that_were_published_take_what_was_published():
    eyeriss = load_hardware("eyeriss-like").machine()
    assert (eyeriss.array.rows, eyeriss.array.columns, eyeriss.clock_mhz) == (12, 14, 200)
    assert eyeriss.memories[0].bits == 108 * 8192
    assert (eyeriss.array.sum_bits, eyeriss.array.load_width) == (16, 64)
    assert eyeriss.multiply(16, 16).nominal == 2
    assert 16 * eyeriss.dram.read.nominal == 460
    assert 16 * eyeriss.memories[0].read.nominal == 15
    tpu = load_hardware("tpu-like").machine()
    assert (tpu.array.rows, tpu.array.columns, tpu.memories[0].bits) == (32, 32, 2 << 23)
    assert (64 * tpu.dram.read.nominal, 64 * tpu.dram.write.nominal) == (700, 750)
    assert 2048 * tpu.memories[0].read.nominal == pytest.approx(416.16)
    assert 2048 * tpu.memories[0].write.nominal == pytest.approx(378.4)
    assert 8 * tpu.memories[1].read.nominal == pytest.approx(0.095)
    assert tpu.multiply(8, 8).nominal == pytest.approx(0.04)


def test_a_kind_of_dram_has_bursts_and_rows_and_one_that_states_energies_has_not(tmp_path):
    dram = load(tmp_path, SMALL).machine().dram
    assert dram.pages == Pages(8 * 32, 8 * 2048)
    assert dram.activation == Range(1010, 2025, 4050)
    assert dram.leakage == Range(28, 56, 112)
    named = {each.name: each for each in load(tmp_path, SMALL).assumptions()}
    assert named["DRAM burst"] == Assumption(
        "DRAM burst", Range.exact(32), "bytes", "technology '45nm', dram.lpddr4"
    )
    assert named["DRAM row"].value == Range.exact(2048)
    own = SMALL.replace('kind = "lpddr4"', f"read = {ENERGY}\nwrite = {ENERGY}")
    plain = load(tmp_path, own)
    assert plain.machine().dram.pages is None
    assert plain.machine().dram.leakage == plain.machine().dram.activation == Range(0, 0, 0)
    assert {each.name for each in plain.assumptions() if each.name.startswith("DRAM")} == {
        "DRAM read", "DRAM write"
    }  # fmt: skip


def test_a_memory_leaks_what_the_table_or_the_file_says(tmp_path):
    # CACTI, 32 KiB in words of 64 bits at 45 nm
    leaks = load(tmp_path, SMALL).machine().memories[0].leakage
    assert (leaks.low, leaks.nominal, leaks.high) == pytest.approx(
        (0.000916 / 2.5, 0.000916, 0.000916 * 2.5), rel=0.01
    )
    stated = 'leakage = { low = 1, nominal = 2, high = 3, unit = "mW", source = "measured" }'
    text = SMALL.replace("[array]", f"{stated}\n\n[array]")
    assert load(tmp_path, text).machine().memories[0].leakage == Range(1, 2, 3)
    own = text.replace("[array]", f"read = {ENERGY}\nwrite = {ENERGY}\n\n[array]")
    assert load(tmp_path, own).machine().memories[0].leakage == Range(1, 2, 3)
    plain = own.replace(stated, "")
    assert load(tmp_path, plain).machine().memories[0].leakage == Range(0, 0, 0)
    small = text.replace("bytes = 32768", "bytes = 32")
    assert load(tmp_path, small).machine().memories[0].leakage == Range(1, 2, 3)


def test_hops_are_counted_only_where_the_array_states_them(tmp_path):
    assert load(tmp_path, SMALL).machine().array.hop == Range(0, 0, 0)
    stated = 'hop = { low = 1, nominal = 2, high = 3, unit = "fJ/bit", source = "measured" }'
    hardware = load(tmp_path, f"{SMALL}{stated}\n")
    assert hardware.machine().array.hop.nominal == pytest.approx(0.002)
    assert "hop" in {each.name for each in hardware.assumptions()}
    assert 16 * load_hardware("eyeriss-like").machine().array.hop.nominal == 4


def test_an_array_waits_for_nothing_where_its_weights_come_meanwhile(tmp_path):
    array = load(tmp_path, SMALL).machine().array
    assert (array.sum_bits, array.load_width) == (32, 0)
    with pytest.raises(UsageError) as error:
        load(tmp_path, f"{SMALL}load_bits_per_cycle = 64\n")
    assert str(error.value) == (
        f"'{tmp_path / 'mine.toml'}', array.load_bits_per_cycle: The weights of an "
        "output-stationary array come while it works. Leave it out, or choose another dataflow."
    )


def test_the_file_of_the_page_is_hardware(tmp_path):
    (text,) = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    hardware = load(tmp_path, text)
    machine = hardware.machine()
    assert (machine.name, machine.array.rows, machine.array.columns) == ("camera", 8, 16)
    assert machine.memory_of("weights").room == 64 * 8192
    assert hardware.memory_energy("activations")[0] == Range(0.2, 0.5, 1.2)
    names = PAGE.read_text().split("Some come along")[1].split(". ")[0]
    assert names.split("): ")[1].split(".")[0].split() == ", ".join(hardware_names()).split()


def reading(old, new):
    """A change of the file: a read energy that is itself changed."""
    return "[array]", f"read = {ENERGY.replace(old, new)}\n[array]"


QUANTITY = 'Write { low = 1.0, nominal = 2.0, high = 4.0, unit = "...", source = "..." }.'
FREE = ('technology = "45nm"\n', "")
"""A change of the file: no technology."""
BAD = {
    "unknown key": (
        [("rows = 4", "rows = 4\ncolunms = 4")],
        "'{}', array.colunms: There is no such key. Did you mean 'columns'?",
    ),
    "key of another table": (
        [("bits_per_cycle = 32", "bits_per_cycle = 32\nclock_mhz = 4")],
        "'{}', dram.clock_mhz: There is no such key. The keys here are bits_per_cycle, kind, read, "
        "write.",
    ),
    "unknown key of a number": (
        [reading("unit", "units")],
        "'{}', memories[0].read.unit: It is missing. " + QUANTITY,
    ),
    "missing unit": (
        [reading('unit = "pJ/bit", ', "")],
        "'{}', memories[0].read.unit: It is missing. " + QUANTITY,
    ),
    "missing source": (
        [reading(', source = "measured"', "")],
        "'{}', memories[0].read.source: It is missing. " + QUANTITY,
    ),
    "empty source": (
        [reading('"measured"', '""')],
        "'{}', memories[0].read.source: String should have at least 1 character, not ''. Write "
        "something: of a source, the data sheet, paper or measurement.",
    ),
    "number without a unit": (
        [("[array]", "read = 3.0\n[array]")],
        "'{}', memories[0].read: It should be a table, not 3.0. " + QUANTITY,
    ),
    "wrong unit": (
        [reading("pJ/bit", "nJ")],
        "'{}', memories[0].read: Is in 'nJ', not in 'pJ/bit'. Convert the three numbers and write "
        'unit = "pJ/bit".',
    ),
    "negative energy": (
        [reading("low = 1", "low = -1")],
        "'{}', memories[0].read.low: Input should be greater than or equal to 0, not -1. Energies, "
        "shares and powers are 0 or more.",
    ),
    "infinite energy": (
        [reading("high = 3", "high = inf")],
        "'{}', memories[0].read.high: Input should be a finite number, not inf. Write a number "
        "that is finite.",
    ),
    "no number": (
        [reading("low = 1", "low = nan")],
        "'{}', memories[0].read.low: Input should be a finite number, not nan. Write a number "
        "that is finite.",
    ),
    "low above nominal": (
        [reading("low = 1", "low = 5")],
        "'{}', memories[0].read: 5, 2 and 3 do not rise. Write low, nominal and high in this order "
        "of size.",
    ),
    "nominal above high": (
        [reading("high = 3", "high = 1.5")],
        "'{}', memories[0].read: 1, 2 and 1.5 do not rise. Write low, nominal and high in this "
        "order of size.",
    ),
    "missing count": (
        [("rows = 4\n", "")],
        "'{}', array.rows: It is missing. Write a line rows = ..., or a table of that name; "
        "docs/hardware.md has all keys.",
    ),
    "missing table": (
        [('[dram]\nkind = "lpddr4"\nbits_per_cycle = 32\n', "")],
        "'{}', dram: It is missing. Write a line dram = ..., or a table of that name; "
        "docs/hardware.md has all keys.",
    ),
    "no rows": (
        [("rows = 4", "rows = 0")],
        "'{}', array.rows: Input should be greater than 0, not 0. Write a number above 0.",
    ),
    "rows in quotes": (
        [("rows = 4", 'rows = "4"')],
        "'{}', array.rows: Input should be a valid integer, not '4'. Write a whole number.",
    ),
    "another dataflow": (
        [("output_stationary", "output_static")],
        "'{}', array.dataflow: Input should be 'weight_stationary', 'output_stationary' or "
        "'row_stationary', not 'output_static'. Did you mean 'output_stationary'?",
    ),
    "an operand held nowhere": (
        [(', "outputs"', "")],
        "'{}', memories: 'outputs' are held by 0 memories, not by one. List 'outputs' in holds of "
        "one memory.",
    ),
    "a memory called as DRAM": (
        [('"SRAM"', '"DRAM"')],
        "'{}', memories[0].name: The name 'DRAM' is taken. Choose another than those of other "
        "memories and DRAM, DRAM rows, registers, hops, compute, decode.",
    ),
    "an energy of one direction": (
        [("[array]", f"read = {ENERGY}\n[array]")],
        "'{}', memories[0].write: It is missing, though read is stated. State both, or neither.",
    ),
    "a kind and energies": (
        [('"lpddr4"', f'"lpddr4"\nread = {ENERGY}\nwrite = {ENERGY}')],
        "'{}', dram.kind: It states a kind and energies of its own. Leave out kind, or read and "
        "write.",
    ),
    "no kind": (
        [('kind = "lpddr4"\n', "")],
        "'{}', dram.kind: It is missing. Use ddr3, ddr4, lpddr3, lpddr4, hbm2, or state read and "
        "write instead.",
    ),
    "an unknown kind": (
        [("lpddr4", "lpddr9")],
        "'{}', dram.kind: Technology '45nm' knows no DRAM 'lpddr9'. Use ddr3, ddr4, lpddr3, "
        "lpddr4, hbm2, or state read and write instead.",
    ),
    "a kind of no technology": (
        [FREE],
        "'{}', dram.kind: There is no technology that could know it. Write technology = \"45nm\", or "
        "leave it out.",
    ),
    "an unknown technology": (
        [('"45nm"', '"46nm"')],
        "'{}', technology, '46nm': There is no technology of that name and no such file. Name "
        "45nm, or a TOML file.",
    ),
    "a node of no technology": (
        [('technology = "45nm"\n', "node = 32\n"), ('kind = "lpddr4"\n', "")],
        "'{}', node: There is no technology that could know it. Write technology = \"45nm\", or "
        "leave it out.",
    ),
    "a node beyond the source": (
        [('"45nm"', '"45nm"\nnode = 5')],
        "'{}', node: Energies cannot be scaled to 5 nm. Choose 7 to 130 nm, or state every energy.",
    ),
    "energy of DRAM alone": (
        [FREE, ('kind = "lpddr4"', f"read = {ENERGY}\nwrite = {ENERGY}")],
        "'{}', array.product: Its energy is unknown, that of other parts is not. State it, name a "
        "technology, or state no energies at all.",
    ),
    "energy of a memory alone": (
        [FREE, ('kind = "lpddr4"\n', ""), ("[array]", f"read = {ENERGY}\nwrite = {ENERGY}\n[array]")],
        "'{}', dram.read: Its energy is unknown, that of other parts is not. State it, name a "
        "technology, or state no energies at all.",
    ),
    "an SRAM beyond the table": (
        [("bytes = 32768", "bytes = 8388608")],
        "'{}', memories[0]: An SRAM of 8,388,608 bytes with words of 64 bits is not in the table of "
        "itrs-lstp at 45 nm: 1,024 to 4,194,304 bytes. State its read and write energies.",
    ),
    "no TOML": (
        [("[array]", "[array")],
        "'{}': It is no TOML: Expected ']' at the end of a table declaration (at line 18, column "
        "7). docs/hardware.md has a whole file to begin with.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_cannot_be_is_explained(tmp_path, case):
    changes, expected = BAD[case]
    text = SMALL
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    with pytest.raises(UsageError) as error:
        load(tmp_path, text)
    assert str(error.value) == expected.replace("{}", str(tmp_path / "mine.toml"), 1)


def test_a_technology_of_its_own_is_a_file_too(tmp_path):
    shipped = Path(__file__).resolve().parents[2] / "cost_models" / "data" / "technologies"
    process = tmp_path / "fab.toml"
    text = (shipped / "45nm.toml").read_text()
    process.write_text(text)
    own = load(tmp_path, SMALL.replace('"45nm"', f'"{process}"'))
    assert own.assumptions() == load(tmp_path, SMALL).assumptions()
    process.write_text(text.replace("nominal = 25.0", "nominal = 15.0", 1))
    with pytest.raises(UsageError) as error:
        load(tmp_path, SMALL.replace('"45nm"', f'"{process}"'))
    assert str(error.value) == (
        f"'{tmp_path / 'mine.toml'}', technology, '{process}', dram.ddr3.read: 20, 15 and 70 do "
        "not rise. Write low, nominal and high in this order of size."
    )


NAMES = "Name edge-npu, edge-npu-gate, edge-npu-skip, eyeriss-like, fpga, mcu, tpu-like, or a TOML file."


@pytest.mark.parametrize("name", ["eyerisss", "a\0b", "no/such/file.toml"])
def test_names_that_nobody_knows_are_explained(name):
    with pytest.raises(UsageError) as error:
        load_hardware(name)
    assert str(error.value) == (
        f"'{name}': There is no hardware of that name and no such file. {NAMES}"
    )


def test_files_that_cannot_be_read_are_explained(tmp_path):
    with pytest.raises(UsageError) as error:
        load_hardware(tmp_path)
    assert str(error.value) == (
        f"'{tmp_path}': It cannot be read: Is a directory. Name a TOML file that you may read."
    )
    (tmp_path / "mine.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(UsageError) as error:
        load_hardware(tmp_path / "mine.toml")
    assert str(error.value) == (
        f"'{tmp_path / 'mine.toml'}': It is no text in UTF-8. docs/hardware.md has a whole file to "
        "begin with."
    )


def test_loading_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_hardware("edge-npu").machine()
