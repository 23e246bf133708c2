"""Brevitas layers through its exporters, QONNX and QCDQ: 0 LSB against their own outputs."""

import pytest

pytest.importorskip("brevitas", reason="Brevitas modules are what is exported")

from .brevitas_cases import LAYERS, ROUNDINGS, Case, compare, expressible

pytestmark = pytest.mark.filterwarnings("ignore")  # Brevitas and torch warn of each other


@pytest.mark.parametrize("route", ["qonnx", "qcdq"])
@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_equals_brevitas(route, layer):
    found = compare(Case(4, True, True, layer=layer), route)
    assert (found.differ, found.far) == (0, 0)


@pytest.mark.parametrize("bits", [1, 2, 3, 8])
@pytest.mark.parametrize("signed", [True, False])
def test_every_width_equals_brevitas(bits, signed):
    case = Case(bits, signed, layer="linear")
    for route in ("qonnx", "qcdq"):
        if expressible(case, route):
            assert compare(case, route).differ == 0


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_qonnx_carries_the_rounding_of_activations(rounding):
    assert compare(Case(5, rounding=rounding, layer="linear"), "qonnx").differ == 0


@pytest.mark.parametrize("route", ["qonnx", "qcdq"])
def test_any_scale_equals_brevitas_but_for_float32(route):
    assert compare(Case(6, True, True, powers=False), route).far == 0
