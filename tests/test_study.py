"""The study of structured and non-structured pruning, on two of its networks."""

import runpy
from pathlib import Path

STUDY = Path(__file__).resolve().parent.parent / "examples" / "structured_vs_unstructured"


def test_the_study_compares_the_committed_networks():
    study = runpy.run_path(str(STUDY / "study.py"))
    names = ("lenet-structured-60x-s0", "lenet-admm-240x-s0", "lenet-dense-s0")
    candidates = study["family"](names, "edge-npu-skip", dict.fromkeys(names, 1.0))
    structured, other, dense = (each.compared for each in candidates)
    assert (structured.kind, other.kind, dense.kind) == ("structured", "non-structured", "dense")
    assert (structured.cost.file_bytes, other.cost.file_bytes) == (9119, 8107)
    assert (f"{structured.accuracy:.2%}", f"{other.accuracy:.2%}") == ("99.34%", "99.19%")
    assert round(structured.rate, 1) == 77.0
    # the verdict that its text states: where zeros are skipped, single weights take less energy
    ratio = structured.cost.energy.nominal / other.cost.energy.nominal
    assert round(ratio, 2) == 1.26
    assert round(structured.cost.time / other.cost.time, 2) == 1.12
