"""Exits at the stages of a network: where they are, what they leave alone, what they learn."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import intaglio
from intaglio.errors import UsageError
from intaglio.ir.evaluate import evaluate
from intaglio.ir.graph import Graph
from intaglio.ir.verify import verify
from intaglio.passes.base import Context, Training
from intaglio.passes.branch import Branch, stage_ends
from intaglio.passes.pipeline import Pipeline

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 1, 12, 12)).astype(np.float32)
Y = np.arange(40) % 3


class Residual(nn.Module):
    """Three stages of 12, 6 and 3 pixels; around the second conv of each goes its input."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 4, 6, 8)
        self.first = nn.ModuleList(
            nn.Conv2d(a, b, 3, 2 if a > 1 else 1, 1) for a, b in pairwise(widths)
        )
        self.second = nn.ModuleList(nn.Conv2d(b, b, 3, 1, 1) for b in widths[1:])
        self.last = nn.Linear(8, 3)

    def forward(self, x):
        for first, second in zip(self.first, self.second, strict=True):
            x = torch.relu(first(x))
            x = torch.relu(second(x) + x)
        return self.last(x.mean((2, 3)))


@pytest.fixture(scope="module")
def graph() -> Graph:
    torch.manual_seed(0)
    imported = intaglio.import_model(Residual().eval(), (torch.zeros(1, 1, 12, 12),))
    return Pipeline.parse("canonicalize").run(imported, Context())


def test_stages_end_behind_their_shortcuts(graph):
    ends = stage_ends(graph)
    assert [node.type.sample_shape for node in ends] == [(4, 12, 12), (6, 6, 6)]
    for node in ends:
        (before,) = (graph.producers[name] for name in node.inputs)
        assert (node.op.name, before.op.name) == ("relu", "add")


def test_exits_lead_down_to_the_last_resolution(graph):
    found = verify(Branch(features=True).run(graph, Context()), "float")
    answer = graph.outputs[0]
    assert found.outputs == ("feature1", "feature2", "feature3", "side1", "side2", answer)
    assert [found.type_of(name).sample_shape for name in found.outputs] == [
        *((8,), (8,), (8,)),
        *((3,), (3,), (3,)),
    ]
    strides = {
        name: found.producers[name].op.strides
        for name in found.producers
        if "each" in name and not name.endswith("relu")
    }
    assert strides == {"side1.0.each": (2, 2), "side1.1.each": (2, 2), "side2.0.each": (2, 2)}


def test_without_its_exits_the_network_is_what_it_was(graph):
    branched = Pipeline.parse("branch").run(graph, Context())
    assert branched.outputs == ("side1", "side2", *graph.outputs)
    stripped = Pipeline.parse(f'strip{{"outputs": "{graph.outputs[0]}"}}').run(branched, Context())
    assert stripped == graph


def test_blobs_with_and_without_trained_exits_are_equal_byte_for_byte(graph):
    """Exits that were trained and stripped leave the integers of a network that never had any."""
    optimizer = {"batch": 20, "losses": [{"outputs": "*", "weight": 1.0}]}
    entries = [{"name": "branch"}, {"name": "train", "epochs": 1, "optimizer": optimizer}]
    trained = Pipeline.from_entries(entries).run(graph, Context(training=Training((X, Y))))
    keep = f'strip{{"outputs": "{graph.outputs[0]}"}}'
    stripped = Pipeline.parse(keep).run(trained, Context())
    constants = {name: trained.constants[name] for name in graph.constants}
    plain = replace(graph, constants=constants)
    assert stripped == plain
    integers = "quantize,lower,dead_channels,columns"
    one, other = (intaglio.compile(each, X, recipe=integers).blob for each in (stripped, plain))
    assert one == other


def test_exits_can_stay_and_are_exact(graph):
    branched = Branch().run(graph, Context())
    network = intaglio.compile(branched, X, recipe="quantize,lower,dead_channels,columns")
    assert [slot.name for slot in network.outputs] == ["side1", "side2", *graph.outputs]
    assert network.check(X[:4]) > 0


@pytest.mark.parametrize(
    "losses",
    [
        [{"outputs": "*"}],
        [{"outputs": "side*", "distill": 0.3}, {"outputs": "ANSWER"}],
    ],
)
def test_sides_learn_from_labels_and_from_the_answer(graph, losses):
    answer = graph.outputs[0]
    losses = [each | {"outputs": each["outputs"].replace("ANSWER", answer)} for each in losses]
    optimizer = {
        "batch": 20,
        "learning_rate": 0.01,
        "losses": losses,
        "relation": {"weight": 0.03, "classes": 0.1, "width": 8},
    }
    entries = [
        {"name": "branch", "features": True},
        {"name": "train", "epochs": 2, "batch_norm": True, "optimizer": optimizer},
    ]
    rows = []
    training = Training((X, Y), (X, Y), log=rows.append)
    trained = Pipeline.from_entries(entries).run(graph, Context(training=training))
    begun = Branch(features=True).run(graph, Context())
    for name in ("side1.weight", "side2.0.mix.weight", *graph.constants):
        if len(begun.constants[name].array.shape) > 1:
            assert not np.array_equal(begun.constants[name].array, trained.constants[name].array)
    assert set(rows[0]) >= {"accuracy", "accuracy of side1", f"accuracy of {answer}"}
    assert "accuracy of feature1" not in rows[0]
    found = evaluate(trained, {trained.inputs[0].name: X})
    right = float((found[answer].argmax(1) == Y).mean() * 100)
    assert rows[-1]["accuracy"] == pytest.approx(right)


def test_a_network_without_stages_or_classes_is_refused(graph):
    torch.manual_seed(0)
    flat = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)).eval()
    imported = intaglio.import_model(flat, (torch.zeros(1, 1, 6, 6),))
    with pytest.raises(UsageError) as caught:
        Branch().run(imported, Context())
    assert str(caught.value) == (
        f"Network '{imported.name}': The network has no stages to branch off from: its resolution "
        "never falls. Leave the pass out, or give a convolutional network of several resolutions."
    )
    with pytest.raises(UsageError) as caught:
        Branch().run(replace(graph, outputs=(graph.nodes[0].name,)), Context())
    assert str(caught.value) == (
        f"Network '{graph.name}': Its output is not the class scores of a dense (fully connected) "
        "layer. Cut it behind its last such layer, without a softmax."
    )


def test_relations_need_features(graph):
    optimizer = {"batch": 20, "relation": {"weight": 1.0}}
    entries = [{"name": "branch"}, {"name": "train", "epochs": 1, "optimizer": optimizer}]
    with pytest.raises(UsageError) as caught:
        Pipeline.from_entries(entries).run(graph, Context(training=Training((X, Y))))
    assert str(caught.value) == (
        "Relations are compared between two or more features, and the network has not so many. "
        'Put the pass branch with "features": true before.'
    )
