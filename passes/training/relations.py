"""Relations between samples, seen at every depth of a network: what the deepest says, others learn.

The published abstract of CORSD (arXiv 2305.00918) says that trainable networks extract relations of
structured inputs, that they go from the deepest layer to shallow ones, and that auxiliary
classifiers make them tell classes apart. The form here is ours: of pairs (a, b) of a batch, half of
them of one class where there is another sample of it,

    r_i(a, b) = R_i([f_i(a), f_i(b)])       two linear layers, normalized and rectified, for depth i
    loss = classes * mean_i CE(V_i r_i, y_a = y_b) + weight * mean_{i < n} mean |r_i - r_n|^2

with no gradient into r_n from the last term. R_i and V_i are trained along and then forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..optimizer import Relation


class Relations(nn.Module):
    """R_i and V_i for features of so many elements each, the deepest last."""

    def __init__(self, widths: Sequence[int], options: Relation) -> None:
        super().__init__()
        self.options = options
        self.relate = nn.ModuleList(_related(2 * width, options.width) for width in widths)
        self.tell = nn.ModuleList(nn.Linear(options.width, 2) for _ in widths)

    def forward(self, features: Sequence[Tensor], y: Tensor) -> Tensor:
        """The loss of features ``(n, width_i)`` with labels ``(n,)``."""
        partner = partners(y)
        pairs = [torch.cat([each, each[partner]], dim=1) for each in features]
        found = [relate(pair) for relate, pair in zip(self.relate, pairs, strict=True)]
        same = (y == y[partner]).long()
        told = [
            functional.cross_entropy(tell(each), same)
            for tell, each in zip(self.tell, found, strict=True)
        ]
        deepest = found[-1].detach()
        apart = [functional.mse_loss(each, deepest) for each in found[:-1]]
        near = torch.stack(apart).mean() if apart else deepest.new_zeros(())
        return self.options.classes * torch.stack(told).mean() + self.options.weight * near


def _related(inputs: int, width: int) -> nn.Module:
    hidden = (nn.Linear(inputs, 2 * width), nn.BatchNorm1d(2 * width), nn.ReLU())
    return nn.Sequential(*hidden, nn.Linear(2 * width, width))


def partners(y: Tensor) -> Tensor:
    """For each sample another: of even places one of its class, if there is one, else any.

    The one is the next of the class around the batch, the other the one half a batch further on.
    """
    count = len(y)
    places = torch.arange(count, device=y.device)
    order = torch.argsort(y, stable=True)
    ahead = torch.empty_like(order)
    following = order.roll(-1)
    first = torch.searchsorted(y[order].contiguous(), y.contiguous())
    ahead[order] = torch.where(y[following] == y[order], following, order[first[order]])
    half = (places + max(count // 2, 1)) % count
    return torch.where(places % 2 == 0, ahead, half)
