"""Storage and packing: every figure of its lines, beside its aim.

    python benchmarks/packing.py [--json] [--line N]
    python benchmarks/packing.py --table      bytes of the weights of each network, beside others'

Line 2 needs constriction and line 2's Vela ethos-u-vela: pip install constriction ethos-u-vela.
"""

from __future__ import annotations

import lzma
import statistics
import sys
import time
from functools import cache

import numpy as np
from data import folder
from fuzz_blobs import line_5
from packing_peers import PEERS
from report import ROOT, Figure, main
from rich.console import Console
from rich.table import Table

import intaglio
from intaglio.backends.blob_reader import read_blob
from intaglio.backends.blob_writer import write_blob
from intaglio.backends.choose_formats import ENTROPY, STORED, Storage
from intaglio.backends.storage import Report, bounds, storage_report
from intaglio.ir.formats.rans import SYMBOLS, TOTAL, Segment
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import BIPOLAR, TERNARY, NumericType, int_type
from intaglio.ir.ops_linear import Conv
from intaglio.ir.program import Program, Slot
from intaglio.ir.tensor import Tensor, TensorType
from intaglio.kernels.rans import Compiled
from intaglio.passes.schedule import schedule

RESULTS = ROOT / "examples" / "results"
LARGE = 10_000
DENSE, SPARSE = 1.01, 1.03
COUNT = 1_000_000
DENSITIES = (1, 0.5, 0.25, 0.1, 0.05, 0.01)
BITS = (8, 4, 2, 1)
SPEED_COUNT, REPEATS = 4_000_000, 7


# Line 1


def line_1() -> list[Figure]:
    """Laws of every format, and the length that constriction needs."""
    cases = failures = wrong = 0
    rng = np.random.default_rng(0)
    types = [int_type(b, signed=s) for b in range(1, 17) for s in (True, False)]
    for dtype in (*types, BIPOLAR, TERNARY):
        for tensor in (tensor for _ in range(4) for tensor in shapes(rng, dtype)):
            for format_ in STORED.values():
                size = format_.size(tensor)
                if size is None:
                    continue
                packed = format_.pack(tensor)
                cases += 1
                failures += format_.unpack(packed, tensor.type) != tensor
                wrong += len(packed) != size.bytes
    return [
        Figure("constants packed and unpacked, 9 formats, 1 to 16 bits", cases),
        Figure("unpacked to something else", failures, "", "==", 0),
        Figure("whose packed size is not what size says", wrong, "", "==", 0),
        *_oracle(rng),
    ]


def shapes(rng: np.random.Generator, dtype: NumericType) -> list[Tensor]:
    """Constants of rank 0 to 4: full, half, few, none, one, clustered and structured."""
    found = []
    for shape in ((), (0,), (1,), (37,), (8, 40), (6, 3, 5), (8, 4, 3, 3)):
        full = rng.integers(dtype.lo, dtype.hi, shape, dtype.container, endpoint=True)
        if dtype.kind == "bipolar":
            found.append(Tensor(np.where(full == 0, 1, full).astype(np.int8), dtype))
            continue
        masks = [np.ones(shape), np.zeros(shape), rng.random(shape) < 0.5, rng.random(shape) < 0.05]
        one, cluster = np.zeros(shape), np.zeros(shape)
        if one.size:
            one.reshape(-1)[rng.integers(one.size)] = 1
            cluster.reshape(-1)[one.size // 3 : one.size // 2] = 1
        rows = np.ones(shape) * (rng.random((*shape[:1], *[1] * (len(shape) - 1))) < 0.5)
        every = (*masks, one, cluster, rows)
        found += [Tensor(full * mask.astype(full.dtype), dtype) for mask in every]
    return found


def _oracle(rng: np.random.Generator) -> list[Figure]:
    try:
        import constriction
    except ModuleNotFoundError:
        return [Figure("constriction is not installed: lengths compared", 0, "", ">=", 4)]
    figures = []
    for name, probabilities in (
        ("Gaussian", np.exp(-((np.arange(256) - 128) ** 2) / 1800)),
        ("geometric", 0.9 ** np.arange(200)),
        ("two symbols", np.array([0.98, 0.02])),
        ("uniform", np.ones(16)),
    ):
        frequencies = np.zeros(SYMBOLS, np.int64)
        count = len(probabilities)
        shares = probabilities / probabilities.sum()
        frequencies[:count] = 1 + shares * (TOTAL - count)
        frequencies[int(shares.argmax())] += TOTAL - frequencies.sum()
        exact = frequencies[:count] / TOTAL
        symbols = rng.choice(count, COUNT, p=exact)
        coder = constriction.stream.stack.AnsCoder()
        model = constriction.stream.model.Categorical(exact, perfect=False)
        coder.encode_reverse(symbols.astype(np.int32), model)
        theirs = 4 * len(coder.get_compressed())
        segments = [Segment(COUNT, 0)]
        ours = len(Compiled().encode(symbols.astype(np.uint8), segments, frequencies[None], 4))
        figures.append(
            Figure(
                f"{name}: bytes to constriction's, {COUNT:,} symbols",
                ours / theirs,
                "",
                "<=",
                1.001,
            )
        )
    return figures


# Line 2


@cache
def networks() -> dict[str, Program]:
    """The committed networks, and the int8 networks of MLPerf Tiny where they are there."""
    paths = sorted(RESULTS.glob("*.intg.xz"))
    found = {p.name.split(".")[0]: read_blob(lzma.decompress(p.read_bytes())) for p in paths}
    for path in sorted((folder() / "models" / "mlperf_tiny").glob("*.tflite")):
        try:
            found[path.stem] = intaglio.compile(path).program
        except intaglio.IntaglioError as error:
            print(f"{path.name} is left out: {error}", file=sys.stderr)
    return found


@cache
def measured(name: str) -> tuple[Report, int]:
    """The report of a network stored as small as it gets, and bytes of its dense blob."""
    program = networks()[name]
    blob = write_blob(program)
    return storage_report(program, blob), len(write_blob(program, Storage("dense")))


def gaussian(density: float, bits: int, count: int = COUNT) -> Tensor:
    """Gaussian weights, the greatest ``density`` of them left, uniform up to the greatest."""
    weights = np.random.default_rng(0).normal(size=count)
    weights[np.abs(weights) < np.quantile(np.abs(weights), 1 - density)] = 0
    if bits == 1:
        signs = np.sign(weights).astype(np.int8).reshape(1000, -1)
        return Tensor(signs, BIPOLAR if density == 1 else TERNARY)
    codes = weights / np.abs(weights).max() * ((1 << bits - 1) - 1)
    away = np.where((codes != 0) & (np.abs(codes) < 0.5), np.sign(codes), np.rint(codes))
    return Tensor(away.astype(np.int8).reshape(1000, -1), int_type(bits))


def line_2() -> list[Figure]:
    """Sizes beside entropy, beside dense, and beside what others need."""
    figures = []
    for sparse, most in ((False, DENSE), (True, SPARSE)):
        kind = "sparse (more than half zeros)" if sparse else "dense"
        drawn = [each for each in _drawn() if each[1] == sparse]
        real = [each for each in _real() if each[1] == sparse]
        for what, rows in (("Gaussian", drawn), ("networks", real)):
            name, _, ratio, _ = max(rows, key=lambda row: row[2])
            title = f"{what}, {kind}: worst bytes / entropy of {len(rows)} ({name})"
            figures.append(Figure(title, ratio, "", "<=", most))
            name, _, _, fair = max(rows, key=lambda row: row[3])
            title = f"{what}, {kind}: worst bytes / (entropy + its model) ({name})"
            figures.append(Figure(title, fair, "", "<=", most))
            figures.append(
                Figure(
                    f"{what}, {kind}: median bytes / entropy", statistics.median(r[2] for r in rows)
                )
            )
    whole = {
        name: report.file_bytes / dense for name in networks() for report, dense in [measured(name)]
    }
    worst = max(whole, key=lambda name: whole[name])
    figures.append(
        Figure(f"whole file / dense file, worst ({worst})", whole[worst], "", "<=", 1.001)
    )
    table = compared()
    for peer in PEERS:
        known = [(row["ours"], row[peer]) for row in table.values() if row[peer] is not None]
        smaller = sum(ours < theirs for ours, theirs in known)
        figures.append(
            Figure(
                f"networks whose weights are smaller than {peer}'s, of {len(known)}",
                smaller,
                "",
                ">=",
                len(known) or 1,
            )
        )
    return figures


def _drawn() -> list[tuple[str, bool, float, float]]:
    """Name, sparse or not, bytes to entropy, and to entropy and model, of Gaussian weights."""
    found = []
    for bits in BITS:
        for density in DENSITIES:
            tensor = gaussian(density, bits)
            stored = Storage().store(Slot("w", tensor.type, constant=tensor))
            assert stored is not None
            least = bounds(tensor.array)
            size = 8 * len(stored.data)
            zeros = 1 - np.count_nonzero(tensor.array) / tensor.array.size
            ratios = size / least.entropy, size / (least.entropy + least.model)
            found.append((f"{bits} bits, density {density}", zeros > 0.5, *ratios))
    return found


def _real() -> list[tuple[str, bool, float, float]]:
    """The same of the weights of networks, those over LARGE."""
    found = []
    for name, program in networks().items():
        arrays = {slot.name: slot.constant.array for slot in program.constants if slot.constant}
        for each in measured(name)[0].constants:
            if each.kind == "weight" and each.elements > LARGE and each.entropy_bytes:
                zeros = 1 - np.count_nonzero(arrays[each.name]) / each.elements
                fair = each.bytes / (each.entropy_bytes + each.model_bytes)
                label = f"{name} {each.origin or each.name}"
                found.append((label, zeros > 0.5, each.ratio, fair))
    return found


@cache
def compared() -> dict[str, dict[str, float | None]]:
    """Bytes of all weights of each network: dense, ours, entropy, and the peers'."""
    found = {}
    for name, program in networks().items():
        report, _ = measured(name)
        weights = [each for each in report.constants if each.kind == "weight"]
        names = {each.name for each in weights}
        tensors = [s.constant for s in program.constants if s.constant and s.name in names]
        row: dict[str, float | None] = {
            "dense": sum(each.dense_bytes for each in weights),
            "ours": sum(each.bytes + each.alignment for each in weights),
            "entropy": sum(each.entropy_bytes for each in weights),
        }
        found[name] = row | {peer: measure(tensors) for peer, measure in PEERS.items()}
    return found


def print_table() -> None:
    """The comparison as a table."""
    table = Table("network", *(head for head in next(iter(compared().values()))))
    for name, row in compared().items():
        table.add_row(name, *("" if cell is None else f"{cell:,.0f}" for cell in row.values()))
    Console(width=120).print(table)


# Line 3


def line_3() -> list[Figure]:
    """Million weights decoded a second, and the time to load a large network."""
    figures = []
    for name, density, bits in (
        ("int8, dense", 1, 8),
        ("int4, dense", 1, 4),
        ("int8, density 0.25", 0.25, 8),
        ("int8, density 0.1", 0.1, 8),
    ):
        tensor = gaussian(density, bits, SPEED_COUNT)
        packed = ENTROPY.pack(tensor)
        rates = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            ENTROPY.unpack(packed, tensor.type)
            rates.append(SPEED_COUNT / (time.perf_counter() - began) / 1e6)
        figures.append(
            Figure(f"{name}: decoded", statistics.median(rates), "M weights/s", ">=", 200)
        )
        figures.append(
            Figure(f"{name}: spread of {REPEATS}", max(rates) - min(rates), "M weights/s")
        )
    program = resnet18()
    blob = write_blob(program)
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        intaglio.Network(blob)
        seconds.append(time.perf_counter() - began)
    weights = sum(slot.type.elements for slot in program.constants)
    figures.append(Figure(f"blob of {weights:,} weights", len(blob), "bytes"))
    figures.append(Figure("loaded in", statistics.median(seconds), "s", "<=", 0.5))
    figures.append(Figure(f"spread of {REPEATS}", max(seconds) - min(seconds), "s"))
    return figures


def resnet18() -> Program:
    """Convolutions of ResNet-18's sizes, one after the other, with Gaussian int8 weights."""
    rng, b = np.random.default_rng(0), Builder("resnet18")
    sizes = [(64, 3, 7)]
    for width, before in ((64, 64), (128, 64), (256, 128), (512, 256)):
        sizes += [(width, before, 3), (width, width, 3), (width, width, 3), (width, width, 3)]
        sizes += [(width, before, 1)] if width != before else []
    sizes.append((1000, 512, 1))
    outputs = []
    for index, (filters, channels, k) in enumerate(sizes):
        x = b.input(Value(f"x{index}", TensorType(("n", channels, k, k), int_type(2)), f"x{index}"))
        codes = rng.normal(size=(filters, channels, k, k)) * 26
        weight = Tensor(np.clip(np.rint(codes), -127, 127).astype(np.int8), int_type(8))
        outputs.append(b.node(f"conv{index}", Conv(), x, b.constant(f"w{index}", weight)))
    return schedule(b.build(tuple(outputs)))


# Line 4


def line_4() -> list[Figure]:
    """Exports: C by gcc, ONNX by onnxruntime, code by code."""
    from packing_exports import exports

    return exports()


LINES = {"1": line_1, "2": line_2, "3": line_3, "4": line_4, "5": line_5}

if __name__ == "__main__":
    if "--table" in sys.argv:
        print_table()
    else:
        main("Storage formats and packing", LINES)
