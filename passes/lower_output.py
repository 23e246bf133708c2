"""What a lowered graph gives for each output of the old one: codes, or an exact accumulator."""

from __future__ import annotations

from fractions import Fraction

from ..errors import PassError
from ..ir.numeric import Encoding, Numbers
from ..ir.ops_layout import Reshape
from .lower_channels import settled
from .lower_codes import sum_image
from .lower_emit import rising
from .lowering import Lowering
from .meaning import UNBOUNDED, Codes, Image, Meaning, Sum


def output_of(self: Lowering, name: str) -> str:
    """The new name of an output.

    A real that is an unclipped image of an accumulator leaves as that accumulator: its encoding has
    a scale and an offset per channel. Raises PassError for any other real that is not codes.
    """
    if self.graph.type_of(name).dtype.is_integer:
        return self.integer(name)
    meaning = settled(self, self.meanings.get(name))
    if isinstance(meaning, Codes):
        return _with_encoding(
            self, name, meaning.name, Encoding(float(meaning.scale), meaning.zero_point)
        )
    image = _image(self, name, meaning)
    if image is not None and min(image.scale) < 0 and image.bounds == UNBOUNDED:
        image = rising(self, self.graph.producers[name], image)
    if image is None or image.bounds != UNBOUNDED or min(image.scale) <= 0:
        raise PassError(
            "It is real, not codes.",
            where=f"Output '{name}'",
            fix=f"Put a quantise point before it{_cut(self, name)}.",
        )
    encoding = Encoding(_plain(image.scale), 0, _plain(image.offset))
    return _with_encoding(self, name, image.name, encoding)


def _cut(self: Lowering, name: str) -> str:
    """How to stop at what the last operator reads, if that can be an output."""
    node = self.graph.producers.get(name)
    read = [] if node is None else [each for each in node.inputs if each in self.meanings]
    meaning = self.meanings[read[0]] if len(read) == 1 else None
    if not isinstance(meaning, Codes) and getattr(meaning, "bounds", None) != UNBOUNDED:
        return ""
    return f", or stop before it with outputs=['{read[0]}'] (--output-tensor '{read[0]}')"


def _image(self: Lowering, name: str, meaning: Meaning | None) -> Image | None:
    if isinstance(meaning, Sum):
        return sum_image(self, self.graph.producers[name], meaning, f"{name}.acc")
    return meaning if isinstance(meaning, Image) else None


def _with_encoding(self: Lowering, name: str, made: str, encoding: Encoding) -> str:
    """The integers ``made`` with this encoding; a copy where they have another, or are an input."""
    held = next((node for node in self.new.nodes if node.name == made), None)
    if held is not None and held.value.encoding in (None, encoding):
        self.encode(made, encoding)
        return made
    return repeated(self, name, made, encoding)


def repeated(self: Lowering, name: str, made: str, encoding: Encoding | None = None) -> str:
    """The integers ``made`` once more, for the output ``name``; with their own encoding if none."""
    copy = Reshape(self.facts[made].type.sample_shape)
    values = (*self.new.inputs, *(node.value for node in self.new.nodes))
    own = next(each.encoding for each in values if each.name == made)
    node = self.graph.producers[name]
    return self.emit(name, copy, made, node=node, encoding=encoding or own)


def _plain(parameter: tuple[Fraction, ...]) -> Numbers:
    """Nearest float64, one for all channels if they are equal."""
    found = tuple(map(float, parameter))
    return found[0] if len(set(found)) == 1 else found
