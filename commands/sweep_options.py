"""``intaglio sweep`` as it is parsed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options


def sweep(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="An .onnx or .tflite file.", show_default=False)
    ],
    space: Annotated[
        Path,
        typer.Argument(metavar="SPACE.toml", help="Choices and a recipe.", show_default=False),
    ],
    test: options.Test = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Results (default SPACE-sweep)."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="X.npz", help="Calibration data for a float model.")
    ] = None,
    trials: Annotated[
        int,
        typer.Option(min=1, help="Combinations to try; where there are more, Optuna chooses."),
    ] = 64,
    batch: Annotated[
        int, typer.Option(min=1, help="Combinations that Optuna chooses at a time.")
    ] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of Optuna and of training.")] = 0,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes (default: one a processor).")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Run on this Ray cluster: auto, local or an address."),
    ] = None,
    equal: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            min=0,
            help="Compare families at equal accuracy: of each the cheapest so near to the best.",
        ),
    ] = None,
    family: Annotated[
        str | None, typer.Option(metavar="CHOICE", help="The choice whose values are families.")
    ] = None,
    no_batch: Annotated[
        bool,
        typer.Option("--no-batch", help="Axis 0 of the model is not the batch."),
    ] = False,
    semantics: Annotated[
        str | None, typer.Option(metavar="NAME", help="Arithmetic of a TFLite model.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
    train: options.Train = None,
    scale: options.Scale = None,
    mean: options.Mean = None,
    std: options.Std = None,
    device: options.Device = None,
    shift: options.Shift = None,
    mirror: options.Mirror = False,
) -> None:
    """Compile a network in many ways, in parallel, and show which of them no other beats."""
    from .learning import Learning
    from .sweep import Equal, Order, Place, Wanted, sweep_and_show

    trained = seed if train is not None else None
    learning = Learning(train, test, scale, mean, std, device, trained, shift, mirror)
    folder = output or Path(f"{space.stem}-sweep")
    wanted, place = Wanted(trials, batch, seed), Place(jobs, cluster)
    order = Order(model, space, folder, data, learning, wanted, place, not no_batch, semantics)
    sweep_and_show(order, Equal.of(equal, family), as_json=as_json)
