"""Answers to assignment 07: right ones written in other ways, and wrong ones with the message meant for each."""

RIGHT = [  # cell → answer; cells that are left out keep the answer of the source
    {
        "by-hand": "loss = 2 * np.log(2)\nperplexity = np.exp(loss)\nafter = torch.tensor([1.25, 1.25, 3.5])",
        "march": """
def march(u, weights, loud, depths):
    depths = torch.as_tensor(depths, dtype=torch.float64)
    dt = depths.diff()
    g = torch.stack([torch.as_tensor(loud(t)) for t in (depths[:-1] + depths[1:]) / 2])
    mean = (weights[:, None] * u).sum(0, keepdim=True)
    return mean + torch.prod(1 - dt * g) * (u - mean)
""",
        "by-need": """
def by_need(need, n, horizon):
    total, cell = float(sum(need)), horizon / len(need)
    depths, before, k = [0.0], 0.0, 1
    for i, value in enumerate(float(z) for z in need):
        while k < n and before + value >= k * total / n:
            depths.append(cell * (i + (k * total / n - before) / value))
            k += 1
        before += value
    return depths + [horizon] * (n + 1 - len(depths))
""",
        "gain": """
def gain(u, weights, loud, horizon, n):
    t = torch.linspace(0.5, 999.5, 1000, dtype=torch.float64) * horizon / 1000
    left = float(torch.exp(-(loud(t).sum() * horizon / 1000)))
    mean = weights @ u
    miss = lambda z: float((march(u, weights, loud, torch.tensor(z)) - (mean + left * (u - mean))).abs().max())
    return miss([k * horizon / n for k in range(n + 1)]) / miss(by_need(loud(t), n, horizon))
""",
    },
    {
        "by-hand": "loss, perplexity = 1.39, 4.0\nafter = [2 - 2 * 3 / 8, 2 - 2 * 3 / 8, 2 + 4 * 3 / 8]",
        "march": """
def march(u, weights, loud, depths):
    heard = torch.ones(len(u), 1, dtype=u.dtype) * weights
    for k in range(len(depths) - 1):
        dt = depths[k + 1] - depths[k]
        g = loud(depths[k] + dt / 2)
        u = (1 - dt * g) * u + dt * g * (heard @ u)
    return u
""",
        "by-need": """
def by_need(need, n, horizon):
    need = torch.as_tensor(need, dtype=torch.float32)
    edge = torch.cat([torch.zeros(1), need.cumsum(0) / need.sum()])
    wanted = torch.arange(n + 1) / n
    cell = torch.searchsorted(edge, wanted.contiguous()).clamp(1, len(need)) - 1
    inside = (wanted - edge[cell]) / (edge[cell + 1] - edge[cell])
    return (cell + inside) * horizon / len(need)
""",
    },
]

_MARCH = "def march(u, weights, loud, depths):\n    z, n = depths, len(depths) - 1\n    "
_EACH = "for a, b in zip(z[:-1], z[1:]):\n        "
_NEED = """def by_need(need, n, horizon):
    shares = np.concatenate([[0.0], np.cumsum(np.asarray(need))]) / float(sum(need))
    edges, wanted = np.linspace(0, horizon, len(need) + 1), np.linspace(0, 1, n + 1)
    """
_GAIN = """def gain(u, weights, loud, horizon, n):
    t = (torch.arange(1000, dtype=torch.float64) + 0.5) * horizon / 1000
    g, mean = loud(t), weights @ u
    end = mean + (u - mean) * torch.exp(-g.mean() * horizon)
    even = torch.linspace(0, horizon, n + 1, dtype=torch.float64)
    miss = lambda z: float((march(u, weights, loud, z) - end).abs().max())
    """


def _hand(loss="1.386", perplexity="4", after="[1.25, 1.25, 3.5]"):
    return f"loss, perplexity = {loss}, {perplexity}\nafter = {after}"


def _march(step, before=""):
    return _MARCH + before + _EACH + step + "\n    return u"


WRONG = {  # name: (cell, answer, test that must fail, a part of what it must say)
    "7.1 bits": ("by-hand", _hand("2.0"), "test-by-hand", "to the base 2"),
    "7.1 bits, perplexity of them": ("by-hand", _hand("2.0", "7.39"), "test-by-hand", "to the base 2"),
    "7.1 sum": ("by-hand", _hand("4.16", "64"), "test-by-hand", "added up"),
    "7.1 mean first": ("by-hand", _hand("1.23", "3.43"), "test-by-hand", "logarithm of the mean probability"),
    "7.1 sign": ("by-hand", _hand("-1.386", "0.25"), "test-by-hand", "minus is missing"),
    "7.1 two to the loss": ("by-hand", _hand(perplexity="2.61"), "test-by-hand", "turns *that* logarithm around"),
    "7.1 mean of 1/p": ("by-hand", _hand(perplexity="4.67"), "test-by-hand", "geometric mean"),
    "7.1 for the whole text": ("by-hand", _hand(perplexity="64"), "test-by-hand", "third root"),
    "7.1 one step": ("by-hand", _hand(after="[1.5, 1.5, 3]"), "test-by-hand", "one step of length 3/4"),
    "7.1 first step": ("by-hand", _hand(after="[1, 1, 4]"), "test-by-hand", "second one is missing"),
    "7.1 depths": ("by-hand", _hand(after="[1.75, 1.75, 2.5]"), "test-by-hand", "depths at which they end"),
    "7.1 away": ("by-hand", _hand(after="[-1.75, -1.75, 9.5]"), "test-by-hand", "flee from the mean"),
    "7.1 the river": ("by-hand", _hand(after="[1.055, 1.055, 3.889]"), "test-by-hand", "river itself"),
    "7.1 something else": ("by-hand", _hand(after="[1, 2, 3]"), "test-by-hand", "half of each distance"),
    "7.1 two tokens": ("by-hand", _hand(after="[1.25, 3.5]"), "test-by-hand", "three numbers"),
    "start": ("march", _march("u = u + (b - a) * loud(a) * (weights @ u - u)"), "test-march", "beginning of each step"),
    "end": ("march", _march("u = u + (b - a) * loud(b) * (weights @ u - u)"), "test-march", "end of each step"),
    "counted middles": (
        "march",
        _MARCH + "for k in range(n):\n        u = u + (z[k + 1] - z[k]) * loud((k + 0.5) * z[-1] / n) * "
        "(weights @ u - u)\n    return u",
        "test-march",
        "middle of an *equal* step",
    ),
    "equal lengths": (
        "march",
        _march("u = u + z[-1] / n * loud((a + b) / 2) * (weights @ u - u)"),
        "test-march",
        "the length T/N",
    ),
    "depth for length": (
        "march",
        _march("u = u + b * loud((a + b) / 2) * (weights @ u - u)"),
        "test-march",
        "as its length",
    ),
    "unweighted": (
        "march",
        _march("u = u + (b - a) * loud((a + b) / 2) * (u.mean(0) - u)"),
        "test-march",
        "plain mean",
    ),
    "over the features": (
        "march",
        _march("u = u + (b - a) * loud((a + b) / 2) * (u.mean(1, keepdim=True) - u)"),
        "test-march",
        "over the features",
    ),
    "away": ("march", _march("u = u + (b - a) * loud((a + b) / 2) * (u - weights @ u)"), "test-march", "flee"),
    "no own part": ("march", _march("u = u + (b - a) * loud((a + b) / 2) * (weights @ u)"), "test-march", "holds it"),
    "all from the start": (
        "march",
        _march("u = u + (b - a) * loud((a + b) / 2) * (weights @ first - first)", "first = u\n    "),
        "test-march",
        "velocity of the first field",
    ),
    "last step missing": (
        "march",
        _march("u = u + (b - a) * loud((a + b) / 2) * (weights @ u - u)", "z = z[:-1]\n    "),
        "test-march",
        "last step is missing",
    ),
    "exponential": (
        "march",
        _march("m = weights @ u\n        u = m + torch.exp(-(b - a) * loud((a + b) / 2)) * (u - m)"),
        "test-march",
        "error",
    ),
    "the river itself": (
        "march",
        _MARCH + "t = z[-1] * (torch.arange(4000) + 0.5) / 4000\n    m = weights @ u\n"
        "    return m + torch.exp(-loud(t).mean() * z[-1]) * (u - m)",
        "test-march",
        "One step from 0 to T",
    ),
    "nothing returned": ("march", _MARCH + "pass", "test-march", "nothing here"),
    "equal steps": ("by-need", _NEED + "return horizon * wanted", "test-by-need", "need is not used"),
    "long where needed": (
        "by-need",
        "def by_need(need, n, horizon):\n    s = np.concatenate([[0], np.cumsum(1 / need.numpy())])\n    "
        "return np.interp(np.linspace(0, 1, n + 1), s / s[-1], np.linspace(0, horizon, len(need) + 1))",
        "test-by-need",
        "long where much is needed",
    ),
    "not turned around": (
        "by-need",
        _NEED + "return horizon * np.interp(horizon * wanted, edges, shares)",
        "test-by-need",
        "other way around",
    ),
    "no horizon": ("by-need", _NEED + "return np.interp(wanted, shares, edges / horizon)", "test-by-need", "end at 1"),
    "no zero in front": (
        "by-need",
        _NEED + "return np.interp(wanted, shares[1:], edges[1:])",
        "test-by-need",
        "put a 0 in front",
    ),
    "whole cells": (
        "by-need",
        _NEED + "return edges[np.searchsorted(shares, wanted - 1e-9)]",
        "test-by-need",
        "edges of cells",
    ),
    "n depths": (
        "by-need",
        _NEED + "return np.interp(np.linspace(0, 1, n), shares, edges)",
        "test-by-need",
        "n + 1 posts",
    ),
    "square root": (
        "by-need",
        _NEED + "s = np.concatenate([[0.0], np.cumsum(need.sqrt().numpy())])\n    "
        "return np.interp(wanted, s / s[-1], edges)",
        "test-by-need",
        "square root",
    ),
    "lengths for depths": (
        "by-need",
        _NEED + "return np.diff(np.interp(wanted, shares, edges))",
        "test-by-need",
        "lengths of the steps",
    ),
    "from the end": (
        "by-need",
        _NEED + "return np.interp(wanted, shares, edges)[::-1].copy()",
        "test-by-need",
        "larger than",
    ),
    "other shares": ("by-need", _NEED + "return np.interp(wanted ** 1.1, shares, edges)", "test-by-need", "same share"),
    "gain upside down": (
        "gain",
        _GAIN + "return miss(by_need(g, n, horizon)) / miss(even)",
        "test-gain",
        "upside down",
    ),
    "gain, need squared": (
        "gain",
        _GAIN + "return miss(even) / miss(by_need(g ** 2, n, horizon))",
        "test-gain",
        "stand by g²",
    ),
    "gain, against each other": (
        "gain",
        _GAIN + "return float((march(u, weights, loud, even) - march(u, weights, loud, "
        "by_need(g, n, horizon))).abs().max())",
        "test-gain",
        "difference of the two errors",
    ),
    "gain typed in": (
        "gain",
        _GAIN + "return float(horizon ** 2 * (g ** 2).mean() / (g.mean() * horizon) ** 2)",
        "test-gain-hidden",
        "the gain is",
    ),
    "gain, not a number": (
        "gain",
        _GAIN + "return [miss(even), miss(by_need(g, n, horizon))]",
        "test-gain",
        "one number",
    ),
    # for each wrong way and law that nothing above meets
    "7.1 another loss": ("by-hand", _hand("1.2"), "test-by-hand", "three probabilities multiplied"),
    "7.1 another perplexity": ("by-hand", _hand(perplexity="4.3"), "test-by-hand", "The perplexity must be e"),
    "7.1 another mean": ("by-hand", _hand(after="[1.25, 1.25, 3]"), "test-by-hand", "Yours has moved"),
    "heard too softly": (
        "march",
        _march("u = u + (b - a) * loud((a + b) / 2) * (0.9 * (weights @ u) - u)"),
        "test-march",
        "they hear what they are",
    ),
    "weights from the other end": (
        "march",
        _march("u = u + (b - a) * loud((a + b) / 2) * (weights.flip(0) @ u - u)"),
        "test-march",
        "weighted mean of the field",
    ),
    "a shortest step": (
        "march",
        _march("u = u + (b - a).clamp(min=0.05) * loud((a + b) / 2) * (weights @ u - u)"),
        "test-march",
        "repeat a depth",
    ),
    "whole depths": (
        "march",
        _march("u = u + (b - a) * loud((a + b) / 2) * (weights @ u - u)", "z = z.round()\n    "),
        "test-march",
        "With many short steps",
    ),
}
