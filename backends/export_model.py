"""Layers and a machine as the folders of files that ZigZag and Timeloop read."""

from __future__ import annotations

from ..cost_models import interop
from ..cost_models.layers import layers_of
from ..cost_models.machine import Machine
from ..errors import UsageError
from ..ir.program import Program


def zigzag_files(program: Program, machine: Machine) -> dict[str, bytes]:
    """The three inputs of ZigZag; raises UsageError where no layer has weights."""
    _check(program)
    return {
        "workload.yaml": interop.zigzag_workload(program).encode(),
        "hardware.yaml": interop.zigzag_hardware(machine).encode(),
        "mapping.yaml": interop.zigzag_mapping(machine).encode(),
    }


def timeloop_files(program: Program, machine: Machine) -> dict[str, bytes]:
    """A problem for each layer with weights, in order, and the architecture.

    Raises UsageError where no layer has weights.
    """
    _check(program)
    layers = [each for each in layers_of(program) if each.loops is not None]
    digits = len(str(len(layers) - 1))
    problems = {
        f"problem_{at:0{digits}}.yaml": interop.timeloop_problem(layer).encode()
        for at, layer in enumerate(layers)
    }
    return {"architecture.yaml": interop.timeloop_architecture(machine).encode()} | problems


def _check(program: Program) -> None:
    if not any(each.loops is not None for each in layers_of(program)):
        raise UsageError(
            "No layer of the network has weights.",
            where=program.name,
            fix="Export a network with a convolution or a dense layer.",
        )
