"""The front and the cheapest, beside their definitions."""

from hypothesis import given
from hypothesis import strategies as st

from intaglio.sweeping.front import cheapest, front

SMALL = st.integers(0, 4).map(float)
SCORES = st.integers(1, 3).flatmap(
    lambda size: st.dictionaries(st.integers(0, 99), st.tuples(*[SMALL] * size), max_size=12)
)


def beats(one, other):
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


@given(SCORES)
def test_the_front_is_what_nothing_beats_and_beats_all_else(scores):
    found = front(scores)
    assert found == [key for key in scores if key in set(found)]
    assert not any(beats(scores[a], scores[b]) for a in scores for b in found)
    rest = set(scores) - set(found)
    assert all(any(beats(scores[a], scores[b]) for a in found) for b in rest)


@given(SCORES)
def test_the_front_of_the_front_is_the_front(scores):
    found = front(scores)
    assert front({key: scores[key] for key in found}) == found


def test_equal_scores_are_on_the_front_together():
    scores = {1: (0.0, 5.0), 2: (1.0, 4.0), 3: (0.0, 5.0), 4: (1.0, 5.0)}
    assert front(scores) == [1, 2, 3]


OUTCOMES = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 20).map(lambda n: n / 20), SMALL), max_size=12
).map(lambda rows: [(key, *row) for key, row in enumerate(rows)])


@given(OUTCOMES, st.sampled_from([0.0, 5.0, 20.0, 100.0]))
def test_the_cheapest_is_accurate_enough_and_no_cheaper_one_is(outcomes, points):
    best = max((accuracy for _, _, accuracy, _ in outcomes), default=0)
    enough = [each for each in outcomes if round(100 * (best - each[2]), 6) <= points]
    found = cheapest(outcomes, points)
    assert set(found) == {group for _, group, _, _ in enough}
    for group, key in found.items():
        mine = [each for each in enough if each[1] == group]
        (chosen,) = (each for each in mine if each[0] == key)
        assert chosen[3] == min(each[3] for each in mine)
        assert not any(each[3] == chosen[3] and each[2] > chosen[2] for each in mine)
