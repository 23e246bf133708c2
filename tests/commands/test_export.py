"""``intaglio export`` from the command line."""

from pathlib import Path

import numpy as np
import onnx
import pytest

import intaglio
from intaglio.backends.blob_writer import write_blob
from intaglio.cli import main
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import int_type
from intaglio.ir.ops_linear import Dense
from intaglio.ir.tensor import Tensor, TensorType
from intaglio.passes.schedule import schedule


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    b = Builder("tiny")
    b.input(Value("x", TensorType(("n", 3), int_type(8, signed=False)), "x"))
    weight = np.array([[1, -2, 3], [-8, 0, 7]], np.int8)
    b.constant("w", Tensor(weight, int_type(4)))
    network = intaglio.Network(write_blob(schedule(b.build((b.node("y", Dense(), "x", "w"),)))))
    network.save(tmp_path / "tiny.intg")
    return tmp_path / "tiny.intg"


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(each) for each in arguments])
    return int(ended.value.code or 0)


def test_hex_files_hold_constants_and_golden_vectors(blob: Path) -> None:
    x = np.array([[1, 2, 3], [255, 0, 1]], np.uint8)
    np.save(blob.with_name("x.npy"), x)
    assert run("export", blob, "--format", "hex", "--data", blob.with_name("x.npy")) == 0
    folder = blob.with_name("tiny-hex")
    assert (folder / "constants/w.hex").read_text() == "// w int4 2x3\n1\ne\n3\n8\n0\n7\n"
    assert (folder / "golden/x.hex").read_text().splitlines()[1:] == [
        "01",
        "02",
        "03",
        "ff",
        "00",
        "01",
    ]
    sums = [1 - 4 + 9, -8 + 21, 255 + 3, -8 * 255 + 7]
    words = [f"{value % (1 << 32):08x}" for value in sums]
    assert (folder / "golden/y.hex").read_text().splitlines()[1:] == words
    page = (folder / "LAYOUT.md").read_text()
    assert "| constants/w.hex | w | 2x3 | int4 | 4 | 6 |" in page
    assert "| 0 | y | dense: sum over k of x[k] * weight[co, k], + bias[co] | x, w |  |" in page


def test_onnx_and_npz_are_files(blob: Path) -> None:
    for kind in ("onnx", "npz"):
        assert run("export", blob, "-f", kind, "-o", blob.with_name(f"out.{kind}")) == 0
    onnx.checker.check_model(onnx.load(blob.with_name("out.onnx")))
    assert np.load(blob.with_name("out.npz"))["constants/w"].tolist() == [[1, -2, 3], [-8, 0, 7]]


def test_a_folder_that_exists_is_left_alone(blob: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = blob.with_name("there")
    target.mkdir()
    (target / "mine").write_text("kept")
    assert run("export", blob, "-f", "c", "-o", target) == 2
    text = " ".join(capsys.readouterr().err.split())
    assert f"'{target}': It exists already. Choose another folder, or remove it." in text
    assert [path.name for path in target.iterdir()] == ["mine"]
    assert {path.name for path in blob.parent.iterdir()} == {"tiny.intg", "there"}


def test_an_unknown_export_is_refused(blob: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("export", blob, "-f", "vhdl") == 2
    text = " ".join(capsys.readouterr().err.split())
    assert "There is no export 'vhdl'. Choose npz, onnx, c, hex, mem, coe." in text
