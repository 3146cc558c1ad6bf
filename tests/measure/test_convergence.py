"""Orders of convergence: of pure powers, of as few as two points, and of what has none."""

import numpy as np
import pytest
import torch

from flowlib.measure import errors_against, order


@pytest.mark.parametrize("p", [-1, 0.5, 2, 4])
@pytest.mark.parametrize("steps", [[4, 8], [1, 10, 100], [7, 3, 20, 11]], ids=len)
def test_a_pure_power_has_its_order(p, steps):
    errors = [3.0 * n**-p for n in steps]
    assert order(errors, steps) == pytest.approx(p, abs=1e-12)
    measured = torch.tensor(errors, dtype=torch.float64, requires_grad=True)
    assert order(measured, np.array(steps)) == order([e * 1 for e in measured], steps) == pytest.approx(p, abs=1e-12)


def test_it_is_the_least_squares_slope():
    n, e = torch.tensor([1.0, 2, 4, 8]).double(), torch.tensor([1.0, 0.3, 0.2, 0.01]).double()
    x, y = n.log() - n.log().mean(), e.log() - e.log().mean()
    assert order(e, n) == pytest.approx(-((x * y).sum() / x.square().sum()).item())


@pytest.mark.parametrize(
    ("errors", "steps"),
    [([0.1], [4]), ([0.1, 0.2], [4, 4]), ([0.1, 0.2, 0.3], [4, 8]), ([], []), ([0.1], [4, 8])],
)
def test_it_needs_two_different_numbers_of_steps(errors, steps):
    with pytest.raises(ValueError, match="as many errors as steps, at least 2 and different ones"):
        order(errors, steps)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_errors_and_steps_are_positive_and_finite(bad):
    for errors, steps in (([0.1, bad], [4, 8]), ([0.1, 0.2], [4, bad])):
        with pytest.raises(ValueError, match="must be positive and finite"):
            order(errors, steps)


def test_the_error_is_the_largest_of_all_entries():
    reference = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    solve = lambda n: reference + torch.tensor([[0.1, -1.0], [0.0, 0.5]]) / n
    assert errors_against(reference, solve, [1, 2, 10]) == pytest.approx([1.0, 0.5, 0.1])
