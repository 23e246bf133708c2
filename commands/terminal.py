"""What the command line shows: results on stdout, everything else on stderr.

Of processes that work together only the leading one shows anything.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from ..passes.processes import leads

if TYPE_CHECKING:
    from rich.console import Console

    from ..backends.summary import Layer, Sizes

Column = tuple[str, Literal["text", "left", "right"]]
"""Header and kind: text wraps where the table would be too wide, left and right never do."""
QUIET_SECONDS = 10.0
"""Without a terminal, one line of progress at most this often."""
SPARE_ROWS = 3
"""Rows of a terminal that bars leave free."""
LABEL = 20
"""Columns of a terminal for the label of a bar."""
SHOWN_NAME = 48
"""Characters of a name in a table."""
LEAST_TEXT = 16
"""Characters of a name that stay on one line in the narrowest table."""


def out() -> Console:
    """The console of results."""
    return _console(stderr=False)


def err() -> Console:
    """The console of progress and errors."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, quiet=not leads())


def say(text: str) -> None:
    """A line of results; it is not wrapped, so that other programs can read it."""
    if leads():
        sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """A line for the person who waits."""
    if leads():
        sys.stderr.write(text + "\n")


def say_json(data: Any, indent: int | None = 2) -> None:
    """The results as one JSON document."""
    say(json.dumps(data, indent=indent, default=_plain))


def _plain(value: Any) -> Any:
    """Numpy numbers and arrays as JSON values."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return str(value)


class Bars(AbstractContextManager["Bars"]):
    """Progress on stderr: a bar per label on a terminal, elsewhere a line now and then.

    Behind a bar stand the time that is left, or was taken, and the latest figures.
    """

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining
        from rich.table import Column as Place

        console = err()
        name = Place(width=LABEL, no_wrap=True, overflow="ellipsis")
        columns = (
            TextColumn("{task.description}", markup=False, table_column=name),
            BarColumn(bar_width=None, table_column=Place(ratio=1, min_width=4)),
            TaskProgressColumn("{task.percentage:>3.0f}%"),
            Remaining(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[detail]}", markup=False, table_column=Place(no_wrap=True)),
        )
        shown = console.is_terminal and leads()
        self.bars = Progress(*columns, console=console, disable=not shown, expand=True)
        self.tasks: dict[str, Any] = {}
        self.label, self.before = "", 0
        self.last = self.began = time.monotonic()

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._finish(self.label)
        self.bars.stop()

    def __call__(self, label: str, done: int, total: int, detail: str = "") -> None:
        """Show that ``done`` of ``total`` are done; a total of 0 is not known."""
        if self.bars.disable:
            self._line(label, done, total, detail)
            return
        if label != self.label:
            self._finish(self.label)
            self.label = label
        if label not in self.tasks:
            self._make_room()
            self.tasks[label] = self.bars.add_task(label, total=total or None, detail="")
        self.bars.update(self.tasks[label], completed=done, total=total or None, detail=detail)

    def _finish(self, label: str) -> None:
        """What another label follows is over, even if it did not come to its total."""
        if label in self.tasks:
            task = self.tasks[label]
            self.bars.update(task, total=self.bars.tasks[task].completed)

    def _make_room(self) -> None:
        """Hide the oldest bars where the terminal is not high enough for one more."""
        shown = [task.id for task in self.bars.tasks if task.visible]
        for task in shown[: max(0, len(shown) + SPARE_ROWS - self.bars.console.height)]:
            self.bars.update(task, visible=False)

    def _line(self, label: str, done: int, total: int, detail: str) -> None:
        now = time.monotonic()
        if label != self.label:
            self.label, self.began, self.before = label, now, done
        if now - self.last < QUIET_SECONDS:
            return
        self.last = now
        whole = f" of {total}" if total else ""
        text = f"{label}: {done}{whole}"
        if total > done > self.before:
            left = (now - self.began) / (done - self.before) * (total - done)
            text += f", {_duration(left)} left"
        note(f"{text}; {detail}" if detail else text)


def _duration(seconds: float) -> str:
    """Minutes and seconds, hours in front where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def elided(name: str) -> str:
    """A name that fits a column: of a long one the first and the last part."""
    if len(name) <= SHOWN_NAME:
        return name
    half = SHOWN_NAME // 2
    return f"{name[: half - 1]}…{name[-half:]}"


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
    """Print a table on stdout; text wraps so that it fits the terminal, or 80 columns.

    A table of which the rest does not fit is wider: no figure is cut.
    """
    from rich.box import SIMPLE_HEAD
    from rich.cells import cell_len
    from rich.table import Table

    shown, console = [list(map(str, row)) for row in rows], out()
    made = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    needed = 0
    for index, (name, kind) in enumerate(columns):
        justify: Literal["left", "right"] = "right" if kind == "right" else "left"
        made.add_column(name, justify=justify, overflow="fold", no_wrap=kind != "text")
        longest = max(cell_len(each) for each in (name, *(row[index] for row in shown)))
        needed += 2 + (min(longest, LEAST_TEXT) if kind == "text" else longest)
    for row in shown:
        made.add_row(*row)
    made.width = needed if needed > console.width else None
    console.print(made, crop=False)


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """Print ``name  value`` lines on stdout, the values in one column."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(name, str(value))
    out().print(grid)


LAYER_COLUMNS: tuple[Column, ...] = (
    ("layer", "text"),
    ("operator", "left"),
    ("shape", "left"),
    ("codes", "left"),
    ("weights", "left"),
    ("bytes", "right"),
    ("accum.", "right"),
    ("proof", "left"),
)


def layer_table(layers: Iterable[Layer]) -> None:
    """One row per layer: what it is, its bits and bytes, its accumulator and its proof."""
    table(LAYER_COLUMNS, map(_layer_row, layers))


def _layer_row(layer: Layer) -> tuple[str, ...]:
    return (
        layer.label,
        layer.op,
        layer.shape,
        str(layer.type.dtype),
        layer.weight_type,
        f"{layer.weight_bytes:,}" if layer.weight_bytes else "",
        f"int{layer.accumulator_bits}" if layer.accumulator else "",
        layer.certificate.verdict if layer.certificate else "",
    )


def proof_text(layers: Iterable[Layer]) -> str:
    """One sentence about all certificates."""
    proofs = [layer.certificate for layer in layers if layer.certificate is not None]
    open_ = sum(not proof.proved for proof in proofs)
    if open_:
        return f"{open_} of {len(proofs)} rescalings differ somewhere: see inspect --certificates"
    return f"all {len(proofs)} rescalings equal their definition on every reachable input"


def certificate_lines(layers: Iterable[Layer]) -> None:
    """The full text of every certificate, and each listed input where integers differ."""
    for layer in layers:
        if layer.certificate is None:
            continue
        say(f"{layer.label}: {layer.certificate}")
        for each in layer.certificate.examples:
            say(
                f"  channel {each.channel}, accumulator {each.input}: "
                f"code {each.got}, the definition gives {each.expected}"
            )


def size_facts(sizes: Sizes) -> list[tuple[str, object]]:
    """The bytes of a blob by what they hold, for ``facts``."""
    return [(name, f"{count:,} bytes") for name, count in sizes.to_json().items()]
