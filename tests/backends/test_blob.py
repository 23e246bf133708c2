import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.backends.blob_layout import OPCODES, attribute_types
from intaglio.backends.blob_reader import read_blob
from intaglio.backends.blob_writer import write_blob
from intaglio.errors import ShapeError, VerifyError
from intaglio.ir.certificate import Certificate, Difference
from intaglio.ir.numeric import BIPOLAR, INT32, TERNARY, Encoding, NumericType, int_type
from intaglio.ir.op import Op
from intaglio.ir.ops_arg import ArgMax
from intaglio.ir.ops_crop import Crop
from intaglio.ir.ops_layout import Concat, Pad, Reshape, Slice, Take, Transpose
from intaglio.ir.ops_linear import Conv, Dense, GatherConv
from intaglio.ir.ops_norm import LayerNorm
from intaglio.ir.ops_pointwise import Add
from intaglio.ir.ops_pool import MaxPool, SumPool
from intaglio.ir.ops_product import MatMul, Multiply
from intaglio.ir.ops_quant import Lookup, Requantize, Threshold
from intaglio.ir.ops_softmax import Softmax
from intaglio.ir.program import Program, Slot, Step
from intaglio.ir.tensor import Tensor, TensorType
from intaglio.ir.verify import LEGAL

UINT8 = int_type(8, signed=False)


def activation(name: str, shape: tuple[int, ...], dtype: NumericType, offset: int) -> Slot:
    return Slot(name, TensorType(("n", *shape), dtype), offset)


def constant(name: str, elements: object, dtype: NumericType) -> Slot:
    tensor = Tensor(np.array(elements, dtype.container), dtype)
    return Slot(name, tensor.type, constant=tensor)


# Random programs: every op, epilogues, any types, arenas that are used again.


def fits(type_: TensorType, bits: int) -> bool:
    """Whether codes may say where to look."""
    return type_.sample_shape == (3,) and type_.dtype == int_type(bits, signed=False)


class Maker:
    """Draws a legal program step by step."""

    def __init__(self, draw: Callable[..., object]) -> None:
        self.draw = draw
        self.slots: list[Slot] = []
        self.steps: list[Step] = []
        self.end = 0

    def number(self, lo: int, hi: int) -> int:
        return self.draw(st.integers(lo, hi))

    def pick(self, choices: object) -> object:
        return self.draw(st.sampled_from(choices))

    def dtype(self, most: int) -> NumericType:
        integer = int_type(self.number(1, most), signed=self.draw(st.booleans()))
        return self.pick([integer, integer, BIPOLAR, TERNARY])

    def encoding(self) -> Encoding | None:
        scale = st.floats(0, exclude_min=True, allow_infinity=False)
        zero_point = st.integers(-(2**63), 2**63 - 1)
        return self.draw(st.none() | st.builds(Encoding, scale, zero_point))

    def slot(self, type_: TensorType) -> int:
        offset = self.end + 64 * self.number(0, 1)
        slot = Slot(
            self.draw(st.text()), type_, offset, None, self.draw(st.text()), self.encoding()
        )
        self.end = offset + -(-slot.size_bytes // 64) * 64
        self.slots.append(slot)
        return len(self.slots) - 1

    def constant(self, shape: tuple[int, ...], dtype: NumericType, lo: int, hi: int) -> int:
        lo, hi = max(lo, dtype.lo), min(hi, dtype.hi)
        element = st.sampled_from([-1, 1]) if dtype == BIPOLAR else st.integers(lo, hi)
        size = int(np.prod(shape))
        flat = self.draw(st.lists(element, min_size=size, max_size=size))
        made = constant(
            self.draw(st.text()), np.reshape(np.array(flat, dtype.container), shape), dtype
        )
        self.slots.append(replace(made, origin=self.draw(st.text()), encoding=self.encoding()))
        return len(self.slots) - 1

    def any_constant(self, shape: tuple[int, ...], most: int = 64) -> int:
        dtype = self.dtype(most)
        return self.constant(shape, dtype, dtype.lo, dtype.hi)

    def step(self, name: str, x: int) -> None:
        """Apply the op of that name to slot x, unless it does not fit."""
        try:
            op, inputs = getattr(self, name)(x)
            result = op.infer(*(self.slots[index].type for index in inputs))
        except ShapeError:
            return
        epilogue, parameters = None, ()
        if self.draw(st.booleans()):
            table = ["lookup"] if result.dtype.bits <= 4 else []
            name = self.pick(["requantize", "threshold", *table])
            epilogue, parameters = getattr(self, f"{name}_of")(result)
            result = epilogue.infer(result, *(self.slots[index].type for index in parameters))
        self.steps.append(Step(op, inputs, self.slot(result), epilogue, parameters))

    def window(self) -> dict[str, tuple[int, ...]]:
        pads = tuple(self.number(0, 1) for _ in range(4))
        return {"strides": (self.number(1, 3), self.number(1, 3)), "pads": pads}

    def conv(self, x: int) -> tuple[Op, tuple[int, ...]]:
        channels = self.slots[x].type.sample_shape[0]
        groups = self.pick([g for g in range(1, channels + 1) if channels % g == 0])
        co = groups * self.number(1, 2)
        kernel = (self.number(1, 3), self.number(1, 3))
        inputs = (x, self.any_constant((co, channels // groups, *kernel)))
        bias = self.bias(co, kernel)
        dilations = (self.number(1, 2), self.number(1, 2))
        op = Conv(**self.window(), dilations=dilations, groups=groups, pad_value=self.number(-9, 9))
        return op, (*inputs, *bias)

    def bias(self, co: int, kernel: tuple[int, int]) -> tuple[int, ...]:
        """Nothing, a bias, or a bias and a border."""
        shapes = ((co,), (co, *kernel))[: self.number(0, 2)]
        return tuple(map(self.any_constant, shapes))

    def gather_conv(self, x: int) -> tuple[Op, tuple[int, ...]]:
        co, k, kernel = self.number(1, 3), self.number(1, 4), (self.number(1, 3), self.number(1, 3))
        most = self.slots[x].type.sample_shape[0] * kernel[0] * kernel[1] - 1
        columns = self.constant((k,), int_type(40), 0, most)
        dilations = (self.number(1, 2), self.number(1, 2))
        op = GatherConv(kernel, **self.window(), dilations=dilations, pad_value=self.number(-9, 9))
        return op, (x, self.any_constant((co, k)), columns, *self.bias(co, kernel))

    def take(self, x: int) -> tuple[Op, tuple[int, ...]]:
        most = self.slots[x].type.sample_shape[0] - 1
        return Take(), (x, self.constant((self.number(1, 3),), int_type(9), 0, most))

    def dense(self, x: int) -> tuple[Op, tuple[int, ...]]:
        co = self.number(1, 3)
        weight = self.any_constant((co, self.slots[x].type.shape[-1]))
        return Dense(), (
            x,
            weight,
            *((self.any_constant((co,)),) if self.draw(st.booleans()) else ()),
        )

    def add(self, x: int) -> tuple[Op, tuple[int, ...]]:
        word = st.integers(-(2**31), 2**31 - 1)
        return Add(self.draw(st.tuples(word, word))), (x, x)

    def sum_pool(self, x: int) -> tuple[Op, tuple[int, ...]]:
        kernel = (self.number(1, 3), self.number(1, 3))
        return SumPool(kernel, **self.window(), pad_value=self.number(-5, 5)), (x,)

    def max_pool(self, x: int) -> tuple[Op, tuple[int, ...]]:
        return MaxPool((self.number(2, 3), self.number(2, 3)), **self.window()), (x,)

    def crop(self, x: int) -> tuple[Op, tuple[int, ...]]:
        sizes = (self.number(2, 5), self.number(2, 5))
        least, most = sorted(self.number(1, 1 << 16) for _ in range(2))
        bits = self.number(1, 16)
        told = [i for i, s in enumerate(self.slots) if s.constant is None and fits(s.type, bits)]
        where = (self.pick(told),) if told and self.draw(st.booleans()) else ()
        return Crop(sizes, least, most, bits), (x, *where)

    def reshape(self, x: int) -> tuple[Op, tuple[int, ...]]:
        elements = self.slots[x].type.elements
        return Reshape(self.pick([(elements,), (1, elements), (elements, 1, 1, 1)])), (x,)

    def transpose(self, x: int) -> tuple[Op, tuple[int, ...]]:
        axes = range(1, len(self.slots[x].type.shape))
        return Transpose((0, *self.draw(st.permutations(axes)))), (x,)

    def slice(self, x: int) -> tuple[Op, tuple[int, ...]]:
        shape = self.slots[x].type.sample_shape
        starts = tuple(self.number(0, size - 1) for size in shape)
        steps = tuple(self.number(1, 2) for _ in shape)
        return Slice(starts, shape, steps), (x,)

    def pad(self, x: int) -> tuple[Op, tuple[int, ...]]:
        type_ = self.slots[x].type
        before, after = (tuple(self.number(0, 1) for _ in type_.sample_shape) for _ in range(2))
        value = self.pick([type_.dtype.lo, min(type_.dtype.hi, 2**31 - 1)])
        return Pad(before, after, float(value)), (x,)

    def concat(self, x: int) -> tuple[Op, tuple[int, ...]]:
        return Concat(self.number(1, len(self.slots[x].type.shape) - 1)), (x,) * self.number(1, 7)

    def multiply(self, x: int) -> tuple[Op, tuple[int, ...]]:
        return Multiply((self.number(-9, 9), self.number(-9, 9))), (x, x)

    def matmul(self, x: int) -> tuple[Op, tuple[int, ...]]:
        """x times itself with its last two axes exchanged, which a step before it does."""
        rank = len(self.slots[x].type.shape)
        turn = Transpose((*range(rank - 2), rank - 1, rank - 2))
        y = self.slot(turn.infer(self.slots[x].type))
        self.steps.append(Step(turn, (x,), y))
        return MatMul((self.number(-9, 9), self.number(-9, 9))), (x, y)

    def softmax(self, x: int) -> tuple[Op, tuple[int, ...]]:
        axis = self.number(1, len(self.slots[x].type.shape) - 1)
        table = self.constant((self.number(1, 5),), int_type(9), 1, 255)
        return Softmax(axis, self.number(1, 30)), (x, table)

    def layer_norm(self, x: int) -> tuple[Op, tuple[int, ...]]:
        if self.slots[x].type.dtype.bits > 16:
            raise ShapeError("Its sums would overflow.")
        axis = self.number(1, len(self.slots[x].type.shape) - 1)
        epsilon = self.constant((), int_type(40), 0, 2**30)
        return LayerNorm(axis, self.number(0, 4)), (x, epsilon)

    def arg_max(self, x: int) -> tuple[Op, tuple[int, ...]]:
        axis = self.number(1, len(self.slots[x].type.shape) - 1)
        return ArgMax(axis, self.number(0, 1)), (x,)

    def requantize(self, x: int) -> tuple[Op, tuple[int, ...]]:
        op, parameters = self.requantize_of(self.slots[x].type)
        return op, (x, *parameters)

    def threshold(self, x: int) -> tuple[Op, tuple[int, ...]]:
        op, parameters = self.threshold_of(self.slots[x].type)
        return op, (x, *parameters)

    def lookup(self, x: int) -> tuple[Op, tuple[int, ...]]:
        if self.slots[x].type.dtype.bits > 4:
            raise ShapeError("The table would be large.")
        op, parameters = self.lookup_of(self.slots[x].type)
        return op, (x, *parameters)

    def codes(self) -> NumericType:
        return int_type(self.number(2, 31), signed=self.draw(st.booleans()))

    def requantize_of(self, x: TensorType) -> tuple[Op, tuple[int, ...]]:
        dtype, shapes = self.codes(), [(), (1,), (x.sample_shape[0],)]
        parameters = [self.any_constant(self.pick(shapes)) for _ in range(2)]
        shift = self.constant(self.pick(shapes), int_type(6, signed=False), 0, 63)
        return Requantize(dtype, dtype.lo, dtype.hi - 1), (*parameters, shift)

    def threshold_of(self, x: TensorType) -> tuple[Op, tuple[int, ...]]:
        shape = (self.pick([1, x.sample_shape[0]]), self.number(0, 3))
        index = self.constant(shape, self.pick([INT32, int_type(64)]), -99, 99)
        ascending = np.sort(self.slots[index].constant.array, axis=1)
        tensor = Tensor(ascending, self.slots[index].type.dtype)
        self.slots[index] = replace(self.slots[index], constant=tensor)
        dtype = self.codes()
        return Threshold(dtype, dtype.lo), (index,)

    def lookup_of(self, x: TensorType) -> tuple[Op, tuple[int, ...]]:
        dtype, entries = self.codes(), x.dtype.hi - x.dtype.lo + 1
        shape = self.pick([(entries,), (x.sample_shape[0], entries)])
        return Lookup(dtype, x.dtype.lo), (self.constant(shape, dtype, -(2**31), 2**31),)


OPS = sorted(op.name for op in LEGAL["integer"])
certificates = st.builds(
    Certificate,
    st.sampled_from(["exact", "certified", "table", "differs"]),
    st.text(),
    *[st.integers(-(2**40), 2**40)] * 4,
    st.lists(st.builds(Difference, *[st.integers()] * 4), max_size=2).map(tuple),
)


@st.composite
def programs(draw: st.DrawFn, first: str) -> Program:
    """A program whose first step is that op, applied to codes of at most 4 bits."""
    maker = Maker(draw)
    image = (draw(st.integers(1, 3)), draw(st.integers(5, 6)), draw(st.integers(5, 6)))
    dtype = int_type(4) if first == "crop" else maker.dtype(4)  # it blends: not all codes do
    inputs = [maker.slot(TensorType(("n", *image), dtype))]
    maker.step(first, 0)
    shapes = draw(st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=4), max_size=1))
    inputs += [maker.slot(TensorType(("n", *shape), maker.dtype(32))) for shape in shapes]
    for name in draw(st.lists(st.sampled_from(OPS), max_size=3)):
        active = [i for i, slot in enumerate(maker.slots) if slot.constant is None]
        maker.step(name, draw(st.sampled_from(active)))
    active = [i for i, slot in enumerate(maker.slots) if slot.constant is None]
    outputs = draw(st.lists(st.sampled_from(active), min_size=1, max_size=3))
    return Program(
        draw(st.text()),
        tuple(maker.slots),
        tuple(maker.steps),
        tuple(inputs),
        tuple(outputs),
        maker.end + draw(st.integers(0, 100)),
        draw(st.text()),
        draw(st.dictionaries(st.text(), certificates, max_size=3)),
    )


@pytest.mark.parametrize("first", OPS)
@settings(max_examples=40)
@given(data=st.data())
def test_reading_gives_the_program_that_was_written(first: str, data: st.DataObject) -> None:
    program = data.draw(programs(first))
    assert first in [step.op.name for step in program.steps[:2]]
    blob = write_blob(program)
    read = read_blob(blob)
    assert read == program
    for slot, original in zip(read.slots, program.slots, strict=True):
        if slot.constant is not None:
            assert np.array_equal(slot.constant.array, original.constant.array)
    assert write_blob(read) == blob


# The bytes, read as docs/blob_format.md says and not through the project's reader.


def small_program() -> Program:
    """conv 1 -> 2 channels with requantize, then a transpose."""
    u3, i4 = int_type(3, signed=False), int_type(4)
    slots = (
        replace(activation("x", (1, 4, 5), u3, 0), encoding=Encoding(0.1, 3), origin="image"),
        constant("w", np.arange(8).reshape(2, 1, 2, 2) - 4, i4),
        constant("m", [5, 9], int_type(4, signed=False)),
        constant("a", [-1000, 1000], int_type(11)),
        constant("s", 3, int_type(2, signed=False)),
        activation("y", (2, 4, 3), UINT8, 64),
        activation("z", (4, 2, 3), UINT8, 128),
    )
    conv = Conv((1, 2), (1, 0, 0, 1), (1, 1), 1, -7)
    steps = (
        Step(conv, (0, 1), 5, Requantize(UINT8, 2, 250), (2, 3, 4)),
        Step(Transpose((0, 2, 1, 3)), (5,), 6),
    )
    proofs = {"y": Certificate("differs", "nearest", -5, 9, 2, 1, (Difference(0, 1, 2, 3),))}
    return Program("net", slots, steps, (0,), (6, 5), 192, "recipe", proofs)


@pytest.mark.parametrize("encoding", [Encoding(0.1, 3, 0.5), Encoding(0.1, 3, 0.0, "floor")])
def test_offset_and_rounding_of_an_input_are_kept(encoding: Encoding) -> None:
    program = small_program()
    slots = (replace(program.slots[0], encoding=encoding), *program.slots[1:])
    changed = replace(program, slots=slots)
    assert read_blob(write_blob(changed)).slots[0].encoding == encoding


def test_every_byte_lies_where_the_document_says() -> None:
    blob = write_blob(small_program())
    magic, major, minor, flags, size, arena = struct.unpack_from("<4sHHIII", blob, 0)
    assert (magic, major, minor, flags, size, arena) == (b"INTG", 1, 2, 0, len(blob), 192)
    assert struct.unpack_from("<HHHHHH", blob, 20) == (64, 5, 1, 2, 1, 1)
    assert blob[32:56] == bytes(24)
    assert struct.unpack_from("<II", blob, 56) == (zlib.crc32(blob[64:144]), zlib.crc32(blob[:60]))

    table = [struct.unpack_from("<4sIII", blob, 64 + 16 * row) for row in range(5)]
    ids, offsets, sizes, sums = zip(*table, strict=True)
    assert ids == (b"SLOT", b"STEP", b"WORD", b"DATA", b"META")
    assert offsets == (144, 256, 280, 448, 464)
    assert sizes == (7 * 16, 2 * 12, 42 * 4, 16, len(blob) - 464)
    for offset, length, checksum in zip(offsets, sizes, sums, strict=True):
        assert zlib.crc32(blob[offset : offset + length]) == checksum

    slots = [struct.unpack_from("<BBBBIII", blob, 144 + 16 * row) for row in range(7)]
    assert slots == [
        (0, 2, 3, 3, 0, 20, 3),
        (1, 1, 4, 4, 0, 4, 6),
        (1, 2, 4, 1, 4, 1, 10),
        (1, 1, 11, 1, 8, 3, 11),
        (1, 2, 2, 0, 12, 1, 12),
        (0, 2, 8, 3, 64, 24, 12),
        (0, 2, 8, 3, 128, 24, 15),
    ]
    assert struct.unpack_from("<HHHHI", blob, 256) == (1, 6, 5, 2, 18)
    assert struct.unpack_from("<HHHHI", blob, 268) == (10, 0, 6, 1, 36)
    words = struct.unpack_from("<42i", blob, 280)
    assert words[:3] == (0, 6, 5)
    assert words[3:10] == (1, 4, 5, 2, 1, 2, 2)
    assert words[10:18] == (2, 2, 2, 4, 3, 4, 2, 3)
    assert words[18:23] == (0, 1, 2, 3, 4)
    assert words[23:26] == (2 + 256 * 8, 2, 250)
    assert words[26:36] == (1, 2, 1, 0, 0, 1, 1, 1, 1, -7)
    assert words[36:] == (5, 4, 0, 2, 1, 3)

    assert blob[448:452] == bytes([0xDC, 0xFE, 0x10, 0x32])  # -4..3 in 4 bits
    assert blob[452:456] == bytes([0x95, 0, 0, 0])
    addends = (-1000 % 2048) | 1000 << 11
    assert blob[456:460] == addends.to_bytes(3, "little") + b"\0"
    assert blob[460:464] == bytes([3, 0, 0, 0])

    meta = json.loads(zlib.decompress(blob[464:]))
    assert meta.pop("tool").startswith("intaglio ")
    assert meta == {
        "program": "net",
        "recipe": "recipe",
        "slots": [
            ["x", "image", 0.1, 3],
            ["w", ""],
            ["m", ""],
            ["a", ""],
            ["s", ""],
            ["y", ""],
            ["z", ""],
        ],
        "certificates": {
            "y": {
                "verdict": "differs",
                "method": "nearest",
                "lo": -5,
                "hi": 9,
                "count": 2,
                "worst": 1,
                "examples": [[0, 1, 2, 3]],
            }
        },
    }


def test_opcodes_and_attribute_words_are_those_of_the_document() -> None:
    table = {
        code: (op.name, *(name for name, _ in attribute_types(op))) for code, op in OPCODES.items()
    }
    assert table == {
        1: ("conv", "strides", "pads", "dilations", "groups", "pad_value"),
        2: ("dense",),
        3: ("add", "multipliers"),
        4: ("sum_pool", "kernel", "strides", "pads", "pad_value"),
        5: ("max_pool", "kernel", "strides", "pads", "dilations"),
        6: ("requantize", "dtype", "lo", "hi"),
        7: ("threshold", "dtype", "base"),
        8: ("lookup", "dtype", "base"),
        9: ("reshape", "shape"),
        10: ("transpose", "axes"),
        11: ("slice", "starts", "stops", "steps"),
        12: ("pad", "before", "after", "value"),
        13: ("concat", "axis"),
        14: ("multiply", "zero_points"),
        15: ("matmul", "zero_points"),
        16: ("softmax", "axis", "bits", "division"),
        17: ("arg_max", "axis", "last"),
        18: ("layer_norm", "axis", "bits"),
        19: ("gather_conv", "kernel", "strides", "pads", "dilations", "pad_value"),
        20: ("take",),
        21: ("crop", "size", "least", "most", "bits"),
    }
    assert set(OPCODES.values()) == LEGAL["integer"]


# Sizes.


def lenet() -> Program:
    """LeNet-5 with 8-bit codes and 61 bits of parameters per channel."""
    rng = np.random.default_rng(0)
    slots = [replace(activation("image", (1, 28, 28), UINT8, 0), encoding=Encoding(1 / 255))]
    steps: list[Step] = []
    proofs: dict[str, Certificate] = {}

    def append(op: Op, inputs: tuple[int, ...], shape: tuple[int, ...], name: str) -> None:
        slot = activation(f"/{name}_output_0", shape, UINT8, 8192 * len(slots))
        slots.append(replace(slot, origin=f"/{name}", encoding=Encoding(rng.random())))
        steps.append(Step(op, inputs, len(slots) - 1))
        proofs[slot.name] = Certificate("certified", "affine", *rng.integers(-(2**20), 2**20, 2))

    def layer(op: Op, weight: tuple[int, ...], shape: tuple[int, ...], name: str) -> None:
        x, first, channels = len(slots) - 1, len(slots), weight[0]
        drawn = {
            "weight": (weight, int_type(8)),
            "multiplier": ((channels,), int_type(18, signed=False)),
            "addend": ((channels,), int_type(38)),
            "shift": ((channels,), int_type(5, signed=False)),
        }
        for what, (size, dtype) in drawn.items():
            slots.append(constant(f"{name}.{what}", rng.integers(dtype.lo, dtype.hi, size), dtype))
        append(op, (x, first), shape, name)
        requantize = Requantize(UINT8, 0, 255)
        parameters = (first + 1, first + 2, first + 3)
        steps[-1] = replace(steps[-1], epilogue=requantize, parameters=parameters)

    layer(Conv(pads=(2, 2, 2, 2)), (6, 1, 5, 5), (6, 28, 28), "conv1/Conv")
    append(MaxPool((2, 2), (2, 2)), (len(slots) - 1,), (6, 14, 14), "pool1/MaxPool")
    layer(Conv(), (16, 6, 5, 5), (16, 10, 10), "conv2/Conv")
    append(MaxPool((2, 2), (2, 2)), (len(slots) - 1,), (16, 5, 5), "pool2/MaxPool")
    append(Reshape((400,)), (len(slots) - 1,), (400,), "flatten/Flatten")
    layer(Dense(), (120, 400), (120,), "fc1/Gemm")
    layer(Dense(), (84, 120), (84,), "fc2/Gemm")
    layer(Dense(), (10, 84), (10,), "fc3/Gemm")
    last = len(slots) - 1
    return Program("lenet", tuple(slots), tuple(steps), (0,), (last,), 1 << 18, "", proofs)


def test_a_blob_of_lenet_is_its_weights_and_less_than_4096_bytes() -> None:
    program = lenet()
    weights = sum(s.type.elements for s in program.constants if s.name.endswith("weight"))
    channels = 6 + 16 + 120 + 84 + 10
    parameters = channels * 61 / 8
    blob = write_blob(program)
    assert weights == 61470
    assert len(blob) - weights < 3700
    assert len(blob) - weights - parameters < 1850
    assert read_blob(blob) == program


def test_equal_programs_give_equal_bytes() -> None:
    assert write_blob(lenet()) == write_blob(lenet())


def test_what_is_not_a_legal_program_is_not_written() -> None:
    program = small_program()
    with pytest.raises(VerifyError) as error:
        write_blob(replace(program, arena_bytes=128))
    assert str(error.value) == (
        "Tensor 'z': it lies at 128..152 of 128 arena bytes. Rule: Activations lie in the arena at "
        "multiples of 64; a constant has its slot's type."
    )


def test_metadata_larger_than_a_reader_takes_are_not_written() -> None:
    with pytest.raises(VerifyError) as error:
        write_blob(replace(small_program(), name="n", recipe="x" * (1 << 22)))
    text = str(error.value)
    assert text.startswith("Program 'n': Names, recipe and certificates take 41")
    assert text.endswith(" bytes; a blob holds 4194304. Shorten the names in the model.")
