"""intaglio export: files that other tools read, and what it refuses."""

import json
import lzma
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import intaglio
from intaglio.cost_models.hardware import load_hardware
from intaglio.cost_models.layers import layers_of
from intaglio.ir.program import Program

Call = Callable[..., Any]
CONSTANTS = [
    *(f"000_r_{role}" for role in ("addend", "multiplier", "shift", "weight")),
    *(f"002_y_conv_{role}" for role in ("addend", "multiplier", "shift", "weight")),
]
VECTORS = ["golden_000_r", "golden_001_p", "golden_002_y_conv", "golden_003_y", "golden_input0_x"]


def test_hex_is_a_folder_of_words_with_a_page(made: Path, here: Path, call: Call) -> None:
    done = call("export", made / "w4.intg", "--format", "hex", "-o", "out", "--samples", 3)
    assert (done.code, done.err) == (0, "")
    names = sorted(each.name for each in Path("out").iterdir())
    expected = [f"{stem}.hex" for stem in (*CONSTANTS, *VECTORS)]
    assert names == sorted([*expected, "LAYOUT.md", "export.json"])
    size = sum((Path("out") / name).stat().st_size for name in [*expected, "LAYOUT.md"])
    assert done.out == (
        f"Wrote out (14 files, {size:,} bytes).\n"
        "It has golden vectors of 3 samples of random codes, seed 0.\n"
        "out/LAYOUT.md says what each file holds.\n"
    )
    weight = intaglio.load(made / "w4.intg").program.slot("c.weight").constant.array
    words = Path("out/000_r_weight.hex").read_text().splitlines()[1:]
    values = [int(word, 16) - 16 * (int(word, 16) > 7) for word in words]
    assert values == weight.transpose(0, 2, 3, 1).reshape(-1).tolist()


def test_npz_holds_the_trace_of_the_data(made: Path, here: Path, call: Call) -> None:
    arguments = ("--format", "npz", "-o", "out", "--data", made / "x.npy")
    done = call("export", made / "w4.intg", *arguments)
    assert done.out.splitlines()[1] == f"It has golden vectors of {made / 'x.npy'}."
    trace = intaglio.load(made / "w4.intg").trace(np.load(made / "x.npy"))
    with np.load("out/network.npz") as arrays:
        assert sorted(arrays.files) == sorted((*CONSTANTS, *VECTORS))
        for stem, name in zip(VECTORS, ("r", "p", "y.conv", "y", "x"), strict=True):
            np.testing.assert_array_equal(arrays[stem], trace[name].codes, strict=True)


def test_without_samples_there_are_no_vectors(made: Path, here: Path, call: Call) -> None:
    done = call("export", made / "w4.intg", "--format", "coe", "-o", "out", "--samples", 0)
    assert "vectors" not in done.out
    names = {each.stem for each in Path("out").iterdir()}
    assert names == {*CONSTANTS, "LAYOUT", "export"}


def test_the_seed_decides_the_vectors(made: Path, here: Path, call: Call) -> None:
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        arguments = ("--format", "mem", "-o", out, "--seed", seed)
        assert call("export", made / "w4.intg", *arguments).code == 0
    a, b, c = (Path(f"{out}/golden_input0_x.mem").read_text() for out in "abc")
    assert a == b != c


def test_onnx_is_a_file_that_gives_the_codes(made: Path, here: Path, call: Call) -> None:
    done = call("export", made / "w4.intg", "--format", "onnx", "-o", "net.onnx")
    assert done.out == f"Wrote net.onnx ({Path('net.onnx').stat().st_size:,} bytes).\n"
    network = intaglio.load(made / "w4.intg")
    codes = network.encode(np.load(made / "x.npy"))
    session = onnxruntime.InferenceSession("net.onnx")
    np.testing.assert_array_equal(
        session.run(None, codes)[0], network.simulate(codes)["y"], strict=True
    )


def test_the_results_as_json(made: Path, here: Path, call: Call) -> None:
    found = call("export", made / "w4.intg", "--format", "npz", "-o", "out", "--json").json
    size = sum((Path("out") / name).stat().st_size for name in ("LAYOUT.md", "network.npz"))
    assert found == {
        "format": "npz",
        "output": "out",
        "files": ["LAYOUT.md", "network.npz"],
        "bytes": size,
        "vectors": "golden vectors of 4 samples of random codes, seed 0",
    }


def test_the_library_exports_the_same(made: Path, here: Path, call: Call) -> None:
    network = intaglio.load(made / "w4.intg")
    names = intaglio.export(network, "npz", here / "lib", np.load(made / "x.npy"))
    call("export", made / "w4.intg", "--format", "npz", "-o", "cli", "--data", made / "x.npy")
    assert names == ("LAYOUT.md", "network.npz")
    for name in names:
        assert (here / "lib" / name).read_bytes() == (here / "cli" / name).read_bytes()
    intaglio.export(network, "hex", here / "bare")
    assert not list((here / "bare").glob("golden*"))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ("--format", "vhdl", "-o", "out"),
            "There is no format 'vhdl'. The formats are {formats}.\n",
        ),
        (
            ("--format", "hex", "-o", "no/out"),
            "'no/out': The folder cannot be written: No such folder to put it in. "
            "Choose a place that exists and that you may write to.\n",
        ),
        (
            ("--format", "onnx", "-o", "no/net.onnx"),
            "'no/net.onnx': The file cannot be written: No such file or directory. "
            "Choose a folder that exists and that you may write to.\n",
        ),
        (
            ("--format", "onnx", "-o", "full"),
            "'full': This format is a file, but there is a folder of that name. "
            "Choose another name.\n",
        ),
        (
            ("--format", "mem", "-o", "full"),
            "'full': The folder holds 'top.v', which is not of an earlier export. "
            "Choose another name, or move that file away.\n",
        ),
        (
            ("--format", "mem", "-o", "out", "--data", "none.npy"),
            "'none.npy': It cannot be read: No such file or directory.\n",
        ),
        (
            ("--format", "c", "-o", "out", "--data", "none.npy"),
            "--data: The format 'c' has no golden vectors. "
            "Leave it out, or choose npz, hex, mem, coe.\n",
        ),
    ],
)
def test_what_cannot_work_is_explained_and_writes_nothing(
    made: Path, here: Path, call: Call, arguments: tuple[str, ...], error: str
) -> None:
    from intaglio.exporting import FORMATS

    Path("full").mkdir()
    Path("full/top.v").touch()
    done = call("export", made / "w4.intg", *arguments)
    assert (done.code, done.out, done.err) == (2, "", error.format(formats=", ".join(FORMATS)))
    assert [each.name for each in here.iterdir()] == ["full"]
    assert [each.name for each in Path("full").iterdir()] == ["top.v"]


def test_data_that_does_not_fit_writes_nothing(
    made: Path, here: Path, call: Call, wrong: np.ndarray
) -> None:
    np.save("wrong.npy", wrong)
    done = call("export", made / "w4.intg", "--format", "hex", "-o", "out", "--data", "wrong.npy")
    assert done.code == 2
    assert done.err == (
        "Input 'x': Its shape is (3, 1, 7, 6), but the network takes (n, 1, 6, 6). "
        "The first axis counts the samples; reshape the data.\n"
    )
    assert [each.name for each in here.iterdir()] == ["wrong.npy"]


def test_the_guide_shows_what_the_commands_write(here: Path, call: Call) -> None:
    root = Path(__file__).resolve().parents[2]
    blocks = re.findall(r"^```\n(.*?)^```", (root / "docs/export.md").read_text(), re.M | re.S)
    blob = (root / "examples/results/lenet-admm-71x-s0.intg.xz").read_bytes()
    Path("lenet.intg").write_bytes(lzma.decompress(blob))
    folder = call("export", "lenet.intg", "--format", "hex", "-o", "rom")
    file = call("export", "lenet.intg", "--format", "onnx", "-o", "lenet.onnx")
    source = call("export", "lenet.intg", "--format", "c", "-o", "lenet-c")
    words = Path("rom/002_relu2_multiplier.hex").read_text().splitlines()
    rows = Path("rom/LAYOUT.md").read_text().splitlines()
    assert blocks[0].splitlines()[2:] == folder.out.splitlines()
    assert blocks[1].splitlines()[1:] == words[:3]
    assert set(blocks[2].splitlines()) <= set(rows)
    assert blocks[3].splitlines()[1] == source.out.strip()
    assert blocks[4] in Path("lenet-c/net.h").read_text()
    assert blocks[5].splitlines()[1:] == file.out.splitlines()
    (program,) = re.findall(
        r"^```python\n(.*?)^```", (root / "docs/export.md").read_text(), re.M | re.S
    )
    exec(program, {})


def test_help_names_the_formats(call: Call) -> None:
    out = " ".join(call("export", "--help").out.replace("│", " ").split())
    assert "--format" in out
    assert "npz, hex, mem, coe, c, onnx, zigzag or timeloop" in out
    assert "--output" in out
    assert "--data" in out


def test_zigzag_is_three_files_of_layers_and_hardware(made: Path, here: Path, call: Call) -> None:
    done = call("export", made / "w4.intg", "--format", "zigzag", "-o", "z", "--hardware", "mcu")
    assert (done.code, done.err) == (0, "")
    names = sorted(each.name for each in Path("z").iterdir())
    assert names == ["export.json", "hardware.yaml", "mapping.yaml", "workload.yaml"]
    machine = load_hardware("mcu").machine()
    hardware = yaml("z/hardware.yaml")
    assert hardware["name"] == "mcu"
    sizes = [machine.array.columns, machine.array.rows]
    assert hardware["operational_array"]["sizes"] == sizes
    for memory in machine.memories:
        assert hardware["memories"][memory.name]["size"] == memory.room
    layers = [each for each in layers_of(program_of(made)) if each.loops is not None]
    workload = yaml("z/workload.yaml")
    assert [each["name"] for each in workload] == [each.name for each in layers]
    for found, layer in zip(workload, layers, strict=True):
        loops, extents = (
            layer.loops,
            dict(zip(found["loop_dims"], found["loop_sizes"], strict=True)),
        )
        assert loops is not None
        assert (extents["K"], extents["C"], extents["OY"]) == (loops.m, loops.c, loops.p)
        assert found["operand_precision"]["W"] == 4


def test_timeloop_is_an_architecture_and_a_problem_a_layer(
    made: Path, here: Path, call: Call
) -> None:
    assert call("export", made / "w4.intg", "--format", "timeloop", "-o", "t").code == 0
    names = sorted(each.name for each in Path("t").glob("*.yaml"))
    assert names == ["architecture.yaml", "problem_0.yaml", "problem_1.yaml"]
    layers = [each for each in layers_of(program_of(made)) if each.loops is not None]
    for at, layer in enumerate(layers):
        instance, loops = yaml(f"t/problem_{at}.yaml")["problem"]["instance"], layer.loops
        assert loops is not None
        extents = [instance[each] for each in "NMCPQRS"]
        assert extents == [loops.n, loops.m, loops.c, loops.p, loops.q, loops.r, loops.s]
    machine = load_hardware("edge-npu").machine()
    (system,) = yaml("t/architecture.yaml")["architecture"]["subtree"]
    (chip,) = system["subtree"]
    assert system["local"][0]["class"] == "DRAM"
    sizes = [each["attributes"]["depth"] * each["attributes"]["width"] for each in chip["local"]]
    assert sizes == [each.room // each.read_width * each.read_width for each in machine.memories]
    units = machine.array.rows * machine.array.columns
    assert chip["subtree"][0]["name"] == f"PE[0..{units - 1}]"


def test_hardware_is_refused_where_none_is_described(made: Path, here: Path, call: Call) -> None:
    done = call("export", made / "w4.intg", "--format", "hex", "-o", "o", "--hardware", "mcu")
    assert (done.code, done.err) == (
        2,
        "--hardware: The format 'hex' describes no hardware. "
        "Leave it out, or choose zigzag, timeloop.\n",
    )
    assert not Path("o").exists()


def yaml(path: str) -> Any:
    """What the file holds: it is written as JSON, which YAML includes."""
    return json.loads(Path(path).read_text())


def program_of(made: Path) -> Program:
    return intaglio.load(made / "w4.intg").program
