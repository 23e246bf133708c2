import io
import lzma
import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from onnx.helper import make_node

from intaglio.errors import ImportModelError, UsageError
from intaglio.frontend.compare import compare_onnx
from intaglio.frontend.onnx.call import read_attributes
from intaglio.frontend.onnx.importer import TRANSLATORS, import_onnx
from intaglio.ir.evaluate import evaluate
from intaglio.ir.tensor import TensorType
from intaglio.ir.text import from_text, to_text
from intaglio.ir.verify import verify

SIGMOID = [make_node("Sigmoid", ["x"], ["s"], name="gate"), make_node("Abs", ["s"], ["y"])]


def refused(model, error=ImportModelError, **options):
    with pytest.raises(error) as caught:
        import_onnx(model, **options)
    return str(caught.value)


def test_values_are_named_after_tensors_and_come_from_nodes(model_of):
    graph = import_onnx(model_of(SIGMOID, {"x": ["n", 3]}))
    assert [(node.name, node.value.origin) for node in graph.nodes] == [
        ("s", "gate"),
        ("y", "Abs:y"),
    ]
    assert graph.name == "tiny"
    assert [(value.name, value.type) for value in graph.inputs] == [("x", TensorType(("n", 3)))]


@pytest.mark.parametrize("batch", ["n", "batch_size", 1, 7, 0, ""])
def test_axis_0_of_an_input_becomes_the_batch_whatever_it_says(model_of, batch):
    graph = import_onnx(model_of(SIGMOID, {"x": [batch, 3]}))
    assert graph.inputs[0].type == TensorType(("n", 3))


def test_the_graph_is_legal_and_survives_its_text_form(networks):
    network, shape = networks["resnet"]
    graph = import_onnx(exported(network, shape, dynamo=False, dynamic=True))
    assert verify(graph, "float") is graph
    assert from_text(to_text(graph)) == graph


def test_outputs_may_be_inner_tensors(model_of, check):
    graph = check(model_of(SIGMOID, {"x": ["n", 3]}), outputs=["s"])
    assert graph.outputs == ("s",)
    assert len(graph.nodes) == 1


def test_what_no_output_needs_is_not_read(model_of):
    nodes = [*SIGMOID, make_node("Mystery", ["x"], ["z"])]
    assert len(import_onnx(model_of(nodes, {"x": ["n", 3]})).nodes) == 2


def test_several_inputs_and_outputs_keep_their_names_and_order(model_of, check):
    nodes = [
        make_node("Add", ["a", "b"], ["sum"]),
        make_node("Identity", ["sum"], ["first"]),
        make_node("Identity", ["sum"], ["second"]),
        make_node("Identity", ["a"], ["third"]),
    ]
    outputs = ["second", "third", "first", "sum"]
    graph = check(model_of(nodes, {"a": ["n", 3], "b": ["n", 3]}, outputs=outputs))
    assert graph.outputs == tuple(outputs)
    assert [value.name for value in graph.inputs] == ["a", "b"]


def test_a_tensor_with_the_name_of_an_emitted_step_keeps_it(model_of, check):
    weight = np.ones((2, 2, 3), np.float32)
    nodes = [
        make_node("Conv", ["x", "w"], ["y"]),
        make_node("Relu", ["y"], ["z"]),
        make_node("Identity", ["z"], ["y.in"]),
    ]
    graph = check(model_of(nodes, {"x": ["n", 2, 9]}, {"w": weight}, outputs=["y", "y.in"]))
    assert graph.outputs == ("y", "y.in")


def test_an_initializer_that_is_also_an_input_is_a_weight(model_of, check):
    model = model_of([make_node("Mul", ["x", "w"], ["y"])], {"x": ["n", 2]}, {"w": np.float32(2)})
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, []))
    assert [value.name for value in check(model).inputs] == ["x"]


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_inputs_of_other_float_types_become_float32(model_of, dtype):
    model = model_of([make_node("Abs", ["x"], ["y"])], {"x": ["n", 3]})
    model.graph.input[0].type.tensor_type.elem_type = dtype
    assert str(import_onnx(model).inputs[0].type) == "float32[n,3]"


def test_an_unknown_operator_is_named_with_its_neighbors_and_a_place_to_stop(model_of):
    nodes = [*SIGMOID, make_node("ReduceMeen", ["y"], ["z"], name="head")]
    assert refused(model_of(nodes, {"x": ["n", 3]}, outputs=["z"], opset=13)) == (
        "Node 'head' (ReduceMeen): Operator 'ReduceMeen' of domain 'ai.onnx', opset 13, is not "
        "supported. Nearest supported operators: ReduceMean, ReduceSum. Replace it, or stop before "
        "it with outputs=['y'] (--output-tensor 'y')."
    )


def test_an_operator_of_another_domain_is_unknown_even_with_a_known_name(model_of):
    node = make_node("Relu", ["x"], ["y"], name="act", domain="com.example")
    model = model_of([node], {"x": ["n", 3]})
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    assert refused(model) == (
        "Node 'act' (Relu): Operator 'Relu' of domain 'com.example' is not supported. Nearest "
        "supported operators: Relu, PRelu, Elu. Replace it."
    )


@pytest.mark.parametrize(("size", "shown"), [("height", "height"), ("", "?")])
def test_every_size_but_the_batch_must_be_a_number(model_of, size, shown):
    assert refused(model_of(SIGMOID, {"x": ["n", 3, size, 4]})) == (
        f"Input 'x': Axis 2 has the symbolic size '{shown}'. Every size but the batch must be a "
        "number: export with fixed sizes, or run 'python -m "
        f"onnxruntime.tools.make_dynamic_shape_fixed --dim_param {shown} --dim_value 224 "
        "model.onnx fixed.onnx' with your size."
    )


def test_inputs_must_be_float_tensors_with_a_shape(model_of):
    model = model_of(SIGMOID, {"x": ["n", 3]})
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.BOOL
    assert refused(model) == (
        "Input 'x': It has the type BOOL. Inputs must be float tensors, or codes of 2 to 16 bits: "
        "export the model with a float input."
    )
    assert refused(model_of(SIGMOID, {"x": []})) == (
        "Input 'x': It has no shape, not even a batch. Export the model again."
    )


def test_inputs_must_agree_on_a_fixed_batch(model_of):
    nodes = [make_node("Add", ["a", "b"], ["y"])]
    assert refused(model_of(nodes, {"a": [1, 3], "b": [2, 3]})) == (
        "ONNX model: The inputs a, b begin with the sizes [1, 2]. Axis 0 of every input is the "
        "batch: give all inputs the same. A model whose axis 0 is no batch is imported with "
        "batch=False (--no-batch)."
    )


def test_an_input_without_elements_is_refused(model_of):
    assert refused(model_of(SIGMOID, {"x": ["n", 3, 0, 4]})) == (
        "Input 'x': Axis 2 has the size 0. A tensor without elements is not supported: remove it "
        "from the model."
    )


def test_a_huge_input_is_refused_before_anything_is_allocated(model_of):
    assert refused(model_of(SIGMOID, {"x": ["n", 2**20, 2**20]})) == (
        "Input 'x': A tensor of 1099511627776 elements is larger than the limit of 268435456. "
        "Check the shapes and pads of the model."
    )


def test_an_output_that_nothing_computes(model_of):
    model = model_of(SIGMOID, {"x": ["n", 3]}, outputs=["z"])
    assert refused(model) == (
        "Output 'z': Its operand 'z' is not defined before it. Export the model again."
    )
    assert refused(model, UsageError, outputs=["sy"]) == (
        "outputs: No node of the model computes a tensor 'sy'. The most similar names are y, s."
    )


def test_an_output_that_is_constant(model_of):
    model = model_of(
        [make_node("Shape", ["x"], ["y"]), make_node("Relu", ["x"], ["z"])], {"x": ["n", 3]}
    )
    assert refused(model) == (
        "Output 'y': It does not depend on any input. Name other tensors in 'outputs'."
    )


def test_nodes_out_of_order_and_tensors_defined_twice(model_of):
    swapped = [SIGMOID[1], SIGMOID[0]]
    assert refused(model_of(swapped, {"x": ["n", 3]})) == (
        "Node 'Abs:y' (Abs): Its operand 's' is not defined before it. Export the model again."
    )
    twice = [*SIGMOID, make_node("Neg", ["x"], ["y"], name="again")]
    assert refused(model_of(twice, {"x": ["n", 3]})) == (
        "Node 'again' (Neg): One of its outputs is defined twice, or it has none. Export the model "
        "again."
    )


def test_a_missing_operand(model_of):
    assert refused(model_of([make_node("Add", ["x", ""], ["y"], name="a")], {"x": ["n", 3]})) == (
        "Node 'a' (Add): Its operand 1 is missing. Export the model again."
    )


def test_every_translator_lists_attributes_of_its_operator_and_no_others():
    schemas = onnx.defs.get_all_schemas_with_history()
    for operator, translator in TRANSLATORS.items():
        versions = [schema for schema in schemas if (schema.domain, schema.name) == ("", operator)]
        known = {name for schema in versions for name in schema.attributes}
        assert {attribute.name for attribute in translator.attributes} <= known, operator


def test_defaults_of_attributes_are_those_of_the_newest_schema():
    for operator, translator in TRANSLATORS.items():
        schema = onnx.defs.get_schema(operator)
        for attribute in translator.attributes:
            stated = schema.attributes.get(attribute.name)
            if (operator, attribute.name) == ("Softmax", "axis"):
                continue  # Its default changed from 1 to -1: the translator looks at the opset.
            if stated is not None and stated.default_value.type:
                default = helper.get_attribute_value(stated.default_value)
                plain = default.decode() if isinstance(default, bytes) else default
                assert read_attributes(make_node(operator, [], []), (attribute,), "") == {
                    attribute.name: plain
                }


def exported(network, shape, *, dynamo, dynamic, opset=None):
    """The network as torch's older or newer exporter writes it."""
    examples = (torch.zeros(2 if dynamo and dynamic else 1, *shape),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both exporters use what torch itself deprecates
        if dynamo:
            shapes = ({0: torch.export.Dim("batch")},) if dynamic else None
            options = {"dynamic_shapes": shapes, "dynamo": True, "verbose": False}
            return torch.onnx.export(network, examples, **options).model_proto
        stream = io.BytesIO()
        axes = {"image": {0: "n"}} if dynamic else None
        options = {"input_names": ["image"], "dynamic_axes": axes, "opset_version": opset}
        torch.onnx.export(network, examples, stream, dynamo=False, **options)
        return onnx.load_model_from_string(stream.getvalue())


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("opset", [9, 11, 13, 17, None])
@pytest.mark.parametrize("name", ["lenet", "resnet", "mobile"])
def test_what_the_older_torch_exporter_writes(networks, check, name, opset, dynamic):
    if (name, opset) == ("resnet", 9):
        opset = 10  # the first with the steps of a slice
    network, shape = networks[name]
    check(exported(network, shape, dynamo=False, dynamic=dynamic, opset=opset))


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("name", ["lenet", "resnet", "mobile"])
def test_what_the_newer_torch_exporter_writes(networks, check, name, dynamic):
    network, shape = networks[name]
    check(exported(network, shape, dynamo=True, dynamic=dynamic))


def test_layers_of_the_older_exporter_give_the_origins(networks):
    network, shape = networks["mobile"]
    graph = import_onnx(exported(network, shape, dynamo=False, dynamic=True))
    assert graph.nodes[0].value.origin == "/stem/stem.0/Conv"
    assert graph.nodes[0].where == "Node '/stem/stem.0/Conv' (conv)"


def test_the_mnist_network_of_the_model_zoo(data, check):
    graph = check(data / "models" / "mnist-8.onnx")
    assert graph.type_of(graph.outputs[0]) == TensorType(("n", 10))
    images = idx(data / "mnist" / "t10k-images-idx3-ubyte.xz", 16, 100 * 784)
    labels = idx(data / "mnist" / "t10k-labels-idx1-ubyte.xz", 8, 100)
    pixels = images.reshape(100, 1, 28, 28).astype(np.float32)
    (logits,) = evaluate(graph, {"Input3": pixels}).values()
    assert np.sum(logits.argmax(1) == labels) >= 98


def idx(path, start, count):
    with lzma.open(path) as stream:
        return np.frombuffer(stream.read(start + count), np.uint8)[start:]


def test_the_resnet_of_mlperf_tiny_whole_and_up_to_its_softmax(data, check):
    path = data / "models" / "mlperf_tiny" / "pretrainedResnet.onnx"
    assert check(path).nodes[-1].op.name == "softmax"
    graph = import_onnx(path, outputs=["v42"])
    assert compare_onnx(path, graph).worst.relative < 1e-5
