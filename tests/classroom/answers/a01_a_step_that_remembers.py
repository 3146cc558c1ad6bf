"""Answers to assignment 01: right ones written in other ways, and wrong ones with the message meant for each."""

RIGHT = [  # cell → answer; cells that are left out keep the answer of the source
    {
        "by-hand": "u1 = torch.tensor([2.0, 0.0, 1.0])\nu2 = u1 + 0.75 * (2 - 4 * u1) + 0.25 * "
        "torch.tensor([4.0, 0, 2])",
        "two-step": """
def two_step(u, layers, dt):
    seen = []
    for layer in layers:
        seen.append(layer(u))
        change = seen[-1] - seen[-2] if len(seen) > 1 else torch.zeros_like(seen[0])
        u = u + dt * seen[-1] + dt / 2 * change
    return u
""",
        "path-error": """
def path_error(N, path, u0, end):
    def layer(n):
        return lambda u: torch.einsum("ij,j->i", path(n / N), torch.tanh(u))
    u = two_step(u0, [layer(n) for n in range(N)], 1 / N)
    return torch.linalg.vector_norm(u - end)
""",
        "left-over": """
def left_over(strength, N):
    u = two_step(torch.tensor([[1.0]], dtype=torch.float64), [lambda u: u * -strength for _ in range(N)], 1)
    return abs(float(u))
""",
    },
    {
        "by-hand": "u1 = (2.0, 0.0, 1.0)\nu2 = (-1.5, 1.5, 0.0)",
        "two-step": """
def two_step(u, layers, dt):
    def go(u, layers, old):
        if not layers:
            return u
        new = layers[0](u)
        old = new if old is None else old
        return go(u + dt * (3 * new - old) / 2, layers[1:], new)
    return go(u, layers, None)
""",
        "path-error": """
class Layer:
    def __init__(self, matrix):
        self.matrix = matrix

    def __call__(self, u):
        return self.matrix @ u.tanh()


def path_error(N, path, u0, end):
    gone = two_step(u0, [Layer(path(s)) for s in (torch.arange(N, dtype=torch.float64) / N).tolist()], 1 / N) - end
    return gone.square().sum().sqrt().item()
""",
        "left-over": """
def left_over(strength, N):
    def pull(u):
        return -strength * u
    return abs(two_step(1.0, N * [pull], 1.0))
""",
    },
]


def _steps(push: str, first: str = "f") -> str:
    """A two_step whose push is written with f and b, the last velocity; u is the place, v the last place."""
    return f"""
def two_step(u, layers, dt):
    b = v = None
    for n, layer in enumerate(layers):
        f = layer(u)
        push = {first} if b is None else {push}
        v, u, b = u, u + dt * push, f
    return u
"""


_PATH = "def path_error(N, path, u0, end):\n    "
WRONG = {  # name: (cell, answer, test that must fail, a part of what it must say)
    "1.1 Euler": ("by-hand", "u1, u2 = [2, 0, 1], [-1, 1, 0]", "test-by-hand", "two Euler steps"),
    "1.1 plus": ("by-hand", "u1, u2 = [2, 0, 1], [-3.5, 1.5, -1]", "test-by-hand", "added half"),
    "1.1 swapped": ("by-hand", "u1, u2 = [2, 0, 1], [0.5, -0.5, 0]", "test-by-hand", "changed places"),
    "1.1 old layer again": ("by-hand", "u1, u2 = [2, 0, 1], [-2, 1.5, -0.25]", "test-by-hand", "f_0 at u_1"),
    "1.1 no Δt": ("by-hand", "u1, u2 = [2, 0, 1], [-5, 3, -1]", "test-by-hand", "is missing in the second"),
    "1.1 mean": ("by-hand", "u1, u2 = [2, 0, 1], [-0.5, 0.5, 0]", "test-by-hand", "half a step *ago*"),
    "1.1 first step without Δt": ("by-hand", "u1, u2 = [0, 0, 0], [2.5, 1.5, 2]", "test-by-hand", "is Euler's"),
    "1.1 a slip": ("by-hand", "u1, u2 = [2, 0, 1], [-1.5, 1.5, 1]", "test-by-hand", "third token"),
    "1.1 one number": ("by-hand", "u1, u2 = [2, 0, 1], 1.5", "test-by-hand", "three numbers"),
    "Euler": ("two-step", _steps("f"), "test-step", "Euler's steps"),
    "plus": ("two-step", _steps("1.5 * f + 0.5 * b"), "test-step", "must sum to 1"),
    "swapped": ("two-step", _steps("1.5 * b - 0.5 * f"), "test-step", "have changed places"),
    "mean": ("two-step", _steps("(f + b) / 2"), "test-step", "the mean of the last two"),
    "2 and −1": ("two-step", _steps("2 * f - b"), "test-step", "*end*"),
    "no first step": ("two-step", _steps("1.5 * f - 0.5 * b", "1.5 * f"), "test-step", "There is no memory yet"),
    "memory stands still": (
        "two-step",
        "def two_step(u, layers, dt):\n    b = layers[0](u)\n    u = u + dt * b\n"
        "    for layer in layers[1:]:\n        u = u + dt * (1.5 * layer(u) - 0.5 * b)\n    return u",
        "test-step",
        "never renewed",
    ),
    "last layer asked again": (
        "two-step",
        _steps("1.5 * f - 0.5 * layers[n - 1](u)"),
        "test-step",
        "again, at the new place",
    ),
    "this layer at the last place": (
        "two-step",
        _steps("1.5 * f - 0.5 * layer(v)"),
        "test-step",
        "at the last place as well",
    ),
    "Heun": ("two-step", _steps("(f + layer(u + dt * f)) / 2", "(f + layer(u + dt * f)) / 2"), "test-step", "Heun"),
    "midpoint from the library": (
        "two-step",
        "from flowlib.flow.splitting import midpoint\n\n\ndef two_step(u, layers, dt):\n"
        "    for layer in layers:\n        u = midpoint(layer, u, dt)\n    return u",
        "test-step",
        "midpoint method",
    ),
    "Δt on one half": ("two-step", _steps("1.5 * f - 0.5 * b / dt"), "test-step", "whole bracket"),
    "asked twice": (
        "two-step",
        "def two_step(u, layers, dt):\n    v = None\n    for n, layer in enumerate(layers):\n"
        "        push = layer(u) if v is None else 1.5 * layer(u) - 0.5 * layers[n - 1](v)\n"
        "        v, u = u, u + dt * push\n    return u",
        "test-step",
        "asked once",
    ),
    "all places": (
        "two-step",
        _steps("1.5 * f - 0.5 * b").replace("    return u", "    return torch.stack([u, u])"),
        "test-step",
        "field after the last layer",
    ),
    "a step too few": (
        "two-step",
        _steps("1.5 * f - 0.5 * b").replace("enumerate(layers)", "enumerate(layers[:-1])"),
        "test-step",
        "last layer is left out",
    ),
    "every other layer with a new memory": (
        "two-step",
        _steps("1.5 * f - 0.5 * b").replace("push, f\n", "push, f if b is None else b\n"),
        "test-step",
        "never renewed",
    ),
    "nothing returned": (
        "two-step",
        _steps("1.5 * f - 0.5 * b").replace("return u", "pass"),
        "test-step",
        "nothing here",
    ),
    "three steps remembered": (
        "two-step",
        "def two_step(u, layers, dt):\n    b = []\n    for layer in layers:\n        b.append(layer(u))\n"
        "        if len(b) == 1:\n            p = b[0]\n        elif len(b) == 2:\n            p = 1.5 * b[1] - "
        "0.5 * b[0]\n        else:\n            p = (23 * b[-1] - 16 * b[-2] + 5 * b[-3]) / 12\n"
        "        u = u + dt * p\n    return u",
        "test-step",
        "for one step, not longer",
    ),
    "late lambda": (
        "path-error",
        _PATH + "layers = []\n    for n in range(N):\n        layers.append(lambda u: path(n / N) @ "
        "u.tanh())\n    return (two_step(u0, layers, 1 / N) - end).norm().item()",
        "test-error",
        "lambda looks n up",
    ),
    "order with Euler": (
        "path-error",
        _PATH + "u = u0\n    for n in range(N):\n        u = u + path(n / N) @ u.tanh() / N\n"
        "    return (u - end).norm().item()",
        "test-error",
        "error of Euler's steps",
    ),
    "places from 1": (
        "path-error",
        _PATH + "return (two_step(u0, [lambda u, m=path((n + 1) / N): m @ u.tanh() for n in range(N)], "
        "1 / N) - end).norm()",
        "test-error",
        "s = n/N",
    ),
    "squared length": (
        "path-error",
        _PATH + "return (two_step(u0, [lambda u, m=path(n / N): m @ u.tanh() for n in range(N)], "
        "1 / N) - end).square().sum()",
        "test-error",
        "length of the vector",
    ),
    "largest entry": (
        "path-error",
        _PATH + "return (two_step(u0, [lambda u, m=path(n / N): m @ u.tanh() for n in range(N)], "
        "1 / N) - end).abs().max()",
        "test-error",
        "length of the vector",
    ),
    "no tanh": (
        "path-error",
        _PATH + "return (two_step(u0, [lambda u, m=path(n / N): m @ u for n in range(N)], 1 / N) - end).norm()",
        "test-error",
        "tanh is missing",
    ),
    "Δt = 1": (
        "path-error",
        _PATH + "return (two_step(u0, [lambda u, m=path(n / N): m @ u.tanh() for n in range(N)], 1) - end).norm()",
        "test-error",
        "Your steps have Δt = 1",
    ),
    "the sign of the pull": (
        "left-over",
        "def left_over(strength, N):\n    return two_step(torch.ones(()), [lambda u: strength * u] * N, "
        "1.0).abs().item()",
        "test-rest",
        "yours pushes away",
    ),
    "left by Euler": (
        "left-over",
        "def left_over(strength, N):\n    return abs(1 - strength) ** N",
        "test-rest",
        "Euler's steps leave",
    ),
    "left by the flow": (
        "left-over",
        "import math\n\n\ndef left_over(strength, N):\n    return math.exp(-strength * N)",
        "test-rest",
        "what the *flow* leaves",
    ),
    "one layer too many": (
        "left-over",
        "def left_over(strength, N):\n    return two_step(torch.ones(()).double(), "
        "[lambda u: -strength * u] * (N + 1), 1.0).abs().item()",
        "test-rest",
        "one too many",
    ),
    "left over, typed in": (
        "left-over",
        "def left_over(strength, N):\n    return (1 - strength if N == 1 else 1 / 3 if strength == 1 else "
        "0.0 if strength < 1 else 1e9)",
        "test-rest-hidden",
        "layers of",
    ),
    # for each wrong way and law that nothing above meets
    "1.1 second token": ("by-hand", "u1, u2 = [2, 0, 1], [-1.5, 1, 0]", "test-by-hand", "Look at the second token"),
    "1.1 first token": ("by-hand", "u1, u2 = [2, 0, 1], [-1, 1.5, 0]", "test-by-hand", "first token of u_2"),
    "half a step at first": ("two-step", _steps("1.5 * f - 0.5 * b", "0.5 * f"), "test-step", "yours goes 0.5 Δt"),
    "factors that do not sum to 1": ("two-step", _steps("1.4 * f - 0.5 * b"), "test-step", "as any method does"),
    "other factors": ("two-step", _steps("1.4 * f - 0.4 * b"), "test-step", "the way is 3/2 Δt"),
    "left by Euler, a layer short": (
        "left-over",
        "def left_over(strength, N):\n    return abs(1 - strength) ** max(N - 1, 1)",
        "test-rest",
        "1/3 must be left",
    ),
    "left over, a third": (
        "left-over",
        "def left_over(strength, N):\n    return 1 - strength if N == 1 else 1 / 3",
        "test-rest",
        "first step is Euler's",
    ),
}
