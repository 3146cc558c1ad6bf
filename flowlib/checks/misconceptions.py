"""Wrong ways that are known by their result, each with its sentence; `misconception` registers one more."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Misconception:
    """A wrong way to compute something, and the sentence that meets a result which agrees with it."""

    name: str
    wrong: Callable[..., Tensor]
    sentence: str


MISCONCEPTIONS: dict[str, dict[str, Misconception]] = {}


def misconception(topic: str, name: str, sentence: str) -> Callable:
    """Register the decorated function as a wrong way: `close(..., topic=topic, inputs=...)` knows its result.

        @misconception("attention", "missing 1/√d", "The scores are not divided by √d: ...")
        def unscaled(q, k, v): ...

    Raises: ValueError where the topic has another function under this name.
    """

    def register(wrong: Callable) -> Callable:
        known = MISCONCEPTIONS.setdefault(topic, {})
        if name in known and known[name].wrong.__qualname__ != wrong.__qualname__:
            raise ValueError(f"the misconception {name!r} of {topic!r} is registered already; choose another name")
        known[name] = Misconception(name, wrong, sentence)
        return wrong

    return register


@misconception("attention", "no scale", "the scores are not divided by √d. Without it the softmax sharpens as d grows")
def _no_scale(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.mT).softmax(-1) @ v


@misconception(
    "attention",
    "wrong axis",
    "the softmax runs over the queries. Each query's row over the keys must sum to 1",
)
def _wrong_axis(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-2) @ v


@misconception("attention", "divided by d", "the scores are divided by d, and must be divided by √d")
def _divided_by_d(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.mT / q.shape[-1]).softmax(-1) @ v


@misconception("attention", "not normalised", "exp(scores) is not normalised: ∫ γ dx̃ = 1 must hold for every query")
def _not_normalised(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.mT / q.shape[-1] ** 0.5).exp() @ v


@misconception("weighted attention", "weights left out", "the quadrature weights are left out: this is plain softmax")
def _unweighted(q: Tensor, k: Tensor, v: Tensor, weights: Tensor) -> Tensor:
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v


@misconception(
    "weighted attention",
    "weights only in the numerator",
    "the weights multiply the values but not the normalisation: they belong in both integrals",
)
def _numerator_only(q: Tensor, k: Tensor, v: Tensor, weights: Tensor) -> Tensor:
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ (weights[..., None] * v)


@misconception(
    "weighted attention",
    "weights in the exponent",
    "exp(w · score) is not w · exp(score): the weight stands outside",
)
def _in_the_exponent(q: Tensor, k: Tensor, v: Tensor, weights: Tensor) -> Tensor:
    return (weights * (q @ k.mT) / q.shape[-1] ** 0.5).softmax(-1) @ v


@misconception("layer norm", "n − 1", "the variance is divided by n − 1. Layer norm divides by n: use unbiased=False")
def _unbiased(u: Tensor) -> Tensor:
    return (u - u.mean(-1, keepdim=True)) / u.std(-1, keepdim=True)


@misconception(
    "layer norm",
    "over tokens",
    "mean and spread are taken over the tokens. Layer norm takes them over the features",
)
def _over_tokens(u: Tensor) -> Tensor:
    return (u - u.mean(-2, keepdim=True)) / u.std(-2, keepdim=True, unbiased=False)


@misconception(
    "layer norm",
    "variance",
    "the field is divided by its variance, and must be divided by its standard deviation",
)
def _variance(u: Tensor) -> Tensor:
    return (u - u.mean(-1, keepdim=True)) / u.var(-1, keepdim=True, unbiased=False)


@misconception("layer norm", "mean kept", "the mean is still there: this is RMSNorm with the spread of layer norm")
def _mean_kept(u: Tensor) -> Tensor:
    return u / u.std(-1, keepdim=True, unbiased=False)
