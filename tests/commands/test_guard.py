"""The border: exit codes, reports of our own faults, width of tables."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import intaglio
from intaglio.commands import guard

Call = Callable[..., Any]


@pytest.mark.parametrize(
    "arguments",
    [
        ["compile", "tiny.onnx", "--data", "calib.npz"],
        ["run", "w4.intg", "x.npy"],
        ["run", "w4.intg", "x.npy", "--trace"],
        ["inspect", "w4.intg"],
        ["diff", "w4.intg", "w8.intg"],
        ["diff", "tiny.onnx", "w8.intg"],
        ["ops"],
        ["passes"],
    ],
)
def test_tables_fit_80_columns(
    made: Path, here: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], call: Call
) -> None:
    for path in made.iterdir():
        Path(path.name).write_bytes(path.read_bytes())
    monkeypatch.setenv("COLUMNS", "80")
    lines = call(*arguments).out.splitlines()
    assert max(len(line) for line in lines if not line.startswith("They part")) <= 80


def test_our_own_faults_ask_for_a_report_with_the_traceback_in_a_file(
    made: Path, here: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise ZeroDivisionError("broken")

    monkeypatch.setattr(guard.tempfile, "tempdir", str(here))
    monkeypatch.setattr(intaglio.api, "load", break_down)
    result = call("check", made / "w4.intg")
    (saved,) = here.iterdir()
    assert result.code == 70
    assert result.err == (
        "intaglio failed by its own fault: ZeroDivisionError: broken. Please report this with the "
        f"traceback, which is in {saved}.\n"
    )
    assert saved.read_text().endswith("ZeroDivisionError: broken\n")


@pytest.mark.parametrize("by", ["option", "environment"])
def test_debug_shows_the_traceback_before_the_paragraph(
    here: Path, monkeypatch: pytest.MonkeyPatch, by: str, call: Call
) -> None:
    monkeypatch.setenv("INTAGLIO_DEBUG", "1" if by == "environment" else "0")
    result = call("inspect", "none.intg", *(["--debug"] if by == "option" else []))
    assert result.code == 2
    assert result.err.startswith("Traceback (most recent call last):\n")
    assert result.err.endswith("'none.intg': It cannot be read: No such file or directory.\n")


def test_unknown_commands_and_options_exit_2(here: Path, call: Call) -> None:
    assert call("frobnicate").code == 2
    assert call("inspect", "--frobnicate", "x.intg").code == 2
    assert call("compile", "tiny.onnx").code == 2


def test_compiling_does_not_load_torch(made: Path, here: Path) -> None:
    arguments = ["compile", str(made / "tiny.onnx"), "--data", str(made / "calib.npz")]
    code = (
        "import sys\n"
        "from intaglio.cli import main\n"
        "try:\n"
        f"    main({arguments!r})\n"
        "except SystemExit as exit:\n"
        "    sys.exit(exit.code or ('torch' in sys.modules and 'loaded torch') or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
