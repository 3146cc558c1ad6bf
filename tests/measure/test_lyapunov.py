"""Lyapunov exponents of flows whose spectrum is known, and of a trained one against its whole Jacobian."""

import pytest
import torch
from torch import nn

from flowlib.flow import Constant, Flow, PerStep
from flowlib.measure.lyapunov import exponents
from flowlib.models import FlowLM, shipped
from flowlib.operators import Attention, Local, Moments, Term


class Linear(Term):
    """u_t = B u, token by token, as a whole substep e^{hB}: no error of a scheme."""

    is_substep = True

    def __init__(self, b):
        super().__init__()
        self.b = b

    def forward(self, u, h):
        return u @ torch.linalg.matrix_exp(h * self.b).T


def test_a_linear_flow_has_its_own_rates():
    """B symmetric: λ are its eigenvalues."""
    torch.manual_seed(0)
    turn = torch.linalg.qr(torch.randn(5, 5).double()).Q
    rates = torch.tensor([0.7, 0.2, -0.1, -0.5, -1.0], dtype=torch.float64)
    flow = Flow([Linear(turn @ torch.diag(rates) @ turn.T)], depth=Constant(6))
    u0 = torch.randn(2, 5).double()
    assert exponents(flow, u0, 5, token=0).tolist() == pytest.approx(rates.tolist(), abs=1e-8)
    assert exponents(flow, u0, 4).tolist() == pytest.approx([0.7, 0.7, 0.2, 0.2], abs=1e-8)  # each token has its own


def test_a_shear_grows_for_a_while_although_its_eigenvalues_are_zero():
    b = torch.tensor([[0.0, 4.0], [0.0, 0.0]]).double()
    flow = Flow([Linear(b)], depth=Constant(3))
    expected = torch.linalg.svdvals(torch.matrix_exp(3 * b)).log() / 3
    assert exponents(flow, torch.ones(1, 2).double(), 2).tolist() == pytest.approx(expected.tolist(), abs=1e-10)
    assert expected[0] > 0.8


def test_two_terms_and_attention_against_the_whole_jacobian():
    torch.manual_seed(0)
    flow = Flow([Attention(4, 2), Local(4, 8, "tanh")], Moments(), depth=PerStep(3)).double()
    for p in flow.parameters():
        nn.init.normal_(p, std=0.5)
    u0 = Moments().project(torch.randn(3, 4).double())
    jacobian = torch.func.jacrev(lambda v: flow(v).final)(u0).reshape(12, 12)
    expected = torch.linalg.svdvals(jacobian).log() / 3
    assert exponents(flow, u0, 4)[:3].tolist() == pytest.approx(expected[:3].tolist(), abs=1e-6)
    padded = torch.tensor([True, True, False])
    masked = torch.func.jacrev(lambda v: flow(v, 5, mask=padded).final)(u0).reshape(12, 12)
    found = exponents(flow, u0, 3, 5, mask=padded)[0].item()
    assert found == pytest.approx(torch.linalg.svdvals(masked)[0].log().item() / 3, abs=1e-6)


def test_the_last_token_of_a_trained_model():
    model = FlowLM.load(shipped("tiny")).double()
    u0 = model.trajectory("the value of").fields[0]
    last = lambda v: model.flow(torch.cat([u0[:-1], v[None]])).final[-1]
    expected = torch.linalg.svdvals(torch.func.jacrev(last)(u0[-1])).log() / 4
    assert exponents(model.flow, u0, 6, token=-1)[:3].tolist() == pytest.approx(expected[:3].tolist(), abs=1e-4)


def test_what_cannot_be_is_said():
    flow = Flow([Linear(torch.eye(2).double())])
    with pytest.raises(ValueError, match="exponents need one field"):
        exponents(flow, torch.zeros(1, 3, 2).double())
    with pytest.raises(ValueError, match="k must be a whole number from 1 to 2"):
        exponents(flow, torch.zeros(3, 2).double(), 3, token=0)
    with pytest.raises(ValueError, match="k must be a whole number from 1 to 6"):
        exponents(flow, torch.zeros(3, 2).double(), 0)
