"""A pipeline: passes as data. It prints as text, parses back, loads from TOML, and has a digest.

canonicalize,equalize,quantize{"weight_bits": 4},lower,dead_channels,columns
"""

from __future__ import annotations

import hashlib
import json
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, fields, is_dataclass
from importlib.util import find_spec
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from ..errors import DataError, IntaglioError, PassError, UsageError
from ..ir.graph import Graph
from ..ir.verify import Stage, stage_of, verify
from .admm import Admm
from .base import Context, Pass
from .branch import Branch
from .canonicalize import Canonicalize
from .columns import Columns
from .dead_channels import DeadChannels
from .equalize import Equalize
from .lower import Lower
from .magnitude import Magnitude
from .purify import Purify
from .qat import Qat
from .quantize import Quantize
from .strip import Strip
from .train import Train

PASSES: dict[str, type[Pass]] = {
    cls.name: cls
    for cls in (
        Canonicalize,
        Train,
        Admm,
        Magnitude,
        Purify,
        Branch,
        Strip,
        Equalize,
        Quantize,
        Qat,
        Lower,
        DeadChannels,
        Columns,
    )
}


@dataclass(frozen=True, slots=True)
class PassRun:
    """What an observer is told after each pass."""

    index: int
    pass_: Pass
    before: Graph
    after: Graph
    seconds: float


Observer = Callable[[PassRun], None]


@dataclass(frozen=True)
class Pipeline:
    """Passes in order, each verified before and after."""

    passes: tuple[Pass, ...]

    @classmethod
    def parse(cls, text: str) -> Pipeline:
        """The inverse of ``str``; raises UsageError naming what is unknown."""
        passes = []
        rest = text.strip()
        while rest:
            name, options, rest = _split_first(rest)
            passes.append(make_pass(name, options))
        return cls(tuple(passes))

    @classmethod
    def from_toml(cls, text: str) -> Pipeline:
        """A recipe: one ``[[pass]]`` table each, with ``name`` and the pass's options."""
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"The recipe is not TOML: {error}.") from error
        entries = table.get("pass")
        if set(table) != {"pass"} or not isinstance(entries, list):
            raise UsageError(
                f"A recipe holds only [[pass]] tables; this one has {sorted(table)}.",
                fix='Write [[pass]] and name = "quantize" below it.',
            )
        return cls.from_entries(entries)

    @classmethod
    def from_entries(cls, entries: Sequence[Any]) -> Pipeline:
        """A recipe whose ``[[pass]]`` tables have been read already; raises UsageError."""
        return cls(tuple(map(_read_entry, entries)))

    def __str__(self) -> str:
        return ",".join(_pass_text(each) for each in self.passes)

    @property
    def digest(self) -> str:
        """First 16 hex digits of SHA-256 over the text."""
        return digest_of(str(self))

    def run(self, graph: Graph, context: Context, observe: Observer | None = None) -> Graph:
        """The graph after every pass; PassError names the pass, those done, and the node.

        ``graph`` is as it was imported: float, or quantized by its owner.
        """
        stages = self._stages(stage_of(graph))
        if any(each.needs_data for each in self.passes) and _is_empty(context.batches):
            raise DataError(
                "The calibration data is empty.",
                fix="Give at least one sample, better 100 to 1000 that look like real inputs.",
            )
        for each in self.passes:
            if each.needs_training:
                _check_training(each, context)
        for index, each in enumerate(self.passes):
            start = time.perf_counter()
            after = self._run_one(index, graph, context, stages[index : index + 2])
            if observe is not None:
                observe(PassRun(index, each, graph, after, time.perf_counter() - start))
            graph = after
            context = context.trained() if each.needs_training else context
        return graph

    def _run_one(
        self, index: int, graph: Graph, context: Context, stages: Sequence[Stage]
    ) -> Graph:
        each = self.passes[index]
        try:
            verify(graph, stages[0])
            return verify(each.run(graph, context), stages[1])
        except (DataError, UsageError):
            raise
        except IntaglioError as error:
            done = ", ".join(before.name for before in self.passes[:index]) or "none"
            what = f"{error.what} (in pass '{each.name}'; passes done: {done})"
            raise PassError(what, where=error.where, fix=error.fix) from error

    def leaves(self, stage: Stage = "float") -> Stage:
        """The stage that the last pass leaves when the first is given ``stage``."""
        return self._stages(stage)[-1]

    def _stages(self, first: Stage) -> list[Stage]:
        """The stage before the first pass and after each; UsageError when one cannot follow."""
        found = [first]
        for each in self.passes:
            if found[-1] not in each.stages:
                before = "the passes before it leave" if len(found) > 1 else "the model is in"
                usual = ", ".join(pass_.name for pass_ in default_passes(first))
                raise UsageError(
                    f"Pass '{each.name}' works on the {' or '.join(each.stages)} stage, "
                    f"but {before} the {found[-1]} stage.",
                    fix=f"The usual order is {usual}.",
                )
            found.append(each.stages[found[-1]])
        return found


def _read_entry(entry: Any) -> Pass:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise UsageError(
            "A pass of the recipe has no name.",
            fix='Write name = "quantize" below each [[pass]].',
        )
    options = {key: value for key, value in entry.items() if key != "name"}
    return make_pass(entry["name"], options)


def _is_empty(batches: object) -> bool:
    return isinstance(batches, Sequence) and not batches


def _check_training(each: Pass, context: Context) -> None:
    if context.training is None:
        raise DataError(
            f"Pass '{each.name}' trains, but there is no labelled data.",
            fix="Give images and labels: --train, or training=Training(...) in Python.",
        )
    if find_spec("torch") is None:
        raise UsageError(
            f"Pass '{each.name}' trains with PyTorch, which is not installed.",
            fix="Install it: pip install 'intaglio[train]'.",
        )


def digest_of(recipe: str) -> str:
    """The digest of a pipeline's text, also of one with passes that this version does not know."""
    return hashlib.sha256(recipe.encode()).hexdigest()[:16]


def make_pass(name: str, options: Mapping[str, Any]) -> Pass:
    """The pass of that name with these options, checked strictly; raises UsageError."""
    cls = PASSES.get(name)
    if cls is None:
        raise UsageError(f"There is no pass '{name}'.", fix=f"The passes are {', '.join(PASSES)}.")
    _check_names(f"Pass '{name}'", cls, options)
    try:
        text = json.dumps(dict(options), default=_plain)
        return TypeAdapter(cls).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        option = ".".join(map(str, first["loc"]))
        raise UsageError(f"Option '{option}' of pass '{name}': {first['msg']}.") from error


def _check_names(what: str, cls: type, options: Mapping[str, Any]) -> None:
    """Raise UsageError for an option that ``cls`` does not have, or an option of it."""
    hints = get_type_hints(cls)
    known = [field.name for field in fields(cls)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UsageError(
            f"{what} has no option {', '.join(unknown)}.",
            fix=f"Its options are {', '.join(known) or 'none'}.",
        )
    for name, value in options.items():
        inner = next((kind for kind in (hints[name], *get_args(hints[name])) if _nests(kind)), None)
        for each in value if isinstance(value, list | tuple) else [value]:
            if inner is not None and isinstance(each, Mapping):
                _check_names(f"Option '{name}' of {what[0].lower()}{what[1:]}", inner, each)


def _nests(kind: Any) -> bool:
    return isinstance(kind, type) and is_dataclass(kind)


def _plain(value: Any) -> Any:
    """What JSON does not know: Layer entries, numpy numbers; a date in TOML becomes text."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.item() if hasattr(value, "item") else str(value)


def _pass_text(each: Pass) -> str:
    options = {}
    for field in fields(each):
        value = getattr(each, field.name)
        if value != _default(field):
            options[field.name] = _changed(value)
    return each.name + (json.dumps(options) if options else "")


def _default(field: Field[Any]) -> Any:
    """What an option is when nobody states it."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def _changed(value: Any) -> Any:
    """An option as JSON; of one with options of its own only those that differ from theirs."""
    if isinstance(value, tuple):
        return [_changed(each) for each in value]
    if not is_dataclass(value) or isinstance(value, type):
        return value
    own = ((field.name, getattr(value, field.name), _default(field)) for field in fields(value))
    return {name: _changed(given) for name, given, default in own if given != default}


def _split_first(text: str) -> tuple[str, dict[str, Any], str]:
    """The first pass's name and options, and the text after its comma."""
    cut = next((i for i, char in enumerate(text) if char in ",{"), len(text))
    name, rest = text[:cut].strip(), text[cut:]
    options: dict[str, Any] = {}
    if rest.startswith("{"):
        try:
            options, end = json.JSONDecoder().raw_decode(rest)
        except ValueError as error:
            raise UsageError(f"The options of pass '{name}' are not JSON: {error}.") from error
        rest = rest[end:].strip()
    if rest and not rest.startswith(","):
        raise UsageError(f"Expected a comma after pass '{name}', found '{rest[:20]}'.")
    return name, options, rest[1:].strip()


def default_passes(stage: Stage) -> tuple[Pass, ...]:
    """What is usually done with a model that is imported in ``stage``."""
    quantize = (Equalize(), Quantize()) if stage == "float" else ()
    return (Canonicalize(), *quantize, Lower(), DeadChannels(), Columns())


def default_pipeline(stage: Stage = "float", **options: Any) -> Pipeline:
    """The usual passes with ``options`` for quantize; UsageError where that is done already."""
    if stage != "float" and options:
        raise UsageError(
            f"The model is quantized already, so that {', '.join(sorted(options))} would not "
            "change it.",
            fix="Leave the option out, or give the float model.",
        )
    chosen = make_pass("quantize", options)
    passes = default_passes(stage)
    return Pipeline(tuple(chosen if isinstance(each, Quantize) else each for each in passes))
