"""The integral by quadrature: a term's weights are those of the function `attend`."""

import pytest
import torch

from flowlib.fields import Grid
from flowlib.flow import Flow
from flowlib.operators import Attention, attend
from flowlib.operators.attention import relative_log


@pytest.mark.parametrize("causal", [False, True, "volterra"])
@torch.no_grad()
def test_the_weights_of_a_term_are_those_of_attend(causal):
    """Given as a Grid, as its weights in any unit, or as the relative logarithm that a flow makes of them."""
    torch.manual_seed(0)
    term, grid, u = Attention(8, 2, causal=causal).double(), Grid.graded(6, 2.0), torch.randn(6, 8).double()
    q, k, v = (z.unflatten(-1, (2, -1)).transpose(-3, -2) for z in term.qkv(u).chunk(3, -1))
    expected = term.out(attend(q, k, v, grid, causal=causal).transpose(-3, -2).flatten(-2))
    log = relative_log(grid, 6, causal)
    for weights in (grid, grid.weights, 1000 * grid.weights, log, log.clone()):
        torch.testing.assert_close(term(u, weights=weights), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(Flow([term], steps=1)(u, weights=grid).final, u + expected, rtol=0, atol=1e-12)
    assert term.kernel(u, grid).equal(term.kernel(u, log)) and term.values(u, grid).equal(term.values(u))


def test_equal_weights_cancel_but_not_under_volterra():
    term, u = Attention(8, 2).double(), torch.randn(5, 8).double()
    assert term(u, weights=torch.full((5,), 0.2).double()).equal(term(u))
    half = Attention(8, 2, causal="volterra").double()
    half.load_state_dict(term.state_dict())
    equal = Grid.uniform(5)
    assert half(u, weights=equal).equal(half(u, weights=relative_log(equal, 5, "volterra")))


@pytest.mark.parametrize("weights, message", [(torch.rand(4) + 1, "one weight per key"), (Grid.uniform(4), "5 keys")])
def test_weights_that_do_not_fit_are_named(weights, message):
    with pytest.raises(ValueError, match=message):
        Attention(8, 2)(torch.randn(5, 8), weights=weights)
