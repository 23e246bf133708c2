"""Names of the user's model as C: identifiers that are unique, and text inside comments."""

from __future__ import annotations

import re
from collections.abc import Iterable

_RESERVED = frozenset(
    """
    auto break case char const continue default do double else enum extern float for goto if
    inline int long register restrict return short signed sizeof static struct switch
    typedef union unsigned void volatile while main arena
    """.split()  # noqa: SIM905
)


def identifier(text: str) -> str:
    """Letters, digits and underscores of ``text``; never empty, reserved or begun by a digit."""
    found = re.sub(r"[^0-9A-Za-z]+", "_", text).strip("_")[:40].rstrip("_")
    if not found or found[0].isdigit() or found in _RESERVED:
        found = f"v_{found}".rstrip("_")
    return found


def identifiers(texts: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """One for each text, no two the same, none of ``taken``."""
    used, found = set(taken), []
    for text in texts:
        base = name = identifier(text)
        count = 1
        while name in used:
            count += 1
            name = f"{base}_{count}"
        used.add(name)
        found.append(name)
    return found


def comment(text: str) -> str:
    """``text`` in one line that ends no comment and begins none."""
    plain = "".join(c if c.isprintable() and ord(c) < 127 else "_" for c in text)
    apart = plain.replace("*/", "* /").replace("/*", "/ *").rstrip("\\")
    return re.sub(r"\?(?=\?)", "? ", apart)  # two make a trigraph
