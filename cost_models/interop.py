"""Layers and hardware as ZigZag and Timeloop read them, for a second opinion.

The text is JSON, which is YAML as well. ZigZag: Mei et al., "ZigZag: Enlarging Joint
Architecture-Mapping Design Space Exploration for DNN Accelerators", IEEE TC 2021, files of version
3.9. Timeloop: Parashar et al., ISPASS 2019, problem shapes of version 0.4.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..ir.program import Program
from .layers import Layer, layers_of
from .loops import Loops
from .machine import SUM_BITS, Machine, Memory
from .network import REGISTERS

EQUATION = "O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]"
LETTERS = {"inputs": "I1", "weights": "I2", "outputs": "O"}
DRAM_BITS = 10**12


def zigzag_workload(program: Program) -> str:
    """Layers with weights, each on its own: no layer hands its output to another on chip."""
    layers = [layer for layer in layers_of(program) if layer.loops is not None]
    found = [_zigzag_layer(program, index, layer) for index, layer in enumerate(layers)]
    return json.dumps(found, indent=1) + "\n"


def _zigzag_layer(program: Program, index: int, layer: Layer) -> dict[str, Any]:
    loops = layer.loops
    assert loops is not None
    assert layer.weights is not None
    bits = {slot: program.slots[slot].type.dtype.bits for slot in (*layer.inputs, layer.output)}
    dims = {"B": loops.n, "G": loops.groups, "K": loops.m, "C": loops.c}
    dims |= {"OY": loops.p, "OX": loops.q, "FY": loops.r, "FX": loops.s}
    return {
        "id": index,
        "name": layer.name,
        "operator_type": "Conv",
        "equation": EQUATION,
        "dimension_relations": [
            f"ix={loops.stride[1]}*ox+{loops.dilation[1]}*fx",
            f"iy={loops.stride[0]}*oy+{loops.dilation[0]}*fy",
        ],
        "loop_dims": list(dims),
        "loop_sizes": list(dims.values()),
        "pr_loop_dims": ["IX", "IY"],
        "pr_loop_sizes": [loops.width, loops.height],
        "padding": [list(_pads(loops, 1)), list(_pads(loops, 0))],
        "operand_precision": {
            "W": program.slots[layer.weights].type.dtype.bits,
            "I": bits[layer.inputs[0]],
            "O": SUM_BITS,
            "O_final": bits[layer.output],
        },
        "operand_source": {"I": index, "W": index},
    }


def _pads(loops: Loops, axis: int) -> tuple[int, int]:
    """Border before and after: as much after as the last window needs."""
    kernel, extent = (loops.r, loops.height) if axis == 0 else (loops.s, loops.width)
    last = ((loops.p, loops.q)[axis] - 1) * loops.stride[axis]
    reach = last + (kernel - 1) * loops.dilation[axis] + 1
    return loops.pad[axis], max(reach - extent - loops.pad[axis], 0)


def zigzag_hardware(machine: Machine) -> str:
    """The array, a register of a sum at each multiplier, the memories and DRAM, nominal [pJ]."""
    registers = _zigzag_memory(("O",), SUM_BITS, (SUM_BITS, SUM_BITS), (1.0, 1.0), shared=False)
    energy = machine.register(SUM_BITS).nominal
    registers |= {"r_cost": energy, "w_cost": energy}
    memories = {REGISTERS: registers}
    for memory in (*machine.memories, machine.dram):
        held = tuple(LETTERS[operand] for operand in LETTERS if operand in memory.holds)
        widths = memory.read_width, memory.write_width
        costs = memory.read.nominal * widths[0], memory.write.nominal * widths[1]
        memories[memory.name] = _zigzag_memory(
            held, memory.room or DRAM_BITS, widths, costs, shared=True
        )
    array = machine.array
    found = {
        "name": machine.name,
        "memories": memories,
        "operational_array": {
            "unit_energy": machine.multiply(8, 8).nominal + machine.add(SUM_BITS).nominal,
            "unit_area": 1,
            "dimensions": ["D1", "D2"],
            "sizes": [array.columns, array.rows],
        },
    }
    return json.dumps(found, indent=1) + "\n"


def _zigzag_memory(
    held: Sequence[str],
    bits: int,
    widths: tuple[int, int],
    costs: tuple[float, float],
    *,
    shared: bool,
) -> dict[str, Any]:
    """A memory with a port each way; ``shared`` by all multipliers or one at each."""
    out = [f"{each}, tl" for each in held] + ["O, th"] * ("O" in held)
    into = [f"{each}, fh" for each in held] + ["O, fl"] * ("O" in held)
    ports = [
        {"name": f"{kind[0]}_port_1", "type": kind, "bandwidth_min": 1, "bandwidth_max": width}
        | {"allocation": allocation}
        for kind, width, allocation in zip(("read", "write"), widths, (out, into), strict=True)
    ]
    return {
        "size": bits,
        "r_cost": costs[0],
        "w_cost": costs[1],
        "area": 0,
        "latency": 1,
        "operands": list(held),
        "ports": ports,
        "served_dimensions": ["D1", "D2"] if shared else [],
    }


def zigzag_mapping(machine: Machine) -> str:
    """Filters along the columns of the array, channels along its rows."""
    found = [
        {
            "name": "default",
            "spatial_mapping": {
                "D1": [f"K, {machine.array.columns}"],
                "D2": [f"C, {machine.array.rows}"],
            },
            "memory_operand_links": {"O": "O", "W": "I2", "I": "I1"},
        }
    ]
    return json.dumps(found, indent=1) + "\n"


def timeloop_problem(layer: Layer) -> str:
    """The problem of one layer with loops, one group of it: Timeloop's CNN shape."""
    loops = layer.loops
    assert loops is not None
    instance = {"N": loops.n, "M": loops.m, "C": loops.c, "P": loops.p, "Q": loops.q}
    instance |= {"R": loops.r, "S": loops.s, "Hstride": loops.stride[0], "Wstride": loops.stride[1]}
    instance |= {"Hdilation": loops.dilation[0], "Wdilation": loops.dilation[1]}
    rows = [["R", "Hdilation"], ["P", "Hstride"]]
    columns = [["S", "Wdilation"], ["Q", "Wstride"]]
    shape = {
        "name": "CNN_Layer",
        "dimensions": ["C", "M", "R", "S", "N", "P", "Q"],
        "coefficients": [
            {"name": name, "default": 1}
            for name in ("Wstride", "Hstride", "Wdilation", "Hdilation")
        ],
        "data_spaces": [
            {"name": "Weights", "projection": [[["C"]], [["M"]], [["R"]], [["S"]]]},
            {"name": "Inputs", "projection": [[["N"]], [["C"]], rows, columns]},
            {
                "name": "Outputs",
                "projection": [[["N"]], [["M"]], [["Q"]], [["P"]]],
                "read_write": True,
            },
        ],
    }
    return json.dumps({"problem": {"shape": shape, "instance": instance}}, indent=1) + "\n"


def timeloop_architecture(machine: Machine) -> str:
    """DRAM, the memories and the multipliers with their registers, as version 0.3 nests them.

    Sizes and widths only, words of 8 bits: energies come from the estimator that Timeloop runs.
    """
    array = machine.array
    last = array.rows * array.columns - 1
    inside: dict[str, Any] = {
        "name": f"PE[0..{last}]",
        "local": [
            _timeloop_part(REGISTERS, "regfile", {"depth": 1, "width": array.sum_bits}),
            _timeloop_part("mac", "intmac", {"datawidth": 8}),
        ],
    }
    memories = [_timeloop_memory(each) for each in machine.memories]
    chip = {"name": "chip", "local": memories, "subtree": [inside]}
    outside = {"width": machine.dram.read_width, "word-bits": 8}
    dram = _timeloop_part(machine.dram.name, "DRAM", outside)
    system = {"name": "system", "local": [dram], "subtree": [chip]}
    found = {"architecture": {"version": 0.3, "subtree": [system]}}
    return json.dumps(found, indent=1) + "\n"


def _timeloop_memory(memory: Memory) -> dict[str, Any]:
    """As many whole lines of its width as there is room for."""
    width = memory.read_width
    sizes = {"depth": memory.room // width, "width": width, "word-bits": 8}
    return _timeloop_part(memory.name, "SRAM", sizes)


def _timeloop_part(name: str, kind: str, attributes: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "class": kind, "attributes": attributes}
