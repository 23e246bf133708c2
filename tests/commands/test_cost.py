"""``intaglio cost``: what a blob costs, by layer, memory or operand."""

import pytest


@pytest.fixture
def blob(made):
    return made / "w8.intg"


def test_layers_add_up_to_the_totals(call, blob):
    found = call("cost", blob, "--json")
    assert found.code == 0
    cost = found.json
    assert cost["hardware"] == "edge-npu"
    assert cost["file_bytes"] == blob.stat().st_size
    energy = sum(
        part["energy"]["nominal"]
        for layer in cost["layers"]
        for part in (*layer["transfers"], *layer["arithmetic"])
    )
    assert cost["totals"]["energy"]["nominal"] == pytest.approx(energy)
    assert cost["totals"]["cycles"] == sum(
        layer["start"] + max(layer["cycles"].values()) for layer in cost["layers"]
    )
    assert all(each["source"] for each in cost["assumptions"])


def test_the_table_names_the_layers(call, blob):
    found = call("cost", blob, "--hardware", "mcu")
    assert found.code == 0
    lines = found.out.splitlines()
    assert lines[1].split() == [
        "layer", "op", "products", "DRAM", "bytes", "uJ", "cycles", "waits", "for", "used"
    ]  # fmt: skip
    names = [line.split()[1] for line in lines if " conv " in line]
    assert names == ["conv", "conv"]
    assert "hardware  mcu, 100 MHz" in found.out


@pytest.mark.parametrize(("by", "first"), [("memory", "DRAM"), ("operand", "weights")])
def test_rows_are_memories_or_operands(call, blob, by, first):
    lines = call("cost", blob, "--by", by).out.splitlines()
    assert lines[1].split()[0] == by
    assert lines[3].split()[0] == first


def test_hardware_without_energies_says_so(call, blob):
    assert (
        "energy    not modelled for this hardware" in call("cost", blob, "--hardware", "fpga").out
    )


def test_what_cannot_be_shown_is_said(call, blob):
    found = call("cost", blob, "--by", "colour")
    assert (found.code, found.err) == (
        2, "There is no cost by 'colour'. Choose layer, memory, operand.\n"
    )  # fmt: skip
