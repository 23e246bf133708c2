"""Networks that look several times on the command line: compiled, priced, shown, left early."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import intaglio
from intaglio.backends.blob_sections import blob_sections

Call = Callable[..., Any]
RECIPE = (
    'canonicalize,train{"epochs": 1, "optimizer": {"batch": 16, "losses": [{"outputs": "exit*"}]}},'
    "strip,quantize,lower,dead_channels,columns"
)


@pytest.fixture(scope="module")
def looking(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data of 18 x 18 pixels, tiny.onnx, and what looks three times through it."""
    folder = tmp_path_factory.mktemp("looking")
    rng = np.random.default_rng(0)
    x = rng.random((64, 1, 18, 18)).astype(np.float32)
    np.savez(folder / "train.npz", x=x, y=np.arange(64) % 3)
    np.savez(folder / "wrong.npz", x=x, y=np.arange(64) % 4)
    np.save(folder / "x.npy", x[:5])
    (folder / "tiny.onnx").write_bytes((made / "tiny.onnx").read_bytes())
    return folder


@pytest.fixture
def blob(looking: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder with net.intg."""
    monkeypatch.chdir(looking)
    if not Path("net.intg").exists():
        found = call(*COMPILE)
        assert found.code == 0, found.err
        assert "Warning" not in found.err
    return looking


COMPILE = (
    *("compile", "tiny.onnx", "--glimpses", 3, "--image", "18x18", "--recipe", RECIPE),
    *("--train", "train.npz", "--test", "train.npz", "-o", "net.intg"),
)


def test_compile_makes_a_network_that_looks(blob: Path, call: Call) -> None:
    network = intaglio.load("net.intg")
    assert [slot.name for slot in network.outputs] == ["exit1", "exit2", "exit3"]
    assert network.inputs[0].type.shape == ("n", 1, 18, 18)
    assert call("check", "net.intg", "x.npy").code == 0


def test_the_accuracy_told_is_that_of_the_last_exit(blob: Path, call: Call) -> None:
    found = call(*COMPILE[:-1], "again.intg", "--json").json
    network = intaglio.load("again.intg")
    with np.load("train.npz") as data:
        right = network.run(data["x"])["exit3"].codes.argmax(axis=1) == data["y"]
    assert found["accuracy"]["correct"] == int(right.sum())
    assert {"accuracy of exit1", "accuracy of aux3"} <= set(found["epochs"][0])


def test_costs_of_looks_are_those_of_their_layers(blob: Path, call: Call) -> None:
    found = call("glimpses", "net.intg", "--hardware", "edge-npu", "--json").json
    cost = call("cost", "net.intg", "--hardware", "edge-npu", "--json").json
    anew = found["regimes"][0]["stages"]
    assert [stage["name"] for stage in anew] == ["exit1", "exit2", "exit3"]
    assert sum(stage["macs"] for stage in anew) == sum(each["macs"] for each in cost["layers"])
    assert sum(stage["energy"]["nominal"] for stage in anew) == pytest.approx(
        cost["totals"]["energy"]["nominal"]
    )
    names = [regime["name"] for regime in found["regimes"]]
    assert names == [
        "weights read for every look",
        "layer by layer over 16 samples",
        "weights stay on chip",
    ]
    first, later = ([regime["stages"][look] for regime in found["regimes"]] for look in (0, 1))
    assert first[2]["dram"] == first[0]["dram"]
    assert later[2]["dram"] < later[0]["dram"]
    assert later[1]["constants"] * 16 == later[0]["constants"]


def test_windows_are_where_the_integers_looked(blob: Path, call: Call) -> None:
    found = call("glimpses", "net.intg", "x.npy", "--json").json
    assert np.array(found["windows"]).shape == (5, 3, 4)
    assert all(np.rint(each[0]).tolist() == [0, 0, 17, 17] for each in found["windows"])
    for left, top, right, bottom in np.array(found["windows"]).reshape(-1, 4):
        assert 0 <= left < right <= 17
        assert 0 <= top < bottom <= 17
    network = intaglio.load("net.intg")
    codes = network.run(np.load("x.npy"))["exit3"].codes
    assert [each[2] for each in found["answers"]] == codes.argmax(axis=1).tolist()


def test_it_is_compared_with_one_look_at_every_pixel(blob: Path, call: Call) -> None:
    Path("full.intg").write_bytes(Path("net.intg").read_bytes())
    found = call("glimpses", "net.intg", "--full", "full.intg")
    assert found.code == 0
    assert "full, one look" in found.out
    assert (
        "Looks that take less energy than full: weights read for every look: 2; layer by layer "
        "over 16 samples: all 3; weights stay on chip: all 3." in found.out
    )


def test_the_page_shows_every_image_and_every_look(blob: Path, call: Call) -> None:
    found = call("glimpses", "net.intg", "x.npy", "--html", "page.html")
    assert found.code == 0
    page = Path("page.html").read_text()
    assert len(re.findall("<svg class=.whole", page)) == 5
    assert len(re.findall(r'<rect x="[0-9]', page)) == 10
    assert len(re.findall("<figcaption>", page)) == 15


def test_margins_are_found_and_kept_in_a_section_of_their_own(blob: Path, call: Call) -> None:
    found = call(
        "exits", "net.intg", "--data", "train.npz", "--points", 5, "-o", "e.intg", "--json"
    )
    assert found.code == 0, found.err
    chosen, curve = found.json["chosen"], found.json["curve"]
    assert chosen["accuracy"] >= curve[-1]["accuracy"] - 0.05
    assert chosen["cost"] <= curve[-1]["cost"]
    before, after = (Path(name).read_bytes() for name in ("net.intg", "e.intg"))
    old = {row.id: (row.size, row.crc) for row in blob_sections(before)}
    new = {row.id: (row.size, row.crc) for row in blob_sections(after)}
    assert new.pop(b"EXIT")[0] == 16
    assert new == old
    assert [e.margin for e in intaglio.load("e.intg").program.exits] == chosen["margins"]
    told = json.loads(call("run", "e.intg", "x.npy", "--early", "--json").out)
    early = intaglio.load("e.intg").run_early(np.load("x.npy"))
    assert told["class"] == early.classes.tolist()
    assert told["exit"] == [early.names[index] for index in early.taken]
    table = call("exits", "net.intg", "--data", "train.npz", "--hardware", "eyeriss-like")
    assert "uJ" in table.out
    assert call("run", "e.intg", "x.npy", "--early", "-o", "o.npz").code == 0
    with np.load("o.npz") as kept:
        assert kept["class"].tolist() == told["class"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("compile", "tiny.onnx", "--glimpses", 0, "--image", 18, "--train", "train.npz"),
            "0 glimpses were asked for. Choose 1 to 16.",
        ),
        (
            ("compile", "tiny.onnx", "--glimpses", 2, "--train", "train.npz"),
            "The size of the image is not given. Give it as --image 112x112, height first.",
        ),
        (
            ("compile", "tiny.onnx", "--glimpses", 2, "--image", "a", "--train", "train.npz"),
            "The size of the image is a. Give it as --image 112x112, height first.",
        ),
        (
            ("compile", "tiny.onnx", "--image", "18", "--train", "train.npz"),
            "--image and --fusion are for networks that look several times. Give them with "
            "--glimpses.",
        ),
        (
            ("compile", "tiny.onnx", "--glimpses", 2, "--image", "5x18", "--train", "train.npz"),
            "Network 'tiny': Glimpses of (6, 6) cannot be taken of images of (5, 18). Import the "
            "backbone with the size of a glimpse, and name the image's size.",
        ),
        (
            ("exits", "net.intg", "--data", "train.npz", "--points", -1),
            "A loss of -1 points was allowed. Choose 0 to 100.",
        ),
        (
            ("exits", "net.intg", "--data", "wrong.npz"),
            "'wrong.npz': Labels reach from 0 to 3, but the network has 3 classes. Number the "
            "classes 0 to 2.",
        ),
        (
            ("run", "net.intg", "x.npy", "--early"),
            "Network 'glimpses' has no early exits. Find margins for them with: intaglio exits "
            "NET.intg --data DATA.",
        ),
    ],
)
def test_what_cannot_be_is_refused(blob: Path, call: Call, arguments: Any, message: str) -> None:
    found = call(*arguments)
    assert found.code == 2
    assert message in " ".join(found.err.split())


def test_a_network_that_looks_once_has_no_exits_and_no_looks(
    blob: Path, made: Path, call: Call
) -> None:
    whole = made / "w8.intg"
    exits = call("exits", whole, "--data", "train.npz")
    assert exits.code == 2
    assert (
        "Network 'tiny' has 1 outputs, and no early exits among them. Give a network with two or "
        "more outputs of as many class scores, such as 'compile --glimpses' makes."
        in " ".join(exits.err.split())
    )
    glimpses = call("glimpses", whole)
    assert glimpses.code == 2
    assert (
        "Network 'tiny' looks at its image as a whole: it has no crops. Give a network that was "
        "compiled with --glimpses." in " ".join(glimpses.err.split())
    )


def test_a_recipe_that_does_not_train_is_warned_of(blob: Path, call: Call) -> None:
    recipe = "canonicalize,strip,quantize,lower"
    found = call(
        *("compile", "tiny.onnx", "--glimpses", 2, "--image", 18, "--data", "x.npy"),
        *("--recipe", recipe, "-o", "idle.intg"),
    )
    assert found.code == 0
    assert "no pass of the recipe trains, and where to look has not been learned" in found.err
