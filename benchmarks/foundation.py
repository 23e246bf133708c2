"""The figures that the foundation promises, measured anew.

    python benchmarks/foundation.py [--json] [--line N]

Line 1 clones the repository and installs it twice, which takes minutes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import simulator
from networks import Case, accuracy, lenet, resnet20
from report import ROOT, Figure, main

from intaglio import Network
from intaglio.backends.reference import run_reference

LENET_WEIGHTS = 61_470
TRACED = 100


def line_1() -> list[Figure]:
    """A fresh clone: make demo, the demo cold and warm, make test, what the core holds."""
    with tempfile.TemporaryDirectory() as temporary:
        clone = Path(temporary) / "intaglio"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        made, demo = seconds(["make", "demo"], clone)
        python = clone / ".venv-demo" / "bin" / "python"
        forget_compiled(clone / ".venv-demo")
        command = [str(python), "-m", "intaglio", "demo", "--no-open", "--json"]
        outside = Path(temporary)
        cold_ok, cold = seconds(command, outside)
        warm_ok, warm = seconds(command, outside)
        torch = subprocess.run([python, "-c", "import torch"], capture_output=True, cwd=outside)
        light, import_seconds = light_import(python, outside)
        tested, test = seconds(["make", "test"], clone)
    return [
        Figure("make demo succeeds from nothing", made, "", "==", 1),
        Figure("make demo with its installation", demo, "s", "<="),
        Figure("intaglio demo, cold JIT", cold if cold_ok else np.inf, "s", "<=", 60),
        Figure("intaglio demo, second run", warm if warm_ok else np.inf, "s", "<=", 15),
        Figure("make test is green from nothing", tested, "", "==", 1),
        Figure("make test with its installation", test, "s", "<=", 600 + 300),
        Figure("core environment holds torch", torch.returncode == 0, "", "==", 0),
        Figure("import intaglio, median of 9", import_seconds, "s", "<=", 0.3),
        Figure("import brings torch, onnx or numba", light, "", "==", 0),
    ]


def seconds(command: list[str], folder: Path) -> tuple[bool, float]:
    """Whether the command succeeds, and its wall time."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
    return done.returncode == 0, time.perf_counter() - start


def forget_compiled(environment: Path) -> None:
    """Delete the compiled kernels of an environment."""
    for cache in environment.rglob("*.nb[ci]"):
        cache.unlink()


def light_import(python: Path, folder: Path) -> tuple[int, float]:
    """How many heavy packages ``import intaglio`` brings, and the median seconds it takes."""
    code = (
        "import time, sys; t = time.perf_counter(); import intaglio; "
        "print(time.perf_counter() - t, sum(m in sys.modules for m in ('torch','onnx','numba')))"
    )
    rows = []
    for _ in range(9):
        done = subprocess.run([python, "-c", code], cwd=folder, capture_output=True, text=True)
        rows.append([float(each) for each in done.stdout.split()])
    return int(max(row[1] for row in rows)), float(np.median([row[0] for row in rows]))


def line_2() -> list[Figure]:
    """LeNet-5: accuracy, and equality of simulator and reference."""
    figures = []
    for dataset in ("mnist", "fashion_mnist"):
        case = lenet(dataset)
        real = case.float_accuracy()
        figures.append(Figure(f"{case.name}: float", real, "%"))
        for bits, allowed in ((8, 0.10), (4, 0.3)):
            figures += accuracy_and_equality(case, bits, real, allowed)
    return figures


def accuracy_and_equality(case: Case, bits: int, real: float, allowed: float) -> list[Figure]:
    """Loss of accuracy at these weight bits, and mismatches at the output and at every layer."""
    network = case.compile(weight_bits=bits)
    codes = np.asarray(network.run(case.images))
    name = f"{case.name} W{bits}A8"
    return [
        Figure(f"{name}: integer", accuracy(codes, case.labels), "%"),
        Figure(f"{name}: loss", loss(real, accuracy(codes, case.labels)), "points", "<=", allowed),
        Figure(
            f"{name}: outputs unequal to the reference, {len(codes)} images",
            unequal_outputs(network, case, codes),
            "",
            "==",
            0,
        ),
        Figure(
            f"{name}: codes compared equal at every layer, {TRACED} images",
            network.check(case.images[:TRACED]),
        ),
    ]


def loss(real: float, integer: float) -> float:
    """Points lost, to the 0.01 that 10,000 images resolve."""
    return round(real - integer, 2)


def unequal_outputs(network: Network, case: Case, codes: np.ndarray, batch: int = 250) -> int:
    """Output codes that differ from the reference's over all test images."""
    count = 0
    for start in range(0, len(codes), batch):
        encoded = network.encode(case.images[start : start + batch])
        (expected,) = run_reference(network.program, encoded).values()
        count += int(np.count_nonzero(expected != codes[start : start + batch]))
    return count


def line_3() -> list[Figure]:
    """ResNet-20 on CIFAR-10 by calibration alone."""
    case = resnet20()
    real = case.float_accuracy()
    figures = [Figure(f"{case.name}: float", real, "%")]
    for bits, allowed in ((8, 0.5), (4, 2.5)):
        network = case.compile(weight_bits=bits)
        codes = np.asarray(network.run(case.images))
        integer = accuracy(codes, case.labels)
        figures += [
            Figure(f"{case.name} W{bits}A8: integer, {len(codes)} images", integer, "%"),
            Figure(f"{case.name} W{bits}A8: loss", loss(real, integer), "points", "<=", allowed),
        ]
    return figures


def line_4() -> list[Figure]:
    """Certificates of every network above, and the test that breaks one."""
    networks = [
        (case.name, bits, case.compile(weight_bits=bits))
        for case in (lenet("mnist"), lenet("fashion_mnist"), resnet20())
        for bits in (8, 4)
    ]
    figures = []
    for name, bits, network in networks:
        proofs = network.certificates.values()
        proved = sum(proof.proved for proof in proofs)
        label = f"{name} W{bits}A8: rescalings without proof, of {len(proofs)}"
        figures.append(Figure(label, len(proofs) - proved, "", "==", 0))
    passed, failed = run_tests("tests/passes/test_certify.py")
    return [
        *figures,
        Figure("tests of certificates that pass, broken ones among them", passed),
        Figure("tests of certificates that fail", failed, "", "==", 0),
    ]


def run_tests(*selection: str) -> tuple[int, int]:
    """Passed and failed tests of a selection."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *selection]
        subprocess.run(command, cwd=ROOT, capture_output=True)
        from xml.etree import ElementTree

        suite = ElementTree.parse(report).getroot()[0].attrib
    bad = int(suite["failures"]) + int(suite["errors"])
    return int(suite["tests"]) - bad - int(suite["skipped"]), bad


ISOLATED = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnx"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
import numpy, intaglio
net = intaglio.load(sys.argv[1])
numpy.save(sys.argv[2], net.run(numpy.load(sys.argv[3])).codes)
"""


def line_5() -> list[Figure]:
    """The blob alone: without torch and onnx, and its size at five weight widths."""
    case = lenet("fashion_mnist")
    figures = [Figure("images wrong without torch and onnx", isolated_errors(case), "", "==", 0)]
    for bits in (8, 4, 3, 2, 1):
        size = len(case.compile(weight_bits=bits).blob)
        limit = LENET_WEIGHTS * bits / 8 + 4096
        figures.append(Figure(f"LeNet-5 blob, {bits}-bit weights", size, "B", "<=", limit))
    return figures


def isolated_errors(case: Case) -> int:
    """Output codes that differ when the blob runs where importing torch or onnx raises."""
    network = case.compile()
    with tempfile.TemporaryDirectory() as folder:
        blob, out, images = (str(Path(folder) / name) for name in ("n.intg", "y.npy", "x.npy"))
        network.save(blob)
        np.save(images, case.images)
        command = [sys.executable, "-c", ISOLATED, blob, out, images]
        subprocess.run(command, check=True, cwd=folder)
        return int(np.count_nonzero(np.load(out) != np.asarray(network.run(case.images))))


def line_6() -> list[Figure]:
    """Bad input: every case is a test of the full text of its error."""
    passed, failed = run_tests("tests/test_bad_input.py")
    return [
        Figure("bad inputs refused with the text the tests state", passed, "", ">=", 14),
        Figure("bad inputs that are not", failed, "", "==", 0),
    ]


def line_7() -> list[Figure]:
    """Throughput beside onnxruntime int8: recorded, no aim."""
    return [figure for measure in simulator.LINES.values() for figure in measure()]


LINES = {
    "1": line_1,
    "2": line_2,
    "3": line_3,
    "4": line_4,
    "5": line_5,
    "6": line_6,
    "7": line_7,
}

if __name__ == "__main__":
    main("Foundation", LINES)
