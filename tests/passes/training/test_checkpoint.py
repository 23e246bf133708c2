"""Checkpoints: a training that stops goes on to the same result, and never from something else."""

import json
import re
from itertools import count

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from intaglio.errors import UsageError

from .small import images, network, only, same, trained

RECIPES = {
    "admm": 'admm{"target": {"rate": 4}, "via": [2.0], "epochs": 2, "retrain": 1, "every": 2}',
    "coding": 'admm{"target": {"rate": 2}, "epochs": 1, "retrain": 1, '
    '"coding": {"kind": "uniform", "bits": 3, "epochs": 2, "rounds": 2, "each": 1}}',
    "normalized": 'admm{"target": {"rate": 2}, "epochs": 1, "retrain": 2, "batch_norm": true}',
    "gradual": 'magnitude{"target": {"rate": 4}, "gradual": 3, "retrain": 2, '
    '"optimizer": {"method": "sgd", "learning_rate": 0.05, "weight_decay": 1e-4}}',
    "two passes": 'train{"epochs": 2},magnitude{"target": {"rate": 4}, "retrain": 2, '
    '"optimizer": {"distill": 0.5}}',
}


class StopError(Exception):
    """The power fails."""


def stopping(at):
    """A progress that stops the training when so many steps were told."""
    steps = count(1)

    def progress(label, done, total, detail=""):
        if next(steps) == at:
            raise StopError

    return progress


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("at", [1, 6, 11, 14])
def test_a_training_that_was_stopped_goes_on_to_the_same_result(name, at, tmp_path):
    moves = {"shift": 1, "mirror": True, "seed": 3}
    whole = trained(RECIPES[name], **moves)
    with pytest.raises(StopError):
        trained(RECIPES[name], progress=stopping(at), folder=tmp_path, **moves)
    assert same(whole, trained(RECIPES[name], folder=tmp_path, resume=True, **moves))


@pytest.mark.parametrize("generator", [None, torch.Generator()])
def test_a_training_from_a_loader_that_shuffles_goes_on_to_the_same_result(generator, tmp_path):
    x, y = map(torch.from_numpy, images())
    loader = DataLoader(TensorDataset(x, y), 32, shuffle=True, generator=generator)
    recipe = RECIPES["gradual"]
    whole = trained(recipe, train=loader)
    with pytest.raises(StopError):
        trained(recipe, train=loader, progress=stopping(21), folder=tmp_path)
    next(iter(loader))  # What else draws from it changes nothing.
    assert same(whole, trained(recipe, train=loader, folder=tmp_path, resume=True))


def test_what_is_done_is_not_done_again(tmp_path):
    rows, steps, told = [], [], []
    first = trained(RECIPES["two passes"], folder=tmp_path, log=rows.append)
    again = trained(
        RECIPES["two passes"],
        folder=tmp_path,
        resume=True,
        log=told.append,
        progress=lambda *step: steps.append(step),
    )
    assert same(first, again)
    assert steps == []
    assert told == rows


def test_the_log_lies_beside_the_checkpoint(tmp_path):
    rows = []
    trained(RECIPES["admm"], folder=tmp_path, log=rows.append)
    lines = only(tmp_path, ".jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".jsonl", ".pt"]


def test_an_existing_checkpoint_is_not_overwritten_unasked(tmp_path):
    trained(RECIPES["gradual"], folder=tmp_path)
    path = only(tmp_path, ".pt")
    message = (
        f"'{path}': A checkpoint of this very pass lies there already. "
        "Go on from it with --resume, or delete it to begin anew."
    )
    before = path.read_bytes()
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        trained(RECIPES["gradual"], folder=tmp_path)
    assert path.read_bytes() == before


OTHERS = {
    "recipe": {"recipe": RECIPES["gradual"].replace("1e-4", "1e-3")},
    "data": {"train": images(256, seed=9)},
    "labels": {"train": (images()[0], (images()[1] + 1) % 3)},
    "seed": {"seed": 1},
    "moves": {"shift": 1},
    "mirror": {"mirror": True},
    "weights": {"graph": network(seed=1)},
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_checkpoint_of_something_else_is_not_used(name, tmp_path):
    other = {"recipe": RECIPES["gradual"], **OTHERS[name]}
    trained(RECIPES["gradual"], folder=tmp_path)
    assert same(trained(**other), trained(**other, folder=tmp_path, resume=True))
    assert len(list(tmp_path.glob("*.pt"))) == 2


@pytest.mark.parametrize("spoil", ["cut", "flipped", "empty", "text"])
def test_a_damaged_checkpoint_is_refused(spoil, tmp_path):
    trained(RECIPES["gradual"], folder=tmp_path)
    path = only(tmp_path, ".pt")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    spoiled = {"cut": data[: len(data) // 3], "flipped": data, "empty": b"", "text": b"hello" * 99}
    path.write_bytes(spoiled[spoil])
    message = f"'{path}': The checkpoint is damaged. Delete it to begin this pass anew."
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        trained(RECIPES["gradual"], folder=tmp_path, resume=True)


def test_a_write_that_was_cut_off_leaves_the_checkpoint_before(tmp_path):
    whole = trained(RECIPES["admm"])
    with pytest.raises(StopError):
        trained(RECIPES["admm"], folder=tmp_path, progress=stopping(14))
    path = only(tmp_path, ".pt")
    path.with_name(f"{path.name}.part").write_bytes(path.read_bytes()[:100])
    assert same(whole, trained(RECIPES["admm"], folder=tmp_path, resume=True))


def test_resume_without_a_checkpoint_begins(tmp_path):
    folder = tmp_path / "new" / "folder"
    made = trained(RECIPES["admm"], folder=folder, resume=True)
    assert same(made, trained(RECIPES["admm"]))
    assert only(folder, ".pt").name.startswith("admm-")


def test_a_folder_without_what_is_to_be_resumed_is_told_once(tmp_path):
    notes = []
    options = {"folder": tmp_path, "resume": True, "note": notes.append}
    trained(RECIPES["two passes"], **options)
    trained(RECIPES["two passes"], **options)
    assert notes == []
    with pytest.raises(StopError):
        trained(RECIPES["two passes"], **options, seed=1, progress=stopping(6))
    text = f"Nothing in '{tmp_path}' is of this recipe, network, data and seed: training begins."
    assert notes == [text]
    trained(RECIPES["two passes"], **options, seed=1)
    assert notes == [text]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "folder"
    message = (
        f"'{folder}': The folder of checkpoints cannot be made: Not a directory. "
        "Choose a folder that you may write to."
    )
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        trained(RECIPES["admm"], folder=folder)


def test_a_checkpoint_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UsageError) as caught:
        trained(RECIPES["admm"], folder=str(tmp_path))
    assert re.fullmatch(
        r"'.+admm-\w{12}\.pt': The checkpoint cannot be written: No space left on device\. Make "
        r"room for it, or choose another folder; --resume goes on from the state before\.",
        str(caught.value),
    )
