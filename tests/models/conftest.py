"""What the tests of known architectures share: how far a reading is from its model, and padded texts."""

import pytest
import torch

from flowlib.models.zoo import from_huggingface


@pytest.fixture
def gap():
    return relative_gap


@pytest.fixture
def padding():
    return padded


@torch.no_grad()
def relative_gap(model, inputs, mask=None, flow=None):
    """The largest difference at valid tokens, relative to the largest entry."""
    more = {} if mask is None else dict(attention_mask=mask)
    theirs = model(**inputs, **more).last_hidden_state
    ours = (flow or from_huggingface(model))(**inputs, **more).final
    valid = torch.ones(theirs.shape[:-1], dtype=torch.bool) if mask is None else mask.bool()
    return ((ours - theirs)[valid].abs().max() / theirs[valid].abs().max()).item()


def padded(batch, tokens):
    """Valid tokens, at least one in each text, the padding on the right, on the left, or in the middle."""
    length = torch.arange(batch)[:, None] % tokens + 1
    place = torch.arange(tokens)
    right, left = place < length, place >= tokens - length
    return dict(right=right.long(), left=left.long(), middle=(right | (place == tokens - 1)).long())
