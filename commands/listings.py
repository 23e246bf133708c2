"""``intaglio ops`` and ``intaglio passes``: what there is, generated from the code."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ..passes.base import Pass
from ..passes.pipeline import PASSES
from .terminal import Column, facts, out, say_json, table

ONNX: tuple[Column, ...] = (("ONNX operator", "left"), ("attributes", "text"), ("limits", "text"))
TORCH: tuple[Column, ...] = (("torch operator", "left"), ("arguments", "text"))


def show_ops(*, as_json: bool) -> None:
    """Print the operators of the ONNX and torch importers with what they support."""
    onnx, torch = onnx_operators(), torch_operators()
    if as_json:
        say_json({"onnx": onnx, "torch": torch})
        return
    table(ONNX, ((each["operator"], _listed(each["attributes"]), each["limits"]) for each in onnx))
    table(TORCH, ((f"aten.{each['operator']}", _listed(each["arguments"])) for each in torch))


def onnx_operators() -> list[dict[str, Any]]:
    """Name, attributes and limits of each ONNX operator."""
    from ..frontend.onnx_import import MICROSOFT, TRANSLATORS

    every = {**TRANSLATORS, **{f"com.microsoft.{name}": each for name, each in MICROSOFT.items()}}
    return [
        {
            "operator": name,
            "attributes": [attribute.name for attribute in translator.attributes],
            "limits": translator.limits,
        }
        for name, translator in sorted(every.items())
    ]


def torch_operators() -> list[dict[str, Any]]:
    """Name and arguments of each ATen operator that torch.export gives; torch is not needed."""
    from ..frontend.torch_import import TRANSLATORS

    return [
        {"operator": name, "arguments": list(translator.arguments)}
        for name, translator in sorted(TRANSLATORS.items())
    ]


def _listed(names: list[str]) -> str:
    return ", ".join(names)


def show_passes(*, as_json: bool) -> None:
    """Print the passes of recipes with their options, types and defaults."""
    if as_json:
        say_json({name: _pass_json(cls) for name, cls in PASSES.items()})
        return
    for name, cls in PASSES.items():
        out().print(f"{name}: {_first_line(cls)}")
        options = _pass_json(cls)["options"].items()
        facts((f"  {option}", _option_text(**about)) for option, about in options)


def _pass_json(cls: type[Pass]) -> dict[str, Any]:
    hints = get_type_hints(cls)
    options = {
        field.name: {"type": type_text(hints[field.name]), "default": field.default}
        for field in fields(cls)
    }
    return {"about": _first_line(cls), "options": options}


def _option_text(type: str, default: Any) -> str:  # the keys of the JSON form
    return f"{type} = {json.dumps(default)}"


def _first_line(cls: type[Pass]) -> str:
    return (cls.__doc__ or "").strip().splitlines()[0]


def type_text(annotation: Any) -> str:
    """The type of an option as a recipe writes it."""
    if get_origin(annotation) is Literal:
        return " | ".join(get_args(annotation))
    if get_origin(annotation) is tuple:
        (entry, _) = get_args(annotation)
        hints = get_type_hints(entry)
        inner = ", ".join(
            f"{field.name}: {type_text(hints[field.name])}" for field in fields(entry)
        )
        return f"list of {{{inner}}}"
    return str(annotation.__name__)
