"""intaglio ops and passes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

Call = Callable[..., Any]


def test_ops_lists_what_the_importers_support(here: Path, call: Call) -> None:
    from intaglio.frontend.onnx_import import MICROSOFT, TRANSLATORS

    found = call("ops", "--json").json
    assert [each["operator"] for each in found["onnx"]] == sorted(
        [*TRANSLATORS, *(f"com.microsoft.{name}" for name in MICROSOFT)]
    )
    assert {"operator": "relu", "arguments": ["self"]} in found["torch"]
    text = call("ops").out
    assert "Conv " in text
    assert "aten.relu " in text


def test_passes_lists_options_with_types_and_defaults(here: Path, call: Call) -> None:
    found = call("passes", "--json").json
    assert list(found) == ["canonicalize", "equalize", "quantize", "lower", "dead_channels"]
    assert found["quantize"]["options"]["weight_bits"] == {"type": "int", "default": 8}
    assert found["quantize"]["options"]["calibration"] == {
        "type": "minmax | percentile | mse | entropy",
        "default": "mse",
    }
    assert '  calibration      minmax | percentile | mse | entropy = "mse"' in call("passes").out
