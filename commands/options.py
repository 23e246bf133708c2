"""Options of ``intaglio compile`` for labelled data and training: one panel of its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PANEL = "Labelled data and training"


def _option(help_: str, metavar: str | None = None, flag: str = "") -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        *([flag] if flag else []),
        help=help_,
        metavar=metavar,
        rich_help_panel=PANEL,
        show_default=False,
    )
    return option


Train = Annotated[
    str | None,
    _option(
        "Labelled data for passes that train: an .npz file with x and y, a folder with a folder of "
        "images for each class, or your Python function (its code is run) as module:function or "
        "file.py:function, which returns (x, y) or a DataLoader. Calibrates, too, without --data.",
        "T",
    ),
]
Test = Annotated[
    str | None,
    _option("The same to measure accuracy on: as it trains, and of the blob's integers.", "T"),
]
Scale = Annotated[
    str | None,
    _option("Factor of stored inputs, such as 1/255 (the default of images in folders).", "S"),
]
Mean = Annotated[
    str | None, _option("Subtracted from scaled inputs: a number, or M,M,M by channel.", "M")
]
Std = Annotated[
    str | None, _option("Divides inputs after that: a number, or D,D,D by channel.", "D")
]
Device = Annotated[str | None, _option("Where to train: cpu (default) or cuda.", "NAME")]
TrainingSeed = Annotated[int | None, _option("Decides order and moves of samples (default 0).")]
Shift = Annotated[
    int | None, _option("Move training images at random by so many pixels.", "PIXELS")
]
Mirror = Annotated[
    bool, _option("Mirror training images left to right at random.", flag="--mirror")
]
Checkpoints = Annotated[
    Path | None, _option("Save the training to this folder after every epoch.", "FOLDER")
]
Resume = Annotated[
    bool, _option("Go on from --checkpoints, to the same result bit for bit.", flag="--resume")
]
Baselines = Annotated[
    bool,
    _option(
        "Compile twice more, pruned by magnitude at once and gradually in as many epochs as admm "
        "takes, and compare accuracy on --test.",
        flag="--baselines",
    ),
]
