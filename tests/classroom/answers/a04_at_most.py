"""Answers to assignment 04: right ones written in other ways, and wrong ones with the message meant for each."""

RIGHT = [  # cell → answer; cells that are left out keep the answer of the source
    {
        "nearest": "nearest = torch.tensor([[3.5, 0.5, 0.5, -0.5], [2.0, 0.0, 2.0, 0.0], [1.0, 1.0, 1.0, 1.0]])",
        "at-most": """
def at_most(v, mean=0.0, std=1.0):
    free = v - v.mean(dim=-1, keepdim=True)
    variance = (free**2).mean(dim=-1, keepdim=True)
    rim = free * std / torch.where(variance > 0, variance, 1.0).sqrt()
    return mean + torch.where(variance <= std**2, free, rim)
""",
        "river": """
def river(t, a, b, c, std):
    rim = math.sqrt(std * std - b * b)
    t0 = (rim - a) / c
    if t < t0:
        return torch.tensor([a + c * t, b])
    z = math.exp(-c / std * (t - t0)) * b / (std + rim)  # tan(θ/2) = sin θ / (1 + cos θ)
    return torch.tensor([std * (1 - z**2) / (1 + z**2), 2 * std * z / (1 + z**2)], dtype=torch.float64)
""",
        "steps-error": """
E, K = torch.tensor([[1.5**0.5, 0.0, -(1.5**0.5)], [0.5**0.5, -(2**0.5), 0.5**0.5]], dtype=torch.float64)
def steps_error(n, a, b, c, std):
    u = (a * E + b * K)[None]
    for i in range(n):
        u = at_most(u + (1 / n) * c * E, std=std)
    x, y = river(1.0, a, b, c, std)
    mine = torch.stack([(u[0] * E).mean(), (u[0] * K).mean()])
    return (mine - torch.tensor([x, y])).norm()
""",
    },
    {
        "nearest": "nearest = [torch.tensor([3.5, 0.5, 0.5, -0.5]), (2, 0, 2, 0), [1.0] * 4]",
        "at-most": """
def at_most(v, mean=0.0, std=1.0):
    v = v.float()
    d = v.shape[-1]
    out = v - v.sum(-1, keepdim=True) / d
    norm = torch.linalg.vector_norm(out, dim=-1, keepdim=True)
    most = std * d**0.5
    return out * torch.clamp(most / (norm + 1e-30), max=1.0) + mean
""",
        "river": """
def river(t, a, b, c, std):
    start = math.asin(b / std)
    t0 = (std * math.cos(start) - a) / c
    free = min(t, t0)
    if t <= t0:
        return [a + c * free, b]
    theta = 2 * math.atan(math.tan(start / 2) / math.exp((t - t0) * c / std))
    return [std * math.cos(theta), std * math.sin(theta)]
""",
        "steps-error": """
E = torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64) * 1.5**0.5
K = torch.tensor([1.0, -2.0, 1.0], dtype=torch.float64) / 2**0.5
def steps_error(n, a, b, c, std):
    u = a * E + b * K
    for _ in range(n):
        u = at_most(u + c * E / n, 0.0, std).double()
    x, y = river(1, a, b, c, std)
    return float((u - (x * E + y * K)).norm() / 3**0.5)
""",
    },
]

_HEAD = """
def at_most(v, mean=0.0, std=1.0):
    m = v.mean(-1, keepdim=True)
    s = (v - m).square().mean(-1, keepdim=True).sqrt()
    """
_RIVER = """
def river(t, a, b, c, std):
    x = math.sqrt(std**2 - b**2)
    t0 = (x - a) / c
    if t <= t0:
        return a + c * t, b
    slide = lambda time, theta, rate: 2 * math.atan(math.exp(-rate * time) * math.tan(theta / 2))
    on_rim = lambda theta: (std * math.cos(theta), std * math.sin(theta))
    """
_STEPS = """
E = torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64) * 1.5**0.5
K = torch.tensor([1.0, -2.0, 1.0], dtype=torch.float64) / 2**0.5
def steps_error(n, a, b, c, std):
    u = a * E + b * K
    x, y = river(1.0, a, b, c, std)
    v = x * E + y * K
"""
_HAND = "nearest = [[3.5, .5, .5, -.5], [2, 0, 2, 0], [1, 1, 1, 1]]\nnearest"
WRONG = {  # name: (cell, answer, test that must fail, a part of what it must say)
    "4.1 layer norm": ("nearest", _HAND + "[1] = [2.5, -0.5, 2.5, -0.5]", "test-nearest", "stretches as well"),
    "4.1 unbiased": ("nearest", _HAND + "[0] = [3.165, 0.567, 0.567, -0.299]", "test-nearest", "36 by 3"),
    "4.1 only where too large": (
        "nearest",
        _HAND + "[1:] = [[6, 4, 6, 4], [7, 7, 7, 7]]",
        "test-nearest",
        "the mean as well",
    ),
    "4.1 one mean": ("nearest", _HAND + "[1] = [6, 4, 6, 4]", "test-nearest", "Look at token 2"),
    "4.1 σ1 forgotten": (
        "nearest",
        "nearest = [[2.5, -.5, -.5, -1.5], [1, -1, 1, -1], [0] * 4]",
        "test-nearest",
        "have mean 0",
    ),
    "4.1 variance": ("nearest", _HAND + "[0] = [1 + 5 / 6, 5 / 6, 5 / 6, 0.5]", "test-nearest", "variance, 9"),
    "4.1 cut off": ("nearest", _HAND + "[0] = [2.5, 0, 0, -0.5]", "test-nearest", "each feature by itself"),
    "4.1 not shrunk": ("nearest", _HAND + "[0] = [6, 0, 0, -2]", "test-nearest", "shrink it to the rim"),
    "4.1 two tokens": ("nearest", "nearest = [[3.5, .5, .5, -.5], [2, 0, 2, 0]]", "test-nearest", "three tokens"),
    "layer norm": ("at-most", _HEAD + "return mean + std * (v - m) / s", "test-project", "This is layer norm"),
    "layer norm from the library": (
        "at-most",
        "from flowlib.operators import project_moments\n\n\ndef at_most(v, mean=0.0, std=1.0):\n"
        "    return project_moments(v, mean, std)",
        "test-project",
        "This is layer norm",
    ),
    "mean kept inside": (
        "at-most",
        _HEAD + "return torch.where(s <= std, v, mean + std * (v - m) / s)",
        "test-project",
        "mean and all",
    ),
    "mean kept": ("at-most", _HEAD + "return m + (std / s).clamp(max=1) * (v - m)", "test-project", "its own mean"),
    "σ1 forgotten": ("at-most", _HEAD + "return (std / s).clamp(max=1) * (v - m)", "test-project", "in its place"),
    "unbiased": (
        "at-most",
        _HEAD + "s = v.std(-1, keepdim=True)\n    return mean + (std / s).clamp(max=1) * (v - m)",
        "test-project",
        "d − 1",
    ),
    "variance": ("at-most", _HEAD + "return mean + (std / s**2).clamp(max=1) * (v - m)", "test-project", "its root"),
    "norm": (
        "at-most",
        _HEAD + "s = (v - m).norm(dim=-1, keepdim=True)\n    return mean + (std / s).clamp(max=1) * (v - m)",
        "test-project",
        "√d times",
    ),
    "spread first": (
        "at-most",
        "def at_most(v, mean=0.0, std=1.0):\n    v = v - mean\n    s = v.square().mean(-1, True).sqrt()\n"
        "    v = v * (std / s).clamp(max=1)\n    return v - v.mean(-1, True) + mean",
        "test-project",
        "First the mean, then the spread",
    ),
    "features cut off": ("at-most", _HEAD + "return mean + (v - m).clamp(-std, std)", "test-project", "cut off"),
    "at least": ("at-most", _HEAD + "return mean + (std / s).clamp(min=1) * (v - m)", "test-project", "at least"),
    "over the tokens": (
        "at-most",
        "def at_most(v, mean=0.0, std=1.0):\n    m = v.mean(0)\n    s = v.std(0, correction=0)\n"
        "    return mean + (std / s).clamp(max=1) * (v - m)",
        "test-project",
        "over the tokens",
    ),
    "ball": (
        "at-most",
        "def at_most(v, mean=0.0, std=1.0):\n    s = (v - mean).square().mean(-1, True).sqrt()\n"
        "    return mean + (std / s).clamp(max=1) * (v - mean)",
        "test-project",
        "as if S were a ball",
    ),
    "nan": ("at-most", _HEAD + "return mean + (v - m) / s * s.clamp(max=std)", "test-project", "nan"),
    "ε": (
        "at-most",
        _HEAD + "s = (s**2 + 1e-5).sqrt()\n    return mean + (std / s).clamp(max=1) * (v - m)",
        "test-project",
        "an ε",
    ),
    "tangent of the wrong set": ("at-most", _HEAD + "return mean + (v - m) / (1 + s / std)", "test-project", "twice"),
    "nothing returned": ("at-most", _HEAD + "v = mean + (std / s).clamp(max=1) * (v - m)", "test-project", "nothing"),
    "no rim": ("river", "def river(t, a, b, c, std):\n    return a + c * t, b", "test-river", "out of S"),
    "sticks": ("river", _RIVER + "return x, b", "test-river", "sticks"),
    "a cut off": ("river", "def river(t, a, b, c, std):\n    return min(a + c * t, std), b", "test-river", "a at σ2"),
    "one projection": ("river", _RIVER + "return on_rim(math.atan2(b, a + c * t))", "test-river", "once, at the end"),
    "slides from the start": (
        "river",
        _RIVER + "return on_rim(slide(t, math.atan2(b, x), c / std))",
        "test-river",
        "for the whole time",
    ),
    "as on the circle": (
        "river",
        _RIVER + "return on_rim(slide(t, math.atan2(b, a), c / std))",
        "test-river",
        "flies first",
    ),
    "angle of the start": (
        "river",
        _RIVER + "return on_rim(slide(t - t0, math.atan2(b, a), c / std))",
        "test-river",
        "angle of the start",
    ),
    "rate c": ("river", _RIVER + "return on_rim(slide(t - t0, math.atan2(b, x), c))", "test-river", "not c"),
    "whole angle": (
        "river",
        _RIVER + "return on_rim(math.atan(math.exp(-c / std * (t - t0)) * b / x))",
        "test-river",
        "half",
    ),
    "sign of b lost": (
        "river",
        _RIVER + "return on_rim(slide(t - t0, math.acos(x / std), c / std))",
        "test-river",
        "sign of b is lost",
    ),
    "projected at the end": (
        "steps-error",
        _STEPS + "    u = at_most(u + c * E, 0.0, std)\n    return (u - v).square().mean().sqrt()",
        "test-error",
        "inside of the loop",
    ),
    "steps of layer norm": (
        "steps-error",
        _STEPS + "    for _ in range(n):\n        u = u + c * E / n\n"
        "        u = std * u / u.square().mean().sqrt()\n    return (u - v).square().mean().sqrt()",
        "test-error",
        "as layer norm does",
    ),
    "length of the difference": (
        "steps-error",
        _STEPS + "    for _ in range(n):\n        u = at_most(u + c * E / n, 0.0, std)\n    return (u - v).norm()",
        "test-error",
        "√3 times too large",
    ),
    "error typed in": (
        "steps-error",
        _STEPS + "    return 0.0 if x < 0.7 * std else 0.3 / n",
        "test-error",
        "One step",
    ),
    # for each wrong way and law that nothing above meets
    "4.1 third token": ("nearest", _HAND + "[2] = [2, 0, 1, 1]", "test-nearest", "The third token is constant"),
    "4.1 second token": ("nearest", _HAND + "[1] = [1.5, 0.5, 1.5, 0.5]", "test-nearest", "no way is shorter"),
    "4.1 first token": ("nearest", _HAND + "[0] = [2.5, 1.5, 0.5, -0.5]", "test-nearest", "must keep its shape"),
    "one spread for all": (
        "at-most",
        _HEAD + "s = (v - m).square().mean().sqrt()\n    return mean + (std / s).clamp(max=1) * (v - m)",
        "test-project",
        "One spread is taken",
    ),
    "always a matrix": (
        "at-most",
        _HEAD + "return (mean + std / s.clamp(min=std) * (v - m)).reshape(-1, v.shape[-1])",
        "test-project",
        "For (5,) yours has (1, 5)",
    ),
    "a wider rim": (
        "at-most",
        _HEAD + "return mean + 1.1 * std / s.clamp(min=1.1 * std) * (v - m)",
        "test-project",
        "must lie in S",
    ),
    "the other side of the rim": (
        "at-most",
        _HEAD + "return mean + torch.where(s <= std * (1 + 1e-6), v - m, (m - v) * std / s)",
        "test-project",
        "is nearer to v than yours",
    ),
    "waits": (
        "river",
        _RIVER.replace("return a + c * t, b", "return a, b")
        + "return on_rim(slide(t - t0, math.atan2(b, x), c / std))",
        "test-river",
        "flies freely",
    ),
    "unit circle": (
        "river",
        _RIVER + "angle = slide(t - t0, math.atan2(b, x), c / std)\n    return math.cos(angle), math.sin(angle)",
        "test-river",
        "circle of radius 1",
    ),
    "half the rate": (
        "river",
        _RIVER + "return on_rim(slide(t - t0, math.atan2(b, x), c / std / 2))",
        "test-river",
        "must obey",
    ),
    "angle at σ2": (
        "river",
        _RIVER + "return on_rim(slide(t - t0, math.atan2(b, std), c / std))",
        "test-river",
        "must not jump",
    ),
}
