"""One trial: what it gives, what it keeps of training, and what it says when it fails."""

import json
import os
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

import intaglio
from intaglio.commands.sweep import Measure
from intaglio.cost_models.hardware import load_hardware
from intaglio.ir.graph import Builder, Value
from intaglio.ir.ops_linear import Dense
from intaglio.ir.tensor import BATCH, TensorType, real
from intaglio.sweeping.trial import Compiled, Outcome, Task, Work
from intaglio.sweeping.workers import Local


@pytest.fixture(scope="module")
def work():
    """Work on a dense layer of 12 inputs and 3 classes, with data that trains it."""
    rng = np.random.default_rng(0)
    b = Builder("dense")
    x = b.input(Value("x", TensorType((BATCH, 12))))
    w = b.constant("w", real(rng.normal(size=(3, 12)).astype(np.float32)))
    graph = b.build((b.node("y", Dense(), x, w),))
    inputs = rng.normal(size=(300, 12)).astype(np.float32)
    labels = rng.integers(0, 3, 300)
    training = intaglio.Training((inputs, labels))
    return Work(graph, inputs[:64], training, Measure((inputs, labels), graph))


def task_of(number=0, bits=8, epochs=2):
    recipe = (
        f'canonicalize,magnitude{{"target": {{"rate": 2}}, "retrain": {epochs}}},'
        f'quantize{{"weight_bits": {bits}}},lower'
    )
    return Task(number, {"bits": str(bits)}, recipe, ("smallest",), load_hardware("edge-npu"))


def plain(work, task):
    return intaglio.compile(work.graph, work.data, recipe=task.recipe, training=work.training).blob


def test_an_outcome_is_the_network_and_its_cost(work):
    outcome = work(task_of())
    assert (outcome.error, outcome.choices) == ("", {"bits": "8"})
    blob = plain(work, task_of())
    x, y = work.training.train
    right = int((np.asarray(intaglio.Network(blob).run(x)).argmax(axis=1) == y).sum())
    assert outcome.compiled == Compiled(blob, 300, right)
    assert outcome.compiled.accuracy == right / 300
    assert outcome.costs.file_bytes == len(outcome.compiled.blob)
    assert outcome.costs.nonzero == 18
    data = json.loads(json.dumps(outcome.to_json()))
    assert Outcome.from_json(data, outcome.compiled.blob) == outcome


def test_a_compiled_network_is_only_priced(work):
    given = Compiled(plain(work, task_of()), 7, 6)
    broken = Task(3, {}, "nothing", (), load_hardware("mcu"), given)
    outcome = work(broken)
    assert outcome.compiled is given
    assert outcome.costs.hardware == "mcu"


def test_what_fails_is_said_and_raises_nothing(work):
    task = Task(3, {}, "canonicalize,quantize", ("smallest",), load_hardware("mcu"))
    outcome = work(task)
    assert (outcome.costs, outcome.compiled) == (None, None)
    assert outcome.error.startswith("The recipe 'canonicalize,quantize' leaves the quantized stage")
    assert Outcome.from_json(json.loads(json.dumps(outcome.to_json())), b"") == outcome
    bug = replace(work, measure=bad_measure)(task_of(epochs=0))
    assert bug.error == "ValueError: of no use"


def bad_measure(network):
    raise ValueError("of no use")


def test_what_trains_alike_trains_once(work, tmp_path):
    kept = replace(work, checkpoints=tmp_path)
    assert kept(task_of()).compiled.blob == plain(work, task_of())
    (folder,) = tmp_path.iterdir()
    (state,) = folder.glob("*.pt")
    before = state.stat().st_mtime_ns
    four = task_of(1, bits=4)
    assert kept(four).compiled.blob == plain(work, four)
    assert state.stat().st_mtime_ns == before
    kept(task_of(2, epochs=3))
    assert len(list(tmp_path.iterdir())) == 2


def test_where_there_is_no_such_folder_nothing_is_kept(work, tmp_path):
    other = replace(work, checkpoints=tmp_path / "elsewhere")
    assert other(task_of()).compiled.blob == plain(work, task_of())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_training_goes_on_where_its_worker_was_killed(work, tmp_path):
    task = task_of(epochs=30)
    killed = []

    def kill(workers):
        while not list(tmp_path.glob("*/*.jsonl")):
            time.sleep(0.005)
        killed.append(workers.workers[0].process.pid)
        os.kill(killed[0], signal.SIGKILL)

    with Local(replace(work, checkpoints=tmp_path), 1) as workers:
        thread = threading.Thread(target=kill, args=(workers,))
        thread.start()
        ((_, outcome),) = workers.run([task])
        thread.join()
        assert workers.workers[0].process.pid not in killed
    assert outcome.error == ""
    assert outcome.compiled.blob == plain(work, task)
