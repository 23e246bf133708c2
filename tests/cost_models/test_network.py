"""The cost of a program: what a layer moves and computes, counted by hand, and laws of sums."""

from dataclasses import replace

import numpy as np
import pytest

from intaglio.backends.blob_writer import write_blob
from intaglio.backends.choose_formats import Storage
from intaglio.backends.cost import network_cost, packed_constants
from intaglio.cost_models.cost import Arithmetic, Transfer
from intaglio.cost_models.layers import layers_of
from intaglio.cost_models.masks import present_in
from intaglio.cost_models.range import Range
from intaglio.cost_models.rows import Pages
from intaglio.errors import UsageError
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import TERNARY, int_type
from intaglio.ir.ops_linear import Conv, Dense, GatherConv
from intaglio.ir.ops_pool import MaxPool
from intaglio.ir.tensor import BATCH, Tensor, TensorType
from intaglio.passes.schedule import schedule

INT8 = int_type(8)
GIVEN = Range.exact


def weights(*shape, dtype=INT8, seed=0):
    codes = np.random.default_rng(seed).integers(dtype.lo, dtype.hi, shape, np.int8, endpoint=True)
    return Tensor(codes, dtype)


def one_dense(dtype=INT8):
    b = Builder("net")
    x = b.input(Value("x", TensorType((BATCH, 40), INT8)))
    w = b.constant("w", weights(6, 40, dtype=dtype))
    return schedule(b.build((b.node("y", Dense(), x, w, origin="head"),)))


def two_convs(channels=8):
    b = Builder("net")
    x = b.input(Value("x", TensorType((BATCH, 2, 8, 8), INT8)))
    x = b.node("c1", Conv(pads=(1, 1, 1, 1)), x, b.constant("w1", weights(channels, 2, 3, 3)))
    x = b.node("pool", MaxPool((2, 2), (2, 2)), x)
    return schedule(b.build((x,)))


@pytest.fixture
def cost(machine):
    def made(program, **options):
        return network_cost(program, write_blob(program, Storage("dense")), machine(**options))

    return made


def test_a_dense_layer_counted_by_hand(cost):
    (layer,) = cost(one_dense()).layers
    assert (layer.name, layer.op, layer.macs, layer.weight_bytes) == ("head", "dense", 240, 240)
    assert layer.transfers == (
        Transfer("DRAM", "weights", 1920, 0, GIVEN(19200)),
        Transfer("DRAM", "inputs", 320, 0, GIVEN(3200)),
        Transfer("DRAM", "outputs", 0, 192, GIVEN(3840)),
        Transfer("SRAM", "weights", 1920, 1920, GIVEN(5760)),
        Transfer("SRAM", "inputs", 320, 320, GIVEN(960)),
        Transfer("SRAM", "outputs", 192, 192, GIVEN(576)),
        Transfer("SRAM", "sums", 192, 192, GIVEN(576)),
        Transfer("registers", "sums", 240 * 48, 240 * 32, GIVEN(0.01 * 240 * 80)),
    )
    assert layer.arithmetic == (
        Arithmetic("multiply", 240, GIVEN(0.01 * 64 * 240)),
        Arithmetic("add", 240, GIVEN(0.001 * 32 * 240)),
    )
    # 2 passes of 32 rows; 2432 bits over a bus of 64 bits
    assert layer.cycles == {"compute": 2, "decode": 0, "DRAM": 38, "SRAM": 2}
    # before: all inputs and weights, 2240 bits
    assert (layer.bound, layer.start, layer.time) == ("DRAM", 35, 35 + 38)
    assert layer.utilisation == 240 / (2 * 32 * 32)


def test_a_batch_takes_its_weights_once_and_the_rest_for_each_sample(machine):
    program = one_dense()
    blob = write_blob(program, Storage("dense"))
    found = network_cost(program, blob, machine(), samples=3)
    (layer,) = found.layers
    assert (found.samples, layer.macs, layer.macs_done) == (3, 720, 720)
    assert layer.transfers == (
        Transfer("DRAM", "weights", 1920, 0, GIVEN(19200)),
        Transfer("DRAM", "inputs", 960, 0, GIVEN(9600)),
        Transfer("DRAM", "outputs", 0, 576, GIVEN(11520)),
        Transfer("SRAM", "weights", 1920, 1920, GIVEN(5760)),
        Transfer("SRAM", "inputs", 960, 960, GIVEN(2880)),
        Transfer("SRAM", "outputs", 576, 576, GIVEN(1728)),
        Transfer("SRAM", "sums", 576, 576, GIVEN(1728)),
        Transfer("registers", "sums", 720 * 48, 720 * 32, GIVEN(0.01 * 720 * 80)),
    )
    assert layer.arithmetic[0] == Arithmetic("multiply", 720, GIVEN(0.64 * 720))
    # 2 passes of 3 samples; 3456 bits over a bus of 64
    assert layer.cycles == {"compute": 6, "decode": 0, "DRAM": 54, "SRAM": 2}
    # before: 1920 bits of weights and 960 of inputs
    assert layer.start == 45


def test_activations_of_a_batch_stay_on_chip_together(machine):
    program = two_convs()
    blob = write_blob(program, Storage("dense"))
    conv, pool = network_cost(program, blob, machine(kilobytes=2), samples=2).layers
    # 8 x 8 x 8 sums of 32 bits, 2 KiB of a sample: there is no room for two
    (written,) = [t for t in conv.transfers if (t.memory, t.operand) == ("DRAM", "outputs")]
    (read,) = [t for t in pool.transfers if (t.memory, t.operand) == ("DRAM", "inputs")]
    assert written.writes == read.reads == 2 * 512 * 32
    assert pool.arithmetic == (Arithmetic("compare", 2 * 128 * 3, GIVEN(0.032) * (2 * 128 * 3)),)
    conv, pool = network_cost(program, blob, machine(), samples=2).layers
    assert not [t for t in pool.transfers if (t.memory, t.operand) == ("DRAM", "inputs")]


def test_an_array_waits_for_the_weights_of_its_passes(machine):
    program, plain = one_dense(), machine()
    blob = write_blob(program, Storage("dense"))
    waits = replace(plain, array=replace(plain.array, load_width=60))
    before, after = (network_cost(program, blob, each).layers[0] for each in (plain, waits))
    # 240 weights of 8 bits
    assert after.cycles == before.cycles | {"compute": 2 + 32}
    assert after.energy == before.energy


def test_a_memory_leaks_as_long_as_the_layer_takes(machine):
    program, plain = one_dense(), machine()
    memory = replace(plain.memories[0], leakage=Range(1, 2, 4))
    leaking = replace(plain, memories=(memory,))
    blob = write_blob(program, Storage("dense"))
    before, after = (network_cost(program, blob, each).layers[0] for each in (plain, leaking))
    # 73 cycles at 100 MHz are 730 ns
    assert after.transfers == (
        *before.transfers,
        Transfer("SRAM", "standby", 0, 0, Range(730, 1460, 2920)),
    )
    assert after.cycles == before.cycles
    assert before.time == 73


def paged(machine):
    """Bursts of 32 bytes, rows of 64; opening one takes 100 pJ, and 1 mW is drawn all the time."""
    pages, row, drawn = Pages(256, 512), GIVEN(100), GIVEN(1)
    return replace(machine, dram=replace(machine.dram, pages=pages, activation=row, leakage=drawn))


def test_dram_moves_whole_bursts_and_opens_whole_rows(machine):
    program = one_dense()
    blob = write_blob(program, Storage("dense"))
    before, after = (
        network_cost(program, blob, each).layers[0] for each in (machine(), paged(machine()))
    )
    kept = [each for each in after.transfers if each.memory != "DRAM rows"]
    assert tuple(kept) == before.transfers
    assert after.bits("DRAM") == before.bits("DRAM")
    # 2816 bits over a bus of 64; 44 cycles at 100 MHz are 440 ns
    assert after.cycles == before.cycles | {"DRAM": 44}
    assert [each for each in after.transfers if each.memory == "DRAM rows"] == [
        # 1920 bits are 8 bursts in 4 rows, 320 are 2 in 1, 192 are 1 in 1
        Transfer("DRAM rows", "weights", 128, 0, GIVEN(1280 + 400)),
        Transfer("DRAM rows", "inputs", 192, 0, GIVEN(1920 + 100)),
        Transfer("DRAM rows", "outputs", 0, 64, GIVEN(1280 + 100)),
        Transfer("DRAM rows", "standby", 0, 0, GIVEN(440)),
    ]


def test_what_stays_on_chip_opens_no_rows(machine):
    program = two_convs()
    found = network_cost(program, write_blob(program, Storage("dense")), paged(machine()))
    conv, pool = (
        {each.operand for each in layer.transfers if each.memory == "DRAM rows"}
        for layer in found.layers
    )
    assert conv == {"weights", "inputs", "standby"}
    assert pool == {"outputs", "standby"}


def test_hops_take_energy_where_the_array_states_it(machine):
    program, plain = one_dense(), machine()
    wired = replace(plain, array=replace(plain.array, hop=GIVEN(2)))
    blob = write_blob(program, Storage("dense"))
    before, after = (network_cost(program, blob, each).layers[0] for each in (plain, wired))
    assert after.transfers == (
        *before.transfers,
        Transfer("hops", "weights", 240 * 8, 0, GIVEN(2 * 240 * 8)),
        Transfer("hops", "inputs", 240 * 8, 0, GIVEN(2 * 240 * 8)),
        # 6 sums of 32 bits: 31 + 1 + 1 + 7 + 1 hops
        Transfer("hops", "sums", 6 * 41 * 32, 0, GIVEN(2 * 6 * 41 * 32)),
    )
    assert after.cycles == before.cycles


def test_sums_are_as_wide_as_the_array_has_them(machine):
    program, plain = one_dense(), machine()
    narrow = replace(plain, array=replace(plain.array, sum_bits=16))
    (layer,) = network_cost(program, write_blob(program, Storage("dense")), narrow).layers
    assert layer.transfers[-2:] == (
        Transfer("SRAM", "sums", 96, 96, GIVEN(288)),
        Transfer("registers", "sums", 240 * 32, 240 * 16, GIVEN(0.01 * (240 * 48))),
    )
    assert layer.arithmetic[1] == Arithmetic("add", 240, GIVEN(0.001 * 16 * 240))


def test_ternary_weights_are_not_multiplied(cost):
    (layer,) = cost(one_dense(TERNARY)).layers
    assert {each.kind: each.energy.nominal for each in layer.arithmetic} == {
        "multiply": 0,
        "add": 0.001 * 32 * 240,
    }


def test_a_layer_that_fits_leaves_nothing_to_dram_between_layers(cost):
    fused = cost(two_convs())
    assert [layer.op for layer in fused.layers] == ["conv", "max_pool"]
    between = 8 * 64 * 32
    assert fused.layers[0].bits("DRAM") == 2 * 64 * 8 + 144 * 8
    assert fused.layers[1].bits("DRAM") == between // 4


def test_what_does_not_fit_goes_to_dram_and_back(cost):
    apart = cost(two_convs(), kilobytes=1)
    between = 8 * 64 * 32
    assert apart.layers[0].bits("DRAM") >= 2 * 64 * 8 + 144 * 8 + between
    assert apart.layers[1].bits("DRAM") == between + between // 4


def test_the_file_decides_what_weights_move(machine):
    program = half_zero()
    blob = write_blob(program, Storage("bitmap"))
    (packed,) = packed_constants(program, blob).values()
    present = int(np.count_nonzero(half_weights()))
    assert (packed.values, packed.indices, packed.places) == (8 * present, 240, present)
    (layer,) = network_cost(program, blob, machine()).layers
    moved = {each.operand: each.reads for each in layer.transfers if each.memory == "DRAM"}
    assert moved["weights"] + moved["indices"] == packed.bits
    assert {each.kind: each.count for each in layer.arithmetic}["decode"] == present


def half_zero():
    sparse = weights(6, 40).array.copy()
    sparse[:, ::2] = 0
    b = Builder("net")
    x = b.input(Value("x", TensorType((BATCH, 40), INT8)))
    return schedule(b.build((b.node("y", Dense(), x, b.constant("w", Tensor(sparse, INT8))),)))


def test_a_gated_product_takes_a_share_of_its_energy_and_all_of_its_time(cost):
    (plain,) = cost(half_zero()).layers
    (gated,) = cost(half_zero(), zero_skip="gate", gated=0.25).layers
    present = int(np.count_nonzero(half_weights()))
    idle = 240 - present
    assert (gated.macs, gated.macs_done) == (240, present)
    assert gated.arithmetic[0] == Arithmetic(
        "multiply", present, GIVEN(0.64) * present + GIVEN(0.64 * 0.25 * idle), idle
    )
    assert gated.cycles == plain.cycles


def test_a_skipped_product_takes_nothing_but_the_place_of_the_others(cost):
    (layer,) = cost(half_zero(), zero_skip="skip").layers
    present = int(np.count_nonzero(half_weights()))
    moved = {(each.memory, each.operand): each for each in layer.transfers}
    # 40 places in a filter: 6 bits
    assert moved["SRAM", "weights"].reads == moved["SRAM", "weights"].writes == 14 * present
    assert moved["SRAM", "inputs"].reads == 8 * present
    assert moved["registers", "sums"].writes == 32 * present
    assert layer.arithmetic[0] == Arithmetic(
        "multiply", present, GIVEN(0.64) * present, 240 - present
    )
    assert layer.cycles["compute"] == 1


def one_in_eight(*present):
    """A dense layer of 8 filters and 400 inputs, ones where ``present`` says."""
    codes = np.zeros((8, 400), np.int8)
    codes[present] = 1
    b = Builder("net")
    x = b.input(Value("x", TensorType((BATCH, 400), INT8)))
    return schedule(b.build((b.node("y", Dense(), x, b.constant("w", Tensor(codes, INT8))),)))


def test_skipped_weights_leave_their_room_to_others(cost):
    # 400 of 3,200 weights, 8 + 9 bits each, beside inputs of 8 bits: 8,192 bits
    spread = cost(one_in_eight(slice(None), slice(0, 50)), kilobytes=1, zero_skip="skip")
    alone = cost(one_in_eight(0), kilobytes=1, zero_skip="skip")
    dense = cost(one_in_eight(0), kilobytes=1)
    # 4 filters have 200 of them: 3400 bits; all 8 have 6,800, too much beside 3,200 of inputs
    assert spread.layers[0].remark == "tiles n=1, p=1, q=1, m=4, c=400 in order smc"
    # in one filter: 200 in half of the channels
    assert alone.layers[0].remark == "tiles n=1, p=1, q=1, m=8, c=200 in order smc"
    # 3,200 of inputs and 8 bits of every weight
    assert dense.layers[0].remark == "tiles n=1, p=1, q=1, m=1, c=400 in order smc"


def test_weights_of_a_list_lie_in_the_channels_that_it_names():
    b = Builder("net")
    x = b.input(Value("x", TensorType((BATCH, 3, 4, 4), INT8)))
    # places 0 and 4 of channels 0 and 2; nothing of channel 1
    columns = b.constant("columns", Tensor(np.array([0, 2, 12, 14], np.int32), int_type(32)))
    w = b.constant("w", Tensor(np.array([[1, 0, 1, 0], [0, 1, 0, 0]], np.int8), INT8))
    program = schedule(b.build((b.node("y", GatherConv((2, 3)), x, w, columns),)))
    (layer,) = layers_of(program)
    assert present_in(program, layer).tolist() == [[[2, 0], [0, 1]]]


def test_weights_of_groups_are_counted_by_channel():
    codes = np.zeros((4, 2, 3, 3), np.int8)
    codes[0, 0], codes[3, 1, 1] = 1, 1
    b = Builder("net")
    x = b.input(Value("x", TensorType((BATCH, 4, 8, 8), INT8)))
    w = b.constant("w", Tensor(codes, INT8))
    program = schedule(b.build((b.node("y", Conv(groups=2), x, w),)))
    (layer,) = layers_of(program)
    assert present_in(program, layer).tolist() == [[[9, 0], [0, 0]], [[0, 0], [0, 3]]]


def half_weights():
    return half_zero().slot("w").constant.array


def test_energy_is_the_sum_of_its_parts_and_time_of_its_layers(cost):
    found = cost(two_convs())
    parts = [
        part.energy for layer in found.layers for part in (*layer.transfers, *layer.arithmetic)
    ]
    assert found.energy.nominal == pytest.approx(Range.total(parts).nominal, rel=1e-12)
    assert found.time == sum(layer.time for layer in found.layers)
    assert found.to_json()["totals"]["cycles"] == found.time


def test_more_memory_never_moves_more(cost):
    moved = [
        sum(layer.bits("DRAM") for layer in cost(two_convs(32), kilobytes=size).layers)
        for size in (1, 2, 4, 8, 16)
    ]
    assert moved == sorted(moved, reverse=True)
    assert moved[0] > moved[-1]


def test_a_layer_too_large_for_the_memory_is_named(cost):
    b = Builder("net")
    x = b.input(Value("x", TensorType((BATCH, 1, 600, 4), INT8)))
    w = b.constant("w", weights(1, 1, 600, 4))
    program = schedule(b.build((b.node("y", Conv(), x, w, origin="/conv"),)))
    with pytest.raises(UsageError) as error:
        cost(program, kilobytes=1)
    assert str(error.value) == (
        "Layer '/conv' on 'round': Not even its smallest tile fits into SRAM of 1,024 bytes. "
        "Choose hardware with more memory."
    )
