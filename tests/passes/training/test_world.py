"""Processes that train together, started as torchrun does."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from intaglio.errors import UsageError
from intaglio.passes import processes
from intaglio.passes.training.world import world

from .small import trained

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
sys.path.insert(0, {tests!r})
from small import arrays, images, trained
from intaglio.passes import processes

folder, resume = Path({folder!r}), sys.argv[1:] == ["resume"]
rows = []
recipe = {recipe!r}
graph = trained(recipe, seed=4, shift=1, folder=folder / "saved", resume=resume, log=rows.append)
np.savez(folder / f"rank{{processes.rank()}}.npz", rows=len(rows), **arrays(graph))
if processes.leads():
    np.savez(folder / "accuracy.npz", accuracy=rows[-1]["accuracy"])
"""
RECIPE = (
    'train{"epochs": 2, "batch_norm": true, "optimizer": {"learning_rate": 0.01}},'
    'admm{"target": {"rate": 2}, "epochs": 2, "retrain": 4, "batch_norm": true, '
    '"optimizer": {"learning_rate": 0.01}}'
)


def start(script, *arguments, count=2):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc_per_node={count}",
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, str(script), *arguments],
        env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def script(folder):
    made = folder / "train.py"
    made.write_text(
        SCRIPT.format(tests=str(Path(__file__).parent), folder=str(folder), recipe=RECIPE)
    )
    return made


def loaded(path):
    with np.load(path) as held:
        return dict(held)


@pytest.mark.slow
def test_two_processes_end_with_the_same_parameters_and_learn_as_one_does(tmp_path):
    done = start(script(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip().count("\n") < 4, done.stderr
    lead, follow = (loaded(tmp_path / f"rank{rank}.npz") for rank in range(2))
    assert (lead.pop("rows"), follow.pop("rows")) == (8, 0)
    assert set(lead) == {"w1", "b1", "w2", "b2"}
    for name, array in lead.items():
        assert array.tobytes() == follow[name].tobytes(), name
    names = sorted(path.name.split("-")[0] for path in (tmp_path / "saved").glob("*.pt"))
    assert names == ["admm", "train"]
    rows = []
    trained(RECIPE, seed=4, shift=1, log=rows.append)
    together = float(loaded(tmp_path / "accuracy.npz")["accuracy"])
    assert min(together, rows[-1]["accuracy"]) > 80
    assert abs(together - rows[-1]["accuracy"]) < 15


@pytest.mark.slow
def test_two_processes_resume_to_the_same_parameters(tmp_path):
    assert start(script(tmp_path)).returncode == 0
    whole = [loaded(tmp_path / f"rank{rank}.npz") for rank in range(2)]
    (path,) = (tmp_path / "saved").glob("admm-*.pt")
    path.unlink()
    done = start(script(tmp_path), "resume")
    assert done.returncode == 0, done.stderr
    for rank, before in enumerate(whole):
        after = loaded(tmp_path / f"rank{rank}.npz")
        assert all(after[name].tobytes() == array.tobytes() for name, array in before.items())


@pytest.mark.slow
def test_an_error_of_one_process_ends_the_other(tmp_path):
    made = script(tmp_path)
    fail = "if processes.rank() == 1:\n    raise SystemExit('my disk is gone')\nrows = []"
    made.write_text(made.read_text().replace("rows = []", fail))
    done = start(made)
    assert done.returncode != 0
    assert "my disk is gone" in done.stderr


@pytest.mark.parametrize(
    ("variables", "rank", "size"),
    [
        ({}, 0, 1),
        ({"RANK": "3"}, 0, 1),
        ({"RANK": "1", "WORLD_SIZE": "4"}, 1, 4),
        ({"RANK": "0", "WORLD_SIZE": "1"}, 0, 1),
        ({"RANK": "a", "WORLD_SIZE": "-2"}, 0, 1),
    ],
)
def test_the_process_is_known_by_the_variables_of_torchrun(variables, rank, size, monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (processes.rank(), processes.size()) == (rank, size)
    assert processes.leads() is (rank == 0)


def test_processes_that_cannot_meet_are_explained(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(UsageError) as caught:
        world("cpu")
    assert str(caught.value) == (
        "WORLD_SIZE is 2, but the other processes cannot be found: Error initializing "
        "torch.distributed using env:// rendezvous: environment variable MASTER_ADDR expected, but "
        "not set. Start with torchrun, or unset WORLD_SIZE."
    )


@pytest.mark.parametrize("device", ["tpu", "xpu", "", "meta", "cpu:x"])
def test_a_device_that_is_none_is_refused(device):
    with pytest.raises(UsageError) as caught:
        world(device)
    assert str(caught.value) == f"There is no device '{device}'. Choose cpu or cuda."
