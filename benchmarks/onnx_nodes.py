"""The node cases of ONNX's own backend suite: which this compiler imports, refuses, gets wrong.

Selected are the cases of ``onnx.backend.test.case.node`` that are one node of an operator in
``OPERATORS`` (functions that the suite expands into many nodes are left out, for their operator is
there as a node too). A float operator is run on float32; where a case has integers of at most 32
bits and the operator only chooses among elements (``CHOOSING``), the same case is run on the same
numbers as float32. Other integer, string and boolean cases of float operators are no networks and
are left out. The quantized operators are run as they are, whatever their types. Shapes are those of
the case's arrays, so all are static.

All inputs but the activations (``ACTIVATIONS``) become initializers, as in a trained network. A
case is first read with axis 0 as the batch, then, if that is refused, without a batch axis.

passed    the outputs equal the case's: floats within its own tolerances, integers exactly; the
          network also compiled, a float one with the case's inputs as calibration data, and its
          simulator equaled the reference in every code; a quantized one gave the case's codes
refused   an IntaglioError says what is not supported, in both readings
failed    anything else
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import onnx
from onnx import helper, numpy_helper

if __name__ == "__main__":  # run as a file: the package is the folder above
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from intaglio import api
from intaglio.errors import IntaglioError
from intaglio.frontend.onnx.importer import import_onnx
from intaglio.ir.evaluate import evaluate
from intaglio.ir.numeric import Array

if TYPE_CHECKING:
    from report import Figure

Verdict = Literal["passed", "refused", "failed"]
FLOAT_OPERATORS = (
    *("Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "Mul", "Div", "Concat", "Relu"),
    *("Clip", "PRelu", "LeakyRelu", "HardSwish", "HardSigmoid", "Sigmoid", "Tanh", "Elu"),
    *("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool", "Resize", "Upsample", "Pad"),
    *("Reshape", "Flatten", "Transpose", "Slice", "Squeeze", "Unsqueeze", "Split"),
    *("BatchNormalization", "Softmax", "LayerNormalization", "ArgMax", "ArgMin"),
    *("ReduceMean", "ReduceSum", "CenterCropPad"),
)
QUANTIZED_OPERATORS = (
    *("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"),
    *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"),
)
OPERATORS = (*FLOAT_OPERATORS, *QUANTIZED_OPERATORS)
CHOOSING = ("MaxPool", "Pad")
"""Operators of which some cases exist only with integers, though they compute nothing."""
_PAIR = (0, 1)
ACTIVATIONS = {
    **dict.fromkeys(("Add", "Sub", "Mul", "MatMul", "MatMulInteger"), _PAIR),
    "QLinearMatMul": (0, 3),
    "Concat": range(99),
}
"""Which inputs are activations; the first of any other operator."""


@dataclass(frozen=True)
class Case:
    """One node with its inputs and what it must give."""

    name: str
    operator: str
    model: onnx.ModelProto
    inputs: dict[str, Array]
    expected: tuple[Array, ...]
    rtol: float
    atol: float


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a case. ``deviation``: of the integers from the floats, of their range."""

    case: Case
    verdict: Verdict
    reason: str = ""
    batch: bool = True
    deviation: float = 0.0


def cases(operators: Iterable[str] = OPERATORS) -> Iterator[Case]:
    """The selected cases, operator by operator."""
    for operator, each in _single_nodes(operators):
        yield from _selected(each, operator)


def _single_nodes(operators: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Every case that is one node of the operators, selected or not."""
    from onnx.backend.test.case.node import collect_testcases

    wanted = tuple(operators)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, about what the cases compute
        found = [each for each in collect_testcases(None) if len(each.model.graph.node) == 1]
    for operator in wanted:
        for each in found:
            node = each.model.graph.node[0]
            if node.op_type == operator and node.domain == "":
                yield operator, each


def _selected(test: Any, operator: str) -> Iterator[Case]:
    ((arrays, expected),) = test.data_sets
    given = list(test.model.graph.input)
    values = {value.name: _array(array) for value, array in zip(given, arrays, strict=True)}
    first = values[given[0].name]
    if operator in FLOAT_OPERATORS and first.dtype != np.float32:
        integers = first.dtype.kind in "iu" and first.dtype.itemsize <= 4
        if operator not in CHOOSING or not integers:
            return
        values[given[0].name] = first.astype(np.float32)
        expected = [_array(each).astype(np.float32) for each in expected]
    active = ACTIVATIONS.get(operator, (0,))
    inputs = {v.name: values[v.name] for index, v in enumerate(given) if index in active}
    model = _with_initializers(test.model, values, inputs)
    inputs = {name: _plain(array) for name, array in inputs.items()}
    results = tuple(map(_array, expected))
    yield Case(test.name, operator, model, inputs, results, test.rtol, test.atol)


def _array(given: Any) -> Array:
    """What a case gives: an array, or a tensor of a type that numpy does not have."""
    return (
        numpy_helper.to_array(given) if isinstance(given, onnx.TensorProto) else np.asarray(given)
    )


def _plain(array: Array) -> Array:
    """Integers of few bits in bytes, as numpy itself has them."""
    name = array.dtype.name
    if name in ("int2", "int4", "uint2", "uint4"):
        return array.astype(np.int8 if name[0] == "i" else np.uint8)
    return array


def _with_initializers(
    model: onnx.ModelProto, values: dict[str, Array], inputs: dict[str, Array]
) -> onnx.ModelProto:
    """The model in which all inputs but ``inputs`` are initializers, and shapes are the arrays'."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.input[:]
    for name, array in values.items():
        if name in inputs:
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            copy.graph.input.append(helper.make_tensor_value_info(name, kind, array.shape))
        else:
            copy.graph.initializer.append(numpy_helper.from_array(array, name))
    return copy


def run(case: Case) -> Result:
    """Import, evaluate, compare; compile and check what is float."""
    refusals = []
    for batch in (True, False):
        try:
            return _run(case, batch)
        except IntaglioError as error:
            refusals.append(str(error))
        except Exception as error:  # whatever it is, it must be seen and counted
            return Result(case, "failed", f"{type(error).__name__}: {error}", batch)
    return Result(case, "refused", " | ".join(dict.fromkeys(refusals)))


def _run(case: Case, batch: bool) -> Result:
    graph = import_onnx(case.model, batch=batch)
    given = {name: array if batch else array[None] for name, array in case.inputs.items()}
    found = evaluate(graph, given)
    wrong = _unequal(case, found, batch)
    if wrong:
        return Result(case, "failed", wrong, batch)
    float_ = case.operator in FLOAT_OPERATORS
    network = api.compile(graph, given if float_ else None)
    network.check(given)
    made = network.run(given)
    outputs = made if isinstance(made, dict) else {network.outputs[0].name: made}
    results = dict(zip(graph.outputs, outputs.values(), strict=True))
    if float_:
        deviation = max(_deviation(results[name].real, found[name]) for name in results)
        return Result(case, "passed", "", batch, deviation)
    codes = {
        name: made.codes if graph.type_of(name).dtype.is_integer else made.real
        for name, made in results.items()
    }
    wrong = _unequal(case, codes, batch)
    return Result(case, "failed" if wrong else "passed", wrong and f"Compiled: {wrong}", batch)


def _unequal(case: Case, found: Mapping[str, Array], batch: bool) -> str:
    """What is wrong with the first output that is not as the case says, or nothing."""
    for (name, array), expected in zip(found.items(), case.expected, strict=True):
        wrong = _difference(array if batch else array[0], expected, case)
        if wrong:
            return f"Output '{name}': {wrong}"
    return ""


def _difference(found: Array, expected: Array, case: Case) -> str:
    """What is wrong with an output, or nothing."""
    if found.shape != expected.shape:
        return f"the shape {found.shape} instead of {expected.shape}"
    if expected.dtype.kind in "iu":
        wrong = found.astype(np.float64) != expected
    else:
        wide = expected.astype(np.float64)
        wrong = ~np.isclose(found.astype(np.float64), wide, rtol=case.rtol, atol=case.atol)
    return f"{int(wrong.sum())} of {wrong.size} elements differ" if wrong.any() else ""


def _deviation(made: Array, real: Array) -> float:
    """The greatest distance of what integers stand for from floats, as a part of their range."""
    span = float(np.ptp(real)) or float(np.abs(real).max()) or 1.0
    return float(np.abs(made - real).max()) / span


def table(results: Sequence[Result]) -> str:
    """Counts per operator and in all, then every case that did not pass with its reason."""
    verdicts: tuple[Verdict, ...] = ("passed", "refused", "failed")
    rows = [f"{'operator':24}" + "".join(f"{each:>9}" for each in verdicts)]
    for operator in (*dict.fromkeys(result.case.operator for result in results), "total"):
        own = [r.verdict for r in results if operator in ("total", r.case.operator)]
        rows.append(f"{operator:24}" + "".join(f"{Counter(own)[each]:9}" for each in verdicts))
    rest = [result for result in results if result.verdict != "passed"]
    return "\n".join([*rows, *(f"{r.verdict} {r.case.name}: {r.reason}" for r in rest)])


def figures() -> list[Figure]:
    """How many cases pass, which part of all is refused, how many are wrong."""
    from report import Figure

    counts = Counter(run(case).verdict for case in cases())
    total, every = sum(counts.values()), sum(1 for _ in _single_nodes(OPERATORS))
    return [
        Figure("node cases passed", counts["passed"]),
        Figure("node cases refused", counts["refused"] / total, "of all", "<=", 0.1),
        Figure("node cases failed", counts["failed"], "", "==", 0),
        Figure("left out: integer arithmetic of float operators", every - total, "cases"),
        Figure(
            "refused if those were counted", (counts["refused"] + every - total) / every, "of all"
        ),
    ]


if __name__ == "__main__":
    done = [run(case) for case in cases(sys.argv[1:] or OPERATORS)]
    print(table(done))
    far = sorted(done, key=lambda result: -result.deviation)[:10]
    print("\n".join(f"deviation {r.deviation:.3f} {r.case.name}" for r in far))
