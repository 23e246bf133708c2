"""``intaglio demo``: run the demonstration, print what it found, write its page."""

from __future__ import annotations

import os
import platform
import sys
import webbrowser
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__, files
from ..backends.page import Card, Page, Picture, render
from ..backends.summary import layers, sizes
from ..demo import CALIBRATION, CLASSES, Demo, Score, run_demo
from ..passes.pipeline import digest_of
from .compile import check_folder, comparison_json, comparison_text
from .terminal import Bars, facts, layer_table, proof_text, say, say_json

RIGHT_PICTURES, WRONG_PICTURES = 16, 8


def show_demo(html: Path, weights: int, count: int, *, open_page: bool, as_json: bool) -> None:
    """Run the demonstration, write the page, print what was found."""
    check_folder(html)
    with Bars() as bars:
        demo = run_demo(weights, count, bars)
    files.write_whole(html, render(page_of(demo)).encode())
    if as_json:
        say_json(to_json(demo) | {"page": str(html)})
        return
    _show(demo)
    say(f"Page: {html.resolve().as_uri()}")
    if open_page and _has_screen():
        webbrowser.open(html.resolve().as_uri())


def _has_screen() -> bool:
    """Whether a browser would open a window; never one in a terminal, nor in a pipe."""
    windows = sys.platform in ("darwin", "win32")
    screen = windows or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    return screen and sys.stdout.isatty()


def to_json(demo: Demo) -> dict[str, Any]:
    """Everything that is printed."""
    program, blob = demo.network.program, demo.network.blob
    scores = {"all_images": demo.score, "unseen_images": demo.unseen_score}
    return {
        "accuracy": {
            name: {
                "images": score.images,
                "float": score.float_accuracy,
                "integer": score.integer_accuracy,
            }
            for name, score in scores.items()
        },
        "calibration_images": CALIBRATION,
        "import": comparison_json(demo.comparison),
        "equal": True,
        "checked_images": demo.checked_images,
        "checked_codes": demo.checked_codes,
        "bytes": sizes(program, blob).to_json() | {"float32": demo.float_bytes},
        "layers": [layer.to_json() for layer in layers(program, blob)],
        "recipe": program.recipe,
        "digest": digest_of(program.recipe),
        "seconds": demo.seconds,
    }


def _show(demo: Demo) -> None:
    program, blob = demo.network.program, demo.network.blob
    found = layers(program, blob)
    layer_table(found)
    facts(
        [
            ("import", comparison_text(demo.comparison)),
            ("accuracy", f"{_scores(demo.score)} on all {demo.score.images:,} test images"),
            ("", f"{_scores(demo.unseen_score)} on {demo.unseen_score.images:,}, without the"),
            ("", f"{CALIBRATION} that calibrated (their labels were not used)"),
            ("bytes", f"{len(blob):,} in the blob, {demo.float_bytes:,} as float32"),
            ("proof", proof_text(found)),
            (
                "check",
                f"{demo.checked_codes:,} codes equal the reference: every layer of "
                f"{demo.checked_images:,} images",
            ),
            ("seconds", _seconds(demo)),
        ]
    )


def _scores(score: Score) -> str:
    return f"float {score.float_accuracy:.2%}, integers {score.integer_accuracy:.2%}"


def _seconds(demo: Demo) -> str:
    times = ", ".join(f"{step} {seconds:.1f}" for step, seconds in demo.seconds.items())
    return f"{sum(demo.seconds.values()):.1f}: {times}"


def page_of(demo: Demo) -> Page:
    """The page of the demonstration."""
    program, blob = demo.network.program, demo.network.blob
    return Page(
        title="LeNet-5 on Fashion-MNIST, in integers",
        lead="A trained network went from its ONNX file to one blob of integers, and was executed "
        "from that blob alone. Every rescaling comes with its proof, and every code of every "
        "layer was compared with the reference for equality.",
        cards=_cards(demo),
        sizes=sizes(program, blob),
        float_bytes=demo.float_bytes,
        layers=layers(program, blob),
        pictures=_pictures(demo),
        pictures_remark=f"{WRONG_PICTURES} of the "
        f"{demo.score.images - demo.score.integer_correct:,} test images that the integer network "
        "gets wrong, then the first that it gets right.",
        details=_details(demo),
    )


def _cards(demo: Demo) -> list[Card]:
    score, unseen, blob = demo.score, demo.unseen_score, demo.network.blob
    return [
        Card(
            "Accuracy, integers",
            f"{score.integer_accuracy:.2%}",
            f"all {score.images:,} test images; {unseen.integer_accuracy:.2%} on the "
            f"{unseen.images:,} that did not calibrate",
        ),
        Card(
            "Accuracy, float32",
            f"{score.float_accuracy:.2%}",
            f"all {score.images:,} test images; {unseen.float_accuracy:.2%} on the same "
            f"{unseen.images:,}",
        ),
        Card(
            "Blob",
            f"{len(blob) / 1000:.1f} kB",
            f"{demo.float_bytes / len(blob):.1f} times smaller than the float32 weights",
        ),
        Card(
            "Codes checked",
            f"{demo.checked_codes / 1e6:.1f} M",
            f"every layer of {demo.checked_images:,} images, simulator equal to reference",
        ),
    ]


def _pictures(demo: Demo) -> list[Picture]:
    right = demo.predictions == demo.labels
    wrong = np.flatnonzero(~right)[:WRONG_PICTURES]
    chosen = [*wrong, *np.flatnonzero(right)[:RIGHT_PICTURES]]
    return [
        Picture(demo.images[i], CLASSES[demo.labels[i]], CLASSES[demo.predictions[i]])
        for i in chosen
    ]


def _details(demo: Demo) -> list[tuple[str, str]]:
    recipe = demo.network.program.recipe
    return [
        ("Recipe", recipe),
        ("Digest", digest_of(recipe)),
        (
            "Calibration",
            f"the first {CALIBRATION} test images, without their labels: no training images are "
            "shipped",
        ),
        ("Import", comparison_text(demo.comparison)),
        ("Seconds", _seconds(demo)),
        ("Versions", f"intaglio {__version__}, numpy {np.__version__}, {_python()}"),
    ]


def _python() -> str:
    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
