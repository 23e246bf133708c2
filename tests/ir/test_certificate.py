import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.ir.certificate import Certificate, Difference

whole = st.integers(-(2**62), 2**62)
differences = st.builds(Difference, st.integers(0, 99), whole, whole, whole)
certificates = st.builds(
    Certificate,
    st.sampled_from(["exact", "certified", "table", "differs"]),
    st.text(),
    whole,
    whole,
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.lists(differences, max_size=3).map(tuple),
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
