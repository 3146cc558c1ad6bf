r"""Which symbols a formula in TeX uses, so that a notation page can be held against the chapters.

    symbols(r"\int\gamma(x,\tilde x)\,V(\tilde x)\,d\tilde x")  -> {r"\gamma", "x", r"\tilde x", "V"}

An accent belongs to its letter, and so does \Delta. A subscript or superscript belongs to it where `listed` has the
two together (u_t, S_1, W^O); otherwise the letter and what stands in the script count each for itself (x_j: x, j).
Text, numbers, primes, differentials, brackets and what every school teaches (\sin, \sum, \le) count as nothing; a
command that is not known here counts as a symbol, so that nothing new passes unseen.
"""

import ast
import re
from collections.abc import Iterable, Iterator

from flowlib.authoring.notebooks import is_question, prose

FORMULA = re.compile(r"(?<![\\$])(\$\$?)(?!\$)(.+?)(?<!\\)\1", re.DOTALL)
CODE = re.compile(r"^```.*?^```|(`+)(?!`).+?\1", re.DOTALL | re.MULTILINE)
TEXT = re.compile(r"\\(?:text|mathrm|operatorname\*?|begin|end)\s*(?:\{[^{}]*\}|[A-Za-z])")
TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[A-Za-z]|[^\sA-Za-z]")
ACCENTS = {rf"\{name}" for name in "tilde hat bar dot vec mathbb mathbf mathcal mathsf".split()}
FRACTIONS = {r"\frac", r"\tfrac", r"\dfrac"}
SAME = {"|": r"\lvert", r"\rvert": r"\lvert", r"\rVert": r"\lVert", r"\|": r"\lVert", r"\rangle": r"\langle"}
GREEK = {
    rf"\{name}"
    for name in (
        "alpha beta gamma delta epsilon varepsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon "
        "phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell"
    ).split()
}
SCHOOL = {
    rf"\{name}"
    for name in (
        "sin cos tan tanh exp log max min sqrt sum int cdot cdots dots ldots times pm le ge ne neq to in infty approx "
        "quad qquad big Big bigl bigr Bigl Bigr left right underbrace limits bigm mid circ"
    ).split()
}


def formulas(markdown: str) -> list[str]:
    """The formulas of a Markdown text, $...$ and $$...$$, in order; `code` holds none."""
    return [match[2] for match in FORMULA.finditer(CODE.sub(" ", markdown))]


def symbols(tex: str, listed: Iterable[str] = ()) -> set[str]:
    """The symbols of one formula, each in the spelling of `spell`."""
    listed = set(listed)
    return set(_collect(TOKEN.findall(TEXT.sub(" ", tex)), listed))


def spell(tex: str) -> str:
    r"""One symbol in the spelling that `symbols` uses: "W^{O}" -> "W^O", r"\langle\cdot,\cdot\rangle" -> r"\langle".

    Raises: ValueError where it is not one symbol.
    """
    tokens = TOKEN.findall(TEXT.sub(" ", tex))
    names = {name for base, below, above, _ in _atoms(tokens) for name in _names(base, below, above)[:1]}
    if len(names) != 1:
        raise ValueError(f"one symbol must stand here, with its accent and scripts; got {tex!r}: {sorted(names)}")
    return names.pop()


def _collect(tokens: list[str], listed: set[str]) -> Iterator[str]:
    for base, below, above, inside in _atoms(tokens):
        name = next((name for name in _names(base, below, above) if name in listed), base)
        if name:
            yield name
        scripts = [below if "_" not in name else [], above if "^" not in name else [], inside]
        for script in scripts:
            yield from _collect(script, listed)


def _names(base: str, below: list[str], above: list[str]) -> list[str]:
    """How an atom may be listed, the fullest name first."""
    low, high = "".join(below), "".join(above)
    low, high = (f"_{low}" if low else ""), (f"^{high}" if high else "")
    return list(dict.fromkeys([base + low + high, base + low, base + high, base]))


def _atoms(tokens: list[str]) -> Iterator[tuple[str, list[str], list[str], list[str]]]:
    """(base, subscript, superscript, what else it holds) of everything in the tokens that can be a symbol."""
    i = 0
    while i < len(tokens):
        token, inside, base = tokens[i], [], ""
        i += 1
        following = tokens[i] if i < len(tokens) else ""
        if token in FRACTIONS:
            above, i = _argument(tokens, i)
            below, i = _argument(tokens, i)
            if not (above == ["d"] and below[0] == "d" and len(below) > 1):  # d/dt is no symbol
                yield "", [], [], above
            yield "", [], [], below
            continue
        if token in ACCENTS:
            letter, i = _argument(tokens, i)
            base = f"{token} {''.join(letter)}"
        elif token == r"\overline":
            inside, i = _argument(tokens, i)
            base = token
        elif token == r"\Delta" and following.isalpha():
            base, i = rf"\Delta {following}", i + 1
        elif token == "d" and (following.isalpha() or following in GREEK | {r"\tilde"}):
            continue  # a differential
        elif token.isalpha() or token in SAME or token in GREEK or re.fullmatch(r"\\[A-Za-z]+", token):
            base = "" if token in SCHOOL else SAME.get(token, token)
        below, above, i = _scripts(tokens, i - 1 if token in "_^" else i)
        if base or below or above or inside:
            yield base, below, above, inside


def _scripts(tokens: list[str], i: int) -> tuple[list[str], list[str], int]:
    found: dict[str, list[str]] = {"_": [], "^": []}
    while i < len(tokens) and tokens[i] in "_^'":
        if tokens[i] == "'":
            i += 1
            continue
        kind = tokens[i]
        found[kind], i = _argument(tokens, i + 1)
    return found["_"], found["^"], i


def _argument(tokens: list[str], i: int) -> tuple[list[str], int]:
    """What stands in braces at i, or the one token (an accent with its letter), and where it ends."""
    if i >= len(tokens):
        return [], i
    if tokens[i] in ACCENTS:
        letter, end = _argument(tokens, i + 1)
        return [tokens[i], *letter], end
    if tokens[i] != "{":
        return [tokens[i]], i + 1
    depth, end = 1, i + 1
    while depth and end < len(tokens):
        depth += {"{": 1, "}": -1}.get(tokens[end], 0)
        end += 1
    return tokens[i + 1 : end - 1], end


def notebook_symbols(notebook, listed: Iterable[str] = ()) -> set[str]:
    """The symbols of a notebook: of its prose, and of the questions in its code."""
    texts = prose(notebook)
    for cell in filter(is_question, notebook.cells):
        constants = (node.value for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Constant))
        texts += [value for value in constants if isinstance(value, str)]
    return {symbol for text in texts for tex in formulas(text) for symbol in symbols(tex, listed)}
