"""Which format a constant is stored in, and how much a small file may unpack to."""

from dataclasses import replace

import numpy as np
import pytest

import intaglio
from intaglio.backends.blob_reader import read_blob
from intaglio.backends.blob_writer import write_blob
from intaglio.backends.choose_formats import CHOICES, STORED, Storage
from intaglio.cost_models.hardware import load_hardware
from intaglio.cost_models.machine import Machine
from intaglio.cost_models.range import Range
from intaglio.cost_models.storage import read_energy
from intaglio.errors import BlobError, UsageError
from intaglio.ir.formats.base import Size
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import int_type
from intaglio.ir.ops_linear import Dense
from intaglio.ir.program import Program, Slot
from intaglio.ir.tensor import Tensor, TensorType
from intaglio.passes.schedule import schedule

INT8 = int_type(8)


def slot_of(array: np.ndarray, name: str = "w", origin: str = "/fc1") -> Slot:
    tensor = Tensor(array.astype(np.int8), INT8)
    return Slot(name, tensor.type, constant=tensor, origin=origin)


def program_of(weight: np.ndarray) -> Program:
    b = Builder("net")
    b.input(Value("x", TensorType(("n", weight.shape[1]), int_type(2, signed=False)), "x"))
    b.constant("w", Tensor(weight, INT8))
    return schedule(b.build((b.node("y", Dense(), "x", "w", origin="/fc1"),)))


RANDOM = np.random.default_rng(0)
SPARSE = RANDOM.integers(-9, 10, (64, 64)) * (RANDOM.random((64, 64)) < 0.1)


def test_the_smallest_is_chosen_and_never_larger_than_dense() -> None:
    for array in (SPARSE, RANDOM.integers(-128, 128, (64, 64)), np.zeros((3, 5)), np.ones((1, 1))):
        slot = slot_of(array)
        stored = Storage().store(slot)
        sizes = [size.bytes for each in STORED.values() if (size := each.size(slot.constant))]
        assert len(stored.data) == min(sizes) <= array.size
    assert Storage().store(slot_of(SPARSE)).format.name == "entropy"
    assert Storage().store(slot_of(RANDOM.integers(-128, 128, (8, 8)))).format.name == "dense"


def test_a_format_is_chosen_by_name_for_all_or_for_some() -> None:
    storage = Storage.parse("dense", "/fc*=bitmap", "other=csr")
    assert storage.store(slot_of(SPARSE)).format.name == "bitmap"
    assert storage.store(slot_of(SPARSE, "other", "")).format.name == "csr"
    assert storage.store(slot_of(SPARSE, "third", "")).format.name == "dense"


def test_the_last_pattern_that_matches_wins_repeated_ones_too() -> None:
    storage = Storage.parse("w*=dense", "w=csr", "w*=bitmap")
    assert storage.store(slot_of(SPARSE)).format.name == "bitmap"


def test_patterns_of_no_constant_are_known() -> None:
    slots = [slot_of(SPARSE), slot_of(SPARSE, "other", "")]
    storage = Storage.parse("dense", "/fc?=csr", "/fcl=csr", "oth*=dense", "Other=dense")
    assert storage.unmatched(slots) == ["/fcl", "Other"]


def priced(dram: float, symbol: float = 8.5, place: float = 0.2) -> Machine:
    """The usual machine with other energies of reading and decoding."""
    usual = load_hardware("edge-npu").machine()
    read = replace(usual.dram, read=Range.exact(dram))
    return replace(usual, dram=read, symbol=Range.exact(symbol), place=Range.exact(place))


def test_energy_is_that_of_the_usual_machine_unless_stated() -> None:
    usual = load_hardware("edge-npu").machine()
    assert (usual.dram.read.nominal, usual.symbol.nominal, usual.place.nominal) == (8.0, 8.5, 0.2)
    for slot in program_of(SPARSE.astype(np.int8)).constants:
        assert Storage("energy").store(slot) == Storage("energy", machine=usual).store(slot)


def test_energy_weighs_bits_against_decoding() -> None:
    dear, cheap = priced(dram=1000.0), priced(dram=0.01)
    slot = slot_of(SPARSE)
    assert Storage("energy", machine=dear).store(slot).format.name == "entropy"
    assert Storage("energy", machine=cheap).store(slot).format.name == "dense"
    size = Size(100, 20, 8)
    assert read_energy(priced(2.0, 5.0, 3.0), "entropy", size, 10) == 2 * 128 + 5 * 10
    assert read_energy(priced(2.0, 5.0, 3.0), "dense", size, 10) == 2 * 128
    assert read_energy(priced(2.0, 5.0, 3.0), "bitmap", size, 10) == 2 * 128 + 3 * 10


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(UsageError) as raised:
        Storage.parse("fc1=huffman")
    assert str(raised.value) == f"There is no storage 'huffman'. Choose {', '.join(CHOICES)}."


def test_every_format_of_a_blob_is_read_back() -> None:
    program = program_of(SPARSE.astype(np.int8))
    sizes = {name: len(write_blob(program, Storage(name))) for name in CHOICES}
    for name in CHOICES:
        assert read_blob(write_blob(program, Storage(name))) == program
    assert sizes["smallest"] == min(sizes.values()) < 0.6 * sizes["dense"]


def test_a_small_file_that_unpacks_to_much_needs_a_limit() -> None:
    program = program_of(np.zeros((4200, 4200), np.int8))
    blob = write_blob(program)
    assert len(blob) < 2000
    with pytest.raises(BlobError) as raised:
        intaglio.Network(blob)
    assert str(raised.value) == (
        "Tensor '/fc1': The constants up to here take more memory than a file of this size may "
        "ask for. If you trust the file, read it with a higher limit, in bytes: --limit, in Python "
        "load(path, limit=...)."
    )
    assert intaglio.Network(blob, limit=17_640_000).program == program
