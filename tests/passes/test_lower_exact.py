"""Lowering against the slow truth: quantised graphs evaluated in rationals, element by element.

Random networks; every quantise point of every network is an output, so equality holds everywhere.
"""

from fractions import Fraction
from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.ir.evaluate import evaluate
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import BIPOLAR, INT32, ROUNDINGS, int_type, short_scale
from intaglio.ir.ops_layout import Concat, Pad, Reshape, Slice, Transpose
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_pointwise import Add, Affine, Clip, Relu, Unary
from intaglio.ir.ops_pool import AveragePool, MaxPool
from intaglio.ir.ops_quant import Dequantize, Quantize
from intaglio.ir.tensor import BATCH, Tensor, TensorType, real
from intaglio.ir.verify import verify
from intaglio.passes.base import Context
from intaglio.passes.lower import Lower
from intaglio.passes.rescale import round_fraction

MOVES = (Reshape, Transpose, Slice, Concat)
FAR = 10**30  # beyond every code


def evaluate_exactly(graph, reals):
    """Every value of the graph by name: object arrays of Fraction, or of int for codes."""
    known = dict(reals)
    for name, tensor in graph.constants.items():
        convert = int if tensor.dtype.is_integer else Fraction
        known[name] = each(tensor.array.astype(object), lambda v, convert=convert: convert(v))
    for node in graph.nodes:
        operands = [known[name] for name in node.inputs]
        border = pad_code(graph, node) if isinstance(node.op, Pad) else None
        known[node.name] = apply(node.op, operands, border)
    return known


def each(array, function):
    """``function`` of every element."""
    made = np.empty(array.shape, dtype=object)
    for index in np.ndindex(*array.shape):
        made[index] = function(array[index])
    return made


def along(parameter, axis, index):
    """The scalar or per-channel parameter that belongs to ``index``."""
    flat = parameter.ravel()
    return flat[index[axis] if flat.size > 1 else 0]


def apply(op, operands, border):
    x = operands[0]
    if isinstance(op, Quantize | Dequantize | Affine):
        return per_channel(op, *operands)
    if isinstance(op, Conv):
        return conv(op, *operands)
    if isinstance(op, Dense):
        bias = operands[2] if len(operands) > 2 else np.zeros(len(operands[1]), dtype=object)
        return x.dot(operands[1].T) + bias
    if isinstance(op, Add):
        return x * op.multipliers[0] + operands[1] * op.multipliers[1]
    if isinstance(op, Relu):
        return each(x, lambda v: max(v, Fraction(0)))
    if isinstance(op, Clip):
        lo, hi = (np.float32(end).item() for end in (op.lo, op.hi))
        return each(x, lambda v: min(max(v, lo), hi))
    if isinstance(op, Unary):
        return each(x, lambda v: Fraction(op.reference(np.array([float(v)])).item()))
    if isinstance(op, AveragePool | MaxPool):
        return pool(op, x)
    if isinstance(op, Pad):
        widths = ((0, 0), *zip(op.before, op.after, strict=True))
        return np.pad(x, widths, constant_values=border)
    assert isinstance(op, MOVES)
    return op.reference(*operands)


def per_channel(op, x, first, second):
    made = np.empty(x.shape, dtype=object)
    for index in np.ndindex(*x.shape):
        axis = 1 if isinstance(op, Affine) else op.axis
        a, b = along(first, axis, index), along(second, axis, index)
        if isinstance(op, Affine):
            made[index] = a * x[index] + b
        elif isinstance(op, Dequantize):
            made[index] = a * (x[index] - b)
        else:
            code = round_fraction(Fraction(x[index]) / a, op.rounding) + b
            made[index] = min(max(code, op.dtype.lo), op.dtype.hi)
    return made


def inside(x, index, op, kernel, dilations):
    """The elements of one window with their place in the kernel; the border is left out."""
    top, left = op.pads[:2]
    for a, b in product(range(kernel[0]), range(kernel[1])):
        y = index[0] * op.strides[0] + a * dilations[0] - top
        z = index[1] * op.strides[1] + b * dilations[1] - left
        if 0 <= y < x.shape[0] and 0 <= z < x.shape[1]:
            yield (a, b), x[y, z]


def output_shape(x, op, kernel, dilations):
    return tuple(
        (x.shape[2 + i] + op.pads[i] + op.pads[i + 2] - dilations[i] * (kernel[i] - 1) - 1)
        // op.strides[i]
        + 1
        for i in range(2)
    )


def conv(op, x, weight, bias=None):
    co, per_group, *kernel = weight.shape
    shape = output_shape(x, op, kernel, op.dilations)
    made = np.empty((len(x), co, *shape), dtype=object)
    for n, o, r, c in np.ndindex(*made.shape):
        total = Fraction(0) if bias is None else bias[o]
        for p in range(per_group):
            channel = x[n, o // (co // op.groups) * per_group + p]
            for place, value in inside(channel, (r, c), op, kernel, op.dilations):
                total += weight[o, p][place] * value
        made[n, o, r, c] = total
    return made


def pool(op, x):
    dilations = op.dilations if isinstance(op, MaxPool) else (1, 1)
    made = np.empty((*x.shape[:2], *output_shape(x, op, op.kernel, dilations)), dtype=object)
    for n, o, r, c in np.ndindex(*made.shape):
        values = [value for _, value in inside(x[n, o], (r, c), op, op.kernel, dilations)]
        if isinstance(op, MaxPool):
            made[n, o, r, c] = max(values)
        else:
            made[n, o, r, c] = sum(values) / Fraction(op.kernel[0] * op.kernel[1])
    return made


def pad_code(graph, node):
    """What a border holds: its value if that is a code or only quantize points read it; else, like
    a weight, the nearest value that has a code.
    """
    source = graph.producers[node.inputs[0]]
    while not isinstance(source.op, Dequantize):
        source = graph.producers[source.inputs[0]]
    dtype = graph.type_of(source.inputs[0]).dtype
    scale = Fraction(graph.constants[source.inputs[1]].array.item())
    zero = int(graph.constants[source.inputs[2]].array)
    value = FAR * int(np.sign(node.op.value)) if np.isinf(node.op.value) else node.op.value
    real = Fraction(np.float32(value).item()) if abs(value) < FAR else Fraction(value)
    code = round_fraction(real / scale, "half_even") + zero
    users = graph.users[node.name]
    if users and all(isinstance(user.op, Quantize) for user in users):
        return real
    return scale * (min(max(code, dtype.lo), dtype.hi) - zero)


# Random quantised networks ------------------------------------------------------------------------


class Network:
    """Grows a quantised graph; ``points`` are the real values that have just been dequantised."""

    def __init__(self, rng, max_bits):
        self.rng, self.max_bits = rng, max_bits
        self.new = Builder("random")
        self.points, self.outputs, self.encodings = [], [], {}

    def choose(self, *options):
        return options[self.rng.integers(len(options))]

    def flip(self):
        return bool(self.rng.integers(2))

    def shape(self, name):
        return self.new.type_of(name).sample_shape

    def constant(self, name, array):
        return self.new.constant(name, real(np.asarray(array)))

    def input(self, shape):
        name = self.new.input(Value(self.new.fresh("x"), TensorType((BATCH, *shape))))
        self.point(name, 2.0)

    def point(self, name, reach):
        """quantize, dequantize: codes of at most max_bits that span about -reach..reach.

        In a network with codes of more than 8 bits every scale is a power of two.
        """
        bits = int(self.rng.integers(1, self.max_bits + 1))
        dtype = int_type(bits, signed=self.flip())
        step = 2 * reach / (1 << bits) * self.rng.uniform(0.5, 1.5)
        wide = self.max_bits > 8
        scale = 2.0 ** np.ceil(np.log2(step)) if wide else float(short_scale(np.array(step)))
        zero = int(self.rng.integers(dtype.lo, dtype.hi + 1))
        rounding = "half_up" if wide or self.flip() else self.choose(*ROUNDINGS)
        scale_name = self.constant(f"{name}.scale", scale)
        zero_name = self.new.constant(f"{name}.zero", Tensor(np.asarray(zero), INT32))
        op = Quantize(dtype, rounding=rounding)
        codes = self.new.node(f"{name}.codes", op, name, scale_name, zero_name)
        made = self.new.node(f"{name}.real", Dequantize(), codes, scale_name, zero_name)
        self.points.append(made)
        self.outputs.append(codes)
        self.encodings[name] = (Fraction(scale), zero, dtype)

    def weight(self, name, shape):
        """Constant codes of 1 to 8 bits behind a dequantize, per tensor or per channel."""
        bits = int(self.rng.integers(1, 9))
        top = (1 << bits - 1) - 1
        codes = (
            self.rng.integers(-top, top + 1, shape) if bits > 1 else self.rng.choice([-1, 1], shape)
        )
        dtype = int_type(bits) if bits > 1 else BIPOLAR
        size = shape[0] if self.flip() else 1
        step = short_scale(self.rng.uniform(0.2, 1, size) / max(top, 1))
        scale = self.constant(f"{name}.weight_scale", step if size > 1 else step.reshape(()))
        zero = self.new.constant("zero", Tensor(np.asarray(0), INT32))
        held = self.new.constant(f"{name}.weight", Tensor(codes, dtype))
        return self.new.node(f"{name}.weight_real", Dequantize(axis=0), held, scale, zero)

    def grow(self):
        x = self.choose(*self.points)
        image = len(self.shape(x)) == 3
        kinds = [self.affine, self.relu, self.unary, self.add, self.move, self.again, self.dense]
        kinds += [self.conv, self.conv, self.average, self.max_pool, self.concat] if image else []
        self.choose(*kinds)(x, self.new.fresh("v"))

    def finish(self, name, reach):
        """Perhaps a fused activation, then a point."""
        for _ in range(self.rng.integers(3)):
            lo, hi = sorted(self.rng.uniform(-reach, reach, 2).tolist())
            op = self.choose(Relu(), Clip(lo, hi), Clip(lo, np.inf), Clip(-np.inf, hi))
            name = self.new.node(f"{name}.act", op, name)
        self.point(name, reach)

    def geometry(self, size, dilation=1):
        kernel = tuple(int(self.rng.integers(1, min(3, (s - 1) // dilation + 1) + 1)) for s in size)
        strides = tuple(int(v) for v in self.rng.integers(1, 3, 2))
        pads = tuple(int(self.rng.integers(0, k)) for k in (*kernel, *kernel))
        return kernel, strides, pads

    def conv(self, x, name):
        channels, *size = self.shape(x)
        dilation = int(self.rng.integers(1, 3))
        kernel, strides, pads = self.geometry(size, dilation)
        groups = self.choose(1, channels)
        co = groups * int(self.rng.integers(1, 3))
        weight = self.weight(name, (co, channels // groups, *kernel))
        bias = [self.constant(f"{name}.bias", self.rng.normal(size=co))] if self.flip() else []
        op = Conv(strides, pads, (dilation, dilation), groups)
        self.finish(self.new.node(name, op, x, weight, *bias), 3.0)

    def dense(self, x, name):
        size, co = int(np.prod(self.shape(x))), int(self.rng.integers(1, 4))
        x = self.new.node(f"{name}.flat", Reshape((size,)), x)
        bias = [self.constant(f"{name}.bias", self.rng.normal(size=co))] if self.flip() else []
        self.finish(self.new.node(name, Dense(), x, self.weight(name, (co, size)), *bias), 3.0)

    def affine(self, x, name):
        size = self.choose((), (self.shape(x)[0],))
        scale = self.constant(f"{name}.factor", self.rng.uniform(-2, 2, size))
        shift = self.constant(f"{name}.shift", self.rng.normal(size=size))
        self.finish(self.new.node(name, Affine(), x, scale, shift), 3.0)

    def average(self, x, name):
        op = AveragePool(*self.geometry(self.shape(x)[1:]))
        self.finish(self.new.node(name, op, x), 2.0)

    def add(self, x, name):
        same = [each_ for each_ in self.points if self.shape(each_) == self.shape(x)]
        op = Add(self.choose((1, 1), (1, -1), (2, 1)))
        self.finish(self.new.node(name, op, x, self.choose(*same)), 3.0)

    def relu(self, x, name):
        self.finish(self.new.node(name, Relu(), x), 2.0)

    def unary(self, x, name):
        op = Unary(self.choose("sigmoid", "tanh", "leaky_relu", "hard_swish", "abs"), 0.1)
        self.point(self.new.node(name, op, x), 1.5)

    def again(self, x, name):
        self.point(x, 2.0)

    def concat(self, x, name):
        tail = self.shape(x)[1:]
        same = [each_ for each_ in self.points if self.shape(each_)[1:] == tail]
        parts = [self.choose(*same) for _ in range(self.rng.integers(1, 4))]
        self.point(self.new.node(name, Concat(1), *parts), 2.0)

    def max_pool(self, x, name):
        kernel, strides, pads = self.geometry(self.shape(x)[1:])
        pads = tuple(min(p, (k - 1) // 2) for p, k in zip(pads, (*kernel, *kernel), strict=True))
        self.points.append(self.new.node(name, MaxPool(kernel, strides, pads), x))

    def move(self, x, name):
        shape = self.shape(x)
        ones, zeros = (1,) * len(shape), (0,) * len(shape)
        some = tuple(int(v) for v in self.rng.integers(0, 2, len(shape)))
        axes = (0, *(int(v) + 1 for v in self.rng.permutation(len(shape))))
        op = self.choose(
            Reshape((int(np.prod(shape)),)),
            Transpose(axes),
            Slice(
                tuple(s - 1 if start else 0 for s, start in zip(shape, some, strict=True)),
                shape,
                ones,
            ),
            Pad(some, zeros, self.choose(0, 0, 0.7, -np.inf)),
        )
        self.points.append(self.new.node(name, op, x))


def network(seed, max_bits, layers):
    made = Network(np.random.default_rng(seed), max_bits)
    for _ in range(made.rng.integers(1, 3)):
        made.input((2, 3, 3))
    for _ in range(layers):
        made.grow()
    return made


def random_inputs(made, rng):
    """Codes of each input, and the reals that they mean, exactly."""
    codes, reals = {}, {}
    for value in made.new.inputs:
        scale, zero, dtype = made.encodings[value.name]
        array = rng.integers(dtype.lo, dtype.hi + 1, (2, *value.type.sample_shape))
        codes[value.name] = array.astype(dtype.container)
        reals[value.name] = each(array.astype(object), lambda v, s=scale, z=zero: s * (int(v) - z))
    return codes, reals


def unproved(graph):
    return [n.name for n in graph.nodes if n.certificate is not None and not n.certificate.proved]


def check(made, seed):
    graph = verify(made.new.build(tuple(made.outputs)), "quantized")
    lowered = verify(Lower().run(graph, Context()), "integer")
    if unproved(lowered):
        return lowered
    codes, reals = random_inputs(made, np.random.default_rng(seed))
    used = {value.name: codes[value.name] for value in lowered.inputs}
    truth, got = evaluate_exactly(graph, reals), evaluate(lowered, used)
    for point, name in zip(graph.outputs, lowered.outputs, strict=True):
        assert np.array_equal(got[name], truth[point].astype(np.int64)), point
        assert got[name].dtype == graph.type_of(point).dtype.container
    return lowered


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_integers_equal_the_exact_network_at_every_quantise_point(seed, layers):
    check(network(seed, 8, layers), seed)


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_wide_activations_equal_the_exact_network_too(seed, layers):
    check(network(seed, 12, layers), seed)
