"""Names of the user's model as C: identifiers that are unique, and text inside comments."""

from __future__ import annotations

import re
from collections.abc import Iterable


def identifier(text: str) -> str:
    """Letters, digits and underscores of ``text``; never empty or begun by a digit.

    It may be a word of C: what is put before or after it makes it none.
    """
    found = re.sub(r"[^0-9A-Za-z]+", "_", text).strip("_")[:40].rstrip("_")
    return found if found and not found[0].isdigit() else f"v_{found}".rstrip("_")


def identifiers(texts: Iterable[str], prefix: str, taken: Iterable[str] = ()) -> list[str]:
    """One for each text, no two the same in capitals, none of ``taken``.

    With ``prefix`` none is a word of C, of its library or of the code around it.
    """
    used, found = {name.upper() for name in taken}, []
    for text in texts:
        base = name = prefix + identifier(text)
        count = 1
        while name.upper() in used:
            count += 1
            name = f"{base}_{count}"
        used.add(name.upper())
        found.append(name)
    return found


def comment(text: str) -> str:
    """``text`` in one line that ends no comment and begins none."""
    plain = "".join(c if c.isprintable() and ord(c) < 127 else "_" for c in text)
    apart = plain.replace("*/", "* /").replace("/*", "/ *").rstrip("\\")
    return re.sub(r"\?(?=\?)", "? ", apart)  # two make a trigraph
