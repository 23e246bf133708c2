"""Kernels run wherever intaglio is installed, also where compiled code cannot be kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import intaglio

ROOT = Path(intaglio.__file__).parent
ADD = """
import numpy as np
from intaglio.ir.numeric import int_type
from intaglio.ir.ops_pointwise import Add
from intaglio.ir.tensor import TensorType
from intaglio.kernels.table import kernel_for
codes, out = np.array([[1, 2, 3]], np.int8), np.empty((1, 3), np.int32)
types = [TensorType(("n", 3), int_type(8))] * 2
kernel_for(Add((2, 3)), types)(Add((2, 3)), (codes, codes), out)
print(out.tolist())
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with a copy of what the kernels need."""
    package = tmp_path / "lib" / "intaglio"
    package.mkdir(parents=True)
    for name in ("__init__.py", "errors.py"):
        shutil.copy(ROOT / name, package / name)
    for name in ("ir", "kernels"):
        shutil.copytree(ROOT / name, package / name, ignore=shutil.ignore_patterns("__pycache__"))
    return package.parent


def run(lib: Path, home: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA", "XDG", "PYTHON"))}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", ADD],
        env=kept | {"HOME": home, "PYTHONPATH": str(lib), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_compiled_code_is_kept_beside_the_source(installed: Path) -> None:
    assert run(installed, home=os.devnull).stdout == "[[5, 10, 15]]\n"
    assert list((installed / "intaglio/kernels/__pycache__").glob("pointwise._add*.nbc"))


def test_compiled_code_is_kept_at_home_when_the_package_cannot_be_written(
    installed: Path, tmp_path: Path
) -> None:
    (installed / "intaglio/kernels/__pycache__").write_text("a file where a folder should be")
    assert run(installed, home=str(tmp_path)).stdout == "[[5, 10, 15]]\n"
    assert list(tmp_path.glob("**/numba/**/*.nbc"))


def test_kernels_run_when_nothing_can_be_written(installed: Path) -> None:
    (installed / "intaglio/kernels/__pycache__").write_text("a file where a folder should be")
    done = run(installed, home=os.devnull)
    assert (done.stdout, done.stderr) == ("[[5, 10, 15]]\n", "")
