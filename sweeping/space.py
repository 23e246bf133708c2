"""The space of a sweep: what may be chosen, and what a combination of choices means."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from ..backends.choose_formats import Storage
from ..cost_models.hardware import Hardware, load_hardware
from ..errors import IntaglioError, UsageError
from ..passes.pipeline import Pipeline
from .template import filled, names_in

Values = Mapping[str, Any]
"""The values of one choice by their labels."""


@dataclass(frozen=True)
class Planned:
    """What one combination means: a recipe and storage for ``compile``, a machine for the cost."""

    recipe: str
    storage: tuple[str, ...]
    hardware: Hardware


@dataclass(frozen=True)
class Space:
    """Choices and what depends on them; combinations have numbers, the last choice varies fastest.

    ``recipes`` are tables of passes by the name of their file, with names of choices in their
    texts; ``recipe`` is such a file name, that may depend on choices itself. ``source`` names the
    space file in errors.
    """

    source: str
    choices: Mapping[str, Values]
    recipe: str
    recipes: Mapping[str, Sequence[Any]]
    storage: str | Sequence[str]
    hardware: str
    memories: Mapping[str, Any]
    objectives: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many combinations there are."""
        return prod(map(len, self.choices.values()))

    @property
    def digest(self) -> str:
        """SHA-256 over everything that combinations follow from."""
        machines = [[repr(each), repr(each.assumptions())] for each in self._machines()]
        parts = (self.choices, self.recipe, self.recipes, self.storage, self.memories, machines)
        text = json.dumps([*parts, self.objectives], default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def labels(self, number: int) -> dict[str, str]:
        """The combination of a number, by labels."""
        found = {}
        for name, values in reversed(list(self.choices.items())):
            number, place = divmod(number, len(values))
            found[name] = list(values)[place]
        return {name: found[name] for name in self.choices}

    def number(self, labels: Mapping[str, str]) -> int:
        """The inverse."""
        number = 0
        for name, values in self.choices.items():
            number = number * len(values) + list(values).index(labels[name])
        return number

    def planned(self, number: int) -> Planned:
        """What a combination means; raises UsageError for one that cannot work."""
        labels = self.labels(number)
        values = {name: self.choices[name][label] for name, label in labels.items()}
        recipe = Pipeline.from_entries(filled(self.recipes[filled(self.recipe, values)], values))
        return Planned(str(recipe), self._storage(values), self._hardware(values))

    def _storage(self, values: Values) -> tuple[str, ...]:
        found = filled(self.storage, values)
        texts = tuple(found) if isinstance(found, list) else (found,)
        if not all(isinstance(each, str) for each in texts):
            raise UsageError(
                f"storage is {json.dumps(found)}, not a text or a list of texts.",
                fix='Write for example storage = "$format" and format = ["dense", "smallest"].',
            )
        Storage.parse(*texts)
        return texts

    def _hardware(self, values: Values) -> Hardware:
        found = self._machine(values)
        for name, given in self.memories.items():
            found = resized(found, name, filled(given, values))
        found.machine()
        if "energy" in self.objectives and not found.energy_is_modelled:
            raise UsageError(
                f"The energy of hardware '{found.name}' is not modelled.",
                fix="Leave energy out of the objectives, or name other hardware.",
            )
        return found

    def _machine(self, values: Values) -> Hardware:
        """The hardware by name, or of a file beside the space file or in the current folder."""
        name = str(filled(self.hardware, values))
        beside = Path(self.source).parent / name
        return load_hardware(beside if beside.is_file() else name)

    def _machines(self) -> Iterator[Hardware]:
        """The hardware by any values of the choices in its name, as it is described."""
        used = [each for each in dict.fromkeys(names_in(self.hardware)) if each in self.choices]
        for values in product(*(self.choices[each].values() for each in used)):
            yield self._machine(dict(zip(used, values, strict=True)))

    def used(self) -> Iterator[str]:
        """Every name in a text of the space, as often as it is there; raises UsageError."""
        values = [list(each.values()) for each in self.choices.values()]
        everything = [self.recipe, *self.recipes.values(), self.storage, self.hardware]
        yield from names_in([*everything, self.memories, values])


def resized(hardware: Hardware, memory: str, size: Any) -> Hardware:
    """The hardware with another number of bytes in one memory, which its name then says."""
    names = [each.name for each in hardware.memories]
    if memory not in names:
        raise UsageError(
            f"Hardware '{hardware.name}' has no memory '{memory}'.",
            fix=f"Its memories are {', '.join(names)}.",
        )
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise UsageError(
            f"Memory '{memory}' has {json.dumps(size)} bytes.", fix="Write a whole number above 0."
        )
    changed = [
        each.model_copy(update={"bytes": size}) if each.name == memory else each
        for each in hardware.memories
    ]
    name = f"{hardware.name}, {memory} {size:,} bytes"
    return hardware.model_copy(update={"memories": changed, "name": name})


TRIED = 200
"""Combinations that are looked at to find one in which a value works."""


def check(space: Space) -> None:
    """Raise UsageError for names without values or without use, and for values that never work."""
    used = set(space.used())
    for name in used - set(space.choices):
        raise UsageError(
            f"'${name}' is used, but there is no such choice.",
            where=f"'{space.source}'",
            fix=f"Add {name} = [...] to [choices], or write $$ for a dollar sign.",
        )
    for name in space.choices:
        if name not in used:
            raise UsageError(
                f"Nothing uses '${name}'.",
                where=f"'{space.source}', choices.{name}",
                fix=f'Write "${name}" in place of a value of the recipe, storage or hardware, or '
                "leave the choice out.",
            )
    error = _trouble(space, range(min(TRIED, space.count)))
    if error is not None:
        where = f"'{space.source}'"
        raise UsageError(str(error), where=where, fix="No combination works.") from error
    for name, values in space.choices.items():
        for label in values:
            error = _trouble(space, _with(space, name, label))
            if error is not None:
                where = f"'{space.source}', choices.{name}, '{label}'"
                fix = "No combination with it works."
                raise UsageError(str(error), where=where, fix=fix) from error


def _trouble(space: Space, numbers: Iterable[int]) -> IntaglioError | None:
    """Why the first of some combinations fails, if all of them do."""
    first: IntaglioError | None = None
    for number in numbers:
        try:
            space.planned(number)
        except IntaglioError as error:
            first = first or error
        else:
            return None
    return first


def _with(space: Space, name: str, label: str) -> Iterator[int]:
    """Combinations that have a value, first those that differ from the first one least."""
    names = list(space.choices)
    inner = prod(len(space.choices[each]) for each in names[names.index(name) + 1 :])
    size, place = len(space.choices[name]), list(space.choices[name]).index(label)
    for rest in range(min(TRIED, space.count // size)):
        outer, low = divmod(rest, inner)
        yield (outer * size + place) * inner + low
