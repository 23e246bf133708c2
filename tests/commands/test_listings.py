"""intaglio ops and passes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from intaglio.passes.pipeline import PASSES

Call = Callable[..., Any]


def test_ops_lists_what_each_importer_supports(here: Path, call: Call) -> None:
    from intaglio.commands.operators import DIALECTS
    from intaglio.frontend.onnx.importer import MICROSOFT, QONNX, TRANSLATORS
    from intaglio.frontend.tflite.importer import TRANSLATORS as TFLITE

    found = call("ops", "--json").json
    assert list(found) == list(DIALECTS)
    names = {name: [each["operator"] for each in found[name]] for name in found}
    assert names["onnx"] == sorted(TRANSLATORS)
    assert names["com.microsoft"] == sorted(MICROSOFT)
    assert names["qonnx"] == sorted(QONNX)
    assert names["tflite"] == sorted(TFLITE)
    assert names["brevitas"][0] == "activation quantizer"
    assert "DPURoundSte" in found["brevitas"][0]["attributes"]
    assert {"operator": "aten.relu", "attributes": ["self"], "limits": ""} in found["torch"]


def test_ops_of_one_dialect(here: Path, call: Call) -> None:
    text = call("ops", "--dialect", "qonnx").out
    assert text.startswith("qonnx: QONNX")
    assert "BipolarQuant " in text
    assert "aten.relu" not in text
    refused = call("ops", "--dialect", "caffe")
    assert refused.code == 2
    assert "There is no dialect 'caffe'. The dialects are onnx, com.microsoft, " in refused.err


def test_the_page_of_operators_is_what_ops_prints(here: Path, call: Call) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "operators.md"
    assert page.read_text() == call("ops", "--markdown").out


def test_passes_lists_options_with_types_and_defaults(here: Path, call: Call) -> None:
    found = call("passes", "--json").json
    assert list(found) == list(PASSES)
    assert found["quantize"]["options"]["weight_bits"] == {"type": "int", "default": 8}
    assert found["quantize"]["options"]["calibration"] == {
        "type": "minmax | percentile | mse | entropy",
        "default": "mse",
    }
    assert '  calibration      minmax | percentile | mse | entropy = "mse"' in call("passes").out


def test_passes_lists_options_of_options(here: Path, call: Call) -> None:
    rate = call("passes", "--json").json["admm"]["options"]["target"]
    assert rate["type"].startswith("{scheme: non-structured | filter | ")
    assert "layers: list of {match: str, rate: float, " in rate["type"]
    assert rate["type"].endswith("block: [int, int], n_of_m: [int, int], patterns: [int, int]}")
    assert rate["default"]["rate"] == 4.0
    lines = [line.split(maxsplit=1) for line in call("passes").out.splitlines()]
    assert ["target.block", "[int, int] = [4, 4]"] in [[a, b[0].rstrip()] for a, *b in lines if b]
