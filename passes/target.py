"""What pruning aims at: a scheme, how many weights are left over all, and in which layer.

Options of the passes that prune, and the constraints that follow from them; nothing of torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Literal, get_args

import numpy as np

from ..errors import UsageError
from ..ir.graph import Graph, Node
from ..ir.numeric import Array
from ..ir.ops_linear import Conv, Dense
from .projections.allocate import global_magnitude, lamp
from .projections.constraint import Constraint
from .projections.grid import FiltersAndColumns
from .projections.patterns import Patterns
from .projections.sparse import Blocks, Channels, Columns, Filters, NOfM, NonStructured

Scheme = Literal[
    "non-structured", "filter", "channel", "column", "filter+column", "block", "n:m", "pattern"
]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
Allocation = Literal["uniform", "global", "lamp", "storage", "energy"]
ALLOCATIONS: tuple[Allocation, ...] = get_args(Allocation)


@dataclass(frozen=True)
class LayerTarget:
    """How much of the layers whose name or origin matches ``match`` is left; 0 = not said.

    ``keep`` weights, filters, channels, columns or blocks, whichever the scheme prunes, or one in
    ``rate``; for filter+column so many ``filters`` and ``columns``. A layer of rate 1 stays whole.
    """

    match: str
    rate: float = 0.0
    keep: int = 0
    filters: int = 0
    columns: int = 0

    def __post_init__(self) -> None:
        for what in ("keep", "filters", "columns"):
            if getattr(self, what) < 0:
                raise UsageError(
                    f"{what} of layer '{self.match}' is {getattr(self, what)}.",
                    fix="Choose 1 or more, or leave it out.",
                )

    @property
    def is_whole(self) -> bool:
        """Whether all is left, whatever the scheme's groups are."""
        return self.rate == 1 and not (self.keep or self.filters or self.columns)


@dataclass(frozen=True)
class Target:
    """One weight in ``rate`` is left, zeros lie as ``scheme`` says.

    ``allocate`` shares the weights among the layers: ``uniform`` the same rate everywhere;
    ``global`` the greatest magnitudes of all layers together; ``lamp`` the greatest magnitudes
    relative to what is left of their layer. ``storage`` and ``energy`` measure the loss when each
    layer is pruned alone, and choose the least sum of losses at which one weight in ``rate`` is
    left, or one multiplication. ``layers`` states single layers; the last match wins. A layer that
    no other follows keeps its filters, which make the outputs, unless its count is stated.
    """

    scheme: Scheme = "non-structured"
    rate: float = 4.0
    allocate: Allocation = "uniform"
    layers: tuple[LayerTarget, ...] = ()
    block: tuple[int, int] = (4, 4)
    n_of_m: tuple[int, int] = (2, 4)
    patterns: tuple[int, int] = (4, 8)

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES or self.allocate not in ALLOCATIONS:
            raise UsageError(
                f"There is no scheme '{self.scheme}' with allocation '{self.allocate}'.",
                fix=f"Schemes: {', '.join(SCHEMES)}; allocations: {', '.join(ALLOCATIONS)}.",
            )
        for what in ("block", "n_of_m", "patterns"):
            if min(getattr(self, what)) < 1:
                raise UsageError(
                    f"{what} is {list(getattr(self, what))}.", fix="Choose 1 or more for both."
                )
        for rate in (self.rate, *(layer.rate or 1.0 for layer in self.layers)):
            if not 1 <= rate <= 1e6:
                raise UsageError(f"rate is {rate:g}.", fix="Choose 1 to 1,000,000.")
        if self.allocate in ("global", "lamp") and self.scheme != "non-structured":
            raise UsageError(
                f"Allocation '{self.allocate}' compares single weights, but the scheme is "
                f"'{self.scheme}'.",
                fix="Use uniform, storage or energy, or state the layers.",
            )

    def constrain(
        self, graph: Graph, share: float | None = None
    ) -> Callable[[Mapping[str, Array]], Mapping[str, Constraint]]:
        """The constraints of all weights at once, given their values, by constant name.

        ``share`` of all weights is left, ``1 / rate`` without it; a layer stated in ``layers`` then
        keeps as much more in proportion. Raises UsageError naming a layer that would be empty.
        """
        layers = weight_layers(graph)
        stated = self._stated(layers)

        def constrain(weights: Mapping[str, Array]) -> Mapping[str, Constraint]:
            kept = self._kept({name: weights[name] for name in layers}, share)
            return {
                name: self._constraint(
                    graph, node, weights[name].shape, kept[name], stated[name], share
                )
                for name, node in layers.items()
            }

        return constrain

    def of_layer(
        self, graph: Graph, node: Node, shape: tuple[int, ...], fraction: float
    ) -> Constraint:
        """The constraint of one layer of which ``fraction`` is left; UsageError if nothing is."""
        return self._constraint(graph, node, shape, fraction * int(np.prod(shape)), None, None)

    def check(self, graph: Graph) -> None:
        """Raise UsageError where a layer would be empty or has another shape, or there is none."""
        layers = weight_layers(graph)
        if not layers:
            raise UsageError(
                "No conv or dense of the network has real weights: there is nothing to prune.",
                fix="Prune before weights are given codes.",
            )
        self._stated(layers)
        if self.allocate not in ("storage", "energy"):
            arrays = {name: graph.constants[name].array for name in layers}
            for name, constraint in self.constrain(graph)(arrays).items():
                _try(constraint, arrays[name], layers[name])

    def _stated(self, layers: Mapping[str, Node]) -> dict[str, LayerTarget | None]:
        found: dict[str, LayerTarget | None] = dict.fromkeys(layers)
        for layer in self.layers:
            found.update(dict.fromkeys(matching(layer.match, layers), layer))
        return found

    def _kept(self, weights: Mapping[str, Array], share: float | None) -> Mapping[str, float]:
        """How many weights each layer keeps, by the overall share."""
        total = sum(array.size for array in weights.values())
        wanted = share or 1 / self.rate
        if self.allocate not in ("global", "lamp"):
            return {name: array.size * wanted for name, array in weights.items()}
        choose = global_magnitude if self.allocate == "global" else lamp
        return choose(weights, round(total * wanted))

    def _constraint(
        self,
        graph: Graph,
        node: Node,
        shape: tuple[int, ...],
        kept: float,
        stated: LayerTarget | None,
        share: float | None,
    ) -> Constraint:
        size = int(np.prod(shape))
        fraction = kept / size
        if stated is not None and stated.rate:
            fraction = 1 / stated.rate
        grow = 1.0 if share is None else share * self.rate
        stated = stated or LayerTarget("")
        made = self._made(node, shape, fraction, stated, grow)
        free = not (stated.keep or stated.filters)
        return made if not free or is_followed(graph, node) else _with_outputs(made, shape)

    def _made(
        self,
        node: Node,
        shape: tuple[int, ...],
        fraction: float,
        stated: LayerTarget,
        grow: float,
    ) -> Constraint:
        columns = int(np.prod(shape[1:]))
        if stated.is_whole:
            return NonStructured(shape[0] * columns)
        if stated.rate:
            fraction = min(fraction * grow, 1.0)

        def count(whole: int, group: str, keep: int = stated.keep, part: float = fraction) -> int:
            found = round(keep * grow) if keep else round(whole * part)
            if found < 1:
                raise UsageError(
                    f"A rate of {stated.rate or self.rate:g} leaves none of its {whole} {group}.",
                    where=node.where,
                    fix="Prune less, or state in 'layers' what this layer keeps.",
                )
            return min(found, whole)

        if self.scheme == "non-structured":
            return NonStructured(count(shape[0] * columns, "weights"))
        if self.scheme == "filter":
            return Filters(count(shape[0], "filters"))
        if self.scheme == "channel":
            return Channels(count(shape[1], "input channels"))
        if self.scheme == "column":
            return Columns(count(columns, "columns"))
        if self.scheme == "filter+column":
            root = fraction**0.5
            return FiltersAndColumns(
                count(shape[0], "filters", stated.filters, root),
                count(columns, "columns", stated.columns, root),
            )
        if self.scheme == "block":
            rows, width = self.block
            blocks = -(-shape[0] // rows) * -(-columns // width)
            return Blocks(count(blocks, f"blocks of {rows} by {width}"), rows, width)
        if self.scheme == "n:m":
            return NOfM(*self.n_of_m)
        return self._pattern(shape, fraction, count)

    def _pattern(
        self, shape: tuple[int, ...], fraction: float, count: Callable[..., int]
    ) -> Constraint:
        entries, patterns = self.patterns
        kernels, area = shape[0] * shape[1], int(np.prod(shape[2:]))
        if area <= entries:
            return Blocks(count(kernels, "kernels" if area > 1 else "weights"), 1, area)
        return Patterns(
            entries, patterns, count(kernels, "kernels", part=fraction * area / entries)
        )


def weight_layers(graph: Graph) -> dict[str, Node]:
    """The conv and dense layers whose weight is a real constant, by the constant's name."""
    return {
        node.inputs[1]: node
        for node in graph.nodes
        if isinstance(node.op, Conv | Dense) and node.inputs[1] in graph.constants
    }


def is_followed(graph: Graph, node: Node) -> bool:
    """Whether a conv or dense reads what ``node`` computes, directly or through other ops."""
    reached = {node.name}
    for user in graph.nodes:
        if reached.intersection(user.inputs):
            if isinstance(user.op, Conv | Dense):
                return True
            reached.add(user.name)
    return False


def _with_outputs(made: Constraint, shape: tuple[int, ...]) -> Constraint:
    """The constraint of a layer that makes outputs: no filter goes, more columns do instead."""
    if isinstance(made, Filters):
        return Filters(shape[0])
    if isinstance(made, FiltersAndColumns):
        return Columns(max(round(made.filters * made.columns / shape[0]), 1))
    return made


def matches(pattern: str, node: Node) -> bool:
    """Whether a shell pattern speaks of a node, by name or origin."""
    return fnmatchcase(node.name, pattern) or fnmatchcase(node.value.origin, pattern)


def matching(pattern: str, layers: Mapping[str, Node]) -> list[str]:
    """The names of the layers that a pattern speaks of; raises UsageError when there are none."""
    found = [name for name, node in layers.items() if matches(pattern, node)]
    if not found:
        raise UsageError(
            f"No layer with weights matches '{pattern}'.",
            fix=_nearest(pattern, [label(node) for node in layers.values()]),
        )
    return found


def label(node: Node) -> str:
    """What the user calls a node."""
    return node.value.origin or node.name


def _try(constraint: Constraint, weight: Array, node: Node) -> None:
    """Raise UsageError, naming the layer, where its shape does not fit the constraint."""
    try:
        constraint.project(weight)
    except UsageError as error:
        raise UsageError(error.what, where=node.where, fix=error.fix) from error


def _nearest(pattern: str, names: list[str]) -> str:
    near = get_close_matches(pattern.strip("*"), names, n=1, cutoff=0.4)
    known = f"The layers are: {', '.join(names)}."
    return f"Did you mean '{near[0]}'? {known}" if near else known
