"""A network that looks several times, each time at a part of the image that it chooses.

The first look is at the whole image, shrunk to what the backbone takes. Each look's features join
those of the looks before; what they say together is an exit, and where the next look goes. Source:
Tan et al., "Multi-Glimpse Network", BMVC 2021 (arXiv 2111.02018): backbone, classifier and
localiser are the same for every look.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt
from typing import Any, Literal, get_args

import numpy as np

from ..errors import UsageError
from ..ir.graph import Builder, Graph, Node, Value
from ..ir.ops_crop import MOST_PIXELS, ONE, Crop
from ..ir.ops_layout import Concat, Pad, Reshape
from ..ir.ops_linear import Dense
from ..ir.ops_norm import LayerNorm
from ..ir.ops_pointwise import Add, Affine, Relu, ScaleGradient, Unary
from ..ir.ops_product import MatMul
from ..ir.ops_softmax import Softmax
from ..ir.tensor import BATCH, TensorType, real
from ..ir.verify import stage_of, verify

Fusion = Literal["attention", "mean"]
MOST_GLIMPSES = 16
EPSILON = 1e-5
"""Of layer normalization, as in torch."""


@dataclass(frozen=True)
class Glimpses:
    """How a network looks: ``count`` times, through windows of ``least`` to ``most`` of a side.

    ``fusion`` joins the looks: ``attention`` with one head, as published, or ``mean`` of ``width``
    features, for cheap hardware. ``rescale`` multiplies the gradient of where to look. ``seed``
    decides what the weights of all that is new begin with (He et al., 2015).
    """

    count: int = 4
    least: float = 0.2
    most: float = 0.5
    fusion: Fusion = "attention"
    width: int = 128
    rescale: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_GLIMPSES:
            raise UsageError(
                f"{self.count} glimpses were asked for.", fix=f"Choose 1 to {MOST_GLIMPSES}."
            )
        if not 1 / ONE <= self.least <= self.most <= 1:
            raise UsageError(
                f"Glimpses of {self.least} to {self.most} of a side were asked for.",
                fix="Choose least and most such that 0 < least <= most <= 1.",
            )
        if self.fusion not in get_args(Fusion):
            raise UsageError(
                f"There is no fusion '{self.fusion}'.", fix="Choose attention or mean."
            )
        if not 1 <= self.width <= 1 << 14:
            raise UsageError(f"width is {self.width}.", fix="Choose 1 to 16384.")


def glimpse(backbone: Graph, image: tuple[int, int], options: Glimpses | None = None) -> Graph:
    """The float network ``(n, c, *image)`` that looks through ``backbone`` ``(n, c, h, w)``.

    ``backbone`` ends in a dense of class scores, in whose place the joined looks are classified.
    Outputs are ``aux2`` ... (scores of single looks, for training alone: ``strip`` drops them) and
    ``exit1`` ... ``exitN``, the scores after so many looks. Raises UsageError for a backbone that
    is not of this form and for an image smaller than its input.
    """
    options = options or Glimpses()
    return _Maker(backbone, options, _Backbone.of(backbone, image), Builder("glimpses")).made(image)


@dataclass(frozen=True)
class _Backbone:
    """A network without its last dense: the features it ends in, how many, and the classes."""

    nodes: tuple[Node, ...]
    features: str
    width: int
    classes: int

    @classmethod
    def of(cls, graph: Graph, image: tuple[int, int]) -> _Backbone:
        if stage_of(graph) != "float":
            raise UsageError(
                "The backbone is quantized already, and where to look must be trained with it.",
                where=f"Network '{graph.name}'",
                fix="Give the float model; the recipe quantizes what looks.",
            )
        last = graph.producers.get(graph.outputs[0]) if len(graph.outputs) == 1 else None
        shapes = [value.type.sample_shape for value in graph.inputs]
        if last is None or not isinstance(last.op, Dense) or len(last.type.shape) != 2:
            raise UsageError(
                "The backbone does not end in a dense (fully connected) layer of class scores.",
                where=f"Network '{graph.name}'",
                fix="Cut it behind its last such layer, without a softmax.",
            )
        if len(shapes) != 1 or len(shapes[0]) != 3:
            raise UsageError(
                f"The backbone takes {', '.join(map(str, shapes))}, not one image (c, h, w).",
                where=f"Network '{graph.name}'",
                fix="Give a network of one image.",
            )
        sides = tuple(zip(shapes[0][1:], image, strict=True))
        if not all(2 <= own <= whole <= MOST_PIXELS for own, whole in sides):
            raise UsageError(
                f"Glimpses of {shapes[0][1:]} cannot be taken of images of {tuple(image)}.",
                where=f"Network '{graph.name}'",
                fix="Import the backbone with the size of a glimpse, and name the image's size.",
            )
        (width,) = graph.type_of(last.inputs[0]).sample_shape
        nodes = tuple(node for node in graph.nodes if node is not last)
        return cls(nodes, last.inputs[0], width, last.type.sample_shape[0])


@dataclass
class _Maker:
    """The network in the making: what every look shares, and what it leaves for the next."""

    graph: Graph
    options: Glimpses
    backbone: _Backbone
    b: Builder
    keys: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)
    total: str = ""
    random: np.random.Generator = field(default_factory=np.random.default_rng)
    look: int = 0

    def made(self, image: tuple[int, int]) -> Graph:
        self.random = np.random.default_rng(self.options.seed)
        given = self.graph.inputs[0]
        channels = given.type.sample_shape[0]
        x = self.b.input(Value(given.name, TensorType((BATCH, channels, *image)), given.origin))
        exits, aux, where = [], [], ""
        for look in range(1, self.options.count + 1):
            self.look = look
            features = self._seen(x, where)
            fused = self._fused(features, where)
            exits.append(self._dense(f"exit{look}", "classify", fused, self.backbone.classes))
            if look > 1:
                aux.append(self._dense(f"aux{look}", "aux", features, self.backbone.classes))
            if look < self.options.count:
                where = self._where(fused)
        return verify(self.b.build((*aux, *exits)), "float")

    def _seen(self, x: str, where: str) -> str:
        """The backbone's features of a look ``(n, width)``."""
        size = self.graph.inputs[0].type.sample_shape[1:]
        window = (self.options.least, self.options.most) if where else (1.0, 1.0)
        least, most = (max(1, round(each * ONE)) for each in window)
        told = (where,) if where else ()
        crop = self._node("crop", Crop((size[0], size[1]), least, most), x, *told)
        named = {self.graph.inputs[0].name: crop}
        for node in self.backbone.nodes:
            operands = [self._carried(named, name) for name in node.inputs]
            origin = f"{node.value.origin or node.name} (glimpse {self.look})"
            named[node.name] = self._node(node.name, node.op, *operands, origin=origin)
        return named[self.backbone.features]

    def _carried(self, named: dict[str, str], name: str) -> str:
        """The new name of a value of this look; constants are the same for all."""
        return named[name] if name in named else self.b.constant(name, self.graph.constants[name])

    def _where(self, fused: str) -> str:
        """How large the next look is, how far right and how far down: ``(n, 3)`` of 0 to 1."""
        linear = self._dense(self._named("locate"), "locate", fused, 3)
        share = self._node("share", Unary("sigmoid"), linear)
        return self._node("where", ScaleGradient(self.options.rescale), share)

    def _fused(self, features: str, where: str) -> str:
        """What all looks so far say together ``(n, width)``."""
        token = self._token(features, where)
        if self.options.fusion == "mean":
            return self._mean(self._dense(self._named("embed"), "embed", token, self.options.width))
        return self._attended(token)

    def _token(self, features: str, where: str) -> str:
        """The features and where they were seen; the whole image is (1, 1/2, 1/2)."""
        if where:
            clue = self._node("clue", ScaleGradient(0.0), where)
            return self._node("token", Concat(1), features, clue)
        large = self._node("large", Pad((0,), (1,), 1.0), features)
        return self._node("token", Pad((0,), (2,), 0.5), large)

    def _mean(self, token: str) -> str:
        self.total = self._node("total", Add(), self.total, token) if self.total else token
        share = self._constant(f"share{self.look}", np.float32(1 / self.look))
        none = self._constant("none", np.float32(0))
        mean = self._node("mean", Affine(), self.total, share, none)
        return self._node("fused", Relu(), mean)

    def _attended(self, token: str) -> str:
        """Attention of the newest look over all, one head; the first sees only itself."""
        width = self.backbone.width + 3
        value = self._dense(self._named("value"), "value", token, width)
        key = self._dense(self._named("key"), "key", token, width)
        self.keys.append(self._node("key.column", Reshape((width, 1)), key))
        self.values.append(self._node("value.row", Reshape((1, width)), value))
        mixed = value if self.look == 1 else self._mixed(token, width)
        joined = self._dense(self._named("join"), "join", mixed, width)
        epsilon, ones = self._constant("epsilon", np.float32(EPSILON)), np.ones(width)
        normal = self._node("normal", LayerNorm(1), joined, epsilon)
        gain, shift = (self._constant(*each) for each in (("gain", ones), ("shift", 0 * ones)))
        affine = self._node("affine", Affine(), normal, gain, shift)
        return self._node("fused", Relu(), affine)

    def _mixed(self, token: str, width: int) -> str:
        query = self._dense(self._named("query"), "query", token, width)
        row = self._node("query.row", Reshape((1, width)), query)
        keys = self._node("keys", Concat(2), *self.keys)
        values = self._node("values", Concat(1), *self.values)
        product = self._node("product", MatMul(), row, keys)
        root = self._constant("root", np.float32(1 / sqrt(width)))
        none = self._constant("none", np.float32(0))
        score = self._node("score", Affine(), product, root, none)
        mixed = self._node("mixed", MatMul(), self._node("shares", Softmax(2), score), values)
        return self._node("mixed.flat", Reshape((width,)), mixed)

    def _dense(self, name: str, shared: str, x: str, width: int) -> str:
        """A dense whose weight and bias every look shares under the name ``shared``."""
        (depth,) = self.b.type_of(x).sample_shape
        if f"{shared}.weight" not in self.held:
            drawn = self.random.standard_normal((width, depth)) * sqrt(2 / depth)
            self._constant(f"{shared}.weight", drawn)
        bias = self._constant(f"{shared}.bias", np.zeros(width))
        return self.b.node(name, Dense(), x, self.held[f"{shared}.weight"], bias, origin=name)

    def _constant(self, name: str, array: Any) -> str:
        """A constant of the head, the same for every look, whatever the backbone calls its own."""
        if name not in self.held:
            self.held[name] = self.b.constant(name, real(np.asarray(array, np.float32)))
        return self.held[name]

    def _node(self, name: str, op: Any, *inputs: str, origin: str = "") -> str:
        named = self._named(name)
        return self.b.node(named, op, *inputs, origin=origin or named)

    def _named(self, name: str) -> str:
        return f"glimpse{self.look}.{name}"
