"""Who runs the networks, each on one thread unless told otherwise, and how they are raced."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median, quantiles

import numpy as np
import torch
from kernel_networks import Made

import intaglio
from intaglio.backends.simulator import Simulator

Run = Callable[[], object]
_LAST, _ROWS = torch.channels_last, torch.contiguous_format
SECONDS = 4e-3
"""A sample of the race lasts about so long."""


def ours(blob: Path, batch: int, threads: int = 1) -> Run:
    """The simulator, codes in and codes out."""
    program = intaglio.load(blob).program
    simulator, codes = Simulator(program), random_codes(program, batch)
    return lambda: simulator.run(codes, threads=threads)


def random_codes(program: intaglio.Program, batch: int) -> dict[str, np.ndarray]:
    """Codes for every input."""
    rng = np.random.default_rng(0)
    slots = [program.slots[index] for index in program.inputs]
    return {
        slot.name: rng.integers(
            slot.type.dtype.lo, slot.type.dtype.hi, (batch, *slot.type.sample_shape), endpoint=True
        ).astype(slot.type.dtype.container)
        for slot in slots
    }


def onnxruntime(path: Path, images: np.ndarray, threads: int = 1) -> Run:
    """onnxruntime with all of its optimizations."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": images})


def openvino(path: Path, images: np.ndarray, threads: int = 1) -> Run:
    """OpenVINO, compiled for the batch."""
    import openvino as ov

    core = ov.Core()
    model = core.read_model(path)
    model.reshape(list(images.shape))
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return lambda: request.infer({0: images})


def pytorch(network: Made, images: np.ndarray, threads: int = 1) -> Run:
    """torch in float32, traced and optimized for inference, channels last."""
    torch.set_num_threads(threads)
    like = torch.from_numpy(images).contiguous(memory_format=_LAST if images.ndim == 4 else _ROWS)
    module = network.module().to(memory_format=_LAST)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.optimize_for_inference(torch.jit.trace(module, like))

    def run() -> object:
        with torch.inference_mode():
            return traced(like)

    return run


def litert(path: Path, batch: int, threads: int = 1) -> Run:
    """LiteRT with its default kernels, random codes."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=threads)
    (given,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(given["index"], (batch, *given["shape"][1:]))
    interpreter.allocate_tensors()
    codes = np.random.default_rng(0).integers(-128, 128, (batch, *given["shape"][1:]), np.int8)

    def run() -> object:
        interpreter.set_tensor(given["index"], codes)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    return run


def peers(network: Made, batch: int, threads: int = 1) -> dict[str, Run | None]:
    """The runtimes by name; None for those that are not installed.

    OpenVINO is not among the project's requirements.
    """
    shape = (batch, *network.shape)
    images = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found: dict[str, Run | None] = {}
    for name, runner in (("onnxruntime", onnxruntime), ("OpenVINO", openvino)):
        for kind, path in (("int8", network.int8), ("float", network.real)):
            try:
                found[f"{name} {kind}"] = runner(path, images, threads)
            except ImportError:
                found[f"{name} {kind}"] = None
    return found | {"torch float": pytorch(network, images, threads)}


def race(runners: Mapping[str, Run], rounds: int = 15) -> dict[str, list[float]]:
    """Seconds of a run of each, in so many rounds, one after the other in each round."""
    inner = {name: _turns(run) for name, run in runners.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, run in runners.items():
            began = time.perf_counter()
            for _ in range(inner[name]):
                run()
            seconds[name].append((time.perf_counter() - began) / inner[name])
    return seconds


def _turns(run: Run) -> int:
    """Runs that make a sample long enough; what is compiled at first is compiled now."""
    run()
    run()
    began = time.perf_counter()
    run()
    return max(1, int(SECONDS / max(time.perf_counter() - began, 1e-7)))


def ratio(theirs: list[float], ours: list[float]) -> tuple[float, float, float]:
    """How many times faster ours is: the median of rounds, and 10 and 90 % of them."""
    found = [a / b for a, b in zip(theirs, ours, strict=True)]
    tenths = quantiles(found, n=10)
    return median(found), tenths[0], tenths[-1]
