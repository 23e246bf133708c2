"""Networks as files for other people's tools: memories, arrays, C, ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from .api import Inputs, Network
from .backends.export_folder import check_folder, write_folder
from .errors import UsageError
from .files import write_whole
from .ir.numeric import Array
from .ir.program import Program

Files = Mapping[str, bytes]
Trace = Mapping[str, Array]
"""The codes of every step for some samples, or nothing."""


def _plain(format_: str) -> Callable[[Program, Trace], Files]:
    def files(program: Program, trace: Trace) -> Files:
        from .backends.export_plain import plain_files

        return plain_files(program, format_, trace)

    return files


def _c(program: Program, trace: Trace) -> Files:
    from .backends.export_c.sources import c_sources

    return {name: text.encode("ascii") for name, text in c_sources(program).items()}


HARDWARE = "edge-npu"
"""What cost models are told of, unless another is named."""
VECTORS = ("npz", "hex", "mem", "coe")
"""Formats with golden vectors."""
FOLDERS: dict[str, Callable[[Program, Trace], Files]] = {
    **{name: _plain(name) for name in VECTORS},
    "c": _c,
}
"""Formats that are a folder of files: what makes them."""
MODELS = ("zigzag", "timeloop")
"""Formats of cost models, that describe layers and a hardware."""
FORMATS = (*FOLDERS, "onnx", *MODELS)


def export(
    network: Network,
    format_: str,
    path: str | Path,
    inputs: Inputs | None = None,
    hardware: str = HARDWARE,
) -> tuple[str, ...]:
    """Write ``network`` as ``npz``, ``hex``, ``mem``, ``coe``, ``c`` (folders), ``onnx``,
    or its layers on ``hardware`` as ``zigzag`` or ``timeloop`` read them (folders).

    A folder of the first four holds every constant, a page ``LAYOUT.md`` that says what each file
    is, and golden vectors: the codes of every step for ``inputs``, as ``Network.run`` takes them.
    Whatever is written appears whole or not at all. The names of the files written.
    Raises UsageError, DataError when the inputs do not fit.
    """
    target = Path(path)
    check_format(format_)
    if format_ == "onnx":
        from .frontend.onnx_export.export import onnx_bytes

        if target.is_dir():
            raise UsageError(
                "This format is a file, but there is a folder of that name.",
                where=f"'{target}'",
                fix="Choose another name.",
            )
        write_whole(target, onnx_bytes(network.program))
        return (target.name,)
    check_folder(target)
    facts = {"format": format_, "network": network.program.name}
    if format_ in MODELS:
        described = _model_files(network.program, format_, hardware)
        write_folder(target, described, facts | {"hardware": hardware})
        return tuple(described)
    trace = {} if inputs is None else {k: v.codes for k, v in network.trace(inputs).items()}
    files = FOLDERS[format_](network.program, trace)
    write_folder(target, files, facts)
    return tuple(files)


def _model_files(program: Program, format_: str, hardware: str) -> Files:
    from .backends.export_model import timeloop_files, zigzag_files
    from .cost_models.hardware import load_hardware

    files = zigzag_files if format_ == "zigzag" else timeloop_files
    return files(program, load_hardware(hardware).machine())


def check_format(format_: str) -> None:
    """Raise UsageError unless there is such a format."""
    if format_ not in FORMATS:
        raise UsageError(
            f"There is no format '{format_}'.", fix=f"The formats are {', '.join(FORMATS)}."
        )
