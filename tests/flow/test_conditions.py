"""Order conditions: what a table promises is what exact substeps keep."""

import pytest
import torch

from flowlib.flow import SCHEMES, Scheme
from flowlib.flow.conditions import order_of, shares, step_back
from flowlib.measure import order

there = lambda n, h=1.0: tuple((i, h) for i in range(n))
strang = lambda n, h=1.0: tuple((i, a * h) for i, a in SCHEMES["strang"].paths(n)[0][1])
g = 1 / (2 - 2 ** (1 / 3))
HIGHER = {
    "extrapolated Lie": (lambda n: [(2.0, there(n, 0.5) * 2), (-1.0, there(n))], 2),
    "Burstein-Mirin": (
        lambda n: [
            (2 / 3, strang(n)),
            (2 / 3, tuple((n - 1 - i, a) for i, a in strang(n))),
            (-1 / 6, there(n)),
            (-1 / 6, there(n)[::-1]),
        ],
        3,
    ),
    "extrapolated Strang": (lambda n: [(4 / 3, strang(n, 0.5) * 2), (-1 / 3, strang(n))], 4),
    "triple jump": (lambda n: [(1.0, strang(n, g) + strang(n, 1 - 2 * g) + strang(n, g))], 4),
}


@pytest.mark.parametrize("name", SCHEMES)
def test_the_library_declares_the_order_that_the_table_has(name):
    scheme = SCHEMES[name]
    assert [order_of(scheme, n) for n in (2, 3)] == [scheme.order] * 2
    assert shares(scheme, 3) == pytest.approx([1, 1, 1])
    assert step_back(scheme) == 0


@pytest.mark.parametrize("name", HIGHER)
def test_the_order_of_the_table_is_measured_with_exact_substeps(name):
    paths, expected = HIGHER[name]
    scheme = Scheme(name, expected, paths)
    assert order_of(scheme) == expected
    assert step_back(scheme) < 0
    torch.manual_seed(0)
    matrices = torch.randn(2, 3, 3, dtype=torch.float64) / 2
    exp, u0 = torch.linalg.matrix_exp, torch.ones(3, dtype=torch.float64)
    truth, errors = exp(matrices.sum(0)) @ u0, []
    numbers = [8, 16, 32] if expected == 4 else [64, 128, 256]  # fine enough, and above round-off
    for n in numbers:
        u = u0
        for _ in range(n):
            u = scheme.step([lambda v, h, M=M: exp(h * M) @ v for M in matrices], u, 1 / n)
        errors.append((u - truth).norm())
    assert order(errors, numbers) == pytest.approx(expected, abs=0.15)


def test_no_scheme_of_order_3_goes_only_forwards():
    for paths, expected in HIGHER.values():
        assert expected < 3 or step_back(Scheme("", expected, paths)) < 0


def test_a_table_that_is_no_scheme_has_order_0():
    half = Scheme("half", 1, lambda n: [(1.0, there(n, 0.5))])
    assert order_of(half) == 0 and shares(half) == [0.5, 0.5]
    forgets = Scheme("forgets", 1, lambda n: [(1.0, ((0, 1.0),))])
    assert order_of(forgets) == 0 and shares(forgets) == [1, 0]
    with pytest.raises(ValueError, match="terms must be a whole number ≥ 1"):
        order_of(half, 0)


def test_two_terms_unless_told_otherwise():
    """What is asked of a scheme without a number of terms is asked of two: here each number shows."""
    counts = Scheme("counts", 1, lambda n: [(1.0, tuple((i, -float(n)) for i in range(n)))])
    assert step_back(counts) == -2 and step_back(counts, 3) == -3
    assert shares(counts) == [-2, -2] and shares(counts, 3) == [-3, -3, -3]
    mixed = Scheme("mixed", 1, lambda n: SCHEMES["strang" if n == 2 else "lie"].paths(n))
    assert order_of(mixed) == 2 and order_of(mixed, 3) == 1


def test_words_of_six_letters_and_nine_digits():
    assert order_of("lie", 1) == 6 and order_of("lie", 1, most=3) == 3  # one term alone is exact at every order
    off = lambda gap: Scheme("off", 1, lambda n: [(1.0, there(n, 1 + gap))])
    assert order_of(off(1e-10)) == 1 and order_of(off(1e-8)) == 0 and order_of(off(1e-8), tolerance=1e-7) == 1


def test_a_weight_can_step_back_as_well_as_a_share():
    assert step_back(Scheme("weights", 1, lambda n: [(1.5, there(n)), (-0.5, there(n)[::-1])])) == -0.5
    assert step_back(Scheme("shares", 1, lambda n: [(1.0, there(n, -0.25))])) == -0.25
