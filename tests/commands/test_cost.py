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


def test_a_batch_takes_its_weights_once(call, blob):
    one, four = (call("cost", blob, "--batch", n, "--json").json for n in ("1", "4"))
    assert (one["samples"], four["samples"]) == (1, 4)
    assert [moved(four, name) for name in ("weights", "inputs", "outputs")] == [
        moved(one, "weights"), 4 * moved(one, "inputs"), 4 * moved(one, "outputs")
    ]  # fmt: skip
    found = call("cost", blob, "--batch", "4").out
    assert "batch     4 samples: rows above and DRAM have all" in found
    energy, cycles = four["totals"]["energy"]["nominal"] / 4e6, four["totals"]["cycles"] / 4
    assert f"energy    {energy:.3g} uJ a sample" in found
    assert f"time      {cycles:,.0f} cycles, {cycles / 500e3:.3f} ms a sample" in found
    assert energy < one["totals"]["energy"]["nominal"] / 1e6


def moved(cost, operand):
    """Bits of an operand to and from DRAM."""
    return sum(
        transfer["reads"] + transfer["writes"]
        for layer in cost["layers"]
        for transfer in layer["transfers"]
        if (transfer["memory"], transfer["operand"]) == ("DRAM", operand)
    )


def test_a_batch_of_nothing_is_refused(call, blob):
    found = call("cost", blob, "--batch", "0")
    assert (found.code, found.err) == (
        2, "A batch of 0 samples was asked for. Ask for at least 1.\n"
    )  # fmt: skip
