"""The figures that imports promise, measured anew.

    python benchmarks/imports.py [--json] [--line N]

Lines 2 and 6 take 10 to 20 minutes each, every other line takes less.
"""

from __future__ import annotations

import onnx_nodes
import onnx_quantized
import qonnx_brevitas
import random_networks
import tflite_models
from foundation import run_tests
from report import Figure, main


def line_2() -> list[Figure]:
    """Networks quantized by onnxruntime in both formats, beside it and beside rationals."""
    return [*onnx_quantized.qoperator_figures(), *onnx_quantized.qdq_figures()]


def line_7() -> list[Figure]:
    """The models that newcomers try first, each a test that compiles, runs and checks it."""
    passed, failed = run_tests("tests/test_newcomers.py")
    return [
        Figure("tests of the seven newcomer models that pass", passed, "", ">=", 7),
        Figure("tests of them that fail", failed, "", "==", 0),
    ]


LINES = {
    "1": onnx_nodes.figures,
    "2": line_2,
    "3": qonnx_brevitas.line_3,
    "4": qonnx_brevitas.line_4,
    "5": tflite_models.line_5,
    "6": random_networks.line_6,
    "7": line_7,
}

if __name__ == "__main__":
    main("Imports", LINES)
