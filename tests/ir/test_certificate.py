import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.ir.certificate import Certificate, Difference, Removal

whole = st.integers(-(2**62), 2**62)
differences = st.builds(Difference, st.integers(0, 99), whole, whole, whole)


@st.composite
def removals(draw):
    """Some of up to 9 channels, each constant or unused."""
    channels = draw(st.integers(1, 9))
    fates = [draw(st.sampled_from(("stays", "constant", "unused"))) for _ in range(channels)]
    constant = tuple((c, draw(whole)) for c, fate in enumerate(fates) if fate == "constant")
    return Removal(channels, constant, tuple(c for c, fate in enumerate(fates) if fate == "unused"))


certificates = st.builds(
    Certificate,
    st.sampled_from(["exact", "certified", "table", "differs"]),
    st.text(),
    whole,
    whole,
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.lists(differences, max_size=3).map(tuple),
    st.none() | removals(),
)


@given(certificates)
def test_json_round_trip(certificate):
    assert Certificate.from_json(json.loads(json.dumps(certificate.to_json()))) == certificate


def test_json_leaves_out_what_is_zero():
    assert Certificate("exact", "threshold", 0, 5).to_json() == {
        "verdict": "exact",
        "method": "threshold",
        "hi": 5,
    }


def test_from_json_refuses_an_unknown_verdict():
    with pytest.raises(ValueError, match=r"^unknown verdict 'maybe'$"):
        Certificate.from_json({"verdict": "maybe", "method": ""})


@pytest.mark.parametrize(
    ("certificate", "text", "proved"),
    [
        (Certificate("exact", "threshold", -1, 1), "exact by construction (threshold)", True),
        (
            Certificate("certified", "requantize", -9, 9),
            "certified over [-9, 9] (requantize)",
            True,
        ),
        (Certificate("table", "lookup", 0, 255), "table over [0, 255] (lookup)", True),
        (
            Certificate("differs", "requantize", 0, 9, 3, 1),
            "differs at 3 inputs of [0, 9] by <= 1",
            False,
        ),
    ],
)
def test_certificate_says_what_is_proved(certificate, text, proved):
    assert str(certificate) == text
    assert certificate.proved == proved


def test_two_removals_are_one_in_the_numbers_of_the_first():
    first = Removal(6, ((1, 7),), (4,))
    assert first.survivors == [0, 2, 3, 5]
    assert first.then(Removal(4, ((3, 9),), (1,))) == Removal(6, ((1, 7), (5, 9)), (2, 4))


@given(removals(), st.data())
def test_later_removals_leave_the_survivors_of_survivors(first, data):
    left = first.survivors
    gone = data.draw(st.sets(st.sampled_from(range(len(left))))) if left else set()
    both = first.then(Removal(len(left), unused=tuple(sorted(gone))))
    assert both.survivors == [old for new, old in enumerate(left) if new not in gone]


@pytest.mark.parametrize(
    "removal",
    [{"channels": 3, "unused": [3]}, {"channels": 3, "unused": [1], "constant": [[1, 0]]}],
)
def test_a_removal_of_channels_that_are_not_there_is_refused(removal):
    given_ = {"verdict": "exact", "removal": removal}
    with pytest.raises(ValueError, match=r"^a channel that is not there was removed$"):
        Certificate.from_json(given_)
