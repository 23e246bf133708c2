"""intaglio compile with labelled data: training, accuracy, baselines, and what cannot work."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import intaglio
from intaglio.passes.pipeline import Pipeline

Call = Callable[..., Any]
Samples = Callable[..., np.ndarray]
ADMM = 'admm{"target": {"rate": 2}, "epochs": 2, "retrain": 2}'
RECIPE = f"canonicalize,{ADMM},equalize,quantize,lower,dead_channels"


def labels(x: np.ndarray) -> np.ndarray:
    """Which pair of columns is the brightest."""
    return x.reshape(-1, 6, 3, 2).sum(axis=(1, 3)).argmax(axis=1)


@pytest.fixture
def data(made: Path, here: Path, samples: Samples) -> Path:
    """The current folder with tiny.onnx, train.npz and test.npz."""
    Path("tiny.onnx").write_bytes((made / "tiny.onnx").read_bytes())
    for name, count, seed in (("train", 256, 3), ("test", 100, 4)):
        x = samples(count, seed)
        np.savez(f"{name}.npz", x=x, y=labels(x))
    return here


@pytest.fixture
def train(call: Call) -> Call:
    """Compile tiny.onnx with --train and --test by RECIPE, and more arguments."""
    given = ("--train", "train.npz", "--test", "test.npz", "--recipe", RECIPE)
    return partial(call, "compile", "tiny.onnx", *given)


def accuracy(network: intaglio.Network, file: str) -> float:
    with np.load(file) as arrays:
        found = np.asarray(network.run(arrays["x"])).argmax(axis=1)
        return float((found == arrays["y"]).mean() * 100)


def test_a_recipe_trains_and_the_accuracy_is_of_the_blob(data: Path, train: Call) -> None:
    found = train("--json").json
    assert found["recipe"] == str(Pipeline.parse(RECIPE))
    network = intaglio.load("tiny.intg")
    assert found["accuracy"]["samples"] == 100
    assert found["accuracy"]["percent"] == pytest.approx(accuracy(network, "test.npz"))
    assert found["accuracy"]["correct"] == round(found["accuracy"]["percent"])
    assert [row["phase"] for row in found["epochs"]] == ["ADMM 2x"] * 2 + ["retrain 2x"] * 2
    assert found["baselines"] == []


def test_the_accuracy_is_shown_beside_that_of_the_last_epoch(data: Path, train: Call) -> None:
    rows = train("--json").json
    integers, last = rows["accuracy"]["percent"], rows["epochs"][-1]["accuracy"]
    lines = train().out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("accuracy"))
    assert " ".join(" ".join(lines[start : start + 2]).split()) == (
        f"accuracy {integers:.2f} % of 100 samples as integers, "
        f"{last:.2f} % after the last epoch of training"
    )


def test_the_blob_is_that_of_the_library(data: Path, train: Call) -> None:
    train("--seed", 7, "--shift", 1, "--mirror")
    with np.load("train.npz") as train_, np.load("test.npz") as test:
        training = intaglio.Training(
            (train_["x"], train_["y"]), (test["x"], test["y"]), seed=7, shift=1, mirror=True
        )
        network = intaglio.compile("tiny.onnx", recipe=RECIPE, training=training)
    assert Path("tiny.intg").read_bytes() == network.blob


def test_training_inputs_calibrate_unless_other_data_does(data: Path, call: Call) -> None:
    with np.load("train.npz") as arrays:
        np.save("x.npy", arrays["x"])
        np.save("half.npy", arrays["x"] / 2)
    recipe = ("--recipe", "quantize,lower")
    for name, given in (
        ("own", ("--train", "train.npz")),
        ("same", ("--data", "x.npy")),
        ("other", ("--train", "train.npz", "--data", "half.npy")),
    ):
        assert call("compile", "tiny.onnx", *recipe, *given, "-o", f"{name}.intg").code == 0
    own, same, other = (Path(f"{name}.intg").read_bytes() for name in ("own", "same", "other"))
    assert own == same
    assert own != other


def test_a_recipe_that_does_not_train_says_so(data: Path, call: Call) -> None:
    result = call("compile", "tiny.onnx", "--train", "train.npz")
    assert result.err == "No pass of the recipe trains: --train is for calibration at most.\n"


def test_test_data_alone_measures_any_compile(data: Path, made: Path, compile_tiny: Call) -> None:
    found = compile_tiny("--test", "test.npz", "--json").json
    network = intaglio.load("tiny.intg")
    assert found["accuracy"]["percent"] == pytest.approx(accuracy(network, "test.npz"))
    assert found["epochs"] == []
    assert compile_tiny("--json").json["accuracy"] is None


def test_resuming_something_else_is_told(data: Path, train: Call) -> None:
    given = ("--checkpoints", "kept", "--resume")
    assert train(*given).err == ""
    assert train(*given, "--seed", 1).err == (
        "Nothing in 'kept' is of this recipe, network, data and seed: training begins.\n"
    )
    assert train(*given, "--seed", 1).err == ""


def test_the_blob_holds_no_paths(data: Path, train: Call) -> None:
    train("--checkpoints", data / "secret_folder")
    blob = Path("tiny.intg").read_bytes()
    for word in (b"secret", b".npz", str(data).encode(), b"train."):
        assert word not in blob


def test_bytes_images_and_functions_train(data: Path, call: Call) -> None:
    image = pytest.importorskip("PIL.Image", reason="reads images")
    with np.load("train.npz") as arrays:
        x, y = (arrays["x"] * 255).round().astype(np.uint8), arrays["y"]
    np.savez("bytes.npz", x=x, y=y)
    for index, (pixels, label) in enumerate(zip(x[:, 0], y, strict=True)):
        Path(f"images/{label}").mkdir(parents=True, exist_ok=True)
        image.fromarray(pixels).save(f"images/{label}/{index:03}.png")
    Path("their.py").write_text(
        "import numpy as np\n\ndef train():\n    with np.load('bytes.npz') as held:\n"
        "        order = np.argsort(held['y'], kind='stable')\n"
        "        return held['x'][order].astype(np.float32) * np.float32(1 / 255), held['y'][order]\n"
    )
    command = ("compile", "tiny.onnx", "--recipe", RECIPE)
    assert call(*command, "--train", "bytes.npz", "--scale", "1/255").code == 0
    assert call(*command, "--train", "images", "-o", "images.intg").code == 0
    assert call(*command, "--train", "their.py:train", "-o", "function.intg").code == 0
    assert Path("images.intg").read_bytes() == Path("function.intg").read_bytes()


METHODS = ["ADMM", "one-shot magnitude", "gradual magnitude"]


def test_baselines_prune_by_magnitude_in_as_many_epochs(data: Path, train: Call) -> None:
    found = train("--baselines", "--json").json
    assert [each["method"] for each in found["baselines"]] == METHODS
    assert [each["epochs"] for each in found["baselines"]] == [4, 4, 4]
    assert [each["rate"] for each in found["baselines"]] == [2.0, 2.0, 2.0]
    assert found["baselines"][0]["accuracy"] == found["accuracy"]["percent"]
    assert found["baselines"][0]["bytes"] == found["bytes"]["total"]
    assert len(found["epochs"]) == 4
    for gradual, each in zip((0, 2), found["baselines"][1:], strict=True):
        magnitude = (
            f'magnitude{{"target": {{"rate": 2}}, "gradual": {gradual}, "retrain": {4 - gradual}}}'
        )
        with np.load("train.npz") as arrays:
            training = intaglio.Training((arrays["x"], arrays["y"]))
            recipe = RECIPE.replace(ADMM, magnitude)
            network = intaglio.compile("tiny.onnx", recipe=recipe, training=training)
        assert each["bytes"] == len(network.blob)
        assert each["accuracy"] == pytest.approx(accuracy(network, "test.npz"))


def test_baselines_are_a_table(data: Path, train: Call) -> None:
    rows = [line.split() for line in train("--baselines").out.splitlines()]
    assert ["method", "rate", "epochs", "accuracy", "bytes"] in rows
    (row,) = (row for row in rows if row[:2] == ["gradual", "magnitude"])
    assert row[2:4] == ["2.0x", "4"]


TRAIN = ["--train", "train.npz"]
REAL = "Input 'x': {} data is float32[3, 1, 7, 6], expected reals of shape ('n', 1, 6, 6). Prepare the data exactly as the float network takes it."


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--shift", "2"], "--shift is for training, but there is none. Give it with --train."),
        (["--resume"], "--resume is for training, but there is none. Give it with --train."),
        (["--baselines"], "--baselines is for training, but there is none. Give it with --train."),
        (["--mean", "1"], "--mean is for labelled data, but there is none. Give it with --train or --test."),
        ([*TRAIN, "--resume"], "There is nothing to resume from. Give the --checkpoints."),
        ([*TRAIN, "--baselines"], "Baselines are compared on test data. Give it with --test."),
        ([*TRAIN, "--seed", "-1"], "seed is -1. Choose 0 or more."),
        ([*TRAIN, "--shift", "-2"], "shift is -2. Choose 0 or more."),
        ([*TRAIN, "--scale", "x"], "--scale is 'x'. Give a number such as 0.5 or 1/255; for channels, numbers with commas."),
        ([*TRAIN, "--std", "1/0"], "--std is '1/0'. Give a number such as 0.5 or 1/255; for channels, numbers with commas."),
        (["--train", "f:g", "--scale", "2"], "A function prepares its data itself. Leave out --scale, --mean and --std."),
        (
            [*TRAIN, "--test", "test.npz", "--baselines", "--recipe", "quantize,lower"],
            "Baselines take the place of admm passes that prune, and the recipe has none. Add one to the recipe, or leave out --baselines.",
        ),
        ([*TRAIN, "--recipe", RECIPE, "--device", "tpu"], "There is no device 'tpu'. Choose cpu or cuda."),
        (["--train", "calib.npz"], "'calib.npz': It has no labels, only x. Name the array y or labels or label."),
        (["--train", "wrong.npz"], REAL.format("Training")),
        ([*TRAIN, "--test", "wrong.npz"], REAL.format("Test")),
        (
            ["--train", "far.npz"],
            "Labels of the training data reach from 1 to 3, but the network has 3 classes. Number the classes 0 to 2.",
        ),
        (
            ["--train", "few.npz", "--recipe", RECIPE],
            "There are 8 training samples for batches of 64. Give more samples or make the batch smaller.",
        ),
        (
            [*TRAIN, "--recipe", RECIPE.replace('"rate": 2', '"scheme": "rows"')],
            "Option 'target.scheme' of pass 'admm': Input should be 'non-structured', 'filter', 'channel', 'column', 'filter+column', 'block', 'n:m' or 'pattern'.",
        ),
        (
            [*TRAIN, "--recipe", RECIPE.replace('"rate": 2', '"rate": 50')],
            "Node '/conv/Conv' (conv): A rate of 50 leaves none of its 18 weights. Prune less, or state in 'layers' what this layer keeps.",
        ),
        (
            [*TRAIN, "--recipe", RECIPE.replace('"rate": 2', '"layers": [{"match": "/conv1/Conv", "keep": 9}]')],
            "No layer with weights matches '/conv1/Conv'. Did you mean '/conv/Conv'? The layers are: /conv/Conv, /fc/Gemm.",
        ),
        (["--data", "calib.npz", "--recipe", RECIPE], "Pass 'admm' trains, but there is no labelled data. Give images and labels: --train, or training=Training(...) in Python."),
    ],
)  # fmt: skip
def test_what_cannot_work_is_explained_and_leaves_no_file(
    data: Path,
    made: Path,
    arguments: list[str],
    error: str,
    call: Call,
    samples: Samples,
    wrong: np.ndarray,
) -> None:
    Path("calib.npz").write_bytes((made / "calib.npz").read_bytes())
    np.savez("wrong.npz", x=wrong, y=[0, 1, 2])
    np.savez("far.npz", x=samples(3), y=[1, 2, 3])
    np.savez("few.npz", x=samples(8), y=labels(samples(8)))
    before = sorted(data.iterdir())
    result = call("compile", "tiny.onnx", *arguments)
    assert (result.code, result.out, result.err) == (2, "", f"{error}\n")
    assert sorted(data.iterdir()) == before


def test_class_folders_that_differ_are_refused(data: Path, call: Call) -> None:
    image = pytest.importorskip("PIL.Image", reason="reads images")
    for part, names in (("one", "abc"), ("two", "abd")):
        for name in names:
            Path(part, name).mkdir(parents=True)
            image.fromarray(np.zeros((6, 6), np.uint8)).save(Path(part, name, "1.png"))
    result = call("compile", "tiny.onnx", "--train", "one", "--test", "two")
    assert (result.code, result.err) == (
        2,
        "The first class folder that differs is 'c' in --train and 'd' in --test. Name the class "
        "folders alike: they are numbered in order of name.\n",
    )


def test_a_missing_torch_is_named_with_the_extra_that_has_it(
    data: Path, train: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    result = train()
    assert (result.code, result.err) == (
        2,
        "Pass 'admm' trains with PyTorch, which is not installed. Install it: pip install "
        "'intaglio[train]'.\n",
    )


def test_a_loss_that_is_no_number_leaves_no_blob(data: Path, call: Call) -> None:
    absurd = '{"method": "sgd", "learning_rate": 10, "weight_decay": 1, "batch": 16}'
    recipe = RECIPE.replace(ADMM, f'train{{"epochs": 9, "optimizer": {absurd}}}')
    result = call("compile", "tiny.onnx", "--train", "train.npz", "--recipe", recipe)
    assert result.code == 2
    assert result.err.startswith("The loss is not a number in phase 'train', epoch ")
    assert result.err.endswith(
        " (in pass 'train'; passes done: canonicalize) Lower the learning rate or rho, and look "
        "for outliers in the data.\n"
    )
    assert not Path("tiny.intg").exists()


LONG = RECIPE.replace('"epochs": 2', '"growth": 1, "epochs": 60')


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_killed_training_resumes_to_the_very_same_blob(data: Path, call: Call) -> None:
    given = ["--train", "train.npz", "--test", "test.npz", "--recipe", LONG]
    command = ["compile", "tiny.onnx", *given, "--checkpoints", "saved"]
    with subprocess.Popen([sys.executable, "-m", "intaglio", *command]) as running:
        while not epochs(Path("saved")) > 3 and running.poll() is None:
            time.sleep(0.02)
        running.send_signal(signal.SIGKILL)
    assert 3 < epochs(Path("saved")) < 62
    assert not Path("tiny.intg").exists()
    refused = call(*command)
    assert refused.code == 2
    assert refused.err.endswith(
        "A checkpoint of this very pass lies there already. Go on from it with --resume, or "
        "delete it to begin anew.\n"
    )
    assert call(*command, "--resume").code == 0
    resumed = Path("tiny.intg").read_bytes()
    assert call("compile", "tiny.onnx", *given).code == 0
    assert Path("tiny.intg").read_bytes() == resumed


def epochs(folder: Path) -> int:
    """How many epochs the logs of a folder hold."""
    return sum(len(path.read_text().splitlines()) for path in folder.glob("*.jsonl"))


@pytest.mark.slow
def test_of_two_processes_one_prints_and_writes(data: Path, call: Call) -> None:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = ["compile", "tiny.onnx", "--train", "train.npz", "--test", "test.npz", "--json"]
    recipe = ["--recipe", RECIPE]
    done = subprocess.run(
        [*start, "-m", "intaglio", *command, *recipe], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr.count("intaglio")) == (0, 0)
    found = json.loads(done.stdout)
    assert found["accuracy"]["percent"] == pytest.approx(
        accuracy(intaglio.load("tiny.intg"), "test.npz")
    )
    alone = call(*command, *recipe).json
    assert abs(alone["accuracy"]["percent"] - found["accuracy"]["percent"]) < 15


@pytest.mark.slow
def test_an_error_of_the_process_that_follows_is_told_and_ends_both(data: Path) -> None:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    Path("their.py").write_text(
        "import os\nimport numpy as np\n\ndef train():\n"
        "    if os.environ['RANK'] == '1':\n        raise OSError('my disk is gone')\n"
        "    with np.load('train.npz') as held:\n        return held['x'], held['y']\n"
    )
    command = ["-m", "intaglio", "compile", "tiny.onnx", "--train", "their.py:train"]
    done = subprocess.run(
        [*start, *command, "--recipe", RECIPE], capture_output=True, text=True, timeout=120
    )
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.startswith(
        "Process 1: 'their.py:train': The function raised OSError: my disk is gone. Run it alone "
    )
    assert "own fault" not in done.stderr
    assert not Path("tiny.intg").exists()
