"""Tracing a Brevitas module: its quantizers become calls of one operator, ``intaglio::point``.

Nothing of the module changes for good: forwards are replaced for the time of the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import Any

from ...errors import ImportModelError, UsageError
from .points import Point, points_of, refuse

POINT = "intaglio::point"
_TRUNCATING = {"TruncAvgPool2d": "AvgPool2d", "TruncAdaptiveAvgPool2d": "AdaptiveAvgPool2d"}


@contextmanager
def traceable(module: Any, examples: list[Any]) -> Iterator[tuple[Point, ...]]:
    """The points of a module, whose quantizers call ``intaglio::point(x, index)`` meanwhile.

    ``examples`` are the arguments of one run. Raises ImportModelError for a quantizer that is not
    supported, naming its path.
    """
    _check_settings(module)
    _define_operator()
    with ExitStack() as stack:
        _join_plainly(stack, module)
        found = _run(module, examples)
        points = {proxy: point for proxy, point in found.items() if point is not None}
        _replace_forwards(stack, module, {proxy: n for n, proxy in enumerate(points)})
        yield tuple(points.values())


def _check_settings(module: Any) -> None:
    """Raise UsageError when Brevitas compiles its quantizers, which cannot be traced then."""
    from brevitas import config

    if config.JIT_ENABLED:
        raise UsageError(
            "Brevitas compiles its quantizers (BREVITAS_JIT=1).",
            where=f"Module '{type(module).__name__}'",
            fix="Import it in a process in which BREVITAS_JIT is 0; the weights are the same.",
        )


@cache
def _define_operator() -> Any:
    """Register the operator with torch; the library lives as long as the cache."""
    import torch

    library: Any = torch.library.Library("intaglio", "DEF")  # type: ignore[no-untyped-call]
    library.define("point(Tensor x, int index) -> Tensor")
    library.impl("point", lambda x, index: x.clone(), "CompositeExplicitAutograd")
    torch.library.register_fake(POINT, lambda x, index: torch.empty_like(x), lib=library)
    return library


def _proxies(module: Any) -> dict[str, Any]:
    from brevitas.proxy.quant_proxy import QuantProxyFromInjector

    return {
        path: each
        for path, each in module.named_modules()
        if isinstance(each, QuantProxyFromInjector)
    }


def _run(module: Any, examples: list[Any]) -> dict[Any, Point | None]:
    """What each proxy did in one run; a proxy used twice must have done the same."""
    import torch

    found: dict[Any, Point | None] = {}

    def note(path: str, proxy: Any, given: Any, result: Any) -> None:
        point = points_of(path, proxy, given[0], result)
        if proxy in found and repr(found[proxy]) != repr(point):
            raise refuse(path, "is used twice with different scales")
        found[proxy] = point

    with ExitStack() as hooks, torch.no_grad():
        for path, proxy in _proxies(module).items():
            handle = proxy.register_forward_hook(partial(note, path))
            hooks.callback(handle.remove)
        try:
            module(*examples)
        except ImportModelError:
            raise
        except Exception as error:  # whatever the user's forward raises
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise ImportModelError(
                f"It cannot be run on the example: {reason[0]}",
                where=f"Module '{type(module).__name__}'",
                fix="Pass example_inputs that its forward accepts.",
            ) from error
    return found


def _join_plainly(stack: ExitStack, module: Any) -> None:
    """QuantCat calls a function that Brevitas 0.13 no longer has: join the values."""
    import torch

    def join(self: Any, tensors: Any, dim: int = 1) -> Any:
        parts = [_value(self.input_quant(each)) for each in tensors]
        return self.output_quant(torch.cat(parts, dim=dim))

    for each in module.modules():
        if type(each).__name__ == "QuantCat":
            _become(stack, each, join)


def _value(tensor: Any) -> Any:
    """The tensor in a QuantTensor."""
    return getattr(tensor, "value", tensor)


def _become(stack: ExitStack, module: Any, forward: Callable[..., Any]) -> None:
    """Give a module another forward until the stack unwinds.

    By a class of its own: torch.export hands ``self`` to a method, and so knows the module's path.
    """
    old = type(module)
    members = {"forward": forward, "__module__": old.__module__}
    module.__class__ = type(old.__name__, (old,), members)
    stack.callback(setattr, module, "__class__", old)


def _set(stack: ExitStack, module: Any, name: str, value: Any) -> None:
    """Set an attribute of the module's own until the stack unwinds."""
    held = vars(module).get(name, ...)
    setattr(module, name, value)
    stack.callback(*((delattr, module, name) if held is ... else (setattr, module, name, held)))


def _replace_forwards(stack: ExitStack, module: Any, numbers: Mapping[Any, int]) -> None:
    import torch

    def quantizer(self: Any, x: Any, *_: Any, **__: Any) -> Any:
        fused = getattr(self, "fused_activation_quant_proxy", None)
        value = _value(x) if fused is None else fused.activation_impl(_value(x))
        return value if self.point is None else torch.ops.intaglio.point(value, self.point)

    def truncating(pool: Any) -> Callable[[Any, Any], Any]:
        return lambda self, x: self.trunc_quant(pool.forward(self, x))

    for proxy in _proxies(module).values():
        _set(stack, proxy, "point", numbers.get(proxy))
        _become(stack, proxy, quantizer)
    for layer in module.modules():
        if getattr(layer, "return_quant_tensor", False):
            _set(stack, layer, "return_quant_tensor", False)
        pool = _TRUNCATING.get(type(layer).__name__)
        if pool is not None:
            _become(stack, layer, truncating(getattr(torch.nn, pool)))
