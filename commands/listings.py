"""``intaglio ops`` and ``intaglio passes``: what there is, generated from the code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ..errors import UsageError
from ..passes.base import Pass
from ..passes.pipeline import PASSES
from .operators import DIALECTS, Supported, operators
from .terminal import Column, facts, out, say, say_json, table

OPERATORS: tuple[Column, ...] = (("operator", "left"), ("attributes", "text"), ("limits", "text"))


def show_ops(dialect: str | None, *, as_json: bool, markdown: bool) -> None:
    """Print the operators of every dialect, or of one, with what is supported of them."""
    if dialect is not None and dialect not in DIALECTS:
        raise UsageError(
            f"There is no dialect '{dialect}'.", fix=f"The dialects are {', '.join(DIALECTS)}."
        )
    chosen = list(DIALECTS) if dialect is None else [dialect]
    if as_json:
        say_json({name: [each.to_json() for each in operators(name)] for name in chosen})
        return
    if markdown:
        say(ops_page(chosen).rstrip())
        return
    for name in chosen:
        out().print(f"{name}: {DIALECTS[name][0]}", markup=False)
        table(OPERATORS, map(_operator_row, operators(name)))


def ops_page(dialects: Sequence[str]) -> str:
    """The same as Markdown: the page docs/operators.md."""
    lines = ["# Operators", "", "What `intaglio ops --markdown` prints: generated from the code."]
    for name in dialects:
        lines += ["", f"## {name}: {DIALECTS[name][0]}", ""]
        lines += ["| operator | attributes | limits |", "|---|---|---|"]
        lines += [f"| {' | '.join(_operator_row(each))} |" for each in operators(name)]
    return "\n".join(lines) + "\n"


def _operator_row(each: Supported) -> tuple[str, str, str]:
    return each.operator, ", ".join(each.attributes), each.limits


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
