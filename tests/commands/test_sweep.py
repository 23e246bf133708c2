"""``intaglio sweep``: every combination tried and kept, whatever dies meanwhile."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from importlib.resources import files
from multiprocessing import active_children

import numpy as np
import pytest

import intaglio
from intaglio.backends.cost import network_cost
from intaglio.cost_models.hardware import load_hardware
from intaglio.sweeping import extras
from intaglio.sweeping.folder import Folder

PASSES = """
[[pass]]
name = "canonicalize"

[[pass]]
name = "quantize"
weight_bits = "$bits"

[[pass]]
name = "lower"

[[pass]]
name = "dead_channels"
"""
SPACE = f"""
objectives = ["accuracy", "energy", "bytes"]
storage = "$format"

[choices]
bits = [8, 2]
format = ["smallest", "dense"]
sram = [4096, 16384]

[hardware]
name = "edge-npu"
bytes = {{ SRAM = "$sram" }}
{PASSES}"""
COSTS = ("energy_low_pj", "energy_pj", "energy_high_pj")


@pytest.fixture(scope="module")
def data(made, tmp_path_factory):
    """Inputs that tell the classes apart, the 8-bit network's classes as labels."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(7)
    calib, x = (5 * rng.normal(size=(n, 1, 6, 6)).astype(np.float32) for n in (64, 100))
    network = intaglio.compile(made / "tiny.onnx", calib, recipe=recipe_of(8))
    np.savez(folder / "test.npz", x=x, y=predicted(network, x))
    np.save(folder / "calib.npy", calib)
    return folder


def recipe_of(bits):
    return f'canonicalize,quantize{{"weight_bits": {bits}}},lower,dead_channels'


def predicted(network, x):
    return np.asarray(network.run(x)).reshape(len(x), -1).argmax(axis=1)


def command_of(made, data, *arguments):
    paths = (made / "tiny.onnx", "space.toml", "--test", data / "test.npz")
    return ("sweep", *paths, "--data", data / "calib.npy", *arguments)


@pytest.fixture
def swept(call, made, here, data):
    """Sweep a space: swept(text, *arguments)."""

    def sweep(text, *arguments):
        (here / "space.toml").write_text(text)
        return call(*command_of(made, data, *arguments))

    return sweep


@pytest.fixture(scope="module")
def whole(made, data, tmp_path_factory):
    """An undisturbed sweep of SPACE, and what it printed."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "space.toml").write_text(SPACE)
    command = [sys.executable, "-m", "intaglio", *command_of(made, data, "-o", "out", "--jobs", 2)]
    run = subprocess.run(
        list(map(str, command)), cwd=folder, capture_output=True, text=True, check=True
    )
    assert run.stderr.splitlines()[-1] == "Wrote out."
    return folder / "out", run.stdout


def rows(folder):
    with (folder / "rows.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_combination_is_compiled_measured_and_priced(whole, made, data):
    folder, _ = whole
    got = rows(folder)
    assert [(row["trial"], row["bits"], row["format"], row["sram"]) for row in got] == [
        (str(at), bits, format_, sram)
        for at, (bits, format_, sram) in enumerate(
            (b, f, s) for b in ("8", "2") for f in ("smallest", "dense") for s in ("4096", "16384")
        )
    ]
    calib = np.load(data / "calib.npy")
    with np.load(data / "test.npz") as test:
        x, y = test["x"], test["y"]
    for row in got:
        network = intaglio.compile(
            made / "tiny.onnx", calib, recipe=recipe_of(row["bits"]), storage=row["format"]
        )
        assert (folder / "trials" / f"00{row['trial']}.intg").read_bytes() == network.blob
        right = int((predicted(network, x) == y).sum())
        assert (int(row["correct"]), float(row["accuracy"])) == (right, right / 100)
        assert (right == 100) == (row["bits"] == "8")
        hardware = load_hardware("edge-npu")
        (memory,) = hardware.memories
        sram = memory.model_copy(update={"bytes": int(row["sram"])})
        machine = hardware.model_copy(update={"memories": [sram]}).machine()
        cost = network_cost(network.program, network.blob, machine)
        energies = (cost.energy.low, cost.energy.nominal, cost.energy.high)
        assert tuple(float(row[name]) for name in COSTS) == energies
        assert (int(row["cycles"]), int(row["file_bytes"])) == (cost.time, len(network.blob))
        assert row["hardware"] == f"edge-npu, SRAM {int(row['sram']):,} bytes"
        assert (row["samples"], row["error"]) == ("100", "")


def test_the_front_is_shown_and_written(whole):
    folder, out = whole
    got = rows(folder)
    scores = [(-float(r["accuracy"]), float(r["energy_pj"]), int(r["file_bytes"])) for r in got]
    best = {at for at, mine in enumerate(scores) if not any(beats(each, mine) for each in scores)}
    assert {at for at, row in enumerate(got) if row["front"] == "True"} == best
    assert {got[at]["bits"] for at in best} == {"8", "2"}
    *lines, remark = out.splitlines()
    assert {int(line.split()[0]) for line in lines if line.strip()[:3].isdigit()} == best
    assert remark == (
        f"{len(best)} of 8 trials (8 combinations) that no other beats in accuracy, energy and "
        "bytes."
    )
    assert max(map(len, lines)) <= 80
    found = json.loads((folder / "rows.json").read_text())
    assert set(found["front"]) == best
    assert [row["file_bytes"] for row in found["trials"]] == [int(r["file_bytes"]) for r in got]
    assert (folder / "front.md").read_text().count("\n| 00") == len(best)
    page = (folder / "sweep.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "000 bits=8 format=smallest sram=4096" in page


def beats(one, other):
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


def test_a_trial_that_fails_is_kept_with_its_message_and_the_others_go_on(swept, here, whole):
    found = swept(SPACE.replace("4096", "16"), "-o", "out", "--jobs", 1, "--json")
    assert found.code == 0
    failed = [row for row in found.json["trials"] if row["sram"] == "16"]
    assert [(row["accuracy"] is None, row["file_bytes"], row["error"]) for row in failed] == [
        (
            False,
            None,
            "Layer '/conv/Conv' on 'edge-npu, SRAM 16 bytes': Not even its smallest tile fits into "
            "SRAM of 16 bytes. Choose hardware with more memory.",
        )
    ] * 4
    undisturbed = [row for row in rows(whole[0]) if row["sram"] == "16384"]
    others = [row for row in rows(here / "out") if row["sram"] == "16384"]
    assert [row["energy_pj"] for row in others] == [row["energy_pj"] for row in undisturbed]
    assert "## Failed" in (here / "out" / "front.md").read_text()


def test_when_nothing_succeeds_the_first_reason_is_the_error(swept):
    text = SPACE.replace("4096, 16384", "16")
    found = swept(text, "-o", "out", "--jobs", 1)
    assert found.code == 2
    assert found.err.startswith("'space.toml': None of the 4 trials succeeded. Trial 000: ")


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_killed_worker_costs_nothing(swept, here, whole, monkeypatch):
    killed = []
    save = Folder.save

    def save_and_kill(folder, outcome):
        save(folder, outcome)
        if len(killed) < 2:
            (worker,) = active_children()
            killed.append(worker.pid)
            os.kill(worker.pid, signal.SIGKILL)

    monkeypatch.setattr(Folder, "save", save_and_kill)
    assert swept(SPACE, "-o", "out", "--jobs", 1).code == 0
    assert len(set(killed)) == 2
    for name in ("rows.csv", "rows.json", "front.md", "sweep.html"):
        assert (here / "out" / name).read_bytes() == (whole[0] / name).read_bytes()


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_killed_sweep_goes_on_with_the_same_command(swept, made, data, here):
    options = ("--trials", 5, "--batch", 3, "--jobs", 1)
    assert swept(SPACE, "-o", "whole", *options).code == 0
    command = [sys.executable, "-m", "intaglio", *command_of(made, data, "-o", "out", *options)]
    with subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL) as run:
        while run.poll() is None and not list((here / "out").glob("trials/*.json")):
            time.sleep(0.01)
        run.kill()
    kept = {path: path.stat().st_mtime_ns for path in (here / "out").glob("trials/*.json")}
    assert 0 < len(kept) < 5
    found = swept(SPACE, "-o", "out", *options)
    assert found.code == 0
    assert f"{len(kept)} of 5 trials are in 'out' already.\n" in found.err
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert (here / "out" / "rows.csv").read_bytes() == (here / "whole" / "rows.csv").read_bytes()


def test_more_trials_go_on_from_fewer(swept, here, whole):
    assert swept(SPACE, "-o", "out", "--trials", 3, "--jobs", 1).code == 0
    assert len(rows(here / "out")) == 3
    assert swept(SPACE, "-o", "out", "--trials", 8, "--jobs", 1).code == 0
    assert rows(here / "out") == rows(whole[0])


def test_families_are_compared_at_equal_accuracy(swept, here):
    arguments = ("-o", "out", "--jobs", 1, "--equal", 0, "--family", "format")
    found = swept(SPACE, *arguments)
    assert found.code == 0
    good = [row for row in rows(here / "out") if row["accuracy"] == "1.0"]
    assert [row["bits"] for row in good] == ["8"] * 4
    assert "Within 0 points of 100.00 %, of each format and width of weights the least energy:" in (
        found.out
    )
    for name, sram in (("equal-2.csv", "4096"), ("equal.csv", "16384")):  # in the order of names
        got = [row for row in good if row["sram"] == sram]
        with (here / "out" / name).open(newline="") as file:
            networks = [row for row in csv.DictReader(file) if row["level"] == "network"]
        assert [(row["network"], row["bits"], row["file_bytes"]) for row in networks] == [
            (f"{row['format']} 00{row['trial']}", "8", row["file_bytes"]) for row in got
        ]
        assert [row["energy_pj"] for row in networks] == [row["energy_pj"] for row in got]
    data = swept(SPACE, *arguments, "--json").json["equal"]
    assert (data["points"], data["family"]) == (0, "format")
    assert {str(row["trial"]) for row in data["networks"]} == {row["trial"] for row in good}
    assert {row["bits"] for row in data["networks"]} == {8}


@pytest.mark.skipif(os.name != "posix", reason="needs flock")
def test_two_sweeps_at_a_time_in_one_folder_are_refused(swept, here):
    assert swept(SPACE, "-o", "out", "--trials", 1, "--jobs", 1).code == 0
    with Folder(here / "out").alone():
        assert swept(SPACE, "-o", "out", "--trials", 1).err == (
            "'out': Another sweep is running in it. Wait for it, end it, or choose another folder "
            "with --output.\n"
        )


def test_hardware_files_lie_beside_the_space_and_are_part_of_it(swept, here):
    text = files("intaglio.cost_models").joinpath("data", "hardware", "mcu.toml").read_text()
    (here / "mine.toml").write_text(text.replace('"mcu"', '"mine"'))
    space = f'hardware = "mine.toml"\n[choices]\nbits = [8, 4]\n{PASSES}'
    assert swept(space, "-o", "out", "--jobs", 1).code == 0
    assert {row["hardware"] for row in rows(here / "out")} == {"mine"}
    (here / "mine.toml").write_text(text.replace('"mcu"', '"other"'))
    assert "It holds a sweep with another space." in swept(space, "-o", "out").err


def test_recipes_of_families_may_be_files_of_their_own(swept, here):
    (here / "few.toml").write_text(PASSES)
    (here / "eight.toml").write_text(PASSES.replace('"$bits"', "8"))
    text = 'recipe = "$kind.toml"\n[choices]\nbits = [4, 2]\nkind = ["few", "eight"]\n'
    assert swept(text, "-o", "out", "--jobs", 1).code == 0
    got = [(row["bits"], row["kind"], row["weight_bits"]) for row in rows(here / "out")]
    # Of -1, 0 and 1 most are 0, which count as weights that are gone: a bit tells the others apart.
    assert got == [("4", "few", "4"), ("4", "eight", "8"), ("2", "few", "1"), ("2", "eight", "8")]


def test_another_sweep_in_the_folder_is_refused(swept, here):
    assert swept(SPACE, "-o", "out", "--jobs", 1).code == 0
    found = swept(SPACE.replace("[8, 2]", "[8, 3]"), "-o", "out")
    assert (found.code, found.err) == (
        2,
        "'out': It holds a sweep with another space. Choose another folder with --output, or remove "
        "this one.\n",
    )
    found = swept(SPACE, "-o", "out", "--seed", 3)
    assert "It holds a sweep with another seed." in found.err
    (here / "mine").mkdir()
    (here / "mine" / "thesis.txt").write_text("mine")
    assert swept(SPACE, "-o", "mine").err == (
        "'mine': There is something else in it. Choose an empty or a new folder with --output.\n"
    )


def test_what_is_missing_is_said_before_anything_runs(swept, call, made, data, here, monkeypatch):
    assert swept(SPACE, "--equal", 1).err == "--equal goes with --family. Give --family as well.\n"
    assert swept(SPACE, "--equal", 1, "--family", "kind").err == (
        "'space.toml': There is no choice 'kind'. --family is one of bits, format, sram.\n"
    )
    assert swept(SPACE, "--jobs", 1, "--cluster", "auto").err == (
        "--jobs is of processes here, but there is a --cluster. Leave one out.\n"
    )
    assert call("sweep", made / "tiny.onnx", "space.toml", "--data", data / "calib.npy").err == (
        "Trials are compared by their accuracy. Give labelled test data with --test.\n"
    )
    assert call("sweep", made / "tiny.onnx", "space.toml", "--test", data / "test.npz").err == (
        f"'{made / 'tiny.onnx'}': A float model needs calibration data. Give --data with a .npy or "
        ".npz file of 100 to 1000 real inputs.\n"
    )
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    assert swept(SPACE, "--cluster", "auto").err == (
        "--cluster runs trials with Ray, which is not installed. Install it: pip install "
        "'intaglio[cluster]'.\n"
    )
    assert swept(SPACE, "--trials", 5).err == (
        "The space has 8 combinations, more than --trials 5: Optuna chooses among them, which is "
        "not installed. Install it: pip install 'intaglio[sweep]', or try them all with --trials "
        "8.\n"
    )
    assert not (here / "space-sweep").exists()


@pytest.mark.slow  # Ray takes more than ten seconds to start
def test_a_cluster_gives_the_same_results(swept, made, data, here, whole):
    pytest.importorskip("ray")
    (here / "space.toml").write_text(SPACE)
    command = command_of(made, data, "-o", "out", "--cluster", "local")
    subprocess.run([sys.executable, "-m", "intaglio", *map(str, command)], check=True)
    for name in ("rows.csv", "front.md"):
        assert (here / "out" / name).read_bytes() == (whole[0] / name).read_bytes()
