"""Chapter 04: how far apart layer norm takes neighbours, over widths, means and spreads."""

import pytest
import torch

from flowlib.operators import Moments


@pytest.mark.claim("C4.4")
@pytest.mark.parametrize("d", [3, 4, 5, 16, 64])
def test_from_three_features_on_the_local_lipschitz_constant_is_std_over_spread(measured, d):
    for seed in range(5):
        torch.manual_seed(seed)
        v = torch.randn(d, dtype=torch.float64) * 10.0 ** (seed - 2) + seed
        for mean, std in ((0.0, 1.0), (0.3, 1.5), (-2.0, 0.1)):
            jacobian = torch.func.jacrev(Moments(mean, std).project)(v)
            constant = torch.linalg.matrix_norm(jacobian, 2) * v.std(correction=0) / std
            measured.near("local Lipschitz constant in units of σ2/s, 3 to 64 features", constant, 1, within=1e-8)


@pytest.mark.claim("C4.4")
def test_with_two_features_there_are_two_points_and_all_the_tearing_is_between_them(measured):
    for seed in range(10):
        torch.manual_seed(seed)
        v = torch.randn(2, dtype=torch.float64)
        jacobian = torch.func.jacrev(Moments(0.3, 1.5).project)(v)
        constant = torch.linalg.matrix_norm(jacobian, 2) * v.std(correction=0) / 1.5
        measured.at_most("local Lipschitz constant in units of σ2/s, two features", constant, 1e-8)
        placed = Moments(0.3, 1.5).project(v)
        assert placed.sort().values.tolist() == pytest.approx([-1.2, 1.8])
    near = torch.tensor([[1.0, 1.0 + 1e-9], [1.0 + 1e-9, 1.0]], dtype=torch.float64)
    apart = Moments().project(near)
    growth = (apart[0] - apart[1]).norm() / (near[0] - near[1]).norm()
    measured.at_least("growth of a distance, either side of the constant token", growth, 1e8)
