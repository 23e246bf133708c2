"""Networks that look several times: how they are made, trained, made integers, and done early."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import intaglio
from intaglio.backends.blob_writer import write_blob
from intaglio.backends.early import margins
from intaglio.backends.exits import chosen, curve, exit_slots, with_exits
from intaglio.backends.stages import stages
from intaglio.errors import UsageError
from intaglio.ir.evaluate import evaluate
from intaglio.ir.graph import Graph, rename
from intaglio.ir.numeric import Encoding
from intaglio.ir.ops_crop import Crop
from intaglio.ir.ops_linear import Conv
from intaglio.passes.base import Context, Training
from intaglio.passes.glimpse import Glimpses, glimpse
from intaglio.passes.pipeline import Pipeline
from intaglio.passes.training.module import to_torch

INTEGERS = "canonicalize,strip,quantize,lower,dead_channels,columns"
RNG = np.random.default_rng(0)
IMAGES = RNG.random((40, 1, 20, 24)).astype(np.float32)
LABELS = np.arange(40) % 3


@pytest.fixture(scope="module")
def backbone() -> Graph:
    """Two convs and a dense of three classes, for 8 x 8 pixels."""
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU())
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
    return intaglio.import_model(net.eval(), (torch.zeros(1, 1, 8, 8),))


@pytest.fixture(scope="module")
def looking(backbone: Graph) -> Graph:
    return glimpse(backbone, (20, 24), Glimpses(count=3))


@pytest.fixture(scope="module")
def network(looking: Graph) -> intaglio.Network:
    return intaglio.compile(looking, IMAGES, recipe=INTEGERS)


def by_torch(graph: Graph, backbone: Graph, x: np.ndarray) -> dict[str, torch.Tensor]:
    """The published network, written down once more: attention of torch, its own crops."""
    held = {name: torch.from_numpy(each.array.copy()) for name, each in graph.constants.items()}
    module = to_torch(
        replace(backbone, outputs=(backbone.producers[backbone.outputs[0]].inputs[0],))
    )

    def dense(name: str, given: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(given, held[f"{name}.weight"], held[f"{name}.bias"])

    tokens, found = [], {}
    images, share = torch.from_numpy(x), None
    for look in range(1, 4):
        s, tx, ty = torch.ones(len(x)), torch.zeros(len(x)), torch.zeros(len(x))
        if share is not None:
            s = share[:, 0] * 0.3 + 0.2
            tx, ty = (2 * (share[:, axis] - 0.5) * (1 - s) for axis in (1, 2))
        none = torch.zeros_like(s)
        turned = torch.stack([s, none, tx, none, s, ty], 1).reshape(-1, 2, 3)
        grid = nn.functional.affine_grid(turned, [len(x), 1, 8, 8], align_corners=True)
        features = module(nn.functional.grid_sample(images, grid, align_corners=True))
        clue = torch.tensor([[1, 0.5, 0.5]]).expand(len(x), 3) if share is None else share
        tokens.append(torch.cat([features, clue], 1))
        key, value = (torch.stack([dense(n, t) for t in tokens], 1) for n in ("key", "value"))
        mixed = value[:, -1]
        if look > 1:
            query = dense("query", tokens[-1])[:, None]
            mixed = nn.functional.scaled_dot_product_attention(query, key, value)[:, 0]
            found[f"aux{look}"] = dense("aux", features)
        joined = dense("join", mixed)
        normal = nn.functional.layer_norm(joined, joined.shape[1:])
        fused = torch.relu(normal)
        found[f"exit{look}"] = dense("classify", fused)
        share = torch.sigmoid(dense("locate", fused))
    return found


def test_it_computes_what_the_published_network_does(looking, backbone):
    expected = by_torch(looking, backbone, IMAGES[:5])
    found = evaluate(looking, {looking.inputs[0].name: IMAGES[:5]})
    assert list(found) == ["aux2", "aux3", "exit1", "exit2", "exit3"]
    for name, each in found.items():
        assert np.allclose(each, expected[name].detach().numpy(), atol=1e-4), name


def test_every_look_shares_the_weights_and_the_blob_holds_them_once(looking, network):
    convs = [node for node in looking.nodes if isinstance(node.op, Conv)]
    assert len(convs) == 6
    assert len({node.inputs[1] for node in convs}) == 2
    steps = [step for step in network.program.steps if isinstance(step.op, Conv)]
    kernels = {
        s.inputs[1] for s in steps if len(network.program.slots[s.inputs[1]].type.shape) == 4
    }
    shapes = sorted(network.program.slots[slot].type.shape for slot in kernels)
    assert [shape for shape in shapes if shape[2] == 3] == [(4, 1, 3, 3), (6, 4, 3, 3)]


def test_names_of_the_backbone_are_no_names_of_the_head(backbone):
    """A backbone may have a weight called key.weight: it is another."""
    old, new = backbone.nodes[0].inputs[1], "key.weight"
    named = rename(backbone, {old: new, backbone.nodes[0].inputs[2]: "gain"})
    graph = glimpse(named, (20, 24), Glimpses(count=3))
    keys = [graph.producers[f"glimpse{look}.key"].inputs[1] for look in (1, 2, 3)]
    assert len(set(keys)) == 1
    assert graph.constants[keys[0]].array.shape == (9, 9)
    gains = {node.inputs[1] for node in graph.nodes if node.op.name == "affine"} - {"root"}
    assert len(gains & {"gain.1"}) == 1
    assert np.array_equal(graph.constants[new].array, backbone.constants[old].array)


def test_integers_see_what_the_reference_sees_and_look_there(network):
    images = RNG.random((7, 1, 20, 24)).astype(np.float32)
    assert network.check(images) > 0
    crops = [step for step in network.program.steps if isinstance(step.op, Crop)]
    assert [len(step.inputs) for step in crops] == [1, 2, 2]
    trace = network.trace(images)
    for step in crops[1:]:
        where = trace[network.program.slots[step.inputs[1]].name].codes
        assert where.shape == (7, 3)
        assert where.dtype == np.uint8


def test_means_are_joined_where_hardware_is_cheap(backbone):
    graph = glimpse(backbone, (20, 24), Glimpses(count=4, fusion="mean", width=5))
    assert {node.op.name for node in graph.nodes}.isdisjoint({"matmul", "softmax", "layer_norm"})
    found = intaglio.compile(graph, IMAGES, recipe=INTEGERS)
    assert found.check(IMAGES[:3]) > 0


@pytest.mark.parametrize("count", [1, 2, 8])
def test_any_number_of_looks_is_exact(backbone, count):
    graph = glimpse(backbone, (20, 24), Glimpses(count=count))
    found = intaglio.compile(graph, IMAGES[:8], recipe=INTEGERS)
    assert len(found.outputs) == count
    assert found.check(IMAGES[:2]) > 0


def test_training_moves_every_weight_that_a_loss_reaches(looking):
    losses = [{"outputs": "exit*", "weight": 0.4}, {"outputs": "aux*", "weight": 0.6}]
    optimizer = {"batch": 20, "learning_rate": 0.01, "losses": losses}
    passes = [
        {"name": "canonicalize"},
        {"name": "train", "epochs": 2, "batch_norm": True, "optimizer": optimizer},
    ]
    rows = []
    training = Training((IMAGES, LABELS), (IMAGES, LABELS), log=rows.append)
    trained = Pipeline.from_entries(passes).run(looking, Context(training=training))
    moved = ("locate.weight", "aux.weight", "query.weight", "classify.weight")
    for name in (*moved, *(node.inputs[1] for node in looking.nodes if isinstance(node.op, Conv))):
        assert not np.array_equal(trained.constants[name].array, looking.constants[name].array)
    convs = [node for node in trained.nodes if isinstance(node.op, Conv)]
    assert len({node.inputs[1:3] for node in convs}) == 2
    assert set(rows[0]) >= {"accuracy", "accuracy of exit1", "accuracy of aux3"}
    assert rows[-1]["accuracy"] == rows[-1]["accuracy of exit3"]


def test_through_rounding_a_look_stays_where_its_codes_say(looking):
    """Scales train, but not those of windows, nor of what is seen through them."""
    optimizer = {"batch": 20, "losses": [{"outputs": "exit*"}]}
    options = {"epochs": 1, "quantize": {"weight_bits": 4}, "optimizer": optimizer}
    entries = [{"name": "canonicalize"}, {"name": "strip"}, {"name": "qat", **options}]
    entries += [{"name": "lower"}, {"name": "dead_channels"}]
    training = Training((IMAGES, LABELS))
    recipe = Pipeline.from_entries(entries)
    found = intaglio.compile(looking, IMAGES, recipe=recipe, training=training)
    assert found.check(IMAGES[:3]) > 0
    crops = [step for step in found.program.steps if isinstance(step.op, Crop)]
    for step in crops:
        image, seen = (found.program.slots[each] for each in (step.inputs[0], step.output))
        assert seen.encoding == image.encoding
        for told in step.inputs[1:]:
            assert found.program.slots[told].encoding == Encoding(1 / 256)


def test_a_norm_that_looks_share_is_folded_once(looking):
    from intaglio.passes.training.batch_norm import insert_batch_norm

    module = to_torch(looking)
    insert_batch_norm(module, [{looking.inputs[0].name: IMAGES}])
    convs = [node.name for node in looking.nodes if isinstance(node.op, Conv)]
    assert {f"/{name.replace('.', '%2E')}" for name in convs[:2]} <= set(module.norms)
    module.train()(torch.from_numpy(IMAGES))
    with torch.no_grad():
        expected = module.eval()(torch.from_numpy(IMAGES))
    found = evaluate(module.to_graph(), {looking.inputs[0].name: IMAGES})
    for name, each in found.items():
        assert np.allclose(each, expected[name].numpy(), atol=1e-4), name


def test_stripped_graphs_compute_what_they_did(looking):
    stripped = Pipeline.parse('strip{"outputs": "exit*"}').run(looking, Context())
    whole = evaluate(looking, {looking.inputs[0].name: IMAGES})
    found = evaluate(stripped, {looking.inputs[0].name: IMAGES})
    assert list(found) == ["exit1", "exit2", "exit3"]
    assert all(np.array_equal(found[name], whole[name]) for name in found)
    assert "aux.weight" not in stripped.constants
    with pytest.raises(UsageError) as caught:
        Pipeline.parse('strip{"outputs": "side*"}').run(looking, Context())
    assert str(caught.value) == (
        "No output matches 'side*'. The outputs are aux2, aux3, exit1, exit2, exit3."
    )


def test_stages_do_together_what_the_program_does(network):
    program, codes = network.program, network.encode(IMAGES)
    whole = network.simulate(codes)
    live = dict(codes)
    parts = stages(program, exit_slots(program)[:-1])
    assert sum(len(part.steps) for part in parts) == len(program.steps)
    for part in parts:
        made = intaglio.Network(write_blob(part))
        given = {slot.name: live[slot.name] for slot in made.inputs}
        live |= made.simulate(given)
    assert all(np.array_equal(live[name], each) for name, each in whole.items())


def test_who_is_sure_leaves_early_and_only_they(network):
    whole = {slot.name: network.run(IMAGES)[slot.name].codes for slot in network.outputs}
    points = curve(network.program, whole, LABELS, [1.0, 2.0, 3.0])
    assert points[0].shares == (1.0, 0.0, 0.0)
    assert points[-1].shares == (0.0, 0.0, 1.0)
    assert points[-1].accuracy == float((whole["exit3"].argmax(1) == LABELS).mean())
    middle = min(points, key=lambda point: abs(point.cost - 2))
    program = with_exits(network.program, middle.margins)
    early = intaglio.Network(write_blob(program))
    assert early.program.exits == program.exits
    found = early.run_early(IMAGES)
    assert tuple(np.bincount(found.taken, minlength=3) / 40) == middle.shares
    assert float((found.classes == LABELS).mean()) == middle.accuracy
    for index, name in enumerate(found.names):
        mine = found.taken == index
        assert np.array_equal(found.codes[mine], whole[name][mine])
        for before, margin in zip(found.names[:index], middle.margins, strict=False):
            assert (margins(whole[before][mine]) < margin).all()


def test_the_cheapest_point_that_is_right_often_enough_is_chosen(network):
    whole = {slot.name: network.run(IMAGES)[slot.name].codes for slot in network.outputs}
    points = curve(network.program, whole, LABELS, [1.0, 2.0, 3.0])
    assert chosen(points, 0.0) is points[0]
    assert chosen(points, 2.0).accuracy == max(point.accuracy for point in points)


def test_a_network_without_exits_says_how_to_get_them(network):
    with pytest.raises(UsageError) as caught:
        network.run_early(IMAGES)
    assert str(caught.value) == (
        "Network 'glimpses' has no early exits. Find margins for them with: intaglio exits "
        "NET.intg --data DATA."
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "0 glimpses were asked for. Choose 1 to 16."),
        ({"count": 17}, "17 glimpses were asked for. Choose 1 to 16."),
        (
            {"least": 0.6},
            "Glimpses of 0.6 to 0.5 of a side were asked for. Choose least and most such that "
            "0 < least <= most <= 1.",
        ),
        (
            {"least": 0.0},
            "Glimpses of 0.0 to 0.5 of a side were asked for. Choose least and most such that "
            "0 < least <= most <= 1.",
        ),
        (
            {"most": 1.5},
            "Glimpses of 0.2 to 1.5 of a side were asked for. Choose least and most such that "
            "0 < least <= most <= 1.",
        ),
        ({"fusion": "sum"}, "There is no fusion 'sum'. Choose attention or mean."),
        ({"width": 0}, "width is 0. Choose 1 to 16384."),
    ],
)
def test_looks_that_cannot_be_are_refused(options, message):
    with pytest.raises(UsageError) as caught:
        Glimpses(**options)
    assert str(caught.value) == message


def test_a_backbone_that_does_not_fit_is_refused(backbone):
    name = backbone.name
    with pytest.raises(UsageError) as caught:
        glimpse(backbone, (20, 7))
    assert str(caught.value) == (
        f"Network '{name}': Glimpses of (8, 8) cannot be taken of images of (20, 7). Import the "
        "backbone with the size of a glimpse, and name the image's size."
    )
    features = replace(backbone, outputs=(backbone.nodes[0].name,))
    with pytest.raises(UsageError) as caught:
        glimpse(features, (20, 24))
    assert str(caught.value) == (
        f"Network '{name}': The backbone does not end in a dense (fully connected) layer of class "
        "scores. Cut it behind its last such layer, without a softmax."
    )
    codes = Pipeline.parse("quantize").run(backbone, Context([{"input": IMAGES[:, :, :8, :8]}]))
    with pytest.raises(UsageError) as caught:
        glimpse(codes, (20, 24))
    assert str(caught.value) == (
        f"Network '{name}': The backbone is quantized already, and where to look must be trained "
        "with it. Give the float model; the recipe quantizes what looks."
    )
    flat = intaglio.import_model(nn.Linear(8, 3).eval(), (torch.zeros(1, 8),))
    with pytest.raises(UsageError) as caught:
        glimpse(flat, (20, 24))
    assert str(caught.value) == (
        f"Network '{flat.name}': The backbone takes (8,), not one image (c, h, w). Give a network "
        "of one image."
    )
