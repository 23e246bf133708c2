"""Random networks of every dialect, compared exactly; thousands: benchmarks/random_networks.py."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.frontend.onnx.importer import import_onnx
from intaglio.ir.evaluate import walk
from intaglio.ir.graph import Graph, Node
from intaglio.ir.numeric import ROUNDINGS, int_type, round_real
from intaglio.ir.tensor import Tensor

from .build import build
from .check import (
    Stages,
    Tally,
    check_meaning,
    input_codes,
    same_outputs,
    staged,
)
from .dialects import TRIALS, check
from .emit_qdq import emit_qdq
from .rational import Array, Rational, round_ratio
from .wishes import wishes, wishes_of

COUNTS = {"qdq": 6, "float": 2, "brevitas": 1}
"""How many networks of a dialect, if not 4."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TRIALS)
def test_nothing_differs(name):
    trial = TRIALS[name]
    pytest.importorskip(trial.package, reason=f"networks of the dialect {name} need it")
    for seed in range(COUNTS.get(name, 4)):
        drawn = wishes_of(trial.dialect, seed)
        try:
            check(name, drawn)
        except Exception as error:
            error.add_note(f"To reproduce it: check({name!r}, {drawn})")
            raise


@settings(max_examples=8)
@given(wishes(TRIALS["qdq"].dialect))
def test_nothing_differs_in_what_hypothesis_draws(drawn):
    check("qdq", drawn)


def one_code_more(integers: Graph, node: Node) -> Graph:
    """The graph whose rescaling ``node`` gives the next code everywhere."""
    shift = int(integers.constants[node.inputs[3]].array.max())
    held = integers.constants[node.inputs[2]].array.astype(np.int64) + (1 << shift)
    moved = Tensor(held, int_type(64))
    return replace(integers, constants={**integers.constants, node.inputs[2]: moved})


def is_found(wrong: Stages, codes: dict[str, Array]) -> bool:
    """Whether the comparison with the meaning fails."""
    traced = codes | {each.name: array for each, array in walk(wrong.integers, codes)}
    try:
        check_meaning(wrong, traced, codes, Tally())
    except AssertionError as error:
        return " codes of '" in str(error)
    return False


def test_a_rescaling_that_is_off_by_one_is_found():
    """Unless what follows hides it from every output."""
    network = build(wishes_of(TRIALS["qdq"].dialect, 3), TRIALS["qdq"].dialect)
    stages, codes = staged(import_onnx(emit_qdq(network))), input_codes(network)
    rescalings = [n for n in stages.integers.nodes if n.op.name == "requantize"]
    hidden = []
    for node in rescalings:
        wrong = replace(stages, integers=one_code_more(stages.integers, node))
        if not is_found(wrong, codes):
            hidden.append(node.name)
            assert same_outputs(wrong, codes)
    assert len(hidden) < len(rescalings) / 4


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=9))
def test_floats_are_taken_as_the_numbers_that_they_are(reals):
    exact = Rational.of_floats(np.array(reals, np.float32))
    assert [exact.unit * int(each) for each in exact.num] == [Fraction(each) for each in reals]


@given(
    st.sampled_from(ROUNDINGS),
    st.lists(st.integers(-1000, 1000), min_size=1, max_size=9),
    st.integers(0, 6),
    st.integers(0, 80),
)
def test_ratios_are_rounded_as_reals_are_whatever_their_size(rounding, above, bits, common):
    reals = np.array(above) / 2.0**bits
    wide = np.array([each << common for each in above], dtype=object)
    found = round_ratio(wide, 1 << (bits + common), rounding)
    assert found.astype(np.int64).tolist() == round_real(reals, rounding).astype(np.int64).tolist()


@given(wishes(TRIALS["qdq"].dialect), st.integers(0, 40))
def test_a_network_without_a_layer_is_a_network(drawn, place):
    dialect = TRIALS["qdq"].dialect
    place %= len(drawn)
    fewer = (*drawn[:place], ("none", 0), *drawn[place + 1 :])
    assert len(build(fewer, dialect).layers) <= len(drawn)
