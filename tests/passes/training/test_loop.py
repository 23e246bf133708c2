"""The training loop: what a seed decides, zeros, progress, and losses that are no numbers."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from intaglio.errors import DataError, PassError, UsageError
from intaglio.ir.graph import Builder, Value
from intaglio.ir.ops_layout import Reshape, Slice
from intaglio.ir.tensor import BATCH, TensorType, real
from intaglio.passes.training.checkpoint import Checkpoint
from intaglio.passes.training.loop import placed
from intaglio.passes.training.world import world

from .small import arrays, images, network, only, same, trained
from .test_qat import network as two_channels

PRUNE = 'admm{"target": {"rate": 4}, "epochs": 2, "retrain": 3}'


def failing(error, message, recipe, **options):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        trained(recipe, **options)


def test_it_learns():
    rows = []
    trained('train{"epochs": 8, "optimizer": {"learning_rate": 0.01}}', log=rows.append)
    assert rows[-1]["accuracy"] > 95
    assert rows[0]["loss"] > 2 * rows[-1]["loss"]


def test_the_seed_decides_everything():
    one, again, other = (trained(PRUNE, seed=seed, shift=1, mirror=True) for seed in (5, 5, 6))
    assert same(one, again)
    assert not same(one, other)


def test_channels_are_last_in_memory_while_weights_train_and_not_after():
    module = placed(two_channels(), world("cpu"))
    weight = module.weights["a.weight"]
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()
    graph = module.to_graph()
    assert same(graph, two_channels())
    assert all(array.flags.c_contiguous for array in arrays(graph).values())


def test_a_seed_may_be_as_big_as_one_likes():
    assert same(trained(PRUNE, seed=10**30), trained(PRUNE, seed=10**30))


def test_the_test_data_is_only_measured():
    assert same(trained(PRUNE), trained(PRUNE, test=None))


def test_what_is_pruned_stays_zero_through_all_later_passes():
    first = trained(PRUNE)
    later = trained(
        PRUNE + ',train{"epochs": 2, "optimizer": {"method": "sgd", "learning_rate": 0.1}}'
    )
    for name, size in (("w1", 36), ("w2", 192)):
        assert np.count_nonzero(arrays(first)[name]) == size // 4
        np.testing.assert_array_equal(arrays(first)[name] == 0, arrays(later)[name] == 0)
        assert not np.array_equal(arrays(first)[name], arrays(later)[name])


def test_every_epoch_has_a_row_of_figures():
    rows = []
    trained(PRUNE, log=rows.append)
    assert [(row["phase"], row["epoch"]) for row in rows] == [
        *(("ADMM 4x", epoch) for epoch in (1, 2)),
        *(("retrain 4x", epoch) for epoch in (1, 2, 3)),
    ]
    for row in rows:
        assert 0 <= row["accuracy"] <= 100
        assert 0 < row["loss"] < 9
        assert ("residual" in row) == row["phase"].startswith("ADMM")


def test_figures_that_are_not_known_yet_are_left_out():
    rows = []
    trained('admm{"target": {"rate": 4}, "epochs": 3, "every": 2, "retrain": 0}', log=rows.append)
    assert ["residual" in row for row in rows] == [False, True, True]
    assert all(np.isfinite(value) for row in rows for value in list(row.values())[1:])


def test_arrays_may_run_backwards_and_be_protected():
    x, y = images()
    back, protected = x[::-1].copy()[::-1], y.copy()
    protected.flags.writeable = False
    assert same(trained(PRUNE, train=(back, protected)), trained(PRUNE, train=(x, y)))


def test_progress_counts_the_steps_of_each_phase_and_tells_the_latest_figures():
    seen, rows = [], []
    trained(PRUNE, progress=lambda *told: seen.append(told), log=rows.append)
    for phase, epochs in (("ADMM 4x", 2), ("retrain 4x", 3)):
        told = [each for each in seen if each[0] == phase]
        assert sorted({done for _, done, _, _ in told}) == list(range(1, 4 * epochs + 1))
        assert {total for _, _, total, _ in told} == {4 * epochs}
    last = rows[-1]
    assert seen[-1] == ("retrain 4x", 12, 12, f"loss {last['loss']:.2g}  {last['accuracy']:.2f}%")
    residual = next(detail for label, done, _, detail in seen if (label, done) == ("ADMM 4x", 5))
    assert re.fullmatch(r"loss [\d.]+  residual [\d.]+  [\d.]+%", residual)


ABSURD = 'train{"epochs": 3, "optimizer": {"method": "sgd", "learning_rate": 10}}'
ADVICE = "Lower the learning rate or rho, and look for outliers in the data."


def huge(x):
    """Finite, but sums of it are not."""
    return np.full_like(x, 3e38)


def test_a_loss_that_is_no_number_stops_the_training():
    x, y = images()
    message = (
        "The loss is not a number in phase 'train', epoch 1. (in pass 'train'; passes done: none) "
        + ADVICE
    )
    failing(PassError, message, ABSURD, train=(huge(x), y))


def test_the_last_good_state_is_kept_when_the_loss_is_no_number(tmp_path):
    batches = Switching()
    recipe = 'train{"epochs": 4, "optimizer": {"method": "sgd", "learning_rate": 0.1}}'
    with pytest.raises(PassError) as caught:
        trained(recipe, train=batches, folder=tmp_path)
    path = only(tmp_path, ".pt")
    assert str(caught.value) == (
        f"The loss is not a number in phase 'train', epoch 3. The state before this epoch is in "
        f"'{path}'. (in pass 'train'; passes done: none) {ADVICE}"
    )
    state = Checkpoint(path, *key_in(path), True).load()
    assert state["epoch"] == 2
    assert all(bool(value.isfinite().all()) for value in state["module"].values())
    batches.good = 99
    rows = []
    trained(recipe, train=batches, folder=tmp_path, resume=True, log=rows.append)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]


class Switching:
    """A loader that gives images for some epochs and then what no network can take."""

    def __init__(self):
        self.good = 2

    def __iter__(self):
        self.good -= 1
        x, y = images()
        yield (x if self.good >= 0 else huge(x), y)

    def __len__(self):
        return 1


def key_in(path):
    return [torch.load(io.BytesIO(path.read_bytes()[32:]), weights_only=True)["key"]]


def test_weights_that_the_last_step_spoils_are_not_saved(tmp_path):
    x, y = images(64)
    graph = network()
    small = real(
        graph.constants["w2"].array * 1e-4
    )  # Its loss is finite, its next weights are not.
    graph = replace(graph, constants={**graph.constants, "w2": small})
    recipe = 'train{"epochs": 1, "optimizer": {"method": "sgd", "learning_rate": 10}}'
    with pytest.raises(PassError, match="not a number in phase 'train', epoch 1"):
        trained(recipe, graph=graph, train=(x * np.float32(1e38), y), folder=tmp_path)
    assert not list(tmp_path.glob("*.pt"))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"train": images(20)},
            DataError,
            "There are 20 training samples for batches of 64. "
            "Give more samples or make the batch smaller.",
        ),
        ({"train": [images(64)]}, DataError, "Training data gave a list, expected images and labels. Give pairs (x, y)."),
        ({"shift": -1}, UsageError, "shift is -1. Choose 0 or more."),
        ({"device": "tpu"}, UsageError, "There is no device 'tpu'. Choose cpu or cuda."),
        ({"device": "xpu"}, UsageError, "There is no device 'xpu'. Choose cpu or cuda."),
        (
            {"train": (images()[0], images()[1] + 1)},
            DataError,
            "Labels of the training data reach from 1 to 3, but the network has 3 classes. "
            "Number the classes 0 to 2.",
        ),
        (
            {"test": (images()[0], images()[1] + 1)},
            DataError,
            "Labels of the test data reach from 1 to 3, but the network has 3 classes. "
            "Number the classes 0 to 2.",
        ),
        (
            {"test": (images(0))},
            DataError,
            "The test data is empty. Give at least one sample, or none at all.",
        ),
        (
            {"train": (images()[0][:, :, 1:], images()[1])},
            DataError,
            "Input 'x': Training data is float32[256, 1, 5, 6], expected reals of shape "
            "('n', 1, 6, 6). Prepare the data exactly as the float network takes it.",
        ),
    ],
)  # fmt: skip
def test_data_and_devices_that_do_not_fit_are_refused(options, error, message):
    failing(error, message, PRUNE, **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_is_refused_where_there_is_none():
    message = "There is no CUDA device here. Choose the device cpu."
    failing(UsageError, message, PRUNE, device="cuda")


class Empty:
    def __iter__(self):
        return iter(())


def test_a_loader_without_batches_is_refused():
    failing(DataError, "The training data is empty. Give at least one batch.", PRUNE, train=Empty())


def test_a_rate_that_leaves_a_layer_empty_is_refused_before_training():
    seen = []
    message = (
        "Node '/conv1/Conv' (conv): A rate of 100 leaves none of its 36 weights. "
        "Prune less, or state in 'layers' what this layer keeps."
    )
    recipe = 'admm{"target": {"rate": 100}, "via": [10]}'
    failing(UsageError, message, recipe, progress=lambda *told: seen.append(told))
    assert seen == []


def test_a_layer_that_does_not_exist_is_refused_and_the_nearest_is_named():
    message = (
        "No layer with weights matches '*conv2*'. Did you mean '/conv1/Conv'? "
        "The layers are: /conv1/Conv, /fc/Gemm."
    )
    failing(UsageError, message, 'admm{"target": {"layers": [{"match": "*conv2*", "keep": 3}]}}')


def test_a_network_in_which_nothing_trains_is_refused():
    b = Builder("still")
    x = b.input(Value("x", TensorType((BATCH, 1, 6, 6))))
    graph = b.build((b.node("y", Slice((0,), (3,), (1,)), b.node("f", Reshape((36,)), x)),))
    message = (
        "The network has nothing that trains: no real weights, biases or scales. "
        "Leave this pass out, or put it before weights are given codes."
    )
    failing(UsageError, message, "train", graph=graph)
