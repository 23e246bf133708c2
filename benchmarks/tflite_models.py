"""Line 5 of the imports: TFLite models against LiteRT, code by code.

    python benchmarks/tflite_models.py [--json]

Every computed tensor of a model is made an output of it, so that LiteRT shows it under either
resolver; the compiled network shows it by ``trace``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from data import cifar10, folder
from numpy.typing import NDArray
from report import Figure, main

from intaglio.api import compile as compile_

SAMPLES = 1000
BATCH = 100
SEMANTICS = ("tflite", "xnnpack")
SEEDS = range(1000, 1010)
Array = NDArray[Any]


def inputs_of(name: str) -> Array:
    """``SAMPLES`` inputs as codes in the file's order."""
    if name == "kws_ref_model":
        kws: Array = np.load(folder() / "kws01" / "kws01.npz")["x_int8"][:SAMPLES]
        return kws.reshape(-1, 49, 10, 1)
    images = np.rint(cifar10("test")[0][:SAMPLES] * 255).astype(np.int64) - 128
    return images.transpose(0, 2, 3, 1).astype(np.int8)


def exposed(model: bytes) -> tuple[bytes, list[str]]:
    """The model with every computed tensor as an output, and their names."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    made = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = made.subgraphs[0]
    computed = [index for operator in graph.operators for index in operator.outputs]
    graph.outputs = np.array(computed, np.int32)
    made.signatureDefs = None
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(made.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output()), [graph.tensors[index].name.decode() for index in computed]


def litert(model: bytes, semantics: str, inputs: Array) -> dict[str, Array]:
    """Every computed tensor by name."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    shown, names = exposed(model)
    reference = semantics == "tflite"
    made = Interpreter(
        model_content=shown,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF
        if reference
        else OpResolverType.AUTO,
        num_threads=2,
    )
    entry = made.get_input_details()[0]
    made.resize_tensor_input(entry["index"], [BATCH, *entry["shape"][1:]])
    made.allocate_tensors()
    outputs = [detail["index"] for detail in made.get_output_details()]
    parts: dict[str, list[Array]] = {name: [] for name in names}
    for start in range(0, len(inputs), BATCH):
        made.set_tensor(entry["index"], inputs[start : start + BATCH])
        made.invoke()
        for name, index in zip(names, outputs, strict=True):
            parts[name].append(made.get_tensor(index))
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def compared(path: Path, semantics: str) -> list[Figure]:
    """Tensors and codes compared, and how many differ."""
    name = path.stem
    inputs = inputs_of(name)
    expected = litert(path.read_bytes(), semantics, inputs)
    net = compile_(path, semantics=semantics)
    tensors, codes, differing = 0, 0, 0
    for start in range(0, len(inputs), BATCH):
        found = net.trace(inputs[start : start + BATCH])
        shared = [each for each in expected if each in found]
        tensors = len(shared)
        for each in shared:
            wanted = expected[each][start : start + BATCH]
            got = found[each].codes
            got = got if got.shape == wanted.shape else np.moveaxis(got, 1, -1)
            codes += wanted.size
            differing += int(np.count_nonzero(got != wanted))
    verdicts = [each.verdict for each in net.certificates.values()]
    label = f"{name}, {semantics}"
    return [
        Figure(f"{label}: tensors compared", tensors, f"of {len(expected)}"),
        Figure(f"{label}: codes compared", codes),
        Figure(f"{label}: codes that differ", differing, "", "==", 0),
        Figure(f"{label}: rescalings not proved", verdicts.count("differs"), "", "==", 0),
    ]


def single_operators(semantics: str) -> list[Figure]:
    """The single operators that the tests draw, with other seeds, int8 and int16."""
    from tests.frontend.tflite_cases import CASES
    from tests.frontend.tflite_compare import codes_of
    from tests.frontend.tflite_models import litert as outputs_of
    from tests.frontend.tflite_wide_cases import CASES as WIDE_CASES

    figures = []
    for bits, cases in (("int8", CASES), ("int16x8", WIDE_CASES)):
        models, codes, differing = 0, 0, 0
        for draw in cases.values():
            for seed in SEEDS:
                model, inputs = draw(np.random.default_rng(seed))
                _, found = codes_of(model, semantics, inputs)
                expected = outputs_of(model, semantics, *inputs)
                models += 1
                codes += sum(wanted.size for wanted in expected)
                pairs = zip(found, expected, strict=True)
                differing += sum(int(np.count_nonzero(a != b)) for a, b in pairs)
        label = f"{bits} operators, {semantics}"
        figures += [
            Figure(f"{label}: models of one", models, f"of {len(cases)} kinds"),
            Figure(f"{label}: codes compared", codes),
            Figure(f"{label}: codes that differ", differing, "", "==", 0),
        ]
    return figures


def line_5() -> list[Figure]:
    """Both models of MLPerf Tiny, and drawn single operators, under both semantics."""
    models = folder() / "models" / "mlperf_tiny"
    figures = [
        figure
        for name in ("pretrainedResnet_quant", "kws_ref_model")
        for semantics in SEMANTICS
        for figure in compared(models / f"{name}.tflite", semantics)
    ]
    return figures + [each for semantics in SEMANTICS for each in single_operators(semantics)]


if __name__ == "__main__":
    main("TFLite models against LiteRT", {"5": line_5})
