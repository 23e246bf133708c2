"""Drawing wishes: by hypothesis, which shrinks them, or from a seed."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from intaglio.tests.networks.spec import Dialect, Wishes

LEAST, MOST = 10, 40
WEIGHTS = {"conv": 5, "add": 4, "concat": 3, "softmax": 0.15, "flatten": 0.4, "dense": 2}
"""How much more often a kind is wished for than others."""


def wishes(dialect: Dialect) -> st.SearchStrategy[Wishes]:
    """10 to 40 layers; shrinking replaces them by none."""
    kinds = st.sampled_from(
        [kind for kind in dialect.kinds for _ in range(int(2 * WEIGHTS.get(kind, 1)) or 1)]
    )
    wish = st.tuples(kinds, st.integers(0, 2**31)) | st.just(("none", 0))
    return st.lists(wish, min_size=LEAST, max_size=MOST).map(tuple)


def wishes_of(dialect: Dialect, seed: int) -> Wishes:
    """The same from a seed."""
    rng = np.random.default_rng([seed, *dialect.name.encode()])
    chances = np.array([WEIGHTS.get(kind, 1.0) for kind in dialect.kinds], dtype=float)
    count = int(rng.integers(LEAST, MOST + 1))
    kinds = rng.choice(dialect.kinds, count, p=chances / chances.sum())
    return tuple((str(kind), int(rng.integers(2**31))) for kind in kinds)
