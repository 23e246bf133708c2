"""Text of memory words, as $readmemh, Vivado's .mem and Xilinx's .coe files have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..ir.formats.bits import to_codes
from ..ir.layout import to_storage
from ..ir.tensor import TensorType
from .export_items import Item


def words(item: Item) -> list[str]:
    """One word per element in storage order: two's complement in ``digits`` hex digits.

    A bipolar +1 is 1 and a bipolar -1 is 0.
    """
    elements = to_storage(item.array).reshape(-1)
    codes: list[int] = to_codes(elements, item.type.dtype).tolist()
    count = digits(item.type)
    return [f"{code:0{count}x}" for code in codes]


def digits(type_: TensorType) -> int:
    """Hex digits of a word of this type."""
    return -(-type_.dtype.bits // 4)


def hex_text(item: Item) -> str:
    """For Verilog's $readmemh: a comment, then a word a line."""
    return "\n".join([f"// {_title(item)}", *words(item)]) + "\n"


def mem_text(item: Item) -> str:
    """For memories of Vivado: the address of the first word, then a word a line."""
    return "\n".join(["@00000000", *words(item)]) + "\n"


def coe_text(item: Item) -> str:
    """For Xilinx's memory generators: radix, then the vector."""
    head = f"; {_title(item)}\nmemory_initialization_radix=16;\nmemory_initialization_vector="
    vector = ",\n".join(words(item))
    return f"{head}\n{vector};\n" if vector else f"{head};\n"  # a line ";" would be a comment


def _title(item: Item) -> str:
    """What the file holds, in printable ASCII on one line."""
    name = item.slot.encode("ascii", "backslashreplace").decode().translate(_CONTROLS)
    return f"{name}: {item.use}, {item.type}, {item.type.dtype.bits} bits a word"


_CONTROLS = dict.fromkeys((*range(32), 127), "?")

TEXTS: Mapping[str, Callable[[Item], str]] = {"hex": hex_text, "mem": mem_text, "coe": coe_text}
"""By the name of the format, which is the suffix of its files."""
