"""Running ``torch.export`` and reading what it gives; the only place that imports torch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...errors import ImportModelError, UsageError
from ...ir.numeric import Array
from ...ir.ops_layout import Ints
from ..emit.site import Constant
from .tensors import as_array

if TYPE_CHECKING:
    from ..brevitas.points import Point


@dataclass(frozen=True)
class Exported:
    """An exported module: fx nodes by their roles.

    ``batch`` is the size the trace fixed for the batch, None when it stayed symbolic. ``inputs``
    gives sample shapes, ``constants`` names and elements, ``needed`` the calls in order, ``points``
    the quantizers of a Brevitas module by the numbers that their calls give.
    """

    name: str
    batch: int | None
    inputs: dict[Any, Ints]
    constants: dict[Any, tuple[str, Array]]
    needed: tuple[Any, ...]
    outputs: tuple[Any, ...]
    points: tuple[Point, ...] = ()

    def module(self, node: Any) -> str:
        """The path of the module whose forward makes the call; the class name for the root."""
        return _place(node)[0] or self.name

    def operator(self, node: Any) -> str:
        """The ATen operator with its overload, or the name of a Python function."""
        return str(node.target) if hasattr(node.target, "_schema") else node.target.__name__

    def is_point(self, node: Any) -> bool:
        """Whether the call stands for a quantizer; its arguments are x and its number."""
        return self.operator(node).startswith("intaglio.point")

    def origin(self, node: Any) -> str:
        """The module's path if it is one of torch's layers, else the path and the operator."""
        path, kind = _place(node)
        if _FUSED in path:  # the activation function inside a Brevitas quantizer
            path, kind = path.partition(_FUSED)[0], ""
        if path and kind.startswith(_LAYERS) and ".container." not in kind:
            return path
        call = self.operator(node).removeprefix("aten.").split(".")[0]
        return f"{path}.{call}" if path else call


_FUSED = ".fused_activation_quant_proxy"
_LAYERS = ("torch.nn.modules.", "brevitas.")


def _place(node: Any) -> tuple[str, str]:
    """Path and class of the innermost module around a call."""
    stack = [entry for key, entry in node.meta.get("nn_module_stack", {}).items() if key[0] != "_"]
    return (str(stack[-1][0]), str(stack[-1][1])) if stack else ("", "")


def export(module: Any, example_inputs: Sequence[Any]) -> Exported:
    """Trace ``module`` with a symbolic batch, or with a batch of one where that fails.

    Raises UsageError for a missing torch, a training module or unfit examples, ImportModelError
    when the module cannot be traced.
    """
    torch = import_module()
    _check_module(torch, module)
    samples = _samples(torch, example_inputs)
    with _quantizers(module, samples) as points:
        program = _traced(torch, module, samples)
    return replace(_read(program, type(module).__name__), points=points)


def _quantizers(module: Any, samples: list[Any]) -> AbstractContextManager[tuple[Point, ...]]:
    from ..brevitas.points import is_brevitas
    from ..brevitas.trace import traceable

    return traceable(module, samples) if is_brevitas(module) else nullcontext(())


def _traced(torch: Any, module: Any, samples: list[Any]) -> Any:
    name = type(module).__name__
    try:
        program = _trace(torch, module, [torch.cat([each, each]) for each in samples], dynamic=True)
    except Exception:  # whatever the user's forward or the tracer raises: the second try reports it
        program = None
    if program is None or not all(_is_symbolic(node) for node in _inputs(program)):
        try:
            program = _trace(torch, module, samples, dynamic=False)
        except Exception as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise ImportModelError(
                f"torch.export cannot trace it: {reason[0]}",
                where=f"Module '{name}'",
                fix="Its forward must not branch on values and must accept the example inputs.",
            ) from error
    return program


def import_module() -> Any:
    """The torch module; UsageError when it is not installed."""
    try:
        import torch
        import torch.export
    except ImportError as error:
        raise UsageError(
            "PyTorch is not installed, and a torch module was given.",
            fix="Install it with: pip install intaglio[torch]",
        ) from error
    return torch


def _check_module(torch: Any, module: Any) -> None:
    if not isinstance(module, torch.nn.Module):
        raise UsageError(
            f"A {type(module).__name__} is not a torch.nn.Module.",
            fix="Pass a module and examples.",
        )
    training = [path or type(module).__name__ for path, m in module.named_modules() if m.training]
    if training:
        raise UsageError(
            f"It is in training mode, in which batch normalization and dropout differ "
            f"({len(training)} modules, the first is '{training[0]}').",
            where=f"Module '{type(module).__name__}'",
            fix="Call module.eval() before importing it.",
        )


def _samples(torch: Any, example_inputs: Sequence[Any]) -> list[Any]:
    """The first sample of each example, as a batch of one."""
    given = [example_inputs] if isinstance(example_inputs, torch.Tensor) else list(example_inputs)
    for index, example in enumerate(given):
        tensor = isinstance(example, torch.Tensor)
        if not tensor or not example.is_floating_point() or not example.ndim or not len(example):
            kind = (
                f"{tuple(example.shape)} of {example.dtype}" if tensor else type(example).__name__
            )
            raise UsageError(
                f"Example input {index} is {kind}.",
                fix="Pass one float tensor per argument of forward, axis 0 the batch.",
            )
    return [example[:1].detach() for example in given]


def _trace(torch: Any, module: Any, examples: list[Any], *, dynamic: bool) -> Any:
    """An exported program in functional ATen: in-place calls and their aliases are resolved."""
    shapes = torch.export.ShapesCollection()
    for example in examples:
        shapes[example] = {0: torch.export.Dim.AUTO if dynamic else None}
    with warnings.catch_warnings():
        # torch's own use of its deprecated internals is not the user's concern
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        program = torch.export.export(module, tuple(examples), dynamic_shapes=shapes, strict=False)
        return program.run_decompositions({})


def _inputs(program: Any) -> list[Any]:
    names = set(program.graph_signature.user_inputs)
    return [node for node in program.graph.nodes if node.op == "placeholder" and node.name in names]


def _is_symbolic(node: Any) -> bool:
    return not isinstance(node.meta["val"].shape[0], int)


def _read(program: Any, name: str) -> Exported:
    inputs = _inputs(program)
    outputs = _outputs(program, name)
    batch = None if all(map(_is_symbolic, inputs)) else 1
    shapes = {node: tuple(int(size) for size in node.meta["val"].shape[1:]) for node in inputs}
    return Exported(name, batch, shapes, _constants(program), _needed(outputs), outputs)


def _outputs(program: Any, name: str) -> tuple[Any, ...]:
    (returned,) = [node for node in program.graph.nodes if node.op == "output"]
    found = []
    for node, spec in zip(returned.args[0], program.graph_signature.output_specs, strict=True):
        if spec.kind.name == "USER_OUTPUT":
            found.append(node)
        elif spec.kind.name == "BUFFER_MUTATION":
            raise ImportModelError(
                f"Its forward changes the buffer '{spec.target}'.",
                where=f"Module '{name}'",
                fix="A network must not keep state between calls.",
            )
    return tuple(found)


def _constants(program: Any) -> dict[Any, tuple[str, Array]]:
    """Parameters, buffers and tensors in the code, by their placeholder."""
    stored = {**program.state_dict, **program.constants}
    targets = {spec.arg.name: spec.target for spec in program.graph_signature.input_specs}
    return {
        node: (targets[node.name], as_array(stored[targets[node.name]]))
        for node in program.graph.nodes
        if node.op == "placeholder" and targets.get(node.name) in stored
    }


def _needed(outputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The calls on which the outputs depend, in order."""
    found: set[Any] = set()
    waiting = [node for node in outputs if hasattr(node, "all_input_nodes")]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += node.all_input_nodes
    calls = [node for node in found if node.op == "call_function"]
    return tuple(sorted(calls))


def evaluate(call: Any, name: str, given: list[Any], named: dict[str, Any]) -> Any:
    """The result of an fx call on constants only: Constants for tensors, anything else as it is."""
    torch = import_module()

    def to_torch(value: Any) -> Any:
        if isinstance(value, list):
            return [to_torch(each) for each in value]
        return torch.from_numpy(value.array) if isinstance(value, Constant) else value

    with torch.no_grad():
        result = call.target(
            *map(to_torch, given), **{key: to_torch(value) for key, value in named.items()}
        )
    if isinstance(result, torch.Tensor):
        return Constant(name, as_array(result))
    if isinstance(result, tuple | list):
        return [Constant(f"{name}.{i}", as_array(each)) for i, each in enumerate(result)]
    return result
