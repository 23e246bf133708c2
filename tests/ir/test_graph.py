import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import InternalError, ShapeError
from intaglio.ir.certificate import Certificate
from intaglio.ir.graph import Builder, Graph, Value, describe, prune_unused, rewrite
from intaglio.ir.numeric import Encoding
from intaglio.ir.ops_linear import Dense
from intaglio.ir.ops_pointwise import Add, Clip, Relu
from intaglio.ir.tensor import BATCH, TensorType, real

X = Value("x", TensorType((BATCH, 3)))


def chain(*ops, outputs=()):
    """x -> op -> op -> ..., nodes named a, b, c."""
    builder = Builder("chain")
    name = builder.input(X)
    for letter, op in zip("abcdef", ops, strict=False):
        name = builder.node(letter, op, name)
    return builder.build(outputs or (name,))


def diamond():
    """y = relu(x) + clip(relu(x)); the constant w is read twice."""
    builder = Builder("diamond")
    x = builder.input(X)
    w = builder.constant("w", real(np.eye(3)))
    left = builder.node("left", Dense(), x, w)
    right = builder.node("right", Dense(), left, w)
    return builder.build((builder.node("y", Add(), left, right),))


def test_builder_infers_types_and_keeps_origin_encoding_and_certificate():
    builder = Builder("g")
    certificate, encoding = Certificate("exact", "", 0, 1), Encoding(0.5, 3)
    name = builder.node(
        "y",
        Relu(),
        builder.input(X),
        origin="/layer1/Relu",
        encoding=encoding,
        certificate=certificate,
    )
    assert builder.type_of(name) == X.type
    node = builder.build((name,)).producers["y"]
    assert node.value == Value("y", X.type, "/layer1/Relu", encoding)
    assert node.certificate == certificate
    assert node.where == "Node '/layer1/Relu' (relu)"


def test_a_node_without_origin_is_named_by_its_value():
    assert chain(Relu()).nodes[0].where == describe("a", Relu()) == "Node 'a' (relu)"


def test_builder_numbers_names_that_are_taken():
    builder = Builder("g")
    x = builder.input(X)
    assert [builder.node("y", Relu(), x) for _ in range(3)] == ["y", "y.1", "y.2"]
    assert builder.node("x", Relu(), x) == "x.1"
    assert "y.2" in builder
    assert "y.3" not in builder


def test_builder_reuses_an_equal_constant_and_renames_another():
    builder = Builder("g")
    one, two = real(np.ones(3)), real(np.zeros(3))
    assert builder.constant("c", one) == builder.constant("c", one) == "c"
    assert builder.constant("c", two) == "c.1"


def test_build_leaves_out_constants_that_nothing_reads():
    builder = Builder("g")
    x = builder.input(X)
    builder.constant("unused", real(np.ones(3)))
    kept = builder.constant("kept", real(np.ones(3)))
    graph = builder.build((x, kept))
    assert set(graph.constants) == {"kept"}
    assert graph.type_of("kept") == TensorType((3,))
    assert graph.type_of("x") == X.type


def test_an_input_defined_twice_is_an_internal_error():
    builder = Builder("g")
    builder.input(X)
    with pytest.raises(InternalError, match=r"^Value 'x' is defined twice in graph 'g'\.$"):
        builder.input(X)


@pytest.mark.parametrize(
    ("origin", "who"), [("/fc/MatMul", "Node '/fc/MatMul' (add)"), ("", "Node 'sum' (add)")]
)
def test_builder_errors_name_the_users_node(origin, who):
    builder = Builder("g")
    x = builder.input(X)
    y = builder.input(Value("y", TensorType((BATCH, 4))))
    expected = f"{who}: Operands float32[n,3] and float32[n,4] differ."
    with pytest.raises(ShapeError, match=f"^{re.escape(expected)}$"):
        builder.node("sum", Add(), x, y, origin=origin)
    expected = f"{who}: Operator 'add' takes x, y; got 1 operands."
    with pytest.raises(ShapeError, match=f"^{re.escape(expected)}$"):
        builder.node("sum", Add(), x, origin=origin)


def test_constants_of_a_graph_cannot_be_changed():
    graph = diamond()
    with pytest.raises(TypeError, match="does not support item assignment"):
        graph.constants["w"] = real(np.zeros((3, 3)))


def test_users_producers_and_last_use():
    graph = diamond()
    assert {name: [node.name for node in nodes] for name, nodes in graph.users.items()} == {
        "x": ["left"],
        "w": ["left", "right"],
        "left": ["right", "y"],
        "right": ["y"],
        "y": [],
    }
    assert {name: node.name for name, node in graph.producers.items()} == {
        "left": "left",
        "right": "right",
        "y": "y",
    }
    assert dict(graph.last_use) == {"x": 0, "w": 1, "left": 2, "right": 2, "y": 3}


def test_a_node_that_reads_a_value_twice_is_one_user():
    builder = Builder("g")
    x = builder.input(X)
    graph = builder.build((builder.node("y", Add(), x, x),))
    assert [node.name for node in graph.users["x"]] == ["y"]


def test_an_output_that_is_read_lives_to_the_end():
    graph = chain(Relu(), Relu(), outputs=("a", "b"))
    assert graph.last_use["a"] == 2


def test_digraph_has_an_edge_along_every_value_and_depth_counts_nodes():
    graph = diamond()
    assert set(graph.digraph().edges) == {
        ("x", "left"),
        ("left", "right"),
        ("left", "y"),
        ("right", "y"),
    }
    assert graph.depth == 3
    assert chain(outputs=("x",)).depth == 0


@st.composite
def graphs(draw):
    """Random DAGs of relu and add over two inputs, with some values unused."""
    builder = Builder("random")
    names = [builder.input(X), builder.input(Value("z", X.type))]
    names.append(builder.constant("c", real(np.ones(3))))
    for index in range(draw(st.integers(0, 8))):
        values = st.sampled_from([name for name in names if name != "c"])
        if draw(st.booleans()):
            names.append(builder.node(f"n{index}", Relu(), draw(values)))
        else:
            names.append(builder.node(f"n{index}", Add(), draw(values), draw(values)))
    outputs = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
    return Graph(
        "random", tuple(builder.inputs), builder.constants, tuple(builder.nodes), tuple(outputs)
    )


def reachable(graph):
    needed, todo = set(), list(graph.outputs)
    while todo:
        name = todo.pop()
        needed.add(name)
        if name in graph.producers:
            todo += graph.producers[name].inputs
    return needed


@given(graphs())
def test_prune_keeps_exactly_what_outputs_need_in_order_and_every_input(graph):
    pruned = prune_unused(graph)
    needed = reachable(graph)
    assert pruned.nodes == tuple(node for node in graph.nodes if node.name in needed)
    assert set(pruned.constants) == set(graph.constants) & needed
    assert (pruned.inputs, pruned.outputs) == (graph.inputs, graph.outputs)


@given(graphs())
def test_rewrite_that_copies_is_prune(graph):
    assert rewrite(graph, lambda r, node: None) == prune_unused(graph)


@given(graphs())
def test_rewrite_with_other_names_keeps_the_structure(graph):
    renamed = rewrite(
        graph, lambda r, node: r.new.node(f"{node.name}'", node.op, *(r[i] for i in node.inputs))
    )
    old = prune_unused(graph)
    assert [node.name for node in renamed.nodes] == [f"{node.name}'" for node in old.nodes]
    assert [node.op for node in renamed.nodes] == [node.op for node in old.nodes]
    assert renamed.digraph().number_of_edges() == old.digraph().number_of_edges()


def test_rewrite_replaces_a_value_for_all_its_users_and_outputs():
    graph = chain(Relu(), Clip(), Relu(), outputs=("b", "c"))
    changed = rewrite(graph, lambda r, node: r["x"] if node.name == "b" else None)
    assert changed.outputs == ("x", "c")
    assert [(node.name, node.inputs) for node in changed.nodes] == [("c", ("x",))]


def test_copy_keeps_what_is_known_of_the_node():
    builder = Builder("g")
    certificate, encoding = Certificate("exact", "m", 0, 1), Encoding(0.5)
    builder.node(
        "y", Relu(), builder.input(X), origin="o", encoding=encoding, certificate=certificate
    )
    graph = builder.build(("y",))
    changed = rewrite(graph, lambda r, node: r.copy(node, Clip()))
    node = changed.producers["y"]
    assert node.op == Clip()
    assert (node.value, node.certificate) == (graph.nodes[0].value, certificate)


def test_equal_graphs_are_equal_and_a_changed_constant_tells_them_apart():
    assert diamond() == diamond()
    assert diamond() != replace(diamond(), constants={"w": real(np.ones((3, 3)))})
