"""Labelled data that fits a network, and what is said of data that does not."""

import re

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from intaglio.errors import DataError, UsageError
from intaglio.ir.text import from_text
from intaglio.passes.base import Training
from intaglio.passes.labelled import batches, checked, first_inputs

GRAPH = from_text('graph g (x: float32[n,3])\ny: float32[n,3] = relu (x) from "/relu"\nreturn y')
X = np.arange(12, dtype=np.float32).reshape(4, 3)
Y = np.array([0, 2, 1, 0])


def test_arrays_and_tensors_come_as_float32_and_int64():
    for x in (
        X,
        X.astype(np.float64),
        X.astype(">f8"),
        X.tolist(),
        torch.tensor(X, requires_grad=True),
    ):
        for y in (Y, Y.astype(np.uint16), torch.tensor(Y), Y.tolist()):
            got_x, got_y = checked((x, y), GRAPH)
            assert (got_x.dtype, got_y.dtype) == (np.float32, np.int64)
            np.testing.assert_array_equal(got_x, X)
            np.testing.assert_array_equal(got_y, Y)


FIT = "Input 'x': Test data is {}, expected reals of shape ('n', 3). Prepare the data exactly as the float network takes it."
ONE = "Give one class number for each sample."
RANGE = "but the network has 3 classes. Number the classes 0 to 2."


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ((X[:, :2], Y), FIT.format("float32[4, 2]")),
        ((X.astype(np.uint8), Y), FIT.format("uint8[4, 3]")),
        ((X[0, 0], Y), FIT.format("float32[]")),
        ((X, Y[:3]), f"Labels of the test data are int64[3] for 4 samples. {ONE}"),
        ((X, Y.astype(float)), f"Labels of the test data are float64[4] for 4 samples. {ONE}"),
        ((X, np.eye(3)[Y]), f"Labels of the test data are float64[4, 3] for 4 samples. {ONE}"),
        ((X, ["a"] * 4), f"Labels of the test data are <U1[4] for 4 samples. {ONE}"),
        ((X, Y + 1), f"Labels of the test data reach from 1 to 3, {RANGE}"),
        ((X, Y - 1), f"Labels of the test data reach from -1 to 1, {RANGE}"),
        ((X * np.nan, Y), "Input 'x': Test data holds NaN or infinite values. Remove or repair these samples."),
        (X, "Test data gave a ndarray, expected images and labels. Give pairs (x, y)."),
        ((X,), "Test data gave a tuple, expected images and labels. Give pairs (x, y)."),
        ({"x": X}, "Test data gave a dict, expected images and labels. Give pairs (x, y)."),
    ],
)  # fmt: skip
def test_data_that_does_not_fit_is_refused(batch, message):
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        checked(batch, GRAPH, "Test")


def test_a_network_of_codes_takes_codes():
    codes = from_text("graph g (x: uint8[n,3])\ny: uint8[n,3] = relu (x)\nreturn y")
    x, _ = checked((X.astype(np.uint8), Y), codes)
    assert x.dtype == np.uint8
    with pytest.raises(DataError, match=r"float32\[4, 3\], expected codes of shape"):
        checked((X, Y), codes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "graph g (x: float32[n,3], z: float32[n,3])\ny: float32[n,3] = add (x, z)\nreturn y",
            "The network has 2 inputs and 1 outputs; labelled data is for one input and one output "
            "of class scores. Cut the network so that one of each is left.",
        ),
        (
            "graph g (x: float32[n,3,2,2])\ny: float32[n,3,2,2] = relu (x)\nreturn y",
            "The output 'y' has the shape (3, 2, 2), not one score a class. "
            "Flatten it to (n, classes).",
        ),
    ],
)
def test_a_network_that_does_not_classify_is_refused(text, message):
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        checked((X, Y), from_text(text))


def loader(batch=3, **options):
    return DataLoader(TensorDataset(torch.tensor(X), torch.tensor(Y)), batch, **options)


@pytest.mark.parametrize("data", [(X, Y), loader(), loader(batch=1)])
def test_batches_are_all_samples_in_order(data):
    xs, ys = zip(*batches(data, GRAPH, "Test"), strict=True)
    np.testing.assert_array_equal(np.concatenate(xs), X)
    np.testing.assert_array_equal(np.concatenate(ys), Y)


def test_a_generator_is_refused_for_it_can_be_read_once():
    message = (
        "Training data is a generator, which cannot be read once an epoch. "
        "Give (x, y), or a DataLoader of such batches."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        list(batches((pair for pair in [(X, Y)]), GRAPH, "Training"))


class Failing:
    def __init__(self, error):
        self.error = error

    def __iter__(self):
        yield X, Y
        raise self.error


def test_what_a_loader_raises_is_told():
    message = (
        "Training data raised OSError: disk gone. Go through the loader alone to see why, "
        "or show the traceback with --debug."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$") as caught:
        list(batches(Failing(OSError("disk gone")), GRAPH, "Training"))
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(UsageError, match=r"^mine$"):
        list(batches(Failing(UsageError("mine")), GRAPH, "Training"))


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_the_first_training_inputs_calibrate_as_they_are(count):
    for data in ((X, Y), loader()):
        training = Training(data, shift=2, mirror=True)
        np.testing.assert_array_equal(first_inputs(training, GRAPH, count), X[:count])


def test_the_seed_decides_which_inputs_of_a_shuffling_loader_calibrate():
    found = [
        first_inputs(Training(loader(shuffle=True), seed=seed), GRAPH, 3).tobytes()
        for seed in (0, 0, 1, 2, 3, 4)
    ]
    assert found[0] == found[1]
    assert len(set(found)) > 1


def test_no_training_data_cannot_calibrate():
    message = "The training data is empty. Give at least one sample."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        first_inputs(Training((X[:0], Y[:0])), GRAPH)
