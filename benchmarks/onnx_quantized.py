"""Networks quantized by onnxruntime: every code of every node against onnxruntime and rationals.

    python benchmarks/onnx_quantized.py [--json]

QOperator models state integer arithmetic: each code must equal onnxruntime's. QDQ models state real
arithmetic that each QuantizeLinear rounds once: each code must equal exact rationals. Where
onnxruntime's fused kernels do not round correctly they differ; each difference is traced to a code
whose node read the same codes, and its distance from a tie is measured.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import onnx
import onnxruntime
from exact_qdq import Reference, exact_at
from quantized_networks import Format, Source, quantized, sources
from report import Figure, main

import intaglio
from intaglio.frontend.onnx.importer import import_onnx

IMAGES = 1000
BATCH = 100
TIE = Fraction(1, 1000)
"""float32 with accumulators below 2^24 errs by less than this, in units of a code."""
Arrays = dict[str, Any]
OPTIONS = ((False, False), (True, False), (True, True))
"""Weights per channel, activations signed."""


def code_names(model: onnx.ModelProto) -> list[str]:
    """The tensors of codes that nodes compute, in order."""
    inferred = onnx.shape_inference.infer_shapes(model)
    kinds = {v.name: v.type.tensor_type.elem_type for v in inferred.graph.value_info}
    codes = (onnx.TensorProto.UINT8, onnx.TensorProto.INT8)
    found = []
    for node in model.graph.node:
        (name,) = node.output
        quantizes = node.op_type == "QuantizeLinear" or node.domain == "com.microsoft"
        moves = node.input and node.input[0] in found and node.op_type != "DequantizeLinear"
        if quantizes or moves or kinds.get(name) in codes or node.op_type.startswith("QLinear"):
            found.append(name)
    return found


@dataclass
class Executor:
    """onnxruntime with every tensor of codes as an output, with its optimizations or without."""

    model: onnx.ModelProto
    names: list[str]
    optimized: bool

    def __post_init__(self) -> None:
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        del model.graph.output[:]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self.names)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        levels = onnxruntime.GraphOptimizationLevel
        level = levels.ORT_ENABLE_ALL if self.optimized else levels.ORT_DISABLE_ALL
        options.graph_optimization_level = level
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def run(self, images: Any) -> Arrays:
        """Codes by name."""
        (given,) = self.session.get_inputs()
        return dict(zip(self.names, self.session.run(None, {given.name: images}), strict=True))


@dataclass
class Ours:
    """The compiled network with the same outputs, run from its blob."""

    model: onnx.ModelProto
    names: list[str]

    def __post_init__(self) -> None:
        self.network = intaglio.compile(import_onnx(self.model, outputs=self.names))
        self.differing = sum(not c.proved for c in self.network.certificates.values())

    def run(self, codes: Any) -> Arrays:
        """Codes by name, for codes of the input; an output that repeats a value has its name."""
        (slot,) = self.network.inputs
        found = self.network.simulate({slot.name: codes})
        outputs = zip(self.names, self.network.outputs, strict=True)
        return {name: found[slot.name] for name, slot in outputs}


@dataclass
class Count:
    """Codes compared and codes that differ, and of these the ones traced to their cause."""

    codes: int = 0
    differ: int = 0
    ties: int = 0
    other: int = 0
    propagated: int = 0
    against_reference: int = 0
    levels: int = 0
    input: int = 0
    unproved: int = 0
    farthest: Fraction = field(default=Fraction(0))

    def add(self, other: Count) -> None:
        """Sum, and the greatest distance from a tie."""
        for name in self.__dict__:
            mine, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, max(mine, theirs) if name == "farthest" else mine + theirs)


def batches(source: Source, count: int) -> Iterator[Any]:
    """Test images."""
    images = source.images("test", count)
    yield from np.split(images, -(-count // BATCH))


def qoperator(source: Source, model: onnx.ModelProto, count: int) -> Count:
    """Every code of every node against onnxruntime, and the last ones with optimizations."""
    names = code_names(model)
    plain, fast = Executor(model, names, False), Executor(model, names[-1:], True)
    ours, total = Ours(model, names), Count()
    total.unproved = ours.differing
    for images in batches(source, count):
        expected = plain.run(images)
        found = ours.run(expected[names[0]])
        total.input += _wrong(_encoded(ours, images), expected[names[0]])
        total.codes += sum(expected[name].size for name in names)
        total.differ += sum(_wrong(found[name], expected[name]) for name in names)
        total.levels += _wrong(fast.run(images)[names[-1]], expected[names[-1]])
    return total


def _encoded(ours: Ours, images: Any) -> Any:
    (slot,) = ours.network.inputs
    return ours.network.encode({slot.name: images})[slot.name]


def _wrong(found: Any, expected: Any) -> int:
    return int(np.count_nonzero(found != expected))


def qdq(source: Source, model: onnx.ModelProto, count: int) -> Count:
    """Every code against exact rationals and against onnxruntime with its fusion on."""
    names = code_names(model)
    fused, plain = Executor(model, names, True), Executor(model, names, False)
    ours, total = Ours(model, names), Count()
    total.unproved = ours.differing
    for images in batches(source, count):
        theirs = fused.run(images)
        first = {names[0]: theirs[names[0]]}
        total.input += _wrong(_encoded(ours, images), theirs[names[0]])
        found = ours.run(theirs[names[0]])
        inputs = {model.graph.input[0].name: images}
        exact = Reference(model, first).run(inputs)
        total.codes += sum(found[name].size for name in names)
        total.against_reference += sum(_wrong(found[name], exact[name]) for name in names)
        total.differ += sum(_wrong(found[name], theirs[name]) for name in names)
        unfused = plain.run(images)
        total.levels += sum(_wrong(theirs[name], unfused[name]) for name in names)
        traced(model, inputs, theirs, total)
    total.propagated = total.differ - total.ties - total.other
    return total


def traced(model: onnx.ModelProto, inputs: Mapping[str, Any], theirs: Arrays, total: Count) -> None:
    """Count the codes that onnxruntime makes otherwise from its own codes, by their cause."""
    reference = Reference(model, theirs)
    exact = reference.run(inputs)
    for name, (real, scale, _) in reference.before.items():
        for place in np.argwhere(exact[name] != theirs[name]):
            value = exact_at(real, tuple(int(i) for i in place)) / scale
            distance = abs(value - floor(value) - Fraction(1, 2))
            total.farthest = max(total.farthest, distance)
            if distance < TIE:
                total.ties += 1
            else:
                total.other += 1


def measured(form: Format, count: int = IMAGES) -> Iterator[tuple[str, Count]]:
    """Each network with its counts over all options."""
    for source in sources():
        total, title = Count(), f"{source.name} {form}"
        for number, (per_channel, signed) in enumerate(OPTIONS, 1):
            print(f"{title}: {number} of {len(OPTIONS)} ...", file=sys.stderr, flush=True)
            model = quantized(source, form, per_channel=per_channel, signed=signed)
            total.add((qoperator if form == "QOperator" else qdq)(source, model, count))
        yield title, total


def qoperator_figures() -> list[Figure]:
    """Codes of QOperator models that differ from onnxruntime's: none."""
    figures = []
    for name, total in measured("QOperator"):
        figures += [
            Figure(f"{name}: codes compared", total.codes),
            Figure(f"{name}: differ from onnxruntime", total.differ, "", "==", 0),
            Figure(f"{name}: rescalings not proved", total.unproved, "", "==", 0),
            Figure(f"{name}: input codes rounded otherwise", total.input),
            Figure(f"{name}: onnxruntime differs between levels", total.levels),
        ]
    return figures


def qdq_figures() -> list[Figure]:
    """Codes of QDQ models: exact, and where onnxruntime is not."""
    figures = []
    for name, total in measured("QDQ"):
        figures += [
            Figure(f"{name}: codes compared", total.codes),
            Figure(f"{name}: differ from rationals", total.against_reference, "", "==", 0),
            Figure(f"{name}: rescalings not proved", total.unproved, "", "==", 0),
            Figure(f"{name}: differ from onnxruntime", total.differ),
            Figure(f"{name}: of these, its float32 near a tie", total.ties),
            Figure(f"{name}: of these, other causes", total.other, "", "==", 0),
            Figure(f"{name}: of these, follow from an earlier one", total.propagated),
            Figure(f"{name}: farthest from a tie", float(total.farthest), "codes"),
            Figure(f"{name}: onnxruntime differs between levels", total.levels),
            Figure(f"{name}: input codes rounded otherwise", total.input),
        ]
    return figures


LINES = {"QOperator": qoperator_figures, "QDQ": qdq_figures}

if __name__ == "__main__":
    main("Networks quantized by onnxruntime", LINES)
