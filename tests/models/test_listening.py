"""A field that listens to another: BART and its relatives against their readings, and what the second field adds."""

import re
from functools import reduce

import pytest
import torch

from flowlib.measure import budget, without
from flowlib.measure.variants import ends_without, missed_by_steps, other_orders, swap
from flowlib.models.zoo import ARCHITECTURES, describe, from_huggingface, listen_to
from flowlib.operators import Past, attend

transformers = pytest.importorskip("transformers", reason='transformers is not installed; pip install -e ".[test]"')

ROWS = {row.name: row for row in ARCHITECTURES}
KINDS = {"BART": "Bart", "mBART": "MBart", "Pegasus": "Pegasus", "Marian": "Marian"}
KINDS |= {"T5": "T5", "mT5": "MT5", "umT5": "UMT5", "Whisper": "Whisper"}
T5S = ("T5", "mT5", "umT5")
TOKENS = dict(vocab_size=40, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=2)
SIZE = dict(d_model=24, encoder_layers=2, decoder_layers=3, encoder_attention_heads=3, decoder_attention_heads=2)
SIZE |= dict(encoder_ffn_dim=20, decoder_ffn_dim=16)
OF_T5 = dict(d_model=24, d_kv=6, d_ff=20, num_layers=2, num_decoder_layers=3, num_heads=3)
OF_T5 |= dict(relative_attention_num_buckets=8, relative_attention_max_distance=6)
SOUND = dict(num_mel_bins=5, max_source_positions=8, max_target_positions=24)
SIZES = {name: TOKENS | (OF_T5 if name in T5S else SIZE) for name in KINDS}
SIZES = {name: given | dict(max_position_embeddings=24) for name, given in SIZES.items()}
SIZES["Whisper"] = TOKENS | SIZE | SOUND
SETTINGS_OF_T5 = [
    dict(),
    dict(feed_forward_proj="gated-gelu", d_kv=8, num_heads=1, layer_norm_epsilon=0.1),
    dict(feed_forward_proj="relu", tie_word_embeddings=False),
    dict(relative_attention_num_buckets=32, relative_attention_max_distance=128, num_decoder_layers=1),
]
SETTINGS = [
    dict(),
    dict(scale_embedding=True, activation_function="relu"),
    dict(d_model=10, encoder_attention_heads=1, decoder_attention_heads=5, encoder_layers=3, decoder_layers=1),
]


def network(name, seed=0, dtype=torch.float64, head="Model", **settings):
    torch.manual_seed(seed)
    given = getattr(transformers, f"{KINDS[name]}Config")(**SIZES[name] | settings)
    model = getattr(transformers, KINDS[name] + head)(given).to(dtype).eval()
    spread = 0.15 if name in T5S else 0.3  # scores of T5 are not divided by √d, and sharp ones make much of round-off
    with torch.no_grad():
        for parameter_name, p in model.named_parameters():
            p.copy_((p.ndim == 1 and parameter_name.endswith("weight")) + spread * torch.randn_like(p))
    return model


def inputs_of(name="BART", seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    tokens = dict(input_ids=torch.randint(3, 40, (3, 9)))
    heard = dict(input_features=torch.randn(3, 5, 16, dtype=dtype)) if name == "Whisper" else tokens
    return heard | dict(decoder_input_ids=torch.randint(3, 40, (3, 6)))


@torch.no_grad()
def gap(model, read, heard=None, own=None, **inputs):
    masks = dict(attention_mask=heard, decoder_attention_mask=own)
    inputs |= {name: mask for name, mask in masks.items() if mask is not None}
    theirs, ours = model(**inputs).last_hidden_state, read(**inputs).final
    valid = torch.ones(theirs.shape[:-1], dtype=torch.bool) if own is None else own.bool()
    return ((ours - theirs)[valid].abs().max() / theirs[valid].abs().max()).item()


@pytest.mark.claim("C11.1")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", KINDS)
def test_is_the_model(measured, name, dtype, padding):
    kind, bound = str(dtype).removeprefix("torch."), float(ROWS[name].exact) if dtype == torch.float64 else 1e-5
    for seed, settings in enumerate(SETTINGS_OF_T5 if name in T5S else SETTINGS):
        model, inputs = network(name, seed, dtype, **settings), inputs_of(name, seed, dtype)
        read = from_huggingface(model)
        measured.at_most(f"{name}, {kind}", gap(model, read, **inputs), bound)
        if name in T5S and transformers.__version__ < "5" and dtype == torch.float64:
            continue  # their softmax is in float32, where an older one's mask is −∞: NaN where a token hears nothing
        for heard, own in zip(padding(3, 9).values(), padding(3, 6).values()):
            both = [dict(heard=heard), dict(heard=heard, own=own)] if "input_ids" in inputs else []
            for masks in [dict(own=own), *both]:
                measured.at_most(f"{name} with padding, {kind}", gap(model, read, **masks, **inputs), bound)


@torch.no_grad()
def test_the_encoder_is_a_flow_and_what_it_says_is_heard():
    model, inputs = network("BART"), inputs_of()
    read, theirs = from_huggingface(model), model.encoder(inputs["input_ids"]).last_hidden_state
    heard = read.encoder(inputs["input_ids"])
    torch.testing.assert_close(heard.final, theirs, rtol=0, atol=1e-12)
    flow = listen_to(read.flow, heard.final)
    u0 = read.embed(inputs["decoder_input_ids"])
    assert torch.equal(flow(u0).final, read(**inputs).final)
    assert (listen_to(read.flow, heard.final.flip(0))(u0).final - flow(u0).final).abs().max() > 1e-3
    assert next(flow.parameters()) is next(read.flow.parameters())
    fine = flow(u0, steps=2 * flow.steps)
    assert len(fine) == 7 and fine.fields.isfinite().all()


@torch.no_grad()
@pytest.mark.claim("C11.1")
def test_it_is_attend_on_two_grids(measured):
    """B(u; v) by `attend`, with weights on v's grid; and it is local in u: new tokens flow alone."""
    read, inputs = from_huggingface(network("BART")), inputs_of()
    v, u = read.encoder(inputs["input_ids"]).final, torch.randn(3, 6, 24, dtype=torch.float64)
    weights = torch.linspace(0.5, 2, 9, dtype=torch.float64)
    term = listen_to(read.flow, v, weights=weights).terms[2]
    q, (k, w) = term._split(term.q(u)), (term._split(z) for z in term.kv(v).chunk(2, -1))
    theirs = term.out(attend(q, k, w, weights).transpose(-3, -2).flatten(-2))
    measured.at_most("listening against attend on two grids", (term(u) - theirs).abs().max(), 1e-13)
    assert (term.kernel(u).sum(-1) - 1).abs().max() < 1e-12 and not term.sees_other_tokens
    flow, u0, past = read.listen(inputs["input_ids"]), read.embed(inputs["decoder_input_ids"]), Past()
    parts = [flow(u0[:, a:b], past=past).final for a, b in ((0, 2), (2, 3), (3, 6))]
    torch.testing.assert_close(torch.cat(parts, 1), flow(u0).final, rtol=0, atol=1e-12)


def test_gradients_reach_both_fields():
    model, inputs = network("BART", dtype=torch.float64), inputs_of()
    read = from_huggingface(model)
    for outputs in (model(**inputs).last_hidden_state, read(**inputs).final):
        (outputs * torch.sin(torch.arange(outputs.numel())).view_as(outputs)).sum().backward()
    theirs, ours = model.encoder.layers[0].fc1.weight.grad, read.encoder.flow.depth.layers[0][2].up.weight.grad
    assert (theirs - ours).abs().max() < 1e-10 * theirs.abs().max() and theirs.abs().max() > 1e-3
    tied, mine = model.shared.weight.grad, read.embed.token.weight.grad
    assert read.embed.token is read.encoder.embed.token
    torch.testing.assert_close(tied, mine, rtol=0, atol=1e-10 * tied.abs().max().item())


@pytest.mark.parametrize("name", KINDS)
def test_the_table_says_what_it_is(name):
    row = ROWS[name]
    assert describe(from_huggingface(network(name)).flow, name, row.source, row.exact) == row


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_a_changed_model_is_refused(name, side):
    bart = dict(encoder="encoder.layers.1.fc2", decoder="decoder.layers.2.encoder_attn.k_proj")
    of_t5 = dict(encoder="encoder.block.0.layer.1.DenseReluDense", decoder="decoder.block.2.layer.1.EncDecAttention.k")
    part = (of_t5 if name in T5S else bart)[side]
    model = network(name)
    model.get_submodule(part).register_forward_hook(lambda module, inputs, output: output**2)
    with pytest.raises(ValueError, match=f"{side}.* has a hook"):
        from_huggingface(model)


@torch.no_grad()
@pytest.mark.parametrize("name", ["T5", "umT5", "BART", "Whisper"])
def test_new_tokens_flow_alone(name):
    """Positions go on where they stopped, of a table or of distances."""
    read, inputs = from_huggingface(network(name)), inputs_of(name)
    u0, past = read.embed(inputs.pop("decoder_input_ids")), Past()
    flow = read.listen(**inputs)
    parts = [flow(u0[:, a:b], past=past).final for a, b in ((0, 2), (2, 3), (3, 6))]
    torch.testing.assert_close(torch.cat(parts, 1), flow(u0).final, rtol=0, atol=1e-12)


HEADS = [(name, "ForConditionalGeneration") for name in (*T5S, "Whisper")]
HEADS += [(name, "ForQuestionAnswering") for name in T5S] + [("T5", "ForSequenceClassification")]
HEADS += [("BART", "ForSequenceClassification"), ("BART", "ForQuestionAnswering")]


@torch.no_grad()
@pytest.mark.claim("C11.1")
@pytest.mark.parametrize("name, head", HEADS)
def test_the_head_stays_on(measured, name, head, padding):
    """Also where it stands beside the two fields, as T5's does; tied (and then scaled), and not."""
    for untied in (False, True):
        model = network(name, head=head, dtype=torch.float32, **(dict(tie_word_embeddings=False) if untied else {}))
        inputs, output = inputs_of(name, dtype=torch.float32), model.get_output_embeddings()
        if untied and output is not None:
            output.weight = torch.nn.Parameter(torch.randn(40, 24))
        tied = output is not None and output.weight is model.get_input_embeddings().weight
        if "SequenceClassification" in head:
            inputs["input_ids"][:, -1] = 2
            inputs["decoder_input_ids"] = inputs["input_ids"].flip(-1)
        elif "input_ids" in inputs:
            inputs["attention_mask"] = padding(3, 9)["right"]
        read = from_huggingface(model)
        theirs, ours = model(**inputs)[0], read.logits(**inputs)
        assert theirs.shape == ours.shape
        measured.at_most(f"logits of {KINDS[name]}{head}", (ours - theirs).abs().max() / theirs.abs().max(), 1e-5)
        held = [n for n, p in read.named_parameters(remove_duplicate=False) if p is read.embed.token.weight]
        assert any("lm_head" in n or "proj_out" in n for n in held) == tied


def test_a_head_beside_its_body_is_copied_once():
    """Encoder and decoder of T5 are in the reading once, and a change of the head is found."""
    model = network("T5", head="ForConditionalGeneration")
    read = from_huggingface(model)
    assert len(list(read.parameters())) <= len(list(model.parameters())) and not any(
        "block" in name for name, _ in read.head.named_parameters()
    )
    model.decoder.block[1].layer[2].register_forward_hook(lambda module, inputs, output: output * 2)
    with pytest.raises(ValueError, match="EncoderDecoder is not what .* decoder.block.1.layer.2 has a hook"):
        from_huggingface(model)


@torch.no_grad()
@pytest.mark.parametrize("name, head", [(z, h) for z in T5S for h in ("EncoderModel", "ForTokenClassification")])
def test_an_encoder_alone_is_one_flow(name, head):
    if not hasattr(transformers, KINDS[name] + head):
        pytest.skip(f"this transformers has no {KINDS[name]}{head}")
    model, ids = network(name, head=head), inputs_of()["input_ids"]
    mask = (torch.arange(9) < torch.tensor([[9], [4], [7]])).long()
    read = from_huggingface(model)
    ours = read(ids, mask).final if head == "EncoderModel" else read.logits(ids, attention_mask=mask)
    theirs = model(ids, attention_mask=mask)[0]
    assert (ours - theirs)[mask.bool()].abs().max() <= 1e-5 * theirs.abs().max()
    assert "another field" not in describe(read.flow).kernel


@torch.no_grad()
@pytest.mark.claim("C11.1")
def test_sound_enters_by_two_local_integrals(measured):
    """The start of Whisper's field by hand: sums over three neighbours in time, every other place of the second."""
    model, sound = network("Whisper"), inputs_of("Whisper")["input_features"]
    read = from_huggingface(model)
    conv1, conv2 = model.encoder.conv1, model.encoder.conv2
    gelu = torch.nn.functional.gelu

    def near(u, conv):  # (batch, time, feature), zero beyond both ends
        padded = torch.nn.functional.pad(u, (0, 0, 1, 1))
        return sum(padded[:, k : k + u.shape[1]] @ conv.weight[:, :, k].T for k in range(3)) + conv.bias

    u0 = gelu(near(gelu(near(sound.mT, conv1)), conv2)[:, ::2]) + model.encoder.embed_positions.weight
    measured.at_most("Whisper's start by hand", (read.encoder.embed(sound) - u0).abs().max(), 1e-12)
    with pytest.raises(ValueError, match=re.escape("5, 16), got torch.float64 (3, 5, 9); fill up with silence")):
        read.encoder.embed(sound[..., :9])
    with pytest.raises(ValueError, match="pictures and sounds have no attention_mask"):
        read(input_features=sound, attention_mask=torch.ones(3, 16), decoder_input_ids=ids)
    with pytest.raises(ValueError, match=re.escape("input_features must be floats (batch, band, frame)")):
        read(input_features=sound[0], decoder_input_ids=ids)


# ------------------------------------------------------------------------------------ edits of a flow that listens

EDITED = {"T5": [2, 0, 1], "Whisper": [2, 0, 1], "BART": [4, 5, 0, 1, 2, 3]}  # substeps, the local term first


@torch.no_grad()
@pytest.mark.parametrize("name", EDITED)
def test_other_orders(name):
    """The local term first, by hand; a scale stays behind its term, and every order tends to the same flow."""
    read, inputs = from_huggingface(network(name)), inputs_of(name)
    u0 = read.embed(inputs.pop("decoder_input_ids"))
    flow = read.listen(**inputs)
    orders, additive = other_orders(flow), "all from the same field (additive)"
    usual = {"local term first", "half, whole, half (Strang)"}
    assert set(orders) == usual | (set() if name == "BART" else {additive})
    u = u0
    for k in EDITED[name]:
        u = u + flow.terms[k](u)
        u = u if isinstance(flow.constraints[k], torch.nn.Identity) else flow.constraints[k].project(u)
    swapped = orders["local term first"](u0)
    torch.testing.assert_close(swapped.fields[1], u, rtol=0, atol=1e-12)
    assert (swapped.final - flow(u0).final).abs().max() > 1e-3
    if name != "BART":  # without a constraint, all are schemes of one equation
        apart = [(orders["local term first"](u0, n).final - flow(u0, n).final).norm() for n in (48, 96)]
        assert 1.6 < apart[0] / apart[1] < 2.4


@torch.no_grad()
@pytest.mark.parametrize("name", EDITED)
def test_without_listening_it_hears_nothing(name):
    """In one step: the end changes. In all: the other field does not matter. The account of the terms closes."""
    read, inputs = from_huggingface(network(name)), inputs_of(name)
    u0, index = read.embed(inputs.pop("decoder_input_ids")), 2 if name == "BART" else 1
    flow, other = read.listen(**inputs), read.listen(**{key: z.flip(0) for key, z in inputs.items()})
    assert (without(flow, 1, index)(u0).final - flow(u0).final).abs().max() > 1e-3
    deaf = [reduce(lambda one, step: without(one, step, index), range(3), told)(u0).final for told in (flow, other)]
    assert torch.equal(*deaf) and not torch.equal(flow(u0).final, other(u0).final)
    ends = ends_without(flow, u0, [index])[1, 0]
    ends = ends if flow.readout is None else flow.readout(ends)
    torch.testing.assert_close(ends, without(flow, 1, index)(u0).final, rtol=0, atol=1e-10)
    account = budget(flow, u0)
    assert {"attention", "listening", "feed-forward"} <= set(account.names)
    torch.testing.assert_close(account.final, flow(u0).final, rtol=0, atol=1e-10)
    assert missed_by_steps(flow, flow(u0).fields, 4).isfinite().all()


@pytest.mark.parametrize("edit", ["itself", "without", "swap", "refined"])
def test_edits_of_a_flow_that_nothing_was_told(edit):
    """They are made, and refused where they would be run."""
    flow = from_huggingface(network("T5")).flow
    edited = dict(itself=flow, refined=flow, without=without(flow, 0, 2), swap=swap(flow))[edit]
    with pytest.raises(ValueError, match="this flow listens to another field, and none is given: flow = listen_to"):
        edited(torch.randn(1, 3, 24, dtype=torch.float64), 6 if edit == "refined" else None)


ids = torch.full((2, 5), 7)
WRONG = [
    (lambda read: read(ids), "give decoder_input_ids or decoder_inputs_embeds"),
    (lambda read: read.flow(torch.zeros(1, 3, 24)), "this flow listens to another field, and none is given"),
    (lambda read: listen_to(read.encoder.flow, torch.zeros(1, 3, 24)), "this flow listens to no other field"),
    (
        lambda read: listen_to(read.flow, torch.zeros(1, 3, 24), ids.bool()),
        "valid must be (…, key) = (1, 3), got (2, 5)",
    ),
    (lambda read: read(ids, decoder_input_ids=ids + 40), "input_ids must be in 0 … 39"),
    (lambda read: read.logits(ids, decoder_input_ids=ids), "read without a head"),
]


@pytest.mark.parametrize("call, message", WRONG, ids=[row[1][:30] for row in WRONG])
def test_bad_inputs_are_named(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call(from_huggingface(network("BART", dtype=torch.float32)))
