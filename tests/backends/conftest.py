"""Four networks on one hardware, small enough to add up by hand."""

import pytest

from intaglio.cost_models.comparison import Compared
from intaglio.cost_models.cost import Arithmetic, Assumption, LayerCost, NetworkCost, Transfer
from intaglio.cost_models.range import Range

DRAM, SRAM, ADD, DECODE = Range(4, 8, 20), Range(0.25, 0.5, 2), Range(0.1, 0.2, 0.3), Range(1, 2, 9)
SOURCES = (
    Assumption("DRAM access", DRAM, "pJ/bit", "LPDDR4"),
    Assumption("SRAM read", SRAM, "pJ/bit", "CACTI 7"),
)
DECODER = Assumption("decode", DECODE, "pJ", "an adder | a register")


def layer(name: str, macs: int, done: int, bits: int, places: int) -> LayerCost:
    transfers = [Transfer("DRAM", "weights", bits, 0, DRAM * bits)]
    arithmetic = [Arithmetic("add", done, ADD * done, macs - done)]
    cycles = {"compute": -(-done // 64), "DRAM": -(-(bits + places) // 32)}
    if places:
        transfers.append(Transfer("DRAM", "indices", places, 0, DRAM * places))
        arithmetic.append(Arithmetic("decode", places, DECODE * places))
        cycles["decode"] = places
    transfers.append(Transfer("SRAM", "outputs", 64, 128, SRAM * 192))
    return LayerCost(
        name, "conv", macs, done, (bits + places) // 8, tuple(transfers), tuple(arithmetic), cycles
    )


def network(
    name: str, kind: str, *, bits: int = 4, keep: int = 1, places: int = 0, **known: float | None
) -> Compared:
    layers = (
        layer("conv1", 6400, 6400 // keep, 800 // keep, places),
        layer("pool", 0, 0, 0, 0),
        layer("fc", 64000, 64000 // keep, 256000 // keep, 4 * places),
    )
    values, index = 256800 // keep // 8, 5 * places // 8
    used = (*SOURCES, DECODER) if places else SOURCES
    cost = NetworkCost(name, "edge", 200.0, layers, values + index + 47, used)
    return Compared(
        name, kind, bits, known.get("accuracy"), float(keep), cost, values, index, 40, 7,
        known.get("simulator_ms"),
    )  # fmt: skip


@pytest.fixture(scope="session")
def four() -> list[Compared]:
    return [
        network("dense", "dense", accuracy=0.925, simulator_ms=0.5),
        network("structured 16x", "structured", keep=16, accuracy=0.9, simulator_ms=0.125),
        network("2:4", "n:m", keep=2, places=200),
        network("single 20x", "non-structured", keep=20, places=100, accuracy=0.91),
    ]


@pytest.fixture(scope="session")
def hostile(four: list[Compared]) -> list[Compared]:
    """The same under names that try to become markup."""
    from dataclasses import replace

    bad = "</script><script>alert(1)</script>|\"'&`*"
    return [
        replace(
            each,
            name=f"{bad}{at}",
            cost=replace(
                each.cost,
                hardware=bad,
                layers=tuple(replace(x, name=bad, remark=bad) for x in each.cost.layers),
                assumptions=tuple(replace(x, source=bad) for x in each.cost.assumptions),
            ),
        )
        for at, each in enumerate(four)
    ]
