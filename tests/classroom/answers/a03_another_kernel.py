"""Answers to assignment 03: right ones written in other ways, and wrong ones with the message meant for each."""

RIGHT = [  # cell → answer; cells that are left out keep the answer of the source
    {
        "shares": "numbers = torch.tensor([1 / 4, 1 / 8, 1 / 20])\nshares = numbers / numbers.sum()",
        "near-attend": """
def near_attend(q, k, v, weights, scale=1.0):
    square = (q.unsqueeze(-2) - k.unsqueeze(-3)).square().sum(-1) / scale**2
    log = weights.log() - torch.log1p(square)
    return torch.softmax(log, -1) @ v
""",
        "operator-error": """
def operator_error(n, weighted):
    def hear(grid, weights):
        x = grid.x[:, None]
        return near_attend(torch.full((1, 1), 0.4, dtype=torch.float64), x, torch.cos(3 * x), weights, scale=0.3)
    grid = Grid.graded(n, power=3)
    fine = Grid.gauss(200)
    weights = grid.weights if weighted else torch.ones_like(grid.weights)
    return float(abs(hear(grid, weights) - hear(fine, fine.weights)))
""",
    },
    {
        "shares": "top = [0.25 * 1, 0.25 / 2, 0.5 / 10]\nshares = [t / sum(top) for t in top]",
        "near-attend": """
def near_attend(q, k, v, weights, scale=1.0):
    kappa = (1 + torch.cdist(q, k).div(scale).pow(2)).reciprocal()
    above = torch.einsum("...ij,j,...jv->...iv", kappa, weights, v)
    below = torch.einsum("...ij,j->...i", kappa, weights)
    return above / below[..., None]
""",
    },
]

_HEAD = "def near_attend(q, k, v, weights, scale=1.0):\n    d = torch.cdist(q, k)\n    "
_ERROR = """
def operator_error(n, weighted):
    x, f = Grid.graded(n, power=3), Grid.gauss(200)
    q = torch.full((1, 1), 0.4, dtype=torch.float64)
    h = lambda g, w: near_attend(q, g.points, (3 * g.points).cos(), w, 0.3)
"""
WRONG = {  # name: (cell, answer, test that must fail, a part of what it must say)
    "3.1 unweighted": ("shares", "shares = [1 / 1.6, 0.5 / 1.6, 0.1 / 1.6]", "test-shares", "three equal tokens"),
    "3.1 not normalised": ("shares", "shares = [0.25, 0.125, 0.05]", "test-shares", "sum to 1"),
    "3.1 not squared": ("shares", "shares = [0.5, 0.25, 0.25]", "test-shares", "instead of its square"),
    "3.1 guessed": ("shares", "shares = [0.5, 0.3, 0.2]", "test-shares", "as 1 : 0.60 : 0.40"),
    "3.1 rounded too far": ("shares", "shares = [0.6, 0.3, 0.1]", "test-shares", "as 1 : 0.50 : 0.17"),
    "3.1 two numbers": ("shares", "shares = [0.6, 0.4]", "test-shares", "three numbers"),
    "values as they are": (
        "near-attend",
        "def near_attend(q, k, v, weights, scale=1.0):\n    return v",
        "test-attend",
        "For 3 queries, 5 keys and 4 values yours has (5, 4).",
    ),
    "unweighted": (
        "near-attend",
        _HEAD + "g = 1 / (1 + (d / scale) ** 2)\n    return g / g.sum(-1, True) @ v",
        "test-attend",
        "weights of the tokens are missing",
    ),
    "weights above only": (
        "near-attend",
        _HEAD + "g = 1 / (1 + (d / scale) ** 2)\n    return g * weights / g.sum(-1, True) @ v",
        "test-attend",
        "in the numerator and not",
    ),
    "wrong axis": (
        "near-attend",
        _HEAD + "g = weights / (1 + (d / scale) ** 2)\n    return g / g.sum(-2, True) @ v",
        "test-attend",
        "over the queries",
    ),
    "softmax over the wrong axis": (
        "near-attend",
        _HEAD + "g = weights.log() - torch.log1p((d / scale) ** 2)\n    return g.softmax(-2) @ v",
        "test-attend",
        "over the queries",
    ),
    "not normalised": (
        "near-attend",
        _HEAD + "return weights / (1 + (d / scale) ** 2) @ v",
        "test-attend",
        "is missing",
    ),
    "not squared": (
        "near-attend",
        _HEAD + "g = weights / (1 + d / scale)\n    return g / g.sum(-1, True) @ v",
        "test-attend",
        "where its square must stand",
    ),
    "scale not squared": (
        "near-attend",
        _HEAD + "g = weights / (1 + d ** 2 / scale)\n    return g / g.sum(-1, True) @ v",
        "test-attend",
        "the scale is not",
    ),
    "scale forgotten": (
        "near-attend",
        _HEAD + "g = weights / (1 + d ** 2)\n    return g / g.sum(-1, True) @ v",
        "test-attend",
        "scale is not used",
    ),
    "softmax on top": (
        "near-attend",
        _HEAD + "g = weights * (1 / (1 + (d / scale) ** 2)).exp()\n    return g / g.sum(-1, True) @ v",
        "test-attend",
        "softmax as well",
    ),
    "dot product": (
        "near-attend",
        _HEAD + "g = weights / (1 + (q @ k.mT / scale) ** 2)\n    return g / g.sum(-1, True) @ v",
        "test-attend",
        "not what their product is",
    ),
    "weights inside": (
        "near-attend",
        _HEAD + "g = 1 / (1 + (d / scale) ** 2 / weights)\n    return g / g.sum(-1, True) @ v",
        "test-attend",
        "inside the kernel",
    ),
    "no batch": (
        "near-attend",
        "def near_attend(q, k, v, weights, scale=1.0):\n    q, k, v = (z.reshape(-1, z.shape[-1]) for z "
        "in (q, k, v))\n    g = 1 / (1 + (torch.cdist(q, k) / scale) ** 2)\n"
        "    w = weights.repeat(len(k) // len(weights))\n"
        "    g = g * w\n    return g / g.sum(-1, True) @ v",
        "test-attend",
        "batch",
    ),
    "nothing returned": ("near-attend", _HEAD + "g = weights / (1 + (d / scale) ** 2)", "test-attend", "nothing here"),
    "dot-product attention from the library": (
        "near-attend",
        "from flowlib.operators.attention import attend\n\n\ndef near_attend(q, k, v, weights, "
        "scale=1.0):\n    return attend(q, k, v, weights)",
        "test-attend",
        "softmax of chapter 03",
    ),
    "error without weights": (
        "operator-error",
        _ERROR + "    return abs(h(x, torch.ones_like(x.x)) - h(f, f.weights)).item()",
        "test-error",
        "no weights where they are asked for",
    ),
    "error always weighted": (
        "operator-error",
        _ERROR + "    return abs(h(x, x.weights) - h(f, f.weights)).item()",
        "test-error",
        "must not go away",
    ),
    "error typed in": (
        "operator-error",
        "def operator_error(n, weighted):\n    return n ** -2.0 if weighted else 0.1",
        "test-error-hidden",
        "the error at",
    ),
    # for each wrong way and law that nothing above meets
    "3.1 weights alone": ("shares", "shares = [0.25, 0.25, 0.5]", "test-shares", "equally near"),
    "3.1 more than all": ("shares", "shares = [0.6, 0.3, 0.2]", "test-shares", "The shares must sum to 1"),
    "3.1 the second first": ("shares", "shares = [0.3, 0.5, 0.2]", "test-shares", "The nearest key has"),
    "weights below only": (
        "near-attend",
        _HEAD + "g = 1 / (1 + (d / scale) ** 2)\n    return g / (g * weights).sum(-1, True) @ v",
        "test-attend",
        "but not in the numerator",
    ),
    "ε below": (
        "near-attend",
        _HEAD + "g = weights / (1 + (d / scale) ** 2)\n    return g / (g.sum(-1, True) + 0.1) @ v",
        "test-attend",
        "all tokens say the same",
    ),
    "weights squared": (
        "near-attend",
        _HEAD + "g = weights**2 / (1 + (d / scale) ** 2)\n    return g / g.sum(-1, True) @ v",
        "test-attend",
        "multiplied in twice",
    ),
    "error as a matrix": (
        "operator-error",
        _ERROR + "    return h(x, x.weights if weighted else torch.ones_like(x.x)) - h(f, f.weights)",
        "test-error",
        "must return one number",
    ),
}
