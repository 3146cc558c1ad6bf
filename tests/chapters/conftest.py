"""What the tests of chapters 10 and 11 share: numbers in double precision, a trained model, its own equation."""

import pytest
import torch

from flowlib.measure import evaluations
from flowlib.models import FlowLM, shipped


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def elastic():
    return FlowLM.load(shipped("tiny-elastic")).double()


@pytest.fixture(scope="module")
def solved(elastic):
    """A start of tiny-elastic, and the end of its own equation."""
    u0 = elastic.trajectory("the value of").fields[0]
    return u0, evaluations.solution(elastic.flow, u0, 3e-4)
