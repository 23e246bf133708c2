"""Processes that run tasks, some of which really die."""

import importlib
import operator
import os
import signal
from functools import partial
from multiprocessing import active_children

import pytest

from intaglio.sweeping.workers import Died, Local, processors


def test_every_job_has_its_result_once():
    with Local(operator.neg, 2) as workers:
        assert sorted(workers.run(range(7))) == [(n, -n) for n in range(7)]
        assert list(workers.run([])) == []
        assert dict(workers.run([5])) == {5: -5}
        assert len(workers.workers) == 2
    assert active_children() == []


def test_workers_have_one_thread_unless_the_environment_says_otherwise(monkeypatch):
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with Local(os.getenv, 1) as workers:
        found = dict(workers.run(["OMP_NUM_THREADS", "MKL_NUM_THREADS"]))
    assert found == {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "3"}
    assert "OMP_NUM_THREADS" not in os.environ


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_the_job_of_a_killed_worker_is_run_again():
    killed = []
    with Local(partial(pow, 3), 1) as workers:
        found = []
        for pair in workers.run(range(4)):
            found.append(pair)
            if not killed:
                (worker,) = workers.workers
                killed.append(worker.process.pid)
                os.kill(worker.process.pid, signal.SIGKILL)
        assert workers.workers[0].process.pid not in killed
    assert sorted(found) == [(0, 1), (1, 3), (2, 9), (3, 27)]


def test_a_job_whose_workers_die_is_given_up_and_the_others_are_done():
    with Local(os._exit, 1) as workers:
        ((job, result),) = workers.run([7])
    assert job == 7
    assert isinstance(result, Died)
    assert result.message == (
        "Its worker died 3 times, at last with exit code 7. Perhaps memory ran out: try fewer --jobs."
    )


BAD_JOB = """
import os, signal, tempfile

def square(job):
    if job == 3:
        tempfile.mkstemp(dir=os.environ["BEGUN"])
        os.kill(os.getpid(), signal.SIGKILL)
    return job * job
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_one_bad_job_among_others_is_begun_three_times(tmp_path, monkeypatch):
    (tmp_path / "begun").mkdir()
    (tmp_path / "bad_job.py").write_text(BAD_JOB)
    monkeypatch.setenv("BEGUN", str(tmp_path / "begun"))
    monkeypatch.syspath_prepend(tmp_path)
    with Local(importlib.import_module("bad_job").square, 2) as workers:
        found = dict(workers.run(range(5)))
    assert found == {0: 0, 1: 1, 2: 4, 3: Died("signal SIGKILL"), 4: 16}
    assert len(list((tmp_path / "begun").iterdir())) == 3


def test_there_is_a_processor():
    assert processors() >= 1
