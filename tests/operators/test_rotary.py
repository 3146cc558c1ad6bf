"""Queries and keys before they meet: turned by their position, brought to unit length."""

import pytest
import torch

from flowlib.operators import Attention, Rotary, Slot, UnitLength


def pair(tokens=6, features=8):
    torch.manual_seed(0)
    return torch.randn(2, 3, tokens, features, dtype=torch.float64).unbind()


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("dim", [8, 6])
def test_scores_depend_on_the_distance_alone(interleaved, dim):
    turn, (q, k) = Rotary(dim, interleaved=interleaved, precision=torch.float64), pair()
    here, there = (turn(q, first) @ turn(k, first).mT for first in (0, 1000))
    torch.testing.assert_close(here, there, rtol=0, atol=1e-11)
    assert (here - turn(q, 1) @ turn(k, 0).mT).abs().max() > 0.1
    torch.testing.assert_close(turn(q).norm(dim=-1), q.norm(dim=-1))  # it is a rotation
    assert torch.equal(turn(q)[..., dim:], q[..., dim:])


@pytest.mark.parametrize("interleaved, partner", [(False, 4), (True, 1)])
def test_each_pair_is_turned_by_its_own_angle(interleaved, partner):
    """e_0 at position x becomes cos(x ω_0) e_0 + sin(x ω_0) of its partner; the frequencies fall geometrically."""
    turn = Rotary(8, base=16.0, interleaved=interleaved, precision=torch.float64)
    e0 = torch.eye(8, dtype=torch.float64)[:1].expand(5, -1)
    x = torch.arange(5, dtype=torch.float64)
    expected = torch.zeros(5, 8, dtype=torch.float64)
    expected[:, 0], expected[:, partner] = x.cos(), x.sin()
    torch.testing.assert_close(turn(e0), expected)
    slowest = torch.eye(8, dtype=torch.float64)[[6 if interleaved else 3]].expand(5, -1)
    torch.testing.assert_close((turn(slowest) * slowest).sum(-1), (x / 8).cos())  # ω_3 = 16^(−3/4)


def test_angles_in_float32_lose_what_the_docstring_says():
    single, double = (Rotary(64, precision=p) for p in (torch.float32, torch.float64))
    z = torch.ones(2000, 64, dtype=torch.float64)
    far = (single(z) - double(z)).abs().max()
    assert 1e-6 < far < 2e-4


def test_unit_length():
    z, _ = pair()
    unit = UnitLength(3, 8, Rotary(8)).double()
    torch.testing.assert_close(unit(z, 4).norm(dim=-1), torch.ones(3, 6, dtype=torch.float64))
    unit.scale.data[1] *= 5
    torch.testing.assert_close(unit(z)[1].norm(dim=-1), torch.full((6,), 5.0, dtype=torch.float64))
    assert unit(torch.zeros_like(z)).abs().max() == 0
    torch.testing.assert_close(UnitLength(3, 8).double()(7 * z), UnitLength(3, 8).double()(z))


@torch.no_grad()
def test_attention_sees_positions_and_keeps_them_with_a_past():
    torch.manual_seed(0)
    u = torch.randn(2, 7, 12, dtype=torch.float64)
    kernel = Attention(12, 3, causal=True, head_dim=6, prepare=Rotary(6)).double()
    gamma = kernel.kernel(u)
    assert kernel.qkv.weight.shape == (54, 12) and kernel.out.weight.shape == (12, 18)
    torch.testing.assert_close(gamma.sum(-1), torch.ones(2, 3, 7, dtype=torch.float64))
    same = kernel.kernel(u[:, :1].expand(-1, 7, -1))[..., -1, :]  # equal tokens, told apart by their positions alone
    assert (same - 1 / 7).abs().max() > 1e-3
    slot = Slot()
    for parts in ((0, 4), (4, 5), (5, 7)):
        assert slot.tokens == parts[0]
        last = kernel(u[:, slice(*parts)], past=slot)
    torch.testing.assert_close(last, kernel(u)[:, 5:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("dim", [0, 5])
def test_an_odd_number_of_features_cannot_be_turned(dim):
    with pytest.raises(ValueError, match=f"dim must be (even|a whole number ≥ 2).*, got {dim}"):
        Rotary(dim)


def test_a_head_must_have_the_features_that_are_turned():
    with pytest.raises(ValueError, match="8 features are to be turned, but a head has 6"):
        Rotary(8)(torch.zeros(3, 6))
