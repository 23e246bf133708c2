"""The demonstration: LeNet-5 on Fashion-MNIST, from ONNX to integers checked in every layer.

Model and test images lie in the package; nothing is downloaded, torch and onnxruntime are not
needed.
"""

from __future__ import annotations

import lzma
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from . import api
from .errors import InternalError, MismatchError
from .frontend.compare import Comparison, compare_onnx
from .ir.evaluate import evaluate
from .ir.graph import Graph
from .ir.numeric import Array
from .passes.base import Progress, silent

MODEL = "lenet5-fashion-mnist.onnx"
IMAGES, LABELS = "fashion-mnist-t10k-images-idx3-ubyte", "fashion-mnist-t10k-labels-idx1-ubyte"
CLASSES = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
CALIBRATION = 512
"""The first test images calibrate: no training images are shipped."""
CHECKED = 2_000
"""Images on which every layer is compared with the reference, which takes its time."""
BATCH = 500


@dataclass(frozen=True, slots=True)
class Score:
    """Correct predictions of the float and the integer network among ``images``."""

    images: int
    float_correct: int
    integer_correct: int

    @property
    def float_accuracy(self) -> float:
        """Part of the images that the float network gets right."""
        return self.float_correct / self.images

    @property
    def integer_accuracy(self) -> float:
        """Part of the images that the integer network gets right."""
        return self.integer_correct / self.images


@dataclass(frozen=True)
class Demo:
    """What the demonstration found; predictions are class numbers ``(n,)``."""

    graph: Graph
    network: api.Network
    comparison: Comparison
    images: Array
    labels: Array
    float_predictions: Array
    predictions: Array
    checked_images: int
    checked_codes: int
    seconds: Mapping[str, float]

    @property
    def score(self) -> Score:
        """On all images."""
        return self._score(0)

    @property
    def unseen_score(self) -> Score:
        """On the images that did not calibrate."""
        return self._score(CALIBRATION)

    def _score(self, start: int) -> Score:
        truth = self.labels[start:]
        hits = ((p[start:] == truth).sum() for p in (self.float_predictions, self.predictions))
        return Score(len(truth), *map(int, hits))

    @property
    def float_bytes(self) -> int:
        """Bytes of the constants of the float network."""
        return sum(tensor.array.nbytes for tensor in self.graph.constants.values())


@dataclass
class Clock:
    """Seconds that each named step took."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Time what happens inside ``with clock(step):``."""
        start = time.perf_counter()
        yield
        self.seconds[step] = time.perf_counter() - start


def run_demo(weight_bits: int = 4, count: int = 10_000, progress: Progress = silent) -> Demo:
    """Compile the network, run it on the first ``count`` test images and check its layers.

    Raises MismatchError when simulator and reference differ anywhere.
    """
    clock = Clock()
    with clock("read data"):
        images, labels = load_images(count)
        inputs = images[:, None].astype(np.float32) / 255
    with clock("import"):
        graph, comparison = _import(inputs[:4])
    with clock("compile"):
        network = api.compile(
            graph, inputs[:CALIBRATION], weight_bits=weight_bits, progress=progress
        )
    with clock("write and load"):
        network = _through_file(network)
    with clock("run integers"):
        codes = _run(network, inputs, progress)
    with clock("run float"):
        logits = _run_float(graph, inputs, progress)
    with clock("check"):
        checked_codes = _check(network, inputs[:CHECKED], codes[:CHECKED], progress)
    return Demo(
        graph=graph,
        network=network,
        comparison=comparison,
        images=images,
        labels=labels,
        float_predictions=logits.argmax(axis=1),
        predictions=codes.argmax(axis=1),
        checked_images=len(inputs[:CHECKED]),
        checked_codes=checked_codes,
        seconds=clock.seconds,
    )


def load_images(count: int) -> tuple[Array, Array]:
    """Images ``(n, 28, 28)`` uint8 and labels ``(n,)`` uint8 of the Fashion-MNIST test set."""
    return _read_idx(IMAGES)[:count], _read_idx(LABELS)[:count]


def _read_idx(name: str) -> Array:
    data = lzma.decompress(_asset(f"{name}.xz").read_bytes())
    start = 4 + 4 * data[3]
    shape = np.frombuffer(data[4:start], ">u4").tolist()
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _asset(name: str) -> Any:
    asset = files(__package__).joinpath("examples", "assets", name)
    if not asset.is_file():
        raise InternalError(f"The package lacks '{name}'.", fix="Install intaglio again.")
    return asset


def _import(samples: Array) -> tuple[Graph, Comparison]:
    with as_file(_asset(MODEL)) as path:
        graph = api.import_model(path)
        return graph, compare_onnx(path, graph, {api.only_input(graph): samples})


def _through_file(network: api.Network) -> api.Network:
    """The network as a blob file gives it back."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "lenet5.intg")
        network.save(path)
        return api.load(path)


def _run(network: api.Network, inputs: Array, progress: Progress) -> Array:
    found = network.run(inputs, lambda done, total: progress("Run integers", done, total))
    return np.asarray(found)


def _run_float(graph: Graph, inputs: Array, progress: Progress) -> Array:
    name, (output,) = api.only_input(graph), graph.outputs
    parts = [
        evaluate(graph, {name: inputs[part]})[output]
        for part in _batches(len(inputs), "Run float", progress)
    ]
    return np.concatenate(parts)


def _batches(count: int, label: str, progress: Progress) -> Iterator[slice]:
    for start in range(0, count, BATCH):
        yield slice(start, start + BATCH)
        progress(label, min(start + BATCH, count), count)


def _check(network: api.Network, inputs: Array, codes: Array, progress: Progress) -> int:
    """Codes compared with the reference: every layer of every given image.

    Also that ``codes``, which came from a run without traces, are those of the traced run.
    """
    name, checked = network.outputs[0].name, 0
    for part in _batches(len(inputs), "Check every layer", progress):
        checked += network.check(inputs[part])
        if not np.array_equal(codes[part], network.trace(inputs[part])[name].codes):
            raise MismatchError(
                "A run with a trace gives other codes than one without.",
                where=f"Images {part.start}..{part.stop}",
            )
    return checked
