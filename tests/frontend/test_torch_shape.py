"""torch functions that resize, normalize, compare or repeat, against torch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (the name that torch's users know)
from torch import nn

from intaglio.errors import ImportModelError
from intaglio.frontend.torch.importer import import_torch

IMAGE = torch.zeros(2, 3, 6, 8)


class Call(nn.Module):
    """A function as a module, with layers that it may use."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.plane, self.row = nn.LayerNorm([6, 8]), nn.LayerNorm(8, elementwise_affine=False)
        self.groups, self.slopes = nn.GroupNorm(3, 3), nn.PReLU(3)
        for parameter in self.parameters():
            nn.init.normal_(parameter)

    def forward(self, x):
        return self.function(self, x)


FUNCTIONS = {
    "nearest": lambda m, x: F.interpolate(x, scale_factor=2),
    "nearest to a size": lambda m, x: F.interpolate(x, size=(5, 12)),
    "nearest by a fraction": lambda m, x: F.interpolate(x, scale_factor=1.7),
    "nearest exact": lambda m, x: F.interpolate(x, size=(4, 5), mode="nearest-exact"),
    "linear": lambda m, x: F.interpolate(x.flatten(2), scale_factor=2, mode="linear"),
    "bilinear": lambda m, x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "corners": lambda m, x: F.interpolate(x, (5, 7), mode="bilinear", align_corners=True),
    "bicubic": lambda m, x: F.interpolate(x, scale_factor=1.5, mode="bicubic"),
    "antialias": lambda m, x: F.interpolate(x, (3, 4), mode="bilinear", antialias=True),
    "antialias cubic": lambda m, x: F.interpolate(x, (3, 5), mode="bicubic", antialias=True),
    "layer norm": lambda m, x: m.plane(x),
    "layer norm bare": lambda m, x: m.row(x),
    "group norm": lambda m, x: m.groups(x),
    "group norm bare": lambda m, x: F.group_norm(x, 1),
    "prelu": lambda m, x: m.slopes(x),
    "argmax": lambda m, x: x.argmax(1),
    "argmin": lambda m, x: x.argmin(-1, keepdim=True),
    "sum": lambda m, x: x.sum((2, 3)),
    "sum kept": lambda m, x: x.sum(1, keepdim=True),
    "reflect": lambda m, x: F.pad(x, (1, 2, 3, 0), mode="reflect"),
    "replicate": lambda m, x: F.pad(x, (1, 2, 3, 0), mode="replicate"),
    "circular": lambda m, x: F.pad(x, (1, 2, 3, 0), mode="circular"),
    "flip": lambda m, x: x.flip(3).flip([1, 2]),
    "repeat": lambda m, x: x.repeat(1, 2, 1, 3),
    "expand": lambda m, x: x.mean(1, keepdim=True).expand(-1, 3, -1, -1) - x,
    "no border": lambda m, x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "ceil": lambda m, x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
    "volume": lambda m, x: F.avg_pool3d(F.max_pool3d(x.unsqueeze(1), 2, 1), 2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_computes_what_torch_computes(check_torch, name):
    check_torch(Call(FUNCTIONS[name]).eval(), IMAGE)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda m, x: x.argmax(),
            "Module 'Call' (aten.argmax.default): It looks for one element of the whole batch. "
            "Name the axis.",
        ),
        (
            lambda m, x: x.repeat(2, 1, 1, 1),
            "Module 'Call' (aten.repeat.default): It repeats float32[n,3,6,8] (2, 1, 1, 1) times. "
            "Each sample must keep its own rows: axis 0 is the batch, and nothing may merge or "
            "move it.",
        ),
        (
            lambda m, x: F.avg_pool2d(x, 2, divisor_override=3),
            "Module 'Call' (aten.avg_pool2d.default): Argument 'divisor_override' = 3 is not "
            "supported. Supported: divisor_override = None.",
        ),
    ],
)
def test_what_is_not_supported_is_refused_by_module_and_operator(function, message):
    with pytest.raises(ImportModelError) as caught:
        import_torch(Call(function).eval(), (IMAGE,))
    assert str(caught.value) == message


def test_indices_are_whole_numbers():
    graph = import_torch(Call(FUNCTIONS["argmax"]).eval(), (IMAGE,))
    from intaglio.ir.evaluate import evaluate

    x = np.random.default_rng(0).standard_normal((2, 3, 6, 8)).astype(np.float32)
    (found,) = evaluate(graph, {graph.inputs[0].name: x}).values()
    assert np.array_equal(found, x.argmax(1))
