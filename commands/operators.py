"""What each importer supports, read from its own table of translators."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Supported:
    """One operator of a dialect; ``limits`` says in a phrase what of it is not supported."""

    operator: str
    attributes: tuple[str, ...]
    limits: str = ""

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self) | {"attributes": list(self.attributes)}


def _onnx() -> Iterator[Supported]:
    from ..frontend.onnx.importer import TRANSLATORS

    yield from _of_onnx(TRANSLATORS)


def _microsoft() -> Iterator[Supported]:
    from ..frontend.onnx.importer import MICROSOFT

    yield from _of_onnx(MICROSOFT)


def _qonnx() -> Iterator[Supported]:
    from ..frontend.onnx.importer import QONNX

    yield from _of_onnx(QONNX)


def _of_onnx(translators: Mapping[str, Any]) -> Iterator[Supported]:
    for name, each in sorted(translators.items()):
        attributes = tuple(attribute.name for attribute in each.attributes)
        yield Supported(name, attributes, each.limits)


def _tflite() -> Iterator[Supported]:
    from ..frontend.tflite.importer import LIMITS, TRANSLATORS
    from ..frontend.tflite.options import OPTIONS

    for name in sorted(TRANSLATORS):
        attributes = tuple(OPTIONS[name].defaults) if name in OPTIONS else ()
        yield Supported(name, attributes, LIMITS.get(name, ""))


def _brevitas() -> Iterator[Supported]:
    from ..frontend.brevitas.points import ROUNDING

    limits = "1 to 32 bits, per tensor or per channel; constant scales; operators as for torch"
    for what in ("activation quantizer", "weight quantizer", "bias quantizer", "truncation"):
        yield Supported(what, tuple(ROUNDING), limits)


def _torch() -> Iterator[Supported]:
    from ..frontend.torch.importer import TRANSLATORS

    for name, each in sorted(TRANSLATORS.items()):
        yield Supported(f"aten.{name}", tuple(each.arguments))


DIALECTS: dict[str, tuple[str, Callable[[], Iterator[Supported]]]] = {
    "onnx": ("ONNX, float, QDQ and QOperator", _onnx),
    "com.microsoft": ("onnxruntime's quantized operators", _microsoft),
    "qonnx": ("QONNX", _qonnx),
    "brevitas": ("Brevitas modules, read directly", _brevitas),
    "tflite": ("TFLite, int8 and int16x8", _tflite),
    "torch": ("torch.export of a torch.nn.Module", _torch),
}
"""By name, what a dialect is and its operators; none needs its own library to be listed."""


def operators(dialect: str) -> list[Supported]:
    """The operators of one dialect by name."""
    return list(DIALECTS[dialect][1]())
