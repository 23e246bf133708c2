"""``intaglio ops`` and ``intaglio passes``: what there is, generated from the code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
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
        facts((f"  {option}", text) for option, text in _option_texts(cls))


def _pass_json(cls: type[Pass]) -> dict[str, Any]:
    hints = get_type_hints(cls)
    options = {
        field.name: {"type": type_text(hints[field.name]), "default": _default_of(field)}
        for field in fields(cls)
    }
    return {"about": _first_line(cls), "options": options}


def _default_of(field: Field[Any]) -> Any:
    """What an option is when nobody states it, as JSON values."""
    made = field.default if field.default_factory is MISSING else field.default_factory()
    return asdict(made) if is_dataclass(made) and not isinstance(made, type) else made


def _option_texts(cls: type) -> Iterator[tuple[str, str]]:
    """Each option with type and default; one that has options of its own as ``target.rate``."""
    hints = get_type_hints(cls)
    for field in fields(cls):
        kind = hints[field.name]
        if is_dataclass(kind) and isinstance(kind, type):
            yield from ((f"{field.name}.{name}", text) for name, text in _option_texts(kind))
        else:
            yield field.name, f"{type_text(kind)} = {json.dumps(_default_of(field))}"


def _first_line(cls: type[Pass]) -> str:
    return (cls.__doc__ or "").strip().splitlines()[0].replace("``", "")


def type_text(annotation: Any) -> str:
    """The type of an option as a recipe writes it."""
    if get_origin(annotation) is Literal:
        return " | ".join(get_args(annotation))
    if get_origin(annotation) is tuple:
        entries = get_args(annotation)
        if entries[-1] is not Ellipsis:
            return f"[{', '.join(map(type_text, entries))}]"
        return f"list of {type_text(entries[0])}"
    if is_dataclass(annotation):
        hints = get_type_hints(annotation)
        inner = (f"{field.name}: {type_text(hints[field.name])}" for field in fields(annotation))
        return f"{{{', '.join(inner)}}}"
    return str(annotation.__name__)
