import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import UsageError
from intaglio.ir import ops_pointwise
from intaglio.ir.evaluate import walk
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import int_type
from intaglio.ir.ops_pointwise import ScaleGradient
from intaglio.ir.ops_pool import SumPool
from intaglio.ir.tensor import BATCH, TensorType
from intaglio.ir.verify import LEGAL
from intaglio.passes.training import ops_pointwise as torch_pointwise
from intaglio.passes.training.module import to_torch
from intaglio.passes.training.table import TABLE, apply

from .float_cases import OPERATORS, float_cases

every_op = pytest.mark.parametrize("name", OPERATORS)


def expected(case, dtype):
    ((_, result),) = walk(case.graph, {k: v.astype(dtype) for k, v in case.inputs.items()}, dtype)
    return result


def computed(case, dtype):
    module = to_torch(case.graph).eval().to(dtype)
    with torch.no_grad():
        return module({k: torch.from_numpy(v).to(dtype) for k, v in case.inputs.items()})


def check(result, reference, bound):
    """Equal up to ``bound``, relative to the greatest magnitude that is finite."""
    magnitude = np.abs(reference[np.isfinite(reference)]).max(initial=1e-3)
    assert result.shape == reference.shape
    np.testing.assert_allclose(result.numpy(), reference, rtol=bound, atol=bound * magnitude)


@every_op
@settings(max_examples=15)
@given(data=st.data())
def test_the_function_of_an_op_is_its_reference_in_float64(name, data):
    case = data.draw(float_cases(name))
    result = computed(case, torch.float64)
    assert result.dtype == torch.float64
    check(result, expected(case, np.float64), 1e-11)


@every_op
@settings(max_examples=15)
@given(data=st.data())
def test_the_function_of_an_op_is_its_reference_in_float32(name, data):
    case = data.draw(float_cases(name))
    result = computed(case, torch.float32)
    assert result.dtype == torch.float32
    check(result, expected(case, np.float32), 1e-5)


def test_the_table_is_total():
    assert set(TABLE) >= LEGAL["float"]
    assert set(torch_pointwise.UNARY) == set(ops_pointwise.UNARY)


SMOOTH = sorted(set(OPERATORS) - {"arg_max"})


@pytest.mark.parametrize("name", SMOOTH)
@settings(max_examples=3)
@given(data=st.data())
def test_the_gradient_of_an_op_is_that_of_finite_differences(name, data):
    """At elements that lie 1/8 apart, away from the kinks of relu and clip."""
    case = data.draw(float_cases(name).filter(lambda case: is_small(case.graph)))
    module = to_torch(case.graph).double()
    inputs = [spread(v.shape, first) for first, v in enumerate(case.inputs.values())]
    assert torch.autograd.gradcheck(
        lambda *given: torch.func.functional_call(
            module, parameters(module, given), given[: len(inputs)]
        ),
        (*inputs, *(p.detach().clone().requires_grad_() for p in module.parameters())),
        atol=1e-5,
    )


def is_small(graph):
    node = graph.nodes[0]
    return max(node.type.elements, *(graph.type_of(name).elements for name in node.inputs)) <= 60


def spread(shape, first):
    """Distinct elements, none of them near another, 0 or an end of the clips."""
    count = int(np.prod(shape))
    order = torch.randperm(count, generator=torch.Generator().manual_seed(first))
    return ((order.double() + 0.47) / 8).reshape(shape).requires_grad_()


def parameters(module, given):
    names = [name for name, _ in module.named_parameters()]
    return dict(zip(names, given[len(given) - len(names) :], strict=True))


def test_an_op_on_codes_cannot_be_trained():
    b = Builder("net")
    x = b.input(Value("x", TensorType((BATCH, 1, 2, 2), int_type(4))))
    graph = b.build((b.node("sum", SumPool((2, 2)), x, origin="/pool/Sum"),))
    with pytest.raises(UsageError) as error:
        to_torch(graph)
    assert str(error.value) == (
        "Node '/pool/Sum' (sum_pool): Operator 'sum_pool' on codes cannot be trained. "
        "Give a float graph, or one in which reals are quantized and dequantized."
    )


@pytest.mark.parametrize("factor", [0.0, 0.25, 1.0])
def test_a_scaled_gradient_is_that_much_of_the_gradient(factor):
    x = torch.arange(4.0, requires_grad=True)
    found = apply(ScaleGradient(factor), x)
    assert torch.equal(found, x)
    assert found.requires_grad == bool(factor)
    if factor:
        (2 * found).sum().backward()
        assert torch.equal(x.grad, torch.full((4,), 2 * factor))
