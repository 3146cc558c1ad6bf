"""Wrong ways that are known by their result, each with its sentence; `misconception` registers one more."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Misconception:
    """A wrong way to compute something, and the sentence that meets a result which agrees with it."""

    name: str
    wrong: Callable[..., Any]
    sentence: str


MISCONCEPTIONS: dict[str, dict[str, Misconception]] = {}


def name_of(function: Callable) -> str:
    """The function's name as words: `no_scale` is "no scale"."""
    return function.__name__.replace("_", " ").strip()


def sentence_of(function: Callable) -> str:
    """The function's docstring on one line: what a reader is told.

    Raises: ValueError where there is none.
    """
    sentence = " ".join((function.__doc__ or "").split())
    if not sentence:
        raise ValueError(f"{function.__qualname__} needs a docstring: it is the sentence that a reader is told")
    return sentence


def misconception(topic: str, name: str | None = None, sentence: str | None = None) -> Callable:
    """Register the decorated function as a wrong way: `close(..., topic=topic, inputs=...)` knows its result.

        @misconception("attention")
        def no_scale(q, k, v):
            \"""The scores are not divided by √d: …\"""
            return (q @ k.mT).softmax(-1) @ v

    name, sentence: in place of the function's name and docstring.
    Raises: ValueError where there is no sentence, or where the topic has another function under this name.
    """

    def register(wrong: Callable) -> Callable:
        new = Misconception(name or name_of(wrong), wrong, sentence or sentence_of(wrong))
        known = MISCONCEPTIONS.setdefault(topic, {})
        if new.name in known and known[new.name].wrong.__qualname__ != wrong.__qualname__:
            raise ValueError(f"the misconception {new.name!r} of {topic!r} is registered already; choose another name")
        known[new.name] = new
        return wrong

    return register


@misconception("attention")
def no_scale(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """the scores are not divided by √d. Without it the softmax sharpens as d grows"""
    return (q @ k.mT).softmax(-1) @ v


@misconception("attention")
def wrong_axis(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """the softmax runs over the queries. Each query's row over the keys must sum to 1"""
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-2) @ v


@misconception("attention")
def divided_by_d(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """the scores are divided by d, and must be divided by √d"""
    return (q @ k.mT / q.shape[-1]).softmax(-1) @ v


@misconception("attention")
def not_normalised(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """exp(scores) is not normalised: ∫ γ dx̃ = 1 must hold for every query"""
    return (q @ k.mT / q.shape[-1] ** 0.5).exp() @ v


@misconception("weighted attention")
def weights_left_out(q: Tensor, k: Tensor, v: Tensor, weights: Tensor) -> Tensor:
    """the quadrature weights are left out: this is plain softmax"""
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v


@misconception("weighted attention")
def weights_only_in_the_numerator(q: Tensor, k: Tensor, v: Tensor, weights: Tensor) -> Tensor:
    """the weights multiply the values but not the normalisation: they belong in both integrals"""
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ (weights[..., None] * v)


@misconception("weighted attention")
def weights_in_the_exponent(q: Tensor, k: Tensor, v: Tensor, weights: Tensor) -> Tensor:
    """exp(w · score) is not w · exp(score): the weight stands outside"""
    return (weights * (q @ k.mT) / q.shape[-1] ** 0.5).softmax(-1) @ v


@misconception("layer norm")
def divided_by_n_minus_1(u: Tensor) -> Tensor:
    """the variance is divided by n − 1. Layer norm divides by n: use unbiased=False"""
    return (u - u.mean(-1, keepdim=True)) / u.std(-1, keepdim=True)


@misconception("layer norm")
def over_tokens(u: Tensor) -> Tensor:
    """mean and spread are taken over the tokens. Layer norm takes them over the features"""
    return (u - u.mean(-2, keepdim=True)) / u.std(-2, keepdim=True, unbiased=False)


@misconception("layer norm")
def divided_by_the_variance(u: Tensor) -> Tensor:
    """the field is divided by its variance, and must be divided by its standard deviation"""
    return (u - u.mean(-1, keepdim=True)) / u.var(-1, keepdim=True, unbiased=False)


@misconception("layer norm")
def mean_kept(u: Tensor) -> Tensor:
    """the mean is still there: this is RMSNorm with the spread of layer norm"""
    return u / u.std(-1, keepdim=True, unbiased=False)
