"""Answers to assignment 02: right ones written in other ways, and wrong ones with the message meant for each."""

RIGHT = [  # cell → answer; cells that are left out keep the answer of the source
    {
        "by-hand": "A = torch.tensor([[1.0, 1, 1], [0, 1, 3], [0, 1, 9]])\n"
        "weights = torch.linalg.solve(A, torch.tensor([3.0, 4.5, 9]))",
        "simpson-weights": """
def simpson_weights(x):
    if len(x) < 3 or len(x) % 2 != 1:
        raise ValueError("an odd number of points, please")
    weights = torch.zeros(len(x), dtype=torch.float64)
    for i in range(0, len(x) - 2, 2):
        z = x[i : i + 3] - x[i + 1]
        rows = torch.stack([torch.ones_like(z), z, z**2])
        sides = torch.stack([(z[2] ** k - z[0] ** k) / k for k in (1, 2, 3)])
        weights[i : i + 3] = weights[i : i + 3] + torch.linalg.solve(rows, sides)
    return weights
""",
        "rule-error": """
def rule_error(rule, n, f, exact):
    if rule == "midpoint":
        return torch.abs(f((torch.arange(n) + 0.5).double() / n).mean() - exact)
    grid = Grid.uniform(n, "trapezoid")
    return torch.abs((f(grid.x) * simpson_weights(grid.x)).sum() - exact)
""",
    },
    {
        "by-hand": "weights = (0.0, 2.25, 0.75)",
        "simpson-weights": """
def simpson_weights(x):
    n = len(x)
    if n in (0, 1) or n % 2 == 0:
        raise ValueError(f"{n} points make no panels")
    x = x.tolist()
    w = [0.0] * n
    for i in range(1, n - 1, 2):
        left, right = x[i] - x[i - 1], x[i + 1] - x[i]
        w[i - 1] += (2 * left - right) * (left + right) / (6 * left)
        w[i] += (left + right) ** 3 / (6 * left * right)
        w[i + 1] += (2 * right - left) * (left + right) / (6 * right)
    return torch.tensor(w, dtype=torch.float64)
""",
        "rule-error": """
def rule_error(rule, n, f, exact):
    rules = {"simpson": lambda: (torch.arange(n).double() / (n - 1)), "midpoint": lambda: Grid.uniform(n).x}
    x = rules[rule]()
    w = torch.tensor(simpson_weights(x) if rule == "simpson" else [1 / n] * n, dtype=torch.float64)
    return float(abs(w @ f(x) - exact))
""",
    },
]

_ODD = "    if len(x) % 2 == 0 or len(x) < 3:\n        raise ValueError\n"
_GIVEN = RIGHT[0]["simpson-weights"]


def _panel(first: str, middle: str, last: str, step: str = "2", put: str = "+=") -> str:
    """A simpson_weights with these weights for a panel of gaps a, b and length H."""
    return f"""
def simpson_weights(x):
{_ODD}    w = torch.zeros_like(x)
    for i in range(0, len(x) - 2, {step}):
        a, b, H = x[i + 1] - x[i], x[i + 2] - x[i + 1], x[i + 2] - x[i]
        w[i : i + 3] {put} torch.stack([{first}, {middle}, {last}])
    return w
"""


_F, _M, _L = "H / 6 * (2 - b / a)", "H**3 / (6 * a * b)", "H / 6 * (2 - a / b)"
_ERROR = (
    "def rule_error(rule, n, f, exact):\n    x = torch.linspace(0, 1, n, dtype=torch.float64)\n    "
    "g = Grid.uniform(n)\n    if rule == 'midpoint':\n        return abs(g.integrate(f).item() - exact)\n    "
)
WRONG = {  # name: (cell, answer, test that must fail, a part of what it must say)
    "2.1 trapezoid": ("by-hand", "weights = [0.5, 1.5, 1]", "test-by-hand", "trapezoidal"),
    "2.1 equal gaps": ("by-hand", "weights = [0.5, 2, 0.5]", "test-by-hand", "for equal gaps"),
    "2.1 all alike": (
        "by-hand",
        "weights = [1, 1, 1]",
        "test-by-hand",
        "All tokens have the same weight here. That is",
    ),
    "2.1 mirrored": (
        "by-hand",
        "weights = [0.75, 2.25, 0]",
        "test-by-hand",
        "These are the weights of tokens at 0, 2, 3:",
    ),
    "2.1 mean": ("by-hand", "weights = [0, 0.75, 0.25]", "test-by-hand", "length of the river"),
    "2.1 ends": ("by-hand", "weights = [1.5, 0, 1.5]", "test-by-hand", "middle token"),
    "2.1 a slip": ("by-hand", "weights = [0.25, 2, 0.75]", "test-by-hand", "9/2"),
    "2.1 four": ("by-hand", "weights = [0, 2, 1, 0]", "test-by-hand", "three numbers"),
    "trapezoid": ("simpson-weights", _panel("a / 2", "H / 2", "b / 2"), "test-rule", "trapezoidal"),
    "equal gaps in a panel": ("simpson-weights", _panel("H / 6", "4 * H / 6", "H / 6"), "test-rule", "equal gaps only"),
    "textbook": (
        "simpson-weights",
        "def simpson_weights(x):\n" + _ODD + "    w = torch.ones_like(x)\n    w[1:-1:2] = 4\n"
        "    w[2:-1:2] = 2\n    return w * (x[-1] - x[0]) / (len(x) - 1) / 3",
        "test-rule",
        "the textbook's rule",
    ),
    "4 and 2 swapped": (
        "simpson-weights",
        "def simpson_weights(x):\n" + _ODD + "    w = torch.ones_like(x)\n    w[1:-1:2] = 2\n"
        "    w[2:-1:2] = 4\n    return w * (x[-1] - x[0]) / (len(x) - 1) / 3",
        "test-rule",
        "must weigh most",
    ),
    "gaps swapped": ("simpson-weights", _panel(_L, _M, _F), "test-rule", "have changed places"),
    "overwritten": ("simpson-weights", _panel(_F, _M, _L, put="="), "test-rule", "do not assign"),
    "overlapping panels": ("simpson-weights", _panel(_F, _M, _L, step="1"), "test-rule", "counted twice"),
    "mean": (
        "simpson-weights",
        _panel(_F, _M, _L).replace("return w", "return w / w.sum()"),
        "test-rule",
        "the mean of the field",
    ),
    "factor 3": (
        "simpson-weights",
        _panel("H / 2 * (2 - b / a)", "H**3 / (2 * a * b)", "H / 2 * (2 - a / b)"),
        "test-rule",
        "three times",
    ),
    "factor 2": ("simpson-weights", _panel(_F, _M, _L).replace("return w", "return 2 * w"), "test-rule", "twice as"),
    "no negative weights": (
        "simpson-weights",
        _panel(_F, _M, _L).replace("return w", "return w.clamp(min=0)"),
        "test-rule",
        "negative weights to 0",
    ),
    "Grid's own weights": (
        "simpson-weights",
        "def simpson_weights(x):\n" + _ODD + "    return Grid.scattered(x, measure=(x[-1] - x[0]).item()).weights",
        "test-rule",
        "All your weights are equal",
    ),
    "one panel only": (
        "simpson-weights",
        _panel(_F, _M, _L).replace("range(0, len(x) - 2, 2)", "[0]"),
        "test-rule",
        "Only the first",
    ),
    "last panel forgotten": (
        "simpson-weights",
        _panel(_F, _M, _L).replace("len(x) - 2, 2", "len(x) - 3, 2"),
        "test-rule",
        "The last panel is left out: the last one begins",
    ),
    "even number accepted": ("simpson-weights", _panel(_F, _M, _L).replace(_ODD, ""), "test-rule", "returns weights"),
    "assert in place of ValueError": (
        "simpson-weights",
        _panel(_F, _M, _L).replace(_ODD, "    assert len(x) % 2 and len(x) > 2\n"),
        "test-rule",
        "raises a AssertionError",
    ),
    "middle from the ends": (
        "simpson-weights",
        _panel("H / 6", "2 * H / 3", "H / 6 + 0.1 * (b - a)"),
        "test-rule",
        "field 1",
    ),
    "straight lines exact": (
        "simpson-weights",
        _panel("a / 3", "H - a / 3 - (H**2 / 2 - a * (H - a / 3)) / b", "(H**2 / 2 - a * (H - a / 3)) / b"),
        "test-rule",
        "x²",
    ),
    "nothing returned": (
        "simpson-weights",
        _panel(_F, _M, _L).replace("return w", "pass"),
        "test-rule",
        "nothing here",
    ),
    "error of the trapezoid": (
        "rule-error",
        _ERROR + "return abs(Grid.uniform(n, 'trapezoid').integrate(f).item() - exact)",
        "test-error",
        "of the trapezoidal rule",
    ),
    "midpoint always": (
        "rule-error",
        _ERROR + "return abs(g.integrate(f).item() - exact)",
        "test-error",
        "midpoint rule's error",
    ),
    "mean of the readings": (
        "rule-error",
        _ERROR + "return abs(f(x).mean().item() - exact)",
        "test-error",
        "plain mean",
    ),
    "only the integral": (
        "rule-error",
        _ERROR + "return (simpson_weights(x) @ f(x)).item()",
        "test-error",
        "This is the integral itself: exact is not",
    ),
    "signed": (
        "rule-error",
        _ERROR + "return (simpson_weights(x) @ f(x)).item() - exact",
        "test-error",
        "never below 0",
    ),
    "float32": (
        "rule-error",
        _ERROR + "x = x.float()\n    return abs((simpson_weights(x) @ f(x)).item() - exact)",
        "test-error",
        "in float64",
    ),
    "the midpoint's points": (
        "rule-error",
        _ERROR + "return abs((simpson_weights(g.x) @ f(g.x)).item() - exact)",
        "test-error",
        "both ends included",
    ),
    "error typed in": (
        "rule-error",
        "def rule_error(rule, n, f, exact):\n    return (n - 1) ** (-4.0 if rule == 'simpson' else -2.0)",
        "test-error",
        "far away",
    ),
    # for each wrong way and law that nothing above meets
    "2.1 too short": ("by-hand", "weights = [0, 2.25, 0.5]", "test-by-hand", "For the field 1 the weights"),
    "2.1 straight lines": ("by-hand", "weights = [0.9, 0.9, 1.2]", "test-by-hand", "For the field x² they"),
    "one weight short": (
        "simpson-weights",
        _panel(_F, _M, _L).replace("return w", "return w[:-1]"),
        "test-rule",
        "one weight for each point",
    ),
    "shifted to one end": (
        "simpson-weights",
        _panel("H / 6 + (b - a) / 10", "2 * H / 3", "H / 6 - (b - a) / 10"),
        "test-rule",
        "The field x must",
    ),
    "three points at equal gaps": (
        "simpson-weights",
        _panel(_F, _M, _L).replace(
            "    w = ",
            "    if len(x) == 3:\n        return (x[-1] - x[0]) * torch.tensor([1, 4, 1]).double() / 6\n    w = ",
        ),
        "test-rule",
        "On one panel",
    ),
    "one parabola for all points": (
        "simpson-weights",
        "def simpson_weights(x):\n" + _ODD + "    z = x - x[0]\n    powers = torch.stack([z**0, z, z**2])\n"
        "    must = torch.stack([z[-1], z[-1] ** 2 / 2, z[-1] ** 3 / 3])\n"
        "    return powers.T @ torch.linalg.solve(powers @ powers.T, must)",
        "test-rule",
        "The rule on nine points",
    ),
    "left ends for the midpoint": (
        "rule-error",
        _ERROR.replace("g.integrate(f)", "f(g.x - 0.5 / n).mean()")
        + "return abs((simpson_weights(x) @ f(x)).item() - exact)",
        "test-error",
        "The midpoint rule takes the middles of n cells",
    ),
    "an ε in the error": (
        "rule-error",
        _ERROR + "return abs((simpson_weights(x) @ f(x)).item() - exact) + 1e-10",
        "test-error",
        "exact for x³",
    ),
    "41 points at most": (
        "rule-error",
        _ERROR + "x = torch.linspace(0, 1, min(n, 41), dtype=torch.float64)\n"
        "    return abs((simpson_weights(x) @ f(x)).item() - exact)",
        "test-error",
        "At a kink",
    ),
}
