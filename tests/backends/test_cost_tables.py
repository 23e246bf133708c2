"""The tables say what the costs say, in every form."""

import csv as comma
import io
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.backends import cost_rows
from intaglio.backends.cost_tables import csv, markdown, to_json
from intaglio.backends.cost_text import byte_unit, energy_unit, lead, percent, ratio, shown
from intaglio.cost_models.comparison import Compared
from intaglio.errors import UsageError


def number(cell: str) -> float:
    return float(cell.replace(",", "").split()[0].rstrip("x"))


def rows(compared: list[Compared], title: str) -> list[dict[str, str]]:
    table = next(each for each in cost_rows.tables(compared) if each.title == title)
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_no_row_of_a_table_lacks_a_cell(four: list[Compared]) -> None:
    found = [*cost_rows.tables(four), *(cost_rows.layer_table(each, "nJ") for each in four)]
    for table in found:
        assert {len(table.columns)} >= {len(row) for row in table.rows}, table.title
        assert len(table.align) == len(table.columns)
        assert set(table.align) <= {"l", "r"}


def test_a_network_has_its_numbers(four: list[Compared]) -> None:
    # Structured 16x: DRAM 50 + 16,000 bits of 8 pJ; SRAM 3 x 192 bits of 0.5 pJ; 4,400 adds of
    # 0.2 pJ: 128,400 + 288 + 880 pJ. Cycles: 7 + 500, the file 2,006 + 47 bytes.
    row = rows(four, "Networks")[1]
    assert row == {
        "Network": "structured 16x",
        "Kind": "structured",
        "Bits": "4",
        "Rate": "16x",
        "Accuracy": "90.00 %",
        "Bytes": "2,053",
        "Energy [µJ]": "0.1296",
        "low": "0.06478",
        "high": "0.3235",
        "Cycles": "507",
    }


def test_a_verdict_has_its_numbers(four: list[Compared]) -> None:
    # Single 20x: 8 pJ x (12,840 + 500) bits + 288 + 3,520 adds x 0.2 + 500 decoded x 2 pJ
    # = 108,712 pJ; cycles 100 + 413 (DRAM 400 bits + 12,800 bits over 32); file 1,605 + 62 + 47.
    assert rows(four, "Verdicts") == [
        {
            "Structured": "structured 16x",
            "Non-structured": "single 20x",
            "Bits": "4",
            "Storage": "non-structured (1.2x)",
            "Energy": "non-structured (1.19x)",
            "Time": "structured (0.988x)",
            "Energy verdict": "holds",
            "All low": "non-structured (1.19x)",
            "All high": "non-structured (1.18x)",
            "Accuracy": "-1.00 points",
        }
    ]


def test_one_pair_is_told_in_a_sentence(four: list[Compared]) -> None:
    assert lead(four) == (
        "At 4 bits, structured 16x against single 20x: storage favours non-structured (2,053 "
        "against 1,714 bytes), energy favours non-structured (0.1296 against 0.1087 µJ), time "
        "favours structured (507 against 513 cycles). The energy verdict holds over the range of "
        "the constants. Accuracy: 90.00 % against 91.00 %."
    )


def test_many_pairs_are_counted(four: list[Compared]) -> None:
    again = replace(four[0], name="again", kind="non-structured")
    assert lead([*four, again]) == (
        "In 2 pairs of a structured and a non-structured network with weights of equal bits, the "
        "structured one has the smaller file in 1, takes less energy in 1 and less time in 2. The "
        "energy verdict holds over the range of the constants in 2 of 2. In a pair, accuracies "
        "differ by up to 2.50 points."
    )
    unknown = replace(again, accuracy=None)
    assert lead([*four, unknown]).endswith(" in 2 of 2. Both accuracies are known in 1 of 2.")


def test_without_a_pair_there_is_no_verdict(four: list[Compared]) -> None:
    assert lead(four[:2]) == (
        "2 networks on edge: no structured and non-structured network have weights of equal bits, "
        "so there is no verdict."
    )


@pytest.mark.parametrize("title", ["Energy by memory", "Energy by operand"])
def test_the_parts_of_the_energy_add_up(four: list[Compared], title: str) -> None:
    for row, network in zip(rows(four, title), four, strict=True):
        *parts, whole = (number(cell) for name, cell in row.items() if name != "Network")
        assert sum(parts) == pytest.approx(whole, rel=2e-3)
        assert whole == pytest.approx(network.cost.energy.nominal / 1e6, rel=1e-3)


def test_traffic_tells_reads_from_writes(four: list[Compared]) -> None:
    found = [row for row in rows(four, "Traffic") if row["Network"] == "single 20x"]
    assert [tuple(row.values())[1:5] for row in found] == [
        ("DRAM", "weights", "12,840", "0"),
        ("DRAM", "indices", "500", "0"),
        ("SRAM", "outputs", "192", "384"),
    ]


def test_skipped_operations_stand_beside_those_done(four: list[Compared]) -> None:
    found = [row for row in rows(four, "Arithmetic") if row["Network"] == "single 20x"]
    assert [tuple(row.values())[1:4] for row in found] == [
        ("add", "3,520", "66,880"),
        ("decode", "500", "0"),
    ]


def test_the_bytes_add_up_to_the_file(four: list[Compared]) -> None:
    for row in rows(four, "Bytes"):
        *parts, whole = (number(cell) for name, cell in row.items() if name != "Network")
        assert sum(parts) == whole


def test_the_simulator_is_said_to_be_measured(four: list[Compared]) -> None:
    found = rows(four, "Time of one sample")
    assert list(found[0]) == [
        "Network",
        "Cycles (model)",
        "ms (model)",
        "Simulator ms (measured on this machine)",
    ]
    assert [tuple(row.values()) for row in found[1:3]] == [
        ("structured 16x", "507", "0.002535", "0.125"),
        ("2:4", "4,225", "0.02113", "not measured"),
    ]


def test_layers_add_up_to_the_last_row(four: list[Compared]) -> None:
    for network in four:
        *layers, whole = cost_rows.layer_table(network, "µJ").rows
        assert [row[0] for row in layers] == ["conv1", "pool", "fc"]
        for column in (2, 3, 4, 8):
            assert sum(number(row[column]) for row in layers) == number(whole[column])
        for column in (5, 6, 7):
            total = sum(number(row[column]) for row in layers)
            assert total == pytest.approx(number(whole[column]), rel=2e-3)


def test_assumptions_of_all_networks_are_listed_once(four: list[Compared]) -> None:
    assert [tuple(row.values()) for row in rows(four, "Assumptions")] == [
        ("DRAM access", "pJ/bit", "4", "8", "20", "LPDDR4"),
        ("SRAM read", "pJ/bit", "0.25", "0.5", "2", "CACTI 7"),
        ("decode", "pJ", "1", "2", "9", "an adder | a register"),
    ]


def test_markdown_has_every_table_and_every_cell(four: list[Compared]) -> None:
    text = markdown(four)
    for table in [*cost_rows.tables(four), *(cost_rows.layer_table(x, "µJ") for x in four)]:
        assert re.search(rf"^##+ {re.escape(table.title)}$", text, re.MULTILINE), table.title
    assert "| conv1 | conv | 6,400 | 320 | 17 |" in text
    assert "| decode | pJ | 1 | 2 | 9 | an adder \\| a register |" in text
    # A column is never split or lost: as many bars as the rule below the heading has.
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        bars = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(bars) == 1


def test_names_are_no_markup_in_markdown(hostile: list[Compared]) -> None:
    text = markdown(hostile)
    assert "<script" not in text
    assert "\\|\"'&amp;\\`\\*" in text


def test_csv_has_full_precision(four: list[Compared]) -> None:
    found = list(comma.DictReader(io.StringIO(csv(four))))
    assert len(found) == sum(1 + len(each.cost.layers) for each in four)
    networks = [row for row in found if row["level"] == "network"]
    for row, each in zip(networks, four, strict=True):
        layers = [x for x in found if x["level"] == "layer" and x["network"] == each.name]
        assert float(row["energy_pj"]) == each.cost.energy.nominal
        assert float(row["energy_low_pj"]) == each.cost.energy.low
        assert float(row["energy_high_pj"]) == each.cost.energy.high
        assert int(row["file_bytes"]) == each.cost.file_bytes
        assert row["accuracy"] == ("" if each.accuracy is None else str(each.accuracy))
        for name in ("cycles", "macs", "macs_done", "weight_bytes"):
            assert sum(int(x[name]) for x in layers) == int(row[name])
        assert [x["bound"] for x in layers] == [x.bound for x in each.cost.layers]


def test_csv_keeps_any_name(hostile: list[Compared]) -> None:
    found = list(comma.DictReader(io.StringIO(csv(hostile))))
    assert [x["network"] for x in found if x["level"] == "network"] == [x.name for x in hostile]


def test_json_has_full_precision(four: list[Compared]) -> None:
    found = json.loads(json.dumps(to_json(four), allow_nan=False))
    assert (found["version"], found["hardware"], found["clock_mhz"]) == (1, "edge", 200.0)
    for row, each in zip(found["networks"], four, strict=True):
        assert row["energy_pj"]["nominal"] == each.cost.energy.nominal
        assert row["bytes"]["file"] == sum(
            size for name, size in row["bytes"].items() if name != "file"
        )
        for split in ("energy_by_memory_pj", "energy_by_operand_pj"):
            for at in ("low", "nominal", "high"):
                total = sum(part[at] for part in row[split].values())
                assert total == pytest.approx(row["energy_pj"][at])
        assert sum(x["time_cycles"] for x in row["layers"]) == row["cycles"] == each.cost.time
        assert [x["cycles"] for x in row["layers"]] == [x.cycles for x in each.cost.layers]
    assert found["networks"][2]["accuracy"] is None
    assert found["networks"][0]["simulator_ms_measured_on_this_machine"] == 0.5
    (verdict,) = found["verdicts"]
    assert verdict["accuracy_gap"] == pytest.approx(-0.01)
    del verdict["accuracy_gap"]
    assert verdict == {
        "structured": "structured 16x",
        "non_structured": "single 20x",
        "bits": 4,
        "storage": "non-structured",
        "energy": "non-structured",
        "energy_all_low": "non-structured",
        "energy_all_high": "non-structured",
        "energy_verdict": "holds",
        "time": "structured",
    }


@pytest.mark.parametrize("form", [markdown, csv, to_json])
def test_nothing_is_no_comparison(form: object) -> None:
    with pytest.raises(UsageError, match=r"^There is no network to compare\. Give at least one\.$"):
        form([])


@given(st.floats(1e-9, 1e12))
def test_a_shown_number_is_the_number_to_four_digits(value: float) -> None:
    text = shown(value)
    assert "e" not in text
    assert number(text) == pytest.approx(value, rel=6e-4)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.000125, "0.000125"),
        (9.9999, "10"),
        (12.5, "12.5"),
        (123456.7, "123,457"),
        (100, "100"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert shown(value) == text


def test_shares_and_ratios_that_are_not_known_are_marked() -> None:
    assert (percent(None), percent(0.5)) == ("?", "50.00 %")
    assert (ratio(1, 0), ratio(1, 2)) == ("?", "0.5x")


def test_units_fit_the_greatest(four: list[Compared]) -> None:
    assert energy_unit(four) == "µJ"
    assert energy_unit(four[1:2]) == "nJ"
    assert byte_unit(four) == ("kB", 1000)
    assert byte_unit(four[1:2]) == ("bytes", 1)
