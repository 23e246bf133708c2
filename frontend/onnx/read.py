"""Reading ONNX files that come from strangers: limits, external data, tensors as arrays."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath
from typing import Final

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import numpy_helper

from ...errors import ImportModelError, UsageError
from ...ir.numeric import Array
from ..emit.site import MAX_ELEMENTS

MAX_BYTES: Final = 1 << 31  # of a model file: what protobuf itself can hold
MAX_EXTERNAL_BYTES: Final = 1 << 32  # of all external data together
MAX_NODES: Final = 1 << 16
OLDEST_OPSET: Final = 7
_DOMAINS = ("", "ai.onnx")
_ML_DTYPES = ("bfloat16", "int2", "uint2", "int4", "uint4")  # numbers that numpy itself lacks


def read_model(source: str | Path | onnx.ModelProto) -> onnx.ModelProto:
    """A model within the limits, with its external data loaded.

    Raises UsageError when there is no such file, ImportModelError when it is not a legal model.
    """
    if isinstance(source, onnx.ModelProto):
        model, where, folder = source, "ONNX model", None
    else:
        path = Path(source)
        model, where, folder = _parse(path), f"File '{path}'", path.parent
    _check_model(model, where)
    return _with_external_data(model, where, folder)


def _parse(path: Path) -> onnx.ModelProto:
    where = f"File '{path}'"
    if not path.is_file():
        raise UsageError("There is no such file.", where=where, fix="Check the path.")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ImportModelError(
            f"It has {size} bytes, more than the limit of {MAX_BYTES}.",
            where=where,
            fix="Store large weights as external data.",
        )
    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(path.read_bytes())
    except DecodeError as error:
        raise _damaged(where, "It is not an ONNX model, or it is cut off.") from error
    return model


def _damaged(where: str, what: str) -> ImportModelError:
    return ImportModelError(what, where=where, fix="Export the model again, or copy it again.")


def _check_model(model: onnx.ModelProto, where: str) -> None:
    graph = model.graph
    if not graph.node or not graph.output or not graph.input:
        raise _damaged(where, "It holds no network: nodes, inputs or outputs are missing.")
    if len(graph.node) > MAX_NODES:
        raise ImportModelError(
            f"It has {len(graph.node)} nodes, more than the limit of {MAX_NODES}.",
            where=where,
            fix="Simplify the model.",
        )
    opset = opset_of(model)
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= opset <= newest:
        raise ImportModelError(
            f"Its opset {opset} is not supported.",
            where=where,
            fix=f"Supported are {OLDEST_OPSET} to {newest}: use onnx.version_converter.",
        )
    if model.functions or graph.sparse_initializer:
        kind = "functions" if model.functions else "sparse initializers"
        raise ImportModelError(
            f"It has {kind}, which are not supported.",
            where=where,
            fix="Inline functions with onnx.inliner, and store weights as dense initializers.",
        )


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the standard operators; 0 when the model states none."""
    versions = [entry.version for entry in model.opset_import if entry.domain in _DOMAINS]
    return max(versions, default=0)


def _with_external_data(model: onnx.ModelProto, where: str, folder: Path | None) -> onnx.ModelProto:
    """The model with the bytes of external initializers inside; a copy if there are any."""
    if not any(map(is_external, model.graph.initializer)):
        return model
    if folder is None:
        raise ImportModelError(
            "Its weights are stored outside, in a place that a model in memory does not know.",
            where=where,
            fix="Pass the path of the file, or load the model together with its external data.",
        )
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    budget = MAX_EXTERNAL_BYTES
    for tensor in copy.graph.initializer:
        if is_external(tensor):
            tensor.raw_data = _external_bytes(tensor, where, folder, budget)
            budget -= len(tensor.raw_data)
            tensor.ClearField("external_data")
            tensor.data_location = onnx.TensorProto.DEFAULT
    return copy


def is_external(tensor: onnx.TensorProto) -> bool:
    """Whether the elements are in another file."""
    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL)


def _external_bytes(tensor: onnx.TensorProto, where: str, folder: Path, budget: int) -> bytes:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    path = _inside(entries.get("location", ""), tensor.name, where, folder)
    size = path.stat().st_size
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(size - offset)))
    except ValueError as error:
        raise _bad_external(tensor.name, where, "has an offset or length of no number") from error
    if offset < 0 or length < 0 or offset + length > size:
        raise _bad_external(tensor.name, where, f"lies beyond the {size} bytes of '{path.name}'")
    if length > budget:
        raise _bad_external(tensor.name, where, f"exceeds {MAX_EXTERNAL_BYTES} bytes in all")
    with path.open("rb") as stream:
        stream.seek(offset)
        return stream.read(length)


def _inside(location: str, name: str, where: str, folder: Path) -> Path:
    """The external file; ImportModelError unless it is a file in the model's own folder."""
    parts = PureWindowsPath(location)  # takes / and \\ for separators, so no system is fooled
    path = folder / location
    leaves = parts.drive or parts.root or ".." in parts.parts
    if leaves or not path.resolve().is_relative_to(folder.resolve()):
        raise _bad_external(name, where, f"points to '{location}', outside the model's folder")
    if not path.is_file():
        raise _bad_external(name, where, f"points to '{location}', which is not a file there")
    return path


def _bad_external(name: str, where: str, what: str) -> ImportModelError:
    return ImportModelError(
        f"The external data of '{name}' {what}.",
        where=where,
        fix="Keep external data beside the model, as onnx.save writes it.",
    )


def array_of(tensor: onnx.TensorProto, where: str) -> Array:
    """The elements of a tensor; raises ImportModelError naming it when they cannot be read."""
    elements = 1
    for size in tensor.dims:
        elements *= max(size, 0)
    if min(tensor.dims, default=0) < 0 or elements > MAX_ELEMENTS:
        raise _bad_tensor(tensor, where, f"has the shape {list(tensor.dims)}")
    if is_external(tensor):
        raise _bad_tensor(tensor, where, "is stored outside the model but is not an initializer")
    try:
        array = np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise _bad_tensor(tensor, where, "does not hold the elements that it declares") from error
    if array.dtype.kind not in "fiub" and array.dtype.name not in _ML_DTYPES:
        raise _bad_tensor(tensor, where, f"has elements of type {array.dtype}")
    return array


def _bad_tensor(tensor: onnx.TensorProto, where: str, what: str) -> ImportModelError:
    return ImportModelError(
        f"The tensor '{tensor.name}' {what}.",
        where=where,
        fix="Weights must be dense float32, float16 or float64, shapes integers.",
    )
