"""The public verbs: import_model, compile, load; and the compiled Network they give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import BlobError, DataError, UsageError
from .files import read_arrays, read_bytes, write_whole
from .ir.certificate import Certificate
from .ir.graph import Graph
from .ir.numeric import Array, Encoding
from .ir.program import Program, Slot
from .ir.verify import Stage, stage_of

if TYPE_CHECKING:
    from .backends.early import Early, EarlySimulator
    from .backends.simulator import Simulator
    from .passes.base import Progress, Training
    from .passes.pipeline import Observer, Pipeline
    from .passes.training.module import GraphModule

Inputs = Array | Mapping[str, Array]
Data = str | Path | Array | Mapping[str, Array] | Iterable[Any]
BATCH = 64


def import_model(
    model: Any,
    example_inputs: tuple[Any, ...] | None = None,
    *,
    outputs: Sequence[str] = (),
    semantics: str | None = None,
    batch: bool = True,
) -> Graph:
    """The graph of an ONNX or TFLite file or ``torch.nn.Module``; a Graph is returned as it is.

    A module needs ``example_inputs``, a tuple of tensors with a batch of 1 or more. A file may be
    cut at inner tensors, its new ``outputs``. With ``batch=False`` axis 0 of an ONNX model is no
    batch but an axis like any other, and every value has a batch in front that the model does not.
    ``semantics`` names the arithmetic of a TFLite model: ``tflite`` (the reference kernels, the
    default), ``xnnpack`` or ``onnx``.
    Raises ImportModelError naming the node that cannot be imported.
    """
    if isinstance(model, Graph):
        return model
    suffix = Path(model).suffix.lower() if isinstance(model, str | Path) else ""
    is_module = hasattr(model, "state_dict")
    if not batch and (is_module or suffix == ".tflite"):
        raise UsageError(
            "Only ONNX models may have no batch.", fix="Leave out 'batch' (--no-batch)."
        )
    if suffix == ".tflite":
        from .frontend.tflite.importer import import_tflite

        return import_tflite(model, outputs=outputs, semantics=semantics or "tflite")
    if semantics is not None:
        raise UsageError(
            "Only TFLite models have a choice of semantics.", fix="Leave out 'semantics'."
        )
    if isinstance(model, str | Path):
        if suffix != ".onnx":
            raise UsageError(
                "This is not a model file that intaglio reads.",
                where=f"'{model}'",
                fix="Give an .onnx or .tflite file, or a torch.nn.Module from Python.",
            )
        from .frontend.onnx.importer import import_onnx

        return import_onnx(model, outputs=outputs, batch=batch)
    if hasattr(model, "graph") and hasattr(model, "opset_import"):
        from .frontend.onnx.importer import import_onnx

        return import_onnx(model, outputs=outputs, batch=batch)
    if not is_module:
        raise UsageError(
            f"A {type(model).__name__} cannot be imported.",
            fix="Give the path of an .onnx file, an onnx.ModelProto, a torch.nn.Module or a Graph.",
        )
    if outputs:
        raise UsageError(
            "A torch.nn.Module has no named tensors to stop at.",
            where="outputs",
            fix="Leave it out, and return what you want from the module's forward.",
        )
    if example_inputs is None:
        raise UsageError(
            "A torch.nn.Module needs example inputs.",
            fix="Pass example_inputs=(torch.zeros(1, 3, 32, 32),) with your input's shape.",
        )
    from .frontend.torch.importer import import_torch

    return import_torch(model, example_inputs)


def to_torch(graph: Graph) -> GraphModule:
    """A float graph as a ``torch.nn.Module``; after training, ``to_graph()`` gives it back.

    Raises UsageError when torch is missing, or naming a node that cannot be trained.
    """
    try:
        from .passes.training import module
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise UsageError(
            "PyTorch is not installed, and training needs it.",
            fix="Install it with: pip install intaglio[train]",
        ) from error
    return module.to_torch(graph)


def compile(  # the verb users look for; the builtin is not used here
    model: Any,
    data: Data | None = None,
    *,
    recipe: Pipeline | str | Path | None = None,
    training: Training | None = None,
    outputs: Sequence[str] = (),
    semantics: str | None = None,
    batch: bool = True,
    example_inputs: tuple[Any, ...] | None = None,
    progress: Progress | None = None,
    observe: Observer | None = None,
    storage: str | Sequence[str] = (),
    **options: Any,
) -> Network:
    """Compile ``model`` to a Network; ``data`` calibrates the activations of a float model.

    A model that is quantized already needs none: it keeps the scales of its owner.
    ``data``: an array, arrays by input name, a .npy or .npz file, or a list or loader of batches.
    ``recipe``: a Pipeline, its text, or a .toml file; without one ``options`` go to the quantize
    pass (``weight_bits=4``). ``training``: labelled data for passes that train; without ``data``
    its first 1024 inputs calibrate. ``outputs``, ``batch``, ``example_inputs``: see
    ``import_model``.
    ``storage``: the format of constants, ``smallest`` (the default), ``energy`` or one by name, or
    of some, ``"fc1*=bitmap"``; texts in a list add up.
    Raises an IntaglioError that names the user's node.
    """
    from .backends.blob_writer import write_blob
    from .backends.choose_formats import Storage
    from .passes.base import Context, silent
    from .passes.labelled import first_inputs
    from .passes.schedule import schedule

    stored = Storage.parse(*([storage] if isinstance(storage, str) else storage))
    graph = import_model(model, example_inputs, outputs=outputs, batch=batch, semantics=semantics)
    stage = stage_of(graph)
    pipeline = recipe_of(recipe, stage, options)
    if pipeline.leaves(stage) != "integer":
        raise UsageError(
            f"The recipe '{pipeline}' leaves the {pipeline.leaves(stage)} stage, not integers.",
            fix="The usual order is canonicalize, equalize, quantize, lower.",
        )
    if data is None and training is not None and stage == "float":
        data = first_inputs(training, graph)
    batches = () if data is None else batches_of(graph, data)
    context = Context(batches, progress or silent, training)
    integers = pipeline.run(graph, context, observe)
    program = schedule(integers, str(pipeline))
    return Network(write_blob(program, stored), limit=_any_size(program))


def _any_size(program: Program) -> int:
    """The bytes of the constants: what was compiled here may be as large as it is."""
    types = (slot.type for slot in program.constants)
    return sum(type_.elements * type_.dtype.container.itemsize for type_ in types)


def recipe_of(
    recipe: Pipeline | str | Path | None, stage: Stage, options: Mapping[str, Any]
) -> Pipeline:
    """The recipe that ``compile`` follows for a model imported in ``stage``; raises UsageError."""
    from .passes.pipeline import Pipeline, default_pipeline

    if recipe is not None and options:
        raise UsageError(
            f"Options {', '.join(sorted(options))} and a recipe were given together.",
            fix="Put the options into the recipe's quantize pass.",
        )
    if recipe is None:
        return default_pipeline(stage, **options)
    if isinstance(recipe, Path) or (isinstance(recipe, str) and recipe.endswith(".toml")):
        return Pipeline.from_toml(read_bytes(Path(recipe)).decode())
    return Pipeline.parse(recipe) if isinstance(recipe, str) else recipe


def load(path: str | Path, limit: int | None = None) -> Network:
    """The Network in a blob file; raises BlobError when the file is damaged, too new or no blob.

    ``limit``: bytes that its constants may take in memory, by default 16 MiB more than the file.
    """
    try:
        return Network(read_bytes(Path(path)), limit)
    except BlobError as error:
        where = ", ".join(filter(None, (f"'{path}'", error.where)))
        raise BlobError(error.what, where=where, fix=error.fix) from error


@dataclass(frozen=True, slots=True)
class Output:
    """Codes of one output and what they mean; ``np.asarray(output)`` gives the codes."""

    codes: Array
    encoding: Encoding | None

    @property
    def real(self) -> Array:
        """The real values, float64."""
        return self.codes if self.encoding is None else self.encoding.decode(self.codes)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.codes, dtype=dtype, copy=True if copy is None else copy)


@dataclass(frozen=True)
class Network:
    """A compiled network: everything it does, it does from the bytes of ``blob``."""

    blob: bytes
    limit: int | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        _ = self.program

    @cached_property
    def program(self) -> Program:
        """The program that the blob holds."""
        from .backends.blob_reader import read_blob

        return read_blob(self.blob, self.limit)

    @cached_property
    def _simulator(self) -> Simulator:
        from .backends.simulator import Simulator

        return Simulator(self.program)

    @cached_property
    def _early(self) -> EarlySimulator:
        from .backends.early import EarlySimulator

        return EarlySimulator(self.program)

    @property
    def certificates(self) -> Mapping[str, Certificate]:
        """The proof of each rescaling, by the name of the value it makes."""
        return self.program.certificates

    @property
    def inputs(self) -> tuple[Slot, ...]:
        """Name, type and encoding of each input."""
        return tuple(self.program.slots[index] for index in self.program.inputs)

    @property
    def outputs(self) -> tuple[Slot, ...]:
        """Name, type and encoding of each output."""
        return tuple(self.program.slots[index] for index in self.program.outputs)

    def encode(self, inputs: Inputs) -> dict[str, Array]:
        """Codes by input name: integers are codes already, reals are quantized."""
        named = inputs if isinstance(inputs, Mapping) else self._name_only(inputs)
        slots = {slot.name: slot for slot in self.inputs}
        return {name: _codes(np.asarray(array), slots.get(name)) for name, array in named.items()}

    def _name_only(self, array: Array) -> dict[str, Array]:
        if len(self.inputs) != 1:
            names = ", ".join(slot.name for slot in self.inputs)
            raise DataError(
                f"The network has {len(self.inputs)} inputs but one array was given.",
                fix=f"Pass a dictionary with {names}.",
            )
        return {self.inputs[0].name: array}

    def run(
        self,
        inputs: Inputs,
        progress: Callable[[int, int], None] | None = None,
        threads: int = 1,
    ) -> Output | dict[str, Output]:
        """Codes of the output, or of each output by name; any batch, bit for bit the reference.

        ``threads`` share the samples; results are the same for any number. Raises DataError when an
        input does not fit.
        """
        found = self.simulate(self.encode(inputs), progress, threads)
        outputs = {slot.name: Output(found[slot.name], slot.encoding) for slot in self.outputs}
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def simulate(
        self,
        codes: Mapping[str, Array],
        progress: Callable[[int, int], None] | None = None,
        threads: int = 1,
    ) -> dict[str, Array]:
        """Codes of the outputs by name, for codes of the inputs by name: ``run`` without reals."""
        return self._simulator.run(codes, progress, threads)

    def run_early(
        self,
        inputs: Inputs,
        progress: Callable[[int, int], None] | None = None,
        threads: int = 1,
    ) -> Early:
        """Of each sample the codes of the exit that it takes, and which; the rest is not computed.

        Margins of exits are found by ``intaglio exits``. Raises UsageError for a network without.
        """
        return self._early.run(self.encode(inputs), progress, threads)

    @property
    def isa(self) -> str:
        """The tier of kernels that runs it: the machine's fastest, or what INTAGLIO_ISA says."""
        return self._simulator.isa

    def trace(self, inputs: Inputs) -> dict[str, Output]:
        """Every layer's codes by name."""
        encodings = {slot.name: slot.encoding for slot in self.program.slots}
        found = self._simulator.trace(self.encode(inputs))
        return {name: Output(codes, encodings[name]) for name, codes in found.items()}

    def check(self, inputs: Inputs) -> int:
        """Compare simulator and reference at every layer; the number of codes compared.

        Raises MismatchError naming layer, index and both values.
        """
        from .backends.reference import check

        return check(self.program, self.encode(inputs))

    def save(self, path: str | Path) -> None:
        """Write the blob; the file appears whole or not at all. Raises UsageError."""
        write_whole(Path(path), self.blob)


def _codes(array: Array, slot: Slot | None) -> Array:
    if slot is None or slot.encoding is None or array.dtype.kind != "f":
        return array
    if not np.isfinite(array).all():
        raise DataError(
            "The input holds NaN or infinite values.",
            where=f"Input '{slot.name}'",
            fix="Remove or repair these samples.",
        )
    return slot.encoding.encode(array, slot.type.dtype)


def batches_of(graph: Graph, data: Data) -> Sequence[Mapping[str, Array]] | Iterable[Any]:
    """Calibration data as batches by input name, that can be iterated more than once."""
    if isinstance(data, str | Path):
        data = read_arrays(Path(data))
    if isinstance(data, np.ndarray):
        data = {only_input(graph): data}
    if isinstance(data, Mapping):
        count = len(next(iter(data.values()), ()))
        return [
            {name: array[start : start + BATCH] for name, array in data.items()}
            for start in range(0, count, BATCH)
        ]
    if iter(data) is data:
        raise UsageError(
            "The calibration data can be read only once, but calibration reads it twice.",
            fix="Give a list or a DataLoader instead of a generator.",
        )
    return _Batches(graph, data)


@dataclass(frozen=True)
class _Batches:
    """A loader whose batches are arrays, (array, label) pairs or dictionaries."""

    graph: Graph
    loader: Iterable[Any]

    def __iter__(self) -> Any:
        for batch in self.loader:
            if isinstance(batch, Mapping):
                yield {name: np.asarray(array) for name, array in batch.items()}
            else:
                first = batch[0] if isinstance(batch, list | tuple) else batch
                yield {only_input(self.graph): np.asarray(first)}


def only_input(graph: Graph) -> str:
    """The name of the one input; raises DataError when there are several."""
    if len(graph.inputs) != 1:
        names = ", ".join(value.name for value in graph.inputs)
        raise DataError(
            f"The network has {len(graph.inputs)} inputs but the data names none.",
            fix=f"Give arrays by name: {names}.",
        )
    return graph.inputs[0].name
