import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.ir.certificate import Certificate
from intaglio.ir.evaluate import evaluate
from intaglio.ir.graph import Builder, Value
from intaglio.ir.layout import from_storage, storage_shape, to_storage
from intaglio.ir.numeric import Encoding, int_type
from intaglio.ir.ops_layout import Concat
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_pointwise import Add
from intaglio.ir.ops_pool import MaxPool
from intaglio.ir.ops_quant import Lookup, Requantize, Threshold
from intaglio.ir.program import ALIGNMENT
from intaglio.ir.tensor import BATCH, Tensor, TensorType
from intaglio.ir.verify import verify
from intaglio.passes.schedule import Life, aligned, fuse, plan_arena, schedule

UINT8 = int_type(8, signed=False)
WIDE = int_type(12)


class Net:
    """A random integer network over values ``(n, c)`` and ``(n, c, h, w)``."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)
        self.new = Builder("net")
        self.codes = []

    def add_inputs(self):
        for index in range(self.rng.integers(1, 4)):
            shape = (2, 3, 3) if self.rng.integers(2) else (int(self.rng.integers(1, 200)),)
            self.codes.append(
                self.new.input(Value(f"x{index}", TensorType((BATCH, *shape), UINT8)))
            )

    def constant(self, name, array, dtype=None):
        return self.new.constant(name, Tensor(np.asarray(array), dtype or int_type(16)))

    def rescale(self, name, acc):
        dtype = UINT8 if self.rng.integers(2) else WIDE
        numbers = {"m": 3, "r": int(self.rng.integers(-99, 99)), "s": 5}
        operands = [self.constant(f"{name}.{key}", [value]) for key, value in numbers.items()]
        proof = Certificate("certified", "requantize", 0, 1)
        op = Requantize(dtype, 0, 200)
        return self.new.node(name, op, acc, *operands, certificate=proof, origin=f"/{name}")

    def grow(self, name):
        x = self.codes[self.rng.integers(len(self.codes))]
        type_ = self.new.type_of(x)
        same = [each for each in self.codes if self.new.type_of(each).shape == type_.shape]
        y = same[self.rng.integers(len(same))]
        kinds = ["add", "add, read twice", "layer", "rescale", "threshold"]
        kinds += ["lookup"] if type_.dtype == UINT8 else []
        kinds += ["concat"] if self.new.type_of(y) == type_ else []
        kinds += ["pool"] if len(type_.shape) == 4 else []
        kind = kinds[self.rng.integers(len(kinds))]
        self.codes.append(self.make(kind, name, x, y))

    def make(self, kind, name, x, y):
        channels = self.new.type_of(x).shape[1]
        if kind.startswith("add"):
            acc = self.new.node(f"{name}.acc", Add((1, -2)), x, y)
            if kind == "add, read twice":
                self.codes.append(self.rescale(f"{name}.other", acc))
            return self.rescale(name, acc)
        if kind == "layer":
            co = int(self.rng.integers(1, 200))
            image = len(self.new.type_of(x).shape) == 4
            shape = (co, channels, 1, 1) if image else (co, channels)
            weight = self.constant(f"{name}.w", self.rng.integers(-3, 4, shape))
            return self.rescale(
                name, self.new.node(f"{name}.acc", Conv() if image else Dense(), x, weight)
            )
        if kind == "threshold":
            steps = self.constant(f"{name}.t", np.sort(self.rng.integers(0, 99, (1, 3))))
            return self.new.node(name, Threshold(UINT8, 1), x, steps)
        if kind == "lookup":
            table = self.constant(f"{name}.table", self.rng.integers(0, 256, 256))
            return self.new.node(name, Lookup(UINT8, 0), x, table)
        if kind == "concat":
            return self.new.node(name, Concat(), x, y)
        if kind == "pool":
            return self.new.node(name, MaxPool((2, 1), pads=(1, 0, 0, 0)), x)
        return self.rescale(name, x)

    def build(self):
        count = self.rng.integers(1, 4)
        outputs = dict.fromkeys(self.codes[i] for i in self.rng.integers(0, len(self.codes), count))
        return verify(self.new.build(tuple(outputs)), "integer")


def network(seed, size):
    net = Net(seed)
    net.add_inputs()
    for index in range(size):
        net.grow(f"v{index}")
    return net


nets = st.builds(network, st.integers(0, 2**32), st.integers(0, 12))


def inputs_of(graph, rng):
    shape = {value.name: value.type.sample_shape for value in graph.inputs}
    return {name: rng.integers(0, 256, (1, *dims)).astype(np.uint8) for name, dims in shape.items()}


class Machine:
    """Executes a program of one sample on a bare byte arena: what overlaps is destroyed."""

    def __init__(self, program):
        self.program = program
        self.arena = np.full(program.arena_bytes, 0xAA, dtype=np.uint8)

    def place(self, index):
        slot = self.program.slots[index]
        return slot, self.arena[slot.offset : slot.offset + slot.size_bytes]

    def read(self, index):
        slot, memory = self.place(index)
        if slot.constant is not None:
            return slot.constant.array
        stored = memory.view(slot.type.dtype.container)
        return from_storage(stored.reshape(1, *storage_shape(slot.type.shape)[1:])).copy()

    def write(self, index, array):
        slot, memory = self.place(index)
        memory[:] = to_storage(array.astype(slot.type.dtype.container)).reshape(-1).view(np.uint8)

    def run(self, inputs):
        for index in self.program.inputs:
            self.write(index, inputs[self.program.slots[index].name])
        for step in self.program.steps:
            result = step.op.reference(*map(self.read, step.inputs))
            if step.epilogue is not None:
                result = step.epilogue.reference(result, *map(self.read, step.parameters))
            self.arena[slice(*self.span(step.output))] = 0x55
            self.write(step.output, result)
        return {self.program.slots[i].name: self.read(i) for i in self.program.outputs}

    def span(self, index):
        slot = self.program.slots[index]
        return slot.offset, slot.offset + aligned(slot.size_bytes)


@settings(max_examples=150)
@given(nets)
def test_the_program_computes_the_graph_inside_its_arena(net):
    graph = net.build()
    inputs = inputs_of(graph, net.rng)
    got = Machine(schedule(graph)).run(inputs)
    for name, expected in evaluate(graph, inputs).items():
        assert np.array_equal(got[name], expected)


@given(nets)
def test_slots_are_aligned_and_inside_the_arena(net):
    program = schedule(net.build())
    for slot in program.slots:
        if slot.constant is None:
            assert slot.offset % ALIGNMENT == 0
            assert 0 <= slot.offset <= program.arena_bytes - aligned(slot.size_bytes)
    assert program.arena_bytes % ALIGNMENT == 0


@given(nets)
def test_a_step_never_writes_where_it_reads(net):
    program = schedule(net.build())
    machine = Machine(program)
    for step in program.steps:
        out = range(*machine.span(step.output))
        for index in step.inputs:
            if program.slots[index].constant is None:
                first, last = machine.span(index)
                assert last <= out.start or first >= out.stop


lives = st.lists(
    st.tuples(st.integers(1, 9), st.integers(-1, 9), st.integers(0, 5)), max_size=12
).map(lambda rows: [Life(str(i), 64 * s, f, f + d) for i, (s, f, d) in enumerate(rows)])


@given(lives)
def test_values_that_live_together_never_overlap(given_):
    offsets = plan_arena(given_)
    for step in range(-1, 16):
        alive = [life for life in given_ if life.first <= step <= life.last]
        used = [
            byte
            for life in alive
            for byte in range(offsets[life.name], offsets[life.name] + life.size, 64)
        ]
        assert len(used) == len(set(used))


@given(lives)
def test_the_arena_is_no_greater_than_all_values_and_no_less_than_any_moment_needs(given_):
    offsets = plan_arena(given_)
    top = max((offsets[life.name] + life.size for life in given_), default=0)
    assert top <= sum(life.size for life in given_)
    for step in range(-1, 16):
        assert top >= sum(life.size for life in given_ if life.first <= step <= life.last)


def test_values_of_a_chain_share_two_places():
    chain = [Life(str(i), 128, i, i + 1) for i in range(10)]
    assert set(plan_arena(chain).values()) == {0, 128}


def test_a_rescaling_is_fused_with_the_op_that_it_alone_reads():
    net = Net()
    x = net.new.input(Value("x", TensorType((BATCH, 4), UINT8)))
    alone = net.make("add", "alone", x, x)
    net.make("add, read twice", "twice", x, x)
    net.make("rescale", "codes", x, x)
    graph = net.new.build((alone,))
    assert [tuple(node.name for node in group) for group in fuse(graph)] == [
        ("alone.acc", "alone"),
        ("twice.acc",),
        ("twice.other",),
        ("twice",),
        ("codes",),
    ]


def test_an_accumulator_that_is_an_output_is_not_fused_away():
    net = Net()
    x = net.new.input(Value("x", TensorType((BATCH, 4), UINT8)))
    y = net.make("add", "y", x, x)
    graph = net.new.build((y, "y.acc"))
    assert [len(group) for group in fuse(graph)] == [1, 1]
    assert schedule(graph).slot("y.acc").type.dtype == int_type(32)


def test_a_program_keeps_names_origins_encodings_certificates_and_recipe():
    net = Net()
    x = net.new.input(Value("x", TensorType((BATCH, 4), UINT8), "/in", Encoding(0.25, 7)))
    y = net.make("layer", "y", x, x)
    program = schedule(net.new.build((y,)), "canonicalize,lower")
    assert (program.name, program.recipe) == ("net", "canonicalize,lower")
    slot = program.slot("x")
    assert (slot.origin, slot.encoding) == ("/in", Encoding(0.25, 7))
    assert program.slot("y").origin == "/y"
    assert [program.slots[i].name for i in program.inputs] == ["x"]
    assert [program.slots[i].name for i in program.outputs] == ["y"]
    assert program.certificates == {"y": Certificate("certified", "requantize", 0, 1)}
    assert {slot.name for slot in program.constants} == {"y.w", "y.m", "y.r", "y.s"}
    assert all(slot.origin for slot in program.constants if slot.name != "y.w")


def test_a_network_that_only_passes_its_input_on_has_no_steps():
    net = Net()
    x = net.new.input(Value("x", TensorType((BATCH, 5), UINT8)))
    program = schedule(net.new.build((x,)))
    assert program.steps == ()
    codes = np.arange(5, dtype=np.uint8)[None]
    assert np.array_equal(Machine(program).run({"x": codes})["x"], codes)
