"""Exports as ONNX: codes of whole networks by onnxruntime, which shares no code with intaglio.

python benchmarks/packing_onnx.py [--json]
"""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import onnxruntime
from data import ASSETS, cifar10, digits, folder
from numpy.typing import NDArray
from report import Figure, main

import intaglio
from intaglio.frontend.onnx_export.export import onnx_bytes

IMAGES, BATCH = 1000, 100
RESULTS = ASSETS.parent / "results"
LENET = "lenet-admm-71x-s0"
RESNETS = ("resnet20-4x-s0", "resnet20-structured-2x-s0")
QONNX = "TFC_2W2A"
Reals = NDArray[np.float32]


def onnx_export_lines() -> list[Figure]:
    """Output codes of compiled networks that differ in onnxruntime: none may."""
    mnist = digits("mnist", "t10k")[0][:IMAGES]
    cifar = ((cifar10("test")[0][:IMAGES] - 0.473) / 0.251).astype(np.float32)
    qonnx = intaglio.compile(folder() / "models" / "qonnx" / f"{QONNX}.onnx")
    cases = [
        (LENET, blob(RESULTS / f"{LENET}.intg.xz"), mnist),
        *((name, blob(RESULTS / f"{name}.intg.xz"), cifar) for name in RESNETS),
        (f"QONNX {QONNX}", qonnx, mnist),
    ]
    return [figure for case in cases for figure in compared(*case)]


def blob(path: Path) -> intaglio.Network:
    """The network of a .intg.xz file."""
    return intaglio.Network(lzma.decompress(path.read_bytes()))


def compared(name: str, network: intaglio.Network, images: Reals) -> list[Figure]:
    """How many output codes there are, and how many differ."""
    codes = network.encode(images)
    expected, found = network.simulate(codes), executed(onnx_bytes(network.program), codes)
    total = sum(array.size for array in expected.values())
    unequal = sum(int(np.count_nonzero(found[k] != array)) for k, array in expected.items())
    return [
        Figure(f"{name}: output codes compared, {len(images)} images", total),
        Figure(f"{name}: codes that differ in onnxruntime", unequal, "", "==", 0),
    ]


def executed(model: bytes, codes: dict[str, NDArray[np.integer]]) -> dict[str, NDArray[np.integer]]:
    """The outputs by onnxruntime on the CPU, in batches."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    parts = [
        session.run(None, {name: array[start : start + BATCH] for name, array in codes.items()})
        for start in range(0, IMAGES, BATCH)
    ]
    names = [each.name for each in session.get_outputs()]
    return {name: np.concatenate([part[i] for part in parts]) for i, name in enumerate(names)}


if __name__ == "__main__":
    main("Exports as ONNX", {"4": onnx_export_lines})
