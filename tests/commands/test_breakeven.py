"""intaglio breakeven."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]


def test_breakeven_prints_required_rates_and_how_to_read_them(here: Path, call: Call) -> None:
    lines = call("breakeven").out.splitlines()
    found = [line.split() for line in lines if line.strip()]
    assert found[0] == ["bits", "1x", "2x", "3x", "4x", "5x", "10x", "20x"]
    assert found[2] == ["8", "1.14", "2.67", "4.59", "6.43", "8.26", "18.0", "38.9"]
    assert found[6] == ["1", "4.69", "13.0", "22.2", "32.3", "41.9", "96.8", "222"]
    assert " ".join(" ".join(words) for words in found[7:]) == (
        "With 1-bit values, single weights must be pruned 222 times to take no more bits than "
        "whole filters or columns pruned 20 times. Places of single weights: a bitmap or relative "
        "indices of the best width, of a mask without pattern."
    )


def test_breakeven_at_the_limit_of_all_codes(here: Path, call: Call) -> None:
    lines = call("breakeven", "--limit", "shannon", "--bits", "4", "--structured", "2,3.5").out
    rows = [line.split() for line in lines.splitlines() if line.strip()]
    assert (rows[0], rows[2]) == (["bits", "2x", "3.5x"], ["4", "3.51", "7.15"])
    assert "Shannon's limit, which no code of a mask without pattern passes." in " ".join(
        lines.split()
    )


def test_a_rate_that_no_code_reaches(here: Path, call: Call) -> None:
    command = ("breakeven", "--bits", "4", "--structured", "1e12")
    found = call(*command)
    assert found.out.splitlines()[3].split() == ["4", "never"]
    assert " ".join(found.out.split()).count(
        "With 4-bit values, single weights are never as small as whole filters or columns pruned "
        "1e+12 times."
    )
    assert call(*command, "--json").json["rates"] == [
        {"bits": 4, "structured": 1e12, "rate": None, "code": None}
    ]


def test_breakeven_as_json_names_the_code_of_each_rate(here: Path, call: Call) -> None:
    found = call("breakeven", "--json", "--bits", "8,1", "--structured", "2,10").json
    assert found["limit"] == "packed"
    assert [(each["bits"], each["structured"], each["code"]) for each in found["rates"]] == [
        (8, 2, "bitmap"),
        (8, 10, "relative 6"),
        (1, 2, "relative 5"),
        (1, 10, "relative 8"),
    ]
    assert found["rates"][0]["rate"] == pytest.approx(8 / 3)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (("--limit", "best"), "There is no limit 'best'. The limits are packed and shannon."),
        (("--bits", "8,x"), "--bits is '8,x'. Give numbers with commas between, such as 8,4,1."),
        (
            ("--structured", ""),
            "--structured is ''. Give numbers with commas between, such as 8,4,1.",
        ),
        (
            ("--bits", "0"),
            "Values cannot have 0 bits. State a number of bits above 0, such as 4.",
        ),
        (
            ("--structured", "0.5"),
            "A rate of 0.5 is not one of pruning. "
            "It is how many weights there were for each that is left: 1 or more.",
        ),
    ],
)
def test_breakeven_refuses_what_is_no_number_of_bits_or_rate(
    given: tuple[str, str], text: str, here: Path, call: Call
) -> None:
    found = call("breakeven", *given)
    assert (found.code, found.err, found.out) == (2, text + "\n", "")
