"""Relations between samples: which pairs, and what the loss is."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from intaglio.errors import UsageError
from intaglio.passes.optimizer import Loss, Relation
from intaglio.passes.training.objective import distance
from intaglio.passes.training.relations import Relations, partners


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40))
def test_even_places_have_a_partner_of_their_class_if_there_is_one(labels):
    y = torch.tensor(labels)
    found = partners(y).tolist()
    for place, partner in enumerate(found):
        assert 0 <= partner < len(labels)
        if place % 2 == 0:
            assert labels[partner] == labels[place]
            assert partner != place or labels.count(labels[place]) == 1
        elif len(labels) > 1:
            assert partner != place


def test_the_loss_is_what_is_written():
    torch.manual_seed(0)
    options = Relation(weight=0.5, classes=0.25, width=3)
    relations = Relations([4, 2], options)
    features = [torch.randn(6, 4), torch.randn(6, 2)]
    y = torch.tensor([0, 1, 0, 1, 2, 2])
    partner = partners(y)
    found = [
        relate(torch.cat([f, f[partner]], 1))
        for relate, f in zip(relations.relate, features, strict=True)
    ]
    same = (y == y[partner]).long()
    told = sum(
        functional.cross_entropy(tell(r), same)
        for tell, r in zip(relations.tell, found, strict=True)
    )
    expected = 0.25 * told / 2 + 0.5 * ((found[0] - found[1]) ** 2).mean()
    assert torch.allclose(relations(features, y), expected)


def test_the_deepest_learns_only_to_tell_classes_apart():
    torch.manual_seed(0)
    relations = Relations([4, 4], Relation(weight=1.0, classes=0.0, width=3))
    features = [torch.randn(6, 4, requires_grad=True) for _ in range(2)]
    relations(features, torch.arange(6) % 2).backward()
    assert features[0].grad.abs().max() > 0
    assert features[1].grad is None or features[1].grad.abs().max() == 0


def test_distance_is_zero_of_equal_scores_and_that_of_distillation():
    one, other = torch.randn(5, 3), torch.randn(5, 3)
    assert distance(one, one, 3.0).item() == pytest.approx(0, abs=1e-6)
    p, q = (functional.softmax(each / 3, 1) for each in (other, one))
    assert torch.allclose(distance(one, other, 3.0), 9 * (p * (p / q).log()).sum(1).mean())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Loss("a", -1), "weight of a loss is -1. Choose 0 to 1000."),
        (lambda: Loss("a", 1, 2.0), "distill of a loss is 2.0. Choose 0 to 1."),
        (lambda: Loss("a", 1, 0.5, 0), "temperature of a loss is 0. Choose 0.1 to 100."),
        (lambda: Relation(-1), "weight of a relation is -1. Choose 0 to 1000."),
        (lambda: Relation(1, -1), "classes of a relation is -1. Choose 0 to 1000."),
        (lambda: Relation(1, 1, 0), "width of a relation is 0. Choose 1 to 4096."),
    ],
)
def test_numbers_that_cannot_be_are_refused(make, message):
    with pytest.raises(UsageError) as caught:
        make()
    assert str(caught.value) == message
