"""Gradient descent on losses that are known, and parameters that are put back whatever happens."""

import pytest
import torch

from flowlib.measure.descent import descend
from flowlib.measure.scaling import sizes_at_width
from flowlib.measure.stability import sharpness


def test_losses_of_a_parabola_are_known():
    x = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    losses = descend(lambda: (x**2).sum(), [x], 0.25, 3)
    assert losses == pytest.approx([9, 9 / 4, 9 / 16, 9 / 64]) and x.item() == 3


def test_parameters_are_put_back_where_a_loss_breaks_off():
    x, calls = torch.ones(2, requires_grad=True), []

    def loss():
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return (x**2).sum()

    with pytest.raises(KeyboardInterrupt):
        descend(loss, [x], 0.1)
    assert x.tolist() == [1.0, 1.0]


def test_sharpness_knows_no_unit_and_a_flat_loss():
    H = torch.diag(torch.tensor([4.0, 1.0, 0.5])).double()
    x = torch.ones(3, dtype=torch.float64, requires_grad=True)
    for scale in (1e-9, 1.0, 1e6):
        found = sharpness(lambda s=scale: s * (x @ H @ x) / 2, [x], tolerance=1e-8)
        assert found == pytest.approx(4 * scale, rel=1e-5)
    assert sharpness(lambda: (2 * x).sum(), [x]) == 0
    nought = torch.zeros(3, requires_grad=True)
    assert sharpness(lambda: (nought**3).sum(), [nought]) == 0
    both = [x, torch.ones(2, requires_grad=True)]
    assert sharpness(lambda: x @ H @ x / 2 + both[1].sum(), both, tolerance=1e-8) == pytest.approx(4, rel=1e-5)


def test_sizes_at_a_width_leave_torchs_generator_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = sizes_at_width(8, 0.3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    assert sizes_at_width(8, 0.3) == first
