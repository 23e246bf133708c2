"""Data with ``$names`` in its texts, and what becomes of it when the names have values.

A text that is nothing but ``$name`` becomes the value as it is: a number, a list, a table. Within a
longer text the value is written out, ``${name}`` where a letter follows; ``$$`` is a dollar sign.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import UsageError

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_SIGN = re.compile(rf"\$(?:(?P<dollar>\$)|(?P<plain>{_NAME})|\{{(?P<braced>{_NAME})\}}|)")


def names_in(data: Any) -> Iterator[str]:
    """Every name that the texts of ``data`` use, as often as they do; raises UsageError."""
    if isinstance(data, str):
        yield from filter(None, (_name(match, data) for match in _SIGN.finditer(data)))
    for each in _parts(data):
        yield from names_in(each)


def filled(data: Any, values: Mapping[str, Any]) -> Any:
    """``data`` with values for names; a value's own names are filled too.

    Raises UsageError for a name without a value, for one that is part of its own value, and for a
    list or table in the middle of a text.
    """
    if isinstance(data, Mapping):
        return {key: filled(value, values) for key, value in data.items()}
    if isinstance(data, list):
        return [filled(value, values) for value in data]
    return _text(data, values) if isinstance(data, str) else data


def _text(text: str, values: Mapping[str, Any]) -> Any:
    whole = _SIGN.fullmatch(text)
    name = _name(whole, text) if whole else ""
    if name:
        return _value(name, text, values)
    return _SIGN.sub(lambda match: _written(match, text, values), text)


def _value(name: str, text: str, values: Mapping[str, Any]) -> Any:
    if name not in values:
        raise UsageError(
            f"'${name}' has no value here, in '{text}'.",
            fix=f"State it in [choices]; a value cannot use itself. There are {_listed(values)}.",
        )
    return filled(values[name], {key: each for key, each in values.items() if key != name})


def _written(match: re.Match[str], text: str, values: Mapping[str, Any]) -> str:
    name = _name(match, text)
    if not name:
        return "$"
    value = _value(name, text, values)
    if isinstance(value, list | Mapping):
        raise UsageError(
            f"'${name}' is a list or table, which is no part of the text '{text}'.",
            fix=f'Write "${name}" alone.',
        )
    return value if isinstance(value, str) else json.dumps(value)


def _name(match: re.Match[str], text: str) -> str:
    """The name of a sign, empty for a dollar sign that stands for itself."""
    if match["dollar"]:
        return ""
    name = match["plain"] or match["braced"]
    if not name:
        raise UsageError(
            f"A '$' in '{text}' has no name behind it.", fix="Write $name, ${name} or $$."
        )
    return str(name)


def _parts(data: Any) -> Iterator[Any]:
    if isinstance(data, Mapping):
        yield from data.values()
    elif isinstance(data, list):
        yield from data


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"${name}" for name in values) or "none"
