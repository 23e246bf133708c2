"""Throughput of the simulator beside onnxruntime int8 on the same networks, one thread.

    python benchmarks/simulator.py [--json] [--line lenet|resnet20]

Both run in one process, alternated, and only the ratio of a pair of neighbouring runs is used.
onnxruntime gets the float network quantized by its own static quantizer (QDQ, u8 activations, s8
weights per channel, calibrated on the same images).
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from data import ASSETS
from networks import Case, lenet, resnet20, resnet_module
from report import Figure, main

ROUNDS = 15


def quantized_by_onnxruntime(case: Case, source: Path, target: Path) -> None:
    """Write the int8 QDQ model that onnxruntime makes of a float one."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Calibration batches of 64."""

        def __init__(self) -> None:
            self.batches: Iterator[np.ndarray] = iter(np.split(case.calibration, 16))

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {case.graph.inputs[0].name: batch}

    logging.disable(logging.WARNING)
    quantize_static(
        str(source),
        str(target),
        Reader(),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )


def onnxruntime_runner(case: Case, source: Path) -> Callable[[np.ndarray], object]:
    """A function that runs the quantized model on one thread."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "int8.onnx"
        quantized_by_onnxruntime(case, source, target)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            target.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})


def export_resnet20(folder: Path) -> Path:
    """ResNet-20 as a float ONNX file with a symbolic batch."""
    import torch

    path = folder / "resnet20.onnx"
    torch.onnx.export(
        resnet_module(),
        (torch.zeros(2, 3, 32, 32),),
        path,
        input_names=[resnet20().graph.inputs[0].name],
        dynamic_axes={resnet20().graph.inputs[0].name: {0: "n"}},
        dynamo=False,
    )
    return path


def compare(case: Case, source: Path) -> list[Figure]:
    """Images per second of both at batch 1 and 64, and the median ratio with its spread."""
    network = case.compile()
    theirs = onnxruntime_runner(case, source)
    figures = []
    for batch in (1, 64):
        images = case.images[:batch]
        ours = partial(network.simulate, network.encode(images))
        pairs = alternate(ours, partial(theirs, images))
        figures += figures_of(f"{case.name} batch {batch}", batch, pairs)
    return figures


def figures_of(label: str, batch: int, pairs: np.ndarray) -> list[Figure]:
    """Images per second of both, and the ratio of neighbouring runs with its spread."""
    ours, peer = batch / np.median(pairs, axis=0)
    low, middle, high = np.percentile(pairs[:, 1] / pairs[:, 0], [10, 50, 90])
    return [
        Figure(f"{label}: intaglio", float(ours), "img/s"),
        Figure(f"{label}: onnxruntime int8", float(peer), "img/s"),
        Figure(f"{label}: ratio, median", float(middle), "x"),
        Figure(f"{label}: ratio, 10th percentile", float(low), "x"),
        Figure(f"{label}: ratio, 90th percentile", float(high), "x"),
    ]


def alternate(first: Callable[[], object], second: Callable[[], object]) -> np.ndarray:
    """Seconds per call ``(ROUNDS, 2)``, the two in turn; each sample repeats for about 20 ms."""
    both = [(call, repeats_for(call)) for call in (first, second)]
    return np.array([[timed(call, count) for call, count in both] for _ in range(ROUNDS)])


def repeats_for(call: Callable[[], object]) -> int:
    """Calls that take about 20 ms, after a warm-up."""
    call()
    return max(1, round(0.02 / max(timed(call, 3), 1e-6)))


def timed(call: Callable[[], object], repeats: int) -> float:
    """Seconds per call, of this thread."""
    start = time.thread_time()
    for _ in range(repeats):
        call()
    return (time.thread_time() - start) / repeats


def line_lenet() -> list[Figure]:
    """LeNet-5 on Fashion-MNIST."""
    return compare(lenet("fashion_mnist"), ASSETS / "lenet5-fashion-mnist.onnx")


def line_resnet20() -> list[Figure]:
    """ResNet-20 on CIFAR-10."""
    with tempfile.TemporaryDirectory() as folder:
        return compare(resnet20(), export_resnet20(Path(folder)))


LINES = {"lenet": line_lenet, "resnet20": line_resnet20}

if __name__ == "__main__":
    main("Simulator beside onnxruntime int8, one thread", LINES)
