from dataclasses import replace

import numpy as np
import pytest

from intaglio.backends.blob_check import check
from intaglio.errors import VerifyError
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import FLOAT32, INT32, TERNARY, Encoding, NumericType, int_type
from intaglio.ir.op import Op
from intaglio.ir.ops_layout import Pad, Reshape, Take
from intaglio.ir.ops_linear import Conv, Dense, GatherConv
from intaglio.ir.ops_norm import LayerNorm
from intaglio.ir.ops_pointwise import Add, Relu
from intaglio.ir.ops_pool import MaxPool
from intaglio.ir.ops_quant import Lookup, Requantize, Threshold
from intaglio.ir.program import Program, Slot, Step
from intaglio.ir.tensor import Tensor, TensorType
from intaglio.passes.schedule import schedule

UINT4, UINT8 = int_type(4, signed=False), int_type(8, signed=False)
NODE = "Node '/conv' (conv): "
SIZES = "A program has 1 to 65535 inputs, outputs and slots and an arena of at most 1 GiB."
SHAPES = (
    "An activation is n and at most 4 sizes of an integer type of at most 32 bits, a constant at "
    "most 4 sizes of an integer type; neither has 2^31 elements."
)
STORED = "Activations lie in the arena at multiples of 64; a constant has its slot's type."
SCALES = "A scale is finite and positive, a zero point has 64 bits."
KNOWN = "Inputs, outputs and results are activations; operands are slots."
ONLY = "Steps consist of integer ops; an epilogue is requantize, threshold or lookup."
RANGES = "Attributes are 32-bit integers within the range of their meaning."
FOLLOW = "Types are those that the ops infer; parameters of ops are constants."
VALUES = "Shifts are 0..63, thresholds ascend, tables hold values of the result's type."
LISTS = "A list names what its operand holds."
BORDERS = "A border is a value of its tensor."
LIVES = "What is read was written and not yet overwritten; results overlap no operand."


def activation(name: str, shape: tuple[int, ...], dtype: NumericType, offset: int) -> Slot:
    return Slot(name, TensorType(("n", *shape), dtype), offset, None, f"/{name}")


def constant(name: str, elements: object, dtype: NumericType) -> Slot:
    tensor = Tensor(np.array(elements, dtype.container), dtype)
    return Slot(name, tensor.type, constant=tensor)


PROGRAM = Program(
    "net",
    (
        activation("x", (2, 4, 4), UINT4, 0),
        constant("weight", np.ones((3, 2, 3, 3)), int_type(4)),
        constant("multiplier", 3, UINT8),
        constant("addend", [1, 2, 3], INT32),
        constant("shift", 2, UINT8),
        activation("conv", (3, 2, 2), UINT4, 64),
        activation("pool", (3, 1, 1), UINT4, 0),
    ),
    (
        Step(Conv(), (0, 1), 5, Requantize(UINT4, 0, 15), (2, 3, 4)),
        Step(MaxPool((2, 2)), (5,), 6),
    ),
    (0,),
    (6,),
    128,
)


def with_slot(index: int, **changes: object) -> Program:
    slots = list(PROGRAM.slots)
    slots[index] = replace(slots[index], **changes)
    return replace(PROGRAM, slots=tuple(slots))


def with_step(index: int, **changes: object) -> Program:
    steps = list(PROGRAM.steps)
    steps[index] = replace(steps[index], **changes)
    return replace(PROGRAM, steps=tuple(steps))


def with_type(index: int, dtype: NumericType, *shape: int | str) -> Program:
    return with_slot(index, type=TensorType(shape, dtype))


def one_step(op: Op, *constants: Slot, result: NumericType, x: NumericType = UINT4) -> Program:
    """``op`` applied to x ``(2, 2, 2)``; its result lies behind it."""
    shape = (2, 2, 2)
    slots = (activation("x", shape, x, 0), activation("y", shape, result, 64), *constants)
    inputs = (0, *range(2, len(slots)))
    return Program("one", slots, (Step(op, inputs, 1),), (0,), (1,), 128)


def test_a_legal_program_breaks_no_rule() -> None:
    check(PROGRAM, VerifyError)
    table = constant("table", np.arange(16), UINT4)
    check(one_step(Lookup(UINT4, 0), table, result=UINT4), VerifyError)
    check(one_step(Threshold(UINT4, 0), constant("t", [[1, 1]], INT32), result=UINT4), VerifyError)


BROKEN = {
    "no inputs": (replace(PROGRAM, inputs=()), "Program 'net': it has 0 inputs", SIZES),
    "no outputs": (replace(PROGRAM, outputs=()), "Program 'net': it has 0 outputs", SIZES),
    "too many slots": (
        replace(PROGRAM, slots=PROGRAM.slots * 9363),
        "Program 'net': it has 65541 slots",
        SIZES,
    ),
    "too many operands": (
        with_step(0, inputs=(0,) * 65536),
        "Program 'net': a step of it has more than 65535 operands",
        SIZES,
    ),
    "huge arena": (
        replace(PROGRAM, arena_bytes=(1 << 30) + 1),
        "Program 'net': its arena has 1073741825 bytes per sample",
        SIZES,
    ),
    "no batch": (with_type(5, UINT4, 3, 2, 2), "Tensor '/conv': its type is uint4[3,2,2]", SHAPES),
    "two batches": (
        with_type(5, UINT4, "n", 3, "n"),
        "Tensor '/conv': its type is uint4[n,3,n]",
        SHAPES,
    ),
    "five sizes": (
        with_type(5, UINT4, "n", 1, 3, 2, 2, 1),
        "Tensor '/conv': its type is uint4[n,1,3,2,2,1]",
        SHAPES,
    ),
    "empty activation": (
        with_type(5, UINT4, "n", 3, 0, 2),
        "Tensor '/conv': its type is uint4[n,3,0,2]",
        SHAPES,
    ),
    "wide activation": (
        with_type(5, int_type(33), "n", 3, 2, 2),
        "Tensor '/conv': its type is int33[n,3,2,2]",
        SHAPES,
    ),
    "real": (
        with_type(5, FLOAT32, "n", 3, 2, 2),
        "Tensor '/conv': its type is float32[n,3,2,2]",
        SHAPES,
    ),
    "huge": (
        with_type(5, UINT4, "n", 1 << 16, 1 << 16),
        "Tensor '/conv': its type is uint4[n,65536,65536]",
        SHAPES,
    ),
    "outside the arena": (
        with_slot(5, offset=128),
        "Tensor '/conv': it lies at 128..140 of 128 arena bytes",
        STORED,
    ),
    "negative offset": (
        with_slot(5, offset=-64),
        "Tensor '/conv': it lies at -64..-52 of 128 arena bytes",
        STORED,
    ),
    "unaligned": (
        with_slot(5, offset=96),
        "Tensor '/conv': it lies at 96..108 of 128 arena bytes",
        STORED,
    ),
    "constant of another type": (
        with_type(2, INT32),
        "Tensor 'multiplier': it is int32[] at 0 but holds uint8[]",
        STORED,
    ),
    "constant in the arena": (
        with_slot(2, offset=64),
        "Tensor 'multiplier': it is uint8[] at 64 but holds uint8[]",
        STORED,
    ),
    "scale 0": (with_slot(0, encoding=Encoding(0.0)), "Tensor '/x': its scale is 0.0", SCALES),
    "scale nan": (
        with_slot(0, encoding=Encoding(float("nan"))),
        "Tensor '/x': its scale is nan",
        SCALES,
    ),
    "scale infinite": (
        with_slot(0, encoding=Encoding(float("inf"))),
        "Tensor '/x': its scale is inf",
        SCALES,
    ),
    "zero point": (
        with_slot(0, encoding=Encoding(1.0, 2**63)),
        "Tensor '/x': its zero point is 9223372036854775808",
        SCALES,
    ),
    "constant as input": (
        replace(PROGRAM, inputs=(1,)),
        "An input: slot 1 is not an activation",
        KNOWN,
    ),
    "constant as output": (
        replace(PROGRAM, outputs=(1,)),
        "An output: slot 1 is not an activation",
        KNOWN,
    ),
    "constant as result": (with_step(1, output=1), "Step 1: slot 1 is not an activation", KNOWN),
    "result out of range": (with_step(1, output=7), "Step 1: slot 7 is not an activation", KNOWN),
    "operand out of range": (with_step(1, inputs=(7,)), "Step 1: it reads slot 7 of 7", KNOWN),
    "negative operand": (with_step(1, inputs=(-1,)), "Step 1: it reads slot -1 of 7", KNOWN),
    "parameter out of range": (
        with_step(0, parameters=(2, 3, 7)),
        "Step 0: it reads slot 7 of 7",
        KNOWN,
    ),
    "real op": (
        with_step(0, op=Relu()),
        "Node '/conv' (relu): operator 'relu' is not legal in a program",
        ONLY,
    ),
    "epilogue": (
        with_step(0, epilogue=Add()),
        f"{NODE}operator 'add' is not an epilogue",
        ONLY,
    ),
    "parameters": (
        with_step(0, epilogue=None),
        f"{NODE}it has parameters but no epilogue",
        ONLY,
    ),
    "stride 0": (with_step(0, op=Conv((0, 1))), f"{NODE}strides of 'conv' is (0, 1)", RANGES),
    "three strides": (
        with_step(0, op=Conv((1, 1, 1))),
        f"{NODE}strides of 'conv' is (1, 1, 1)",
        RANGES,
    ),
    "negative pad": (
        with_step(0, op=Conv(pads=(0, 0, 0, -1))),
        f"{NODE}pads of 'conv' is (0, 0, 0, -1)",
        RANGES,
    ),
    "dilation 0": (
        with_step(0, op=Conv(dilations=(1, 0))),
        f"{NODE}dilations of 'conv' is (1, 0)",
        RANGES,
    ),
    "groups 0": (with_step(0, op=Conv(groups=0)), f"{NODE}groups of 'conv' is 0", RANGES),
    "kernel 0": (
        with_step(1, op=MaxPool((0, 1))),
        "Node '/pool' (max_pool): kernel of 'max_pool' is (0, 1)",
        RANGES,
    ),
    "wide word": (
        with_step(0, op=Conv(pad_value=1 << 31)),
        f"{NODE}pad_value of 'conv' is 2147483648",
        RANGES,
    ),
    "fraction": (
        one_step(Pad((0, 0, 0), (0, 0, 0), 0.5), result=UINT4),
        "Node '/y' (pad): value of 'pad' is 0.5",
        RANGES,
    ),
    "nan": (
        one_step(Pad((0, 0, 0), (0, 0, 0), float("nan")), result=UINT4),
        "Node '/y' (pad): value of 'pad' is nan",
        RANGES,
    ),
    "wide result": (
        with_step(0, epilogue=Requantize(int_type(33), 0, 15)),
        f"{NODE}dtype of 'requantize' is int33",
        RANGES,
    ),
    "arity": (
        with_step(0, inputs=(0,)),
        f"{NODE}Operator 'conv' takes x, weight, bias?, border?; got 1 operands",
        FOLLOW,
    ),
    "groups": (
        with_step(0, op=Conv(groups=2)),
        f"{NODE}2 input channels in 2 groups do not fit weight int4[3,2,3,3]",
        FOLLOW,
    ),
    "activation as weight": (
        with_step(0, inputs=(0, 0)),
        f"{NODE}Operand weight of 'conv' cannot be uint4[n,2,4,4]",
        FOLLOW,
    ),
    "constant as x": (
        with_step(0, inputs=(1, 1)),
        f"{NODE}Operand x of 'conv' cannot be int4[3,2,3,3]",
        FOLLOW,
    ),
    "activation as parameter": (
        with_step(0, parameters=(2, 3, 0)),
        f"{NODE}Operand shift of 'requantize' cannot be uint4[n,2,4,4]",
        FOLLOW,
    ),
    "empty weight": (
        one_step(Dense(), constant("w", np.zeros((0, 2)), UINT4), result=INT32),
        "Node '/y' (dense): Operand weight of 'dense' cannot be uint4[0,2]",
        FOLLOW,
    ),
    "result of another type": (
        with_type(5, UINT8, "n", 3, 2, 2),
        f"{NODE}its slot is uint8[n,3,2,2], its operands give uint4[n,3,2,2]",
        FOLLOW,
    ),
    "shift": (
        with_slot(4, constant=Tensor(np.array(64), UINT8)),
        f"{NODE}its shifts reach 64..64",
        VALUES,
    ),
    "thresholds": (
        one_step(Threshold(UINT4, 0), constant("t", [[1, 2], [2, 1]], INT32), result=UINT4),
        "Node '/y' (threshold): its thresholds do not ascend",
        VALUES,
    ),
    "table": (
        one_step(Lookup(UINT4, 0), constant("t", np.arange(16) + 1, UINT8), result=UINT4),
        "Node '/y' (lookup): its table holds 1..16, not only uint4",
        VALUES,
    ),
    "column": (
        one_step(
            GatherConv((1, 1)),
            constant("w", np.ones((2, 3)), UINT4),
            constant("columns", [1, 0, 2], UINT4),
            result=INT32,
        ),
        "Node '/y' (gather_conv): its list reaches 0..2",
        LISTS,
    ),
    "channel": (
        one_step(Take(), constant("channels", [-1, 1], int_type(2)), result=UINT4),
        "Node '/y' (take): its list reaches -1..1",
        LISTS,
    ),
    "border": (
        one_step(Pad((0, 0, 0), (0, 0, 0), 2), x=TERNARY, result=TERNARY),
        "Node '/y' (pad): its border 2 is not a value of ternary",
        BORDERS,
    ),
    "window in the border": (
        one_step(MaxPool((1, 1), pads=(1, 0, 0, 0), strides=(2, 1)), result=UINT4),
        "Node '/y' (max_pool): A window of (1, 1) lies entirely in the border (1, 0, 0, 0) of "
        "uint4[n,2,2,2]",
        FOLLOW,
    ),
    "window around the tensor": (
        one_step(MaxPool((2, 1), pads=(2, 0, 2, 0), dilations=(3, 1)), result=UINT4),
        "Node '/y' (max_pool): Dilations (3, 1) step over uint4[n,2,2,2] in its border",
        FOLLOW,
    ),
    "inputs overlap": (
        replace(PROGRAM, inputs=(0, 6)),
        "Input 'pool': it overlaps input 'x'",
        LIVES,
    ),
    "read before written": (
        replace(PROGRAM, steps=PROGRAM.steps[1:]),
        "Node '/pool' (max_pool): it reads 'conv', which does not hold a value",
        LIVES,
    ),
    "read after overwritten": (
        replace(PROGRAM, steps=(*PROGRAM.steps, PROGRAM.steps[0])),
        f"{NODE}it reads 'x', which does not hold a value",
        LIVES,
    ),
    "result over operand": (
        with_slot(5, offset=0),
        f"{NODE}its result overlaps its operand 'x'",
        LIVES,
    ),
    "output overwritten": (
        replace(PROGRAM, outputs=(6, 0)),
        "Output 'x': it does not hold a value at the end",
        LIVES,
    ),
}


@pytest.mark.parametrize(("program", "finding", "rule"), BROKEN.values(), ids=BROKEN)
def test_a_broken_rule_is_named_with_its_place(program: Program, finding: str, rule: str) -> None:
    with pytest.raises(VerifyError) as error:
        check(program, VerifyError)
    assert str(error.value) == f"{finding}. Rule: {rule}"


def test_a_slot_that_covers_several_others_ends_them_all() -> None:
    small = [activation(f"s{i}", (64,), UINT8, 64 * i) for i in range(4)]
    big = activation("big", (128,), UINT8, 64)
    flat = Reshape((64,))
    copies = [Step(flat, (i,), i + 1) for i in range(3)]
    widen = Step(Reshape((128,)), (5,), 4)
    source = activation("source", (2, 64), UINT8, 256)
    program = Program("cover", (*small, big, source), (*copies, widen), (0, 5), (0, 3, 4), 384, "")
    check(program, VerifyError)
    for lost in (1, 2):
        with pytest.raises(VerifyError) as error:
            check(replace(program, outputs=(lost,)), VerifyError)
        assert str(error.value) == (
            f"Output 's{lost}': it does not hold a value at the end. Rule: {LIVES}"
        )


def test_sums_of_layer_norm_must_fit() -> None:
    b = Builder("g")
    x = b.input(Value("x", TensorType(("n", 1 << 16), int_type(16))))
    epsilon = b.constant("e", Tensor(np.asarray(1), int_type(8)))
    program = schedule(b.build((b.node("y", LayerNorm(1), x, epsilon, origin="/norm"),)))
    with pytest.raises(VerifyError) as caught:
        check(program, VerifyError)
    assert str(caught.value).startswith(
        "Node '/norm' (layer_norm): its sums of int16[n,65536] overflow, epsilon is 1. Rule: "
    )
