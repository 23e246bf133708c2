import re
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from intaglio.errors import UsageError
from intaglio.passes.projections import search as module
from intaglio.passes.projections.search import POINTS, Curve, search


@st.composite
def networks(draw):
    """Curves of whole losses that need be neither convex nor even monotonic."""
    curves = {}
    for name in "abcd"[: draw(st.integers(1, 4))]:
        keeps = sorted(draw(st.sets(st.integers(1, 40), min_size=1, max_size=5)))
        losses = draw(st.lists(st.integers(0, 20), min_size=len(keeps), max_size=len(keeps)))
        curves[name] = Curve(tuple(keeps), tuple(losses), draw(st.sampled_from([0.5, 1, 3])))
    return curves


def outcomes(curves):
    """Cost, loss and keeps of every choice."""
    layers = [
        [(k, k * curve.cost, loss) for k, loss in zip(curve.keeps, curve.losses, strict=True)]
        for curve in curves.values()
    ]  # fmt: skip
    for choice in product(*layers):
        keeps, costs, losses = zip(*choice, strict=True)
        yield sum(costs), sum(losses), dict(zip(curves, keeps, strict=True))


def outcome(curves, keeps):
    return next(each[:2] for each in outcomes(curves) if each[2] == keeps)


@given(networks(), st.integers(1, 200))
def test_the_choice_is_the_best_of_all(curves, budget):
    affordable = [each for each in outcomes(curves) if each[0] <= budget]
    assume(affordable)
    cost, loss = outcome(curves, search(curves, budget))
    assert cost <= budget
    assert loss == min(each[1] for each in affordable)


def test_a_layer_whose_weights_are_used_often_pays_for_it():
    falling = {"keeps": (10, 20, 40), "losses": (4.0, 2.0, 0.0)}
    cheap, dear = Curve(**falling, cost=1), Curve(**falling, cost=9)
    assert search({"conv": dear, "dense": cheap}, 150) == {"conv": 10, "dense": 40}
    assert search({"conv": dear, "dense": cheap}, 220) == {"conv": 20, "dense": 40}


def test_of_equal_losses_the_cheaper_one_is_chosen():
    assert search({"a": Curve((1, 2, 3), (5, 1, 1))}, 3) == {"a": 2}


def large(layers):
    rng = np.random.default_rng(layers)
    curves = {}
    for index in range(layers):
        size = int(rng.integers(1000, 400_000))
        keeps = np.unique((size * np.geomspace(0.003, 1, 14)).astype(int))
        losses = rng.random() * (1 - keeps / size) ** 8
        curves[f"layer{index}"] = Curve(tuple(map(int, keeps)), tuple(losses), rng.random() * 4)
    return curves


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.4])
def test_a_large_network_is_near_the_bound_and_no_worse_than_one_rate(rate):
    curves = large(20)
    budget = rate * sum(curve.keeps[-1] * curve.cost for curve in curves.values())
    keeps = search(curves, budget)
    chosen = [curve.keeps.index(keeps[name]) for name, curve in curves.items()]
    layers = list(curves.values())

    def total(levels):
        return sum(curve.losses[level] for curve, level in zip(layers, levels, strict=True))

    def spent(levels):
        return sum(
            curve.keeps[level] * curve.cost for curve, level in zip(layers, levels, strict=True)
        )

    # No choice within budget has less than min(loss + price * (cost - budget)), for any price.
    bound = max(
        sum(
            min(
                loss + price * keep * curve.cost
                for keep, loss in zip(curve.keeps, curve.losses, strict=True)
            )
            for curve in layers
        )
        - price * budget
        for price in np.geomspace(1e-9, 1e-3, 300)
    )
    assert spent(chosen) <= budget * (1 + 1e-9)
    assert bound <= total(chosen) <= bound * 1.02
    same = [[index] * 20 for index in range(14) if spent([index] * 20) <= budget]
    assert all(total(chosen) <= total(levels) for levels in same)


def test_thinned_choices_leave_enough_for_the_layers_to_come(monkeypatch):
    monkeypatch.setattr(module, "POINTS", 1)
    curves = {name: Curve((1, 3, 7, 10), (9, 4, 1, 0)) for name in "abcd"}
    assert search(curves, 4) == dict.fromkeys("abcd", 1)


def test_thinned_choices_stay_within_budget_and_no_worse_than_one_rate(monkeypatch):
    monkeypatch.setattr(module, "POINTS", 2)
    assert POINTS > 1000
    curves = {name: Curve((1, 3, 7, 10), (9, 4, 1, 0)) for name in "abcd"}
    cost, loss = outcome(curves, search(curves, 12))
    assert cost <= 12
    assert loss <= 16


@pytest.mark.parametrize(
    ("keeps", "losses"), [((), ()), ((2, 1), (0, 0)), ((1, 1), (0, 0)), ((1, 2), (0,))]
)
def test_a_curve_has_a_loss_for_each_ascending_keep(keeps, losses):
    text = (
        f"A curve has the keeps {keeps} and {len(losses)} losses. "
        "Give one loss for each keep, and keeps that ascend."
    )
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        Curve(keeps, losses)


def test_what_no_choice_can_meet_is_refused():
    curves = {"a": Curve((5, 8), (1, 0)), "b": Curve((5, 50), (1, 0), 2)}
    text = (
        "The budget is 14, but the lowest keeps of all layers cost 15. "
        "Raise the budget or measure lower keeps."
    )
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        search(curves, 14)
