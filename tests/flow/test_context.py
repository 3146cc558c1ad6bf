"""What a flow is told of its tokens: padding and pairs, each by its own name, and weights."""

import pytest
import torch

from flowlib.fields import Grid
from flowlib.flow import Flow, PerStep
from flowlib.flow.context import find_pairs
from flowlib.measure import budget, kernels_of
from flowlib.operators import Attention, Local, Moments

causal = torch.ones(5, 5, dtype=torch.bool).tril()


def flow_of(**how):
    torch.manual_seed(0)
    return Flow([Attention(4, 2, **how), Local(4)], Moments(eps=1e-5), depth=PerStep(2)).double()


def fields(*lead):
    torch.manual_seed(1)
    return torch.randn(*lead, 5, 4, dtype=torch.float64)


@pytest.mark.parametrize("batch", [1, 4, 5, 6])
def test_pairs_and_padding_whatever_the_size_of_the_batch(batch):
    flow, u = flow_of(), fields(batch)
    torch.testing.assert_close(flow(u, mask=causal[None]).final, flow_of(causal=True)(u).final)
    valid = torch.arange(5) < torch.arange(1, batch + 1).clamp(max=5)[:, None]
    ours = flow(u, valid=valid).final
    for one, here, end in zip(u, valid, ours):
        torch.testing.assert_close(end[here], flow(one[here]).final)
    both = flow(u, valid=valid, mask=causal).final  # with valid= beside it, a mask is of pairs
    torch.testing.assert_close(both, flow_of(causal=True)(u, valid=valid).final)


@pytest.mark.parametrize(
    "lead, shape",
    [((5,), (5, 5)), ((2, 5), (5, 5)), ((5, 5), (5, 5, 5)), ((4,), (1, 5)), ((4, 1), (1, 5)), ((1, 5), (1, 5, 5))],
)
def test_a_mask_that_could_be_either_is_an_error_that_names_both(lead, shape):
    flow, u, mask = flow_of(), fields(*lead), torch.ones(shape, dtype=torch.bool)
    for call in (
        flow,
        flow.maps,
        lambda u, mask: flow.velocity(u, 0.0, mask=mask),
        lambda u, mask: budget(flow, u, mask=mask),
    ):
        with pytest.raises(ValueError, match=r"could be .*token.* or .*query, key.*valid=.*mask=mask\[None\]"):
            call(u, mask=mask)
    flow(u, valid=mask), flow(u, mask=mask[None] if len(lead) == 1 else mask.expand(*lead, 5, 5))


@pytest.mark.parametrize(
    "lead, shape, padding",
    [
        ((), (5,), True),
        ((), (5, 5), False),
        ((), (1, 5), False),
        ((4,), (5,), True),
        ((4,), (4, 5), True),
        ((4,), (5, 5), False),
        ((4,), (4, 1, 5), False),
        ((4,), (1, 5, 5), False),
        ((1,), (1, 5), True),
        ((1,), (5, 5), False),
        ((5,), (5, 5, 5), False),
        ((5,), (5,), True),
        ((2, 3), (2, 3, 5), True),
        ((2, 3), (3, 5), True),
        ((2, 3), (5, 5), False),
        ((2, 3), (2, 1, 5, 5), False),
    ],
)
def test_a_mask_is_read_as_the_one_thing_that_it_can_be(lead, shape, padding):
    torch.manual_seed(2)
    mask = torch.rand(shape) > 0.4
    pairs = mask[..., :, None] & mask[..., None, :] if padding else mask
    assert torch.equal(find_pairs(mask, None, fields(*lead)), pairs)


def test_leading_axes_of_one_do_not_widen_a_field():
    assert flow_of()(fields(), mask=causal[None]).fields.shape == (3, 5, 4)
    assert flow_of()(fields(), valid=causal[None, -1]).fields.shape == (3, 5, 4)


def test_one_token_alone():
    u, yes = fields(1)[:, :1], torch.ones(1, 1, dtype=torch.bool)
    for how in (dict(mask=yes), dict(valid=yes), dict(mask=yes[None])):
        torch.testing.assert_close(flow_of()(u, **how).final, flow_of()(u).final)


def test_what_measures_a_flow_passes_padding_on():
    flow, u = flow_of(), fields(5)
    valid = torch.arange(5) < torch.arange(1, 6)[:, None]
    torch.testing.assert_close(budget(flow, u, valid=valid).final, flow(u, valid=valid).final)
    assert (kernels_of(flow, u, valid=valid)[:, 0, :, :, 1:] == 0).all() and (kernels_of(flow, u) > 0).all()


def test_equal_weights_count_under_volterra_and_keep_their_gradient():
    torch.manual_seed(0)
    u, grid = fields(2), Grid.uniform(5)
    flow = flow_of(causal="volterra")
    nearly = grid.weights * (1 + 1e-13 * torch.arange(5))
    torch.testing.assert_close(flow(u, weights=grid).final, flow(u, weights=nearly).final, rtol=0, atol=1e-10)
    assert (flow(u, weights=grid).final - flow(u).final).abs().max() > 1e-3
    for one in (flow, flow_of()):
        slopes = []
        for w in (grid.weights, nearly):
            w = w.clone().requires_grad_()
            slopes += torch.autograd.grad(one(u, weights=w).final[0, -1, 0], w)
        assert slopes[0].abs().max() > 1e-4
        torch.testing.assert_close(*slopes, rtol=0, atol=1e-9)
