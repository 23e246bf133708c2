"""``intaglio compile``: a model file to a blob file, and what to say about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import api, files
from ..backends.choose_formats import Storage
from ..backends.summary import layers, sizes, weight_counts
from ..errors import UsageError
from ..frontend.compare import Comparison, compare_onnx, compare_tflite
from ..frontend.executor import NoExecutorError
from ..ir.graph import Graph
from ..ir.numeric import Array
from ..ir.text import to_text
from ..ir.verify import stage_of
from ..passes import processes
from ..passes.base import Context, Progress
from ..passes.labelled import first_inputs
from ..passes.pipeline import PASSES, PassRun, Pipeline, digest_of
from ..passes.purify import Purify
from ..passes.removed import Removed, removed
from . import baselines, learning
from .learning import LabelledData, Learning, Score
from .looks import Looks
from .terminal import facts, layer_table, note, proof_text, say, say_json, size_facts

COMPARED_SAMPLES = 4
SHOWN_ELEMENTS = 16
FEW_WEIGHTS = 0.9
"""Of all weights: with no more that are not zero, the network counts as pruned."""
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
    storage: tuple[str, ...] = ()
    learning: Learning = field(default_factory=Learning)
    looks: Looks = field(default_factory=Looks)


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
    score: Score | None = None
    rows: Sequence[learning.Row] = ()
    baselines: tuple[baselines.Result, ...] = ()


def compile_and_save(job: Job, progress: Progress) -> Compiled:
    """Import, compare, compile, write; raises an IntaglioError and then leaves no file."""
    _check(job)
    data = None if job.data is None else files.read_arrays(job.data)
    model = api.import_model(
        job.model, outputs=job.outputs, batch=job.batch, semantics=job.semantics
    )
    graph = job.looks.through(model)
    recipe = api.recipe_of(job.recipe, stage_of(graph), job.options)
    if job.learning.baselines:
        baselines.check(recipe)
    labelled = learning.read(job.learning, graph, progress)
    trains = any(each.needs_training for each in recipe.passes)
    if labelled.training is not None and not trains:
        note("No pass of the recipe trains: --train is for calibration at most.")
    if graph is not model and not trains:
        note("Warning: no pass of the recipe trains, and where to look has not been learned.")
    calibration = calibration_of(job.model, graph, data, labelled)
    samples = None if calibration is None else first_samples(graph, calibration)
    comparison = compare_with_owner(job, model, samples if graph is model else None)
    if isinstance(comparison, Comparison) and differs(comparison):
        note(f"Warning: the imported network differs from the model; {comparison}.")
    work = _Work(job, graph, calibration, labelled, progress)
    network, runs = work.compile(recipe, job.target)
    score = None if labelled.test is None else work.score(network)
    compiled = Compiled(job, network, comparison, runs, score, tuple(labelled.rows))
    if not job.learning.baselines or score is None:
        return compiled
    first = baselines.result("ADMM", recipe, network, runs, score)
    return replace(compiled, baselines=(first, *baselines.baselines(recipe, work.measured)))


def calibration_of(
    model: Path, graph: Graph, data: api.Data | None, labelled: LabelledData
) -> api.Data | None:
    """Data that calibrates: what was given, else training inputs; raises UsageError for none."""
    if stage_of(graph) == "quantized":
        if data is not None:
            note("The model is quantized already: its scales are kept, and --data is not used.")
        return None
    if data is None and labelled.training is not None:
        return first_inputs(labelled.training, graph)
    if data is None:
        raise UsageError(
            "A float model needs calibration data.",
            where=f"'{model}'",
            fix="Give --data with a .npy or .npz file of 100 to 1000 real inputs.",
        )
    return data


@dataclass(frozen=True)
class _Work:
    """What is the same for every recipe that a job compiles by."""

    job: Job
    graph: Graph
    data: api.Data | None
    labelled: LabelledData
    progress: Progress

    def compile(
        self, recipe: Pipeline, target: Path | None, name: str = ""
    ) -> tuple[api.Network, tuple[PassRun, ...]]:
        """The network by one recipe, written to ``target``, and its passes."""
        runs: list[PassRun] = []

        def observe(run: PassRun) -> None:
            runs.append(run)
            if target is not None and run.pass_.name in self.job.print_after:
                note(f"// after {run.pass_.name}\n{to_text(run.after, SHOWN_ELEMENTS)}")

        training = self.labelled.training if target else self.labelled.without_rows()
        network = api.compile(
            self.graph,
            self.data,
            recipe=recipe,
            training=training,
            progress=self._named(name),
            observe=observe,
            storage=self.job.storage,
        )
        if target is not None and processes.leads():
            network.save(target)
            for pattern in Storage.parse(*self.job.storage).unmatched(network.program.constants):
                note(
                    f"Warning: --storage names '{pattern}', which no constant of the blob matches."
                )
        return network, tuple(runs)

    def measured(
        self, recipe: Pipeline, name: str
    ) -> tuple[api.Network, tuple[PassRun, ...], Score]:
        """The network by another recipe, its passes, its score; nothing is written."""
        network, runs = self.compile(recipe, None, name)
        return network, runs, self.score(network, name)

    def score(self, network: api.Network, name: str = "") -> Score:
        """What the integers of the blob get right of the test data."""
        return learning.score(network, self.labelled.test, self.graph, self._named(name))

    def _named(self, name: str) -> Progress:
        """The progress with ``name`` before its labels."""

        def progress(label: str, done: int, total: int, detail: str = "") -> None:
            self.progress(f"{name}: {label}" if name else label, done, total, detail)

        return progress


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
    job.learning.check()
    job.looks.check()


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
        "weights": asdict(weight_counts(program)),
        "removed": [asdict(each) for each in _removed(compiled)],
        "proved": all(each.proved for each in program.certificates.values()),
        "accuracy": compiled.score and compiled.score.to_json(),
        "epochs": compiled.rows,
        "baselines": [each.to_json() for each in compiled.baselines],
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
            *_accuracy_facts(compiled),
            *_pruning_facts(compiled),
            *size_facts(sizes(program, blob)),
            ("proof", proof_text(found)),
            ("recipe", program.recipe),
            ("digest", digest_of(program.recipe)),
        ]
    )
    if compiled.baselines:
        baselines.show(compiled.baselines)
    say(f"Wrote {compiled.job.target} ({len(blob):,} bytes).")


def _pruning_facts(compiled: Compiled) -> list[tuple[str, object]]:
    """What purify took away, and how many weights count where many do not."""
    gone = [("removed", each) for each in _removed(compiled)]
    counts = weight_counts(compiled.network.program)
    few = counts.nonzero < FEW_WEIGHTS * counts.total
    return [*gone, *([("kept", counts)] if few else [])]


def _removed(compiled: Compiled) -> list[Removed]:
    """Filters, channels and columns that each purify of the recipe removed."""
    runs = [run for run in compiled.runs if run.pass_.name == Purify.name]
    return [each for run in runs for each in removed(run.before, run.after)]


def _accuracy_facts(compiled: Compiled) -> list[tuple[str, object]]:
    """The accuracy on test data of the integers and of the reals before them."""
    if compiled.score is None:
        return []
    facts_ = [f"{compiled.score.percent:.2f} % of {compiled.score.samples:,} samples as integers"]
    trained = [row["accuracy"] for row in compiled.rows if "accuracy" in row]
    facts_ += [f"{trained[-1]:.2f} % after the last epoch of training"] if trained else []
    return [("accuracy", ", ".join(facts_))]
