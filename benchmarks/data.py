"""Data sets and trained models for the benchmarks; where to get them: docs/data.md."""

from __future__ import annotations

import io
import lzma
import os
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.uint8]
ASSETS = Path(__file__).resolve().parent.parent / "examples" / "assets"


def folder() -> Path:
    """The data folder: ``INTAGLIO_DATA``, else ``../shared/data`` beside the checkout."""
    beside = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    return Path(os.environ.get("INTAGLIO_DATA", beside))


def idx(path: Path) -> Array:
    """The array of an idx file, xz-compressed."""
    raw = lzma.decompress(path.read_bytes())
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(raw[3])]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def digits(name: str, split: str) -> tuple[NDArray[np.float32], Array]:
    """Images ``(n, 1, 28, 28)`` in 0..1 and labels of ``mnist`` or ``fashion_mnist``."""
    images = idx(folder() / name / f"{split}-images-idx3-ubyte.xz")
    labels = idx(folder() / name / f"{split}-labels-idx1-ubyte.xz")
    return images[:, None].astype(np.float32) / 255, labels


def flowers(split: str) -> tuple[Array, NDArray[np.int64]]:
    """Photographs ``(n, 3, 128, 128)`` of flowers and labels, classes in order of name.

    Splits are ``train``, ``val`` and ``test``.
    """
    from PIL import Image

    with zipfile.ZipFile(folder() / "flowers128" / "flowers128.zip") as held:
        names = sorted(each for each in held.namelist() if each.endswith(".jpg"))
        kinds = sorted({name.split("/")[-2] for name in names})
        own = [name for name in names if name.split("/")[-3] == split]
        images = [
            np.asarray(Image.open(io.BytesIO(held.read(name))).convert("RGB")) for name in own
        ]
    labels = np.array([kinds.index(name.split("/")[-2]) for name in own])
    return np.stack(images).transpose(0, 3, 1, 2), labels


def cifar10(split: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """CIFAR-10 images ``(n, 3, 32, 32)`` in 0..1 and labels: ``train1`` .. ``train5``, ``test``."""
    original = folder() / "cifar10" / f"{split.replace('train', 'data_batch_')}.bin"
    if split == "test":
        original = original.with_name("test_batch.bin")
    if original.exists():
        rows = np.frombuffer(original.read_bytes(), np.uint8).reshape(-1, 3073)
        return rows[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / 255, rows[:, 0].astype(int)
    images = _cifar_xz(folder() / "cifar10" / f"{split}.grad.xz")
    labels = np.load(folder() / "cifar10" / "labels.npz")
    part = labels["test"] if split == "test" else np.split(labels["train"], 5)[int(split[-1]) - 1]
    return images.astype(np.float32) / 255, part.astype(int)


def _cifar_xz(path: Path) -> Array:
    """Images stored as differences along both axes and of the colours, xz-compressed."""
    raw = np.frombuffer(lzma.decompress(path.read_bytes()), np.uint8).reshape(-1, 3, 32, 32)
    images = raw.cumsum(2, dtype=np.uint8).cumsum(3, dtype=np.uint8)
    images[:, 0] += images[:, 1]
    images[:, 2] += images[:, 1]
    return images
