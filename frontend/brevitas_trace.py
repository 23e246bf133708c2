"""Tracing a Brevitas module: its quantizers become calls of one operator, ``intaglio::point``.

Nothing of the module changes for good: forwards are replaced for the time of the trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import Any

from ..errors import ImportModelError
from .brevitas_points import Point, points_of, refuse

POINT = "intaglio::point"
_TRUNCATING = {"TruncAvgPool2d": "AvgPool2d", "TruncAdaptiveAvgPool2d": "AdaptiveAvgPool2d"}


@contextmanager
def traceable(module: Any, examples: list[Any]) -> Iterator[tuple[Point, ...]]:
    """The points of a module, whose quantizers call ``intaglio::point(x, index)`` meanwhile.

    ``examples`` are the arguments of one run. Raises ImportModelError for a quantizer that is not
    supported, naming its path.
    """
    _define_operator()
    with ExitStack() as stack:
        _join_plainly(stack, module)
        found = _run(module, examples)
        points = tuple(point for point in found.values() if point is not None)
        _replace_forwards(stack, module, found, points)
        yield points


@cache
def _define_operator() -> Any:
    """Register the operator with torch; the library lives as long as the cache."""
    import torch

    library = torch.library.Library("intaglio", "DEF")
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

    def join(layer: Any, tensors: Any, dim: int = 1) -> Any:
        parts = [_value(layer.input_quant(each)) for each in tensors]
        return layer.output_quant(torch.cat(parts, dim=dim))

    for each in module.modules():
        if type(each).__name__ == "QuantCat":
            _replace(stack, each, "forward", partial(join, each))


def _value(tensor: Any) -> Any:
    return getattr(tensor, "value", tensor)


def _replace(stack: ExitStack, owner: Any, name: str, new: Any) -> None:
    """Set an attribute until the stack unwinds."""
    held = owner.__dict__.get(name, ...)
    setattr(owner, name, new)
    stack.callback(delattr if held is ... else setattr, owner, name, *(() if held is ... else (held,)))


def _replace_forwards(
    stack: ExitStack, module: Any, found: dict[Any, Point | None], points: tuple[Point, ...]
) -> None:
    import torch

    def mark(x: Any, index: int | None) -> Any:
        return x if index is None else torch.ops.intaglio.point(x, index)

    def forward(proxy: Any, index: int | None, x: Any, *_: Any, **__: Any) -> Any:
        fused = getattr(proxy, "fused_activation_quant_proxy", None)
        return mark(_value(x) if fused is None else fused.activation_impl(_value(x)), index)

    def truncated(layer: Any, x: Any) -> Any:
        pool = getattr(torch.nn, _TRUNCATING[type(layer).__name__])
        return layer.trunc_quant(pool.forward(layer, x))

    order = {id(point): index for index, point in enumerate(points)}
    for proxy in _proxies(module).values():
        index = order.get(id(found.get(proxy)))
        _replace(stack, proxy, "forward", partial(forward, proxy, index))
    for layer in module.modules():
        if getattr(layer, "return_quant_tensor", False):
            _replace(stack, layer, "return_quant_tensor", False)
        if type(layer).__name__ in _TRUNCATING:
            _replace(stack, layer, "forward", partial(truncated, layer))
