"""Running ONNX models: onnxruntime where it is installed, else onnx's own reference.

QONNX models are run by qonnx.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from ...ir.numeric import Array
from ..executor import NoExecutorError
from ..qonnx.quant import DOMAINS
from .read import read_model

Run = Callable[[dict[str, Array]], list[Array]]


@dataclass(frozen=True, slots=True)
class Session:
    """A model ready to run. ``batch`` is the number that its inputs fix, or None.

    ``ranks`` counts the axes of each input: an array of one more holds inputs one after the other.
    """

    name: str
    batch: int | None
    dtypes: Mapping[str, Any]
    ranks: Mapping[str, int]
    outputs: tuple[str, ...]
    _run: Run

    @classmethod
    def open(cls, source: str | Path | onnx.ModelProto, outputs: Sequence[str]) -> Session:
        """Prepare the model to give ``outputs``, which may be any of its tensors."""
        model = onnx.ModelProto()
        model.CopyFrom(read_model(source))
        _select(model, outputs)
        weights = {tensor.name for tensor in model.graph.initializer}
        inputs = [value for value in model.graph.input if value.name not in weights]
        types = {value.name: value.type.tensor_type for value in inputs}
        numbers = [t.shape.dim[0].dim_value for t in types.values() if t.shape.dim]
        dtypes = {
            name: helper.tensor_dtype_to_np_dtype(tensor.elem_type)
            for name, tensor in types.items()
        }
        ranks = {name: len(tensor.shape.dim) for name, tensor in types.items()}
        name, run = _executor(model)
        return cls(name, max(numbers, default=0) or None, dtypes, ranks, tuple(outputs), run)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name, a fixed batch at a time; samples repeat to fill the last batch."""
        count = len(next(iter(inputs.values())))
        if all(array.ndim == self.ranks[name] + 1 for name, array in inputs.items()):
            rows = [self._part(inputs, index, None) for index in range(count)]
            stacked = [np.stack(each) for each in zip(*rows, strict=True)]
            return dict(zip(self.outputs, stacked, strict=True))
        step = self.batch or count
        filled = np.arange(-(-count // step) * step) % count
        whole = {name: array[filled] for name, array in inputs.items()}
        parts = [self._part(whole, start, start + step) for start in range(0, count, step)]
        joined = [np.concatenate(each)[:count] for each in zip(*parts, strict=True)]
        return dict(zip(self.outputs, joined, strict=True))

    def _part(self, inputs: Mapping[str, Array], start: int, stop: int | None) -> list[Array]:
        part = start if stop is None else slice(start, stop)
        feed = {name: inputs[name][part].astype(d) for name, d in self.dtypes.items()}
        return [np.asarray(result, dtype=np.float32) for result in self._run(feed)]


def _select(model: onnx.ModelProto, outputs: Sequence[str]) -> None:
    """Make ``outputs`` the outputs of the model."""
    declared = {value.name: value for value in model.graph.output}
    kept = [declared.get(name, onnx.ValueInfoProto(name=name)) for name in outputs]
    del model.graph.output[:]
    model.graph.output.extend(kept)


def _executor(model: onnx.ModelProto) -> tuple[str, Run]:
    """Raises NoExecutorError when there is no executor for the model here."""
    if any(node.domain in DOMAINS for node in model.graph.node):
        return _qonnx(model)
    try:
        import onnxruntime
    except ImportError:
        return _reference(model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    name = f"onnxruntime {onnxruntime.__version__}"
    with _reasons(name):
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def run(feed: dict[str, Array]) -> list[Array]:
        with _reasons(name):
            return list(session.run(None, feed))

    return name, run


@contextmanager
def _reasons(name: str) -> Iterator[None]:
    """Whatever an executor raises, by its first line: executors have no class of errors."""
    try:
        yield
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise NoExecutorError(f"{name} fails with '{reason}'") from error


def _qonnx(model: onnx.ModelProto) -> tuple[str, Run]:
    """The executor of the package qonnx."""
    try:
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.core.onnx_exec import execute_onnx
        from qonnx.transformation.infer_shapes import InferShapes
    except ImportError as error:
        raise NoExecutorError("install qonnx to compare it with qonnx") from error
    from importlib.metadata import version

    executor = f"qonnx {version('qonnx')}"
    names = [value.name for value in model.graph.output]

    def run(feed: dict[str, Array]) -> list[Array]:
        with warnings.catch_warnings(), _reasons(executor):
            warnings.simplefilter("ignore")  # of shapes that it did not infer
            wrapped = ModelWrapper(model, make_deepcopy=True)
            for name, array in feed.items():
                wrapped.set_tensor_shape(name, list(array.shape))
            found = execute_onnx(wrapped.transform(InferShapes()), feed)
            return [found[name] for name in names]

    return executor, run


def _reference(model: onnx.ModelProto) -> tuple[str, Run]:
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(model)
    return f"onnx.reference {onnx.__version__}", lambda feed: list(evaluator.run(None, feed))
