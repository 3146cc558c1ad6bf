"""Answers to assignment 11: right ones written in other ways, and wrong ones with the message meant for each."""

RIGHT = [  # cell → answer; cells that are left out keep the answer of the source
    {
        "by-hand": "after = torch.tensor([3.0, 3.0, 0.0])\nsteps = (2 / 4, 2 * 2 / 4, 2 * 2**2 / 4)",
        "chebyshev-step": """
def chebyshev_step(velocity, u, h, stages):
    all_stages = [u]
    for j in range(1, stages + 1):
        f = velocity(all_stages[-1])
        if j == 1:
            all_stages.append(u + h * f / stages**2)
        else:
            all_stages.append(2 * all_stages[-1] - all_stages[-2] + 2 * h * f / stages**2)
    return all_stages[stages]
""",
        "predicted": """
def predicted(matrix, stages):
    rates = stability.rates(lambda u: matrix @ u, torch.zeros(len(matrix), dtype=torch.float64))
    return min(2.0 * stages * stages / abs(rate) for rate in rates.tolist())
""",
        "measured": """
def measured(matrix, stages):
    n = len(matrix)
    def radius(h):
        one = torch.eye(n, dtype=torch.float64)
        return torch.linalg.eigvals(chebyshev_step(lambda v: v @ matrix.T, one, h, stages)).abs().max().item()
    h = 0.01
    while radius(h) <= 1:
        h = 1.01 * h
    low, high = h / 1.01, h
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if radius(middle) <= 1 else (low, middle)
    return low
""",
    },
    {
        "by-hand": "R = 1 - 2 + 4 / 8\nafter = [2 + R * d for d in (-2, -2, 4)]\nsteps = [0.5, 1.0, 2.0]",
        "chebyshev-step": """
def chebyshev_step(velocity, u, h, stages):
    way, share = torch.zeros_like(u), h / stages**2  # how far the last stage went beyond the one before
    last = u
    for j in range(stages):
        way = way + (1 if j == 0 else 2) * share * velocity(last)
        last = last + way
    return last
""",
        "predicted": """
def predicted(matrix, stages):
    eigenvalues, _ = torch.linalg.eig(matrix)
    return stages**2 * stability.critical_step(-eigenvalues.abs().max())
""",
    },
]

_STEP = """def chebyshev_step(velocity, u, h, stages):
    k = h / stages**2
    before, last = u, u + k * velocity(u)
    """
_LOOP = "for _ in range(stages - 1):\n        before, last = last, "
_LINES = "def predicted(matrix, stages):\n    rates = torch.linalg.eigvalsh(matrix)\n    return "
_MEASURED = "def measured(matrix, stages):\n    "


def _hand(after="[3, 3, 0]", steps="[0.5, 1, 2]"):
    return f"after = {after}\nsteps = {steps}"


def _step(new):
    return _STEP + _LOOP + new + "\n    return last"


WRONG = {  # name: (cell, answer, test that must fail, a part of what it must say)
    "11.1 sign only": ("by-hand", _hand("[4, 4, -2]"), "test-by-hand", "changed its sign"),
    "11.1 two Euler steps": ("by-hand", _hand("[2, 2, 2]"), "test-by-hand", "also subtracts the start"),
    "11.1 first stage": ("by-hand", _hand("[1, 1, 4]"), "test-by-hand", "first stage"),
    "11.1 no factor 2": ("by-hand", _hand("[2.5, 2.5, 1]"), "test-by-hand", "counts twice"),
    "11.1 the river": ("by-hand", _hand("[1.73, 1.73, 2.54]"), "test-by-hand", "river itself"),
    "11.1 another mean": ("by-hand", _hand("[3, 3, 3]"), "test-by-hand", "mean"),
    "11.1 another factor": ("by-hand", _hand("[2.2, 2.2, 1.6]"), "test-by-hand", "R(−2) of a distance"),
    "11.1 fastest": ("by-hand", _hand(steps="[0.25, 0.5, 1]"), "test-by-hand", "dies at once"),
    "11.1 halved": ("by-hand", _hand(steps="[0.5, 0.25, 2]"), "test-by-hand", "halved Euler"),
    "11.1 in proportion": ("by-hand", _hand(steps="[0.5, 1, 1]"), "test-by-hand", "Two evaluations, twice"),
    "11.1 z for h": ("by-hand", _hand(steps="[2, 4, 8]"), "test-by-hand", "values of |z|"),
    "11.1 other steps": ("by-hand", _hand(steps="[0.5, 1, 4]"), "test-by-hand", "twice as long as it may be"),
    "11.1 past the lowest factor": (
        "by-hand",
        _hand(steps="[0.5, 1, 1.1]"),
        "test-by-hand",
        "must leave [−1, 1] there",
    ),
    "11.1 before the lowest factor": (
        "by-hand",
        _hand(steps="[0.5, 1, 0.9]"),
        "test-by-hand",
        "must leave [−1, 1] there",
    ),
    "11.1 two numbers": ("by-hand", _hand(steps="[0.5, 1]"), "test-by-hand", "three numbers"),
    "h over s": (
        "chebyshev-step",
        _step("2 * last - before + 2 * k * velocity(last)").replace("stages**2", "stages"),
        "test-step",
        "divided h by s",
    ),
    "h whole": (
        "chebyshev-step",
        _step("2 * last - before + 2 * k * velocity(last)").replace("h / stages**2", "h"),
        "test-step",
        "did not divide",
    ),
    "no factor 2": ("chebyshev-step", _step("2 * last - before + k * velocity(last)"), "test-step", "counts twice"),
    "2 in the first": (
        "chebyshev-step",
        _step("2 * last - before + 2 * k * velocity(last)").replace("u + k", "u + 2 * k"),
        "test-step",
        "for the later ones",
    ),
    "velocity of the start": (
        "chebyshev-step",
        _step("2 * last - before + 2 * k * velocity(u)"),
        "test-step",
        "one Euler step",
    ),
    "one Euler step": (
        "chebyshev-step",
        "def chebyshev_step(velocity, u, h, stages):\n    return u + h * velocity(u)",
        "test-step",
        "one Euler step",
    ),
    "velocity of the one before": (
        "chebyshev-step",
        _step("2 * last - before + 2 * k * velocity(before)"),
        "test-step",
        "stage j − 2",
    ),
    "minus the start": ("chebyshev-step", _step("2 * last - u + 2 * k * velocity(last)"), "test-step", "subtracted u"),
    "nothing subtracted": ("chebyshev-step", _step("last + 2 * k * velocity(last)"), "test-step", "only added"),
    "short Euler steps": ("chebyshev-step", _step("last + k * velocity(last)"), "test-step", "end at h/s"),
    "Euler steps": (
        "chebyshev-step",
        "def chebyshev_step(velocity, u, h, stages):\n    for _ in range(stages):\n"
        "        u = u + h / stages * velocity(u)\n    return u",
        "test-step",
        "s Euler steps of length h/s",
    ),
    "one too many": (
        "chebyshev-step",
        _step("2 * last - before + 2 * k * velocity(last)").replace("stages - 1", "stages"),
        "test-step",
        "s + 1 stages",
    ),
    "one too few": (
        "chebyshev-step",
        _step("2 * last - before + 2 * k * velocity(last)").replace("stages - 1", "stages - 2"),
        "test-step",
        "s − 1 stages",
    ),
    "asks too often": (
        "chebyshev-step",
        "def chebyshev_step(velocity, u, h, stages):\n    def stage(j):\n        if j < 2:\n"
        "            return u + j * h / stages**2 * velocity(u)\n        return 2 * stage(j - 1) - stage(j - 2) + 2 * "
        "h / stages**2 * velocity(stage(j - 1))\n    return stage(stages)",
        "test-step",
        "s times, and no more",
    ),
    "nothing returned": ("chebyshev-step", _STEP, "test-step", "nothing here"),
    "Euler's": ("predicted", _LINES + "2 / rates.abs().max().item()", "test-predicted", "Euler's critical step"),
    "s times Euler's": (
        "predicted",
        _LINES + "2 * stages / rates.abs().max().item()",
        "test-predicted",
        "stages allow more",
    ),
    "half": ("predicted", _LINES + "stages**2 / rates.abs().max().item()", "test-predicted", "twice as far"),
    "slowest": ("predicted", _LINES + "2 * stages**2 / rates.abs().min().item()", "test-predicted", "slowest"),
    "diagonal": ("predicted", _LINES + "2 * stages**2 / matrix.diagonal().abs().max()", "test-predicted", "diagonal"),
    "norm": ("predicted", _LINES + "2 * stages**2 / matrix.norm()", "test-predicted", "Frobenius"),
    "sign": ("predicted", _LINES + "2 * stages**2 / rates.min()", "test-predicted", "take |λ|"),
    "too far": ("predicted", _LINES + "4 * stages**2 / rates.abs().max()", "test-predicted", "a factor 2 too many"),
    "measured by formula": (
        "measured",
        _MEASURED + "return 2 * stages**2 / torch.linalg.eigvals(matrix).abs().max().item()",
        "test-measured",
        "a formula",
    ),
    "measured with Euler": (
        "measured",
        _MEASURED + "return stability.critical_step(torch.linalg.eigvals(matrix))",
        "test-measured",
        "where Euler's step breaks",
    ),
    "measured too soon": (
        "measured",
        _MEASURED + "def rests(h):\n        u = torch.ones(1, len(matrix), dtype=torch.float64)\n"
        "        for _ in range(3):\n            u = chebyshev_step(lambda v: v @ matrix.mT, u, h, stages)\n"
        "        return bool(u.norm() < 100)\n    return stability.breaking_step(rests, 0.01, 1e3)",
        "test-measured",
        "not where the scheme breaks",
    ),
    # for each wrong way and law that nothing above meets
    "two stages at least": (
        "chebyshev-step",
        _step("2 * last - before + 2 * k * velocity(last)").replace("stages - 1", "max(stages - 1, 1)"),
        "test-step",
        "With one stage",
    ),
    "another factor": ("chebyshev-step", _step("2 * last - before + 1.5 * k * velocity(last)"), "test-step", "order 1"),
    "Euler steps that grow": (
        "chebyshev-step",
        "def chebyshev_step(velocity, u, h, stages):\n    for j in range(1, stages + 1):\n"
        "        u = u + 2 * j * h / stages / (stages + 1) * velocity(u)\n    return u",
        "test-step",
        "the edge of what is stable",
    ),
    "two stages, asked in vain": (
        "chebyshev-step",
        "def chebyshev_step(velocity, u, h, stages):\n    f = g = velocity(u)\n"
        "    for _ in range(stages - 1):\n        g = velocity(u + h / stages**2 * f)\n    return u + h * (f + g) / 2",
        "test-step",
        "must multiply by T_s",
    ),
}
