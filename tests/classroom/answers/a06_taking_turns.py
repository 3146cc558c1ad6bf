"""Answers to assignment 06: right ones written in other ways, and wrong ones with the message meant for each."""

RIGHT = [  # cell → answer; cells that are left out keep the answer of the source
    {
        "arrive": """
a, b = torch.tensor([[1.0, 0.5], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [-0.5, 1.0]])
arrive = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, -1.0]]) @ (a @ b @ b @ a).T
""",
        "turns": """
def turns(substeps, u, dt, steps):
    if steps == 0:
        return u
    u = turns(substeps, u, dt, steps - 1)
    n = len(substeps)
    for i in range(n):
        u = substeps[i if steps % 2 else n - 1 - i](u, dt)
    return u
""",
        "turns-error": """
def turns_error(A, B, u, steps, substep="exact"):
    I = torch.eye(len(u), dtype=u.dtype)
    def matrix(M, h):
        if substep == "exact":
            return torch.matrix_exp(h * M)
        return I + h * M + (h**2 / 2 * M @ M if substep == "midpoint" else 0)
    maps = [lambda v, h: matrix(A, h) @ v, lambda v, h: matrix(B, h) @ v]
    return torch.dist(turns(maps, u, 1.0 / steps, steps), torch.matrix_exp(A + B) @ u)
""",
    },
    {
        "arrive": "arrive = [(1 / 2, -1), (3 / 4, 1 / 2), (1 / 4, -5 / 2)]",
        "turns": """
from flowlib.flow.splitting import Scheme


def turns(substeps, u, dt, steps):
    def paths(n):
        there = tuple((i, 0.5) for i in range(n))
        return [(1.0, there + there[::-1])]
    pair = Scheme("there and back", 2, paths)
    for _ in range(steps // 2):
        u = pair.step(substeps, u, 2 * dt)
    return SCHEMES["lie"].step(substeps, u, dt) if steps % 2 else u
""",
        "turns-error": """
from flowlib.flow.splitting import euler, midpoint


def turns_error(A, B, u, steps, substep="exact"):
    def one(M):
        if substep == "exact":
            return lambda v, h: torch.linalg.matrix_exp(h * M) @ v
        return lambda v, h: {"euler": euler, "midpoint": midpoint}[substep](lambda z: M @ z, v, h)
    end = turns([one(A), one(B)], u, 1 / steps, steps)
    return float(((end - torch.linalg.matrix_exp(A + B) @ u) ** 2).sum() ** 0.5)
""",
    },
]

_WAYS = """
    exp = torch.linalg.matrix_exp
    ways = {"exact": lambda M: lambda v, h: exp(h * M) @ v, "euler": lambda M: lambda v, h: v + h * (M @ v),
            "midpoint": lambda M: lambda v, h: v + h * (M @ (v + h / 2 * (M @ v)))}
"""
_ERROR = "def turns_error(A, B, u, steps, substep='exact'):" + _WAYS
_FOR = """
def turns(substeps, u, dt, steps):
    n = len(substeps)
    for k in range(steps):
        """
_EACH = "for substep in order:\n            u = substep(u, dt)\n    return u"


def _scheme(name):
    return _FOR + f"u = SCHEMES['{name}'].step(substeps, u, dt)\n    return u"


_GO = (
    "def go(u, path, h=0.5):\n    for name in path:\n        a, b = u\n"
    "        u = (a + h * b, b) if name == 'A' else (a, b - h * a)\n    return u\n"
)
WRONG = {  # name: (cell, answer, test that must fail, a part of what it must say)
    **{
        f"6.1 {name}": (
            "arrive",
            _GO + f"arrive = [go(u, {path!r}, {h}) for u in ((1, 0), (0, 1), (2, -1))]",
            "test-arrive",
            said,
        )
        for name, path, h, said in (
            ("Lie", "ABAB", 0.5, "Lie splitting"),
            ("starts with B", "BAAB", 0.5, "began with B"),
            ("always B first", "BABA", 0.5, "only the second"),
            ("one step", "AB", 0.5, "That is one step"),
            ("step of 1", "ABBA", 1.0, "h = 1 in"),
            ("quarter", "ABBA", 0.25, "h = 1/4"),
            ("one B", "ABA", 0.5, "two of it in a row"),
            ("sign", "ABBA", -0.5, "turns the other way"),
        )
    },
    "6.1 at once": ("arrive", "arrive = [[0.75, -1], [1, 0.75], [0.5, -2.75]]", "test-arrive", "additive"),
    "6.1 the river": ("arrive", "arrive = [[0.54, -0.84], [0.84, 0.54], [0.24, -2.22]]", "test-arrive", "beside it"),
    "6.1 a slip": ("arrive", "arrive = [[0.5, -1.0], [0.75, 0.5], [1.25, -0.5]]", "test-arrive", "linear"),
    "6.1 old numbers": ("arrive", "arrive = [[0.5, -1.0], [1.0, 0.5], [0.0, -2.5]]", "test-arrive", "areas"),
    "6.1 two tokens": ("arrive", "arrive = [[0.5, -1.0], [0.75, 0.5]]", "test-arrive", "three tokens"),
    "Lie": ("turns", _scheme("lie"), "test-turns", "Lie splitting"),
    "Strang": ("turns", _scheme("strang"), "test-turns", "Strang splitting"),
    "symmetrised": ("turns", _scheme("symmetrised"), "test-turns", "twice the cost"),
    "additive": ("turns", _scheme("additive"), "test-turns", "additive"),
    "always backwards": (
        "turns",
        _FOR + "order = substeps[::-1]\n        " + _EACH,
        "test-turns",
        "Every step is taken",
    ),
    "backwards first": (
        "turns",
        _FOR + "order = substeps if k % 2 else substeps[::-1]\n        " + _EACH,
        "test-turns",
        "The first step is taken",
    ),
    "first half there": (
        "turns",
        _FOR + "order = substeps if k < steps // 2 else substeps[::-1]\n        " + _EACH,
        "test-turns",
        "all steps there",
    ),
    "one term per step": ("turns", _FOR + "u = substeps[k % n](u, dt)\n    return u", "test-turns", "only one substep"),
    "handed on": (
        "turns",
        _FOR + "order = substeps[k % n:] + substeps[:k % n]\n        " + _EACH,
        "test-turns",
        "to the end of the list",
    ),
    "twice the time": (
        "turns",
        _FOR + "order = substeps + substeps[::-1]\n        " + _EACH,
        "test-turns",
        "twice the time",
    ),
    "half the time": (
        "turns",
        _FOR + "order = substeps if k % 2 == 0 else substeps[::-1]\n        " + _EACH.replace("dt)", "dt / 2)"),
        "test-turns",
        "half of Δt",
    ),
    "odd step lost": (
        "turns",
        _FOR.replace("range(steps)", "range(steps // 2)") + "order = substeps + substeps[::-1]\n        " + _EACH,
        "test-turns",
        "you count pairs",
    ),
    "merged": (
        "turns",
        "def turns(substeps, u, dt, steps):\n    n = len(substeps)\n    last = None\n    path = []\n"
        "    for k in range(steps):\n        for i in range(n) if k % 2 == 0 else range(n - 1, -1, -1):\n"
        "            if path and path[-1][0] == i:\n                path[-1] = (i, 2 * dt)\n            else:\n"
        "                path.append((i, dt))\n    for i, h in path:\n        u = substeps[i](u, h)\n    return u",
        "test-turns",
        "You merge",
    ),
    "list turned in place": (
        "turns",
        _FOR + "order = substeps\n        for s in list(order):\n            u = s(u, dt)\n"
        "        substeps.reverse()\n    return u",
        "test-turns",
        "changes its argument substeps in place",
    ),
    "swapped pair": (
        "turns",
        _FOR + "order = substeps if k % 2 == 0 else [*substeps[1::-1], *substeps[2:]]\n        " + _EACH,
        "test-turns",
        "whole list must be reversed",
    ),
    "nothing returned": (
        "turns",
        _FOR + "order = substeps\n        " + _EACH.replace("return u", "pass"),
        "test-turns",
        "nothing here",
    ),
    "error of Lie": (
        "turns-error",
        _ERROR + "    v = u\n    for _ in range(steps):\n        v = ways[substep](B)(ways[substep](A)("
        "v, 1 / steps), 1 / steps)\n    return (v - exp(A + B) @ u).norm()",
        "test-error",
        "Lie splitting",
    ),
    "error of Strang": (
        "turns-error",
        "def turns_error(A, B, u, steps, substep='exact'):\n    return strang_error(A, B, u, steps)",
        "test-error",
        "Strang splitting",
    ),
    "error, B first": (
        "turns-error",
        _ERROR + "    end = turns([ways[substep](B), ways[substep](A)], u, 1 / steps, steps)\n"
        "    return (end - exp(A + B) @ u).norm()",
        "test-error",
        "B is the first",
    ),
    "error, product": (
        "turns-error",
        _ERROR + "    end = turns([ways[substep](A), ways[substep](B)], u, 1 / steps, steps)\n"
        "    return (end - exp(B) @ exp(A) @ u).norm()",
        "test-error",
        "e^(A+B)",
    ),
    "error, exp of each entry": (
        "turns-error",
        _ERROR.replace("torch.linalg.matrix_exp", "torch.exp") + "    end = turns([ways[substep](A), "
        "ways[substep](B)], u, 1 / steps, steps)\n    return (end - exp(A + B) @ u).norm()",
        "test-error",
        'substep = "euler"',
    ),
    "error, steps of 1": (
        "turns-error",
        _ERROR + "    end = turns([ways[substep](A), ways[substep](B)], u, 1, steps)\n"
        "    return (end - exp(A + B) @ u).norm()",
        "test-error",
        "Your steps have Δt = 1",
    ),
    "error, mean": (
        "turns-error",
        _ERROR + "    end = turns([ways[substep](A), ways[substep](B)], u, 1 / steps, steps)\n"
        "    return (end - exp(A + B) @ u).square().mean().sqrt()",
        "test-error",
        "root of the mean square",
    ),
    "error, always exact": (
        "turns-error",
        _ERROR + "    end = turns([ways['exact'](A), ways['exact'](B)], u, 1 / steps, steps)\n"
        "    return (end - exp(A + B) @ u).norm()",
        "test-error",
        "Yours is the exact one",
    ),
    "error typed in": (
        "turns-error",
        "def turns_error(A, B, u, steps, substep='exact'):\n    return 0.3 / steps ** (1 if substep == 'euler' else 2)",
        "test-error",
        'substep = "euler"',
    ),
    # for each wrong way and law that nothing above meets
    "a shorter step": (
        "turns",
        _FOR + "order = substeps if k % 2 == 0 else substeps[::-1]\n        " + _EACH.replace("dt)", "0.9 * dt)"),
        "test-turns",
        "the result must grow",
    ),
    "the first one only": ("turns", _FOR + "order = substeps[:1] * n\n        " + _EACH, "test-turns", "taken n times"),
    "starts with the second": (
        "turns",
        _FOR
        + "order = substeps[1:] + substeps[:1]\n        order = order if k % 2 == 0 else order[::-1]\n        "
        + _EACH,
        "test-turns",
        "in the order of the list",
    ),
    "ends change places": (
        "turns",
        _FOR + "order = substeps if k % 2 == 0 else [substeps[-1], *substeps[1:-1], substeps[0]]\n        " + _EACH,
        "test-turns",
        "mirror image of themselves",
    ),
    "error, turned once": (
        "turns-error",
        _ERROR + "    end, maps = u, [ways[substep](A), ways[substep](B)]\n    for k in range(steps):\n"
        "        for way in maps[::-1] if k == 1 else maps:\n            end = way(end, 1 / steps)\n"
        "    return (end - exp(A + B) @ u).norm()",
        "test-error",
        'substep = "euler"',
    ),
    "error, midpoint by Euler": (
        "turns-error",
        _ERROR + "    ways['midpoint'] = ways['euler']\n"
        "    end = turns([ways[substep](A), ways[substep](B)], u, 1 / steps, steps)\n"
        "    return (end - exp(A + B) @ u).norm()",
        "test-error",
        "Yours is Euler's",
    ),
    "counter outside": (
        "turns",
        "done = 0\n\n\ndef turns(substeps, u, dt, steps):\n    global done\n    for _ in range(steps):\n"
        "        for one in substeps if done % 2 == 0 else substeps[::-1]:\n            u = one(u, dt)\n"
        "        done += 1\n    return u",
        "test-turns",
        "first step takes",
    ),
}
