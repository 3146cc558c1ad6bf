"""A look as one page of HTML that asks nobody for anything: pictures inside, no script, for phones, light and dark."""

import re
from html import escape
from pathlib import Path

from flowlib.files import as_path, save_text
from flowlib.notebook.course import read_chapters
from flowlib.notebook.figures.canvas import mark_spaces
from flowlib.notebook.inside.claims import CLAIMS, name_chapter
from flowlib.notebook.inside.parts import PARTS, Part
from flowlib.notebook.show import check_alt, css_size, figure_tag, png
from flowlib.studies.look import Look

STYLE = (Path(__file__).parent / "page.css").read_text("utf-8")
SIGN = '<meta name="generator" content="flowlib look">'


def write_page(look: Look, file: Path | str, ledger: str = "") -> Path:
    """Write the page of a look, whole or not at all. ledger: the address of the claims' ledger, where one is known."""
    file = as_path(file, "file")
    save_text(make_page(look, ledger), file)
    return file


def make_page(look: Look, ledger: str = "") -> str:
    """The page, as a string."""
    parts = [make(look) for make in PARTS.values()]
    s = look.subject
    text = "".join(s.tokens) if s.readout is not None and s.at == -1 else " ".join(s.tokens)
    title = f"Inside {s.name}"
    body = "\n".join(part_html(part) for part in parts)
    used = [name for name in CLAIMS if any(name in part.claims for part in parts)]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">{SIGN}\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{STYLE}</style></head>\n<body><main>\n<h1>{escape(title)}</h1>\n"
        f'<p class="lead">{escape(s.kind)}. Looked at with {len(s.tokens)} tokens:</p>\n'
        f"<blockquote>{escape(mark_spaces(shorten(text)))}</blockquote>\n"
        "<p>A Transformer is a flow: its layers are steps of one field u. Every number below was measured on this "
        "model and this input, and names the claim of the course that says what such a number means.</p>\n"
        f"{body}\n{claims_html(used, ledger)}\n</main></body></html>\n"
    )


def shorten(text: str, most: int = 400) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def part_html(part: Part) -> str:
    """A section: sentences, pictures over their captions, tables that scroll on a small screen."""
    words = "".join(f"<p>{sentence}</p>" for sentence in part.words)
    pictures = "".join(picture_html(fig, caption) for fig, caption in part.pictures)
    tables = "".join(table_html(table, caption) for table, caption in part.tables)
    rests = ", ".join(f'<a href="#{name}">{name}</a>' for name in part.claims)
    rests = f'<p class="rests">What such numbers mean: {rests}.</p>' if rests else ""
    return f"<section>\n<h2>{escape(part.title)}</h2>\n{words}\n{pictures}\n{tables}\n{rests}</section>"


def table_html(table: str, caption: str) -> str:
    """A table under its caption; it scrolls where it is wider than the screen."""
    words = re.sub("<.*?>", "", caption)
    region = f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(words, quote=True)}">'
    return f'<p class="caption">{caption}</p>{region}{table}</div>'


def picture_html(fig, caption: str) -> str:
    return figure_tag(png(fig), check_alt(caption), *css_size(fig))


def claims_html(used: list[str], ledger: str) -> str:
    """The claims that were named, each with its sentence and its chapter."""
    chapters = {chapter.number: chapter.name for chapter in read_chapters()}
    link = lambda name: f'<a href="{escape(ledger, quote=True)}">{name}</a>' if ledger else name
    rows = "".join(
        f'<li id="{name}"><strong>{link(name)}</strong> {escape(CLAIMS[name])} '
        f"<span>(chapter {escape(chapters.get(name_chapter(name), str(name_chapter(name))))})</span></li>"
        for name in used
    )
    return f'<section>\n<h2>The claims behind the numbers</h2>\n<ul class="claims">{rows}</ul></section>'
