"""A module that was changed after it was built is read as it computes, or refused by name; and is left as it was."""

import copy

import pytest
import torch
from torch import nn

from flowlib.models import from_huggingface, from_torch


def encoder(norm_first=False, layers=2, dropout=0.0, dtype=torch.float32, heads=3, **more) -> nn.TransformerEncoder:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(
        12, heads, 20, dropout, batch_first=True, norm_first=norm_first, dtype=dtype, **more
    )
    net = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
    for p in net.parameters():
        nn.init.normal_(p, 1.0 if p.ndim == 1 else 0.0, 0.3)
    return net.eval()


def each(net, change):
    for layer in net.layers:
        change(layer)
    return net


class Doubled(nn.TransformerEncoderLayer):
    """A subclass that computes something else."""

    def forward(self, *args, **kwargs):
        return 2 * super().forward(*args, **kwargs)


class Named(nn.TransformerEncoderLayer):
    """A subclass that computes the same."""


class Loud(nn.Linear):
    def forward(self, u):
        return 1.5 * super().forward(u)


def linear(layer, kind):
    made = kind(12, 20)
    made.load_state_dict(layer.linear1.state_dict())
    layer.linear1 = made


def replaced(name, module):
    return lambda layer: setattr(layer, name, module)


EQUAL = {
    "another activation": lambda: each(encoder(), replaced("activation", nn.SiLU())),
    "as it is": lambda: encoder(),
    "a subclass that is the same": lambda: nn.TransformerEncoder(
        Named(12, 3, 20, 0.0, batch_first=True), 2, enable_nested_tensor=False
    ),
    "another ε": lambda: each(
        encoder(), lambda layer: (setattr(layer.norm1, "eps", 0.1), setattr(layer.norm2, "eps", 0.3))
    ),
    "another ε, pre-norm": lambda: each(encoder(True), lambda layer: setattr(layer.norm1, "eps", 0.1)),
    "tokens first": lambda: nn.TransformerEncoder(
        nn.TransformerEncoderLayer(12, 3, 20, 0.0), 2, enable_nested_tensor=False
    ),
    "a hook that only looks": lambda: each(
        encoder(), lambda layer: layer.linear1.register_forward_hook(lambda module, inputs, output: None)
    ),
    "no scale in the norms": lambda: each(encoder(), replaced("norm1", nn.LayerNorm(12, elementwise_affine=False))),
    "in half precision": lambda: encoder(dtype=torch.bfloat16),
}
DIFFERENT = {
    "a hook": (
        lambda: each(encoder(), lambda m: m.linear1.register_forward_hook(lambda module, inputs, output: 2 * output)),
        "layers.0.linear1 has a hook",
    ),
    "a hook before": (
        lambda: each(
            encoder(), lambda m: m.norm1.register_forward_pre_hook(lambda module, inputs: (inputs[0] + inputs[0] ** 2,))
        ),
        "layers.0.norm1 has a hook",
    ),
    "a subclass": (
        lambda: nn.TransformerEncoder(Doubled(12, 3, 20, 0.0, batch_first=True), 2, enable_nested_tensor=False),
        "layers.0 is a Doubled",
    ),
    "a subclass inside": (lambda: each(encoder(), lambda layer: linear(layer, Loud)), "layers.0.linear1 is a Loud"),
    "another forward": (
        lambda: each(encoder(), lambda layer: setattr(layer, "forward", lambda *a, **k: a[0])),
        "layers.0 has another forward",
    ),
    "an activation that only one of torch's ways knows": (
        lambda: each(encoder(heads=2), replaced("activation", nn.SiLU())),
        "its output on torch's fast path differs.*an activation",
    ),
    "an unknown activation": (lambda: each(encoder(), replaced("activation", nn.Mish())), "unknown activation"),
    "a broken one": (
        lambda: each(encoder(), replaced("forward", lambda *a, **k: 1 / 0)),
        "cannot be run on a small input",
    ),
    "not finite": (
        lambda: each(encoder(), lambda layer: nn.init.constant_(layer.linear1.weight, torch.nan)),
        "differs",
    ),
    "several axes": (lambda: each(encoder(), replaced("norm1", nn.LayerNorm((7, 12)))), "over the features alone"),
    "dropout": (lambda: encoder(dropout=0.1).train(), "training mode with dropout 0.1.*call module.eval"),
    "dropout in a part": (
        lambda: each(encoder(dropout=0.1), lambda layer: layer.dropout1.train()),
        "training mode with dropout 0.1",
    ),
    "dropout of attention": (
        lambda: each(encoder(dropout=0.0), lambda layer: (setattr(layer.self_attn, "dropout", 0.2), layer.train())),
        "training mode with dropout 0.2",
    ),
    "layers that differ": (lambda: each_other(encoder()), "must be alike"),
    "RMSNorm": (
        lambda: each(encoder(), replaced("norm1", nn.RMSNorm(12))),
        "norm1 of layer 0 must be nn.LayerNorm, got RMS",
    ),
    "Identity": (lambda: each(encoder(), replaced("norm2", nn.Identity())), "norm2 of layer 0 must be nn.LayerNorm"),
    "no layers": (lambda: encoder(layers=0), "without layers"),
    "other attention": (
        lambda: each(encoder(), replaced("self_attn", nn.Linear(2, 2))),
        "must be nn.MultiheadAttention",
    ),
    "other maps": (lambda: each(encoder(), replaced("linear1", nn.Identity())), "linear1 of layer 0 must be nn.Linear"),
    "not loaded": (lambda: encoder().to("meta"), "must be loaded"),
    "two dtypes": (lambda: each_other(encoder(), lambda layer: layer.double()), "of one dtype.*module.float"),
    "last norm": (
        lambda: with_norm(encoder(), nn.LayerNorm((7, 12))),
        "the encoder's last norm must be over the features",
    ),
}


def each_other(net, change=lambda layer: setattr(layer.norm1, "eps", 0.5)):
    change(net.layers[1])
    return net


def with_norm(net, norm):
    net.norm = norm
    return net


@pytest.mark.parametrize("case", EQUAL)
def test_what_computes_the_same_is_read(case):
    net = EQUAL[case]().eval()
    flow, u = from_torch(net), torch.randn(3, 5, 12).to(next(net.parameters()))
    turned = u if net.layers[0].self_attn.batch_first else u.transpose(0, 1)
    with torch.no_grad():
        theirs = net(turned)
    theirs = theirs if net.layers[0].self_attn.batch_first else theirs.transpose(0, 1)
    within = 1e-5 if u.dtype == torch.float32 else 0.1
    assert (flow(u).final - theirs).abs().max() <= within * theirs.abs().max()


@pytest.mark.parametrize("case", DIFFERENT)
def test_what_computes_something_else_is_refused_by_name(case):
    make, message = DIFFERENT[case]
    with pytest.raises(ValueError, match=message):
        from_torch(make())


def test_unchecked_it_is_read_all_the_same():
    net = DIFFERENT["a hook"][0]()
    assert from_torch(net, verify=False)(torch.randn(2, 5, 12)).final.isfinite().all()


def test_the_module_and_what_is_around_it_are_as_they_were():
    net = encoder()
    net.layers[0].train()
    net.layers[1].linear1.train()
    net.register_buffer("count", torch.zeros(1))
    net.layers[0].register_forward_hook(lambda *_: net.count.add_(torch.rand(1)) and None)
    modes, state = [m.training for m in net.modules()], copy.deepcopy(net.state_dict())
    torch.manual_seed(3)
    torch.set_float32_matmul_precision("high")
    try:
        from_torch(net)
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert drawn == torch.rand(1) and modes == [m.training for m in net.modules()]
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), state.values(), strict=True))
    assert all(p.grad is None for p in net.parameters()) and torch.is_grad_enabled()
    assert torch.backends.mha.get_fastpath_enabled()


# ------------------------------------------------------------------------------------------ models of `transformers`

USUAL = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20, vocab_size=40)
GPT2 = dict(n_embd=24, n_layer=2, n_head=3, vocab_size=40, n_positions=32)


def network(kind, seed=0, spread=0.3, **settings):
    tf = pytest.importorskip("transformers", reason='transformers is not installed; pip install -e ".[test]"')
    given = GPT2 if kind == "GPT2" else USUAL
    torch.manual_seed(seed)
    model = getattr(tf, f"{kind}Model")(getattr(tf, f"{kind}Config")(**given | settings)).eval()
    for p in model.parameters():
        p.data += spread * torch.randn_like(p)
    return model


def change(model, path, value):
    owner, _, name = path.rpartition(".")
    setattr(model.get_submodule(owner) if not owner.startswith("config") else model.config, name, value)
    return model


def hooked(model, name):
    model.get_submodule(name).register_forward_hook(lambda module, inputs, output: 1.1 * output)
    return model


CHANGED = {
    "BERT's activation": (
        lambda: change(network("Bert"), "encoder.layer.1.intermediate.intermediate_act_fn", nn.SiLU()),
        "differs",
    ),
    "GPT-2's activation": (lambda: change(network("GPT2"), "h.0.mlp.act", nn.ReLU()), "differs"),
    "Llama's activation": (lambda: change(network("Llama"), "layers.0.mlp.act_fn", nn.GELU()), "differs"),
    "ε of one norm": (lambda: change(network("GPT2"), "h.1.ln_2.eps", 0.2), "h.1.ln_2 of GPT2Model has ε = 0.2"),
    "ε of an RMS norm": (lambda: change(network("Llama"), "norm.variance_epsilon", 0.2), "norm of LlamaModel has ε"),
    "ε in the configuration": (lambda: change(network("GPT2"), "config.layer_norm_epsilon", 0.2), "has ε = 1e-05"),
    "activation in the configuration": (lambda: change(network("Bert"), "config.hidden_act", "relu"), "differs"),
    "heads in the configuration": (
        lambda: change(network("Bert"), "config.num_attention_heads", 4),
        "have .8. features",
    ),
    "order in the configuration": (
        lambda: change(network("GPTNeoX"), "config.use_parallel_residual", False),
        "differs",
    ),
    "rotation in the configuration": (
        lambda: change(network("Llama"), "config.rope_parameters", {"rope_type": "default", "rope_theta": 10.0}),
        "differs",
    ),
    "a hook": (lambda: hooked(network("GPT2"), "h.1.mlp"), "h.1.mlp has a hook"),
    "a hook at the end": (lambda: hooked(network("Llama"), "norm"), "norm has a hook"),
    "another scale": (lambda: change(network("Llama"), "layers.1.self_attn.scaling", 1.0), "differs"),
    "an untrained one, changed": (
        lambda: change(network("Bert", spread=0.0), "encoder.layer.0.intermediate.intermediate_act_fn", nn.ReLU()),
        "differs",
    ),
    "dropout in a part": (lambda: trained(network("Bert")), "training mode with dropout 0.1"),
}


def trained(model):
    model.encoder.layer[1].train()
    return model


@pytest.mark.parametrize("case", CHANGED)
def test_a_changed_model_is_refused(case):
    make, message = CHANGED[case]
    with pytest.raises(ValueError, match=message):
        from_huggingface(make())


@pytest.mark.parametrize(
    "heads, per_head, share", [(3, 8, 0.0), (3, 8, 0.1), (4, 12, 0.25), (3, 10, 0.5), (2, 8, 0.15)]
)
def test_any_share_of_a_head_is_turned(heads, per_head, share):
    """Of none, and of an odd number, of which transformers turns one more."""
    model = network("GPTNeoX", hidden_size=heads * per_head, num_attention_heads=heads, rotary_pct=share)
    tokens = torch.randint(0, 40, (2, 30))
    with torch.no_grad():
        theirs = model(tokens).last_hidden_state
        ours = from_huggingface(model, verify=False)(tokens).final
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def test_the_model_is_as_it_was_and_needs_no_gradients():
    model = network("GPT2", attn_pdrop=0.0, resid_pdrop=0.0, embd_pdrop=0.0).train()
    state = copy.deepcopy(model.state_dict())
    torch.manual_seed(3)
    from_huggingface(model)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert drawn == torch.rand(1) and all(m.training for m in model.modules())
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), state.values(), strict=True))
    assert all(p.grad is None for p in model.parameters())
