"""The simulator's kernels beside the runtimes people use, as ratios in one run.

    python benchmarks/kernels.py [--json] [--line N]
    python benchmarks/kernels.py --threads 2 --line 1     all on two processors
    python benchmarks/kernels.py --plot race.html         line 1 as a picture

All run in one process on one processor, alternated; a ratio is the median of rounds. OpenVINO is
raced where it is installed (pip install openvino), LiteRT on the TFLite models of docs/data.md: its
converter from PyTorch is not among the requirements. The first run compiles the networks, minutes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from data import folder
from kernel_networks import FOLDER, HALF, NETWORKS, ZEROS, made
from kernel_peers import Run, litert, ours, peers, race, random_codes, ratio
from report import ROOT, Figure, main

import intaglio

BATCHES = (1, 32)
THREADS = int(sys.argv[sys.argv.index("--threads") + 1]) if "--threads" in sys.argv else 1
NOT_INSTALLED = "not installed"
TFLITE = {"ResNet-8": "pretrainedResnet_quant.tflite", "DS-CNN": "kws_ref_model.tflite"}
FEW = {"ResNet-18", "MobileNetV2 224"}
"""Networks that take long: fewer rounds at batch 32."""
NUMBER = re.compile(r"(\d+) passed")


@cache
def raced() -> dict[tuple[str, int], dict[str, tuple[float, float, float]]]:
    """For every network and batch, how many times faster ours is than each peer."""
    pin()
    found = {}
    for name in NETWORKS:
        for batch in BATCHES:
            network = made(name)
            there = peers(network, batch, THREADS)
            runners: dict[str, Run] = {"ours": ours(network.blob, batch, THREADS)}
            runners |= {peer: run for peer, run in there.items() if run is not None}
            seconds = race(runners, 5 if batch > 1 and name in FEW else 15)
            mine = seconds.pop("ours")
            found[name, batch] = {peer: ratio(each, mine) for peer, each in seconds.items()}
            print(f"{name} batch {batch}: {found[name, batch]}", file=sys.stderr, flush=True)
    return found


def pin() -> None:
    """Stay on one processor, or on as many as there are threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-THREADS:])


def line_1() -> list[Figure]:
    """Every network at batch 1 and 32 against each peer, and the best of them."""
    figures, totals = [], defaultdict(list)
    for (name, batch), found in raced().items():
        best = min(found, key=lambda peer: found[peer][0])
        label = f"{name}, batch {batch}"
        figures.append(Figure(f"{label}: to the best, {best}", found[best][0], "x", ">=", 1.0))
        for peer, (middle, low, high) in found.items():
            totals[peer].append(middle)
            figures.append(Figure(f"{label}: to {peer} ({low:.2f} to {high:.2f})", middle, "x"))
    aims = {"onnxruntime int8": 1.2, "OpenVINO int8": 1.0}
    for peer, ratios in totals.items():
        aim = aims.get(peer)
        figures.append(Figure(f"least of all to {peer}", min(ratios), "x", ">=", aim))
    missing = [peer for peer in aims if peer not in totals]
    figures += [Figure(f"least of all to {peer}", None, NOT_INSTALLED) for peer in missing]
    return [*figures, *_to_litert()]


def _to_litert() -> list[Figure]:
    """The TFLite models of MLPerf Tiny, codes in and codes out, in LiteRT's own semantics."""
    figures = []
    for name, file in TFLITE.items():
        path = folder() / "models" / "mlperf_tiny" / file
        for batch in BATCHES:
            label = f"{name} of TFLite, batch {batch}: to LiteRT"
            if not path.exists():
                figures.append(Figure(label, None, "no model: see docs/data.md"))
                continue
            try:
                runners = {"theirs": litert(path, batch, THREADS)}
            except ImportError:
                figures.append(Figure(label, None, NOT_INSTALLED))
                continue
            runners["ours"] = ours(_compiled(path), batch, THREADS)
            seconds = race(runners)
            faster, *_ = ratio(seconds["theirs"], seconds["ours"])
            figures.append(Figure(label, faster, "x", ">=", 1))
    return figures


def _compiled(path: Path) -> Path:
    """The blob of a TFLite model, as LiteRT's default kernels compute it."""
    target = FOLDER / f"{path.stem}.intg"
    if not target.exists():
        FOLDER.mkdir(exist_ok=True)
        intaglio.compile(path, semantics="xnnpack").save(target)
    return target


def line_2() -> list[Figure]:
    """CNV with weights and activations of one bit."""
    from kernel_binary import binary_cnv

    pin()
    network = made("CNV")
    runners = {"one bit": ours(binary_cnv(), 1), "ours": ours(network.blob, 1)}
    runners |= {name: run for name, run in peers(network, 1).items() if run is not None}
    seconds = race(runners)
    mine = seconds.pop("one bit")
    found = {name: ratio(each, mine)[0] for name, each in seconds.items()}
    eighth = {name: value for name, value in found.items() if name.endswith("int8")}
    return [
        Figure("CNV of one bit to our own of 8", found["ours"], "x", ">=", 3),
        Figure("CNV of one bit to onnxruntime int8", found["onnxruntime int8"], "x", ">=", 6),
        Figure("CNV of one bit to the fastest int8 peer", min(eighth.values()), "x", ">=", 1),
        Figure("CNV of one bit to larq-compute-engine", None, _larq()),
    ]


def _larq() -> str:
    """Why larq's kernels were not raced: they come as a converter and runtime for TensorFlow."""
    there = find_spec("larq_compute_engine") is not None
    return "installed, but not raced" if there else NOT_INSTALLED


def line_3() -> list[Figure]:
    """A quarter of the weights left in structures, and zeros without structure."""
    pin()
    whole, half = made("ResNet-18"), made(HALF)
    seconds = race({"whole": ours(whole.blob, 1), "half": ours(half.blob, 1)}, 9)
    faster, low, high = ratio(seconds["whole"], seconds["half"])
    label = f"ResNet-18, half of all filters, a quarter of weights ({low:.2f} to {high:.2f})"
    return [Figure(label, faster, "x", ">=", 3), *_zeros()]


def _zeros() -> list[Figure]:
    """How much faster zeros make ours, and from which share on, of those tried, they do by 5 %."""
    runners = {"none": ours(made("ResNet-20").blob, 32)}
    runners |= {name: ours(made(name).blob, 32) for name in ZEROS}
    seconds = race(runners, 9)
    found = {name: ratio(seconds["none"], seconds[name])[0] for name in ZEROS}
    even = min((ZEROS[name] for name, faster in found.items() if faster > 1.05), default=1.0)
    figures = [Figure(f"{name}: to none", faster, "x") for name, faster in found.items()]
    return [*figures, Figure("zeros without structure from which on it is faster", 100 * even, "%")]


def line_4() -> list[Figure]:
    """Two threads that share 32 samples of ResNet-18."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    blob = made("ResNet-18").blob
    seconds = race({"one": ours(blob, 32), "two": ours(blob, 32, threads=2)}, 7)
    faster, low, high = ratio(seconds["one"], seconds["two"])
    equal = _same_with_threads(blob)
    return [
        Figure(
            f"ResNet-18, batch 32: two threads to one ({low:.2f} to {high:.2f})",
            faster,
            "x",
            ">=",
            1.8,
        ),
        Figure("codes that differ between one thread and two", equal, "", "==", 0),
    ]


def _same_with_threads(blob: Path) -> int:
    network = intaglio.load(blob)
    codes = random_codes(network.program, 7)
    one, two = (network.simulate(codes, threads=threads) for threads in (1, 2))
    return sum(int(np.count_nonzero(one[name] != two[name])) for name in one)


def line_5() -> list[Figure]:
    """The exact simulators that there are: qonnx' executor and Brevitas' float emulation."""
    from kernel_binary import EXACT, exact_simulators

    pin()
    figures = []
    for network in EXACT:
        seconds = race(exact_simulators(network), 5)
        mine = seconds.pop("ours")
        for name, each in seconds.items():
            label = f"{network} of QONNX, a sample at a time: to {name}"
            figures.append(Figure(label, ratio(each, mine)[0], "x", ">=", 1000))
    return figures


def line_6() -> list[Figure]:
    """The portable kernels, in a process of their own, beside onnxruntime int8 at its best."""
    pin()
    figures = []
    for name in ("LeNet-5", "ResNet-20"):
        network = made(name)
        text = _python(
            f"from kernel_peers import *; from kernel_networks import made; import numpy as np\n"
            f"network = made({name!r}); x = np.zeros((32, *network.shape), np.float32)\n"
            "theirs = onnxruntime(network.int8, x)\n"
            "seconds = race({'ours': ours(network.blob, 32), 'ort': theirs})\n"
            "print(ratio(seconds['ours'], seconds['ort'])[0])",
            INTAGLIO_ISA="portable",
        )
        label = f"{network.name}, batch 32: portable kernels' time over onnxruntime int8's"
        figures.append(Figure(label, float(text.split()[-1]), "x", "<=", 8))
    return figures


def line_7() -> list[Figure]:
    """ResNet-20 in new processes: nothing compiled yet, and everything."""
    pin()
    blob, model = made("ResNet-20").blob, made("ResNet-20").int8
    start = (
        "import time; began = time.perf_counter()\n"
        "import numpy as np\n"
        "{run}\n"
        "spent = time.perf_counter() - began\n"
        "lines = open('/proc/self/status').read().splitlines()\n"
        "print(spent, next(line.split()[1] for line in lines if line.startswith('VmHWM')))"
    )
    mine = start.format(
        run=f"import intaglio; n = intaglio.load({str(blob)!r})\n"
        "n.run(np.zeros((1, 3, 32, 32), np.float32))"
    )
    theirs = start.format(
        run=f"import onnxruntime as o; s = o.InferenceSession({str(model)!r})\n"
        "s.run(None, {'x': np.zeros((1, 3, 32, 32), np.float32)})"
    )
    with tempfile.TemporaryDirectory() as folder:
        cold = _python(mine, NUMBA_CACHE_DIR=folder).split()
        warm = min((_python(mine, NUMBA_CACHE_DIR=folder).split() for _ in range(3)), key=_seconds)
    other = min((_python(theirs).split() for _ in range(3)), key=_seconds)
    return [
        Figure("ResNet-20: first result, nothing compiled", float(cold[0]), "s", "<=", 8),
        Figure("ResNet-20: first result of a new process", float(warm[0]), "s", "<=", 0.8),
        Figure("onnxruntime: the same", float(other[0]), "s"),
        Figure("memory after it", int(warm[1]) / 1024, "MiB"),
        Figure("memory to onnxruntime's", int(warm[1]) / int(other[1]), "x", "<=", 2),
    ]


def _seconds(words: list[str]) -> float:
    return float(words[0])


def _python(code: str, **environment: str) -> str:
    """What a new process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": f"{Path(__file__).parent}:{ROOT.parent}", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def line_8() -> list[Figure]:
    """Tests that look at every byte around activations, of networks that hypothesis draws."""
    files = ["tests/kernels/test_routines.py", "tests/kernels/test_kernels.py"]
    command = [sys.executable, "-m", "pytest", "-q", *files, "-k", "nothing_is_written or equals"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    passed = NUMBER.search(done.stdout)
    return [
        Figure("tests with guards passed", int(passed[1]) if passed else 0, "", ">=", 1),
        Figure("of them failed", int(done.returncode != 0), "", "==", 0),
    ]


def plot(path: Path) -> None:
    """Line 1 as bars: how many times faster ours is than each peer."""
    import plotly.graph_objects as go

    found = raced()
    names = [f"{name}, batch {batch}" for name, batch in found]
    bars = [
        go.Bar(name=peer, x=names, y=[each.get(peer, (None,))[0] for each in found.values()])
        for peer in next(iter(found.values()))
    ]
    figure = go.Figure(bars)
    figure.add_hline(1, line_dash="dash")
    figure.update_layout(
        title="Time of others over ours: above 1 ours is faster", yaxis_type="log", barmode="group"
    )
    figure.write_html(path)


LINES = {
    "1": line_1, "2": line_2, "3": line_3, "4": line_4,
    "5": line_5, "6": line_6, "7": line_7, "8": line_8,
}  # fmt: skip

if __name__ == "__main__":
    from intaglio.kernels.isa import chosen

    print(f"kernels of this machine: {chosen()}", file=sys.stderr)
    if sys.argv[1:2] == ["--plot"]:
        plot(Path(sys.argv[2]))
    else:
        at = sys.argv.index("--threads") if "--threads" in sys.argv else len(sys.argv)
        del sys.argv[at : at + 2]
        main("Kernels", LINES)
