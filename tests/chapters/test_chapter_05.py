"""Chapter 05: what attention computes without a local term, how far a convolution reaches, a sum as a sequence."""

import pytest
import torch
import torch.nn.functional as F

from flowlib.measure import order
from flowlib.operators import Attention, Local


class Stack(torch.nn.ModuleList):
    """u ↦ u + term(u), one term after the other."""

    def forward(self, u):
        for term in self:
            u = u + term(u)
        return u


def signs(texts, tokens):
    """Features 1 and 2 are ±1, the others 0: (text, token, 4)."""
    return F.pad(torch.randn(texts, tokens, 2, dtype=torch.float64).sign(), (0, 2))


def miss(net, u):
    """Mean squared error of feature 4 against the product of features 1 and 2."""
    return (net(u)[..., 3] - u[..., 0] * u[..., 1]).square().mean()


def learn(net, tokens, rounds=250):
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(rounds):
        optimiser.zero_grad()
        miss(net, signs(64, tokens)).backward()
        optimiser.step()
    return net


@pytest.mark.claim("C5.7")
@torch.no_grad()
def test_a_lone_token_passes_through_attention_as_through_an_affine_map(measured):
    for seed, layers in ((0, 1), (1, 4), (2, 12)):
        torch.manual_seed(seed)
        net = Stack([Attention(4, 2).double() for _ in range(layers)])
        for texts, what in (((1, 4), "alone"), ((8, 4), "among copies")):
            u, v = (torch.randn(20, 1, 4, dtype=torch.float64).expand(-1, *texts) for _ in range(2))
            between = net(0.3 * u + 0.7 * v) - 0.3 * net(u) - 0.7 * net(v)
            measured.at_most(f"bend of a stack of attention layers, a token {what}", between.abs().max(), 1e-12)
        u, v = torch.randn(2, 20, 8, 4, dtype=torch.float64)
        bend = (net(0.3 * u + 0.7 * v) - 0.3 * net(u) - 0.7 * net(v)).abs().max()
        measured.at_least("the same among different tokens", bend, 1e-3)
    a = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 2)
    readings = torch.cat([a, torch.ones(4, 1)], -1)  # all affine maps of two signs, by least squares
    fitted = torch.linalg.lstsq(readings, a.prod(-1, keepdim=True)).solution
    left = (readings @ fitted - a.prod(-1, keepdim=True)).square().mean()
    measured.near("least error of an affine map for the product of two signs", left, 1, within=1e-12)


@pytest.mark.claim("C5.7")
def test_attention_borrows_the_product_and_the_local_term_computes_it(measured):
    torch.manual_seed(0)
    borrowed = learn(Stack([Attention(4, 2).double() for _ in range(2)]), tokens=8)
    own = learn(Stack([Local(4).double()]), tokens=1)
    with torch.no_grad():
        measured.at_most("error of two attention layers among seven others", miss(borrowed, signs(2000, 8)), 0.1)
        measured.at_least("the same layers, the token alone", miss(borrowed, signs(2000, 1)), 0.9)
        for tokens in (1, 8):
            measured.at_most("error of one local term, alone and in company", miss(own, signs(2000, tokens)), 0.01)


@pytest.mark.claim("C5.8")
@pytest.mark.parametrize("r", [1, 2])
def test_a_convolution_reaches_r_tokens_a_layer_and_no_further(measured, r):
    torch.manual_seed(0)
    convolution = torch.nn.Conv1d(3, 3, 2 * r + 1, padding=r).double()
    u = torch.randn(41, 3, dtype=torch.float64)

    def repeat(u, layers):
        for _ in range(layers):
            u = u + torch.tanh(convolution(u.T).T)
        return u

    for layers in (1, 3, 6):
        answer = (
            torch.func.jacrev(lambda u, layers=layers: repeat(u, layers)[20])(u).abs().amax((0, 2))
        )  # of token 20, to each
        heard = answer.nonzero().flatten()
        reach = max(20 - heard[0].item(), heard[-1].item() - 20)
        measured.near("reach over r times the number of layers", reach / (r * layers), 1, within=0)
        assert len(heard) == 2 * r * layers + 1


@pytest.mark.claim("C5.9")
def test_one_step_after_another_is_a_step_of_the_sum_up_to_second_order(measured):
    for seed in range(3):
        torch.manual_seed(seed)
        u = torch.randn(5, dtype=torch.float64)
        V1, V2 = torch.randn(2, 5, 5, dtype=torch.float64)
        f1, f2 = (lambda u, V=V1: torch.tanh(V @ u)), (lambda u, V=V2: torch.tanh(V @ u))
        cross = torch.func.jvp(f2, (u,), (f1(u),))[1]  # f2' f1
        steps, gaps, rest = [32, 64, 128, 256], [], []
        for n in steps:
            v = u + f1(u) / n
            gap = v + f2(v) / n - u - (f1(u) + f2(u)) / n
            gaps.append(gap.norm())
            rest.append((gap - cross / n**2).norm())
        measured.near("sequence against sum: order of the gap", order(gaps, steps), 2, within=0.1)
        measured.near("the same without h² f2' f1", order(rest, steps), 3, within=0.15)
