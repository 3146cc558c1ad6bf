"""Answers to assignment 09: right ones written in other ways, and wrong ones with the message meant for each."""

RIGHT = [  # cell → answer; cells that are left out keep the answer of the source
    {
        "by-hand": "ends = torch.tensor([7.0, 5, 4])\nrestored = (ends - 3) / (10 - 3)",
        "patched": """
def patched(u, v, tokens, at, steps, beta, dt=0.25):
    chosen = torch.tensor([[i in tokens] for i in range(len(u))])
    for k in range(steps + 1):
        if k == at:
            u = torch.where(chosen, v, u)
        if k < steps:
            u, v = step(u, beta, dt), step(v, beta, dt)
    return u
""",
        "restored": """
def restored_shares(changed, start, goal):
    result = []
    for c, s, g in zip(changed, start, goal):
        way = g - s
        result.append(float((c - s) @ way / (way @ way)) if way.abs().max() > 0 else 0.0)
    return result
""",
        "mismatch": """
def mismatch(u, w, eps, at, steps, beta):
    v, n = u + eps * w, len(u)
    each = torch.stack([patched(u, v, [j], at, steps, beta) for j in range(n)]).sum(0)
    everything = patched(u, v, list(range(n)), at, steps, beta)
    return (each - (n - 1) * patched(u, v, [], at, steps, beta) - everything).abs().max()
""",
    },
    {
        "by-hand": "ends = (7, 5, 4)\nrestored = (0.57, 0.29, 0.14)",
        "patched": """
def patched(u, v, tokens, at, steps, beta, dt=0.25):
    def flow(z, count):
        for _ in range(count):
            gamma = (beta * z @ z.mT).exp().tril()
            z = z + dt * (gamma / gamma.sum(-1, keepdim=True) @ z - z)
        return z
    mixed = [flow(v, at)[i] if i in tokens else row for i, row in enumerate(flow(u, at))]
    return flow(torch.stack(mixed), steps - at)
""",
        "restored": """
def restored_shares(changed, start, goal):
    return torch.nan_to_num(torch.einsum("tf,tf->t", changed - start, goal - start)
                            / torch.einsum("tf,tf->t", goal - start, goal - start), nan=0.0)
""",
    },
]

_PATCH = """
def patched(u, v, tokens, at, steps, beta, dt=0.25):
    def flow(z, count):
        for _ in range(count):
            z = step(z, beta, dt)
        return z

    a, b = flow(u, at).clone(), flow(v, at).clone()
"""
_SHARE = "def restored_shares(changed, start, goal):\n    a, b = changed - start, goal - start\n    return "
_MISS = """
def mismatch(u, w, eps, at, steps, beta):
    v, n = u + eps * w, len(u)
    start, goal = patched(u, v, [], at, steps, beta), patched(u, v, list(range(n)), at, steps, beta)
"""
_ONE = "sum(patched(u, v, [j], at, steps, beta) - start for j in range(n))"


def _hand(ends, restored=(0.571, 0.286, 0.143)):
    return f"ends = {ends}\nrestored = {restored}"


def _patch(body):
    return _PATCH + "    " + body


WRONG = {  # name: (cell, answer, test that must fail, a part of what it must say)
    "9.1 as they began": ("by-hand", _hand([7, 3, 2]), "test-by-hand", "as they *began*"),
    "9.1 at the beginning": ("by-hand", _hand([10.33, 3, 2.67]), "test-by-hand", "patched the beginning"),
    "9.1 no mask": ("by-hand", _hand([4, 4, 4]), "test-by-hand", "and those *before* it"),
    "9.1 the other way": ("by-hand", _hand([6, 8, 9]), "test-by-hand", "You patched u into v"),
    "9.1 second step missing": ("by-hand", _hand([3, 3, 6]), "test-by-hand", "second step is missing"),
    "9.1 not subtracted": ("by-hand", _hand([7, 5, 4], [0.7, 0.5, 0.4]), "test-by-hand", "of a *difference*"),
    "9.1 what is missing": ("by-hand", _hand([7, 5, 4], [0.43, 0.71, 0.86]), "test-by-hand", "still missing"),
    "9.1 equal shares": ("by-hand", _hand([7, 5, 4], [0.333, 0.333, 0.333]), "test-by-hand", "same share"),
    "as it began": (
        "patched",
        _patch("a[tokens] = v[tokens]\n    return flow(a, steps - at)"),
        "test-patched",
        "as they *began*",
    ),
    "as it ends": (
        "patched",
        _patch("a[tokens] = flow(v, steps)[tokens]\n    return flow(a, steps - at)"),
        "test-patched",
        "as they *end*",
    ),
    "at the beginning": (
        "patched",
        _patch("z = u.clone()\n    z[tokens] = v[tokens]\n    return flow(z, steps)"),
        "test-patched",
        "before the first step",
    ),
    "at the end": (
        "patched",
        _patch("z = flow(u, steps).clone()\n    z[tokens] = flow(v, steps)[tokens]\n    return z"),
        "test-patched",
        "after the last step",
    ),
    "one step late": (
        "patched",
        _patch("a, b = flow(a, 1), flow(b, 1)\n    a[tokens] = b[tokens]\n    return flow(a, steps - at - 1)"),
        "test-patched",
        "too late",
    ),
    "one step short": (
        "patched",
        _patch("a[tokens] = b[tokens]\n    return flow(a, steps - at - 1)"),
        "test-patched",
        "one step less",
    ),
    "all steps again": (
        "patched",
        _patch("a[tokens] = b[tokens]\n    return flow(a, steps)"),
        "test-patched",
        "more steps",
    ),
    "no steps after": ("patched", _patch("a[tokens] = b[tokens]\n    return a"), "test-patched", "Nothing flows after"),
    "the other way": (
        "patched",
        _patch("b[tokens] = a[tokens]\n    return flow(b, steps - at)"),
        "test-patched",
        "other way round",
    ),
    "features": (
        "patched",
        _patch("a[:, [1]] = b[:, [1]]\n    return flow(a, steps - at)"),
        "test-patched",
        "replaced *features*",
    ),
    "held": (
        "patched",
        _patch(
            "for _ in range(steps - at):\n        a[tokens] = b[tokens]\n        a, b = flow(a, "
            "1), flow(b, 1)"
            "\n    a[tokens] = b[tokens]\n    return a"
        ),
        "test-patched",
        "at every later depth",
    ),
    "added": (
        "patched",
        _patch("a[tokens] += b[tokens]\n    return flow(a, steps - at)"),
        "test-patched",
        "*replaces*",
    ),
    "nothing patched": (
        "patched",
        _patch("a[tokens].copy_(b[tokens])\n    return flow(a, steps - at)"),
        "test-patched",
        "has no effect",
    ),
    "start forgotten": (
        "restored",
        _SHARE + "(changed * b).sum(-1) / (b * b).sum(-1)",
        "test-restored",
        "not subtract `start`",
    ),
    "lengths": ("restored", _SHARE + "a.norm(dim=-1) / b.norm(dim=-1)", "test-restored", "two lengths"),
    "cosine": ("restored", _SHARE + "torch.cosine_similarity(a, b, dim=-1)", "test-restored", "is the cosine"),
    "not squared": ("restored", _SHARE + "(a * b).sum(-1) / b.norm(dim=-1)", "test-restored", "With its square"),
    "one way for all": (
        "restored",
        _SHARE + "(a * b).sum(-1) / (b * b).sum()",
        "test-restored",
        "Each token has its own",
    ),
    "over tokens": ("restored", _SHARE + "(a * b).sum(0) / (b * b).sum(0)", "test-restored", "for each feature"),
    "one number": ("restored", _SHARE + "(a * b).sum() / (b * b).sum()", "test-restored", "for the whole field"),
    "0 / 0": ("restored", _SHARE + "(a * b).sum(-1) / (b * b).sum(-1)", "test-restored", "no way to go"),
    "start kept": (
        "mismatch",
        _MISS + "    return (sum(patched(u, v, [j], at, steps, beta) for j in range(n)) - goal).abs().max()",
        "test-mismatch",
        "subtracted once",
    ),
    "relative": (
        "mismatch",
        _MISS + f"    return ({_ONE} - goal + start).abs().max() / (goal - start).abs().max().clamp(1e-30)",
        "test-mismatch",
        "divided by the whole effect",
    ),
    "at forgotten": (
        "mismatch",
        _MISS.replace("[], at", "[], 0").replace("(n)), at", "(n)), 0")
        + f"    return ({_ONE.replace('at,', '0,')} - goal + start).abs().max()",
        "test-mismatch",
        "`at` is not used",
    ),
    "one token short": (
        "mismatch",
        _MISS + f"    return ({_ONE.replace('range(n)', 'range(n - 1)')} - goal + start).abs().max()",
        "test-mismatch",
        "last token is left out",
    ),
    "order typed in": (
        "mismatch",
        "def mismatch(u, w, eps, at, steps, beta):\n    return eps ** 2 * beta * (steps - at)",
        "test-mismatch-hidden",
        "the mismatch of",
    ),
    # for each wrong way and law that nothing above meets
    "9.1 at the end": ("by-hand", _hand([3, 3, 10]), "test-by-hand", "after the second step"),
    "9.1 differences": ("by-hand", _hand([4, 2, 1]), "test-by-hand", "where it would be without"),
    "9.1 another sum": ("by-hand", _hand([7, 5, 5]), "test-by-hand", "must sum to that of all"),
    "9.1 the right sum": ("by-hand", _hand([8, 5, 3]), "test-by-hand", "takes the mean of three"),
    "9.1 only above": ("by-hand", _hand([7, 5, 4], [0.4, 0.2, 0.1]), "test-by-hand", "not by v's end"),
    "9.1 changes": ("by-hand", _hand([7, 5, 4], [4, 2, 1]), "test-by-hand", "by the whole change"),
    "9.1 first difference": ("by-hand", _hand([7, 5, 4], [1.333, 0.667, 0.333]), "test-by-hand", "after step 1"),
    "9.1 more than all": ("by-hand", _hand([7, 5, 4], [0.571, 0.286, 0.2]), "test-by-hand", "three shares must sum"),
    "one step early": (
        "patched",
        _patch("a[tokens] = b[tokens]\n    return flow(a, steps - at)")
        .replace("at).clone()", "at - 1).clone()")
        .replace("steps - at", "steps - at + 1"),
        "test-patched",
        "too early",
    ),
    "β forgotten": (
        "patched",
        _patch("a[tokens] = b[tokens]\n    return flow(a, steps - at)").replace("z, beta", "z, 0.0"),
        "test-patched",
        "β is not used",
    ),
    "an empty list is all": (
        "patched",
        _patch("tokens = tokens or list(range(len(u)))\n    a[tokens] = b[tokens]\n    return flow(a, steps - at)"),
        "test-patched",
        "With an empty list",
    ),
    "at 0 is no patch": (
        "patched",
        _patch("if at:\n        a[tokens] = b[tokens]\n    return flow(a, steps - at)"),
        "test-patched",
        "With all tokens in the list",
    ),
    "all of v at the end": (
        "patched",
        _patch(
            "if tokens and at == steps:\n        return b\n    a[tokens] = b[tokens]\n    return flow(a, steps - at)"
        ),
        "test-patched",
        "all others those of u(T)",
    ),
    "the token before as well": (
        "patched",
        _patch(
            "tokens = tokens if len(tokens) != 1 else [tokens[0] - 1, tokens[0]]\n    a[tokens] = b[tokens]\n"
            "    return flow(a, steps - at)"
        ),
        "test-patched",
        "cannot change the tokens before it",
    ),
    "written into u": (
        "patched",
        _patch("a[tokens] = b[tokens]\n    return flow(a, steps - at)").replace(".clone()", ""),
        "test-patched",
        "changes its argument u in place",
    ),
    "from the origin": (
        "restored",
        _SHARE + "(changed * goal).sum(-1) / (goal * goal).sum(-1)",
        "test-restored",
        "from the origin",
    ),
    "distance left": (
        "restored",
        _SHARE + "1 - (changed - goal).norm(dim=-1) / b.norm(dim=-1)",
        "test-restored",
        "distance that is left",
    ),
    "turned round": ("restored", _SHARE + "(a * b).sum(-1) / (a * a).sum(-1)", "test-restored", "what the patch made"),
    "what is left": ("restored", _SHARE + "((b - a) * b).sum(-1) / (b * b).sum(-1)", "test-restored", "still missing"),
    "between 0 and 1": (
        "restored",
        _SHARE + "((a * b).sum(-1) / (b * b).sum(-1).clamp(1e-30)).clamp(0, 1)",
        "test-restored",
        "the shares must be these parts",
    ),
}
