"""Checks that teach: each wrong answer must meet the sentence about its own cause."""

import io

import pytest
import torch

from flowlib.checks.compare import CheckFailed, close, fails
from flowlib.checks.misconceptions import MISCONCEPTIONS, misconception
from flowlib.operators.attention import attend
from flowlib.operators.projection import project_moments

DTYPE = torch.float64


@pytest.fixture
def qkv():
    g = torch.Generator().manual_seed(0)
    return tuple(torch.randn(2, 5, 4, generator=g, dtype=DTYPE) for _ in range(3))


@pytest.fixture
def right():
    return torch.randn(3, 4, generator=torch.Generator().manual_seed(1), dtype=DTYPE)


def said(yours, reference, **options):
    with pytest.raises(CheckFailed) as failed:
        close(yours, reference, what="mine", **options)
    return str(failed.value)


def test_what_agrees_is_told_in_one_line(right, capsys):
    close(right + 1e-9, right, what="my_attend")
    assert capsys.readouterr().out == "✓ my_attend agrees with the reference to 1e-06\n"


def test_the_tolerance_is_relative_to_the_largest_entry(right):
    close(right * 1e6 + 0.1, right * 1e6)
    assert "differ" in said(right + torch.eye(3, 4, dtype=DTYPE) * 1e-5, right)


@pytest.mark.parametrize(
    "spoil, sentence",
    [
        (lambda r: r[:2], "the shape must be (3, 4), got (2, 4)"),
        (lambda r: r.mT, "It is the transposed answer"),
        (lambda r: 2 * r.mT, "rows and columns are swapped"),
        (lambda r: r[:, None], "an axis is in the wrong place"),
        (lambda r: r.sum(-1), "keepdim=True"),
        (lambda r: -r, "every sign is the other way round"),
        (lambda r: r * 2, "every entry is 2 times what it must be, and axis 1 has 4 entries. Is √4 a"),
        (lambda r: r * 4, "axis 1 has 4 entries. Is 4 a factor too many"),
        (lambda r: r * 3**-0.5, "1/√3"),
        (lambda r: r * 1.7, "Which constant of the formula"),
        (lambda r: r + 0.25, "off by the same 0.25"),
        (lambda r: r.flip(1), "axis 1 runs backwards"),
        (lambda r: r.clone().index_fill_(0, torch.tensor(1), torch.nan), "(1, 0) is nan"),
        (
            lambda r: r + torch.eye(3, 4, dtype=DTYPE),
            "3 of 12 entries differ; the largest difference is 1 at",
        ),
        (lambda r: None, "there is nothing here yet"),
        (lambda r: "text", "a tensor or a number must come here"),
    ],
)
def test_each_mistake_meets_its_sentence(right, spoil, sentence):
    assert sentence in said(spoil(right), right)


def test_a_symmetric_answer_of_the_other_sign_is_not_called_transposed():
    square = torch.arange(9.0).reshape(3, 3)
    assert "transposed" in said(square.mT, square)
    assert "sign" in said(-(square + square.mT), square + square.mT)


def test_every_misconception_of_attention_is_recognised(qkv):
    reference = attend(*qkv)
    for known in MISCONCEPTIONS["attention"].values():
        assert known.sentence in said(known.wrong(*qkv), reference, topic="attention", inputs=qkv)


def test_every_misconception_of_weighted_attention_is_recognised(qkv):
    weights = torch.tensor([0.1, 0.1, 0.2, 0.3, 0.3], dtype=DTYPE)
    inputs = (*qkv, weights)
    for known in MISCONCEPTIONS["weighted attention"].values():
        answer = said(known.wrong(*inputs), attend(*inputs), topic="weighted attention", inputs=inputs)
        assert known.sentence in answer


def test_every_misconception_of_layer_norm_is_recognised(right):
    for known in MISCONCEPTIONS["layer norm"].values():
        answer = said(known.wrong(right + 1), project_moments(right + 1), topic="layer norm", inputs=(right + 1,))
        assert known.sentence in answer


@pytest.fixture
def topic():
    yield "a test"
    MISCONCEPTIONS.pop("a test", None)


def test_a_new_misconception_is_recognised_and_its_name_guarded(right, topic):
    @misconception(topic)
    def entries_squared(r):
        """the entries
        are squared"""
        return r**2

    assert "the entries are squared" in said(right**2, right, topic=topic, inputs=(right,))
    with pytest.raises(ValueError, match="'entries squared' of 'a test' is registered already"):
        misconception(topic, "entries squared", "again")(lambda r: r)


def test_a_misconception_may_say_its_name_and_sentence_beside_the_function(right, topic):
    @misconception(topic, "missing 1/√d", "the entries are doubled")
    def _doubled(r):
        return 2 * r

    assert MISCONCEPTIONS[topic]["missing 1/√d"].wrong is _doubled
    assert "the entries are doubled" in said(2 * right, right, topic=topic, inputs=(right,))


def test_a_misconception_without_a_sentence_is_refused(topic):
    with pytest.raises(ValueError, match="needs a docstring"):
        misconception(topic)(lambda r: r)
    assert topic not in MISCONCEPTIONS


def test_nothing_agrees_with_what_is_infinite(right, topic):
    misconception(topic, "infinite", "divided by 0")(lambda r: r / 0)
    assert "divided by 0" not in said(right.abs() + 1, right, topic=topic, inputs=(right,))
    with pytest.raises(CheckFailed, match="inf must stand"):
        close(right, right / 0)


def test_a_wrong_way_that_cannot_run_explains_nothing(qkv):
    assert "differ" in said(torch.rand(2, 5, 4), attend(*qkv), topic="attention", inputs=("no", "tensors", 1))


def test_an_unknown_topic_is_an_error(right):
    with pytest.raises(ValueError, match="unknown topic 'norm'; known: attention"):
        close(right, right, topic="norm")


def test_a_failed_check_shows_its_sentence_without_a_traceback(right):
    with pytest.raises(CheckFailed) as failed:
        close(-right, right, what="mine")
    assert failed.value._render_traceback_() == [f"✗ {failed.value}"]


def test_fails_prints_the_error_and_goes_on(capsys):
    with fails(ValueError):
        raise ValueError("a row has nothing to attend")
    assert capsys.readouterr().out == "ValueError: a row has nothing to attend\n"


def test_fails_insists_on_an_error_and_on_its_kind():
    with pytest.raises(CheckFailed, match="meant to fail"), fails():
        pass
    with pytest.raises(KeyError), fails(ValueError):
        raise KeyError("another")


def test_single_precision_is_named_where_it_alone_is_the_difference():
    right = torch.tensor([1 / 3, 2 / 3], dtype=torch.float64)
    with pytest.raises(CheckFailed, match="single precision, seven digits"):
        close(right.float(), right, tol=1e-9)
    with pytest.raises(CheckFailed, match="2 times what it must be"):
        close(2 * right.float(), right, tol=1e-9)
    close(right.float(), right)


def test_the_tick_is_a_word_where_the_console_lacks_it(monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr("sys.stdout", console)
    close(torch.ones(3), torch.ones(3), what="∫ of mine")
    console.flush()
    assert console.buffer.getvalue().split() == b"ok: ? of mine agrees with the reference to 1e-06".split()
