"""The Transformer, exactly: PyTorch's own encoder against its reading as a splitting."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from flowlib.models import from_torch, mask_from_torch
from flowlib.operators import Moments

# `measured` gathers the figures of all examples of a test, on purpose.
REPEATABLE = dict(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
SHAPES = dict(
    heads=st.sampled_from([1, 2, 4]),
    per_head=st.integers(2, 6),
    hidden=st.integers(1, 40),
    layers=st.integers(1, 4),
    batch=st.integers(1, 3),
    tokens=st.integers(1, 9),
    norm_first=st.booleans(),
    activation=st.sampled_from(["relu", "gelu"]),
    bias=st.booleans(),
    last_norm=st.booleans(),
    masking=st.sampled_from(["none", "padding", "causal", "both"]),
    seed=st.integers(0, 2**31),
)


def encoder(heads, per_head, hidden, layers, norm_first, activation, bias, last_norm, dtype, eps=1e-5):
    d = (
        heads * per_head if heads > 1 else 2 + per_head
    )  # under 4 features layer norm leaves a gradient of 1e-5 and less
    layer = nn.TransformerEncoderLayer(
        d, heads, hidden, 0.0, activation, eps, batch_first=True, norm_first=norm_first, bias=bias, dtype=dtype
    )
    norm = nn.LayerNorm(d, eps, bias=bias, dtype=dtype) if last_norm else None
    net = nn.TransformerEncoder(layer, layers, norm, enable_nested_tensor=False)
    for name, p in net.named_parameters():
        nn.init.normal_(p, 1.0 if "norm" in name and "weight" in name else 0.0, 0.3)
    return net, d


def masks(masking, batch, tokens):
    """torch's convention: True = must not attend. Some tokens at the end are padding, never all of them."""
    padding = causal = None
    if masking in ("padding", "both"):
        lengths = torch.randint(1, tokens + 1, (batch,))
        padding = torch.arange(tokens) >= lengths[:, None]
    if masking in ("causal", "both"):
        causal = ~torch.ones(tokens, tokens, dtype=torch.bool).tril()
    return causal, padding


def compare(measured, dtype, bound, masking, batch, tokens, seed, fast=False, **shape):
    torch.manual_seed(seed)
    net, d = encoder(dtype=dtype, **shape)
    net.train(not fast)  # dropout is 0, so both modes compute the same, by different paths
    flow = from_torch(net)
    causal, padding = masks(masking, batch, tokens)
    valid = torch.ones(batch, tokens, dtype=torch.bool) if padding is None else ~padding
    mask = mask_from_torch(causal, padding)
    u = torch.randn(batch, tokens, d, dtype=dtype)
    if fast:
        with torch.no_grad():
            theirs = net(u, causal, padding)
            gap = (flow(u, mask=mask).final - theirs)[valid].abs().max() / max(1, theirs[valid].abs().max())
        measured.at_most("outputs, torch's fast path", gap, bound)
        return
    results = []
    for module in (net, flow):
        v = u.clone().requires_grad_()
        out = module(v, causal, padding) if module is net else module(v, mask=mask).final
        probe = torch.sin(torch.arange(out[valid].numel(), dtype=dtype)).view_as(out[valid])
        (out[valid] * probe).sum().backward()
        results.append((out[valid].detach(), v.grad[valid], parameter_gradients(module)))
    (theirs, their_du, their_dp), (ours, our_du, our_dp) = results
    name = str(dtype).removeprefix("torch.")
    measured.at_most(f"outputs, {name}", (ours - theirs).abs().max() / max(1.0, theirs.abs().max()), bound)
    gap = (our_du - their_du).abs().max() / their_du.abs().max().clamp(min=1e-3)
    measured.at_most(f"gradients of the input, {name}", gap, bound)
    largest = max(g.abs().max() for g in their_dp)
    gap = max((g - h).abs().max() for g, h in zip(our_dp, their_dp, strict=True))
    measured.at_most(f"gradients of the parameters, {name}", gap / largest, bound)


def parameter_gradients(module):
    """The gradients of all layers' matrices and vectors, in one order for both."""
    if isinstance(module, nn.TransformerEncoder):
        found = []
        for m in module.layers:
            found += [m.self_attn.in_proj_weight, m.self_attn.out_proj.weight, m.linear1.weight, m.linear2.weight]
            found += [m.norm1.weight, m.norm2.weight]
        return [p.grad for p in found]
    found = []
    for layer in module.depth.layers:
        get = dict(layer.named_parameters())
        ends = ["qkv.weight", "out.weight", "up.weight", "down.weight"]
        matrices = [next(p for name, p in get.items() if name.endswith(end)) for end in ends]
        scales = [p for name, p in get.items() if name.endswith("scale")]
        found += [p.grad for p in matrices + scales]
    return found


@pytest.mark.claim("C0.1")
@given(**SHAPES)
@settings(max_examples=120, **REPEATABLE)
def test_equals_torch_in_float64(measured, **shape):
    compare(measured, torch.float64, 1e-12, **shape)


@pytest.mark.claim("C0.1")
@given(**SHAPES)
@settings(max_examples=40, **REPEATABLE)
def test_equals_torch_in_float32(measured, **shape):
    compare(measured, torch.float32, 1e-5, **shape)


@pytest.mark.claim("C0.1")
@given(**SHAPES)
@settings(max_examples=40, **REPEATABLE)
def test_equals_torchs_fast_path(measured, **shape):
    compare(measured, torch.float64, 1e-12, fast=True, **shape)


@pytest.mark.claim("C0.1")
@pytest.mark.claim("C6.2")
@pytest.mark.parametrize("eps, bound", [(0.0, 1e-12), (1e-5, 1e-12), (0.1, 1e-12)])
def test_the_papers_substeps_equal_torch(measured, eps, bound):
    torch.manual_seed(0)
    net, d = encoder(2, 4, 16, 3, False, "relu", True, True, torch.float64, eps)
    u = torch.randn(2, 5, d, dtype=torch.float64)
    literal, local = from_torch(net, "literal"), from_torch(net, "local")
    measured.at_most("the paper's substeps against torch", (literal(u).final - net(u)).abs().max(), bound)
    measured.at_most("literal against local reading", (literal(u).fields - local(u).fields).abs().max(), bound)


@pytest.mark.claim("C6.4")
def test_the_averaged_skip_shows_through_epsilon(measured):
    """½(u + u') and u + u' have the same layer norm only at ε = 0; at ε = 1e-5 the difference shows, ε/4 removes it."""
    torch.manual_seed(0)
    u = torch.randn(200, 16, dtype=torch.float64)
    u = u / u.std(-1, correction=0, keepdim=True) * torch.linspace(0.3, 1, 200)[:, None]

    def gap(whole_eps, half_eps):
        return (Moments(eps=half_eps).project(u / 2) - Moments(eps=whole_eps).project(u)).abs().max().item()

    measured.at_most("mean against sum, ε = 0", gap(0.0, 0.0), 1e-14)
    measured.between("mean against sum, ε = 1e-5 in both", gap(1e-5, 1e-5), 1e-5, 1e-3)
    measured.at_most("mean with ε/4 against sum with ε", gap(1e-5, 1e-5 / 4), 1e-14)


def test_a_layer_alone_and_what_it_returns():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.1, batch_first=True, dtype=torch.float64).eval()
    flow = from_torch(layer)
    u = torch.randn(3, 4, 8, dtype=torch.float64)
    trajectory = flow(u)
    assert trajectory.fields.shape == (2, 3, 4, 8) and not flow.training
    torch.testing.assert_close(trajectory.final, layer(u), rtol=0, atol=1e-12)
    with torch.no_grad():
        layer.linear1.weight.zero_()  # a copy, not a view
    assert (flow(u).final - layer(u)).abs().max() > 1e-3


def test_masks_are_inverted():
    causal = nn.Transformer.generate_square_subsequent_mask(3)
    assert torch.equal(mask_from_torch(causal), torch.ones(1, 3, 3, dtype=torch.bool).tril())
    padding = torch.tensor([[False, True, False]] * 3)  # a batch of as many as there are tokens
    assert mask_from_torch(None, padding).shape == mask_from_torch(causal, padding).shape == (3, 3, 3)
    assert mask_from_torch(None, padding)[0].tolist() == [[True, False, True], [False] * 3, [True, False, True]]
    assert mask_from_torch() is None
    with pytest.raises(ValueError, match="0 and −∞ only"):
        mask_from_torch(torch.randn(3, 3))


@pytest.mark.parametrize(
    "module, reading, error, message",
    [
        (lambda: nn.Linear(2, 2), "local", TypeError, "got Linear"),
        (lambda: nn.TransformerEncoderLayer(4, 2), "exact", ValueError, "unknown reading 'exact'; known: 'local'"),
        (lambda: nn.TransformerEncoderLayer(4, 2, norm_first=True), "literal", ValueError, "post-norm"),
        (lambda: nn.TransformerEncoderLayer(4, 2, activation="gelu"), "literal", ValueError, "needs ReLU"),
        (lambda: nn.TransformerEncoderLayer(4, 2, activation=torch.sin), "local", ValueError, "unknown activation"),
    ],
)
def test_what_it_cannot_read_is_named(module, reading, error, message):
    with pytest.raises(error, match=message):
        from_torch(module(), reading)
