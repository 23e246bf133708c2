import re
import stat
from pathlib import Path

import numpy as np
import pytest
import torch

import intaglio
from intaglio.errors import BlobError, DataError, UsageError
from intaglio.ir.evaluate import evaluate
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import int_type
from intaglio.ir.ops_linear import Dense
from intaglio.ir.tensor import BATCH, TensorType, real
from intaglio.ir.text import from_text
from intaglio.passes.pipeline import Pipeline, default_pipeline

ONE = from_text(
    "graph one (x: float32[n,2,4,4])\n"
    'a: float32[n,2,2,2] = average_pool {"kernel": [2, 2], "strides": [2, 2]} (x) from "/pool"\n'
    'b: float32[n,2,2,2] = relu (a) from "/relu"\n'
    'y: float32[n,8] = reshape {"shape": [8]} (b) from "/flatten"\n'
    "return y"
)
TWO = from_text(
    "graph two (left: float32[n,3], right: float32[n,3])\n"
    'sum: float32[n,3] = add (left, right) from "/sum"\n'
    'act: float32[n,3] = unary {"function": "tanh"} (left) from "/tanh"\n'
    "return sum, act"
)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 2, 4, 4)).astype(np.float32)
PAIR = {name: RNG.normal(size=(9, 3)).astype(np.float32) for name in ("left", "right")}


@pytest.fixture(scope="module")
def one():
    return intaglio.compile(ONE, X)


@pytest.fixture(scope="module")
def two():
    return intaglio.compile(TWO, PAIR)


def test_one_output_comes_as_codes_with_their_meaning(one):
    output = one.run(X)
    assert output.codes.shape == (70, 8)
    assert np.array_equal(np.asarray(output), output.codes)
    assert np.array_equal(output.real, output.codes * output.encoding.scale)
    truth = evaluate(ONE, {"x": X})["y"]
    assert np.abs(output.real - truth).max() < 2 * one.inputs[0].encoding.scale


def test_several_outputs_come_by_name(two):
    outputs = two.run(PAIR)
    assert list(outputs) == ["sum", "act"]
    truth = evaluate(TWO, PAIR)
    for name, output in outputs.items():
        assert np.abs(output.real - truth[name]).max() < 0.05


def test_reals_and_the_codes_that_they_encode_to_give_the_same(one):
    codes = one.encode(X)
    assert codes["x"].dtype == np.uint8
    for inputs in (X, X.astype(np.float64), codes, codes["x"], X.tolist(), torch.tensor(X)):
        assert np.array_equal(one.run(inputs).codes, one.run(X).codes)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_any_batch_is_run_sample_by_sample(one, count):
    assert np.array_equal(one.run(X[:count]).codes, one.run(X).codes[:count])


def test_inputs_and_outputs_are_described(two):
    assert [slot.name for slot in two.inputs] == ["left", "right"]
    assert [slot.name for slot in two.outputs] == ["sum", "act"]
    assert all(slot.type.dtype == int_type(8, signed=False) for slot in two.inputs)
    assert all(slot.type.dtype == int_type(16) for slot in two.outputs)
    assert {slot.origin for slot in two.outputs} == {"/sum", "/tanh"}


def test_every_rescaling_has_a_certificate(two):
    assert {name: proof.verdict for name, proof in two.certificates.items()} == {
        "sum": "exact",
        "act": "table",
    }


def test_trace_gives_every_layer_and_its_last_is_the_output(one):
    layers = one.trace(X[:3])
    assert set(layers) == {"x", "b", "y"}
    assert np.array_equal(layers["y"].codes, one.run(X[:3]).codes)
    assert np.array_equal(layers["x"].codes, one.encode(X[:3])["x"])
    assert layers["b"].encoding == one.outputs[0].encoding


def test_check_counts_the_codes_that_are_equal(one, two):
    assert one.check(X) >= 70 * (8 + 8)
    assert two.check(PAIR) >= 9 * (3 + 3)


def test_a_saved_network_loads_as_the_same_network(one, tmp_path):
    path = tmp_path / "net.intg"
    one.save(path)
    loaded = intaglio.load(str(path))
    assert loaded == one
    assert loaded.blob == path.read_bytes() == one.blob
    assert np.array_equal(loaded.run(X).codes, one.run(X).codes)
    assert loaded.program.recipe == str(default_pipeline())


def test_saving_leaves_one_whole_file_that_others_may_read(one, tmp_path):
    path = tmp_path / "net.intg"
    path.write_bytes(b"old")
    one.save(path)
    assert list(tmp_path.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600
    assert stat.S_IMODE(path.stat().st_mode) & 0o111 == 0


def test_a_save_that_fails_leaves_what_was_there_and_no_other_file(one, tmp_path):
    (tmp_path / "net.intg").mkdir()
    (tmp_path / "net.intg" / "kept").write_text("")
    message = (
        f"'{tmp_path}/net.intg': The file cannot be written: Is a directory. "
        "Choose a folder that exists and that you may write to."
    )
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        one.save(tmp_path / "net.intg")
    assert [path.name for path in tmp_path.rglob("*")] == ["net.intg", "kept"]


def test_saving_into_a_folder_that_does_not_exist_is_refused(one, tmp_path):
    message = (
        f"'{tmp_path}/no/net.intg': The file cannot be written: No such file or directory. "
        "Choose a folder that exists and that you may write to."
    )
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        one.save(tmp_path / "no" / "net.intg")


def test_loading_what_cannot_be_read_is_refused(tmp_path):
    message = f"'{tmp_path}/none': It cannot be read: No such file or directory."
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        intaglio.load(tmp_path / "none")
    (tmp_path / "text").write_text("no blob")
    with pytest.raises(BlobError, match=f"^'{re.escape(str(tmp_path))}/text"):
        intaglio.load(tmp_path / "text")


# Calibration data and recipes ---------------------------------------------------------------------


class Loader:
    """Can be iterated again and again, like a DataLoader."""

    def __init__(self, *batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


LABELS = np.zeros(35)
HALVES = (X[:35], X[35:])
DATA = {
    "array by name": {"x": X},
    "array by name among others": {"x": X, "labels": np.zeros(70)},
    "list of arrays": list(HALVES),
    "tuple of arrays": HALVES,
    "list of dictionaries": [{"x": half} for half in HALVES],
    "list of pairs with labels": [(half, LABELS) for half in HALVES],
    "list of lists": [[half] for half in HALVES],
    "loader": Loader(*HALVES),
    "loader of tensors": Loader(*map(torch.tensor, HALVES)),
    "doubles": X.astype(np.float64),
}


@pytest.mark.parametrize("form", DATA)
def test_every_form_of_the_same_data_gives_the_same_blob(one, form):
    assert intaglio.compile(ONE, DATA[form]).blob == one.blob


@pytest.mark.parametrize("kind", ["npy", "npz", "named npz"])
def test_data_may_be_a_file(one, tmp_path, kind):
    path = tmp_path / f"data.{kind.split()[-1]}"
    if kind == "npy":
        np.save(path, X)
    elif kind == "npz":
        np.savez(path, X)
    else:
        np.savez(path, x=X)
    assert intaglio.compile(ONE, path).blob == intaglio.compile(ONE, str(path)).blob == one.blob


@pytest.mark.parametrize("form", ["options", "pipeline", "text", "toml path", "toml name"])
def test_a_recipe_may_be_options_a_pipeline_its_text_or_a_file(tmp_path, form):
    pipeline = default_pipeline(weight_bits=4, activation_bits=5)
    path = tmp_path / "recipe.toml"
    path.write_text(
        '[[pass]]\nname = "canonicalize"\n[[pass]]\nname = "equalize"\n'
        '[[pass]]\nname = "quantize"\nweight_bits = 4\nactivation_bits = 5\n'
        '[[pass]]\nname = "lower"\n[[pass]]\nname = "dead_channels"\n[[pass]]\nname = "columns"\n'
    )
    recipe = {
        "pipeline": pipeline,
        "text": str(pipeline),
        "toml path": path,
        "toml name": str(path),
    }
    given = {"recipe": recipe[form]} if form in recipe else {"weight_bits": 4, "activation_bits": 5}
    made = intaglio.compile(ONE, X, **given)
    assert made.blob == intaglio.compile(ONE, X, recipe=pipeline).blob
    assert Pipeline.parse(made.program.recipe) == pipeline
    assert made.inputs[0].type.dtype == int_type(5, signed=False)


def test_progress_and_observer_are_told_of_every_pass():
    labels, passes = [], []
    intaglio.compile(
        ONE, X, progress=lambda label, done, total: labels.append(label), observe=passes.append
    )
    assert set(labels) == {
        "Calibrate: ranges",
        "Calibrate: histograms",
        "Correct biases: data",
        "Correct biases",
        "Lower and certify",
        "Remove dead channels",
    }
    assert [run.pass_ for run in passes] == list(default_pipeline().passes)


def test_a_layer_along_the_last_of_several_axes_is_compiled():
    """As many channels as positions: a scale per channel must not land on the positions."""
    new = Builder("rows")
    x = new.input(Value("x", TensorType((BATCH, 3, 3))))
    rows = np.array([[100.0, 10, 1], [1, 0.1, 0.2], [0.01, 0.02, 0.01]])
    weight = new.constant("w", real(rows))
    bias = new.constant("b", real(np.array([5.0, -0.1, 0.02])))
    graph = new.build((new.node("y", Dense(), x, weight, bias),))
    data = RNG.normal(size=(50, 3, 3)).astype(np.float32)
    got = intaglio.compile(graph, data, bias_correction=False).run(data).real
    truth = evaluate(graph, {"x": data})["y"]
    assert (np.abs(got - truth).max(axis=(0, 1)) < [2.5, 0.05, 0.02]).all()


def test_a_graph_is_its_own_import():
    assert intaglio.import_model(ONE) is ONE


# What cannot work ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (
            (half for half in HALVES),
            UsageError,
            "The calibration data can be read only once, but calibration reads it twice. "
            "Give a list or a DataLoader instead of a generator.",
        ),
        (
            {},
            DataError,
            "The calibration data is empty. "
            "Give at least one sample, better 100 to 1000 that look like real inputs.",
        ),
        (
            {"y": X},
            DataError,
            "Input 'x': The calibration data has no array of this name, only y. "
            "Name each array after the input it belongs to.",
        ),
        (
            X[0],
            DataError,
            "Input 'x': Calibration data is float32[2, 4, 4], expected reals of shape "
            "('n', 2, 4, 4). Prepare the data exactly as the float network takes it.",
        ),
    ],
)
def test_calibration_data_that_cannot_work_is_refused(data, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        intaglio.compile(ONE, data)


def test_unnamed_data_for_two_inputs_is_refused(two):
    message = "The network has 2 inputs but the data names none. Give arrays by name: left, right."
    for data in (PAIR["left"], [PAIR["left"]]):
        with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
            intaglio.compile(TWO, data)
    message = (
        "The network has 2 inputs but one array was given. Pass a dictionary with left, right."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        two.run(PAIR["left"])


def test_inputs_of_different_lengths_are_refused(two):
    with pytest.raises(DataError):
        two.run({"left": PAIR["left"], "right": PAIR["right"][:4]})
    with pytest.raises(DataError, match=r"^A batch of calibration data holds "):
        intaglio.compile(TWO, {"left": PAIR["left"], "right": PAIR["right"][:4]})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_inputs_that_are_not_finite_are_refused(one, bad):
    array = X[:1].copy()
    array[0, 0, 0, 0] = bad
    message = "Input 'x': The input holds NaN or infinite values. Remove or repair these samples."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        one.run(array)


def test_reals_beyond_the_scale_saturate(one):
    codes = one.encode(np.array([[-1e30, 1e30]]))["x"]
    assert codes.tolist() == [[0, 255]]


FILE = "Give an .onnx or .tflite file, or a torch.nn.Module from Python."
THING = "Give the path of an .onnx file, an onnx.ModelProto, a torch.nn.Module or a Graph."


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("net.pb", f"'net.pb': This is not a model file that intaglio reads. {FILE}"),
        (Path("net"), f"'net': This is not a model file that intaglio reads. {FILE}"),
        (3, f"A int cannot be imported. {THING}"),
        (
            torch.nn.Linear(2, 2),
            "A torch.nn.Module needs example inputs. Pass example_inputs=(torch.zeros(1, 3, 32, 32),) "
            "with your input's shape.",
        ),
    ],
)
def test_what_is_no_model_is_refused(model, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        intaglio.import_model(model)


def test_options_beside_a_recipe_are_refused():
    message = (
        "Options activation_bits, weight_bits and a recipe were given together. "
        "Put the options into the recipe's quantize pass."
    )
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        intaglio.compile(ONE, X, recipe="lower", weight_bits=4, activation_bits=4)


@pytest.mark.parametrize("what", ["data", "recipe"])
def test_files_that_cannot_be_read_are_refused(tmp_path, what):
    path = tmp_path / ("none.npy" if what == "data" else "none.toml")
    message = f"^'{re.escape(str(path))}': It cannot be read: No such file or directory\\.$"
    with pytest.raises(UsageError, match=message):
        intaglio.compile(
            ONE, path if what == "data" else X, recipe=path if what == "recipe" else None
        )


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04"])
def test_a_file_that_holds_no_arrays_is_refused(tmp_path, content):
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    message = (
        f"'{path}': It is not a readable .npy or .npz file. "
        "Write numbers to it with numpy.save or numpy.savez."
    )
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        intaglio.compile(ONE, path)
