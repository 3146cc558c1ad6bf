"""Chapter 04: a deep stack with and without layer norm; how far apart it takes neighbours; a projected step."""

import math

import pytest
import torch

from flowlib.measure import order
from flowlib.operators import Attention, Local, Moments, project_moments


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


def run_stack(seed, update, layers=256):
    """Spreads of a random field, 16 tokens with 64 features, after each of `layers` random layers."""
    torch.manual_seed(seed)
    u = project_moments(torch.randn(16, 64, dtype=torch.float64))
    spreads = [1.0]
    with torch.no_grad():
        for _ in range(layers):
            for term in (Attention(64, heads=4).double(), Local(64).double()):
                u = update(u, term)
            spreads.append(u.std(-1, correction=0).mean().item())
    return spreads


@pytest.mark.claim("C4.9")
def test_only_post_norm_keeps_the_spread_of_a_deep_stack(measured):
    for seed in range(3):
        without = run_stack(seed, lambda u, term: u + term(u))
        measured.between("spread after 256 random layers, without layer norm", without[-1], 1e7, 1e10)
        # exponential: the second half of the way multiplies by about as much as the first half
        ratio = math.log(without[-1] / without[128]) / math.log(without[128])
        measured.near("log of the growth, layers 128 to 256 over 0 to 128", ratio, 1.1, within=0.25)

        pre = run_stack(seed, lambda u, term: u + term(project_moments(u)))
        measured.between("spread after 256 random layers, pre-norm", pre[-1], 5.0, 8.5)
        power = math.log(pre[256] / pre[32]) / math.log(256 / 32)
        measured.near("pre-norm: spread ~ depth^p from layer 32 to 256, p", power, 0.5, within=0.15)

        post = run_stack(seed, lambda u, term: project_moments(u + term(u)))
        measured.at_most("post-norm: largest gap of the spread to 1", max(abs(s - 1) for s in post), 1e-12)


@pytest.mark.claim("C4.10")
@pytest.mark.parametrize("mean, std", [(0.0, 1.0), (0.3, 2.0), (-1.0, 0.5)])
def test_a_projected_step_to_second_order(measured, mean, std):
    for seed in range(3):
        torch.manual_seed(seed)
        S, steps = Moments(mean, std), [16, 32, 64, 128]
        u, f = S.project(torch.randn(5, 8, dtype=torch.float64)), torch.randn(5, 8, dtype=torch.float64)
        g = S.tangent(u, f)
        outward = ((u - mean) * f).mean(-1, keepdim=True) / std**2
        bend = (g**2).mean(-1, keepdim=True) / (2 * std**2) * (u - mean)
        gaps = {1: [], 2: [], "without λ2 g": []}
        for n in steps:
            stepped = S.project(u + f / n)
            gaps[1].append((stepped - u - g / n).norm())
            gaps[2].append((stepped - u - g / n + (outward * g + bend) / n**2).norm())
            gaps["without λ2 g"].append((stepped - u - g / n + bend / n**2).norm())
        measured.near("P(u + hf) against u + hg: order", order(gaps[1], steps), 2, within=0.1)
        measured.near("against the expansion to h²: order", order(gaps[2], steps), 3, within=0.2)
        measured.near("against it without −h² λ2 g: order", order(gaps["without λ2 g"], steps), 2, within=0.2)
