"""generate for batches, numbers, stops, top-p; stream: each text is the one that is written alone."""

import pytest
import torch

from flowlib.models import FlowLM, shipped
from flowlib.models.generation import Drawing, keep_likeliest

HOW = dict(temperature=0.8, seed=3)


@pytest.fixture(scope="module")
def tiny():
    return FlowLM.load(shipped("tiny"))


@pytest.mark.parametrize("texts", [["the value", "a mapping"], ["the value", "a", "If the "]], ids=["alike", "unlike"])
def test_a_text_does_not_depend_on_those_beside_it(tiny, texts):
    """The rows of a batch flow together; row k is drawn with seed + k, also past the context of 64."""
    alone = [tiny.generate(text, 70, **HOW | {"seed": 3 + k}) for k, text in enumerate(texts)]
    assert tiny.generate(texts, 70, **HOW) == alone
    assert tiny.generate(texts, 70, keep_past=False, **HOW) == alone


def test_numbers_in_and_numbers_out(tiny):
    code = tiny.config.vocabulary
    for prompt in (code.encode("the "), torch.stack([code.encode("the "), code.encode("a li")])):
        found = tiny.generate(prompt, 9, **HOW)
        assert found.shape == (*prompt.shape[:-1], prompt.shape[-1] + 9) and found.dtype == torch.int64
        assert code.decode(torch.atleast_2d(found)[0]) == tiny.generate("the ", 9, **HOW)


@pytest.mark.parametrize("stop", [" ", 32, [" ", "\n"], (32, 10)], ids=str)
def test_a_text_ends_after_its_stop(tiny, stop):
    whole = tiny.generate("the val", 40, **HOW)
    short = tiny.generate("the val", 40, stop=stop, **HOW)
    assert whole.startswith(short) and short[-1] in " \n" and " " not in short[7:-1]


def test_numbers_of_a_batch_are_filled_up_with_the_stop(tiny):
    rows = tiny.config.vocabulary.encode("the val").expand(3, -1)
    found = tiny.generate(rows, 40, stop=" ", **HOW)
    ends = [(row == 32).nonzero()[1:] for row in found]  # the first is the prompt's
    assert len({int(end[0]) for end in ends}) > 1  # they end at different places
    for row, end in zip(found, ends):
        assert (row[int(end[0]) :] == 32).all()


def test_a_stream_is_what_generate_writes(tiny):
    for how in (HOW, HOW | {"stop": "\n"}, HOW | {"top_p": 0.5}):
        pieces = list(tiny.stream("the value", 80, **how))
        assert "the value" + "".join(pieces) == tiny.generate("the value", 80, **how) and len(pieces) > 3


def test_a_letter_of_several_bytes_comes_whole(tiny, monkeypatch):
    written = iter("né—".encode())
    monkeypatch.setattr(Drawing, "draw", lambda *_: torch.tensor([next(written)]))
    assert list(tiny.stream("a", 6)) == ["n", "é", "—"]


def test_top_p_keeps_the_fewest_that_have_the_share():
    chances = torch.tensor([0.1, 0.5, 0.15, 0.25])
    for share, kept in ((0.01, [1]), (0.5, [1]), (0.6, [1, 3]), (0.76, [1, 2, 3]), (1.0, [0, 1, 2, 3])):
        assert keep_likeliest(chances, share).nonzero()[:, 0].tolist() == kept


def test_a_small_top_p_is_the_likeliest(tiny):
    assert tiny.generate("the value", 20, top_p=1e-9, seed=0) == tiny.generate("the value", 20, temperature=0)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda lm: lm.generate("a", top_p=0), ValueError, "top_p must be a share"),
        (lambda lm: lm.generate("a", top_p=1.5), ValueError, "top_p must be a share"),
        (lambda lm: lm.generate("a", stop="ab"), ValueError, "stop must be one token, and 'ab' is 2"),
        (lambda lm: lm.generate("a", stop=256), ValueError, "stop must be in 0 … 255"),
        (lambda lm: lm.generate("a", stop=1.5), TypeError, "stop must be a text"),
        (lambda lm: lm.generate([]), ValueError, "at least one token"),
        (lambda lm: lm.generate(["a", ""]), ValueError, "at least one token"),
        (lambda lm: lm.generate(torch.rand(3)), ValueError, "must be whole"),
        (lambda lm: lm.stream(["a"]), TypeError, "prompt must be a text"),
        (lambda lm: lm.stream("a", -1), ValueError, "tokens ≥ 0"),
    ],
)
def test_what_is_wrong_is_said(tiny, call, error, message):
    with pytest.raises(error, match=message):
        call(tiny)
