"""Line 4 of packing: exports to C and ONNX against the simulator, code by code."""

from __future__ import annotations

import lzma
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from data import cifar10, digits, folder
from numpy.typing import NDArray
from report import ROOT, Figure

import intaglio
from intaglio.backends.export_c.sources import c_sources
from intaglio.frontend.onnx_export.export import onnx_bytes
from intaglio.ir.layout import to_storage

IMAGES, BATCH = 1000, 100
STRICT = "-std=c99 -Wall -Wextra -Werror -pedantic".split()  # noqa: SIM905
BUILDS = {
    "gcc -O3": ["-O3"],
    "gcc -fsanitize=address,undefined": [
        *("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover"),
    ],
}
Codes = NDArray[np.integer]


def networks() -> dict[str, tuple[intaglio.Network, Codes]]:
    """LeNet-5, ResNet-20 and a network from QONNX, with the codes of a thousand images."""
    mnist = digits("mnist", "t10k")[0][:IMAGES]
    cifar = ((cifar10("test")[0][:IMAGES] - 0.473) / 0.251).astype(np.float32)
    qonnx = intaglio.compile(onnx.load(folder() / "models" / "qonnx" / "TFC_2W2A.onnx"))
    found = {
        "LeNet-5 71x": (_blob("lenet-admm-71x-s0"), mnist),
        "LeNet-5 dense": (_blob("lenet-dense-s0"), mnist),
        "ResNet-20 4x": (_blob("resnet20-4x-s0"), cifar),
        "TFC_2W2A from QONNX": (qonnx, mnist),
    }
    return {name: (net, next(iter(net.encode(x).values()))) for name, (net, x) in found.items()}


def _blob(name: str) -> intaglio.Network:
    path = ROOT / "examples" / "results" / f"{name}.intg.xz"
    return intaglio.Network(lzma.decompress(path.read_bytes()))


def exports() -> list[Figure]:
    """Output codes that differ, for each network and way to execute its export."""
    figures = []
    for name, (network, codes) in networks().items():
        expected = np.asarray(network.run(codes))
        for build, flags in BUILDS.items():
            found, seconds, size = by_c(network, codes, flags)
            wrong = int(np.count_nonzero(found.reshape(expected.shape) != expected))
            title = f"{name}, {build}: of {expected.size:,} codes differ"
            figures.append(Figure(title, wrong, "", "==", 0))
            figures.append(Figure(f"{name}, {build}: an image", 1000 * seconds / IMAGES, "ms"))
        figures.append(Figure(f"{name}: net.c", size, "bytes"))
        found = by_onnxruntime(network, codes)
        wrong = int(np.count_nonzero(found != expected))
        title = f"{name}, onnxruntime: of {expected.size:,} codes differ"
        figures.append(Figure(title, wrong, "", "==", 0))
    return figures


def by_c(network: intaglio.Network, codes: Codes, flags: list[str]) -> tuple[Codes, float, int]:
    """The codes of the compiled C export, the seconds it took, and bytes of its source."""
    slot, out = network.inputs[0], network.outputs[0]
    stored = to_storage(codes.astype(slot.type.dtype.container)).tobytes()
    with tempfile.TemporaryDirectory() as made:
        for name, text in c_sources(network.program).items():
            (Path(made) / name).write_text(text)
        command = ["gcc", *STRICT, *flags, "-o", "net", "main.c", "net.c"]
        subprocess.run(command, cwd=made, check=True)
        began = time.perf_counter()
        done = subprocess.run([f"{made}/net"], input=stored, capture_output=True, check=True)
        seconds = time.perf_counter() - began
        size = (Path(made) / "net.c").stat().st_size
    return np.frombuffer(done.stdout, out.type.dtype.container), seconds, size


def by_onnxruntime(network: intaglio.Network, codes: Codes) -> Codes:
    """The codes of the ONNX export."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    model = onnx_bytes(network.program)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    slot = network.inputs[0]
    given = codes.astype(slot.type.dtype.container)
    parts = np.array_split(given, len(given) // BATCH)
    return np.concatenate([session.run(None, {slot.name: part})[0] for part in parts])
