"""Formulas without scripts: TeX in, MathML out, as Chromium, Firefox and Safari draw it themselves."""

import re
from functools import cache
from pathlib import Path

TEMPLATES = Path(__file__).with_name("templates")
MATH = TEMPLATES / "page" / "math.css"  # how formulas look, on a page and in the book
SCRIPT = re.compile(r"<script\b.*?(</script\s*>|\Z)", re.DOTALL | re.IGNORECASE)
# Few fonts stretch a line or a brace along a formula as they should: style.css draws those, by these classes.
DRAWN = {
    '<mo stretchy="true">\u0332</mo></mover>': '<mo class="overline">\u203e</mo></mover>',
    '<mo stretchy="true">\u0332</mo></munder>': '<mo class="underline">_</mo></munder>',
    "<mo>\u23de</mo>": '<mo class="brace">\u23de</mo>',
    "<mo>\u23df</mo>": '<mo class="brace">\u23df</mo>',
}


@cache
def converter():
    try:
        from math_core import LatexToMathML
    except ImportError:
        raise ImportError("formulas become MathML with math-core: install it with pip install -e '.[pages]'") from None

    return LatexToMathML(annotation=True, fancy_error=False)


def mathml(tex: str, display: bool = False) -> str:
    r"""The formula as MathML, which carries its TeX along for whoever copies it: mathml(r"\frac12") -> "<math>...".

    Raises: ValueError where it is no TeX that can be drawn so.
    """
    convert = converter().convert_with_local_state
    from math_core import LatexError

    try:
        made = convert(tex.strip(), displaystyle=display)
    except LatexError as error:
        raise ValueError(f"this formula cannot become MathML: {tex.strip()!r}; {str(error).strip()}") from None
    for theirs, ours in DRAWN.items():
        made = made.replace(theirs, ours)
    return made


def without_scripts(html: str) -> str:
    return SCRIPT.sub("", html)
