"""Spectra of QK and OV maps that were built to have a known one."""

import math

import pytest
import torch

from flowlib.measure.spectra import ThinMap, ov, qk
from flowlib.operators import Attention


def built(q, k, v, out, heads=1, **options):
    attention = Attention(q.shape[1], heads, bias=False, **options).double()
    with torch.no_grad():
        attention.qkv.weight.copy_(torch.cat([q, k, v]))
        attention.out.weight.copy_(out)
    return attention


def test_scores_are_the_form_m():
    torch.manual_seed(0)
    attention = Attention(12, 3, bias=False, temperature=0.7).double()
    u = torch.randn(5, 12, dtype=torch.float64)
    scores = u @ qk(attention).matrix @ u.T
    assert (scores.softmax(-1) - attention.kernel(u)).abs().max() < 1e-14
    passed = u @ ov(attention).matrix.mT  # (head, token, feature)
    assert ((attention.kernel(u) @ passed).sum(0) - attention(u)).abs().max() < 1e-14


def test_a_likeness_and_a_direction():
    eye, turn = torch.eye(4).double(), torch.zeros(4, 4).double()
    turn[0, 1], turn[1, 0], turn[2, 3], turn[3, 2] = 1.0, -1.0, 2.0, -2.0
    likeness, direction = (qk(built(eye, k, eye, eye)) for k in (eye, turn))
    assert likeness.symmetric_share.item() == 1 and likeness.eigenvalues.real.tolist() == [[0.5] * 4]  # 1/√4
    assert direction.symmetric_share.item() == pytest.approx(0, abs=1e-15)
    assert direction.eigenvalues[0].imag.abs().tolist() == pytest.approx([1, 1, 0.5, 0.5])
    assert qk(built(eye, turn + eye, eye, eye)).symmetric_share.item() == pytest.approx(4 / (4 + 10))


def test_what_is_passed_on():
    eye = torch.eye(4).double()
    values = torch.diag(torch.tensor([3.0, -1.0, 2.0, 0.0]).double())
    one = ov(built(eye, eye, values, eye))
    assert one.eigenvalues.real.tolist() == [pytest.approx([3, 2, -1, 0])]
    assert one.singular_values.tolist() == [pytest.approx([3, 2, 1, 0])]
    assert one.positive_share.item() == pytest.approx(4 / 6)
    two = ov(built(eye, eye, values, eye, heads=2))  # each head passes on its own half of the features
    assert two.eigenvalues.real.tolist() == [pytest.approx([3, -1]), pytest.approx([2, 0])]


def test_thin_products_have_the_spectrum_of_the_whole_matrix():
    torch.manual_seed(1)
    thin = ThinMap(torch.randn(2, 10, 3).double(), torch.randn(2, 3, 10).double())
    for h in range(2):
        whole = torch.linalg.eigvals(thin.matrix[h])
        largest = whole[whole.abs().argsort(descending=True)][:3]
        assert (largest.abs() - thin.eigenvalues[h].abs()).abs().max() < 1e-12
        symmetric = (thin.matrix[h] + thin.matrix[h].T) / 2
        share = symmetric.square().sum() / thin.matrix[h].square().sum()
        assert share.item() == pytest.approx(thin.symmetric_share[h].item())
    assert (torch.linalg.svdvals(thin.matrix)[:, :3] - thin.singular_values).abs().max() < 1e-12


def test_random_maps_are_half_symmetric():
    torch.manual_seed(0)
    share = qk(Attention(256, 4)).symmetric_share
    assert share.tolist() == pytest.approx([0.5] * 4, abs=0.02) and math.isfinite(share.sum())
