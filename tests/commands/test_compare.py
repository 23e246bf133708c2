"""``intaglio compare``: networks beside each other, and when that would be unfair."""

import numpy as np
import onnx
import pytest

import intaglio
from intaglio.backends.blob_writer import write_blob
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import int_type
from intaglio.ir.ops_linear import Dense
from intaglio.ir.tensor import BATCH, Tensor, TensorType
from intaglio.passes.schedule import schedule


@pytest.fixture
def test_data(made, here, samples):
    """Labels that the 8-bit network gives itself."""
    x = samples(40, seed=5)
    y = np.asarray(intaglio.load(made / "w8.intg").run(x)).reshape(40, -1).argmax(axis=1)
    np.savez(here / "test.npz", x=x, y=y)
    return here / "test.npz"


def test_networks_are_beside_each_other_with_all_reports(call, made, here, test_data):
    found = call(
        "compare", made / "w8.intg", "--data", test_data, "--html", "r.html", "--csv", "r.csv",
        "--markdown", "r.md", "--json",
    )  # fmt: skip
    assert found.code == 0
    (network,) = found.json["networks"]
    assert (network["name"], network["kind"], network["bits"]) == ("w8", "dense", 8)
    assert network["accuracy"] == 1.0
    assert network["bytes"]["file"] == (made / "w8.intg").stat().st_size
    assert "w8" in (here / "r.md").read_text()
    assert (here / "r.csv").read_text().count("w8") > 1
    assert (here / "r.html").read_text().startswith("<!DOCTYPE html>")


def test_unequal_bits_are_refused_unless_told(call, made, here):
    paths = made / "w8.intg", made / "w4.intg"
    found = call("compare", *paths)
    assert (found.code, found.err) == (
        2,
        f"The bits of their weights differ: '{paths[0]}' 8, '{paths[1]}' 4. Compare networks of "
        "equal bits, or say --unequal.\n",
    )
    told = call("compare", *paths, "--unequal")
    assert told.code == 0
    assert "low..high" in told.out


def test_a_model_is_sent_to_the_sweep(call, made):
    model = made / "tiny.onnx"
    assert call("compare", made / "w8.intg", model).err == (
        f"'{model}': It is a model, and blobs are compared. Compile it, or let 'intaglio sweep "
        "MODEL SPACE.toml --equal 1 --family CHOICE' compile families of recipes and compare them "
        "at equal accuracy.\n"
    )


def test_unknown_accuracies_are_refused_unless_told(call, made, here):
    other = here / "other.intg"
    other.write_bytes((made / "w8.intg").read_bytes())
    found = call("compare", made / "w8.intg", other)
    assert (found.code, found.err) == (
        2,
        "Whether they are equally accurate is not known. Give labelled test data with --data, or "
        "say --unequal.\n",
    )


def test_unequal_accuracies_are_refused_unless_told(
    call, made, here, samples, tiny_model, test_data
):
    onnx.save(tiny_model(-1.0), here / "worse.onnx")
    worse = here / "worse.intg"
    intaglio.compile(here / "worse.onnx", samples(64)).save(worse)
    paths = made / "w8.intg", worse
    score = intaglio.load(worse).run(samples(40, seed=5))
    labels = np.load(test_data)["y"]
    percent = 100 * np.mean(np.asarray(score).reshape(40, -1).argmax(axis=1) == labels)
    assert percent < 99
    found = call("compare", *paths, "--data", test_data)
    assert (found.code, found.err) == (
        2,
        f"Their accuracies are {100 - percent:.2f} points apart, at most 0.5 may be: '{paths[0]}' "
        f"100.00 %, '{paths[1]}' {percent:.2f} %. Compare networks that are equally accurate, or "
        "say --unequal.\n",
    )
    assert call("compare", *paths, "--data", test_data, "--within", "100").code == 0


def test_networks_of_one_name_are_told_apart_by_nobody(call, made):
    found = call("compare", made / "w8.intg", made / "w8.intg", "--unequal")
    assert (found.code, found.err) == (
        2, "Two networks are called 'w8'. Give each network a name of its own.\n"
    )  # fmt: skip


def test_another_network_is_refused(call, made, here):
    rng = np.random.default_rng(0)
    b = Builder("other")
    x = b.input(Value("x", TensorType((BATCH, 5), int_type(8))))
    w = b.constant("w", Tensor(rng.integers(-9, 9, (3, 5), np.int8), int_type(8)))
    other = here / "other.intg"
    other.write_bytes(write_blob(schedule(b.build((b.node("y", Dense(), x, w),)))))
    found = call("compare", made / "w8.intg", other, "--unequal")
    assert (found.code, found.err) == (
        2,
        f"'{other}': It is another network than '{made / 'w8.intg'}': 5 to 3, not 1x6x6 to 3. "
        "Compare versions of one network.\n",
    )
