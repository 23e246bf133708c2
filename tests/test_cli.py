"""The command line as a program of its own: exit codes, signals, pipes, and what it loads."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import intaglio
import pytest

def test_unknown_commands_and_options_exit_2(here: Path) -> None:
    assert call("frobnicate").code == 2
    assert call("inspect", "--frobnicate", "x.intg").code == 2
    assert call("compile", "tiny.onnx").code == 2


def run_module(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "intaglio", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def test_the_module_runs_as_a_program(here: Path) -> None:
    done = run_module("--version")
    assert (done.returncode, done.stdout) == (0, f"intaglio {intaglio.__version__}\n")
    assert run_module("inspect", "none.intg").returncode == 2


def test_help_loads_nothing_heavy(here: Path) -> None:
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


def test_compiling_does_not_load_torch(made: Path, here: Path) -> None:
    code = (
        "import sys\n"
        "from intaglio.cli import main\n"
        "try:\n"
        f"    main(['compile', {str(made / 'tiny.onnx')!r}, '--data', {str(made / 'calib.npz')!r}])\n"
        "except SystemExit as exit:\n"
        "    sys.exit(exit.code or ('torch' in sys.modules and 'loaded torch') or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_reader_that_stops_early_is_no_error(made: Path, here: Path) -> None:
    command = f"{sys.executable} -m intaglio ops | head -n 1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=120, check=True
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_exits_130_without_a_traceback(here: Path) -> None:
    command = [sys.executable, "-m", "intaglio", "demo", "--no-open"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        time.sleep(3)
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Traceback" not in err
    assert not list(here.iterdir())
