"""A network as plain files: every constant, golden vectors of every step, and what they are."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np

from ..ir.numeric import Array
from ..ir.program import Program
from .export_items import constants, golden
from .export_layout import layout_page
from .export_words import TEXTS

NPZ = "network.npz"


def plain_files(program: Program, format_: str, trace: Mapping[str, Array]) -> dict[str, bytes]:
    """The files by name; ``format_`` is npz, hex, mem or coe, ``trace`` the vectors' codes or none.

    ``trace`` is what ``Simulator.trace`` gives.
    """
    items = [*constants(program), *golden(program, trace)]
    if format_ == "npz":
        file = io.BytesIO()
        np.savez_compressed(file, **{item.stem: item.array for item in items})  # type: ignore[arg-type]
        files, names = {NPZ: file.getvalue()}, {item.stem: item.stem for item in items}
    else:
        names = {item.stem: f"{item.stem}.{format_}" for item in items}
        text = TEXTS[format_]
        files = {names[item.stem]: text(item).encode("ascii") for item in items}
    page = layout_page(program, format_, items, names)
    return {"LAYOUT.md": page.encode(), **files}
