"""A tensor times itself: XNNPACK replaces the product by a function of one tensor."""

import numpy as np
import pytest

from intaglio.ir.evaluate import evaluate

pytest.importorskip("ai_edge_litert", reason="the arithmetic is LiteRT's")

from intaglio.frontend.tflite.importer import import_tflite

from .tflite_models import NONE, Written, litert

EVERY = np.arange(-128, 128).astype(np.int8).reshape(1, 4, 8, 8)


@pytest.mark.parametrize("semantics", ["tflite", "xnnpack"])
def test_squares_are_those_of_the_runtime(semantics):
    rng = np.random.default_rng(0)
    for powers in [True, False] * 12:  # scales that are powers of two make ties
        x_power, more = rng.uniform([-9, -6], [2, 14])
        exponents = np.array([x_power, 2 * x_power + more])
        x_scale, y_scale = 2.0 ** (np.round(exponents) if powers else exponents)
        file = Written()
        x = file.tensor(EVERY.shape, "int8", x_scale, int(rng.integers(-128, 128)))
        y = file.tensor(EVERY.shape, "int8", y_scale, int(rng.integers(-128, 128)))
        file.operator("MUL", [x, x], [y], fusedActivationFunction=NONE)
        model = file.model([x], [y])
        (expected,) = litert(model, semantics, EVERY)
        (found,) = evaluate(import_tflite(model, semantics=semantics), {"tensor0": EVERY}).values()
        assert np.array_equal(found, expected)
