"""Predictions before measurements; the check of a reader's scheme."""

import math

import pytest

from flowlib.checks.compare import CheckFailed
from flowlib.checks.schemes import check_scheme
from flowlib.flow import SCHEMES, Scheme
from flowlib.notebook.forecast import Forecasts


def test_a_forecast_hits_or_misses_by_its_own_criterion(capsys):
    f = Forecasts()
    f.say("a", 2.0, within=0.1, by="$2/|\\lambda|$")
    f.say("b", math.inf, within=0.1)
    f.say("c", at_most=1.0)
    f.say("d", at_least=1.0)
    f.say("e", -1.0, within=0.1)
    f.say("f", 1.0, within=0.5)
    for name, value in dict(a=2.3, b=math.inf, c=0.5, d=0.5, e=-1.05).items():
        f.found(name, value)
    assert [one.hit for one in f.stated.values()] == [False, True, True, False, True, None]
    assert "a: predicted 2 ± 10 %, measured 2.3: miss" in capsys.readouterr().out
    text = f.text()
    assert "**3 of 5** predictions hit" in text and "| never | never | hit |" in text and "not measured" in text
    assert "| c |  | ≤ 1 | 0.5 | hit |" in text
    assert f.table().data == text


def test_a_forecast_with_words_is_a_sentence_that_both_numbers_fill(capsys):
    f = Forecasts()
    rest = dict(words="it rests up to {}", never="it rests always")
    f.say("a", 2.0, within=0.1, **rest)
    f.say("b", math.inf, within=0.1, **rest)
    f.say("c", at_most=0, words="it rises in {} steps")
    f.say("d", at_least=1, words="it rises in {} steps")
    f.found("a", math.inf)
    f.found("b", 3.0)
    f.found("c", 2)
    said = capsys.readouterr().out
    assert "expected: it rests up to 2 ± 10 %\n   came:     it rests always   → miss" in said
    text = f.text()
    assert "| it rests always | it rests up to 3 | **miss** |" in text
    assert "| it rises in at most 0 steps | it rises in 2 steps |" in text
    assert "| it rises in at least 1 steps |  | not measured |" in text
    with pytest.raises(ValueError, match="where the number goes"):
        f.say("e", 1.0, within=0.1, words="no place for it")


def test_nothing_is_predicted_after_the_fact():
    f = Forecasts()
    with pytest.raises(ValueError, match="nothing was predicted"):
        f.found("a", 1.0)
    f.say("a", 1.0, within=0.1)
    with pytest.raises(ValueError, match="not a number"):
        f.found("a", math.nan)
    f.found("a", 1.0)
    with pytest.raises(ValueError, match="comes before"):
        f.say("a", 2.0, within=0.1)
    with pytest.raises(ValueError, match="already"):
        f.found("a", 2.0)
    for wrong in (dict(number=1.0), dict(within=0.1), dict(at_most=1.0, at_least=0.0), {}):
        with pytest.raises(ValueError, match="a forecast is a number"):
            f.say("b", **wrong)


def test_a_scheme_that_holds_says_what_it_is(capsys):
    assert check_scheme(SCHEMES["strang"], 3) == 2
    assert "order 2 with exact substeps, 5 substeps" in capsys.readouterr().out
    lie = tuple((i, 1.0) for i in range(2))
    back = Scheme("extrapolated", 2, lambda n: [(2.0, tuple((i, a / 2) for i, a in lie * 2)), (-1.0, lie)])
    assert check_scheme(back) == 2 and "most negative number is -1" in capsys.readouterr().out


WRONG = {
    "no path": (lambda n: [], 1),
    "a path is": (lambda n: [(1.0, (0, 1.0))], 1),
    "numbered 0 to 1": (lambda n: [(1.0, ((2, 1.0),))], 1),
    "must be finite": (lambda n: [(1.0, ((0, math.nan), (1, 1.0)))], 1),
    "term 1 gets the share 0.5": (lambda n: [(1.0, ((0, 1.0), (1, 0.5)))], 1),
    "it says order 2, but": (SCHEMES["lie"].paths, 2),
}


@pytest.mark.parametrize("said", WRONG)
def test_a_scheme_that_does_not_is_told_why(said):
    paths, order = WRONG[said]
    with pytest.raises(CheckFailed, match=said):
        check_scheme(Scheme("mine", order, paths))
