"""A chapter as slides for a beamer: what is to be seen, to be voted on, and to be kept; the prose is the lecturer's.

One file of HTML without scripts: each slide fills the window, and scrolling stops at each. Space or Page Down, which
a presenter's remote sends, goes on. Printed, each slide is a page.
"""

import re
from html import escape
from pathlib import Path

from flowlib.authoring.notebooks import LINKS, is_question, read
from flowlib.pages.mathml import TEMPLATES, without_scripts
from flowlib.pages.page import markdown, style, title

HEADING = re.compile(r"^(#{1,3}) +(.+?) *$", re.MULTILINE)
FORMULA = re.compile(r"\$\$.+?\$\$", re.DOTALL)
CLAIMS = re.compile(r"^> \*\*Claim C[\d.]+.*(?:\n>.*)*", re.MULTILINE)
DETAILS = re.compile(r"<details>.*?</details>", re.DOTALL)
OTHERS = (">", "|", "-", "*", "$$", "<", "`", "#", "1.")  # quotations, tables, lists, formulas, HTML, code
SUMMARY = re.compile(r"</?details>|<summary>.*?</summary>", re.DOTALL)
LETTER = re.compile(r"^\*\*Predict[^(*]*(\(Q[\d.]+\))\.\*\*", re.MULTILINE)


def make_deck(chapter: Path) -> tuple[str, int]:
    """The deck of a stored notebook, and how many slides it has. Nothing is executed.

    Raises: FileNotFoundError; ValueError where a formula cannot become MathML.
    """
    notebook = read(chapter)
    slides = [slide for cell in notebook.cells for slide in make_slides(cell)]
    body = "\n".join(f'<section class="{kind}">\n{html}\n</section>' for kind, html in slides)
    sheet = style(body) + (TEMPLATES / "slides.css").read_text("utf-8")
    head = f'<meta charset="utf-8"><title>{escape(title(notebook))}</title><style>\n{sheet}</style>'
    page = f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'
    return without_scripts(page), len(slides)


def make_slides(cell) -> list[tuple[str, str]]:
    """The slides of one cell, each with its kind."""
    if cell.cell_type == "markdown":
        return make_words(LINKS.sub("", cell.source))
    if is_question(cell):
        return make_vote(cell)
    return [("figure", html) for output in cell.get("outputs", []) if (html := make_figure(output))]


def make_words(text: str) -> list[tuple[str, str]]:
    """Of prose: each heading with what it begins with, and the claims."""
    slides = []
    parts = HEADING.split(DETAILS.sub("", text))
    for level, heading, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        first = next((part for part in body.strip().split("\n\n") if is_plain(part)), "")
        formula = FORMULA.search(body)
        shown = "\n\n".join([f"{level} {heading}", first, formula[0] if formula else ""])
        slides.append(("opening" if level == "#" else "heading", markdown(shown, exclude_anchor_links=True)))
    slides += [("claim", markdown(claim[0])) for claim in CLAIMS.finditer(text)]
    return slides


def is_plain(paragraph: str) -> bool:
    """A short paragraph of words."""
    return 0 < len(paragraph) < 600 and not paragraph.lstrip().startswith(
        (">", "|", "-", "*", "$$", "<", "`", "#", "1.")
    )


def make_vote(cell) -> list[tuple[str, str]]:
    """A question with its choices; then its answer, as the cell's stored output tells both."""
    said = [output.data["text/markdown"] for output in cell.outputs if "text/markdown" in output.get("data", {})]
    asked = LETTER.sub(r"\1", DETAILS.sub("", said[0] if said else "")).strip()
    told = SUMMARY.sub("", "".join(DETAILS.findall(said[0] if said else ""))).strip()
    kinds = (("vote", asked), ("answer", told))
    return [(kind, markdown(text)) for kind, text in kinds if text]


def make_figure(output) -> str:
    """A picture with its words below; "" where the output has none."""
    data = output.get("data", {})
    html, picture = data.get("text/html", ""), data.get("image/png", "")
    if "<img" in html or "<svg" in html:
        return without_scripts(html)
    return f'<img alt="" src="data:image/png;base64,{picture}">' if picture else ""
