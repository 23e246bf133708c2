"""Cost models: every figure of their lines, beside its aim.

python benchmarks/cost.py [--json] [--line N]
python benchmarks/cost.py --layers        energies beside ZigZag's, layer by layer
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cost_eyeriss as eyeriss
from cost_networks import alexnet, eyeriss_alexnet, program, resnet18, resnet50
from foundation import run_tests
from report import ROOT, Figure, main
from rich.console import Console
from rich.table import Table

from intaglio.cost_models.cost import LayerCost
from intaglio.cost_models.hardware import load_hardware
from intaglio.cost_models.loop_nest import counted
from intaglio.cost_models.loops import Loops
from intaglio.cost_models.network import Packed, layer_costs
from intaglio.cost_models.search import Room, Widths, search
from intaglio.cost_models.tiling import ORDERS, Tiling, compulsory, words

COUNT = 5_000
EYERISS_BITS = 54 * 1024 * 16
NN_DATAFLOW = {"conv3": 2_526_720, "conv4": 1_959_936, "conv5": 1_306_624}
"""DRAM words of nn_dataflow 2.1 and of Timeloop (Sparseloop, table 7), 4 samples, 16 bits."""
ZIGZAG_WORDS = {
    "conv1": (9408, 150_528, 802_816),
    "layer1.0.conv1": (36_864, 200_704, 200_704),
    "layer3.1.conv1": (589_824, 50_176, 50_176),
    "layer2.0.downsample": (8192, 50_176, 100_352),
}
"""Weights, inputs and outputs in DRAM: zigzag-dse 3.9.1, tpu_like.yaml, 2 MiB, 8 bits."""
ZIGZAG_UJ = {"ResNet-18": 1871.436, "AlexNet": 5593.54}
ZIGZAG_ALEXNET = {
    "conv1": 75.21,
    "conv2": 96.84,
    "conv3": 116.33,
    "conv4": 90.20,
    "conv5": 61.78,
    "fc6": 3318.6,
    "fc7": 1474.3,
    "fc8": 360.2,
}
REPEATS = 5


# Line 1


def line_1() -> list[Figure]:
    """Exact traffic, beside loops that run and beside what others find."""
    rng = random.Random(0)
    wrong = below = shrinking = 0
    for _ in range(COUNT):
        loops, tiling = drawn(rng)
        found, least = words(loops, tiling), compulsory(loops)
        wrong += found != counted(loops, tiling)
        below += found.total(loops) < least.total(loops)
        small, large = (
            search(loops, eight(loops), (Room(bits),))
            for bits in sorted(rng.sample(range(9999), 2))
        )
        shrinking += bool(small and (large is None or large.bits > small.bits))
    figures = [
        Figure("random layers, tiles and orders", COUNT, "", ">=", COUNT),
        Figure("whose words differ from loops that run", wrong, "", "==", 0),
        Figure("below what must move", below, "", "==", 0),
        Figure("that move more with more memory", shrinking, "", "==", 0),
    ]
    for name, (parts, loops) in eyeriss_alexnet().items():
        widths = Widths(16, 16, 16, 16, 16 * loops.weights)
        found = search(loops, widths, (Room(EYERISS_BITS),))
        assert found is not None
        aim = NN_DATAFLOW.get(name)
        total = parts * found.words.total(loops)
        figures.append(Figure(f"AlexNet {name}: DRAM words, 4 samples", total, "", "==", aim))
    layers = resnet18()
    for name, expected in ZIGZAG_WORDS.items():
        found = search(layers[name], eight(layers[name]), (Room(8 << 21),))
        assert found is not None
        moved = found.words
        ours = (moved.weight_loads * layers[name].weights, moved.inputs, moved.outputs)
        for operand, value, aim in zip(
            ("weights", "inputs", "outputs"), ours, expected, strict=True
        ):
            figures.append(Figure(f"ResNet-18 {name}: {operand} in DRAM", value, "", "==", aim))
    return figures


def eight(loops: Loops) -> Widths:
    """Codes of 8 bits, sums of 32."""
    return Widths(8, 8, 8, 32, 8 * loops.weights)


def drawn(rng: random.Random) -> tuple[Loops, Tiling]:
    """A small layer with strides, dilations, borders and groups, cut anyhow."""
    p, q, r, s = rng.randint(1, 6), rng.randint(1, 6), rng.randint(1, 3), rng.randint(1, 3)
    stride = rng.randint(1, 3), rng.randint(1, 3)
    dilation = rng.randint(1, 2), rng.randint(1, 2)
    pad = rng.randint(0, 2), rng.randint(0, 2)
    height = (p - 1) * stride[0] + (r - 1) * dilation[0] + 1 - pad[0] - rng.randint(0, 2)
    width = (q - 1) * stride[1] + (s - 1) * dilation[1] + 1 - pad[1] - rng.randint(0, 2)
    n, m, c = rng.randint(1, 3), rng.randint(1, 6), rng.randint(1, 6)
    shape = (n, m, c, p, q, r, s, max(height, 1), max(width, 1), rng.randint(1, 3))
    loops = Loops(*shape, stride, dilation, pad)
    cut = (rng.randint(1, getattr(loops, name)) for name in "npqmc")
    return loops, Tiling(*cut, rng.choice(ORDERS))


# Line 2


def costs(name: str, layers: dict[str, Loops]) -> tuple[LayerCost, ...]:
    """Every layer with weights of 8 bits, on ZigZag's machine."""
    made = program(name, layers)
    packed = {
        index: Packed(8 * slot.type.elements, 0, 0)
        for index, slot in enumerate(made.slots)
        if slot.constant is not None
    }
    return layer_costs(made, packed, load_hardware("tpu-like").machine())


def line_2() -> list[Figure]:
    """Energies with ZigZag's constants beside its own, and Eyeriss beside the chip."""
    figures = []
    for name, layers in (("ResNet-18", resnet18()), ("AlexNet", alexnet())):
        found = costs(name, layers)
        total = sum(each.energy.nominal for each in found) / 1e6
        dram = sum(_of(each, "DRAM") for each in found)
        figures.append(Figure(f"{name}: energy with ZigZag's constants", total, "uJ"))
        figures.append(Figure(f"{name}: of it DRAM", dram, "uJ"))
        figures.append(Figure(f"{name}: energy to ZigZag's", total / ZIGZAG_UJ[name]))
        if name == "AlexNet":
            ours = [each.energy.nominal for each in found]
            same = _order(ours) == _order(list(ZIGZAG_ALEXNET.values()))
            figures.append(Figure("AlexNet: layers in ZigZag's order of energy", same, "", "==", 1))
    return figures + eyeriss.figures()


def _of(layer: LayerCost, memory: str) -> float:
    """[uJ] of one memory."""
    return sum(each.energy.nominal for each in layer.transfers if each.memory == memory) / 1e6


def _order(values: list[float]) -> list[int]:
    return sorted(range(len(values)), key=lambda index: values[index])


def print_layers() -> None:
    """The energies of layers beside ZigZag's, where its own are published."""
    memories = ("DRAM", "SRAM", "weight registers", "registers")
    for name, layers in (("ResNet-18", resnet18()), ("AlexNet", alexnet())):
        table = Table("layer", "ZigZag [uJ]", "ours [uJ]", *memories, "arithmetic", title=name)
        for each in costs(name, layers):
            parts = [_of(each, memory) for memory in memories]
            arithmetic = sum(one.energy.nominal for one in each.arithmetic) / 1e6
            theirs = ZIGZAG_ALEXNET.get(each.name) if name == "AlexNet" else None
            cells = (each.energy.nominal / 1e6, *parts, arithmetic)
            beside = "" if theirs is None else f"{theirs:,.2f}"
            table.add_row(each.name, beside, *(f"{cell:,.2f}" for cell in cells))
        Console(width=100).print(table)


# Line 3


def line_3() -> list[Figure]:
    """Milliseconds of a search, and seconds of ResNet-50."""
    layers, rooms = resnet50(), (Room(8 << 17),)
    worst, whole = [], []
    for _ in range(REPEATS):
        search.cache_clear()
        each = [
            _timed(lambda loops=loops: search(loops, eight(loops), rooms))
            for loops in layers.values()
        ]
        worst.append(max(each))
        whole.append(sum(each))
    return [
        Figure(
            f"ResNet-50's slowest layer of {len(layers)}",
            statistics.median(worst) * 1e3,
            "ms",
            "<=",
            50,
        ),
        Figure(f"spread of {REPEATS}", (max(worst) - min(worst)) * 1e3, "ms"),
        Figure("ResNet-50", statistics.median(whole), "s", "<=", 3),
        Figure(f"spread of {REPEATS} whole", max(whole) - min(whole), "s"),
    ]


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


# Lines 4 to 6


@cache
def studied() -> tuple[float, list[Any]]:
    """Seconds of the study, and its pairs."""
    sys.path.insert(0, str(ROOT / "examples" / "structured_vs_unstructured"))
    from study import study

    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        pairs = study(Path(folder))
    return time.perf_counter() - began, pairs


def line_4() -> list[Figure]:
    """Structured against non-structured, of the committed networks."""
    seconds, pairs = studied()
    figures = [Figure("tables and pages of the study rebuilt in", seconds, "s", "<=", 120)]
    for favoured in ("structured", "non-structured"):
        count = sum(each.verdict.startswith(f"{favoured} ") for each in pairs)
        figures.append(Figure(f"of {len(pairs)} pairs, energy favours {favoured} in", count))
    holds = sum(each.verdict.endswith("(holds)") for each in pairs)
    return [*figures, Figure("verdicts that hold from low to high", holds)]


def line_5() -> list[Figure]:
    """The simulator's time beside the model's, of every network of the study on one hardware."""
    _, pairs = studied()
    found = {
        each.name: each
        for pair in pairs
        if pair.hardware == "edge-npu"
        for each in (pair.structured, pair.without)
    }
    figures = []
    for name, each in found.items():
        figures.append(Figure(f"{name}: model of edge-npu", each.model_ms, "ms"))
        figures.append(Figure(f"{name}: simulator, measured here", each.simulator_ms, "ms"))
    return figures


def line_6() -> list[Figure]:
    """Bad input: every case is a test of the full text of its error."""
    passed, failed = run_tests(
        "tests/cost_models/test_hardware.py",
        "tests/commands/test_compare.py",
        "tests/cost_models/test_network.py",
        "-k",
        "cannot or nobody or refused or too_large",
    )
    return [
        Figure("bad inputs refused with the text the tests state", passed, "", ">=", 6),
        Figure("bad inputs that are not", failed, "", "==", 0),
    ]


LINES = {"1": line_1, "2": line_2, "3": line_3, "4": line_4, "5": line_5, "6": line_6}

if __name__ == "__main__":
    if sys.argv[1:] == ["--layers"]:
        print_layers()
    else:
        main("Cost models", LINES)
