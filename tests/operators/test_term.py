"""What a flow has to know of a term, stated by the term; and modules that are none are refused in words."""

import pytest
import torch
from torch import nn

from flowlib.fields import Grid
from flowlib.flow import Flow
from flowlib.models.zoo.kernels import ShapedAttention
from flowlib.operators import (
    Affine,
    Attention,
    GatedLocal,
    LiteralLocal,
    Local,
    Moments,
    Neighbourhood,
    PreNorm,
    Pull,
    Rotary,
    Sphere,
    Term,
)

LOCAL = dict(sees_other_tokens=False, needs_points=False, is_substep=False, causal=False)
NEAR = Neighbourhood(8, 0.1, dims=1)
TERMS = [
    (Local(8), LOCAL),
    (GatedLocal(8), LOCAL),
    (Affine(8), LOCAL),
    (LiteralLocal([8, 16, 8]), LOCAL | dict(is_substep=True)),
    (Attention(8), LOCAL | dict(sees_other_tokens=True)),
    (Attention(8, causal="volterra"), LOCAL | dict(sees_other_tokens=True, causal="volterra")),
    (Attention(8, near=NEAR), LOCAL | dict(sees_other_tokens=True, needs_points=True)),
    (PreNorm(Local(8), Moments()), LOCAL),
    (PreNorm(Attention(8, causal=True), Moments()), LOCAL | dict(sees_other_tokens=True, causal=True)),
    (Pull(Attention(8, near=NEAR), Sphere(), 8), LOCAL | dict(sees_other_tokens=True, needs_points=True)),
    (Pull(PreNorm(Attention(8), Moments()), Sphere(), 8), LOCAL | dict(sees_other_tokens=True)),
]


@pytest.mark.parametrize(("term", "expected"), TERMS, ids=lambda value: type(value).__name__)
def test_a_term_says_what_it_is(term, expected):
    assert isinstance(term, Term)
    assert {name: getattr(term, name) for name in expected} == expected


def test_a_wrapper_says_what_is_so_inside_now():
    attention = Attention(8)
    wrapped = PreNorm(attention, Moments())
    attention.causal = True
    assert wrapped.causal is True


@pytest.mark.parametrize(
    "make",
    [
        lambda module: Flow([module]),
        lambda module: Flow([Local(4), module]),
        lambda module: PreNorm(module, Moments()),
        lambda module: Pull(module, Sphere(), 4),
    ],
)
def test_a_module_that_is_no_term_is_refused_in_words(make):
    with pytest.raises(
        TypeError, match="takes terms, and Linear is none; derive .* flowlib.operators.Term, and set sees_"
    ):
        make(nn.Linear(4, 4))


def test_a_whole_substep_cannot_be_wrapped():
    with pytest.raises(ValueError, match="LiteralLocal is a whole substep"):
        PreNorm(LiteralLocal([4, 8, 4]), Moments())


@pytest.mark.parametrize("constraints", [nn.LayerNorm(4), [nn.LayerNorm(4)]])
def test_a_module_that_is_no_constraint_is_refused_in_words(constraints):
    with pytest.raises(
        TypeError, match="takes constraints, and LayerNorm is none; derive .* project, tangent and defect"
    ):
        Flow([Local(4)], constraints)


def test_what_a_term_is_decides_what_it_is_told():
    told = {}

    class Ask(Term):
        def forward(self, u, **context):
            told.update(context, asked=True)
            return torch.zeros_like(u)

    class AskOthers(Ask):
        sees_other_tokens = True

    class AskWhere(AskOthers):
        needs_points = True

    grid = Grid.graded(5, 2.0)
    for kind, expected in ((Ask, set()), (AskOthers, {"weights", "mask"}), (AskWhere, {"weights", "mask", "points"})):
        told.clear()
        Flow([kind()])(torch.randn(5, 3), weights=grid)
        assert told.keys() == expected | {"asked"}
    assert told["points"] is grid.points
    with pytest.raises(ValueError, match="give weights=Grid"):
        Flow([AskWhere()])(torch.randn(5, 3))


LAST = [
    Attention(8, 2, causal=True),
    Attention(8, 2, causal=True, prepare=Rotary(4)),
    Attention(8, 2),
    Attention(8, causal="volterra"),
    PreNorm(Attention(8, causal=True), Moments()),
    ShapedAttention(8, 2, causal=True, window=3, slopes=(0.1, 0.2)),
    ShapedAttention(8, 2, causal=True, cap=2.0),
]


@pytest.mark.parametrize("term", LAST, ids=str)
@torch.no_grad()
def test_what_is_asked_of_the_last_tokens_is_the_end_of_what_all_have(term):
    term, u = term.double(), torch.randn(2, 6, 8, dtype=torch.float64)
    pairs = torch.ones(6, 6, dtype=torch.bool).tril() & torch.ones(6, 6, dtype=torch.bool).triu(-2)
    assert term.answers_last
    for told in ({}, dict(weights=torch.linspace(1, 2, 6).double()), dict(mask=pairs)):
        for last in (1, 3, 6):
            torch.testing.assert_close(term(u, **told, last=last), term(u, **told)[:, -last:], rtol=0, atol=1e-13)


@torch.no_grad()
def test_under_a_causal_kernel_the_last_tokens_alone_ask(monkeypatch):
    asked, sums = [], Attention._sum
    note = lambda self, q, *rest, **how: asked.append(q.shape[-2]) or sums(self, q, *rest, **how)
    monkeypatch.setattr(Attention, "_sum", note)
    flow = Flow([PreNorm(Attention(8, causal=True), Moments()), Local(8)], steps=3)
    flow(torch.randn(6, 8), save="final", last=2)
    assert asked == [6, 6, 2]


@torch.no_grad()
def test_a_term_that_answers_only_for_all_tokens_is_cut():
    class Mean(Term):
        sees_other_tokens = True

        def forward(self, u, weights=None, mask=None):
            return u.mean(-2, keepdim=True) - u

    for terms in ([Mean()], [Mean(), Local(8)], [Pull(Attention(8, causal=True), Sphere(), 8), Local(8)]):
        flow, u0 = Flow(terms, steps=2), torch.randn(5, 8)
        torch.testing.assert_close(flow(u0, save="final", last=2).final, flow(u0).final[-2:])
