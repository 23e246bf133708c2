"""The passes that prune and code, end to end: what is left, where, and with which values."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as drawn

import intaglio
from intaglio.errors import UsageError
from intaglio.ir.evaluate import evaluate
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.passes.base import Training
from intaglio.passes.coded import decodes
from intaglio.passes.pipeline import Pipeline
from intaglio.passes.projections.levels import UniformLevels
from intaglio.passes.projections.sparse import Filters, NonStructured
from intaglio.passes.projections.sparse_levels import SparseLevels
from intaglio.passes.target import Target
from intaglio.passes.training.magnitude import Gradual
from intaglio.passes.training.module import to_torch
from intaglio.passes.training.prune import Within

from .small import arrays, images, network, same, trained

SHORT = '"epochs": 2, "retrain": 1'


def weights(graph):
    """The reals that the layers multiply by."""
    return {name: arrays(graph)[name] for name in ("w1", "w2")}


def left(graph):
    return [np.count_nonzero(array) for array in weights(graph).values()]


SCHEMES = {
    "non-structured": [9, 48],
    "filter": [9, 192],
    "column": [8, 48],
    "filter+column": [8, 63],
    "block": [12, 48],
    "n:m": [20, 96],
    "pattern": [8, 48],
}
"""One weight in 4 of 36 and 192, as far as groups allow; n:m keeps 2 of 4, outputs all filters."""


@pytest.mark.parametrize("method", ["admm", "magnitude"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_exactly_as_many_weights_are_left_as_the_scheme_says(method, scheme):
    epochs = SHORT if method == "admm" else '"retrain": 2'
    target = f'"scheme": "{scheme}", "rate": 4, "block": [1, 4]'
    graph = trained(f'{method}{{"target": {{{target}}}, {epochs}}}')
    assert left(graph) == SCHEMES[scheme]
    constraints = Target(scheme, rate=4, block=(1, 4)).constrain(network())(weights(graph))
    for name, weight in weights(graph).items():
        np.testing.assert_array_equal(constraints[name].project(weight), weight)


def test_channels_go_whole():
    layers = '"layers": [{"match": "conv", "keep": 1}]'
    recipe = f'admm{{"target": {{"scheme": "channel", "rate": 2, {layers}}}, {SHORT}}}'
    assert left(trained(recipe)) == [36, 96]


@pytest.mark.parametrize("allocate", ["global", "lamp"])
def test_layers_share_the_weights_and_keep_exactly_so_many_together(allocate):
    recipe = f'admm{{"target": {{"rate": 6, "allocate": "{allocate}"}}, {SHORT}}}'
    counts = left(trained(recipe))
    assert sum(counts) == 228 // 6
    assert counts != [6, 32]


def test_rates_on_the_way_are_steps_of_their_own_and_zeros_stay():
    """The first step is the pass that goes to its rate alone."""
    rows = []
    first = trained(f'admm{{"target": {{"rate": 2}}, {SHORT}}}')
    both = trained(f'admm{{"target": {{"rate": 8}}, "via": [2], {SHORT}}}', log=rows.append)
    phases = dict.fromkeys(row["phase"] for row in rows)
    assert list(phases) == ["ADMM 2x", "retrain 2x", "ADMM 8x", "retrain 8x"]
    assert (left(first), left(both)) == ([18, 96], [4, 24])  # 4.5 is rounded to even.
    for name, weight in weights(first).items():
        assert not weights(both)[name][weight == 0].any()


def test_zeros_of_earlier_passes_stay_whatever_pruned_them():
    columns = 'magnitude{"target": {"scheme": "column", "rate": 2}, "retrain": 1}'
    first = trained(columns)
    later = trained(f'{columns},admm{{"target": {{"rate": 4}}, {SHORT}}}')
    assert left(later) == [9, 48]
    for name, weight in weights(first).items():
        assert not weights(later)[name][weight == 0].any()


def test_batch_normalisation_is_folded_away_and_zeros_are_left_alone():
    given = network()
    graph = trained(f'admm{{"target": {{"rate": 4}}, "batch_norm": true, {SHORT}}}', given)
    assert left(graph) == [9, 48]
    assert [node.op for node in graph.nodes] == [node.op for node in given.nodes]
    plain = trained(f'admm{{"target": {{"rate": 4}}, {SHORT}}}', given)
    assert not same(graph, plain)


def coded(graph):
    """Codes and scale of each layer's weight."""
    found = {}
    for node in graph.nodes:
        if decodes(graph, node):
            codes, scale, _ = (graph.constants[name] for name in node.inputs)
            found[node.name] = codes, scale.array
    return found


CODINGS = {
    '"kind": "uniform", "bits": 3': (2, 9),
    '"kind": "uniform", "bits": 2, "joint": true': (2, 5),
    '"kind": "power-of-two", "bits": 3, "per_channel": true': (2, 9),
    '"kind": "ternary"': (2, 3),
    '"kind": "uniform", "bits": 3,': (1, 7),
    '"kind": "binary"': (1, 2),
}
"""With the rate of pruning; how many values a weight may have, 0 among them if it is pruned."""


def coding_recipe(rate, options):
    more = f'{options.rstrip(",")}, "epochs": 1, "rounds": 2, "each": 1'
    return f'admm{{"target": {{"rate": {rate}}}, {SHORT}, "coding": {{{more}}}}}'


@pytest.mark.parametrize("options", CODINGS)
def test_coded_weights_are_few_values_and_the_blob_holds_the_very_codes(options):
    rate, most = CODINGS[options]
    recipe = Pipeline.parse(f"{coding_recipe(rate, options)},quantize,lower")
    seen = []
    training = Training(images(), seed=0)
    net = intaglio.compile(
        network(), images()[0], recipe=recipe, training=training, observe=seen.append
    )
    codes = coded(seen[0].after)
    assert list(codes) == ["w1", "w2"]
    for tensor, scale in codes.values():
        assert rate == 1 or np.count_nonzero(tensor.array) == tensor.array.size // rate
        signed = tensor.array * scale.reshape(-1, *(1,) * (tensor.array.ndim - 1))
        rows = signed if "per_channel" in options else [signed]
        assert all(len(np.unique(row)) <= most for row in rows)
    steps = [step for step in net.program.steps if isinstance(step.op, Conv | Dense)]
    held = [net.program.slots[step.inputs[1]].constant for step in steps]
    assert [tensor.array.tolist() for tensor in held] == [
        tensor.array.tolist() for tensor, _ in codes.values()
    ]


def test_joint_pruning_ends_with_other_weights_than_one_after_the_other():
    one, joint = (
        trained(coding_recipe(2, f'"kind": "uniform", "bits": 2, "joint": {each}'))
        for each in ("false", "true")
    )
    assert not same(one, joint)


@given(drawn(np.float32, (3, 4), elements=st.integers(-9, 9)), st.integers(1, 3))
def test_a_joint_point_is_pruned_first_and_single_weights_are_projected_exactly(weight, keep):
    levels = UniformLevels(2)
    structured = Within(levels, Filters(keep)).project(weight)
    np.testing.assert_array_equal(structured, levels.project(Filters(keep).project(weight)))
    single = Within(levels, NonStructured(4 * keep)).project(weight)
    np.testing.assert_array_equal(single, SparseLevels(4 * keep, levels).project(weight))


def test_magnitude_keeps_the_greatest_of_the_weights_that_it_is_given():
    graph = trained('magnitude{"target": {"rate": 4}, "retrain": 2}')
    before = weights(network())
    for (name, weight), keep in zip(weights(graph).items(), (9, 48), strict=True):
        least = np.sort(np.abs(before[name]), axis=None)[-keep]
        np.testing.assert_array_equal(weight != 0, np.abs(before[name]) >= least)


def test_gradual_pruning_follows_the_cubic_schedule():
    graph, target = network(), Target(rate=4)
    module = to_torch(graph)
    method = Gradual(lambda share: target.constrain(graph, share), 1 / 4, epochs=4)
    method.start(module)
    counts = []
    for epoch in range(4):
        method.after_epoch(epoch)
        counts.append(int(np.count_nonzero(module.weights["w2"].detach().numpy())))
    shares = [0.25 + 0.75 * (1 - t) ** 3 for t in (0.25, 0.5, 0.75, 1)]
    assert counts == [round(192 * share) for share in shares] == [109, 66, 50, 48]


def test_gradual_pruning_tells_what_is_left_after_each_epoch():
    rows = []
    graph = trained('magnitude{"target": {"rate": 4}, "gradual": 4, "retrain": 1}', log=rows.append)
    assert [row["phase"] for row in rows] == ["shrink"] * 4 + ["retrain"]
    kept = [row["kept"] for row in rows[:-1]]
    assert kept == pytest.approx([0.56640625, 0.34375, 0.26171875, 0.25])
    assert left(graph) == [9, 48]


@pytest.mark.parametrize("every", [1, 2])
def test_a_phase_ends_when_the_residuals_are_below_the_tolerance(every):
    rows = []
    options = f'"epochs": 5, "retrain": 1, "every": {every}'
    recipe = f'admm{{"target": {{"rate": 4}}, {options}, "tolerance": 1e9}}'
    assert left(trained(recipe, log=rows.append)) == [9, 48]
    assert [row["phase"] for row in rows] == ["ADMM 4x"] * every + ["retrain 4x"]


def test_rate_1_prunes_nothing_and_does_not_train():
    rows = []
    assert same(trained('admm{"target": {"rate": 1}}', log=rows.append), network())
    assert rows == []


X, Y = images()
OTHER = (Y + 1) % 3
LEARN = '"optimizer": {"learning_rate": 0.01%s}'


def taught(labels, options="", **training):
    recipe = f'train{{"epochs": 8, {LEARN % options}}}'
    return trained(recipe, train=(X, labels), test=None, **training)


def hits(graph, labels):
    (scores,) = evaluate(graph, {"x": X}).values()
    return (scores.argmax(axis=1) == labels).mean()


def test_distillation_alone_learns_what_the_teacher_says_and_not_the_labels():
    teacher = taught(OTHER)
    pupil = taught(Y, ', "distill": 1.0', teacher=teacher)
    assert hits(teacher, OTHER) > 0.95
    assert hits(pupil, OTHER) > 0.95
    assert hits(pupil, Y) < 0.05
    (wanted,), (found,) = (evaluate(each, {"x": X}).values() for each in (teacher, pupil))
    assert np.corrcoef(wanted.ravel(), found.ravel())[0, 1] > 0.95


def test_without_a_teacher_the_network_before_the_pass_teaches():
    graph = taught(OTHER)
    learn = LEARN % ', "distill": 1.0'
    recipe = f'magnitude{{"target": {{"rate": 2}}, "retrain": 4, {learn}}}'
    assert hits(trained(recipe, graph, train=(X, Y), test=None), OTHER) > 0.95


CODED = 'admm{"target": {"rate": 1}, "coding": {"kind": "uniform", "epochs": 1, "rounds": 1}}'
PRUNINGS = [
    'admm{"epochs": 1}',
    'magnitude{"retrain": 1}',
    'magnitude{"target": {"allocate": "lamp"}}',
    'magnitude{"target": {"allocate": "energy"}}',
    CODED,
]


@pytest.fixture(scope="module")
def given_codes():
    return trained(CODED)


@pytest.mark.parametrize("recipe", PRUNINGS)
def test_weights_that_are_codes_already_are_not_pruned(recipe, given_codes):
    message = (
        "No conv or dense of the network has real weights: there is nothing to prune. "
        "Prune before weights are given codes."
    )
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        trained(recipe, given_codes)


@pytest.mark.parametrize("option", ["rho", "growth", "tolerance"])
def test_what_is_no_number_is_refused(option):
    with pytest.raises(UsageError, match=f"^{option} is nan\\. Choose "):
        Pipeline.parse(f'admm{{"{option}": NaN}}')
