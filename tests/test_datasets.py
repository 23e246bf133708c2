"""Labelled data from files, folders of images and functions, and what is said of bad ones."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from intaglio.datasets import Preparation, read_labelled
from intaglio.errors import DataError, IntaglioError, UsageError
from intaglio.ir.text import from_text

RNG = np.random.default_rng(0)
X = RNG.random((5, 1, 2, 3)).astype(np.float32)
BYTES = RNG.integers(0, 256, (5, 1, 2, 3)).astype(np.uint8)
Y = np.array([0, 1, 1, 0, 1])


def two_classes(channels=1, kind="float32"):
    """A network from images (n, channels, 2, 3) to 2 scores."""
    size = 6 * channels
    return from_text(
        f"graph g (image: {kind}[n,{channels},2,3])\n"
        f'flat: {kind}[n,{size}] = reshape {{"shape": [{size}]}} (image)\n'
        f'y: {kind}[n,2] = slice {{"starts": [0], "stops": [2], "steps": [1]}} (flat)\n'
        "return y"
    )


GRAPH = two_classes()


def refused(error, message, source, graph=GRAPH, preparation=None):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        read_labelled(source, graph, preparation or Preparation())


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("x", ["image", "x", "images"])
@pytest.mark.parametrize("y", ["y", "labels", "label"])
def test_an_npz_file_names_inputs_and_labels(x, y, here):
    np.savez("data.npz", **{x: X, y: Y, "other": Y})
    found_x, found_y = read_labelled("data.npz", GRAPH).data
    np.testing.assert_array_equal(found_x, X)
    np.testing.assert_array_equal(found_y, Y)


def test_the_name_of_the_input_is_looked_for_first(here):
    np.savez("data.npz", x=Y, image=X, y=Y)
    np.testing.assert_array_equal(read_labelled("data.npz", GRAPH).data[0], X)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "'data.npz': It has no labels, only x. Name the array y or labels or label."),
        ({"y": Y}, "'data.npz': It has no inputs, only y. Name the array image or x or images."),
        ({}, "'data.npz': It has no inputs, only nothing. Name the array image or x or images."),
        (
            {"x": BYTES, "y": Y},
            "'data.npz': Its inputs are uint8, but the network takes reals. Say how to scale them, "
            "for example --scale 1/255, or store reals.",
        ),
    ],
)
def test_an_npz_file_that_lacks_something_is_refused(arrays, message, here):
    np.savez("data.npz", **arrays)
    refused(DataError, message, "data.npz")


def test_bytes_are_scaled_when_asked(here):
    np.savez("data.npz", x=BYTES, y=Y)
    found, _ = read_labelled("data.npz", GRAPH, Preparation(scale=1 / 255)).data
    np.testing.assert_allclose(found, BYTES / 255, rtol=1e-6)
    assert found.dtype == np.float32


def test_a_network_of_codes_takes_bytes_as_they_are(here):
    np.savez("data.npz", x=BYTES, y=Y)
    found, _ = read_labelled("data.npz", two_classes(kind="uint8")).data
    np.testing.assert_array_equal(found, BYTES)


numbers = st.floats(-2, 2, width=32)
positive = st.floats(0.125, 4, width=32)


@given(
    positive, st.lists(numbers, min_size=3, max_size=3), st.lists(positive, min_size=3, max_size=3)
)
def test_inputs_are_scaled_then_centered_then_divided_by_channel(scale, mean, std):
    x = RNG.random((4, 3, 2, 3))
    got = Preparation(scale, tuple(mean), tuple(std)).apply(x)
    expected = (scale * x - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_one_mean_is_for_all_channels_and_two_do_not_fit_three():
    x = RNG.random((4, 3, 2, 3))
    np.testing.assert_allclose(Preparation(mean=(0.5,)).apply(x), x - 0.5, rtol=1e-5)
    message = (
        "mean or std has 2 numbers, but the inputs have 3 channels. "
        "Give one number, or one for each channel."
    )
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        Preparation(mean=(0.5, 0.5)).apply(x)


def test_a_division_by_zero_is_refused():
    message = (
        "scale is 0, or a standard deviation is not positive. "
        "Choose scale such as 1/255, std above 0."
    )
    for options in ({"scale": 0.0}, {"std": (1.0, 0.0)}):
        with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
            Preparation(**options)


def picture(path, array, **options):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array, **options).save(path)


@pytest.fixture
def pictures(here):
    """Gray images of two classes, and files that are none."""
    for name, image in zip(("b", "a", "c"), BYTES[:3, 0], strict=True):
        picture(f"train/dog/{name}.png", image)
    picture("train/cat/deep/z.png", BYTES[3, 0])
    picture("train/cat/.hidden.png", BYTES[4, 0])
    Path("train/cat/notes.txt").write_text("")
    Path("train/.cache").mkdir()
    return here


def test_a_folder_numbers_classes_and_images_by_name(pictures):
    found = read_labelled("train", GRAPH)
    x, y = found.data
    assert found.classes == ("cat", "dog")
    assert y.tolist() == [0, 1, 1, 1]
    np.testing.assert_allclose(x, BYTES[[3, 1, 0, 2]] / 255, rtol=1e-6)


def test_images_of_a_folder_are_scaled_to_1_unless_told_otherwise(pictures):
    by_mean = read_labelled("train", GRAPH, Preparation(mean=(0.5,), std=(0.25,))).data[0]
    np.testing.assert_allclose(by_mean, (BYTES[[3, 1, 0, 2]] / 255 - 0.5) / 0.25, atol=1e-6)
    by_scale = read_labelled("train", GRAPH, Preparation(scale=2.0)).data[0]
    np.testing.assert_array_equal(by_scale, BYTES[[3, 1, 0, 2]] * 2.0)
    as_codes = read_labelled("train", two_classes(kind="uint8")).data[0]
    np.testing.assert_array_equal(as_codes, BYTES[[3, 1, 0, 2]])


def test_colors_are_channels(here):
    pixels = RNG.integers(0, 256, (2, 3, 3)).astype(np.uint8)
    picture("train/a/1.png", pixels)
    picture("train/b/1.png", pixels[..., 0])
    (color, gray), _ = read_labelled("train", two_classes(3), Preparation(scale=1.0)).data
    np.testing.assert_array_equal(color, pixels.transpose(2, 0, 1))
    np.testing.assert_array_equal(gray, np.stack([pixels[..., 0]] * 3))


def test_reading_is_told_image_by_image(pictures):
    told = []
    read_labelled("train", GRAPH, progress=lambda *each: told.append(each))
    assert told == [("Read train", done, 4) for done in (1, 2, 3, 4)]


COUNT = "Give one folder of images for each class; they are numbered in order of name."


def test_a_folder_with_another_number_of_classes_is_refused(pictures):
    Path("train/eel").mkdir()
    message = f"'train': It has 3 class folders, but the network has 2 classes. {COUNT}"
    refused(DataError, message, "train")


def test_an_empty_folder_is_refused(here):
    Path("train").mkdir()
    message = f"'train': It has 0 class folders, but the network has 2 classes. {COUNT}"
    refused(DataError, message, "train")


def test_a_class_without_images_is_refused(pictures):
    for path in Path("train/dog").iterdir():
        path.unlink()
    message = (
        f"'{Path('train/dog')}': There are no images of this class. Put files of these kinds into "
        "it: .bmp, .gif, .jpeg, .jpg, .pgm, .png, .ppm, .tif, .webp."
    )
    refused(DataError, message, "train")


def test_an_image_of_another_size_is_refused(pictures):
    picture("train/dog/big.png", np.zeros((4, 3), np.uint8))
    message = (
        f"'{Path('train/dog/big.png')}': The image is 3 wide and 4 high, but the network takes 3 "
        "and 2. Resize the images as the network was trained on them."
    )
    refused(DataError, message, "train")


def test_a_file_that_is_no_image_is_refused(pictures):
    Path("train/dog/b.png").write_bytes(b"hello")
    message = f"'{Path('train/dog/b.png')}': It is not a readable image. Remove or replace it."
    refused(DataError, message, "train")
    Path("train/dog/b.png").write_bytes(Path("train/dog/a.png").read_bytes()[:40])
    refused(DataError, message, "train")


def test_an_image_of_16_bits_is_refused(pictures):
    picture("train/dog/b.png", np.full((2, 3), 60_000, np.uint16))
    message = (
        f"'{Path('train/dog/b.png')}': Its pixels are of the kind 'I;16', not of 8 bits. Convert "
        "the images, or give a function that prepares them: file.py:function."
    )
    refused(DataError, message, "train")


def test_a_network_that_takes_no_images_is_refused(pictures):
    message = (
        "'train': Images are 1 or 3 channels of pixels, but the input has the shape (2, 2, 3). "
        "Give a function that prepares the data: file.py:function."
    )
    refused(DataError, message, "train", two_classes(2))


def test_missing_pillow_is_named_with_the_extra_that_has_it(pictures, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    message = (
        "Images are read with Pillow, which is not installed. "
        "Install it: pip install 'intaglio[train]'."
    )
    refused(UsageError, message, "train")


SOURCE = """
import numpy as np

def pair():
    return np.zeros((2, 1, 2, 3), np.float32), [0, 1]

def failing():
    return 1 // 0

def leaving():
    raise SystemExit(3)

number = 3
"""


@pytest.mark.parametrize("source", ["their_data.py:pair", "their_data:pair"])
def test_a_function_of_a_file_or_a_module_gives_the_data(source, here, monkeypatch):
    monkeypatch.delitem(sys.modules, "their_data", raising=False)
    Path("their_data.py").write_text(SOURCE)
    before = list(sys.path)
    x, y = read_labelled(source, GRAPH).data
    assert (x.shape, y) == ((2, 1, 2, 3), [0, 1])
    assert sys.path == before


SEE = "Run it alone to see why, or show the traceback with --debug."


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("their.py:failing", DataError, f"'their.py:failing': The function raised ZeroDivisionError: integer division or modulo by zero. {SEE}"),
        ("their.py:leaving", DataError, f"'their.py:leaving': The function raised SystemExit: 3. {SEE}"),
        ("their.py:nothing", UsageError, "'their.py:nothing': There is no function 'nothing' in it. Check the name."),
        ("their.py:number", UsageError, "'their.py:number': There is no function 'number' in it. Check the name."),
        ("none.py:pair", UsageError, "'none.py': There is no such file. Check the path."),
        ("nowhere_at_all:pair", UsageError, "'nowhere_at_all': There is no Python module 'nowhere_at_all'. Give its name as for import, from this folder, or a file: file.py:function."),
        ("wrong.py:pair", DataError, f"'wrong.py:pair': Its module raised ModuleNotFoundError: No module named 'nowhere_at_all'. {SEE}"),
    ],
)  # fmt: skip
def test_a_function_that_fails_is_explained(source, error, message, here):
    Path("their.py").write_text(SOURCE)
    Path("wrong.py").write_text("import nowhere_at_all")
    refused(error, message, source)


@pytest.mark.parametrize("source", ["data.npy", "nothing", "data.csv:3", "none:"])
def test_what_is_no_labelled_data_is_refused(source, here):
    message = (
        f"'{source}': This is no labelled data that intaglio reads. Give an .npz file with x and "
        "y, a folder with a folder of images for each class, or a Python function as "
        "module:function or file.py:function."
    )
    refused(UsageError, message, source)


def test_a_file_that_is_missing_or_damaged_is_refused(here):
    refused(UsageError, "'none.npz': It cannot be read: No such file or directory.", "none.npz")
    Path("bad.npz").write_text("bad")
    with pytest.raises(IntaglioError, match=r"^'bad\.npz': It is not a readable"):
        read_labelled("bad.npz", GRAPH)
