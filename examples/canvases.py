"""Scenes to look at: digits and garments somewhere on a canvas, and photographs of flowers.

Scenes are made batch by batch and never lie in memory together. Those of training are new in every
epoch; those of tests are the same each time. What is drawn follows "Multi-Glimpse Network" (Tan et
al., 2021) for digits: 28 x 28 pixels anywhere on 112 x 112, with Gaussian noise, clipped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
import data  # noqa: E402  (it lies in the benchmarks, not in the package)

Reals = NDArray[np.float32]
Drawn = Callable[[NDArray[np.uint8], np.random.Generator], Reals]
BATCH = 100
WATCHED = 1000
"""Test images that are looked at after each epoch."""
NOISE = 0.1
"""Standard deviation of the noise on a canvas, of pixels 0 to 1."""
TRAINING = ("train", "close")
CLUTTER = 6
"""Pieces of other garments around one."""


@dataclass(frozen=True)
class Scenes:
    """Batches ``(x, y)``: x float32 ``(BATCH, c, h, w)`` in 0..1, drawn of images by ``draw``.

    With ``seed`` every pass over them is the same; without, torch's seed decides.
    """

    images: NDArray[np.uint8]
    labels: NDArray[Any]
    draw: Drawn
    seed: int | None = None

    @property
    def samples(self) -> int:
        """How many scenes a pass has."""
        return len(self) * BATCH if self.seed is None else len(self.labels)

    def __len__(self) -> int:
        full, rest = divmod(len(self.labels), BATCH)
        return full + bool(rest and self.seed is not None)

    def __iter__(self) -> Iterator[tuple[Reals, NDArray[Any]]]:
        seed = int(torch.randint(2**62, ())) if self.seed is None else self.seed
        rng = np.random.default_rng(seed)
        order = np.arange(len(self.labels))
        if self.seed is None:
            rng.shuffle(order)
        for index in range(len(self)):
            part = order[index * BATCH : (index + 1) * BATCH]
            yield self.draw(self.images[part], rng), self.labels[part].astype(np.int64)

    def first(self, count: int) -> tuple[Reals, NDArray[Any]]:
        """The first scenes of a pass of their own."""
        chosen = Scenes(self.images[:count], self.labels[:count], self.draw, 0)
        x, y = zip(*chosen, strict=True)
        return np.concatenate(x), np.concatenate(y)


def on_canvas(side: int, clutter: int, noise: float) -> Drawn:
    """Images somewhere on a black canvas, pieces of others around them, noise over all."""

    def draw(images: NDArray[np.uint8], rng: np.random.Generator) -> Reals:
        own = images.shape[2]
        found = np.zeros((len(images), 1, side, side), np.float32)
        for canvas, image in zip(found, images, strict=True):
            for _ in range(clutter):
                piece = images[rng.integers(len(images)), 0]
                _put(canvas[0], _piece(piece, rng), rng)
            top, left = rng.integers(0, side - own + 1, 2)
            place = canvas[0, top : top + own, left : left + own]
            np.copyto(place, image[0] / np.float32(255), where=image[0] > 0)
        if noise:
            found += noise * rng.standard_normal(found.shape, np.float32)
        return as_pixels(found)

    return draw


def _piece(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    size = len(image) // 3
    top, left = rng.integers(0, len(image) - size + 1, 2)
    return image[top : top + size, left : left + size]


def _put(canvas: Reals, piece: NDArray[np.uint8], rng: np.random.Generator) -> None:
    size = len(piece)
    top, left = rng.integers(0, len(canvas) - size + 1, 2)
    canvas[top : top + size, left : left + size] = piece / np.float32(255)


def as_pixels(images: Reals) -> Reals:
    """Clipped, and rounded to what a camera gives: 256 levels."""
    return np.rint(np.clip(images, 0, 1) * 255).astype(np.float32) / 255


def close_up(draw: Callable[[int], Drawn], least: int, most: int, look: int) -> Drawn:
    """Canvases of ``least`` to ``most`` pixels, the same for a batch, as a look would see them."""

    def drawn(images: NDArray[np.uint8], rng: np.random.Generator) -> Reals:
        return resized(draw(int(rng.integers(least, most + 1)))(images, rng), look)

    return drawn


def resized(images: Reals, side: int) -> Reals:
    """Images with as many samples a side, bilinear, edges included."""
    given = torch.from_numpy(images)
    size = (side, side)
    found: Reals = torch.nn.functional.interpolate(
        given, size, mode="bilinear", align_corners=True
    ).numpy()
    return found


def part(images: NDArray[np.uint8], rng: np.random.Generator) -> Reals:
    """Photographs as ``mirrored``, of each a part of a third to all of its sides, 48 x 48."""
    whole, side = mirrored(images, rng), images.shape[2]
    size = int(rng.integers(side // 3, side + 1))
    moves = rng.integers(0, side - size + 1, (len(images), 2))
    cut = [each[:, y : y + size, x : x + size] for each, (y, x) in zip(whole, moves, strict=True)]
    return resized(np.stack(cut), 48)


def mirrored(images: NDArray[np.uint8], rng: np.random.Generator) -> Reals:
    """Photographs, half of them mirrored, up to 12 pixels away, a fifth lighter or darker."""
    flip = rng.random(len(images)) < 0.5
    turned = np.where(flip[:, None, None, None], images[..., ::-1], images)
    padded = np.pad(turned, ((0, 0), (0, 0), (12, 12), (12, 12)), mode="reflect")
    side = images.shape[2]
    moves = rng.integers(0, 25, (len(images), 2))
    cut = [each[:, y : y + side, x : x + side] for each, (y, x) in zip(padded, moves, strict=True)]
    light = rng.uniform(0.8, 1.2, (len(images), 1, 1, 1)).astype(np.float32)
    return np.clip(np.stack(cut) / np.float32(255) * light, 0, 1)


def plain(images: NDArray[np.uint8], rng: np.random.Generator) -> Reals:
    """Photographs as they are."""
    return images / np.float32(255)


def digits(split: str) -> Scenes:
    """MNIST on 112 x 112 with noise.

    Splits are ``train``, ``test``, the ``watched`` first of the test, and ``close``: training
    images as a good look sees them.
    """
    close = close_up(lambda side: on_canvas(side, 0, NOISE), 28, 56, 28)
    return _placed("mnist", split, 1, close if split == "close" else on_canvas(112, 0, NOISE))


def garments(split: str) -> Scenes:
    """Fashion-MNIST, twice as large, among pieces of others on 128 x 128; splits as of digits."""
    close = close_up(lambda side: on_canvas(side, 1, 0.0), 56, 68, 32)
    draw = close if split == "close" else on_canvas(128, CLUTTER, 0.0)
    return _placed("fashion_mnist", split, 2, draw)


def _placed(name: str, split: str, zoom: int, draw: Drawn) -> Scenes:
    images, labels = _small(name, split in TRAINING, zoom)
    count = WATCHED if split == "watched" else len(labels)
    return Scenes(images[:count], labels[:count], draw, None if split in TRAINING else 1)


@cache
def _small(name: str, train: bool, zoom: int) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    images, labels = data.digits(name, "train" if train else "t10k")
    pixels = np.rint(images * 255).astype(np.uint8)
    return pixels.repeat(zoom, axis=2).repeat(zoom, axis=3), labels


def flowers(split: str) -> Scenes:
    """Photographs of five kinds of flowers, 128 x 128: 3,262 to train with, 644 to test."""
    images, labels = data.flowers("train" if split in TRAINING else "test")
    if split in TRAINING:
        return Scenes(images, labels, part if split == "close" else mirrored)
    return Scenes(images, labels, plain, 1)
