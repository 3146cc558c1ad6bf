"""Answers to assignment 10: right ones written in other ways, and wrong ones with the message meant for each."""

RIGHT = [  # cell → answer; cells that are left out keep the answer of the source
    {
        "by-hand": "after = torch.tensor([7 / 16, -1 / 2, 0.0])\nrates = [2 * (1 + b) / 8 for b in (0, 0.5, 0.9)]",
        "descend": """
def descend(gradient, theta, rate, memory, steps):
    way = torch.zeros_like(theta)
    for _ in range(steps):
        way = memory * way - rate * gradient(theta)
        theta = theta + way
    return theta
""",
        "predicted": """
def predicted(matrix, memory):
    sharpest = max(float(z.real) for z in torch.linalg.eigvals(matrix))
    return (1 + memory) * stability.critical_step(-sharpest)
""",
        "measured": """
def measured(matrix, memory):
    n = len(matrix)
    def grows(rate):
        end = descend(lambda theta: matrix @ theta, torch.ones(n, dtype=torch.float64), rate, memory, 600)
        return not end.norm() < n**0.5
    low, high = 0.01, 0.02
    while not grows(high):
        low, high = high, 2 * high
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (low, middle) if grows(middle) else (middle, high)
    return (low + high) / 2
""",
    },
    {
        "by-hand": "after = [0.44, -0.5, 0.0]\nrates = (1 / 4, 3 / 8, 3.8 / 8)",
        "descend": """
def descend(gradient, theta, rate, memory, steps):
    places = [theta]
    for n in range(steps):
        new = places[-1] - rate * gradient(places[-1])
        if n > 0:
            new = new + memory * (places[-1] - places[-2])
        places.append(new)
    return places[-1]
""",
        "predicted": """
def predicted(matrix, memory):
    return float(2 * (1 + memory) / torch.linalg.matrix_norm(matrix, 2))
""",
    },
]

_DESCEND = """def descend(gradient, theta, rate, memory, steps):
    before, last, start = theta, theta, theta
    for k in range(steps):
        """
_KEEP = "before, last = last, "
_END = "\n    return last"
_PREDICTED = "def predicted(matrix, memory):\n    curvatures = torch.linalg.eigvalsh(matrix)\n    return "
_MEASURED = "def measured(matrix, memory):\n    start = torch.ones(len(matrix)).double()\n    "


def _hand(after="[0.4375, -0.5, 0]", rates="[0.25, 0.375, 0.475]"):
    return f"after = {after}\nrates = {rates}"


def _step(new):
    return _DESCEND + _KEEP + new + _END


_RIGHT_STEP = "last - rate * gradient(last) + memory * (last - before)"

WRONG = {  # name: (cell, answer, test that must fail, a part of what it must say)
    "10.1 plain": ("by-hand", _hand("[0.5625, 0, 1]"), "test-by-hand", "two plain steps"),
    "10.1 one step": ("by-hand", _hand("[0.75, 0, -1]"), "test-by-hand", "after one step"),
    "10.1 backwards": ("by-hand", _hand("[0.6875, 0.5, 2]"), "test-by-hand", "pulls back"),
    "10.1 averaged": ("by-hand", _hand("[0.703, 0, -0.5]"), "test-by-hand", "slopes are averaged"),
    "10.1 whole memory": ("by-hand", _hand("[0.3125, -1, -1]"), "test-by-hand", "whole of the last step"),
    "10.1 something else": ("by-hand", _hand("[1, 2, 3]"), "test-by-hand", "Write down the first step"),
    "10.1 two numbers": ("by-hand", _hand("[1, 2]"), "test-by-hand", "three numbers"),
    "10.1 not moved": ("by-hand", _hand(rates="[0.25, 0.25, 0.25]"), "test-by-hand", "memory moves the edge"),
    "10.1 one minus": ("by-hand", _hand(rates="[0.25, 0.125, 0.025]"), "test-by-hand", "works *against* it"),
    "10.1 slope": ("by-hand", _hand(rates="[0.25, 0.5, 2.5]"), "test-by-hand", "divided by 1 − β"),
    "10.1 curvature 1": ("by-hand", _hand(rates="[2, 3, 3.8]"), "test-by-hand", "values of ηλ"),
    "10.1 half": ("by-hand", _hand(rates="[0.125, 0.1875, 0.2375]"), "test-by-hand", "half of it"),
    "10.1 too short": ("by-hand", _hand(rates="[0.25, 0.3, 0.4]"), "test-by-hand", "jump from side to side"),
    "plain": ("descend", _step("last - rate * gradient(last)"), "test-descend", "remember nothing"),
    "averaged": (
        "descend",
        _step("last - rate * (1 - memory) * gradient(last) + memory * (last - before)"),
        "test-descend",
        "slopes are averaged",
    ),
    "backwards": (
        "descend",
        _step("last - rate * gradient(last) + memory * (before - last)"),
        "test-descend",
        "wrong sign",
    ),
    "ahead": (
        "descend",
        _step("last - rate * gradient(last + memory * (last - before)) + memory * (last - before)"),
        "test-descend",
        "Nesterov",
    ),
    "slope before": (
        "descend",
        _step("last - rate * gradient(before) + memory * (last - before)"),
        "test-descend",
        "place before the last",
    ),
    "slope of the start": (
        "descend",
        _step("last - rate * gradient(start) + memory * (last - before)"),
        "test-descend",
        "at the start in every step",
    ),
    "uphill": (
        "descend",
        _step("last + rate * gradient(last) + memory * (last - before)"),
        "test-descend",
        "uphill",
    ),
    "from the start": (
        "descend",
        _step("last - rate * gradient(last) + memory * (last - start)"),
        "test-descend",
        "way from the start",
    ),
    "one slope back": (
        "descend",
        "def descend(gradient, theta, rate, memory, steps):\n    old = 0 * theta\n    for _ in range(steps):\n        "
        "new = gradient(theta)\n        theta, old = theta - rate * (new + memory * old), new\n    return theta",
        "test-descend",
        "no earlier one",
    ),
    "one too many": (
        "descend",
        _step(_RIGHT_STEP).replace("range(steps)", "range(steps + 1)"),
        "test-descend",
        "one step too many",
    ),
    "one too few": (
        "descend",
        _step(_RIGHT_STEP).replace("range(steps)", "range(1, steps)"),
        "test-descend",
        "one step too few",
    ),
    "nothing returned": ("descend", _step(_RIGHT_STEP).replace(_END, ""), "test-descend", "nothing here"),
    "all places": (
        "descend",
        _step(_RIGHT_STEP).replace("return last", "return torch.stack([before, last])"),
        "test-descend",
        "10.2: return the last place alone, of the shape",
    ),
    "no memory of its own kind": ("predicted", _PREDICTED + "2 / curvatures.max()", "test-predicted", "without memory"),
    "predicted, against": (
        "predicted",
        _PREDICTED + "2 * (1 - memory) / curvatures.max()",
        "test-predicted",
        "memory works against it",
    ),
    "predicted, even slope": (
        "predicted",
        _PREDICTED + "2 / (1 - memory) / curvatures.max()",
        "test-predicted",
        "even slope",
    ),
    "predicted, half": ("predicted", _PREDICTED + "(1 + memory) / curvatures.max()", "test-predicted", "half of it"),
    "predicted, flattest": (
        "predicted",
        _PREDICTED + "2 * (1 + memory) / curvatures.min()",
        "test-predicted",
        "flattest direction",
    ),
    "predicted, diagonal": (
        "predicted",
        _PREDICTED + "2 * (1 + memory) / matrix.diagonal().max()",
        "test-predicted",
        "off the diagonal",
    ),
    "predicted, trace": (
        "predicted",
        _PREDICTED + "2 * (1 + memory) / curvatures.sum()",
        "test-predicted",
        "added all curvatures",
    ),
    "predicted, one for each": (
        "predicted",
        _PREDICTED + "2 * (1 + memory) / curvatures",
        "test-predicted",
        "You return one rate for each direction. One",
    ),
    "predicted, a little too long": (
        "predicted",
        _PREDICTED + "2.1 * (1 + memory) / curvatures.max()",
        "test-predicted",
        "must stop dying",
    ),
    "measured, a formula without memory": (
        "measured",
        _MEASURED + "return 2 / torch.linalg.eigvalsh(matrix).max()",
        "test-measured",
        "This is where plain descent breaks, without",
    ),
    "measured, always the same memory": (
        "measured",
        _MEASURED
        + "rests = lambda rate: bool(descend(lambda v: matrix @ v, start, rate, memory or 0.5, 400).norm() < 1)"
        "\n    return stability.breaking_step(rests, 0.01, 100.0)",
        "test-measured",
        "Did you pass the memory on",
    ),
    "measured, too few steps": (
        "measured",
        _MEASURED
        + "rests = lambda rate: bool(descend(lambda v: matrix @ v, start, rate, memory, 2).norm() < start.norm())"
        "\n    return stability.breaking_step(rests, 0.01, 100.0)",
        "test-measured",
        "not where the descent breaks",
    ),
    # for each law that nothing above meets
    "first step remembers": (
        "descend",
        "def descend(gradient, theta, rate, memory, steps):\n    way = -rate * gradient(theta)\n"
        "    for _ in range(steps):\n        way = memory * way - rate * gradient(theta)\n"
        "        theta = theta + way\n    return theta",
        "test-descend",
        "first step has nothing to remember",
    ),
    "memory fades": (
        "descend",
        _step("last - rate * gradient(last) + memory / (k + 1) * (last - before)"),
        "test-descend",
        "On an even slope",
    ),
    "asks twice": (
        "descend",
        _step("last - rate * (gradient(last) + gradient(last)) / 2 + memory * (last - before)"),
        "test-descend",
        "ask for the slope once",
    ),
    "slope rounded": (
        "descend",
        _step("last - rate * gradient(last.round(decimals=2)) + memory * (last - before)"),
        "test-descend",
        "first step has nothing to remember",
    ),
    "slope held": (
        "descend",
        "def descend(gradient, theta, rate, memory, steps):\n    before, last = theta, theta\n"
        "    for k in range(steps):\n        at = last if k % 2 == 0 else (last + before) / 2\n"
        "        before, last = last, last - rate * gradient(at) + memory * (last - before)\n    return last",
        "test-descend",
        "On a parabola",
    ),
    "first step before the loop": (
        "descend",
        "def descend(gradient, theta, rate, memory, steps):\n    before, last = theta, theta - rate * gradient(theta)\n"
        "    for _ in range(steps - 1):\n"
        "        before, last = last, last - rate * gradient(last) + memory * (last - before)\n    return last",
        "test-descend",
        "With 0 steps nothing moves",
    ),
}
