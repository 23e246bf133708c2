"""The demonstration, on fewer images in the normal run and on all of them in the slow one."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from intaglio.cli import app
from intaglio.demo import CALIBRATION, CHECKED, CLASSES, Demo, load_images, run_demo

COUNT = 700
CODES_PER_IMAGE = (
    28 * 28
    + 6 * 28 * 28
    + 6 * 14 * 14
    + 16 * 10 * 10
    + 16 * 5 * 5
    + 120
    + 120
    + 83
    + 10  # no weight reads one of the 84
)


@pytest.fixture(scope="module")
def demo() -> Demo:
    return run_demo(4, COUNT)


def test_all_test_images_are_in_the_package() -> None:
    images, labels = load_images(10_000)
    assert (images.shape, images.dtype, labels.shape) == ((10_000, 28, 28), np.uint8, (10_000,))
    assert np.bincount(labels).tolist() == [1000] * len(CLASSES)


def test_every_code_of_every_layer_of_every_image_is_checked(demo: Demo) -> None:
    assert demo.checked_codes == COUNT * CODES_PER_IMAGE


def test_predictions_are_those_of_the_blob(demo: Demo) -> None:
    codes = np.asarray(demo.network.run(demo.images[:, None]))
    np.testing.assert_array_equal(demo.predictions, codes.argmax(axis=1))


def test_scores_count_all_images_and_those_that_did_not_calibrate(demo: Demo) -> None:
    right = demo.predictions == demo.labels
    assert (demo.score.images, demo.score.integer_correct) == (COUNT, right.sum())
    assert demo.unseen_score.images == COUNT - CALIBRATION
    assert demo.unseen_score.integer_correct == right[CALIBRATION:].sum()
    assert demo.score.integer_accuracy == right.mean()


def test_four_bit_weights_keep_the_accuracy(demo: Demo) -> None:
    assert demo.score.float_accuracy > 0.89
    assert demo.score.integer_accuracy > demo.score.float_accuracy - 0.02


def test_the_import_equals_its_executor_but_for_rounding(demo: Demo) -> None:
    assert demo.comparison.worst.relative < 1e-5


def test_the_command_writes_the_page_and_says_what_calibrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["demo", "--images", "600", "--no-open", "--weights", "3"])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines[:-1])) <= 80
    assert lines[-1] == f"Page: {(tmp_path / 'intaglio-demo.html').as_uri()}"
    assert any("512 that calibrated (their labels were not used)" in line for line in lines)
    page = (tmp_path / "intaglio-demo.html").read_text()
    assert page.count("<img ") == 24
    assert page.count('class="wrong"') == 8
    assert "the first 512 test images, without their labels" in page


def test_the_command_as_json(tmp_path: Path) -> None:
    html = tmp_path / "page.html"
    arguments = ["demo", "--images", "600", "--json", "--html", str(html)]
    result = CliRunner().invoke(app, arguments)
    found = json.loads(result.stdout)
    assert html.exists()
    assert found["page"] == str(html)
    assert found["checked_codes"] == 600 * CODES_PER_IMAGE
    assert found["accuracy"]["unseen_images"]["images"] == 88
    assert found["bytes"]["float32"] == 4 * 61_706
    assert [
        layer["certificate"]["verdict"] for layer in found["layers"] if "accumulator" in layer
    ] == ["certified"] * 5


def test_a_page_that_cannot_be_written_is_an_error_before_the_work(tmp_path: Path) -> None:
    html = tmp_path / "none" / "page.html"
    result = CliRunner().invoke(app, ["demo", "--html", str(html)])
    assert (result.exit_code, result.stdout, result.stderr) == (
        2,
        "",
        f"'{html}': The file cannot be written: No such folder. Choose a folder that exists and "
        "that you may write to.\n",
    )


@pytest.mark.slow
def test_the_whole_demonstration() -> None:
    demo = run_demo()
    assert demo.checked_codes == CHECKED * CODES_PER_IMAGE
    assert demo.score.float_accuracy > 0.91
    assert demo.score.integer_accuracy > 0.91
