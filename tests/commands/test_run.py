"""intaglio run and check: results, files, errors."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import intaglio
from intaglio.commands.run import save_arrays

Call = Callable[..., Any]
Samples = Callable[..., np.ndarray]


def test_run_gives_the_codes_of_the_library(made: Path, here: Path, call: Call) -> None:
    expected = intaglio.load(made / "w4.intg").run(np.load(made / "x.npy"))
    assert call("run", made / "w4.intg", made / "x.npy", "-o", "y.npy").code == 0
    assert call("run", made / "w4.intg", made / "x.npy", "-o", "y.npz").code == 0
    np.testing.assert_array_equal(np.load("y.npy"), expected.codes, strict=True)
    with np.load("y.npz") as arrays:
        np.testing.assert_array_equal(arrays["y"], expected.codes, strict=True)
    found = call("run", made / "w4.intg", made / "x.npy", "--json").json["y"]
    assert found["codes"] == expected.codes.tolist()
    assert found["scale"] == expected.encoding.scale


def test_run_prints_the_codes(made: Path, here: Path, call: Call) -> None:
    expected = intaglio.load(made / "w4.intg").run(np.load(made / "x.npy"))
    lines = call("run", made / "w4.intg", made / "x.npy").out.splitlines()
    printed = [[int(number) for number in re.findall(r"-?\d+", line)] for line in lines[-5:]]
    assert lines[-6] == "y ="
    assert printed == expected.codes.tolist()


def test_run_takes_codes_as_they_are(made: Path, here: Path, call: Call) -> None:
    codes = np.random.default_rng(3).integers(0, 256, (4, 1, 6, 6)).astype(np.uint8)
    np.savez("codes.npz", x=codes)
    found = call("run", made / "w4.intg", "codes.npz", "--json").json["y"]["codes"]
    assert found == intaglio.load(made / "w4.intg").run(codes).codes.tolist()


def test_threads_share_the_samples_and_change_nothing(made: Path, here: Path, call: Call) -> None:
    alone = call("run", made / "w4.intg", made / "x.npy", "--json").json
    assert call("run", made / "w4.intg", made / "x.npy", "--json", "--threads", "3").json == alone


def test_warmup_compiles_what_blobs_need(made: Path, here: Path, call: Call) -> None:
    found = call("warmup", made / "w4.intg", made / "w4.intg")
    pattern = re.escape(str(made / "w4.intg")) + r": kernels '(portable|avx512)', \d+\.\d s\n"
    assert found.code == 0
    assert re.fullmatch(pattern * 2, found.out)


def test_run_with_trace_writes_every_layer(made: Path, here: Path, call: Call) -> None:
    assert call("run", made / "w4.intg", made / "x.npy", "--trace", "-o", "all.npz").code == 0
    expected = intaglio.load(made / "w4.intg").trace(np.load(made / "x.npy"))
    with np.load("all.npz") as found:
        assert found.files == list(expected) == ["x", "r", "p", "y.conv", "y"]
        for name, output in expected.items():
            np.testing.assert_array_equal(found[name], output.codes, strict=True)


def test_run_writes_reals_when_asked(made: Path, here: Path, call: Call) -> None:
    assert call("run", made / "w4.intg", made / "x.npy", "--real", "-o", "y.npy").code == 0
    expected = intaglio.load(made / "w4.intg").run(np.load(made / "x.npy"))
    np.testing.assert_array_equal(np.load("y.npy"), expected.real, strict=True)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["run", "none.intg", "x.npy"],
            "'none.intg': It cannot be read: No such file or directory.\n",
        ),
        (
            ["run", "w4.intg", "none.npy"],
            "'none.npy': It cannot be read: No such file or directory.\n",
        ),
        (
            ["run", "w4.intg", "wrong.npy"],
            "Input 'x': Its shape is (3, 1, 7, 6), but the network takes (n, 1, 6, 6). The first "
            "axis counts the samples; reshape the data.\n",
        ),
        (
            ["run", "w4.intg", "complex.npy"],
            "Input 'x': Its elements are complex128, but the network takes codes of uint8. "
            "Quantize the data with the scale and zero point of the input.\n",
        ),
        (
            ["run", "w4.intg", "large.npy"],
            "Input 'x': Its codes reach 300..300, but uint8 holds 0..255. Quantize the data with "
            "the scale and zero point of the input.\n",
        ),
        (
            ["run", "w4.intg", "other.npz"],
            "The network's inputs are 'x', but the data has 'z'. Give one array of codes for each "
            "input, by its name.\n",
        ),
        (
            ["run", "w4.intg", "x.npy", "-o", "y.txt"],
            "'y.txt': Its name does not say how to write arrays. Choose a name that ends in .npz, "
            "or in .npy for one array.\n",
        ),
        (
            ["run", "w4.intg", "x.npy", "--trace", "-o", "y.npy"],
            "'y.npy': A .npy file holds one array, but there are 5. Choose a name that ends in "
            ".npz.\n",
        ),
        (
            ["run", "w4.intg", "x.npy", "-o", "none/y.npy"],
            "'none/y.npy': The file cannot be written: No such file or directory. Choose a folder "
            "that exists and that you may write to.\n",
        ),
        (
            ["run", "flipped.intg", "x.npy"],
            "'flipped.intg': The blob is damaged: the checksum of its section DATA does not match. "
            "Copy or download the file again.\n",
        ),
        (
            ["inspect", "cut.intg"],
            "'cut.intg': The blob is truncated: it has 200 bytes, not {size}. Copy or download the "
            "file again.\n",
        ),
        (
            ["check", "w4.intg", "none.npz"],
            "'none.npz': It cannot be read: No such file or directory.\n",
        ),
        (
            ["check", "w4.intg", "empty.npy"],
            "'empty.npy': There are no samples to compare. Give at least one.\n",
        ),
    ],
)
def test_bad_input_gives_one_paragraph_and_exit_code_2(
    made: Path,
    here: Path,
    arguments: list[str],
    error: str,
    call: Call,
    samples: Samples,
    wrong: np.ndarray,
) -> None:
    blob = (made / "w4.intg").read_bytes()
    Path("w4.intg").write_bytes(blob)
    Path("x.npy").write_bytes((made / "x.npy").read_bytes())
    Path("cut.intg").write_bytes(blob[:200])
    Path("flipped.intg").write_bytes(flipped(blob, byte=in_data(blob), bit=3))
    np.save("wrong.npy", wrong)
    np.save("empty.npy", samples(0))
    np.save("complex.npy", samples(1).astype(np.complex128))
    np.save("large.npy", np.full((1, 1, 6, 6), 300))
    np.savez("other.npz", z=samples(2))
    result = call(*arguments)
    assert (result.code, result.out, result.err) == (2, "", error.replace("{size}", str(len(blob))))


def in_data(blob: bytes) -> int:
    """The offset of a byte of the weights: in the fourth of the five sections."""
    row = 64 + 3 * 16
    assert blob[row : row + 4] == b"DATA"
    return int.from_bytes(blob[row + 4 : row + 8], "little")


def flipped(blob: bytes, byte: int, bit: int) -> bytes:
    changed = bytearray(blob)
    changed[byte] ^= 1 << bit
    return bytes(changed)


def test_check_counts_the_codes_it_compared(
    made: Path, here: Path, call: Call, samples: Samples
) -> None:
    result = call("check", made / "w4.intg", "--samples", 7, "--seed", 5)
    codes = 7 * (36 + 2 * 36 + 2 * 9 + 3 + 3)
    assert result.out == (
        f"Equal: simulator and reference agree on {codes} codes in 4 layers (7 samples of random "
        "codes, seed 5).\n"
    )
    found = call("check", made / "w4.intg", made / "x.npy", "--json").json
    assert found == {"equal": True, "inputs": str(made / "x.npy"), "layers": 4, "codes": 660}


def test_check_exits_1_and_names_the_first_code_that_differs(
    made: Path, here: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    real_trace = intaglio.backends.simulator.Simulator.trace

    def wrong_trace(self: object, inputs: object) -> dict[str, np.ndarray]:
        found = real_trace(self, inputs)
        found["p"][1, 0, 2, 1] ^= 1
        return found

    before = intaglio.load(made / "w4.intg").trace(np.load(made / "x.npy"))["p"].codes[1, 0, 2, 1]
    monkeypatch.setattr(intaglio.backends.simulator.Simulator, "trace", wrong_trace)
    result = call("check", made / "w4.intg", made / "x.npy", "--json")
    text = (
        f"1 of 90 codes differ, first at (1, 0, 2, 1): the simulator gives {before ^ 1}, the "
        f"reference {before}."
    )
    assert result.code == 1
    assert text in result.err
    assert result.json["equal"] is False
    assert text in result.json["difference"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "w4.intg", "x.npy"),
        ("check", "w4.intg"),
        ("inspect", "w4.intg", "--storage"),
        ("export", "w4.intg", "--format", "npz", "-o", "out"),
        ("diff", "w4.intg", "w4.intg"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_the_memory_of_constants_has_a_limit_that_can_be_raised(
    made: Path, here: Path, call: Call, arguments: tuple[str, ...]
) -> None:
    files = [made / each if (made / each).is_file() else each for each in arguments]
    done = call(*files, "--limit", 100)
    assert (done.code, done.out) == (2, "")
    assert "take more memory than a file of this size may ask for" in done.err
    assert "--limit" in done.err
    assert call(*files, "--limit", 1000).code == 0


def test_arrays_are_written_under_any_name(here: Path) -> None:
    arrays = {name: np.arange(6).reshape(2, 3) for name in ("file", "allow_pickle", "/a/b", "ä")}
    save_arrays(here / "y.npz", arrays)
    with np.load("y.npz") as found:
        assert list(found) == list(arrays)
        for name in arrays:
            np.testing.assert_array_equal(found[name], arrays[name], strict=True)
