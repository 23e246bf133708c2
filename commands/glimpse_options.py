"""Networks that look several times: options of ``intaglio compile``, and commands as parsed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PANEL = "Looking several times"


def _option(help_: str, metavar: str | None = None) -> typer.models.OptionInfo:
    made: typer.models.OptionInfo = typer.Option(
        help=help_, metavar=metavar, rich_help_panel=PANEL, show_default=False
    )
    return made


Count = Annotated[
    int | None,
    _option(
        "Look so many times through the model, each time at a part of the image that the looks "
        "before chose; with a recipe that trains.",
        "N",
    ),
]
Image = Annotated[
    str | None, _option("Size of the image; that of a look is what the model takes.", "HxW")
]
Fusion = Annotated[
    str | None, _option("How looks are joined: attention (default) or mean.", "NAME")
]
Blob = Annotated[Path, typer.Argument(metavar="NET.intg", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]


def exits(
    blob: Blob,
    data: Annotated[
        Path, typer.Option(metavar="TEST.npz", help="Labelled data: samples x and labels y.")
    ],
    points: Annotated[
        float, typer.Option(help="Points of accuracy that may be lost on these samples.")
    ] = 0.5,
    hardware: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE.toml", help="Spare energy of this hardware, not products."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the blob with these margins.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find at which margins samples may leave a network early, for 'intaglio run --early'."""
    from .exits import find_exits, show

    show(find_exits(blob, data, points, hardware, output), as_json=as_json)


def glimpses(
    blob: Blob,
    x: Annotated[
        Path | None,
        typer.Argument(metavar="[X.npy|X.npz]", help="Images, to see where it looks."),
    ] = None,
    hardware: Annotated[
        str, typer.Option(metavar="NAME|FILE.toml", help="Hardware by name or file.")
    ] = "edge-npu",
    full: Annotated[
        Path | None,
        typer.Option(metavar="FULL.intg", help="A network that looks once, to compare with."),
    ] = None,
    batch: Annotated[
        int, typer.Option(min=2, help="Samples that share weights, layer by layer.")
    ] = 16,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page.")] = None,
    as_json: Json = False,
) -> None:
    """Show what each look of a network costs, and with images where it looks."""
    from .glimpses import Order, show_glimpses

    show_glimpses(Order(blob, x, hardware, full, batch, html), as_json=as_json)
