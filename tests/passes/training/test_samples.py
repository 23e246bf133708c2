"""Order, shares and moves of labelled samples."""

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from intaglio.passes.base import Training
from intaglio.passes.training.samples import (
    ArraySamples,
    measuring_samples,
    moved,
    training_samples,
)
from intaglio.passes.training.world import World

from .small import images, network

ALONE = World(0, 1, torch.device("cpu"))
GRAPH = network()


def samples(count=10, batch=4, world=ALONE, shuffled=True):
    x = torch.arange(count).float()[:, None]
    return ArraySamples(x, torch.arange(count), batch, world, shuffled)


def labels(one, draw=0):
    return [y.tolist() for _, y in one.epoch(draw)]


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 2**63 - 1))
def test_an_epoch_has_each_sample_once_but_those_of_a_smaller_last_batch(count, batch, draw):
    found = labels(samples(count, batch), draw)
    assert all(len(each) == batch for each in found)
    assert len(found) == len(samples(count, batch)) == count // batch
    flat = list(chain(*found))
    assert len(set(flat)) == len(flat)


@given(st.integers(0, 40), st.integers(1, 9))
def test_what_is_only_measured_comes_whole_and_in_order(count, batch):
    one = samples(count, batch, shuffled=False)
    assert list(chain(*labels(one))) == list(range(count))
    assert len(labels(one)) == len(one)


def test_the_draw_decides_the_order():
    assert labels(samples(), 5) == labels(samples(), 5)
    assert labels(samples(), 5) != labels(samples(), 6)


def test_inputs_and_labels_stay_together():
    for x, y in samples().epoch(3):
        assert x[:, 0].tolist() == y.tolist()


@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 99))
def test_processes_share_each_batch_in_equal_parts(size, part, draw):
    whole = labels(samples(40, size * part), draw)
    shares = [
        labels(samples(40, size * part, World(r, size, ALONE.device)), draw) for r in range(size)
    ]
    for batch, *parts in zip(whole, *shares, strict=True):
        assert sorted(chain(*parts)) == sorted(batch)
        assert {len(each) for each in parts} == {part}


@given(st.integers(0, 4), st.integers(0, 4), st.booleans())
def test_moved_images_are_cut_from_a_border_of_zeros_and_then_mirrored(top, left, mirror):
    image = np.random.default_rng(0).random((2, 5, 7)).astype(np.float32)
    moves = torch.tensor([[top, left, int(mirror)]])
    expected = np.pad(image, ((0, 0), (2, 2), (2, 2)))[:, top : top + 5, left : left + 7]
    expected = expected[:, :, ::-1] if mirror else expected
    got = moved(torch.from_numpy(image[None]), moves, 2)[0].numpy()
    np.testing.assert_array_equal(got, expected)


def test_training_images_are_moved_and_test_images_are_not():
    x, y = images(16)
    training = Training((x, y), (x, y), shift=1, mirror=True)
    moving, still = (
        training_samples(GRAPH, training, 16, ALONE),
        measuring_samples(GRAPH, training, ALONE),
    )
    kept = [np.array_equal(a, b) for a, b in zip(epoch(still), x, strict=True)]
    changed = [not (x == each).all(axis=(1, 2, 3)).any() for each in epoch(moving)]
    assert all(kept)
    assert 8 < sum(changed) <= 16  # 1 in 18 stays where it is
    np.testing.assert_array_equal(epoch(moving), epoch(moving))
    assert not np.array_equal(epoch(moving), epoch(moving, 1))


def epoch(one, draw=0):
    return torch.cat([x for x, _ in one.epoch(draw)]).numpy()


def loader(count=23, batch=5, **options):
    x, _ = images(count)
    numbered = torch.arange(count) % 3
    return DataLoader(TensorDataset(torch.from_numpy(x), numbered), batch, **options)


@pytest.mark.parametrize("own", [None, torch.Generator()])
def test_the_draw_decides_the_order_of_a_loader(own):
    one = training_samples(GRAPH, Training(loader(shuffle=True, generator=own)), 5, ALONE)
    np.testing.assert_array_equal(epoch(one, 7), epoch(one, 7))
    assert not np.array_equal(epoch(one, 7), epoch(one, 8))


@pytest.mark.parametrize("count", [23, 21, 20])
def test_processes_take_equal_parts_of_the_batches_of_a_loader_to_train(count):
    parts = [
        [
            len(y)
            for _, y in training_samples(
                GRAPH, Training(loader(count)), 5, World(r, 2, ALONE.device)
            ).epoch(0)
        ]
        for r in range(2)
    ]
    assert parts[0] == parts[1] == [2] * (count // 5) + [1] * (count % 5 > 1)


def test_processes_leave_no_sample_of_a_loader_out_to_measure():
    worlds = [World(r, 2, ALONE.device) for r in range(2)]
    parts = [measuring_samples(GRAPH, Training((), loader()), world) for world in worlds]
    assert sum(len(y) for part in parts for _, y in part.epoch(0)) == 23


def test_a_loader_that_shares_is_told_the_epoch_and_not_cut():
    one = SharingLoader()
    found = training_samples(GRAPH, Training(one), 5, World(1, 2, ALONE.device))
    assert [len(y) for _, y in found.epoch(9)] == [4]
    assert one.told == 9


class SharingLoader:
    """A loader and its sampler in one."""

    def __init__(self):
        self.sampler = self

    def set_epoch(self, number):
        self.told = number

    def __iter__(self):
        return iter([images(4)])


def test_the_digest_is_of_inputs_and_labels():
    x, y = images(8)
    digests = {
        training_samples(GRAPH, Training(pair), 4, ALONE).digest()
        for pair in ((x, y), (x + 1, y), (x, (y + 1) % 3))
    }
    assert len(digests) == 3
