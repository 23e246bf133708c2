"""Progress: bars on a terminal, a line now and then elsewhere, nothing from processes that follow."""

import io
import re

import pytest
from rich.console import Console

from intaglio.commands import terminal
from intaglio.commands.terminal import Bars, note, say

FIGURES = "loss 0.0012  residual 0.0034  99.12%"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def rows(
    told: list[tuple[str, int, int, str]],
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    height: int = 30,
) -> list[str]:
    """What stands on a terminal when these were told."""
    screen = io.StringIO()
    console = Console(
        file=screen, force_terminal=True, width=width, height=height, color_system=None
    )
    monkeypatch.setattr(terminal, "err", lambda: console)
    bars = Bars()
    for each in told:
        bars(*each)
    bars._finish(bars.label)
    console.print(bars.bars.get_renderable())
    return ESCAPES.sub("", screen.getvalue()).splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_a_bar_for_each_label_with_the_time_and_the_latest_figures(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [("ADMM 71x", done, 4, FIGURES) for done in (1, 2, 4)] + [("retrain 71x", 1, 4, "")]
    found = rows(told, monkeypatch, width)
    assert [row.split()[:2] for row in found] == [["ADMM", "71x"], ["retrain", "71x"]]
    assert re.fullmatch(rf"ADMM 71x +━{{4,}} 100% \d\d:\d\d {re.escape(FIGURES)}", found[0])
    assert all(len(row) <= width for row in found)
    assert len(found[0]) == width


def test_a_phase_that_ends_early_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    found = rows([("ADMM", 3, 9, ""), ("retrain", 1, 9, "")], monkeypatch, 80)
    assert "100%" in found[0]


def test_a_long_label_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    (row,) = rows([("gradual: Calibrate: histograms", 1, 9, FIGURES)], monkeypatch, 80)
    assert row.startswith("gradual: Calibrate:… ")


def test_the_latest_bars_are_shown_where_there_is_no_room_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = rows([(f"phase {index}", 1, 1, "") for index in range(20)], monkeypatch, 80, height=10)
    assert [row.split()[1] for row in found] == [str(index) for index in range(12, 20)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    now = [100.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    return now


def test_without_a_terminal_a_line_now_and_then_tells_the_same(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with Bars() as bars:
        for step in range(1, 100):
            clock[0] += 1
            bars("ADMM 71x", step, 4000, FIGURES)
        for _ in range(9):
            clock[0] += 2
            bars("Read", 3, 0)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == [
        f"ADMM 71x: 10 of 4000, 1:06:30 left; {FIGURES}",
        f"ADMM 71x: 20 of 4000, 1:06:20 left; {FIGURES}",
    ]
    assert lines[9:] == ["Read: 3"] * 2


def test_processes_that_follow_say_nothing(
    clock: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, said in (("0", "left"), ("1", "")):
        monkeypatch.setenv("RANK", rank)
        with Bars() as bars:
            clock[0] += 20
            bars("ADMM", 1, 2)
        note("note")
        say("say")
        terminal.table((("name", "left"),), [["row"]])
        told = capsys.readouterr()
        assert bool(told.out) is bool(told.err) is bool(said)


def test_a_table_that_does_not_fit_is_wider_and_cuts_no_figure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns: list[terminal.Column] = [("tensor", "text"), *((f"h{i}", "right") for i in range(8))]
    figures = [f"{12_345_678 * i:,}" for i in range(1, 9)]
    monkeypatch.setenv("COLUMNS", "80")
    terminal.table(columns, [["/features/conv1", *figures]])
    (row,) = capsys.readouterr().out.splitlines()[3:4]
    assert row.split() == ["/features/conv1", *figures]
    terminal.table(columns[:3], [["/features/" * 12, *figures[:2]]])
    assert {len(line) for line in capsys.readouterr().out.splitlines()} == {80}
