"""The TOML file of a space, read strictly: one clear error for whatever is wrong with it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from ..cost_models.quantity import Strict
from ..cost_models.reading import keys_of, path_of
from ..errors import UsageError
from ..files import read_bytes
from .columns import COLUMNS
from .objectives import Objective
from .space import Space, Values, check
from .template import filled, names_in

EXAMPLE = "docs/sweep.md has a whole file to begin with."
IN_PLACE = "passes of the space file"
"""The name of the recipe that stands in the space file itself."""
NAME = re.compile("[a-z][a-z0-9_]*")


class HardwareChoice(Strict):
    """Hardware by name or file, and the bytes of memories that differ from it."""

    name: str = "edge-npu"
    bytes: dict[str, int | str] = Field(default_factory=dict)


USUAL: tuple[Objective, ...] = ("accuracy", "energy", "bytes")


def _named(given: Any) -> Any:
    return {"name": given} if isinstance(given, str) else given


class SpaceFile(Strict):
    """The keys of a space file."""

    choices: Annotated[dict[str, list[Any] | dict[str, Any]], Field(min_length=1)]
    recipe: str = ""
    passes: list[dict[str, Any]] = Field(alias="pass", default_factory=list)
    storage: str | list[str] = "smallest"
    hardware: Annotated[HardwareChoice, BeforeValidator(_named)] = HardwareChoice()
    objectives: list[Objective] = Field(min_length=1, default_factory=lambda: [*USUAL])


def read_space(path: Path) -> Space:
    """The space of a file, with the recipes that it names; raises UsageError."""
    source = f"'{path}'"
    try:
        read = SpaceFile.model_validate(_toml(path))
    except ValidationError as error:
        raise _explained(source, error) from error
    choices = {name: _values(source, name, given) for name, given in read.choices.items()}
    if bool(read.recipe) == bool(read.passes):
        raise UsageError(
            "There are [[pass]] tables and a recipe." if read.recipe else "There is no recipe.",
            where=source,
            fix='Write [[pass]] tables, or recipe = "recipe.toml".',
        )
    _check_once(source, read.objectives)
    name = read.recipe or IN_PLACE
    space = Space(
        source=str(path),
        choices=choices,
        recipe=name,
        recipes=_recipes(path, name, choices) if read.recipe else {IN_PLACE: read.passes},
        storage=read.storage,
        hardware=read.hardware.name,
        memories=read.hardware.bytes,
        objectives=tuple(read.objectives),
    )
    check(space)
    return space


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_bytes(path).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"It is no TOML: {error}.", where=f"'{path}'", fix=EXAMPLE) from error


def _values(source: str, name: str, given: list[Any] | dict[str, Any]) -> Values:
    """The values of a choice by label: a table states labels, values of a list are their own."""
    where = f"{source}, choices.{name}"
    if not NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' is no name of a choice.",
            where=source,
            fix="Use small letters, digits and underscores.",
        )
    if name in COLUMNS:
        raise UsageError(
            f"'{name}' is a column of the results already.",
            where=where,
            fix=f"Choose another name than {', '.join(COLUMNS)}.",
        )
    if not given:
        raise UsageError("It has no values.", where=where, fix=f"Write {name} = [8, 4].")
    if isinstance(given, Mapping):
        return given
    if any(isinstance(each, Mapping) for each in given):
        raise UsageError(
            "Tables in a list have no names to show.",
            where=where,
            fix=f"Name each of them: [choices.{name}] and first = {{ ... }} below it.",
        )
    labels = [each if isinstance(each, str) else json.dumps(each, default=str) for each in given]
    twice = next((each for each in labels if labels.count(each) > 1), None)
    if twice is not None:
        raise UsageError(f"'{twice}' is there twice.", where=where, fix="Write each value once.")
    return dict(zip(labels, given, strict=True))


def _check_once(source: str, objectives: list[Objective]) -> None:
    twice = next((each for each in objectives if objectives.count(each) > 1), None)
    if twice is not None:
        where = f"{source}, objectives"
        raise UsageError(f"'{twice}' is there twice.", where=where, fix="Write each once.")


def _recipes(path: Path, name: str, choices: Mapping[str, Values]) -> dict[str, list[Any]]:
    """The recipe files that ``name`` stands for with any values of the choices in it."""
    used = [each for each in dict.fromkeys(names_in(name)) if each in choices]
    found: dict[str, list[Any]] = {}
    for values in product(*(choices[each].values() for each in used)):
        file = str(filled(name, dict(zip(used, values, strict=True))))
        data = _toml(path.parent / file)
        if set(data) != {"pass"} or not isinstance(data["pass"], list):
            raise UsageError(
                f"A recipe holds only [[pass]] tables; this one has {sorted(data)}.",
                where=f"'{path.parent / file}'",
                fix='Write [[pass]] and name = "quantize" below it.',
            )
        found[file] = data["pass"]
    return found


def _explained(source: str, error: ValidationError) -> UsageError:
    """The first finding, by the path of its key."""
    first = error.errors()[0]
    loc = [part for part in first["loc"] if part not in ("list[any]", "dict[str,any]")]
    where = f"{source}, {path_of(loc)}"
    if first["type"] == "missing":
        return UsageError("It is missing.", where=where, fix=EXAMPLE)
    if first["type"] == "extra_forbidden":
        known = keys_of(HardwareChoice if loc[0] == "hardware" else SpaceFile)
        near = get_close_matches(str(loc[-1]), known, 1)
        fix = f"Did you mean '{near[0]}'?" if near else f"The keys here are {', '.join(known)}."
        return UsageError("There is no such key.", where=where, fix=fix)
    given = first.get("input")
    shown = f", not {given!r}" if isinstance(given, int | float | str) else ""
    return UsageError(f"{first['msg']}{shown}.", where=where, fix=EXAMPLE)
