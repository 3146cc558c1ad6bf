"""Scaled rotary frequencies: Llama under every law that `transformers` has, below and beyond the trained length."""

import pytest
import torch

from flowlib.models.zoo import from_huggingface
from flowlib.models.zoo.rope import LAWS

transformers = pytest.importorskip("transformers", reason='transformers is not installed; pip install -e ".[test]"')

LONGEST, TRAINED = 24, 12
LLAMA3 = dict(low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=TRAINED)
SETTINGS = {
    "linear": [dict(factor=2.0), dict(factor=7.3)],
    "dynamic": [dict(factor=2.0), dict(factor=3.7)],
    "llama3": [dict(factor=8.0) | LLAMA3, dict(factor=2.0) | LLAMA3 | dict(high_freq_factor=2.0)],
    "yarn": [
        dict(factor=2.0, original_max_position_embeddings=TRAINED),
        dict(factor=4.0, original_max_position_embeddings=TRAINED, attention_factor=1.7),
        dict(factor=4.0, original_max_position_embeddings=TRAINED, mscale=0.7, mscale_all_dim=1.2),
        dict(factor=4.0, original_max_position_embeddings=TRAINED, beta_fast=3.0, beta_slow=0.5, truncate=False),
        dict(factor=1.0, original_max_position_embeddings=LONGEST),
    ],
    "longrope": [
        dict(
            factor=2.0,
            original_max_position_embeddings=TRAINED,
            short_factor=[1.0, 1.1, 1.2, 1.5],
            long_factor=[1.0, 2.0, 3.0, 4.0],
        ),
    ],
}
OLD = transformers.__version__ < "5"  # it knows the trained length of longrope from another place
CASES = [(kind, k) for kind, rows in SETTINGS.items() for k in range(len(rows)) if not (OLD and kind == "longrope")]


def scaled(settings, theta):
    """As this version of transformers takes it."""
    if int(transformers.__version__.split(".")[0]) < 5:
        return dict(rope_theta=theta, rope_scaling=settings)
    return dict(rope_parameters=settings | dict(rope_theta=theta))


def llama(kind, k, dtype=torch.float64, theta=100.0):
    torch.manual_seed(0)
    given = transformers.LlamaConfig(
        vocab_size=40,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        num_key_value_heads=3,
        intermediate_size=20,
        max_position_embeddings=LONGEST,
        pad_token_id=None,
        **scaled(dict(rope_type=kind) | SETTINGS[kind][k], theta),
    )
    model = transformers.LlamaModel(given).to(dtype).eval()
    for p in model.parameters():
        p.data += 0.3 * torch.randn_like(p)
    return model


@torch.no_grad()
@pytest.mark.claim("C11.1")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("kind, k", CASES)
def test_is_the_model(measured, kind, k, dtype):
    """On texts shorter and longer than the trained ones: each by a model that has seen no other text."""
    for tokens in (5, TRAINED, LONGEST - 1, LONGEST, LONGEST + 9):
        model, ids = llama(kind, k, dtype), torch.randint(0, 40, (2, tokens))
        theirs, ours = model(ids).last_hidden_state, from_huggingface(model)(ids).final
        found = (ours - theirs).abs().max() / theirs.abs().max()
        measured.at_most(f"Llama, frequencies {kind}, {str(dtype).removeprefix('torch.')}", found, 1e-5)


@torch.no_grad()
@pytest.mark.parametrize("kind, k", CASES)
def test_the_scaling_is_seen(kind, k):
    """A reading that forgot the law would be refused: the frequencies are others than the plain ones."""
    model, ids = llama(kind, k), torch.arange(LONGEST + 9)[None] % 40
    plain = llama(kind, k)
    plain.config.rope_parameters = {"rope_type": "default", "rope_theta": 100.0}
    plain.config.rope_scaling = None
    unscaled = from_huggingface(plain, verify=False)(ids).final
    gap = (from_huggingface(model)(ids).final - unscaled).abs().max() / unscaled.abs().max()
    assert gap > 1e-3 or SETTINGS[kind][k]["factor"] == 1


def test_every_law_is_tried_and_others_are_named():
    assert set(SETTINGS) == set(LAWS)
    model = llama("linear", 0)
    model.config.rope_parameters = {"rope_type": "proportional", "rope_theta": 1e4, "factor": 1.0}
    model.config.rope_scaling = {"rope_type": "proportional", "rope_theta": 1e4, "factor": 1.0}
    with pytest.raises(ValueError, match="scaled by 'proportional' cannot be read; known: default, linear, dynamic"):
        from_huggingface(model)
    model.config.rope_parameters = {"rope_type": "llama3", "rope_theta": 1e4, "factor": 1.0}
    model.config.rope_scaling = {"rope_type": "llama3", "rope_theta": 1e4, "factor": 1.0}
    with pytest.raises(ValueError, match="scaled by 'llama3' need the setting 'low_freq_factor'"):
        from_huggingface(model)
