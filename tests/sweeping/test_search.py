"""Which combinations are tried: the same after a kill at any moment, whatever is done first."""

import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import UsageError
from intaglio.sweeping import extras
from intaglio.sweeping.search import Wanted, batches
from intaglio.sweeping.space import Space
from intaglio.sweeping.trial import Compiled, Costs, Outcome

PASSES = [{"name": "canonicalize"}, {"name": "quantize", "weight_bits": "$a"}, {"name": "lower"}]


def space_of(*sizes):
    names = "abcde"[: len(sizes)]
    choices = {
        name: {str(at): at + 1 for at in range(size)}
        for name, size in zip(names, sizes, strict=True)
    }
    recipes = {"r": PASSES}
    return Space(
        "s.toml", choices, "r", recipes, "dense", "edge-npu", {}, ("accuracy", "energy", "bytes")
    )


def outcome_of(space, number):
    """Accuracy and costs that all want something else; every seventh combination fails."""
    labels = space.labels(number)
    a, b, c = (int(each) for each in labels.values())
    if number % 7 == 3:
        return Outcome(number, labels, error="It does not fit.")
    energy = 100.0 - 5 * a + b * b + 3 * c
    costs = Costs("h", energy, energy, energy, 10, 1.0, 50 + 10 * a - b, 0.0, 8, 1)
    return Outcome(number, labels, costs=costs, compiled=Compiled(b"", 100, 50 + 4 * a - 2 * c))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_numbers_and_labels_are_inverse(sizes, data):
    space = space_of(*sizes)
    number = data.draw(st.integers(0, space.count - 1))
    assert space.number(space.labels(number)) == number


def test_the_last_choice_varies_fastest():
    space = space_of(2, 3)
    assert [tuple(space.labels(n).values()) for n in range(space.count)] == [
        ("0", "0"), ("0", "1"), ("0", "2"), ("1", "0"), ("1", "1"), ("1", "2")
    ]  # fmt: skip


def test_a_small_space_is_tried_as_a_whole_in_order(tmp_path):
    space = space_of(2, 3)
    assert [list(each) for each in batches(space, Wanted(6, 4, 0), {}, tmp_path / "j")] == [
        [0, 1, 2, 3, 4, 5]
    ]
    assert not (tmp_path / "j").exists()


def drawn(space, wanted, journal, found=None, stop=None):
    """The batches until ``stop``, their outcomes put into ``found`` in a wild order."""
    found = {} if found is None else found
    made = []
    for numbers in batches(space, wanted, found, journal):
        made.append(list(numbers))
        if stop == len(made):
            return made
        for number in reversed(numbers):
            found[number] = outcome_of(space, number)
    return made


def test_optuna_chooses_so_many_different_combinations_by_seed(tmp_path):
    space = space_of(4, 5, 6)
    made = drawn(space, Wanted(20, 6, 0), tmp_path / "a")
    numbers = {number for batch in made for number in batch}
    assert len(numbers) == 20
    assert all(len(batch) <= 6 for batch in made)
    assert drawn(space, Wanted(20, 6, 0), tmp_path / "b") == made
    assert drawn(space, Wanted(20, 6, 1), tmp_path / "c") != made


@pytest.mark.parametrize("stop", [1, 2, 3])
@pytest.mark.parametrize("tail", [b"", b'{"op_code":5,"wor'])
def test_a_killed_search_goes_on_as_if_nothing_had_been(tmp_path, stop, tail):
    space, wanted, journal = space_of(4, 5, 6), Wanted(20, 6, 0), tmp_path / "killed"
    undisturbed = drawn(space, wanted, tmp_path / "whole")
    found = {}
    begun = drawn(space, wanted, journal, found, stop)
    assert begun == undisturbed[:stop]
    journal.write_bytes(journal.read_bytes() + tail)
    assert drawn(space, wanted, journal, found) == undisturbed[stop - 1 :]


def test_a_search_killed_within_its_own_writing_goes_on(tmp_path):
    space, wanted = space_of(4, 5, 6), Wanted(14, 6, 0)
    drawn(space, wanted, tmp_path / "whole")
    lines = (tmp_path / "whole").read_bytes().splitlines(keepends=True)
    for kept in range(2, len(lines), 7):
        journal = tmp_path / f"cut{kept}"
        journal.write_bytes(b"".join(lines[:kept]))
        found = {number: outcome_of(space, number) for number in range(space.count)}
        drawn(space, wanted, journal, found)
        again = drawn(space, wanted, shutil.copy(journal, tmp_path / "again"), found)
        assert again == []


def test_a_search_of_few_left_ends(tmp_path):
    space = space_of(2, 2, 2)
    made = drawn(space, Wanted(7, 4, 0), tmp_path / "a")
    assert len({number for batch in made for number in batch}) <= 7


def test_optuna_is_only_needed_to_choose(tmp_path, monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    space = space_of(2, 3)
    assert list(batches(space, Wanted(6, 4, 0), {}, tmp_path / "j"))
    with pytest.raises(UsageError) as error:
        batches(space, Wanted(5, 4, 0), {}, tmp_path / "j")
    assert str(error.value) == (
        "The space has 6 combinations, more than --trials 5: Optuna chooses among them, which is "
        "not installed. Install it: pip install 'intaglio[sweep]', or try them all with --trials 6."
    )
