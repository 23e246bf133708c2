"""The command line as a program of its own: exit codes, signals, pipes, and what it loads."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import intaglio


def run_module(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "intaglio", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_module_runs_as_a_program(tmp_path: Path) -> None:
    done = run_module("--version")
    assert (done.returncode, done.stdout) == (0, f"intaglio {intaglio.__version__}\n")
    assert run_module("inspect", "none.intg").returncode == 2


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from intaglio.cli import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "except SystemExit:\n"
        "    heavy = {'torch', 'onnx', 'numba', 'numpy'} & set(sys.modules)\n"
        "    sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "compile" in done.stdout


def test_a_reader_that_stops_early_is_no_error() -> None:
    command = f"{sys.executable} -m intaglio ops | head -n 1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=120, check=True
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes and SIGINT")
def test_ctrl_c_exits_130_without_a_traceback(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "data.npy")
    command = [sys.executable, "-m", "intaglio", "compile", "net.onnx", "--data", "data.npy"]
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=tmp_path) as run,
        open(tmp_path / "data.npy", "wb"),  # Opens when the command begins to read.
    ):
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
    assert (run.returncode, out, err) == (130, "", "Interrupted.\n")
