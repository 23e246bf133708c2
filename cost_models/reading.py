"""TOML files as checked data: one clear error for whatever is wrong with them."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from ..errors import UsageError
from .quantity import Quantity

Read = TypeVar("Read", bound=BaseModel)
QUANTITY = 'Write { low = 1.0, nominal = 2.0, high = 4.0, unit = "...", source = "..." }.'
EXAMPLE = "docs/hardware.md has a whole file to begin with."
WHATS = {"model_type": "It should be a table"}
"""What pydantic says in words of its own."""
FIXES = {
    "greater_than": "Write a number above 0.",
    "greater_than_equal": "Energies, shares and powers are 0 or more.",
    "finite_number": "Write a number that is finite.",
    "int_type": "Write a whole number.",
    "float_type": "Write a number.",
    "string_type": "Write it in quotes.",
    "string_too_short": "Write something: of a source, the data sheet, paper or measurement.",
    "bool_type": "Write true or false.",
    "list_type": 'Write a list, e.g. ["weights"].',
    "too_short": "Write at least one.",
}
"""What to do about each kind of pydantic's errors."""


def names_in(folder: str) -> list[str]:
    """The files of a folder of ``data``, without their ending."""
    found = files(__package__).joinpath("data", folder).iterdir()
    return sorted(each.name.removesuffix(".toml") for each in found)


def read_toml(name: str | Path, folder: str, what: str, model: type[Read]) -> Read:
    """A file of ``data`` by name, or one at a path; raises UsageError that names file and key."""
    where = f"'{name}'"
    data = _parsed(_text(name, folder, what), where)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _explained(where, error, model) from error


def _text(name: str | Path, folder: str, what: str) -> str:
    if str(name) in names_in(folder):
        return files(__package__).joinpath("data", folder, f"{name}.toml").read_text("utf-8")
    try:
        return Path(name).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError("It is no text in UTF-8.", where=f"'{name}'", fix=EXAMPLE) from error
    except (FileNotFoundError, ValueError) as error:  # ValueError: a name with a zero in it
        raise UsageError(
            f"There is no {what} of that name and no such file.",
            where=f"'{name}'",
            fix=f"Name {', '.join(names_in(folder))}, or a TOML file.",
        ) from error
    except OSError as error:
        raise UsageError(
            f"It cannot be read: {error.strerror}.",
            where=f"'{name}'",
            fix="Name a TOML file that you may read.",
        ) from error


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"It is no TOML: {error}.", where=where, fix=EXAMPLE) from error


def _explained(where: str, error: ValidationError, model: type[BaseModel]) -> UsageError:
    """The first finding, by the path of its key."""
    first = error.errors()[0]
    context = first.get("ctx", {})
    key = path_of([*first["loc"], *filter(None, [context.get("key")])])
    place = f"{where}, {key}" if key else where
    inner = _model_at(model, first["loc"])
    if first["type"] == "missing":
        fix = QUANTITY if inner is Quantity else _example(first["loc"])
        return UsageError("It is missing.", where=place, fix=fix)
    if first["type"] == "extra_forbidden":
        return UsageError("There is no such key.", where=place, fix=_nearest(first["loc"], inner))
    text = context.get("what") or WHATS.get(first["type"]) or first["msg"]
    given = first.get("input")
    refused = first["type"] == "refused"
    shown = f", not {given!r}" if isinstance(given, int | float | str) and not refused else ""
    what = f"{text[0].upper()}{text[1:]}{shown}."
    return UsageError(what, where=place, fix=context.get("fix") or _fix(first, inner))


def _fix(error: Any, inner: type[BaseModel]) -> str:
    if error["type"] == "model_type":
        return QUANTITY if inner is Quantity else EXAMPLE
    if error["type"] == "literal_error":
        choices = error["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        near = get_close_matches(str(error.get("input")), choices, 1)
        return f"Did you mean '{near[0]}'?" if near else "Choose one of these."
    return FIXES.get(error["type"], "docs/hardware.md says what it may be.")


def _example(loc: Sequence[int | str]) -> str:
    return f"Write a line {loc[-1]} = ..., or a table of that name; docs/hardware.md has all keys."


def _nearest(loc: Sequence[int | str], inner: type[BaseModel]) -> str:
    known = keys_of(inner)
    near = get_close_matches(str(loc[-1]), known, 1)
    return f"Did you mean '{near[0]}'?" if near else f"The keys here are {', '.join(known)}."


def path_of(loc: Sequence[int | str]) -> str:
    """A key's path, e.g. ``memories[0].read``."""
    found = ""
    for part in loc:
        found += f"[{part}]" if isinstance(part, int) else f".{part}"
    return found.lstrip(".")


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys of a table, as they are written."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(model: type[BaseModel], loc: Sequence[int | str]) -> type[BaseModel]:
    """The table that a key is in, or that it is: the last table on the way to it."""
    for part in loc:
        for name, field in model.model_fields.items():
            if part == (field.alias or name):
                model = _table_in(field.annotation) or model
                break
    return model


def _table_in(annotation: Any) -> type[BaseModel] | None:
    """The table within an annotation, e.g. of ``list[OnChip]`` or ``Quantity | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _table_in(each))), None)
