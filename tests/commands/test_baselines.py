"""Which recipe takes the place of one that prunes by ADMM."""

import pytest

from intaglio.commands.baselines import by_magnitude
from intaglio.passes.pipeline import Pipeline

CODING = '"coding": {"kind": "binary", "epochs": 2, "rounds": 3, "each": 1'
SGD = '"optimizer": {"method": "sgd"}'


@pytest.mark.parametrize(
    ("recipe", "gradual", "other"),
    [
        (
            f'admm{{"target": {{"rate": 8}}, "epochs": 2, "retrain": 3, {SGD}}}',
            False,
            f'magnitude{{"target": {{"rate": 8}}, "retrain": 5, {SGD}}}',
        ),
        (
            f'admm{{"target": {{"rate": 8}}, "via": [2, 4], "epochs": 2, "retrain": 3, {SGD}}}',
            True,
            f'magnitude{{"target": {{"rate": 8}}, "gradual": 7, "retrain": 8, {SGD}}}',
        ),
        (
            f'admm{{"target": {{"rate": 8}}, "via": [2], {CODING}, "joint": true}}}}',
            False,
            'magnitude{"target": {"rate": 8}, "retrain": 30},'
            f'admm{{"target": {{"rate": 1}}, {CODING}}}}}',
        ),
        (f'admm{{"target": {{"rate": 1}}, {CODING}}}}}', True, None),
        ('train{"epochs": 3},equalize,quantize,lower', True, None),
    ],
)
def test_magnitude_prunes_as_far_in_as_many_epochs_and_the_rest_stays(
    recipe: str, gradual: bool, other: str | None
) -> None:
    given = Pipeline.parse(f"canonicalize,{recipe}")
    made = by_magnitude(given, gradual=gradual)
    assert made == Pipeline.parse(f"canonicalize,{other or recipe}")
    epochs = [sum(each.total_epochs for each in one.passes) for one in (given, made)]
    assert epochs[0] == epochs[1] > 0
