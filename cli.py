"""The command line: parse, call the API, print. ``main`` is the entry point.

Results go to stdout, progress and errors to stderr. Exit codes: 0 fine, 1 a check found a
difference, 2 the command or its input cannot work, 70 intaglio's own fault, 130 interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from . import __version__
from .commands import compare_options, glimpse_options, options, sweep_options
from .commands.guard import DIFFERENT, guarded

app = typer.Typer(
    help="Compile a trained network to integers: proved exact, packed, simulated bit for bit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="An .onnx or .tflite file.", show_default=False)
]
Blob = Annotated[Path, typer.Argument(metavar="NET.intg", show_default=False)]
X = Annotated[Path | None, typer.Argument(metavar="[X.npy|X.npz]", help="Inputs: reals or codes.")]
Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]
NoBatch = Annotated[
    bool,
    typer.Option("--no-batch", help="Axis 0 of the model is not the batch, one sample is all."),
]
Semantics = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Arithmetic of a TFLite model: tflite (default), xnnpack or onnx."
    ),
]
Samples = Annotated[int, typer.Option(min=1, help="Random samples, when X is not given.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the random samples.")]
Limit = Annotated[
    int | None,
    typer.Option(
        metavar="BYTES",
        min=0,
        help="Memory that a blob's constants may take (default 16 MiB more than its file).",
    ),
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    app(args=arguments, prog_name="intaglio")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"intaglio {__version__}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Compile a trained network to integers: proved exact, packed, simulated bit for bit."""


@app.command("compile")
@guarded
def compile_command(
    model: Model,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="X.npz", help="Calibration data for a float model: 100 to 1000 real inputs."
        ),
    ] = None,
    weights: Annotated[
        int | None, typer.Option(help="Bits of weights, 1 to 8 (default 8).")
    ] = None,
    activations: Annotated[
        int | None, typer.Option(help="Bits of activations, 1 to 16 (default 8).")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(metavar="R.toml", help="Passes and options; or their text.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The blob to write (default NET.intg here)."),
    ] = None,
    print_after: Annotated[
        list[str] | None,
        typer.Option(metavar="PASS", help="Print the graph after this pass to stderr."),
    ] = None,
    output_tensor: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Stop at this tensor of the model; may be repeated."),
    ] = None,
    no_batch: NoBatch = False,
    semantics: Semantics = None,
    storage: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[TENSOR=]FORMAT",
            help="How constants are stored: smallest (default), energy, dense, entropy, bitmap ...",
        ),
    ] = None,
    as_json: Json = False,
    train: options.Train = None,
    test: options.Test = None,
    scale: options.Scale = None,
    mean: options.Mean = None,
    std: options.Std = None,
    device: options.Device = None,
    seed: options.TrainingSeed = None,
    shift: options.Shift = None,
    mirror: options.Mirror = False,
    checkpoints: options.Checkpoints = None,
    resume: options.Resume = False,
    baselines: options.Baselines = False,
    glimpses: glimpse_options.Count = None,
    image: glimpse_options.Image = None,
    fusion: glimpse_options.Fusion = None,
) -> None:
    """Compile a network to a blob, proving every layer."""
    from .commands.compile import Job, compile_and_save, show
    from .commands.learning import Learning
    from .commands.looks import Looks
    from .commands.terminal import Bars

    learning = Learning(
        *(train, test, scale, mean, std, device, seed, shift, mirror),
        *(checkpoints, resume, baselines),
    )

    bits = {"weight_bits": weights, "activation_bits": activations}
    given = {name: value for name, value in bits.items() if value is not None}
    target = output or Path(f"{model.stem}.intg")
    with Bars() as bars:
        stop = tuple(output_tensor or ())
        shown = tuple(print_after or ())
        job = Job(
            *(model, data, recipe, given, target, shown, stop, not no_batch, semantics),
            tuple(storage or ()),
            learning,
            Looks(glimpses, image, fusion),
        )
        compiled = compile_and_save(job, bars)
    show(compiled, as_json=as_json)


@app.command()
@guarded
def run(
    blob: Blob,
    x: Annotated[Path, typer.Argument(metavar="X.npy|X.npz", help="Inputs: reals or codes.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the codes: .npz, or .npy for one.")
    ] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Every layer, not only outputs.")] = False,
    real: Annotated[bool, typer.Option("--real", help="Real values instead of codes.")] = False,
    threads: Annotated[
        int, typer.Option("--threads", min=1, help="Threads that share the samples.")
    ] = 1,
    early: Annotated[
        bool, typer.Option("--early", help="Only until an exit is sure: see 'intaglio exits'.")
    ] = False,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Run a blob on inputs; the results are codes, exact to the bit."""
    from .commands.run import check_name, execute, save_arrays, show, show_json, show_kinds

    if output is not None:
        check_name(output)
    if early:
        from .commands.run import execute_early

        execute_early(blob, x, limit, threads, output, as_json=as_json)
        return
    results = execute(blob, x, limit, threads, trace=trace)
    if output is not None:
        save_arrays(output, {k: v.real if real else v.codes for k, v in results.items()})
    if as_json:
        show_json(results, real=real)
    elif trace or output is not None:
        show_kinds(results)
    else:
        show(results, real=real)
    if output is not None:
        typer.echo(f"Wrote {output}.", err=True)


@app.command()
@guarded
def warmup(
    blobs: Annotated[list[Path], typer.Argument(metavar="NET.intg...", help="Compiled networks.")],
    limit: Limit = None,
) -> None:
    """Compile the kernels that blobs need, so that later processes start at once."""
    from .commands.run import warm_up

    warm_up(blobs, limit)


@app.command()
@guarded
def check(
    blob: Blob,
    x: X = None,
    samples: Samples = 16,
    seed: Seed = 0,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Compare the simulator with the reference at every layer; exit 1 if they differ."""
    from .commands.run import check as check_blob

    check_blob(blob, x, samples, seed, limit, as_json=as_json)


@app.command()
@guarded
def inspect(
    blob: Blob,
    text: Annotated[bool, typer.Option("--text", help="Print the program itself.")] = False,
    certificates: Annotated[
        bool, typer.Option("--certificates", help="Print every certificate in full.")
    ] = False,
    storage: Annotated[
        bool, typer.Option("--storage", help="Print the format and bits of every constant.")
    ] = False,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Show what a blob holds: layers, bytes, proofs, recipe."""
    from .commands.inspect import inspect as inspect_blob

    shown = {"text": text, "certificates": certificates, "storage": storage}
    inspect_blob(blob, limit, **shown, as_json=as_json)


app.command()(guarded(glimpse_options.exits))
app.command()(guarded(glimpse_options.glimpses))


@app.command()
@guarded
def cost(
    blob: Blob,
    hardware: Annotated[
        str, typer.Option(metavar="NAME|FILE.toml", help="Hardware by name or file.")
    ] = "edge-npu",
    by: Annotated[str, typer.Option(help="Rows: layer, memory or operand.")] = "layer",
    batch: Annotated[int, typer.Option(help="Samples that run together, layer by layer.")] = 1,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Show what a blob costs on hardware: bytes moved, energy, cycles."""
    from .commands.cost import show_cost

    show_cost(blob, hardware, by, limit, batch, as_json=as_json)


app.command()(guarded(compare_options.compare))


app.command()(guarded(sweep_options.sweep))


@app.command()
@guarded
def export(
    blob: Blob,
    format_: Annotated[
        str, typer.Option("--format", help="npz, hex, mem, coe, c, onnx, zigzag or timeloop.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder to write, of onnx the file.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(metavar="X.npy|X.npz", help="Samples of the golden vectors: reals or codes."),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=0, help="Random samples of the golden vectors, without --data.")
    ] = 4,
    seed: Seed = 0,
    hardware: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Of zigzag and timeloop: edge-npu without it."),
    ] = None,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Write a blob for other tools: memories with golden vectors, C99, ONNX, cost models."""
    from .commands.export import export_blob, show

    exported = export_blob(blob, format_, output, data, samples, seed, limit, hardware)
    show(exported, as_json=as_json)


@app.command()
@guarded
def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="A model file or a blob.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="A model file or a blob.")],
    x: X = None,
    samples: Samples = 8,
    seed: Seed = 0,
    no_batch: NoBatch = False,
    semantics: Semantics = None,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Find the first layer where two networks part, and by how much; exit 1 if they do."""
    from .commands.diff import diff as show_diff
    from .commands.side import Reading

    reading = Reading(batch=not no_batch, semantics=semantics, limit=limit)
    if not show_diff(a, b, x, samples, seed, reading, as_json=as_json):
        raise typer.Exit(DIFFERENT)


@app.command()
@guarded
def breakeven(
    bits: Annotated[
        str, typer.Option(metavar="B,B,...", help="Bits of values, one row each.")
    ] = "8,4,3,2,1",
    structured: Annotated[
        str, typer.Option(metavar="R,R,...", help="Rates of filters or columns, a column each.")
    ] = "1,2,3,4,5,10,20",
    limit: Annotated[
        str, typer.Option(metavar="NAME", help="Places of single weights: packed or shannon.")
    ] = "packed",
    as_json: Json = False,
) -> None:
    """At which rate single weights take no more bits than structures pruned at another."""
    from .commands.breakeven import show_breakeven

    show_breakeven(bits, structured, limit, as_json=as_json)


@app.command()
@guarded
def ops(
    dialect: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this dialect, for example tflite.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As a page of Markdown.")] = False,
    as_json: Json = False,
) -> None:
    """List the operators of each dialect that can be imported and what is supported of them."""
    from .commands.listings import show_ops

    show_ops(dialect, as_json=as_json, markdown=markdown)


@app.command()
@guarded
def passes(as_json: Json = False) -> None:
    """List the passes of recipes with their options."""
    from .commands.listings import show_passes

    show_passes(as_json=as_json)


@app.command()
@guarded
def demo(
    html: Annotated[Path, typer.Option(metavar="FILE", help="The page to write.")] = Path(
        "intaglio-demo.html"
    ),
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the page.")] = False,
    weights: Annotated[int, typer.Option(help="Bits of weights, 1 to 8.")] = 4,
    images: Annotated[int, typer.Option(min=600, max=10_000, help="Test images to use.")] = 10_000,
    as_json: Json = False,
) -> None:
    """Compile, check and measure a small network that comes with intaglio."""
    from .commands.demo import show_demo

    show_demo(html, weights, images, open_page=not (no_open or as_json), as_json=as_json)
