"""What a flow has to know of a term, stated by the term; and modules that are none are refused in words."""

import pytest
import torch
from torch import nn

from flowlib.fields import Grid
from flowlib.flow import Flow
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
