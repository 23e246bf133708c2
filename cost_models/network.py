"""What a program costs on a machine: traffic, operations and cycles of every layer.

Weights move as they are stored: their bits are those of the packed file, never a density. Codes
of activations move at their own width. Energies are counts times [pJ].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np

from ..ir.program import Program
from .arrays import Passes, Shape, passes, strip_rows
from .bursts import in_rows, tiled_blocks, whole_blocks
from .cost import (
    INDICES,
    INPUTS,
    OUTPUTS,
    PARAMETERS,
    ROWS,
    STANDBY,
    SUMS,
    WEIGHTS,
    Arithmetic,
    LayerCost,
    Transfer,
)
from .layers import Layer, layers_of
from .loops import Loops
from .machine import SUM_BITS, Machine, Memory
from .masks import kept_bits
from .placement import Placement, placed
from .range import Range
from .rows import Blocks, Pages
from .search import Found
from .tiling import Tiling, tiles, touched
from .time import cycles

REGISTERS, HOPS = "registers", "hops"
SIGNS = ("bipolar", "ternary")


@dataclass(frozen=True, slots=True)
class Packed:
    """A constant in its file: bits of values, of places and of all else; what is to be decoded."""

    values: int
    indices: int
    others: int
    places: int = 0
    symbols: int = 0

    @property
    def bits(self) -> int:
        """All bits."""
        return self.values + self.indices + self.others


def layer_costs(
    program: Program, packed: Mapping[int, Packed], machine: Machine, samples: int = 1
) -> tuple[LayerCost, ...]:
    """The cost of every step for all samples at once; ``packed`` has every constant by its slot.

    Raises UsageError when a layer does not fit the machine.
    """
    layers = layers_of(program, samples)
    stored = {slot: constant.bits for slot, constant in packed.items()}
    return placed_costs(program, layers, packed, machine, placed(program, layers, stored, machine))


def placed_costs(
    program: Program,
    layers: tuple[Layer, ...],
    packed: Mapping[int, Packed],
    machine: Machine,
    placement: Placement,
) -> tuple[LayerCost, ...]:
    """The cost of layers that are cut as ``placement`` says."""
    return tuple(
        _Costing(program, packed, machine, layer, placement, found).cost()
        for layer, found in zip(layers, placement.tilings, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Costing:
    """One layer, where its activations are, and its tiling where it has loops."""

    program: Program
    packed: Mapping[int, Packed]
    machine: Machine
    layer: Layer
    placement: Placement
    found: Found | None

    def cost(self) -> LayerCost:
        """Everything about the layer."""
        work = self._passes()
        moved = self._transfers(work)
        transfers = [each for each in moved if each.reads or each.writes or each.energy.high]
        arithmetic = tuple(each for each in self._arithmetic(work) if each.count or each.skipped)
        constant = self.packed.get(self.layer.weights) if self.layer.weights is not None else None
        waits, start = self._cycles(work, transfers), self._start()
        transfers += self._standby(waits, start)
        return LayerCost(
            name=self.layer.name,
            op=self.layer.op,
            macs=self.layer.macs,
            macs_done=self._done(work),
            weight_bytes=constant.bits // 8 if constant else 0,
            transfers=tuple(transfers),
            arithmetic=arithmetic,
            cycles=waits,
            utilisation=work.utilisation if work else 1.0,
            imbalance=work.imbalance if work else 1.0,
            start=start,
            remark=self._remark(),
        )

    def _cycles(self, work: Passes | None, transfers: list[Transfer]) -> dict[str, int]:
        return cycles(
            self.machine, self.layer, work, transfers, self._decoded(), self._loaded(work)
        )

    def _standby(self, waits: dict[str, int], start: int) -> list[Transfer]:
        """What memories draw as long as the layer takes, and DRAM while it moves: rows are open."""
        dram, whole = self.machine.dram, start + max(waits.values())
        listed = [(ROWS, dram.leakage, waits[dram.name])]
        listed += [(each.name, each.leakage, whole) for each in self.machine.memories]
        each = 1e3 / self.machine.clock_mhz  # [ns] of a cycle, in which a mW takes a pJ
        return [
            Transfer(name, STANDBY, 0, 0, power * (cycles * each))
            for name, power, cycles in listed
            if power.high and cycles
        ]

    def _bits(self, slot: int) -> int:
        return self.program.slots[slot].type.dtype.bits

    @property
    def _skips(self) -> bool:
        return self.machine.array.zero_skip == "skip"

    def _width(self) -> int:
        """Bits of a weight on chip: where zeros are skipped, with its place in the filter."""
        assert self.layer.weights is not None
        bits = self._bits(self.layer.weights)
        return kept_bits(self.layer, bits) if self._skips else bits

    def _whole(self, slot: int) -> int:
        """Bits of a tensor, of a crop's image those of its window."""
        type_, window = self.program.slots[slot].type, self.layer.window
        if window is not None and slot == self.layer.inputs[0]:
            return self.layer.samples * window.pixels * self._pixel(slot)
        return self.layer.samples * type_.elements * type_.dtype.bits

    def _pixel(self, slot: int) -> int:
        """Bits of all channels of a pixel."""
        type_ = self.program.slots[slot].type
        return type_.sample_shape[0] * type_.dtype.bits

    def _read(self, away: list[int], pages: Pages) -> Blocks:
        """Of inputs that are read whole, and of a crop's image."""
        window, image = self.layer.window, self.layer.inputs[0]
        if window is None or image not in away:
            return whole_blocks(map(self._whole, away), pages)
        width = self.program.slots[image].type.sample_shape[2]
        rest = whole_blocks((self._whole(slot) for slot in away if slot != image), pages)
        return rest + window.blocks(self._pixel(image), pages, width) * self.layer.samples

    def _passes(self) -> Passes | None:
        layer, loops = self.layer, self.layer.loops
        if loops is None or self.found is None:
            return None
        places = loops.n * loops.p * loops.q
        visits = self.found.tiling.trips(loops)["s"]
        kernel, out = (loops.r, loops.s), (loops.p, loops.q)
        present = self._present()
        shape = Shape(
            loops.groups,
            loops.m,
            places,
            layer.reduction,
            kernel,
            out,
            visits,
            present,
            (self.found.tiling.p, self.found.tiling.m, self.found.tiling.c),
            self._plane(loops, self.found.tiling),
            int(touched(loops, 1, self.found.tiling.q).sum()),
        )
        return passes(shape, self.machine.array)

    def _plane(self, loops: Loops, tiling: Tiling) -> int:
        """Inputs of a channel that a row-stationary array reads, strip by strip of rows."""
        strip = strip_rows(self.machine.array, loops.r, tiling.p)
        rows, columns = touched(loops, 0, strip).sum(), touched(loops, 1, tiling.q).sum()
        return loops.n * int(rows) * int(columns)

    def _loaded(self, work: Passes | None) -> int:
        """Bits of weights that multipliers take before they begin, in all passes."""
        return work.weights * self._width() if work and self.machine.array.load_width else 0

    def _present(self) -> tuple[int, ...]:
        """Weights of each filter that are not zero."""
        assert self.layer.weights is not None
        constant = self.program.slots[self.layer.weights].constant
        assert constant is not None
        rows = constant.array.reshape(len(constant.array), -1)
        return tuple(np.count_nonzero(rows, axis=1).tolist())

    def _done(self, work: Passes | None) -> int:
        """Products that take energy: all, or those with weights that are not zero."""
        if work is None:
            return 0
        if self.machine.array.zero_skip == "none":
            return work.macs
        assert self.layer.loops is not None
        loops = self.layer.loops
        return loops.n * loops.p * loops.q * sum(self._present())

    def _transfers(self, work: Passes | None) -> list[Transfer]:
        moved = self._outside()
        moved += in_rows(self.machine.dram, moved, self._blocks())
        if work is None:
            return moved + self._plain()
        registers = self._registers(self._done(work))
        return [*moved, *self._tiled(work), registers, *self._hops(work)]

    def _blocks(self) -> dict[str, Blocks]:
        """Bursts and rows of DRAM by operand, one way; none where DRAM has no pages."""
        pages, layer, resident = self.machine.dram.pages, self.layer, self.placement.resident
        if pages is None:
            return {}
        away = [slot for slot in layer.inputs if slot not in resident]
        out = [layer.output] if layer.output not in resident else []
        stored = (self.packed[slot].bits for slot in layer.constants)
        found = {PARAMETERS: whole_blocks(stored, pages)}
        if self.found is None or layer.weights is None or layer.loops is None:
            return found | {
                INPUTS: self._read(away, pages),
                OUTPUTS: whole_blocks(map(self._whole, out), pages),
            }
        bits = {
            WEIGHTS: [self.packed[layer.weights].bits],
            INPUTS: [self._bits(slot) for slot in away],
            OUTPUTS: [self._bits(slot) for slot in out],
            SUMS: [self.machine.array.sum_bits],
        }
        return found | tiled_blocks(layer.loops, self.found, bits, pages)

    def _outside(self) -> list[Transfer]:
        """Between DRAM and chip."""
        machine, found, layer = self.machine, self.found, self.layer
        dram = machine.dram
        away = [slot for slot in layer.inputs if slot not in self.placement.resident]
        out_away = layer.output not in self.placement.resident
        parameters = sum(self.packed[slot].bits for slot in layer.constants)
        listed = [_transfer(dram, PARAMETERS, reads=parameters)]
        if found is None or layer.weights is None:
            reads = sum(self._whole(slot) for slot in away)
            written = self._whole(layer.output) * out_away
            return [*listed, _transfer(dram, INPUTS, reads), _transfer(dram, OUTPUTS, 0, written)]
        weights, loads = self.packed[layer.weights], found.words.weight_loads
        inputs = sum(found.words.inputs * self._bits(slot) for slot in away)
        outputs = found.words.outputs * self._bits(layer.output) * out_away
        sums = found.words.sums_written * machine.array.sum_bits
        return [
            _transfer(dram, WEIGHTS, loads * (weights.values + weights.others)),
            _transfer(dram, INDICES, loads * weights.indices),
            *listed,
            _transfer(dram, INPUTS, inputs),
            _transfer(dram, OUTPUTS, 0, outputs),
            _transfer(dram, SUMS, sums, sums),
        ]

    def _plain(self) -> list[Transfer]:
        """The memory beside a layer without loops: everything passes it once."""
        inputs = sum(self._whole(slot) for slot in self.layer.inputs)
        outputs = self._whole(self.layer.output)
        return [
            _transfer(self.machine.memory_of(INPUTS), INPUTS, inputs, inputs),
            _transfer(self.machine.memory_of(OUTPUTS), OUTPUTS, outputs, outputs),
        ]

    def _tiled(self, work: Passes) -> list[Transfer]:
        """The memory beside the array: filled from DRAM and read in passes, and back."""
        layer, found, machine = self.layer, self.found, self.machine
        assert layer.loops is not None
        assert layer.weights is not None
        assert found is not None
        x, out, width = layer.inputs[0], self._bits(layer.output), self._width()
        filled = found.words.inputs * self._bits(x) * (x not in self.placement.resident)
        wide = machine.array.sum_bits
        sums, spilled = work.sums * wide, found.words.sums_written * wide
        left = found.words.outputs * out * (layer.output not in self.placement.resident)
        filters = layer.loops.groups * layer.loops.m
        held = width * (sum(self._present()) if self._skips else filters * layer.reduction)
        return [
            _transfer(
                machine.memory_of(WEIGHTS),
                WEIGHTS,
                work.weights * width,
                found.words.weight_loads * held,
            ),
            _transfer(machine.memory_of(INPUTS), INPUTS, work.inputs * self._bits(x), filled),
            _transfer(machine.memory_of(OUTPUTS), OUTPUTS, left, found.words.outputs * out),
            _transfer(machine.memory_of(OUTPUTS), SUMS, sums + 2 * spilled, sums + 2 * spilled),
        ]

    def _registers(self, done: int) -> Transfer:
        """Beside each multiplier: a weight and an input read, a sum read and written."""
        assert self.layer.weights is not None
        operands = self._bits(self.layer.weights) + self._bits(self.layer.inputs[0])
        sums = self.machine.array.sum_bits
        reads, writes = done * (operands + sums), done * sums
        energy = self.machine.register(1) * (reads + writes)
        return Transfer(REGISTERS, SUMS, reads, writes, energy)

    def _hops(self, work: Passes) -> list[Transfer]:
        """The ways to the multipliers, and of sums between them and back."""
        array, hops = self.machine.array, work.hops
        if not array.hop.high:
            return []
        bits = {
            WEIGHTS: hops.weights * self._width(),
            INPUTS: hops.inputs * self._bits(self.layer.inputs[0]),
            SUMS: hops.sums * array.sum_bits,
        }
        return [Transfer(HOPS, name, each, 0, array.hop * each) for name, each in bits.items()]

    def _decoded(self) -> tuple[int, int]:
        """Places and symbols of weights that are decoded, every time that they are loaded."""
        if self.layer.weights is None or self.found is None:
            return 0, 0
        loads, constant = self.found.words.weight_loads, self.packed[self.layer.weights]
        return loads * constant.places, loads * constant.symbols

    def _arithmetic(self, work: Passes | None) -> list[Arithmetic]:
        layer, machine, done = self.layer, self.machine, self._done(work)
        found = []
        if layer.weights is not None:
            type_ = self.program.slots[layer.weights].type.dtype
            widths = self._bits(layer.inputs[0]), type_.bits
            # A weight of -1, 0 or 1 adds or subtracts: the product takes nothing.
            product = Range.exact(0) if type_.kind in SIGNS else machine.multiply(*widths)
            gated = machine.array.gated if machine.array.zero_skip == "gate" else Range.exact(0)
            found.append(_gated("multiply", done, layer.macs - done, product, gated))
            found.append(
                _gated("add", done, layer.macs - done, machine.add(machine.array.sum_bits), gated)
            )
        rest = layer.work
        scaled = rest.macs - layer.macs + rest.multiplies
        found.append(_counted("rescale", scaled, machine.multiply(SUM_BITS, SUM_BITS)))
        found.append(_counted("compare", rest.compares + rest.adds, machine.add(SUM_BITS)))
        table = machine.memory_of(OUTPUTS).read * self._bits(layer.output)
        found.append(_counted("look up", rest.lookups, table))
        places, symbols = self._decoded()
        decoding = machine.place * places + machine.symbol * symbols
        found.append(Arithmetic("decode", places + symbols, decoding))
        return found

    def _start(self) -> int:
        """Cycles until the first tiles of inputs and weights have come from DRAM."""
        layer, found = self.layer, self.found
        if found is None or layer.loops is None or layer.weights is None:
            return 0
        first = tiles(layer.loops, found.tiling)
        away = layer.inputs[0] not in self.placement.resident
        weights = first.weights * self.packed[layer.weights].bits // layer.loops.weights
        bits = first.inputs * self._bits(layer.inputs[0]) * away + weights
        return ceil(bits / self.machine.dram.read_width)

    def _remark(self) -> str:
        """How the layer is cut, and what stays on chip."""
        if self.found is None:
            return ""
        tiling = self.found.tiling
        cut = ", ".join(f"{name}={getattr(tiling, name)}" for name in "npqmc")
        return f"tiles {cut} in order {tiling.order}"


def _transfer(memory: Memory, operand: str, reads: int = 0, writes: int = 0) -> Transfer:
    energy = memory.read * reads + memory.write * writes
    return Transfer(memory.name, operand, reads, writes, energy)


def _gated(kind: str, done: int, idle: int, each: Range, share: Range) -> Arithmetic:
    """Operations that are done, and others that take a share of the energy or none."""
    low, nominal, high = share.low * idle, share.nominal * idle, share.high * idle
    idly = Range(each.low * low, each.nominal * nominal, each.high * high)
    return Arithmetic(kind, done, each * done + idly, idle)


def _counted(kind: str, count: int, each: Range) -> Arithmetic:
    return Arithmetic(kind, count, each * count)
