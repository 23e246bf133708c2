"""What a summary says of a program is what the program computes and the blob stores."""

import numpy as np
import pytest

import intaglio
from intaglio.backends.blob_sections import sections
from intaglio.backends.summary import layers, program_text, sizes, stored_bytes
from intaglio.ir.graph import Builder, Graph, Value
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_pointwise import Add, Relu
from intaglio.ir.ops_pool import AveragePool
from intaglio.ir.tensor import TensorType, real


def residual() -> Graph:
    """conv, relu, conv, add, average pool: every op that accumulates but dense."""
    rng = np.random.default_rng(0)
    b = Builder("residual")
    b.input(Value("x", TensorType(("n", 2, 4, 4))))
    pads = Conv(pads=(1, 1, 1, 1))
    for name in ("w1", "w2"):
        b.constant(name, real(rng.normal(size=(2, 2, 3, 3))))
    b.node("c1", pads, "x", "w1", origin="/one")
    b.node("r1", Relu(), "c1", origin="/one/relu")
    b.node("c2", pads, "r1", "w2", origin="/two")
    b.node("sum", Add(), "c2", "r1", origin="/sum")
    b.node("mean", AveragePool((4, 4)), "sum", origin="/mean")
    return b.build(("mean",))


@pytest.fixture(scope="module", params=[1, 3, 8])
def network(request: pytest.FixtureRequest) -> intaglio.Network:
    data = np.random.default_rng(1).normal(size=(32, 2, 4, 4)).astype(np.float32)
    return intaglio.compile(residual(), data, weight_bits=request.param)


def test_sections_and_sizes_add_up_to_the_file(network: intaglio.Network) -> None:
    assert sum(sections(network.blob).values()) == len(network.blob)
    found = sizes(network.program, network.blob)
    assert found.total == len(network.blob)
    assert found.metadata == sections(network.blob)["META"]
    assert found.weights + found.parameters == sections(network.blob)["DATA"]


def test_weights_are_stored_in_their_bits(network: intaglio.Network) -> None:
    stored = stored_bytes(network.blob)
    for slot, size in zip(network.program.slots, stored, strict=True):
        if slot.constant is not None:
            assert size == -(-slot.type.elements * slot.type.dtype.bits // 8)
    found = [layer for layer in layers(network.program, network.blob) if layer.weight_type]
    assert (
        sum(layer.weight_bytes for layer in found) == sizes(network.program, network.blob).weights
    )


def test_layers_have_the_names_of_the_model(network: intaglio.Network) -> None:
    found = layers(network.program, network.blob)
    assert [(layer.label, layer.op) for layer in found] == [
        ("/one", "conv"),
        ("/two", "conv"),
        ("/sum", "add"),
        ("/mean", "sum_pool"),
    ]


def test_no_code_of_any_run_leaves_the_stated_accumulator(network: intaglio.Network) -> None:
    program = network.program
    codes = np.random.default_rng(2).integers(0, 256, (64, 2, 4, 4)).astype(np.uint8)
    values = {name: output.codes for name, output in network.trace(codes).items()}
    arrays = [
        values.get(slot.name) if slot.constant is None else slot.constant.array
        for slot in program.slots
    ]
    for step, layer in zip(program.steps, layers(program, network.blob), strict=True):
        accumulator = step.op.reference(*(arrays[index] for index in step.inputs))
        lo, hi = layer.accumulator
        assert lo <= accumulator.min() <= accumulator.max() <= hi
        assert -(1 << layer.accumulator_bits - 1) <= lo <= hi < 1 << layer.accumulator_bits - 1


def test_the_accumulator_of_a_dense_layer_is_reached_exactly() -> None:
    b = Builder("net")
    b.input(Value("x", TensorType(("n", 5))))
    b.constant("w", real(np.random.default_rng(3).normal(size=(4, 5))))
    b.node("y", Dense(), "x", "w")
    data = np.random.default_rng(4).random((16, 5)).astype(np.float32)
    net = intaglio.compile(b.build(("y",)), data)
    (layer,) = layers(net.program, net.blob)
    weight = next(slot.constant.array for slot in net.program.constants if slot.name == "y.weight")
    corners = np.array(np.meshgrid(*[[0, 255]] * 5)).reshape(5, -1)
    sums = weight.astype(np.int64) @ corners
    assert layer.accumulator == (sums.min(), sums.max())
    assert (layer.weight_type, layer.weight_bytes) == ("int8", 4 * 5)
    assert sizes(net.program, net.blob).weights == 4 * 5


def test_the_text_of_a_program_names_each_step(network: intaglio.Network) -> None:
    lines = program_text(network.program).splitlines()
    assert lines[0] == f"program residual: {network.program.arena_bytes} bytes of arena per sample"
    assert [line.split(":")[0].strip() for line in lines[-5:-1]] == ["r1", "c2", "sum", "mean"]
    assert lines[-1] == "  return mean"
