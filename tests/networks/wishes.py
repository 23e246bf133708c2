"""Drawing wishes: by hypothesis, which shrinks them, or from a seed."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from .spec import Dialect, Wishes

LEAST, MOST = 10, 40
SHARES = {"conv": 5, "add": 4, "concat": 3, "dense": 3, "mul": 2, "flatten": 1}
"""How much more often a kind is wished for than others."""


def _kinds(dialect: Dialect) -> list[str]:
    return [kind for kind in dialect.kinds for _ in range(SHARES.get(kind, 1))]


def wishes(dialect: Dialect) -> st.SearchStrategy[Wishes]:
    """10 to 40 layers; shrinking replaces them by none."""
    kinds = st.sampled_from(["none", *_kinds(dialect)])
    wish = st.tuples(kinds, st.integers(0, 2**31))
    return st.lists(wish, min_size=LEAST, max_size=MOST).map(tuple)


def wishes_of(dialect: Dialect, seed: int) -> Wishes:
    """The same from a seed."""
    rng = np.random.default_rng([seed, *dialect.name.encode()])
    kinds = rng.choice(_kinds(dialect), int(rng.integers(LEAST, MOST + 1)))
    return tuple((str(kind), int(rng.integers(2**31))) for kind in kinds)
