"""``intaglio compare`` as it is parsed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]


def compare(
    blobs: Annotated[list[Path], typer.Argument(metavar="NET.intg ...", show_default=False)],
    hardware: Annotated[
        str, typer.Option(metavar="NAME|FILE.toml", help="Hardware by name or file.")
    ] = "edge-npu",
    data: Annotated[
        Path | None, typer.Option(metavar="TEST.npz", help="Test data: samples x and labels y.")
    ] = None,
    within: Annotated[float, typer.Option(help="Points that accuracies may be apart.")] = 0.5,
    unequal: Annotated[
        bool, typer.Option("--unequal", help="Compare at unequal accuracy and bits.")
    ] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write tables.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write rows.")] = None,
    as_json: Json = False,
) -> None:
    """Show networks beside each other on one hardware: bytes, energy, cycles, verdicts."""
    from .compare import Conditions, Files
    from .compare import compare as compare_blobs

    conditions = Conditions(data, within, unequal)
    compare_blobs(blobs, hardware, conditions, Files(html, markdown, csv), as_json=as_json)
