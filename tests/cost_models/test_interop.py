"""Layers and hardware in the words of ZigZag and Timeloop."""

import json

import numpy as np
import pytest

from intaglio.cost_models.interop import (
    timeloop_problem,
    zigzag_hardware,
    zigzag_mapping,
    zigzag_workload,
)
from intaglio.cost_models.layers import layers_of
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import int_type
from intaglio.ir.ops_linear import Conv
from intaglio.ir.tensor import BATCH, Tensor, TensorType
from intaglio.passes.schedule import schedule


@pytest.fixture
def program():
    b = Builder("net")
    x = b.input(Value("x", TensorType((BATCH, 4, 9, 8), int_type(8))))
    codes = np.ones((6, 2, 3, 3), np.int8)
    w = b.constant("w", Tensor(codes, int_type(4)))
    op = Conv((2, 1), (1, 0, 1, 2), (1, 1), 2)
    return schedule(b.build((b.node("y", op, x, w, origin="/conv"),)))


def test_zigzag_has_the_loops_of_every_layer(program):
    (layer,) = json.loads(zigzag_workload(program))
    assert dict(zip(layer["loop_dims"], layer["loop_sizes"], strict=True)) == {
        "B": 1, "G": 2, "K": 3, "C": 2, "OY": 5, "OX": 8, "FY": 3, "FX": 3
    }  # fmt: skip
    assert layer["dimension_relations"] == ["ix=1*ox+1*fx", "iy=2*oy+1*fy"]
    assert layer["pr_loop_sizes"] == [8, 9]
    assert layer["padding"] == [[0, 2], [1, 1]]
    assert layer["operand_precision"] == {"W": 4, "I": 8, "O": 32, "O_final": 32}
    assert layer["name"] == "/conv"


def test_zigzag_has_the_energies_and_widths_of_every_memory(machine):
    found = json.loads(zigzag_hardware(machine(kilobytes=64, rows=8, columns=16)))
    sram, dram, sums = (found["memories"][name] for name in ("SRAM", "DRAM", "registers"))
    assert (sram["size"], sram["r_cost"], sram["w_cost"]) == (64 * 8192, 2048, 4096)
    assert (dram["r_cost"], dram["w_cost"]) == (640, 1280)
    assert sums["r_cost"] == pytest.approx(0.32)
    assert sums["served_dimensions"] == []
    assert found["operational_array"]["sizes"] == [16, 8]
    (mapping,) = json.loads(zigzag_mapping(machine(rows=8, columns=16)))
    assert mapping["spatial_mapping"] == {"D1": ["K, 16"], "D2": ["C, 8"]}


def test_timeloop_has_the_problem_of_a_group(program):
    problem = json.loads(timeloop_problem(layers_of(program)[0]))["problem"]
    assert problem["instance"] == {
        "N": 1, "M": 3, "C": 2, "P": 5, "Q": 8, "R": 3, "S": 3,
        "Hstride": 2, "Wstride": 1, "Hdilation": 1, "Wdilation": 1,
    }  # fmt: skip
    spaces = {each["name"]: each["projection"] for each in problem["shape"]["data_spaces"]}
    assert spaces["Inputs"][2:] == [
        [["R", "Hdilation"], ["P", "Hstride"]],
        [["S", "Wdilation"], ["Q", "Wstride"]],
    ]
