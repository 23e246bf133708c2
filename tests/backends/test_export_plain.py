"""Plain exports: what a few lines of another reader get back is the network and its trace."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.backends.export_formulas import FORMULAS
from intaglio.backends.export_items import Item, constants, golden
from intaglio.backends.export_plain import plain_files
from intaglio.backends.export_words import coe_text, hex_text, mem_text, words
from intaglio.backends.simulator import Simulator
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import BIPOLAR, TERNARY, Array, NumericType, int_type
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.program import Program
from intaglio.ir.tensor import Tensor, TensorType
from intaglio.passes.schedule import schedule
from intaglio.testing import OPERATORS, int_tensors, numeric_types, small_programs


def lines_of_hex(text: str) -> list[str]:
    return [line for line in text.split("\n") if line and not line.startswith("//")]


def lines_of_mem(text: str) -> list[str]:
    first, *rest = text.split()
    assert first == "@00000000"
    return rest


def lines_of_coe(text: str) -> list[str]:
    body = re.sub(r"^;.*$", "", text, flags=re.MULTILINE).split(";")
    assert body[0].strip() == "memory_initialization_radix=16"
    assert body[2].strip() == ""
    vector = body[1].replace("memory_initialization_vector=", "").replace("\n", "")
    return vector.split(",") if vector else []


READERS = {"hex": lines_of_hex, "mem": lines_of_mem, "coe": lines_of_coe}
WRITERS = {"hex": hex_text, "mem": mem_text, "coe": coe_text}


def numbers(lines: list[str], dtype: NumericType, shape: tuple[int, ...]) -> Array:
    """Words as a hardware engineer reads them: two's complement, channels innermost of four axes."""
    values = [int(line, 16) for line in lines]
    assert all(len(line) == (dtype.bits + 3) // 4 for line in lines)
    assert all(value < 2**dtype.bits for value in values)
    if dtype.kind == "bipolar":
        values = [2 * value - 1 for value in values]
    elif dtype.kind != "uint":
        values = [v - 2**dtype.bits if v >= 2 ** (dtype.bits - 1) else v for v in values]
    if len(shape) != 4:
        return np.array(values, object).reshape(shape)
    a, b, c, d = shape
    return np.array(values, object).reshape(a, c, d, b).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("kind", READERS)
@settings(max_examples=40)
@given(data=st.data())
def test_words_read_back_are_the_elements(kind: str, data: st.DataObject) -> None:
    dtype = data.draw(numeric_types(max_bits=63))
    shape = tuple(data.draw(st.lists(st.integers(1, 3), max_size=4)))
    array = data.draw(int_tensors(dtype, shape))
    item = Item("stem", "name", "weight", TensorType(shape, dtype), array)
    found = numbers(READERS[kind](WRITERS[kind](item)), dtype, shape)
    assert found.tolist() == array.tolist()


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (int_type(5), [-1, 0, 15, -16], ["1f", "00", "0f", "10"]),
        (int_type(8), [-1, 127], ["ff", "7f"]),
        (int_type(64), [-2, 2**63 - 1], ["fffffffffffffffe", "7fffffffffffffff"]),
        (int_type(64, signed=False), [2**64 - 1], ["ffffffffffffffff"]),
        (int_type(9, signed=False), [511, 1], ["1ff", "001"]),
        (BIPOLAR, [-1, 1], ["0", "1"]),
        (TERNARY, [-1, 0, 1], ["3", "0", "1"]),
    ],
)
def test_a_word_is_twos_complement_of_the_types_bits(
    dtype: NumericType, values: list[int], expected: list[str]
) -> None:
    array = np.array(values, dtype.container)
    assert words(Item("s", "n", "u", TensorType(array.shape, dtype), array)) == expected


def test_the_text_of_each_format() -> None:
    array = np.array([1, -2], np.int8)
    item = Item("s", "w\n", "weight", TensorType((2,), int_type(4)), array)
    assert hex_text(item) == "// w?: weight, int4[2], 4 bits a word\n1\ne\n"
    assert mem_text(item) == "@00000000\n1\ne\n"
    assert coe_text(item) == (
        "; w?: weight, int4[2], 4 bits a word\nmemory_initialization_radix=16;\n"
        "memory_initialization_vector=\n1,\ne;\n"
    )


def traced(program: Program, data: st.DataObject) -> dict[str, Array]:
    slot = program.slots[program.inputs[0]]
    codes = data.draw(int_tensors(slot.type.dtype, (2, *slot.type.sample_shape)))
    return Simulator(program).trace({slot.name: codes})


@settings(max_examples=30)
@given(program=small_programs(), data=st.data())
def test_npz_holds_every_constant_and_the_trace(program: Program, data: st.DataObject) -> None:
    trace = traced(program, data)
    files = plain_files(program, "npz", trace)
    arrays = np.load(io.BytesIO(files["network.npz"]))
    expected = {
        **{item.stem: item.array for item in constants(program)},
        **{item.stem: trace[item.slot] for item in golden(program, trace)},
    }
    assert set(arrays.files) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array, strict=True)
    assert {item.slot for item in constants(program)} == {s.name for s in program.constants}
    assert {item.slot for item in golden(program, trace)} == set(trace)


@pytest.mark.parametrize("format_", READERS)
@settings(max_examples=15)
@given(program=small_programs(), data=st.data())
def test_files_read_back_are_every_constant_and_the_trace(
    format_: str, program: Program, data: st.DataObject
) -> None:
    trace = traced(program, data)
    files = plain_files(program, format_, trace)
    page = files.pop("LAYOUT.md").decode()
    rows = re.findall(r"^\| `([^`]+)` \| [^|]+ \| `([^`]+)` \|", page, flags=re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(files)
    for name, tensor in rows:
        slot = program.slot(tensor)
        array = trace[tensor] if slot.constant is None else slot.constant.array
        lines = READERS[format_](files[name].decode("ascii"))
        assert numbers(lines, slot.type.dtype, array.shape).tolist() == array.tolist()


def small() -> Program:
    """A convolution and a dense layer that share their bias."""
    b = Builder("small")
    x = b.input(Value("x", TensorType(("n", 2, 3, 3), int_type(4, signed=False)), "input"))
    filters = b.constant("w|1", Tensor(np.arange(-8, 8).reshape(2, 2, 2, 2), int_type(4)))
    bias = b.constant("bias", Tensor(np.array([1, -1]), int_type(2)))
    y = b.node("conv/1", Conv(), x, filters, bias, origin="/conv")
    matrix = b.constant("m", Tensor(np.array([[1, -1], [1, 1]]), BIPOLAR))
    return schedule(b.build((b.node("y", Dense(), y, matrix, bias, origin="/fc"),)))


def test_the_page_says_what_each_file_holds_and_each_step_does() -> None:
    program = small()
    trace = Simulator(program).trace({"x": np.zeros((3, 2, 3, 3), np.uint8)})
    page = plain_files(program, "hex", trace)["LAYOUT.md"].decode().split("\n")
    assert page[0] == "# small: 2 steps, 3 constants"
    rows = [line for line in page if line.startswith("| ")]
    assert (
        "| 000_conv_1 | conv (strides = (1, 1), pads = (0, 0, 0, 0), dilations = (1, 1), "
        "groups = 1, pad_value = 0) | x = `x`, weight = `w\\|1`, bias = `bias` |  | `conv/1` | "
        "int32 | 2x2x2 |"
    ) in rows
    assert (
        "| `000_conv_1_weight.hex` | weight | `w\\|1` | int4 | 4 | 1 | 2x2x2x2 | "
        "16 (co 2, kh 2, kw 2, ci 2) |"
    ) in rows
    assert "| `001_y_weight.hex` | weight | `m` | bipolar | 1 | 1 | 2x2 | 4 (2, 2) |" in rows
    assert (
        "| `golden_000_conv_1.hex` | result of step 0 | `conv/1` | int32 | 32 | 8 | 2x2x2 | "
        "24 (samples 3, h 2, w 2, c 2) |"
    ) in rows
    assert [line for line in page if "_bias.hex" in line] == [
        "| `000_conv_1_bias.hex` | bias | `bias` | int2 | 2 | 1 | 2 | 2 (2) |"
    ]
    assert [line.split("**")[1] for line in page if line.startswith("- **")] == ["conv", "dense"]


def test_a_name_of_two_lines_stays_one_heading() -> None:
    page = plain_files(replace(small(), name="two\nlines"), "hex", {})["LAYOUT.md"].decode()
    assert page.startswith("# two?lines: 2 steps, 3 constants\n")


def test_without_samples_there_are_no_vectors() -> None:
    files = plain_files(small(), "mem", {})
    assert sorted(files) == [
        "000_conv_1_bias.mem",
        "000_conv_1_weight.mem",
        "001_y_weight.mem",
        "LAYOUT.md",
    ]
    assert "Golden vectors, " not in files["LAYOUT.md"].decode()


def test_every_operator_has_a_formula() -> None:
    assert set(FORMULAS) == set(OPERATORS)


@pytest.mark.parametrize("format_", ["npz", "hex"])
def test_the_same_network_gives_the_same_bytes(format_: str) -> None:
    assert plain_files(small(), format_, {}) == plain_files(small(), format_, {})
