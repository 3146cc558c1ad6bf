"""Answers to assignment 05: right ones written in other ways, and wrong ones with the message meant for each."""

RIGHT = [  # cell → answer; cells that are left out keep the answer of the source
    {
        "by-hand": "places = torch.tensor([2.0, 0.0, -1.0])\ncosts = (2.5, 0.13, 1.5)",
        "sieve": """
def sieve(v, price, low, high):
    moved = torch.where(v > price, v - price, torch.where(v < -price, v + price, torch.zeros_like(v)))
    return moved.minimum(torch.full_like(v, high)).maximum(torch.full_like(v, low))
""",
        "settle": """
def settle(v, wind, price, T, N):
    for _ in range(N):
        v = (1 - T / N) * v + T / N * wind
        v = sieve(v, price * T / N, -1e9, 1e9)
    return v
""",
        "asymmetry": """
def asymmetry(f, v):
    d, h = len(v), 1e-6
    J = torch.zeros(d, d, dtype=torch.float64)
    for j in range(d):
        w = v.clone()
        w[j] += h
        J[:, j] = (f(w) - f(v)) / h
    return max(abs(J[i, j] - J[j, i]) for i in range(d) for j in range(d))
""",
    },
    {
        "sieve": """
import torch.nn.functional as F


def sieve(v, price, low, high):
    return F.hardtanh(F.softshrink(v, price), low, high)
""",
        "settle": """
def settle(v, wind, price, T, N):
    dt, big = T / N, float("inf")
    u = v
    for n in range(N):
        u = sieve(torch.lerp(u, torch.full_like(u, wind), dt), dt * price, -big, big)
    return u
""",
        "asymmetry": """
def asymmetry(f, v):
    rows = []
    for j in range(len(v)):
        e = torch.nn.functional.one_hot(torch.tensor(j), len(v)) * 1e-4
        rows.append((f(v + e) - f(v - e)) / 2e-4)
    J = torch.stack(rows)
    return torch.triu(J - J.mT).abs().amax()
""",
    },
]

_SIEVE = "def sieve(v, price, low, high):\n    soft = v.sign() * (v.abs() - price).clamp(min=0)\n    return "
_SETTLE = "def settle(v, wind, price, T, N):\n    dt, inf = T / N, math.inf\n    for _ in range(N):\n        "
_J = (
    "def asymmetry(f, v):\n    E = 1e-5 * torch.eye(len(v), dtype=torch.float64)\n"
    "    J = torch.stack([(f(v + e) - f(v - e)) / 2e-5 for e in E], 1)\n    return "
)
WRONG = {  # name: (cell, answer, test that must fail, a part of what it must say)
    "5.1 ReLU": ("by-hand", "places, costs = [3, 0, 0], [2.5, 0.125, 1.5]", "test-by-hand", "ReLU's places"),
    "5.1 one side": ("by-hand", "places, costs = [2, 0, 0], [2.5, 0.125, 1.5]", "test-by-hand", "−2 goes to −1"),
    "5.1 past 0": ("by-hand", "places, costs = [2, 0.5, -1], [2.5, 0.125, 1.5]", "test-by-hand", "went past it"),
    "5.1 hard": ("by-hand", "places, costs = [3, 0, -2], [2.5, 0.125, 1.5]", "test-by-hand", "still pays"),
    "5.1 halved": ("by-hand", "places, costs = [1.5, -0.25, -1], [2.5, 0.125, 1.5]", "test-by-hand", "Halving"),
    "5.1 price only": (
        "by-hand",
        "places, costs = [2, 0, -1], [2, 0, 1]",
        "test-by-hand",
        "distance ½(u − v)² is missing",
    ),
    "5.1 texts": (
        "by-hand",
        "places, costs = ['a', 'b', 'c'], [2.5, 0.125, 1.5]",
        "test-by-hand",
        "every entry of the list must be a number, got 'a'",
    ),
    "5.1 one place": ("by-hand", "places, costs = 2, [2.5, 0.125, 1.5]", "test-by-hand", "three numbers"),
    "walls first": (
        "sieve",
        "def sieve(v, price, low, high):\n    v = v.clamp(low, high)\n    return v.sign() * (v.abs() - "
        "price).clamp(min=0)",
        "test-sieve",
        "First the price",
    ),
    "walls only": ("sieve", _SIEVE + "v.clamp(low, high)", "test-sieve", "walls alone"),
    "price only": ("sieve", _SIEVE + "soft", "test-sieve", "walls are missing"),
    "hard": ("sieve", _SIEVE + "torch.where(v.abs() > price, v, 0.0).clamp(low, high)", "test-sieve", "stays as it is"),
    "one side": ("sieve", _SIEVE + "(v - price).clamp(min=0).clamp(low, high)", "test-sieve", "shifted ReLU"),
    "past 0": ("sieve", _SIEVE + "(v - price * v.sign()).clamp(low, high)", "test-sieve", "go past 0"),
    "sign lost": ("sieve", _SIEVE + "soft.abs().clamp(low, high)", "test-sieve", "sign is lost"),
    "half": ("sieve", _SIEVE.replace("- price", "- price / 2") + "soft.clamp(low, high)", "test-sieve", "λ/2"),
    "twice": ("sieve", _SIEVE.replace("- price", "- 2 * price") + "soft.clamp(low, high)", "test-sieve", "2λ"),
    "rubber": ("sieve", _SIEVE + "(v / (1 + price)).clamp(low, high)", "test-sieve", "½λu²"),
    "whole token": (
        "sieve",
        _SIEVE + "(v * (1 - price / v.norm(dim=-1, keepdim=True)).clamp(min=0)).clamp(low, high)",
        "test-sieve",
        "whole token",
    ),
    "outside to 0": (
        "sieve",
        _SIEVE + "torch.where((soft < low) | (soft > high), 0.0, soft)",
        "test-sieve",
        "the wall itself",
    ),
    "ReLU from the library": (
        "sieve",
        "from flowlib.operators import project_nonnegative\n\n\ndef sieve(v, price, low, high):\n"
        "    return project_nonnegative(v)",
        "test-sieve",
        "outside [low, high]",
    ),
    "a sigmoid": ("sieve", _SIEVE + "low + (high - low) * v.sigmoid()", "test-sieve", "better bargain"),
    "nothing returned": ("sieve", _SIEVE.replace("return ", "pass"), "test-sieve", "nothing here"),
    "whole price in each step": (
        "settle",
        _SETTLE + "v = sieve(v + dt * (wind - v), price, -inf, inf)\n    return v",
        "test-settle",
        "acts whole",
    ),
    "price for all of T": (
        "settle",
        _SETTLE + "v = sieve(v + dt * (wind - v), price * T, -inf, inf)\n    return v",
        "test-settle",
        "whole way",
    ),
    "a step of 1/N": (
        "settle",
        _SETTLE.replace("T / N", "1 / N") + "v = sieve(v + dt * (wind - v), price * dt, -inf, inf)\n    return v",
        "test-settle",
        "Δt = 1/N",
    ),
    "no sieve": ("settle", _SETTLE + "v = v + dt * (wind - v)\n    return v", "test-settle", "without a sieve"),
    "sieve at the end": (
        "settle",
        _SETTLE + "v = v + dt * (wind - v)\n    return sieve(v, price * T, -inf, inf)",
        "test-settle",
        "acts once",
    ),
    "sign in the velocity": (
        "settle",
        _SETTLE + "v = v + dt * (wind - v - price * v.sign())\n    return v",
        "test-settle",
        "side to side",
    ),
    "a wall at 0": (
        "settle",
        _SETTLE + "v = sieve(v + dt * (wind - v), price * dt, 0.0, inf)\n    return v",
        "test-settle",
        "negative was lost",
    ),
    "largest slope": ("asymmetry", _J + "J.abs().max()", "test-turn", "of J itself"),
    "sum": ("asymmetry", _J + "(J + J.T).abs().max()", "test-turn", "Subtract it"),
    "h forgotten": (
        "asymmetry",
        _J.replace(" / 2e-5", "") + "(J - J.T).abs().max()",
        "test-turn",
        "divided by the step",
    ),
    "central by h": ("asymmetry", _J.replace("2e-5", "1e-5") + "(J - J.T).abs().max()", "test-turn", "Twice"),
    "one-sided by 2h": ("asymmetry", _J.replace("f(v - e)", "f(v)") + "(J - J.T).abs().max()", "test-turn", "Half"),
    "norm": ("asymmetry", _J + "(J - J.T).norm()", "test-turn", "sum of squares"),
    "signed": ("asymmetry", _J + "-(J - J.T).abs().max()", "test-turn", "not below 0"),
    # for each wrong way and law that nothing above meets
    "5.1 twice": ("by-hand", "places, costs = [1, 0, 0], [2.5, 0.125, 1.5]", "test-by-hand", "You moved by 2"),
    "5.1 beside": (
        "by-hand",
        "places, costs = [2, 0.2, -1], [2.5, 0.125, 1.5]",
        "test-by-hand",
        "not the best bargain",
    ),
    "walls on v": (
        "sieve",
        _SIEVE + "torch.where(v > high, high, torch.where(v < low, low, soft)).clamp(low, high)",
        "test-sieve",
        "go to it at once",
    ),
    "flat": ("sieve", _SIEVE + "soft.clamp(low, high).flatten()", "test-sieve", "has the shape of v"),
    "not the same everywhere": (
        "sieve",
        _SIEVE + "(soft if v[0, 0] > v[0, -1] else -soft).clamp(low, high)",
        "test-sieve",
        "a better bargain",
    ),
    "price over N": (
        "settle",
        _SETTLE + "v = sieve(v + dt * (wind - v), price / N, -inf, inf)\n    return v",
        "test-settle",
        "you took λ/N",
    ),
    "sieve before the step": (
        "settle",
        _SETTLE + "v = sieve(v, price * dt, -inf, inf)\n        v = v + dt * (wind - v)\n    return v",
        "test-settle",
        "comes before the Euler step",
    ),
    "Strang": (
        "settle",
        _SETTLE + "v = sieve(v, price * dt / 2, -inf, inf)\n        v = wind + (v - wind) * math.exp(-dt)\n"
        "        v = sieve(v, price * dt / 2, -inf, inf)\n    return v",
        "test-settle",
        "must fall like N⁻¹",
    ),
    "mean": ("asymmetry", _J + "(J - J.T).abs().mean()", "test-turn", "largest entry is asked"),
    "one half turned round": ("asymmetry", _J + "(J - J.T.tril()).abs().max()", "test-turn", "has a symmetric J"),
    "single precision": (
        "asymmetry",
        _J.replace("E = 1e-5", "v = v.float()\n    E = 1e-5").replace("float64", "float32") + "(J - J.T).abs().max()",
        "test-turn",
        "single precision",
    ),
}
