"""Models of `transformers` against their readings as flows: the same numbers, layer by layer."""

import random
import re

import pytest
import torch
from torch import nn

from flowlib.models.zoo import ARCHITECTURES, describe, from_huggingface, minilm
from flowlib.operators import Attention, Past

transformers = pytest.importorskip("transformers", reason='transformers is not installed; pip install -e ".[test]"')

CAUSAL = ("GPT-2", "GPT-J", "GPT-NeoX", "Llama")
READ = ("BERT", "ALBERT", "ViT", *CAUSAL)
BOUNDS = {torch.float32: 1e-5, torch.float64: 1e-12}
ROWS = {row.name: row for row in ARCHITECTURES}
# In float32 whatever the format: the RMS norm of Llama, and GPT-J's scores where it has only the eager attention.
ROUNDED = {"Llama"} if transformers.GPTJPreTrainedModel._supports_sdpa else {"Llama", "GPT-J"}
VOCABULARY, LONGEST = 40, 24


def exact(name, dtype=torch.float64):
    return 1e-5 if name in ROUNDED or dtype == torch.float32 else float(ROWS[name].exact)


def config(name, heads=3, per_head=8, layers=2, inner=20, **more):
    """A small configuration; what is not given is the architecture's default."""
    width = heads * per_head
    tokens = dict(vocab_size=VOCABULARY, bos_token_id=None, eos_token_id=None, pad_token_id=None)
    usual = dict(hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=inner)
    gpt = dict(n_embd=width, n_layer=layers, n_head=heads, n_inner=inner, n_positions=LONGEST)
    given = {
        "BERT": lambda: usual | tokens | dict(max_position_embeddings=LONGEST),
        "ALBERT": lambda: usual | tokens | dict(max_position_embeddings=LONGEST, embedding_size=6),
        "ViT": lambda: usual | dict(image_size=(8, 12), patch_size=4, num_channels=2),
        "GPT-2": lambda: gpt | tokens,
        "GPT-J": lambda: gpt | tokens | dict(rotary_dim=per_head // 4 * 2),
        "GPT-NeoX": lambda: usual | tokens,
        "Llama": lambda: usual | tokens,
    }[name]()
    kind = {"GPT-2": "GPT2", "GPT-J": "GPTJ", "GPT-NeoX": "GPTNeoX"}.get(name, name.capitalize())
    kind = {"BERT": "Bert", "ALBERT": "Albert", "ViT": "ViT"}.get(name, kind)
    return getattr(transformers, f"{kind}Config")(**given | more), kind


def network(name, seed=0, head="Model", dtype=torch.float64, **settings):
    """A model with random parameters: spread 0.3, scales around 1; in evaluation mode."""
    given, kind = config(name, **settings)
    torch.manual_seed(seed)
    model = getattr(transformers, kind + head)(given).to(dtype).eval()
    with torch.no_grad():
        for parameter_name, p in model.named_parameters():
            scale = p.ndim == 1 and parameter_name.endswith("weight")
            p.copy_(scale + 0.3 * torch.randn_like(p))
    return model


def some_inputs(name, seed=0, batch=3, tokens=7, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    if name == "ViT":
        return dict(pixel_values=torch.randn(batch, 2, 8, 12, generator=generator, dtype=dtype))
    return dict(input_ids=torch.randint(0, VOCABULARY, (batch, tokens), generator=generator))


def shape_for(name, seed):
    """Another shape for every seed: odd numbers of heads, partial rotation, grouped queries, deep and flat ones."""
    draw = random.Random(f"{name} {seed}")
    shape = dict(heads=draw.choice([1, 2, 3, 5]), per_head=draw.choice([4, 8, 10]), layers=draw.randint(1, 4))
    shape |= dict(inner=draw.randint(1, 30))
    if name == "Llama":
        shape |= dict(num_key_value_heads=draw.choice([k for k in (1, shape["heads"]) if shape["heads"] % k == 0]))
    if name == "GPT-NeoX":
        shape |= dict(rotary_pct=draw.choice([0.5, 1.0]) if shape["per_head"] != 10 else 0.4)
    return shape, dict(batch=draw.randint(1, 4), tokens=draw.randint(1, 12))


@pytest.mark.claim("C11.1")
@pytest.mark.parametrize("dtype", BOUNDS, ids=["float32", "float64"])
@pytest.mark.parametrize("name", READ)
def test_is_the_model(measured, name, dtype, gap, padding):
    kind = str(dtype).removeprefix("torch.")
    for seed in range(6):
        shape, size = shape_for(name, seed)
        model, inputs = network(name, seed, dtype=dtype, **shape), some_inputs(name, seed, **size, dtype=dtype)
        measured.at_most(f"{name}, {kind}", gap(model, inputs), exact(name, dtype))
        for side in () if name == "ViT" else ("right", "left", "middle"):
            found = gap(model, inputs, padding(**size)[side])
            measured.at_most(f"{name} with padding, {kind}", found, exact(name, dtype))


@pytest.mark.claim("C11.1")
def test_llama_in_float64_is_limited_by_transformers_norm(measured, monkeypatch, gap):
    model, inputs = network("Llama"), some_inputs("Llama")
    measured.between("Llama, float64, norm in float32", gap(model, inputs), 1e-9, 1e-5)

    def forward(self, u):
        return self.weight * u / (u.square().mean(-1, keepdim=True) + self.variance_epsilon).sqrt()

    monkeypatch.setattr(transformers.models.llama.modeling_llama.LlamaRMSNorm, "forward", forward)
    measured.at_most("Llama, float64, norm in float64", gap(model, inputs), 1e-12)


EAGER = dict(attn_implementation="eager")  # the other kinds forget scale_attn_… before transformers 5.4
VARIANTS = [
    ("ALBERT", dict(layers=4, num_hidden_groups=2)),
    ("ALBERT", dict(layers=3, inner_group_num=2)),
    ("ViT", dict(qkv_bias=False)),
    ("ViT", dict(image_size=8, patch_size=2)),
    ("GPT-2", dict(scale_attn_weights=False, scale_attn_by_inverse_layer_idx=True, **EAGER)),
    ("GPT-2", dict(activation_function="relu")),
    ("GPT-J", dict(rotary_dim=8)),
    ("GPT-NeoX", dict(use_parallel_residual=False)),
    ("GPT-NeoX", dict(attention_bias=False, hidden_act="gelu_fast")),
    ("BERT", dict(hidden_act="silu", type_vocab_size=3)),
]


@pytest.mark.parametrize("name, settings", VARIANTS, ids=lambda x: x if isinstance(x, str) else "-".join(x))
def test_settings_are_read(name, settings, gap):
    model, inputs = network(name, **settings), some_inputs(name)
    if settings.get("image_size") == 8:
        inputs = dict(pixel_values=inputs["pixel_values"][..., :8])
    assert gap(model, inputs) < max(1e-10, exact(name))  # gelu_fast rounds √(2/π) to ten digits


@pytest.mark.parametrize("settings", [dict(heads=6, num_key_value_heads=2), dict(head_dim=12, attention_bias=True)])
def test_llamas_heads(settings, gap):
    model = network("Llama", dtype=torch.float32, mlp_bias=True, **settings)
    assert gap(model, some_inputs("Llama")) < 1e-5


@pytest.mark.parametrize("name", ["BERT", "ALBERT"])
def test_token_types(name, gap):
    model, inputs = network(name), some_inputs(name)
    inputs |= dict(token_type_ids=inputs["input_ids"] % 2)
    assert gap(model, inputs) < 1e-12
    assert gap(model, some_inputs(name) | dict(token_type_ids=0 * inputs["input_ids"])) < 1e-12
    flow = from_huggingface(model)
    assert (flow(**inputs).final - flow(**some_inputs(name)).final).abs().max() > 1e-3


HEADS = {
    "BERT": "ForMaskedLM",
    "ALBERT": "ForMaskedLM",
    "ViT": "ForImageClassification",
    "GPT-2": "LMHeadModel",
    "GPT-J": "ForCausalLM",
    "GPT-NeoX": "ForCausalLM",
    "Llama": "ForCausalLM",
}


@pytest.mark.claim("C11.1")
@torch.no_grad()
@pytest.mark.parametrize("name", READ)
def test_the_trajectory_is_the_models_hidden_states(measured, name):
    """Of a model with a head the body is read; field n is what its layer n hands on."""
    model, inputs = network(name, head=HEADS[name], layers=3), some_inputs(name)
    theirs = model.base_model(**inputs, output_hidden_states=True).hidden_states
    ours = from_huggingface(model)(**inputs)
    assert len(ours) == len(theirs) == 4
    old = transformers.__version__ < "5"
    inner = 3 if name in CAUSAL or (old and name == "ViT") else 4  # they show the last one after the last norm
    for mine, other in zip(ours.fields[:inner], theirs[:inner]):
        measured.at_most(f"hidden states of {name}", (mine - other).abs().max() / other.abs().max(), exact(name))


@pytest.mark.claim("C11.1")
@pytest.mark.parametrize("name", ["BERT", "ALBERT", "ViT", "GPT-2", "GPT-J", "GPT-NeoX"])
def test_gradients_flow_to_the_copies(measured, name):
    """Parameters that were used twice became two: their gradients add up to the model's."""
    model, inputs = network(name), some_inputs(name)
    read = from_huggingface(model)
    for outputs in (model(**inputs).last_hidden_state, read(**inputs).final):
        (outputs * torch.sin(torch.arange(outputs.numel(), dtype=torch.float64)).view_as(outputs)).sum().backward()
    where = {
        "BERT": ("embeddings.word_embeddings.weight", "embed.token.weight"),
        "ALBERT": ("encoder.embedding_hidden_mapping_in.weight", "embed.widen.weight"),
        "ViT": ("embeddings.position_embeddings", "embed.position"),
        "GPT-2": ("h.0.mlp.c_fc.weight", "flow.depth.layers.0.1.term.up.weight"),
        "GPT-J": ("h.0.ln_1.weight", "flow.depth.layers.0.{}.normalise.affine.scale"),
        "GPT-NeoX": ("embed_in.weight", "embed.token.weight"),
    }[name]
    theirs = dict(model.named_parameters())[where[0]].grad.squeeze()
    mine = dict(read.named_parameters())
    ours = sum(mine[where[1].format(k)].grad for k in range(2)) if "{}" in where[1] else mine[where[1]].grad
    ours = ours.T if ours.shape != theirs.shape else ours
    measured.at_most(f"gradients, {name}", (ours - theirs).abs().max() / theirs.abs().max(), exact(name))


def test_gradients_of_grouped_queries_add_up():
    model, inputs = network("Llama", heads=6, num_key_value_heads=2, dtype=torch.float32), some_inputs("Llama")
    read = from_huggingface(model)
    for outputs in (model(**inputs).last_hidden_state, read(**inputs).final):
        outputs.square().sum().backward()
    theirs = model.layers[0].self_attn.v_proj.weight.grad
    copies = read.flow.depth.layers[0][0].term.qkv.weight.grad.chunk(3)[2]  # (6 heads · 8, 48)
    ours = copies.unflatten(0, (2, 3, 8)).sum(1).flatten(0, 1)
    assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()


@torch.no_grad()
@pytest.mark.parametrize("name", READ)
def test_a_flow_like_any_other(name):
    """Twice the steps: another answer, a finite one, and no other parameters."""
    read, inputs = from_huggingface(network(name)), some_inputs(name)
    coarse, fine = read(**inputs), read(**inputs, steps=4)
    assert len(fine) == 5 and fine.times[-1] == coarse.times[-1] == 2
    assert fine.fields.isfinite().all() and (fine.final - coarse.final).abs().max() > 1e-3
    assert len(read(**inputs, save="final")) == 1 and not read.training


@torch.no_grad()
@pytest.mark.parametrize("name", CAUSAL)
def test_new_tokens_flow_alone(name):
    """Keys and values of the past are kept as they were turned: new tokens take the positions after them."""
    read, tokens = from_huggingface(network(name)), some_inputs(name)["input_ids"]
    u0 = read.embed(tokens)
    past = Past()
    parts = [read.flow(u0[:, a:b], past=past).final for a, b in ((0, 3), (3, 4), (4, 7))]
    torch.testing.assert_close(torch.cat(parts, 1), read.flow(u0).final, rtol=0, atol=1e-12)


def test_parameters_are_copies_and_no_random_number_is_drawn(gap):
    model, inputs = network("BERT"), some_inputs("BERT")
    torch.manual_seed(3)
    read, drawn = from_huggingface(model), torch.rand(1)
    torch.manual_seed(3)
    assert drawn == torch.rand(1)
    before = read(**inputs).final
    with torch.no_grad():
        model.encoder.layer[1].output.dense.weight.zero_()
    assert torch.equal(read(**inputs).final, before) and gap(model, inputs, flow=read) > 1e-3


@pytest.mark.claim("C11.1")
def test_the_table_says_what_the_flows_are(measured):
    rows = {row.name: row for row in ARCHITECTURES}
    for name in READ:
        assert describe(from_huggingface(network(name)).flow, name, rows[name].source, rows[name].exact) == rows[name]
    measured.at_least("architectures in the table", len(rows), 8)


def test_where_the_patches_are():
    grid = from_huggingface(network("ViT")).embed.grid
    assert len(grid) == 6 and grid.measure == pytest.approx(1)
    assert grid.points[1].tolist() == pytest.approx([1 / 4, 3 / 6])  # the second patch of the first row


# ------------------------------------------------------------------------------------------------ what it cannot read


def without(model, name):
    del model.get_submodule(name).weight
    return model


def changed(model, **settings):
    for name, value in settings.items():
        setattr(model.config, name, value)
    return model


def adapted(model):
    model.encoder.layer[0].attention.self.query.lora = nn.Linear(2, 2)
    return model


def whole_numbers(model):
    q = model.h[0].attn.q_proj
    q.weight = nn.Parameter(q.weight.to(torch.int8), requires_grad=False)
    return model


SCALED = {"rope_type": "unheard of", "factor": 2.0, "rope_theta": 10000.0}
REFUSED = {
    "nothing of transformers": (lambda: nn.Linear(2, 2), TypeError, "got Linear"),
    "unknown": (
        lambda: transformers.XLNetModel(transformers.XLNetConfig(vocab_size=9, d_model=8, n_head=2, n_layer=1)),
        ValueError,
        "'xlnet' (XLNetModel) is not known; known: bert, albert, vit, ",
    ),
    "activation": (lambda: network("BERT", hidden_act="mish"), ValueError, "unknown activation 'mish'"),
    "relative": (
        lambda: changed(network("BERT"), position_embedding_type="relative_key"),
        ValueError,
        "relative positions",
    ),
    "decoder": (lambda: network("BERT", is_decoder=True), ValueError, "BertModel has a causal BERT"),
    "cross": (lambda: network("GPT-2", add_cross_attention=True), ValueError, "cross-attention"),
    "window": (lambda: changed(network("Llama"), sliding_window=4), ValueError, "a sliding window"),
    "rope": (lambda: changed(network("Llama"), rope_parameters=SCALED), ValueError, "scaled by 'unheard of'"),
    "training": (lambda: network("BERT").train(), ValueError, "dropout 0.1; a flow has none: call model.eval()"),
    "missing": (
        lambda: without(network("GPT-2"), "h.1.mlp.c_fc"),
        ValueError,
        "lacks the parameter 'h.1.mlp.c_fc.weight'",
    ),
    "left over": (lambda: adapted(network("BERT")), ValueError, "encoder.layer.0.attention.self.query.lora.weight"),
    "not loaded": (lambda: network("GPT-2").to("meta"), ValueError, "is not loaded (meta)"),
    "quantised": (lambda: whole_numbers(network("GPT-J")), ValueError, "is stored as torch.int8; load the model whole"),
    "groups": (
        lambda: network("ALBERT", layers=3, num_hidden_groups=2),
        ValueError,
        "groups of one size, got 3 layers and 2",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_it_cannot_read_is_named(case):
    make, error, message = REFUSED[case]
    with pytest.raises(error, match=re.escape(message)):
        from_huggingface(make())


def test_training_without_dropout_is_read(gap):
    model = network("GPT-2", resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0).train()
    assert gap(model, some_inputs("GPT-2")) < 1e-12


ids = torch.zeros(2, 5, dtype=torch.int64)
WRONG = [
    ("BERT", dict(), "input_ids (tokens), pixel_values (pictures)"),
    ("BERT", dict(input_ids=ids + VOCABULARY), "input_ids must be in 0 … 39, got 40 … 40"),
    ("BERT", dict(input_ids=ids.double()), "input_ids must be whole numbers (…, token)"),
    ("BERT", dict(input_ids=ids[:, :0]), "at least one"),
    ("BERT", dict(input_ids=ids.repeat(1, 5)), "at most 24 tokens have a position, got 25"),
    ("BERT", dict(input_ids=ids, token_type_ids=ids + 2), "token_type_ids must be in 0 … 1, got 2"),
    ("BERT", dict(input_ids=ids, token_type_ids=ids[:1]), "one type for each token: (2, 5), got (1, 5)"),
    ("BERT", dict(input_ids=ids, attention_mask=ids[:, :4] + 1), "attention_mask must be (batch, token) = (2, 5)"),
    ("GPT-2", dict(input_ids=ids, token_type_ids=ids), "this architecture has no token types"),
    ("ViT", dict(pixel_values=torch.zeros(1, 2, 8, 8)), "(…, 2, 8, 12), got torch.float32 (1, 2, 8, 8)"),
    ("ViT", dict(pixel_values=torch.zeros(1, 2, 8, 12, dtype=torch.uint8)), "must be floats"),
]


@pytest.mark.parametrize("name, inputs, message", WRONG, ids=[row[2][:30] for row in WRONG])
def test_bad_inputs_are_named(name, inputs, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        from_huggingface(network(name))(**inputs)


# ----------------------------------------------------------------------------------------------- the pretrained encoder

TEXTS = ["The river bends here.", "Water.", "A field flows, and every point of it hears the whole cave at once."]


@pytest.fixture(scope="module")
def pretrained():
    try:
        return minilm()
    except ModuleNotFoundError as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("dtype", BOUNDS, ids=["float32", "float64"])
def test_the_pretrained_encoder(measured, pretrained, dtype, gap):
    tokenizer, model = pretrained
    inputs = dict(tokenizer(TEXTS, padding=True, return_tensors="pt"))
    mask = inputs.pop("attention_mask")
    assert 0 in mask
    read = from_huggingface(model.to(dtype))
    kind = str(dtype).removeprefix("torch.")
    measured.at_most(f"MiniLM with padding, {kind}", gap(model, inputs, mask, read), BOUNDS[dtype])
    kernel = next(m for m in read.modules() if isinstance(m, Attention))
    assert (read.flow.steps, kernel.dim, kernel.heads) == (6, 384, 12)
    assert describe(read.flow, "BERT", ARCHITECTURES[0].source, ARCHITECTURES[0].exact) == ARCHITECTURES[0]
