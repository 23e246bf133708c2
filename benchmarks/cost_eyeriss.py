"""The model beside Eyeriss: the chip's times, powers and buffer, and fractions of the paper before.

The chip: Chen, Krishna, Emer, Sze, "Eyeriss", JSSC 2017, tables III (mapping) and V (measured); the
fractions: Chen, Emer, Sze, ISCA 2016, figure 10, as nn_dataflow's tests have them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from cost_networks import program
from report import Figure

from intaglio.cost_models.cost import STANDBY, LayerCost
from intaglio.cost_models.hardware import load_hardware
from intaglio.cost_models.layers import layers_of
from intaglio.cost_models.loops import Loops
from intaglio.cost_models.machine import Machine
from intaglio.cost_models.network import HOPS, REGISTERS, Packed, placed_costs
from intaglio.cost_models.placement import Placement
from intaglio.cost_models.range import Range
from intaglio.cost_models.search import Found, Room, Widths, search
from intaglio.cost_models.tiling import Tiling, words

BITS = 16
LAYERS = {
    "conv1": Loops(1, 96, 3, 55, 55, 11, 11, 227, 227, 1, (4, 4)),
    "conv2": Loops(1, 128, 48, 27, 27, 5, 5, 31, 31, 2),
    "conv3": Loops(1, 384, 256, 13, 13, 3, 3, 15, 15),
    "conv4": Loops(1, 192, 192, 13, 13, 3, 3, 15, 15, 2),
    "conv5": Loops(1, 128, 192, 13, 13, 3, 3, 15, 15, 2),
}
"""AlexNet as the chip ran it, images padded."""


@dataclass(frozen=True, slots=True)
class Chip:
    """What the chip measured: [ms], [mW], [MB] of its buffer; samples, rows, filters and channels
    of a tile."""

    time: float
    power: float
    buffer: float
    tile: tuple[int, int, int, int]

    @property
    def energy(self) -> float:
        """[mJ] of 4 samples without DRAM."""
        return self.time * self.power / 1e3


CHIP = {
    "conv1": Chip(16.5, 332, 18.5, (1, 7, 96, 1)),
    "conv2": Chip(39.2, 288, 77.6, (1, 27, 64, 2)),
    "conv3": Chip(21.8, 266, 50.2, (4, 13, 64, 4)),
    "conv4": Chip(16.0, 235, 37.4, (4, 13, 64, 6)),
    "conv5": Chip(10.0, 236, 24.9, (4, 13, 64, 6)),
}
ISCA = {
    # 1e9 times a product's energy: products, DRAM, registers; 16 samples
    "conv1": (1.69, 2.46, 6.75),
    "conv2": (3.58, 2.27, 14.33),
    "conv3": (2.39, 2.02, 9.57),
    "conv4": (1.79, 1.57, 7.18),
    "conv5": (1.20, 1.05, 4.78),
}


def chip_costs() -> dict[str, LayerCost]:
    """AlexNet's convs, 4 samples, on the hardware eyeriss-like, cut as the chip cuts them."""
    tilings = {
        name: Tiling(n, p, LAYERS[name].q, m, c, "smc")
        for name, (n, p, m, c) in ((name, chip.tile) for name, chip in CHIP.items())
    }
    return _costs(load_hardware("eyeriss-like").machine(), 4, tilings)


def unit_costs() -> dict[str, LayerCost]:
    """The same, 16 samples, with 256 multipliers, 128 KiB and the energies of figure 10: a product
    and a register 1, a hop 2, the buffer 6, DRAM 200."""
    found = load_hardware("eyeriss-like").machine()
    dram, buffer = Range.exact(200 / BITS), Range.exact(6 / BITS)
    memory = replace(
        found.memories[0], read=buffer, write=buffer, bits=128 << 13, leakage=Range.exact(0)
    )
    machine = replace(
        found,
        dram=replace(found.dram, read=dram, write=dram),
        memories=(memory,),
        array=replace(found.array, rows=16, columns=16, hop=Range.exact(2 / BITS)),
        multiply=lambda a, b: Range.exact(a * b / BITS**2),
        register=lambda bits: Range.exact(bits / BITS),
    )
    return _costs(machine, 16, {})


def _costs(machine: Machine, samples: int, tilings: dict[str, Tiling]) -> dict[str, LayerCost]:
    made = program("AlexNet", LAYERS, BITS)
    packed = {
        index: Packed(BITS * slot.type.elements, 0, 0)
        for index, slot in enumerate(made.slots)
        if slot.constant is not None
    }
    layers, found = layers_of(made, samples), []
    for layer in layers:
        assert layer.loops is not None
        tiling = tilings.get(layer.name) or _searched(layer.loops, machine.memories[0].bits)
        found.append(Found(tiling, words(layer.loops, tiling), 0))
    costs = placed_costs(made, layers, packed, machine, Placement(frozenset(), tuple(found)))
    return {each.name: each for each in costs}


def _searched(loops: Loops, bits: int) -> Tiling:
    found = search(loops, Widths(BITS, BITS, BITS, BITS, BITS * loops.weights), (Room(bits),))
    assert found is not None
    return found.tiling


def figures() -> list[Figure]:
    """Every layer beside the chip's, then the fractions."""
    costs, found = chip_costs(), []
    for name, layer in costs.items():
        found += _beside(name, layer, CHIP[name])
    times = [(layer.cycles["compute"], CHIP[name].time) for name, layer in costs.items()]
    energies = [(_on_chip(layer), CHIP[name].energy) for name, layer in costs.items()]
    for what, both, aim in (("time", times, 1), ("energy", energies, None)):
        same = _order([ours for ours, _ in both]) == _order([theirs for _, theirs in both])
        found.append(Figure(f"Eyeriss: layers in the chip's order of {what}", same, "", "==", aim))
    for name, layer in unit_costs().items():
        found += _fractions(name, layer, ISCA[name])
    return found


def _beside(name: str, layer: LayerCost, chip: Chip) -> list[Figure]:
    time = layer.cycles["compute"] / 200e3
    parts = _parts(layer)
    energy = sum(parts.values())
    power, buffer = energy / time * 1e3, layer.bits("buffer") / 8e6 - _filled(layer)
    label = f"Eyeriss {name}"
    return [
        Figure(f"{label}: time", time, "ms"),
        *_within(f"{label}: time", time / chip.time - 1, -0.25, 0.10),
        Figure(f"{label}: power", power, "mW"),
        *_within(f"{label}: power", power / chip.power - 1, -0.40, 0.40),
        Figure(f"{label}: energy without DRAM", energy, "mJ"),
        Figure(f"{label}: energy off the chip's", energy / chip.energy - 1),
        *(Figure(f"{label}: share of {part}", each / energy) for part, each in parts.items()),
        Figure(f"{label}: buffer", buffer, "MB"),
        Figure(f"{label}: buffer off the chip's", buffer / chip.buffer - 1),
    ]


def _within(what: str, off: float, least: float, most: float) -> list[Figure]:
    return [
        Figure(f"{what} off the chip's, least", off, "", ">=", least),
        Figure(f"{what} off the chip's, most", off, "", "<=", most),
    ]


def _fractions(name: str, layer: LayerCost, published: tuple[float, float, float]) -> list[Figure]:
    """Products, DRAM and registers over those of figure 10; others' are not in numbers."""
    products = layer.macs / 1e9
    parts = [_moved(layer, memory) for memory in ("DRAM", REGISTERS, "buffer", HOPS)]
    dram, registers, buffer, network = parts
    label = f"ISCA 2016 {name}"
    return [
        Figure(f"{label}: products over the paper's", products / published[0]),
        Figure(f"{label}: registers over the paper's", registers / published[2]),
        Figure(f"{label}: DRAM over the paper's", dram / published[1]),
        Figure(
            f"{label}: DRAM to products, paper {published[1] / published[0]:.2f}", dram / products
        ),
        Figure(f"{label}: buffer to products", buffer / products),
        Figure(f"{label}: network to products", network / products),
    ]


def _parts(layer: LayerCost) -> dict[str, float]:
    """[mJ] on chip by what takes it."""
    standby = sum(each.energy.nominal for each in layer.transfers if each.operand == STANDBY) / 1e9
    return {
        "products": sum(each.energy.nominal for each in layer.arithmetic) / 1e9,
        "registers": _moved(layer, REGISTERS),
        "buffer": _moved(layer, "buffer") - standby,
        "network": _moved(layer, HOPS),
        "standby": standby,
    }


def _on_chip(layer: LayerCost) -> float:
    return sum(_parts(layer).values())


def _moved(layer: LayerCost, memory: str) -> float:
    """[mJ], or 1e9 units, of one memory."""
    return sum(each.energy.nominal for each in layer.transfers if each.memory == memory) / 1e9


def _filled(layer: LayerCost) -> float:
    """[MB] between buffer and DRAM, which the paper's count of the buffer leaves out."""
    return sum(each.reads + each.writes for each in layer.transfers if each.memory == "DRAM") / 8e6


def _order(values: list[float]) -> list[int]:
    return sorted(range(len(values)), key=lambda index: values[index])
