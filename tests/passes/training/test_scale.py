import numpy as np
import pytest
import torch

from intaglio.ir.numeric import LEAST_SCALE, short_scale
from intaglio.passes.training.scale import Scale, _short

SHORT = short_scale(np.array([0.0123, 0.5, 1.7], np.float32))
LONG = np.array([0.1, 0.3], np.float32)


def test_shortening_is_that_of_the_definition():
    scales = np.random.default_rng(0).lognormal(0, 5, 1000).astype(np.float32)
    assert np.array_equal(_short(torch.from_numpy(scales)).numpy(), short_scale(scales))
    assert _short(torch.zeros(1)).item() == LEAST_SCALE


@pytest.mark.parametrize("start", [SHORT, LONG, SHORT[0], LONG[1]], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_scale_begins_as_it_was_given(start, dtype):
    found = Scale(np.asarray(start), 0.01).to(dtype)()
    assert found.dtype == dtype
    assert np.array_equal(found.detach().numpy(), start)


def test_a_short_scale_stays_short_and_another_is_not_rounded():
    short, free = Scale(SHORT, 0.1), Scale(LONG, 0.1)
    with torch.no_grad():
        short.octaves += 0.3
        free.octaves += 0.3
    moved = short().detach().numpy()
    assert np.array_equal(moved, short_scale(SHORT * np.float32(2**0.3)))
    assert np.allclose(free().detach().numpy(), LONG * 2**0.3, rtol=1e-6)


def test_the_gradient_is_that_of_the_octaves_times_the_gain():
    scale = Scale(SHORT, 0.25)
    scale().sum().backward()
    assert np.allclose(scale.octaves.grad.numpy(), 0.25 * SHORT * np.log(2), rtol=1e-6)
