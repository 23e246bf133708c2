"""Libraries that only some sweeps need."""

from __future__ import annotations

from importlib.util import find_spec

from ..errors import UsageError


def needed(library: str, extra: str, why: str, otherwise: str = "") -> None:
    """Raise UsageError, naming the extra, where a library is missing."""
    if find_spec(library) is None:
        raise UsageError(
            f"{why}, which is not installed.",
            fix=f"Install it: pip install 'intaglio[{extra}]'{otherwise}.",
        )
