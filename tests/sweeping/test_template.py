"""Names in data and what becomes of them."""

import re

import pytest

from intaglio.errors import UsageError
from intaglio.sweeping.template import filled, names_in

VALUES = {"bits": 4, "scheme": "column", "target": {"scheme": "$scheme", "rate": 2}, "all": True}


def test_a_text_that_is_a_name_becomes_the_value_and_its_own_names_are_filled():
    data = {"weight_bits": "$bits", "target": "$target", "layers": [{"match": "fc*", "on": "$all"}]}
    assert filled(data, VALUES) == {
        "weight_bits": 4,
        "target": {"scheme": "column", "rate": 2},
        "layers": [{"match": "fc*", "on": True}],
    }


def test_within_a_text_values_are_written_out():
    assert filled("/fc${bits}/*=$scheme, $all", VALUES) == "/fc4/*=column, true"
    assert filled("a$$b costs $$1", VALUES) == "a$b costs $1"
    assert filled("$$", VALUES) == "$"


def test_other_data_stays_as_it_is():
    data = {"rate": 2.5, "on": False, "name": "fc1", "none": []}
    assert filled(data, VALUES) == data


def test_names_are_found_wherever_they_are():
    data = {"a": "$bits", "b": [{"c": "x${scheme}y $$no"}, "$bits"]}
    assert list(names_in(data)) == ["bits", "scheme", "bits"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "$bit",
            "'$bit' has no value here, in '$bit'. State it in [choices]; a value cannot use itself. "
            "There are $bits, $scheme, $target, $all.",
        ),
        (
            "of $target",
            "'$target' is a list or table, which is no part of the text 'of $target'. Write "
            '"$target" alone.',
        ),
        ("5 $", "A '$' in '5 $' has no name behind it. Write $name, ${name} or $$."),
        ("$1", "A '$' in '$1' has no name behind it. Write $name, ${name} or $$."),
    ],
)
def test_what_cannot_be_filled_is_refused(text, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        filled(text, VALUES)


def test_a_value_that_uses_itself_is_refused():
    with pytest.raises(UsageError, match=r"^'\$a' has no value here, in 'x \$a'\. "):
        filled("$a", {"a": "$b", "b": "x $a"})
