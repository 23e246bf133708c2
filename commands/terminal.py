"""What the command line shows: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

if TYPE_CHECKING:
    from rich.console import Console

    from ..backends.summary import Layer, Sizes

Column = tuple[str, Literal["text", "left", "right"]]
"""Header and kind: text wraps where the table would be too wide, left and right never do."""
QUIET_SECONDS = 10.0
SHOWN_NAME = 48
"""Characters of a name in a table."""
"""Without a terminal, one line of progress at most this often."""


def out() -> Console:
    """The console of results."""
    return _console(stderr=False)


def err() -> Console:
    """The console of progress and errors."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def say(text: str) -> None:
    """A line of results; it is not wrapped, so that other programs can read it."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """A line for the person who waits."""
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
    """Progress on stderr: a bar per label on a terminal, elsewhere a line now and then."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeElapsedColumn as Elapsed

        console = err()
        text = TextColumn("{task.description:24.24}", markup=False)
        columns = (text, BarColumn(), MofNCompleteColumn(), Elapsed())
        self.bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self.tasks: dict[str, Any] = {}
        self.last = time.monotonic()

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bars.stop()

    def __call__(self, label: str, done: int, total: int, detail: str = "") -> None:
        """Show that ``done`` of ``total`` are done; a total of 0 is not known."""
        if self.bars.disable:
            self._line(label, done, total)
            return
        if label not in self.tasks:
            self.tasks[label] = self.bars.add_task(label, total=total or None)
        self.bars.update(self.tasks[label], completed=done, total=total or None)

    def _line(self, label: str, done: int, total: int) -> None:
        if time.monotonic() - self.last >= QUIET_SECONDS:
            self.last = time.monotonic()
            note(f"{label}: {done}{f' of {total}' if total else ''}")


def elided(name: str) -> str:
    """A name that fits a column: of a long one the first and the last part."""
    if len(name) <= SHOWN_NAME:
        return name
    half = SHOWN_NAME // 2
    return f"{name[: half - 1]}…{name[-half:]}"


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
    """Print a table on stdout; text wraps so that it fits the terminal, or 80 columns."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name, kind in columns:
        justify: Literal["left", "right"] = "right" if kind == "right" else "left"
        made.add_column(name, justify=justify, overflow="fold", no_wrap=kind != "text")
    for row in rows:
        made.add_row(*map(str, row))
    out().print(made)


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
