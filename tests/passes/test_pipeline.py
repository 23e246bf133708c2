import re
import sys
from dataclasses import dataclass, is_dataclass, replace
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import DataError, NumericError, PassError, UsageError
from intaglio.ir.text import from_text
from intaglio.passes.admm import Admm
from intaglio.passes.base import Context, Pass, Training
from intaglio.passes.calibrate import METHODS
from intaglio.passes.canonicalize import Canonicalize
from intaglio.passes.columns import Columns
from intaglio.passes.equalize import Equalize
from intaglio.passes.lower import Lower
from intaglio.passes.magnitude import Magnitude
from intaglio.passes.optimizer import Optimizer
from intaglio.passes.pipeline import PASSES, Pipeline, default_pipeline, make_pass
from intaglio.passes.purify import Purify
from intaglio.passes.quantize import Layer, Quantize
from intaglio.passes.target import SCHEMES, LayerTarget, Target
from intaglio.passes.train import Train

GRAPH = from_text(
    "graph g (x: float32[n,3])\n"
    'y: float32[n,3] = relu (x) from "/relu"\nz: float32[n,3] = add (x, y) from "/sum"\nreturn z'
)
DATA = Context([{"x": np.arange(-6, 6, dtype=np.float32).reshape(4, 3)}])

layers = st.builds(Layer, st.text(), st.integers(0, 8), st.integers(0, 16))
quantizes = st.builds(
    Quantize,
    weight_bits=st.integers(1, 8),
    activation_bits=st.integers(1, 16),
    output_bits=st.integers(1, 16),
    per_channel=st.booleans(),
    calibration=st.sampled_from(METHODS),
    percentile=st.floats(50, 100, exclude_min=True),
    weights=st.sampled_from(["mse", "max"]),
    bias_correction=st.booleans(),
    layers=st.lists(layers, max_size=3).map(tuple),
)
pairs = st.tuples(st.integers(1, 9), st.integers(1, 9))
targets = st.builds(
    Target,
    scheme=st.sampled_from(SCHEMES),
    rate=st.floats(1, 1e6),
    layers=st.lists(
        st.builds(LayerTarget, st.text(), st.floats(1, 1e6), *[st.integers(0, 99)] * 3), max_size=2
    ).map(tuple),
    block=pairs,
    n_of_m=pairs,
    patterns=pairs,
)
optimizers = st.builds(
    Optimizer,
    method=st.sampled_from(["adam", "sgd"]),
    learning_rate=st.floats(0, 10),
    batch=st.integers(1, 999),
    distill=st.floats(0, 1),
)
trainings = st.one_of(
    st.builds(Train, st.integers(1, 99), st.booleans(), optimizers),
    st.builds(
        Admm,
        targets,
        epochs=st.integers(1, 99),
        retrain=st.integers(0, 99),
        rho=st.floats(1e-6, 1),
        growth=st.floats(1, 2),
        batch_norm=st.booleans(),
        optimizer=optimizers,
    ),
    st.builds(Magnitude, targets, *[st.integers(0, 99)] * 2, optimizer=optimizers),
)
passes = st.one_of(
    st.just(Canonicalize()),
    st.just(Lower()),
    st.builds(Equalize, st.integers(0, 9)),
    st.builds(Purify, st.floats(0, 1, exclude_min=True)),
    st.builds(Columns, st.integers(0, 99)),
    quantizes,
    trainings,
)
pipelines = st.lists(passes, max_size=5).map(lambda each: Pipeline(tuple(each)))


@given(pipelines)
def test_text_parses_back_to_an_equal_pipeline(pipeline):
    assert Pipeline.parse(str(pipeline)) == pipeline


@given(pipelines)
def test_toml_reads_the_same_pipeline(pipeline):
    blocks = [f"[[pass]]\n{toml_of(each)}" for each in pipeline.passes]
    if blocks:
        assert Pipeline.from_toml("\n".join(blocks)) == pipeline


def toml_of(each):
    options = (f"{name} = {literal(value)}" for name, value in vars(each).items())
    return "\n".join([f'name = "{each.name}"', *options])


def literal(value):
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(char):08x}" for char in value) + '"'
    if is_dataclass(value):
        return f"{{{', '.join(f'{name} = {literal(own)}' for name, own in vars(value).items())}}}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(literal, value))}]"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def test_the_text_names_only_options_that_differ_from_their_defaults():
    text = str(default_pipeline(weight_bits=4))
    assert text == 'canonicalize,equalize,quantize{"weight_bits": 4},lower,dead_channels,columns'


def test_spaces_in_the_text_do_not_matter():
    given_ = ' canonicalize , quantize {"weight_bits": 4} , lower '
    assert Pipeline.parse(given_) == Pipeline((Canonicalize(), Quantize(weight_bits=4), Lower()))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weight_bits", 4),
        ("activation_bits", 7),
        ("output_bits", 8),
        ("per_channel", False),
        ("calibration", "minmax"),
        ("percentile", 99.5),
        ("weights", "max"),
        ("bias_correction", False),
        ("layers", (Layer("a", 3),)),
    ],
)
def test_the_digest_changes_with_every_option(name, value):
    usual, other = Pipeline((Quantize(),)), Pipeline((replace(Quantize(), **{name: value}),))
    assert re.fullmatch("[0-9a-f]{16}", usual.digest)
    assert usual.digest != other.digest
    assert usual.digest == Pipeline((Quantize(),)).digest


def test_options_from_python_may_be_layer_entries_and_numpy_numbers():
    made = default_pipeline(weight_bits=np.int64(4), layers=(Layer("a", 3), {"match": "b"}))
    assert made.passes[2] == Quantize(weight_bits=4, layers=(Layer("a", 3), Layer("b")))


KNOWN = "The passes are canonicalize, train, admm, magnitude, purify, branch, strip, equalize, quantize, qat, lower, dead_channels, columns."
OPTIONS = (
    "Its options are weight_bits, activation_bits, output_bits, per_channel, calibration, "
    "percentile, weights, bias_correction, layers."
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "canonicalise",
            f"There is no pass 'canonicalise'. {KNOWN}",
        ),
        ("a,,b", f"There is no pass 'a'. {KNOWN}"),
        (
            "lower,,lower",
            f"There is no pass ''. {KNOWN}",
        ),
        ('quantize{"bits": 4, "a": 1}', f"Pass 'quantize' has no option a, bits. {OPTIONS}"),
        ('lower{"fast": true}', "Pass 'lower' has no option fast. Its options are none."),
        (
            'quantize{"weight_bits": "4"}',
            "Option 'weight_bits' of pass 'quantize': Input should be a valid integer.",
        ),
        (
            'quantize{"weight_bits": 4.5}',
            "Option 'weight_bits' of pass 'quantize': Input should be a valid integer.",
        ),
        (
            'quantize{"per_channel": 1}',
            "Option 'per_channel' of pass 'quantize': Input should be a valid boolean.",
        ),
        (
            'quantize{"calibration": "best"}',
            "Option 'calibration' of pass 'quantize': "
            "Input should be 'minmax', 'percentile', 'mse' or 'entropy'.",
        ),
        (
            'quantize{"layers": [{"weight_bits": 4}]}',
            "Option 'layers.0.match' of pass 'quantize': Field required.",
        ),
        ('quantize{"weight_bits": 12}', "weight_bits is 12. Choose 1 to 8."),
        (
            'quantize{"layers": [{"match": "a", "weights": 4}]}',
            "Option 'layers' of pass 'quantize' has no option weights. "
            "Its options are match, weight_bits, activation_bits.",
        ),
        (
            'admm{"target": {"schema": "filter"}}',
            "Option 'target' of pass 'admm' has no option schema. "
            "Its options are scheme, rate, allocate, layers, block, n_of_m, patterns.",
        ),
        (
            'admm{"target": {"layers": [{"match": "a", "kept": 1}]}}',
            "Option 'layers' of option 'target' of pass 'admm' has no option kept. "
            "Its options are match, rate, keep, filters, columns.",
        ),
        (
            'admm{"target": {"scheme": "rows"}}',
            "Option 'target.scheme' of pass 'admm': Input should be 'non-structured', 'filter', "
            "'channel', 'column', 'filter+column', 'block', 'n:m' or 'pattern'.",
        ),
        ('admm{"target": {"rate": 0.5}}', "rate is 0.5. Choose 1 to 1,000,000."),
        (
            "quantize{weight_bits: 4}",
            "The options of pass 'quantize' are not JSON: "
            "Expecting property name enclosed in double quotes: line 1 column 2 (char 1).",
        ),
        ("quantize{} lower", "Expected a comma after pass 'quantize', found 'lower'."),
    ],
)  # fmt: skip
def test_a_text_that_is_no_pipeline_is_refused(text, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        Pipeline.parse(text)


ONLY = 'Write [[pass]] and name = "quantize" below it.'
NAME = 'A pass of the recipe has no name. Write name = "quantize" below each [[pass]].'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"A recipe holds only [[pass]] tables; this one has []. {ONLY}"),
        ("[quantize]", f"A recipe holds only [[pass]] tables; this one has ['quantize']. {ONLY}"),
        ("[pass]", f"A recipe holds only [[pass]] tables; this one has ['pass']. {ONLY}"),
        ("pass = 3", f"A recipe holds only [[pass]] tables; this one has ['pass']. {ONLY}"),
        ("[[pass]]\n[other]", f"A recipe holds only [[pass]] tables; this one has ['other', 'pass']. {ONLY}"),
        ("[[pass]]", NAME),
        ("pass = [1]", NAME),
        ("[[pass]]\nname = ['lower']", NAME),
        (
            '[[pass]]\nname = "quantize"\nweight_bits = 2024-01-01',
            "Option 'weight_bits' of pass 'quantize': Input should be a valid integer.",
        ),
    ],
)  # fmt: skip
def test_a_recipe_that_is_no_pipeline_is_refused(text, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        Pipeline.from_toml(text)


def test_a_recipe_that_is_not_toml_is_refused():
    with pytest.raises(UsageError, match=r"^The recipe is not TOML: .+ \(at line 1, column 5\)\.$"):
        Pipeline.from_toml("name: quantize")


ORDER = "The usual order is canonicalize, equalize, quantize, lower, dead_channels, columns."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "lower",
            "Pass 'lower' works on the quantized stage, but the model is in the float "
            "stage. " + ORDER,
        ),
        (
            "quantize,equalize",
            "Pass 'equalize' works on the float stage, but the passes before it leave the "
            f"quantized stage. {ORDER}",
        ),
        (
            "quantize,lower,lower",
            "Pass 'lower' works on the quantized stage, but the passes before it leave the integer "
            "stage. " + ORDER,
        ),
    ],
)
def test_passes_in_an_order_that_cannot_work_are_refused_before_anything_runs(text, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        Pipeline.parse(text).run(GRAPH, DATA)


EMPTY = (
    "The calibration data is empty. "
    "Give at least one sample, better 100 to 1000 that look like real inputs."
)


@pytest.mark.parametrize("data", [[], (), [{"x": np.zeros((0, 3))}]])
def test_missing_data_is_refused(data):
    with pytest.raises(DataError, match=f"^{re.escape(EMPTY)}$"):
        default_pipeline().run(GRAPH, Context(data))


def test_missing_data_is_refused_before_anything_runs():
    seen = []
    with pytest.raises(DataError):
        default_pipeline().run(GRAPH, Context([]), seen.append)
    assert seen == []


LABELS = (
    "Pass 'admm' trains, but there is no labelled data. "
    "Give images and labels: --train, or training=Training(...) in Python."
)


def test_a_pass_that_trains_without_labelled_data_is_refused_before_anything_runs():
    seen = []
    with pytest.raises(DataError, match=f"^{re.escape(LABELS)}$"):
        Pipeline((Canonicalize(), Admm())).run(GRAPH, DATA, seen.append)
    assert seen == []


def test_a_pass_that_trains_without_torch_is_refused_before_anything_runs(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    message = (
        "Pass 'magnitude' trains with PyTorch, which is not installed. "
        "Install it: pip install 'intaglio[train]'."
    )
    labelled = Context(training=Training(train=(np.zeros((1, 3)), np.zeros(1, int))))
    seen = []
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        Pipeline((Canonicalize(), Magnitude())).run(GRAPH, labelled, seen.append)
    assert seen == []


def test_a_recipe_prunes_in_nested_tables():
    text = """
        [[pass]]
        name = "admm"
        via = [8.0, 20.0]
        target = {scheme = "filter+column", rate = 60, layers = [{match = "*conv1*", keep = 100}]}
        optimizer = {method = "sgd", learning_rate = 0.1}
    """
    target = Target("filter+column", 60, layers=(LayerTarget("*conv1*", keep=100),))
    wanted = Pipeline((Admm(target, via=(8.0, 20.0), optimizer=Optimizer("sgd", 0.1)),))
    assert Pipeline.from_toml(text) == wanted
    assert str(wanted) == (
        'admm{"target": {"scheme": "filter+column", "rate": 60, '
        '"layers": [{"match": "*conv1*", "keep": 100}]}, "via": [8.0, 20.0], '
        '"optimizer": {"method": "sgd", "learning_rate": 0.1}}'
    )


def test_passes_without_need_of_data_run_without():
    assert Pipeline((Canonicalize(), Equalize())).run(GRAPH, Context()) == GRAPH


def test_the_observer_sees_every_pass_with_the_graph_before_and_after():
    seen = []
    after = default_pipeline().run(GRAPH, DATA, seen.append)
    names = ["canonicalize", "equalize", "quantize", "lower", "dead_channels", "columns"]
    assert [(run.index, run.pass_.name) for run in seen] == list(enumerate(names))
    assert seen[0].before is GRAPH
    assert seen[-1].after is after
    assert all(one.after is two.before for one, two in pairwise(seen))
    assert all(run.seconds >= 0 for run in seen)


def test_the_graph_given_is_not_changed():
    nodes, constants = GRAPH.nodes, dict(GRAPH.constants)
    default_pipeline().run(GRAPH, DATA)
    assert (GRAPH.nodes, dict(GRAPH.constants)) == (nodes, constants)


@dataclass(frozen=True)
class Overflowing(Pass):
    name: ClassVar[str] = "overflowing"

    def run(self, graph, context):
        raise NumericError("It is too big.", where="Node '/sum' (add)", fix="Make it smaller.")


@dataclass(frozen=True)
class Illegal(Pass):
    name: ClassVar[str] = "illegal"

    def run(self, graph, context):
        return replace(graph, outputs=("nothing",))


def test_a_failure_names_the_node_the_pass_and_the_passes_done():
    pipeline = Pipeline((Canonicalize(), Equalize(), Overflowing()))
    message = (
        "Node '/sum' (add): It is too big. "
        "(in pass 'overflowing'; passes done: canonicalize, equalize) Make it smaller."
    )
    with pytest.raises(PassError, match=f"^{re.escape(message)}$") as caught:
        pipeline.run(GRAPH, DATA)
    assert isinstance(caught.value.__cause__, NumericError)


def test_an_illegal_result_is_the_fault_of_its_pass():
    message = (
        "Output 'nothing': nothing defines it. Rule: Operands are defined before they are used. "
        "(in pass 'illegal'; passes done: none)"
    )
    with pytest.raises(PassError, match=f"^{re.escape(message)}$"):
        Pipeline((Illegal(), Canonicalize())).run(GRAPH, DATA)


def test_an_illegal_input_is_found_before_the_first_pass():
    broken = replace(GRAPH, outputs=("nothing",))
    with pytest.raises(PassError, match=r"\(in pass 'canonicalize'; passes done: none\)$"):
        default_pipeline().run(broken, DATA)


def test_make_pass_gives_the_pass_of_each_name():
    assert [type(make_pass(name, {})) for name in PASSES] == list(PASSES.values())
