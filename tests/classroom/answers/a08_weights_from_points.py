"""Answers to assignment 08: right ones written in other ways, and wrong ones with the message meant for each."""

RIGHT = [  # cell → answer; cells that are left out keep the answer of the source
    {
        "by-hand": "borders = torch.tensor([0, 0.2, 0.6, 1])\nweights = borders.diff()\n"
        "mean = weights @ torch.tensor([10.0, 0, 5])",
        "cells": """
def cells(x, a, b):
    order = x.argsort()
    s = x[order]
    middles = (s[1:] + s[:-1]) / 2
    ends = torch.cat([torch.tensor([a]), middles, torch.tensor([b])])
    lengths = torch.empty_like(x)
    lengths[order] = ends.diff()
    same = (x[:, None] == x[None, :]).to(x.dtype)
    return same @ lengths / same.sum(-1)
""",
        "near-weights": """
def near_weights(points, k, m):
    d = (points[:, None] - points[None]).square().sum(-1).sqrt()
    d.fill_diagonal_(math.inf)
    r = d.topk(k, largest=False).values.max(-1).values
    return torch.softmax(m * r.log(), 0)
""",
        "typical-error": """
def typical_error(n, p, weighted):
    def one():
        x = torch.rand(n) ** p
        w = cells(x, 0.0, 1.0) if weighted else torch.full((n,), 1 / n)
        return abs((w.double() @ x.double().exp()).item() - (math.e - 1))
    return sorted(one() for _ in range(200))[100]
""",
    },
    {
        "by-hand": "weights = (0.2, 0.4, 0.4)\nmean = 4",
        "cells": """
def cells(x, a, b):
    numbers = x.tolist()
    places = sorted(set(numbers))
    ends = [a] + [(p + q) / 2 for p, q in zip(places, places[1:])] + [b]
    length = {p: ends[i + 1] - ends[i] for i, p in enumerate(places)}
    return torch.tensor([length[z] / numbers.count(z) for z in numbers], dtype=torch.float64)
""",
        "near-weights": """
def near_weights(points, k, m):
    radius = torch.cdist(points, points).kthvalue(k + 1, -1).values
    area = radius.pow(m)
    return area.div(area.sum())
""",
    },
]

_SORT = (
    "def cells(x, a, b):\n    order = x.argsort()\n    s = x[order]\n    w = torch.zeros_like(x)\n"
    "    A, B = x.new_tensor([a]), x.new_tensor([b])\n    m = (s[1:] + s[:-1]) / 2\n    "
)
_NEAR = "def near_weights(points, k, m):\n    d = torch.cdist(points, points).sort(-1).values\n    "
_ERROR = """
def typical_error(n, p, weighted):
    errors = []
    for _ in range(200):
        x = torch.rand(n, dtype=torch.float64) ** {power}
        w = {weights}
        errors.append({error})
    return float(torch.tensor(errors).median())
"""


def _error(
    power="p",
    weights="cells(x, 0.0, 1.0) if weighted else torch.full_like(x, 1 / n)",
    error="abs(float(w @ x.exp()) - (math.e - 1))",
):
    return _ERROR.format(power=power, weights=weights, error=error)


def _hand(weights, mean=4.0):
    return f"weights = {weights}\nmean = {mean}"


WRONG = {  # name: (cell, answer, test that must fail, a part of what it must say)
    "8.1 equal": ("by-hand", _hand([0.333, 0.333, 0.333]), "test-by-hand", "the same weight"),
    "8.1 open ends": ("by-hand", _hand([0.1, 0.4, 0.3]), "test-by-hand", "sum to 0.8"),
    "8.1 next": ("by-hand", _hand([0.2, 0.6, 0.1]), "test-by-hand", "gap to its right"),
    "8.1 before": ("by-hand", _hand([0.1, 0.2, 0.6]), "test-by-hand", "gap to its left"),
    "8.1 mean of the tokens": ("by-hand", _hand([0.2, 0.4, 0.4], 5), "test-by-hand", "over the *tokens*"),
    "8.1 mean divided": ("by-hand", _hand([0.2, 0.4, 0.4], 1.33), "test-by-hand", "as well"),
    "8.1 other mean": ("by-hand", _hand([0.2, 0.4, 0.4], 3), "test-by-hand", "must be Σ w u"),
    "not sorted": (
        "cells",
        "def cells(x, a, b):\n    m = (x[1:] + x[:-1]) / 2\n"
        "    return torch.cat([x.new_tensor([a]), m, x.new_tensor([b])]).diff()",
        "test-cells",
        "in the *list*",
    ),
    "sorted order": ("cells", _SORT + "return torch.cat([A, m, B]).diff()", "test-cells", "in sorted order"),
    "order twice": ("cells", _SORT + "return torch.cat([A, m, B]).diff()[order]", "test-cells", "the wrong way"),
    "open ends": (
        "cells",
        _SORT + "w[order] = torch.cat([s[:1], m, s[-1:]]).diff()\n    return w",
        "test-cells",
        "must reach to a and b",
    ),
    "half ends": (
        "cells",
        _SORT + "g = torch.cat([A, s, B]).diff()\n    w[order] = (g[1:] + g[:-1]) / 2\n    return w",
        "test-cells",
        "two ends as well",
    ),
    "mirrored ends": (
        "cells",
        _SORT + "w[order] = torch.cat([2 * s[:1] - m[:1], m, 2 * s[-1:] - m[-1:]]).diff()\n    return w",
        "test-cells",
        "on the outer side",
    ),
    "gap to the next": (
        "cells",
        _SORT + "w[order] = torch.cat([s, B]).diff()\n    return w",
        "test-cells",
        "gap to its right",
    ),
    "gap to the one before": (
        "cells",
        _SORT + "w[order] = torch.cat([A, s]).diff()\n    return w",
        "test-cells",
        "gap to its left",
    ),
    "shares": (
        "cells",
        _SORT + "w[order] = torch.cat([A, m, B]).diff()\n    return w / w.sum()",
        "test-cells",
        "sum to b − a",
    ),
    "unit interval": (
        "cells",
        _SORT + "w[order] = torch.cat([0 * A, m, 0 * B + 1]).diff()\n    return w",
        "test-cells",
        "for the interval",
    ),
    "equal": (
        "cells",
        "def cells(x, a, b):\n    return torch.ones_like(x) * (b - a) / len(x)",
        "test-cells",
        "equal weight here",
    ),
    "twins not shared": (
        "cells",
        _SORT + "w[order] = torch.cat([A, m, B]).diff()\n    return w",
        "test-cells",
        "in equal parts",
    ),
    "each twin has all": (
        "cells",
        "def cells(x, a, b):\n    p, i = torch.unique(x, return_inverse=True)\n    m = (p[1:] + p[:-1]) / 2\n"
        "    return torch.cat([x.new_tensor([a]), m, x.new_tensor([b])]).diff()[i]",
        "test-cells",
        "has the whole cell",
    ),
    "midpoints of the library": (
        "cells",
        "from flowlib.fields import Grid\n\n\ndef cells(x, a, b):\n"
        "    return Grid.uniform(len(x), domain=(a, b)).weights",
        "test-cells",
        "equal weight here",
    ),
    "counts itself": (
        "near-weights",
        _NEAR + "r = d[:, k - 1] ** m\n    return r / r.sum()",
        "test-near",
        "own nearest neighbour",
    ),
    "one too many": ("near-weights", _NEAR + "r = d[:, k + 1] ** m\n    return r / r.sum()", "test-near", "too far"),
    "no power": ("near-weights", _NEAR + "return d[:, k] / d[:, k].sum()", "test-near", "stands for an *area*"),
    "power of the space": (
        "near-weights",
        _NEAR + "r = d[:, k] ** points.shape[-1]\n    return r / r.sum()",
        "test-near",
        "number of coordinates",
    ),
    "density": ("near-weights", _NEAR + "r = d[:, k] ** -m\n    return r / r.sum()", "test-near", "is the density"),
    "not normalised": ("near-weights", _NEAR + "return torch.pi * d[:, k] ** m / k", "test-near", "sum to 1"),
    "mean distance": (
        "near-weights",
        _NEAR + "r = d[:, 1:k + 1].mean(-1) ** m\n    return r / r.sum()",
        "test-near",
        "mean distance",
    ),
    "farthest": (
        "near-weights",
        _NEAR + "r = d.flip(-1)[:, k - 1] ** m\n    return r / r.sum()",
        "test-near",
        "*farthest*",
    ),
    "softmax": ("near-weights", _NEAR + "return (d[:, k] ** m).softmax(0)", "test-near", "a softmax"),
    "always a surface": (
        "near-weights",
        _NEAR + "r = d[:, k] ** 2\n    return r / r.sum()",
        "test-near",
        "power is m, an argument",
    ),
    "sum before power": (
        "near-weights",
        _NEAR + "return (d[:, k] / d[:, k].sum()) ** m",
        "test-near",
        "First the power",
    ),
    "never weighted": ("typical-error", _error(weights="torch.full_like(x, 1 / n)"), "test-rates", "order must be 2"),
    "always weighted": (
        "typical-error",
        _error(weights="cells(x, 0.0, 1.0)"),
        "test-rates",
        "as small with weighted=False",
    ),
    "p forgotten": ("typical-error", _error(power="1"), "test-rates", "Is p used"),
    "not divided": (
        "typical-error",
        _error(weights="cells(x, 0.0, 1.0) if weighted else torch.ones_like(x)"),
        "test-rates",
        "divide by the sum",
    ),
    "weights beside other tokens": (
        "typical-error",
        _error(weights="cells(x.sort().values, 0.0, 1.0) if weighted else torch.full_like(x, 1 / n)"),
        "test-rates",
        "beside its own token",
    ),
    "rates typed in": (
        "typical-error",
        "def typical_error(n, p, weighted):\n    return n ** -2.0 if weighted else (n ** -0.5 if p == 1 else 0.38)",
        "test-rates-hidden",
        "that of the grader",
    ),
    # for each wrong way and law that nothing above meets
    "8.1 whole gaps": ("by-hand", _hand([0.2, 0.8, 0.6]), "test-by-hand", "whole gaps on both sides"),
    "8.1 places": ("by-hand", _hand([0.1, 0.3, 0.9]), "test-by-hand", "the places of the tokens"),
    "8.1 too much": ("by-hand", _hand([0.2, 0.4, 0.5]), "test-by-hand", "without a gap"),
    "8.1 other borders": ("by-hand", _hand([0.3, 0.3, 0.4]), "test-by-hand", "The first border"),
    "whole gaps": (
        "cells",
        _SORT + "g = torch.cat([A, s, B]).diff()\n    w[order] = g[1:] + g[:-1]\n    return w",
        "test-cells",
        "counted twice",
    ),
    "borders": ("cells", _SORT + "return torch.cat([A, m, B])", "test-cells", "one length for each token"),
    "a part of each": (
        "cells",
        _SORT + "w[order] = 0.9 * torch.cat([A, m, B]).diff()\n    return w",
        "test-cells",
        "The cells fill [a, b]",
    ),
    "half of it equal": (
        "cells",
        _SORT + "w[order] = torch.cat([A, m, B]).diff()\n    return (w + (b - a) / len(x)) / 2",
        "test-cells",
        "Of two tokens",
    ),
    "from the other end": (
        "cells",
        _SORT + "w = torch.cat([A, m, B]).diff()\n    return w if len(x) == 2 else w.flip(0)",
        "test-cells",
        "in sorted order backwards",
    ),
    "a shortest cell": (
        "cells",
        _SORT + "w[order] = torch.cat([A, m, B]).diff().clamp(min=0.2)\n    return w * (b - a) / w.sum()",
        "test-cells",
        "Stretch the interval",
    ),
    "power twice": ("near-weights", _NEAR + "w = d[:, k] ** (2 * m)\n    return w / w.sum()", "test-near", "2m here"),
    "weights not normalised": ("near-weights", _NEAR + "return d[:, k] ** m", "test-near", "sum over all tokens"),
    "by the largest": (
        "near-weights",
        _NEAR + "w = d[:, k] ** m\n    return w / w.max()",
        "test-near",
        "not by the largest",
    ),
    "nearest": ("near-weights", _NEAR + "w = d[:, 1] ** m\n    return w / w.sum()", "test-near", "whatever k is"),
    "later tokens count more": (
        "near-weights",
        _NEAR + "w = d[:, k] ** m * torch.arange(1, len(d) + 1)\n    return w / w.sum()",
        "test-near",
        "regular polygon",
    ),
    "distance from the origin": (
        "near-weights",
        _NEAR + "w = points.norm(dim=-1) ** m\n    return w / w.sum()",
        "test-near",
        "Turn the cloud",
    ),
    "next in the list": (
        "near-weights",
        _NEAR + "w = (points - points.roll(k, 0)).norm(dim=-1) ** m\n    return w / w.sum()",
        "test-near",
        "Permute the tokens",
    ),
    "points that are not drawn": (
        "typical-error",
        _error().replace("torch.rand(n, dtype=torch.float64)", "((torch.arange(n).double() + 0.5) / n)"),
        "test-rates",
        "same each time",
    ),
    "points of a grid": (
        "cells",
        "def cells(x, a, b):\n    z = a + (b - a) * (torch.arange(4000).double() + 0.5) / 4000\n"
        "    near = (z[:, None] - x).abs().argmin(1)\n"
        "    return torch.bincount(near, minlength=len(x)).double() * (b - a) / 4000",
        "test-cells",
        "an approximation",
    ),
    "a draw in each of n parts": (
        "typical-error",
        _error().replace("torch.rand(n, dtype=torch.float64)", "((torch.arange(n) + torch.rand(n).double()) / n)"),
        "test-rates",
        "as small with weighted=False",
    ),
    "p is 3": ("typical-error", _error(power="3"), "test-rates", "With equal weights and p = 1"),
}
