"""Chapter 09: what the trained model's budgets, kernels and cosines say over many texts, and what they do not."""

import json

import pytest
import torch

from flowlib.measure import exponents
from flowlib.measure.ablation import silence_tokens, without
from flowlib.measure.budgets import budget
from flowlib.measure.clustering import clusters, equiangular_cosine, mean_cosine
from flowlib.measure.readings import (
    attention_to_tokens,
    correlation,
    effects_of_terms,
    effects_of_tokens,
    pushes_of_terms,
    rank_correlation,
)
from flowlib.models import FlowLM, shipped
from flowlib.operators import Local
from flowlib.studies import encoder
from flowlib.training import data


@pytest.fixture(scope="module")
def texts():
    """100 pieces of 32 letters of the validation split. Skips where Python's help texts are others."""
    run = json.loads((shipped("tiny") / "run.json").read_text("utf-8"))
    corpus = data.load_corpus("embedded")
    if corpus.describe()["sha256"] != run["corpus"]["sha256"]:
        pytest.skip("another Python version, with other help texts than the models were trained on")
    model = FlowLM.load(shipped("tiny"))
    unseen = corpus.tokens(model.config.vocabulary, 64)[1].unfold(0, 32, 32)
    return model, unseen[:: len(unseen) // 100][:100]


@pytest.fixture(scope="module")
@torch.no_grad()
def asked(texts):
    """For each text the two likeliest next letters, the read-out of their difference in logits, and u(0)."""
    model, tokens = texts
    fields = model.initial_field(tokens)
    likely = model.read_out(model.flow(fields, save="final").final[:, -1]).topk(2).indices
    return model, likely, model.embed.weight[likely[:, 0]] - model.embed.weight[likely[:, 1]], fields


@pytest.fixture(scope="module")
def heard(asked):
    model, _, readouts, fields = asked
    gamma, needed = attention_to_tokens(model.flow, fields), effects_of_tokens(model.flow, fields, readouts)
    return gamma[:, :-1], needed[:, :-1]


@pytest.mark.claim("C9.2")
def test_what_a_term_pushed_is_not_what_is_missed_without_it(measured, asked):
    model, _, readouts, fields = asked
    last = lambda u: u[..., -1, :]
    pushed = pushes_of_terms(model.flow, fields, readouts, last)
    missed = effects_of_terms(model.flow, fields, readouts, last)
    early, late = (correlation(pushed[k], missed[k]) for k in (0, -1))
    measured.at_most("correlation of pushed and missed over 100 texts, attention of step 1", early, 0.35)
    measured.at_least("correlation of pushed and missed over 100 texts, feed-forward network of step 4", late, 0.85)
    measured.between("nats that attention of step 1 pushed, mean", pushed[0].mean(), 0.1, 0.4)
    measured.at_least("nats that are missed without it, mean", missed[0].mean(), 0.6)


@pytest.mark.claim("C9.3")
def test_the_darkest_entry_does_not_say_what_decided(measured, heard):
    gamma, needed = heard
    darkest, decisive = gamma.argmax(-1), needed.argmax(-1)
    measured.at_most("texts of 100 in which the darkest is decisive", (darkest == decisive).sum(), 49)
    measured.between("texts of 100 in which the letter before is", (decisive == 30).sum(), 20, 33)
    hinders = (needed.gather(1, darkest[:, None]) < 0).sum()
    measured.at_least("texts of 100 whose prediction is stronger without the darkest", hinders, 26)
    rho = rank_correlation(gamma, needed).mean()
    measured.at_most("rank correlation of heard and needed, mean over 100 texts", rho, 0.2)


@pytest.mark.claim("C9.4")
@torch.no_grad()
def test_what_is_light_did_not_matter(measured, asked, heard):
    model, likely, _, fields = asked
    ranked = heard[0].argsort(-1, descending=True)
    for what, kept, bound in (("darker", ranked[:, :16], measured.at_least), ("lighter", ranked[:, 16:], None)):
        mask = torch.ones(100, 32, 32, dtype=torch.bool)
        mask[:, -1, :-1] = torch.zeros(100, 31, dtype=torch.bool).scatter(1, kept, True)
        says = model.read_out(model.flow(fields, mask=mask, save="final").final[:, -1]).argmax(-1)
        same = (says == likely[:, 0]).sum()
        what = f"same predictions of 100 where only the {what} half is heard"
        measured.at_least(what, same, 95) if bound else measured.at_most(what, same, 60)


@pytest.mark.claim("C9.6")
@torch.no_grad()
def test_the_letters_do_not_gather(measured, asked):
    model, *_, fields = asked
    way = model.flow(fields)
    mean, groups = mean_cosine(way.fields).mean(-1), clusters(way.fields, 0.9).double().mean(-1)
    theory = equiangular_cosine(mean[0].item(), 32, 1.0, [0.0, 4.0])[-1]
    measured.at_least("mean cosine at t = 4 that the theory of particles forecasts", theory, 0.999)
    measured.between("change of the letters' mean cosine from start to end", mean[-1] - mean[0], -0.1, 0.0)
    measured.at_least("groups of letters that the flow adds", groups[-1] - groups[0], 5)


@pytest.mark.claim("C9.7")
@pytest.mark.parametrize("text", ["the value of the argum", "raise an err", "for each item in the"])
def test_neighbours_part(measured, text):
    model = FlowLM.load(shipped("tiny")).double()
    u0 = model.trajectory(text).fields[0]
    measured.between("leading exponent, the whole field", exponents(model.flow, u0, 4, sweeps=4)[0], 0.5, 1.0)
    last = exponents(model.flow, u0, 6, sweeps=6, token=-1)[0]
    measured.between("leading exponent, the last letter", last, 0.2, 0.7)


@pytest.mark.claim("C9.8")
def test_the_pretrained_encoder_as_it_is_stored(measured):
    stored = encoder.load_reading()
    assert stored["command"] == encoder.COMMAND and stored["date"] >= "2026-11-24"
    found = stored["found"]
    measured.at_most("MiniLM (stored): mean cosine at the start", found["mean cosine"][0], 0.1)
    measured.at_least("MiniLM (stored): mean cosine at the end", found["mean cosine"][-1], 0.4)
    marks = 16 * found["darkest is an end mark"]
    measured.at_least("MiniLM (stored): sentences of 16 in which [CLS] or [SEP] is heard most", marks, 15)
    for what in ("moved", "missed"):
        rows = [*found[what]["attention"], *found[what]["feed-forward"]]
        assert max(rows) == found[what]["attention"][-1]
        others = max(row for k, row in enumerate(rows) if k != 5)
        measured.at_least(f"MiniLM (stored): the last attention, {what}, over the next", rows[5] / others, 2)


@pytest.mark.skipif(not encoder.has_pretrained(), reason="the extra pretrained or its weights are not installed")
def test_the_pretrained_encoder_is_what_is_stored():
    stored = encoder.load_reading()["found"]
    live = encoder.read_pretrained(quick=True)
    for name in ("mean cosine", "entropy", "positive share of OV"):
        assert (torch.tensor(live[name]) - torch.tensor(stored[name])).abs().max() < 2e-3
    for name, row in live["moved"].items():
        assert row == pytest.approx(stored["moved"][name], abs=2e-3)


@torch.no_grad()
def test_a_silent_term_is_a_flow_without_it():
    model = FlowLM.load(shipped("tiny"))
    u0 = model.trajectory("the value").fields[0]
    silent = without(model.flow, 2, 1)
    rows = budget(silent, u0).table()
    assert rows[2, "silent"].abs().max() == 0 and (2, "feed-forward") not in rows
    assert (1, "feed-forward") in rows and isinstance(model.flow.depth.layers[2][1], Local)
    by_hand = u0
    for n, (attention, local) in enumerate(model.flow.depth.layers):
        by_hand = model.constraint.project(by_hand + attention(by_hand))
        by_hand = model.constraint.project(by_hand + (0 if n == 2 else local(by_hand)))
    assert (silent(u0).final - by_hand).abs().max() < 1e-5
    assert not torch.equal(silent(u0).final, model.flow(u0).final)
    with pytest.raises(ValueError, match="steps 0 to 3 and terms 0 to 1,.* got step 4, term 0"):
        without(model.flow, 4, 0)


@torch.no_grad()
def test_an_unheard_token_moves_no_other():
    masks = silence_tokens(4)
    assert masks.shape == (4, 4, 4) and masks[1, :, 1].tolist() == [False, True, False, False]
    model = FlowLM.load(shipped("tiny"))
    one, two = (model.initial_field(model.config.vocabulary.encode(text)) for text in ("value", "vaLue"))
    ends = [model.flow(u0[None], mask=silence_tokens(5, torch.tensor([2]))).final[0] for u0 in (one, two)]
    assert torch.equal(ends[0][3:], ends[1][3:]) and not torch.equal(ends[0][2], ends[1][2])


@torch.no_grad()
def test_the_account_of_the_question_is_right():
    """Question Q9.2: why e and not i after "argum", in nats, by start, attention, feed-forward and projections."""
    model = FlowLM.load(shipped("tiny"))
    e, i = (model.embed.weight[ord(letter)] for letter in "ei")
    account = budget(model.flow, model.trajectory("the value of the argum").fields[0]).along(e - i)
    added = {name: sum(row[-1, 0].item() for row, n in zip(account.moved, account.names) if n == name)
             for name in account.names}  # fmt: skip
    said = {"attention": 0.8, "feed-forward": 7.5, "projection": -4.0}
    assert added == pytest.approx(said, abs=0.05)
    assert (account.start[-1, 0].item(), account.final[-1, 0].item()) == pytest.approx((0.8, 5.1), abs=0.05)
