"""``intaglio compile``: a model file to a blob file, and what to say about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import api
from ..backends.summary import layers, sizes
from ..errors import UsageError
from ..frontend.compare import Comparison, compare_onnx, compare_tflite
from ..frontend.executor import NoExecutorError
from ..ir.graph import Graph
from ..ir.numeric import Array
from ..ir.text import to_text
from ..ir.verify import stage_of
from ..passes.base import Context, Progress
from ..passes.pipeline import PASSES, PassRun, digest_of
from .terminal import facts, layer_table, note, proof_text, say, say_json, size_facts

COMPARED_SAMPLES = 4
SHOWN_ELEMENTS = 16
IMPORT_TOLERANCE = 1e-3
"""Of an output's range: beyond this, float rounding does not explain a difference."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the user asked for; ``options`` go to the quantize pass."""

    model: Path
    data: Path | None
    recipe: str | None
    options: Mapping[str, Any]
    target: Path
    print_after: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    batch: bool = True
    semantics: str | None = None


@dataclass(frozen=True, slots=True)
class NotCompared:
    """Why an import was not compared with the executor of its format."""

    reason: str


@dataclass(frozen=True, slots=True)
class Compiled:
    """What came of a Job."""

    job: Job
    network: api.Network
    comparison: Comparison | NotCompared
    runs: tuple[PassRun, ...]


def compile_and_save(job: Job, progress: Progress) -> Compiled:
    """Import, compare, compile, write; raises an IntaglioError and then leaves no file."""
    _check(job)
    data = None if job.data is None else api.read_arrays(job.data)
    graph = api.import_model(
        job.model, outputs=job.outputs, batch=job.batch, semantics=job.semantics
    )
    if data is None and stage_of(graph) == "float":
        raise UsageError(
            "A float model needs calibration data.",
            where=f"'{job.model}'",
            fix="Give --data with a .npy or .npz file of 100 to 1000 real inputs.",
        )
    if data is not None and stage_of(graph) == "quantized":
        note("The model is quantized already: its scales are kept, and --data is not used.")
        data = None
    samples = None if data is None else first_samples(graph, data)
    comparison = compare_with_owner(job, graph, samples)
    if isinstance(comparison, Comparison) and differs(comparison):
        note(f"Warning: the imported network differs from the model; {comparison}.")
    runs: list[PassRun] = []

    def observe(run: PassRun) -> None:
        runs.append(run)
        if run.pass_.name in job.print_after:
            note(f"// after {run.pass_.name}\n{to_text(run.after, SHOWN_ELEMENTS)}")

    network = api.compile(
        graph, data, recipe=job.recipe, progress=progress, observe=observe, **job.options
    )
    network.save(job.target)
    return Compiled(job, network, comparison, tuple(runs))


def compare_with_owner(
    job: Job, graph: Graph, samples: Mapping[str, Array] | None
) -> Comparison | NotCompared:
    """The graph beside the executor that the model's format trusts."""
    try:
        if job.model.suffix.lower() == ".tflite":
            return compare_tflite(job.model, graph, job.semantics or "tflite", samples)
        return compare_onnx(job.model, graph, samples)
    except NoExecutorError as reason:
        return NotCompared(str(reason))


def _check(job: Job) -> None:
    """Raise UsageError for what would only fail after the work is done."""
    unknown = [name for name in job.print_after if name not in PASSES]
    if unknown:
        raise UsageError(
            f"There is no pass '{unknown[0]}' to print after.",
            fix=f"The passes are {', '.join(PASSES)}.",
        )
    check_folder(job.target)


def check_folder(path: Path) -> None:
    """Raise UsageError when the folder of a file to write does not exist."""
    if not path.parent.is_dir():
        raise UsageError(
            "The file cannot be written: No such folder.",
            where=f"'{path}'",
            fix="Choose a folder that exists and that you may write to.",
        )


def first_samples(graph: Graph, data: api.Data, count: int = COMPARED_SAMPLES) -> dict[str, Array]:
    """The first samples of calibration data by input name; raises DataError as calibration does."""
    batch = next(Context(api.batches_of(graph, data)).sweep(graph, ""))
    return {name: array[:count] for name, array in batch.items()}


def differs(comparison: Comparison) -> bool:
    """Whether the imported network does not compute what the model computes."""
    return comparison.worst.relative > IMPORT_TOLERANCE


def comparison_text(comparison: Comparison | NotCompared) -> str:
    """How far the imported network is from its own executor."""
    if isinstance(comparison, NotCompared):
        return f"not compared: {comparison.reason}"
    return f"as {comparison}"


def comparison_json(comparison: Comparison | NotCompared) -> dict[str, Any]:
    """The comparison as JSON values."""
    return asdict(comparison)


def to_json(compiled: Compiled) -> dict[str, Any]:
    """Everything that ``show`` prints."""
    program, blob = compiled.network.program, compiled.network.blob
    return {
        "output": str(compiled.job.target),
        "recipe": program.recipe,
        "digest": digest_of(program.recipe),
        "import": comparison_json(compiled.comparison),
        "passes": [{"name": run.pass_.name, "seconds": run.seconds} for run in compiled.runs],
        "layers": [layer.to_json() for layer in layers(program, blob)],
        "bytes": sizes(program, blob).to_json(),
        "proved": all(each.proved for each in program.certificates.values()),
    }


def show(compiled: Compiled, *, as_json: bool) -> None:
    """Print what was compiled."""
    if as_json:
        say_json(to_json(compiled))
        return
    program, blob = compiled.network.program, compiled.network.blob
    times = ", ".join(f"{run.pass_.name} {run.seconds:.1f} s" for run in compiled.runs)
    facts([("import", comparison_text(compiled.comparison)), ("passes", times)])
    found = layers(program, blob)
    layer_table(found)
    facts(
        [
            *size_facts(sizes(program, blob)),
            ("proof", proof_text(found)),
            ("recipe", program.recipe),
            ("digest", digest_of(program.recipe)),
        ]
    )
    say(f"Wrote {compiled.job.target} ({len(blob):,} bytes).")
