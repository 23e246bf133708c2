"""Random networks of every dialect, compared exactly; thousands: benchmarks/random_networks.py."""

import pytest

from intaglio.tests.networks.dialects import TRIALS, check
from intaglio.tests.networks.wishes import wishes_of

SEEDS = {"brevitas": 1, "float": 3, "qdq": 8}
"""How many networks of a dialect, if not 5."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TRIALS)
def test_nothing_differs(name):
    trial = TRIALS[name]
    pytest.importorskip(trial.package, reason=f"networks of the dialect {name} need it")
    for seed in range(SEEDS.get(name, 5)):
        drawn = wishes_of(trial.dialect, seed)
        try:
            check(name, drawn)
        except Exception as error:
            error.add_note(f"check({name!r}, {drawn})")
            raise
