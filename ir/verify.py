"""The law of the IR: a table of rules, each a sentence and a check, per stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from ..errors import ShapeError, VerifyError
from .evaluate import facts
from .graph import Graph
from .op import Op
from .ops_arg import ArgMax
from .ops_crop import Crop
from .ops_layout import Concat, Pad, Reshape, Slice, Take, Transpose
from .ops_linear import Conv, Dense, GatherConv
from .ops_norm import LayerNorm
from .ops_pointwise import Add, Affine, Clip, PRelu, Relu, ScaleGradient, Unary
from .ops_pool import AveragePool, MaxPool, SumPool
from .ops_product import MatMul, Multiply
from .ops_quant import Dequantize, Lookup, PairLookup, Quantize, Requantize, Threshold
from .ops_softmax import Softmax
from .tensor import BATCH

Stage = Literal["float", "quantized", "integer"]

_PRODUCTS: frozenset[type[Op]] = frozenset({Multiply, MatMul, Softmax, LayerNorm, ArgMax})
_LAYOUT: frozenset[type[Op]] = frozenset({Reshape, Transpose, Slice, Pad, Concat, MaxPool, Crop})
_REAL: frozenset[type[Op]] = (_LAYOUT | _PRODUCTS).union(
    (Conv, Dense, Add, Affine, Relu, Clip, Unary, PRelu, AveragePool, Dequantize, ScaleGradient)
)
_INTEGER: frozenset[type[Op]] = (_LAYOUT | _PRODUCTS).union(
    (Conv, GatherConv, Dense, Add, SumPool, Take, Requantize, Threshold, Lookup)
)
LEGAL: dict[Stage, frozenset[type[Op]]] = {
    "float": _REAL,
    "quantized": (_REAL | _INTEGER).union((Quantize, PairLookup)),
    "integer": _INTEGER,
}
ACCUMULATOR_BITS = 32

Finding = tuple[str, str]
Rule = Callable[[Graph, Stage], Iterator[Finding]]


def _names_defined_once(graph: Graph, stage: Stage) -> Iterator[Finding]:
    names = [*graph.constants, *(v.name for v in graph.inputs), *(n.name for n in graph.nodes)]
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield f"Value '{name}'", "it is defined twice"
        seen.add(name)


def _operands_defined_before(graph: Graph, stage: Stage) -> Iterator[Finding]:
    known = {*graph.constants, *(value.name for value in graph.inputs)}
    for node in graph.nodes:
        for name in node.inputs:
            if name not in known:
                yield node.where, f"its operand '{name}' is not defined before it"
        known.add(node.name)
    for name in graph.outputs:
        if name not in known:
            yield f"Output '{name}'", "nothing defines it"


def _types_follow(graph: Graph, stage: Stage) -> Iterator[Finding]:
    for node in graph.nodes:
        try:
            node.op.check_arity(len(node.inputs))
            inferred = node.op.infer(*map(graph.type_of, node.inputs))
        except ShapeError as error:
            yield node.where, error.what.removesuffix(".")
            continue
        if inferred != node.type:
            yield node.where, f"its type is {node.type} but its operands give {inferred}"


def _ops_legal(graph: Graph, stage: Stage) -> Iterator[Finding]:
    for node in graph.nodes:
        if type(node.op) not in LEGAL[stage]:
            yield node.where, f"operator '{node.op.name}' is not legal in the {stage} stage"


def _batch_leads(graph: Graph, stage: Stage) -> Iterator[Finding]:
    batched = {value.name for value in graph.inputs}
    for node in graph.nodes:
        if batched.intersection(node.inputs):
            batched.add(node.name)
    for value in graph.values.values():
        leads = value.type.batched and BATCH not in value.type.shape[1:]
        if leads != (value.name in batched):
            yield f"Value '{value.name}'", f"its type is {value.type}"


def _reals_only_where_legal(graph: Graph, stage: Stage) -> Iterator[Finding]:
    for value in graph.values.values():
        if stage == "float" and value.type.dtype.is_integer:
            yield f"Value '{value.name}'", f"{value.type} is not real"
        if stage == "integer" and not value.type.dtype.is_integer:
            yield f"Value '{value.name}'", f"{value.type} is not an integer"
    for node in graph.nodes if stage == "float" else ():
        if isinstance(node.op, Dequantize) and node.inputs[0] not in graph.constants:
            yield node.where, "its codes are not a constant"
    for name, tensor in graph.constants.items():
        if stage == "integer" and not tensor.dtype.is_integer:
            yield f"Constant '{name}'", f"{tensor.type} is not an integer"


def _accumulators_fit(graph: Graph, stage: Stage) -> Iterator[Finding]:
    if stage != "integer":
        return
    known = facts(graph)
    for node in graph.nodes:
        lo, hi = known[node.name].interval.bounds
        if not node.type.dtype.lo <= lo <= hi <= node.type.dtype.hi:
            yield node.where, f"its values reach {lo}..{hi} and overflow {node.type.dtype}"


def _rescalings_fit(graph: Graph, stage: Stage) -> Iterator[Finding]:
    if stage != "integer":
        return
    known = facts(graph)
    for node in graph.nodes:
        if not isinstance(node.op, Requantize):
            continue
        spans = [known[name].interval.bounds for name in node.inputs]
        reach, factor, offset = (max(-lo, hi) for lo, hi in spans[:3])
        if (reach * factor + offset).bit_length() > 63:
            yield node.where, f"{reach} * {factor} + {offset} overflows int64"
        if spans[3][0] < 0 or spans[3][1] > 62:
            yield node.where, f"its shifts are {spans[3][0]}..{spans[3][1]}"


def _exponentials_fit(graph: Graph, stage: Stage) -> Iterator[Finding]:
    for node in graph.nodes:
        if isinstance(node.op, Softmax) and len(node.inputs) > 1:
            table = graph.constants.get(node.inputs[1])
            if table is None:
                yield node.where, "its exponentials are not a constant"
            elif not node.op.sums_fit(graph.type_of(node.inputs[0]), table.array):
                yield node.where, f"its exponentials reach {table.array.max()}"


def _norms_fit(graph: Graph, stage: Stage) -> Iterator[Finding]:
    for node in graph.nodes:
        x = graph.type_of(node.inputs[0]) if node.inputs else None
        if not isinstance(node.op, LayerNorm) or x is None or not x.dtype.is_integer:
            continue
        epsilon = graph.constants.get(node.inputs[1])
        if epsilon is None:
            yield node.where, "its epsilon is not a constant"
        elif not node.op.fits(x, int(epsilon.array)):
            yield node.where, f"its sums of {x} overflow"


def _lists_hold(graph: Graph, stage: Stage) -> Iterator[Finding]:
    for node in graph.nodes:
        if not isinstance(node.op, GatherConv | Take):
            continue
        name = node.inputs[node.op.listed]
        listed = graph.constants.get(name)
        if listed is None or not listed.dtype.is_integer:
            yield node.where, f"its list '{name}' is not a constant of integers"
        elif not node.op.holds(graph.type_of(node.inputs[0]), listed.array):
            yield node.where, f"its list reaches {listed.array.min()}..{listed.array.max()}"


RULES: tuple[tuple[str, Rule], ...] = (
    ("Every value is defined once.", _names_defined_once),
    ("Operands are defined before they are used.", _operands_defined_before),
    ("Only ops of the stage occur.", _ops_legal),
    ("Types are those that the ops infer.", _types_follow),
    ("A list names what its operand holds.", _lists_hold),
    ("What depends on an input begins with the batch n; nothing else has one.", _batch_leads),
    ("Reals occur only where the stage allows them.", _reals_only_where_legal),
    ("No integer can overflow its type.", _accumulators_fit),
    ("Rescaling fits into int64 and shifts right by 0 to 62.", _rescalings_fit),
    ("Sums of exponentials are positive and fit int32.", _exponentials_fit),
    ("Sums of layer_norm fit int64.", _norms_fit),
)


def stage_of(graph: Graph) -> Stage:
    """The stage of a graph as it is imported: float if all its values are real, else quantized.

    A float graph may hold weights as constant codes behind a dequantize. A quantized graph has
    reals between quantize and dequantize, operators on codes, or both.
    """
    types = [value.type for value in graph.values.values()]
    return "quantized" if any(each.dtype.is_integer for each in types) else "float"


def verify(graph: Graph, stage: Stage) -> Graph:
    """Return ``graph`` if it keeps every rule of ``stage``; VerifyError names the first broken."""
    for sentence, rule in RULES:
        for where, finding in rule(graph, stage):
            raise VerifyError(f"{finding}. Rule: {sentence}", where=where)
    return graph
