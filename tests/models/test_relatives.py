"""Relatives of BERT, ViT, GPT and Llama against their readings as flows, over their own settings."""

import importlib.util
from pathlib import Path

import pytest
import torch

from flowlib.measure.budgets import attention_inside, budget, kernel_of
from flowlib.models.zoo import READERS, describe, from_huggingface
from flowlib.models.zoo.refusals import NEEDED
from flowlib.operators import Past, attend

transformers = pytest.importorskip("transformers", reason='transformers is not installed; pip install -e ".[test]"')
spec = importlib.util.spec_from_file_location("families", Path(__file__).with_name("families.py"))
families = importlib.util.module_from_spec(spec)
spec.loader.exec_module(families)


@pytest.mark.claim("C11.1")
@pytest.mark.parametrize("dtype", families.DTYPES, ids=["float32", "float64"])
@pytest.mark.parametrize("name", families.FAMILIES)
def test_is_the_model(measured, name, dtype, gap, padding):
    *_, own = families.FAMILIES[name]
    bound = float(families.ROWS[name].exact) if dtype == torch.float64 else 1e-5
    kind = str(dtype).removeprefix("torch.")
    for seed, settings in enumerate([{}, *own, *(families.shape_for(name, seed) for seed in range(4))]):
        model, inputs = families.network(name, seed, dtype, **settings), families.inputs_of(name, seed, dtype=dtype)
        flow, bound = from_huggingface(model), 1e-5 if model.dtype == torch.float32 else bound
        measured.at_most(f"{name}, {kind}", gap(model, inputs, flow=flow), bound)
        for mask in families.masks_for(name, dtype, padding(3, 9)):
            measured.at_most(f"{name} with padding, {kind}", gap(model, inputs, mask, flow), bound)


@torch.no_grad()
@pytest.mark.parametrize("name", families.CAUSAL)
def test_new_tokens_flow_alone(name):
    read, tokens = from_huggingface(families.network(name)), families.inputs_of(name)["input_ids"]
    u0, past = read.embed(tokens), Past()
    parts = [read.flow(u0[:, a:b], past=past).final for a, b in ((0, 3), (3, 4), (4, 9))]
    torch.testing.assert_close(
        torch.cat(parts, 1), read.flow(u0).final, rtol=0, atol=1e-12 if u0.dtype == torch.float64 else 1e-5
    )


@pytest.mark.parametrize("name", families.FAMILIES)
def test_the_table_says_what_it_is(name):
    row = families.ROWS[name]
    assert describe(from_huggingface(families.network(name)).flow, name, row.source, row.exact) == row


@pytest.mark.parametrize("name", families.FAMILIES)
def test_a_changed_model_is_refused(name):
    """Of every reader: a hook on the last map of the last layer."""
    model = families.network(name)
    last = [m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and "pooler" not in n][-1]
    last.register_forward_hook(lambda module, inputs, output: output**2)
    with pytest.raises(ValueError, match="has a hook"):
        from_huggingface(model)


# --------------------------------------------------------------------------------------------------- what is special


@torch.no_grad()
def test_a_window_is_a_domain():
    """Within one layer a token hears itself and the w − 1 before it, and the kernel says so."""
    read, tokens = from_huggingface(families.network("Mistral", layers=1)), families.inputs_of("Mistral")["input_ids"]
    kernel = read.flow.depth.layers[0][0].term
    gamma = kernel.kernel(read.embed(tokens))
    x = torch.arange(9)
    inside = (x[:, None] - x < 4) & (x[:, None] >= x)
    assert (gamma > 0).eq(inside).all() and (gamma.sum(-1) - 1).abs().max() < 1e-12


REFUSED = {
    "a mixture": (
        lambda: families.unknown("Qwen2Moe"),
        "'qwen2_moe' .* is not known; known: bert, .*; it needs a local term",
    ),
    "by distance": (lambda: families.unknown("Deberta"), "'deberta' .*; it needs a kernel whose weights depend"),
    "two flows": (
        lambda: families.unknown("CLIP"),
        r"'clip' .*; it needs to be read in two: model.text_model and model.vision",
    ),
    "DINOv2, not square": (lambda: families.network("DINOv2", image_size=(8, 12)), "8 × 12 resamples its positions"),
    "BLOOM from N(u)": (
        lambda: families.network("BLOOM", apply_residual_connection_post_layernorm=True),
        r"adds its terms to N\(u\) instead of u .*needs a substep that starts from a projected field",
    ),
    "RoBERTa without padding": (
        lambda: families.no_padding(families.network("RoBERTa")),
        "pad_token_id must be set, got None",
    ),
    "causal RoBERTa": (lambda: families.network("RoBERTa", is_decoder=True), "RobertaModel has a causal BERT"),
    "causal ELECTRA": (lambda: families.network("ELECTRA", is_decoder=True), "ElectraModel has a causal BERT"),
    "bidirectional Gemma": (
        lambda: families.network("Gemma", use_bidirectional_attention=True),
        "GemmaModel has bidirectional",
    ),
    "half a pair": (
        lambda: families.network("Phi", per_head=6, partial_rotary_factor=0.25),
        "of a head's 6 features a Phi would turn 1, and only pairs can be turned",
    ),
    "layers of another kind": (
        lambda: families.changed(families.network("Qwen2", **families.SLIDING), layer_types=["chunked_attention"] * 3),
        "layers of chunked_attention cannot be read; known: full and sliding",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_it_cannot_read_is_named(case):
    make, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        from_huggingface(make())


@pytest.mark.claim("C11.1")
@pytest.mark.parametrize("name", ["RoBERTa", "XLM-R"])
def test_padding_tokens_are_not_counted(measured, name, gap, padding):
    """With and without a mask; its length is told where it is too long."""
    model, inputs = families.network(name), families.inputs_of(name)
    for mask in padding(3, 9).values():
        ids = inputs["input_ids"] * mask + (1 - mask)  # 1 is the padding token
        measured.at_most(f"{name}, padding tokens", gap(model, dict(input_ids=ids), mask), 1e-10)
        measured.at_most(f"{name}, padding tokens heard", gap(model, dict(input_ids=ids)), 1e-10)
    with pytest.raises(ValueError, match=f"at most {families.LONGEST - 2} tokens have a position, got 30"):
        from_huggingface(model)(input_ids=torch.full((1, 30), 7))


@torch.no_grad()
@pytest.mark.claim("C11.1")
@pytest.mark.parametrize("heads", [4, 6])
def test_alibi_is_a_quadrature_weight(measured, heads):
    """Head h of BLOOM is `attend` with the weights e^{m_h x}; so for tokens that come alone, and for padded ones."""
    kernel = from_huggingface(families.network("BLOOM", heads=heads)).flow.depth.layers[0][0].term
    u = torch.randn(2, 9, heads * 8, dtype=torch.float64)
    q, k, v = kernel._heads(u, None, None)
    weights = (torch.tensor(kernel.slopes, dtype=torch.float64)[:, None] * torch.arange(9)).exp()
    heard = attend(q, k, v, weights, causal=True).transpose(-3, -2).flatten(-2)
    gap = (kernel.out(heard) - kernel(u)).abs().max() / kernel(u).abs().max()
    measured.at_most("BLOOM's kernel against attend with weights e^{mx}", gap, 1e-14)


def test_what_can_be_read_is_not_in_the_list_of_what_cannot():
    assert not set(READERS) & set(NEEDED)


def test_every_reader_is_tried_somewhere():
    tried = {getattr(transformers, f"{kind}Config").model_type for kind, *_ in families.FAMILIES.values()}
    elsewhere = {"bert", "albert", "vit", "gpt2", "gptj", "gpt_neox", "llama"}  # test_huggingface
    listening = {"t5", "mt5", "umt5", "bart", "mbart", "pegasus", "marian", "whisper"}  # test_listening
    assert set(READERS) - tried <= elsewhere | listening


@torch.no_grad()
@pytest.mark.parametrize("name", ["Gemma 2", "Mixtral", "BLOOM"])
def test_budgets_name_its_terms_and_see_its_kernels(name):
    """However a term is wrapped: the account closes, and the kernel is a mean over who is heard."""
    read = from_huggingface(families.network(name))
    u0, found = read.embed(families.inputs_of(name)["input_ids"]), []
    account = budget(read.flow, u0)
    read.flow(u0, watch=lambda one: found.append(one))
    kernels = [kernel_of(one) for one in found if attention_inside(one) is not None]
    assert set(account.names) == {"attention", "feed-forward", "readout"} and len(kernels) == 3
    assert all((gamma.sum(-1) - 1).abs().max() < 1e-12 for gamma in kernels)
    torch.testing.assert_close(account.final, read.flow(u0).final, rtol=0, atol=1e-10)
