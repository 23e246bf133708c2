"""Plain exports, read back by parsers of their own."""

import io
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.backends.export_plain import npz_bytes, plain_files, vectors
from intaglio.backends.simulator import Simulator
from intaglio.ir.layout import to_storage
from intaglio.ir.program import Program
from intaglio.testing import int_tensors, small_programs


def traced(program: Program, data: st.DataObject) -> dict[str, np.ndarray]:
    inputs = {
        (slot := program.slots[index]).name: data.draw(
            int_tensors(slot.type.dtype, (2, *slot.type.sample_shape))
        )
        for index in program.inputs
    }
    return Simulator(program).trace(inputs)


def read(kind: str, text: str) -> list[int]:
    """The words of a file as unsigned numbers."""
    if kind == "coe":
        assert "memory_initialization_radix=16;" in text
        body = text.split("memory_initialization_vector=")[1]
        return [int(word, 16) for word in re.findall(r"[0-9a-f]+", body)]
    lines = [line for line in text.splitlines() if not line.startswith("//")]
    if kind == "mem":
        assert lines.pop(0) == "@0"
    return [int(line, 16) for line in lines]


@pytest.mark.parametrize("kind", ["hex", "mem", "coe"])
@settings(max_examples=20)
@given(data=st.data())
def test_words_are_the_elements_in_storage_order(kind: str, data: st.DataObject) -> None:
    program = data.draw(small_programs())
    trace = traced(program, data)
    files = plain_files(program, trace, kind)
    found = vectors(program, trace)
    assert len(files) == len(found) + 1
    assert {each.slot.name for each in found} == {slot.name for slot in program.slots}
    for each in found:
        bits = each.slot.type.dtype.bits
        words = read(kind, files[f"{each.file}.{kind}"].decode())
        stored = to_storage(each.array).reshape(-1).tolist()
        if each.slot.type.dtype.kind == "bipolar":
            stored = [int(value > 0) for value in stored]
        assert words == [value % (1 << bits) for value in stored] or (kind == "coe" and not stored)
        if each.golden:
            assert np.array_equal(each.array, trace[each.slot.name])


@settings(max_examples=10)
@given(data=st.data())
def test_an_npz_holds_every_tensor_and_the_page(data: st.DataObject) -> None:
    program = data.draw(small_programs())
    trace = traced(program, data)
    arrays = np.load(io.BytesIO(npz_bytes(program, trace)))
    for each in vectors(program, trace):
        assert np.array_equal(arrays[each.file], each.array)
    page = str(arrays["layout"])
    for slot in program.slots:
        assert f"| {slot.name} |" in page
