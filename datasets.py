"""Labelled data from a .npz file, a folder of images by class, or a Python function of the user.

    train = read_labelled("train.npz", graph)
    intaglio.compile(graph, training=intaglio.Training(train.data), recipe="recipe.toml")

A .npz file holds the inputs under the name of the network's input, ``x`` or ``images``, and class
numbers under ``y``, ``labels`` or ``label``. A folder holds one folder of images for each class,
numbered in the order of their names. A function is ``module:name`` or ``file.py:name``: it is
called without arguments and returns ``(x, y)`` or a DataLoader.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from .errors import DataError, IntaglioError, UsageError
from .files import read_arrays
from .ir.graph import Graph
from .ir.numeric import Array
from .passes.base import Progress, silent
from .passes.labelled import classes_of

INPUTS = ("x", "images")
LABELS = ("y", "labels", "label")
IMAGES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".webp"))
MODES = frozenset(("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"))
"""Of 8 bits; Pillow would cut off others when it converts them."""
BYTE = 1 / 255


@dataclass(frozen=True)
class Preparation:
    """How stored numbers become what the float network takes: ``(scale * x - mean) / std``.

    ``mean`` and ``std`` are one number or one for each channel. Images of a folder are scaled to
    0..1 unless ``scale`` says otherwise.
    """

    scale: float | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.scale == 0 or any(each <= 0 for each in self.std):
            raise UsageError(
                "scale is 0, or a standard deviation is not positive.",
                fix="Choose scale such as 1/255, std above 0.",
            )

    def __bool__(self) -> bool:
        return self != Preparation()

    def apply(self, x: Array) -> Array:
        """float32; axis 1 of ``x`` is the channels."""
        made = x.astype(np.float32)
        made *= np.float32(1.0 if self.scale is None else self.scale)
        if self.mean:
            made -= self._along(self.mean, x)
        if self.std:
            made /= self._along(self.std, x)
        return made

    def _along(self, values: tuple[float, ...], x: Array) -> Array:
        channels = x.shape[1] if x.ndim > 1 else 1
        if len(values) not in (1, channels):
            raise UsageError(
                f"mean or std has {len(values)} numbers, but the inputs have {channels} channels.",
                fix="Give one number, or one for each channel.",
            )
        return np.asarray(values, np.float32).reshape(1, -1, *(1,) * (x.ndim - 2))


AS_STORED = Preparation()


@dataclass(frozen=True)
class Labelled:
    """Labelled data as Training takes it, and the names of its classes where it has some."""

    data: Any
    classes: tuple[str, ...] = ()


def read_labelled(
    source: str | Path,
    graph: Graph,
    preparation: Preparation = AS_STORED,
    progress: Progress = silent,
) -> Labelled:
    """The labelled data that ``source`` names, for the input of ``graph``; raises an IntaglioError.

    A function is the user's own code, and is run; it prepares its data itself.
    """
    classes_of(graph)
    path = Path(source)
    if path.is_dir():
        return _read_folder(path, graph, preparation, progress)
    if is_function(source):
        place, _, name = str(source).rpartition(":")
        return Labelled(_call(place, name, str(source)))
    if path.suffix.lower() != ".npz":
        raise UsageError(
            "This is no labelled data that intaglio reads.",
            where=f"'{source}'",
            fix="Give an .npz file with x and y, a folder with a folder of images for each class, "
            "or a Python function as module:function or file.py:function.",
        )
    return Labelled(_read_npz(path, graph, preparation))


def read_test(path: Path) -> tuple[Array, Array]:
    """Samples and labels of an .npz file; raises an IntaglioError."""
    arrays = read_arrays(path)
    named = arrays if isinstance(arrays, Mapping) else {"arr_0": arrays}
    return _named(named, INPUTS, "inputs", path), _named(named, LABELS, "labels", path)


def is_function(source: str | Path) -> bool:
    """Whether ``source`` is ``module:name`` or ``file.py:name``."""
    _, colon, name = str(source).rpartition(":")
    return bool(colon) and name.isidentifier() and not Path(source).exists()


def _read_npz(path: Path, graph: Graph, preparation: Preparation) -> tuple[Array, Array]:
    arrays = read_arrays(path)
    named = arrays if isinstance(arrays, Mapping) else {"arr_0": arrays}
    value = graph.inputs[0]
    x = _named(named, (value.name, *INPUTS), "inputs", path)
    y = _named(named, LABELS, "labels", path)
    if value.type.dtype.is_integer:
        return x, y
    if x.dtype.kind in "iub" and preparation.scale is None:
        raise DataError(
            f"Its inputs are {x.dtype}, but the network takes reals.",
            where=f"'{path}'",
            fix="Say how to scale them, for example --scale 1/255, or store reals.",
        )
    return (preparation.apply(x) if preparation else x), y


def _named(arrays: Mapping[str, Array], names: Sequence[str], what: str, path: Path) -> Array:
    found = next((arrays[name] for name in names if name in arrays), None)
    if found is None:
        raise DataError(
            f"It has no {what}, only {', '.join(arrays) or 'an empty list of arrays'}.",
            where=f"'{path}'",
            fix=f"Name the array {' or '.join(dict.fromkeys(names))}.",
        )
    return found


def _read_folder(
    folder: Path, graph: Graph, preparation: Preparation, progress: Progress
) -> Labelled:
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir() and _shown(path))
    wanted = classes_of(graph)
    if len(classes) != wanted:
        raise DataError(
            f"It has {len(classes)} class folders, but the network has {wanted} classes.",
            where=f"'{folder}'",
            fix="Give one folder of images for each class; they are numbered in order of name.",
        )
    files = [(path, label) for label, name in enumerate(classes) for path in _images(folder / name)]
    shape = graph.inputs[0].type.sample_shape
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise DataError(
            f"Images are 1 or 3 channels of pixels, but the input has the shape {shape}.",
            where=f"'{folder}'",
            fix="Give a function that prepares the data: file.py:function.",
        )
    x = np.empty((len(files), *shape), np.uint8)
    for index, (path, _) in enumerate(files):
        x[index] = _image(path, shape)
        progress(f"Read {folder.name}", index + 1, len(files))
    if graph.inputs[0].type.dtype.is_integer:
        return Labelled((x, _labels(files)), tuple(classes))
    scale = BYTE if preparation.scale is None else preparation.scale
    reals = Preparation(scale, preparation.mean, preparation.std).apply(x)
    return Labelled((reals, _labels(files)), tuple(classes))


def _labels(files: Sequence[tuple[Path, int]]) -> Array:
    return np.array([label for _, label in files], np.int64)


def _images(folder: Path) -> list[Path]:
    found = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in IMAGES and _shown(path)
    )
    if not found:
        raise DataError(
            "There are no images of this class.",
            where=f"'{folder}'",
            fix=f"Put files of these kinds into it: {', '.join(sorted(IMAGES))}.",
        )
    return found


def _shown(path: Path) -> bool:
    return not path.name.startswith(".")


def _image(path: Path, shape: tuple[int, ...]) -> Array:
    """An image ``(c, h, w)`` as uint8: gray for one channel, red, green and blue for three."""
    channels, height, width = shape
    try:
        from PIL import Image
    except ImportError as error:
        raise UsageError(
            "Images are read with Pillow, which is not installed.",
            fix="Install it: pip install 'intaglio[train]'.",
        ) from error
    try:
        with Image.open(path) as image:
            mode, size = image.mode, image.size
            pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(
            "It is not a readable image.", where=f"'{path}'", fix="Remove or replace it."
        ) from error
    if mode not in MODES:
        raise DataError(
            f"Its pixels are of the kind '{mode}', not of 8 bits.",
            where=f"'{path}'",
            fix="Convert the images, or give a function that prepares them: file.py:function.",
        )
    if size != (width, height):
        raise DataError(
            f"The image is {size[0]} wide and {size[1]} high, but the network takes {width} and "
            f"{height}.",
            where=f"'{path}'",
            fix="Resize the images as the network was trained on them.",
        )
    return pixels.reshape(height, width, channels).transpose(2, 0, 1)


def _call(place: str, name: str, source: str) -> Any:
    """What the user's function returns; raises UsageError or DataError for what it raises."""
    try:
        function = getattr(_module(place), name, None)
    except (IntaglioError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise _failure("Its module", error, source) from error
    if not callable(function):
        raise UsageError(
            f"There is no function '{name}' in it.", where=f"'{source}'", fix="Check the name."
        )
    return _result(function, source)


def _result(function: Callable[[], Any], source: str) -> Any:
    try:
        return function()
    except (IntaglioError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise _failure("The function", error, source) from error


def _failure(what: str, error: BaseException, source: str) -> DataError:
    return DataError(
        f"{what} raised {type(error).__name__}: {error}.",
        where=f"'{source}'",
        fix="Run it alone to see why, or show the traceback with --debug.",
    )


def _module(place: str) -> ModuleType:
    if place.endswith(".py"):
        spec = importlib.util.spec_from_file_location(Path(place).stem, place)
        if spec is None or spec.loader is None or not Path(place).is_file():
            raise UsageError("There is no such file.", where=f"'{place}'", fix="Check the path.")
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(module.__name__, module)  # Workers of a loader look here.
        spec.loader.exec_module(module)
        return module
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise
        raise UsageError(
            f"There is no Python module '{error.name}'.",
            where=f"'{place}'",
            fix="Give its name as for import, from this folder, or a file: file.py:function.",
        ) from error
    finally:
        sys.path.remove(here)
