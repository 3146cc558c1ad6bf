"""The course as a site that reads without scripts: make book, or python -m flowlib.pages.book.

Each file becomes HTML as in flowlib.pages.page: formulas are MathML, pictures and their words are inside. Sphinx,
with the theme Furo, puts the frame around it: the list of chapters, next and previous, light and dark, a search (which
is the one thing that needs a script). Nothing on a page is fetched from anywhere but the site. Nothing is executed.
"""

import argparse
import re
from base64 import b64encode
from html import unescape
from importlib.metadata import version
from pathlib import Path

import nbformat
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.parsers import Parser

from flowlib.authoring.notebooks import read
from flowlib.files import save_text
from flowlib.pages.bibliography import bibliography
from flowlib.pages.crosslinks import led, repository
from flowlib.pages.font import font, letters
from flowlib.pages.page import MATH, TEMPLATES, PageExporter

HEADING = re.compile(r'<h([1-6]) id="([^"]*)">(.*?)</h\1>', re.DOTALL)
FRAME = re.compile(r"</?section\b[^>]*>\n?")
ANCHOR = re.compile(r'<a class="anchor-link".*?</a>', re.DOTALL)
NO_WORDS = re.compile(r"<annotation\b.*?</annotation>|<[^>]+>", re.DOTALL)
CAPTION = '<p class="caption" role="heading"'  # a heading has a level; Furo forgets it
# Of README, after its opening; the rest is for your own copy.
FRONT = ("Three doors", "Chapters", "What was measured", "Cite", "Licence")
BESIDE = {"chapters/notation.md": "notation", "chapters/claims.md": "claims", "exercises/README.md": "teaching"}
SETTINGS = {
    "project": "flowlib",
    "html_title": "flowlib: a Transformer is a river",
    "html_theme": "furo",
    "html_static_path": [str(TEMPLATES / "book")],
    "html_css_files": ["book.css", "math.css"],
    "html_copy_source": False,
    "html_show_sphinx": False,
    "html_show_copyright": False,
    "html_use_index": False,
    "html_sidebars": {"**": ["sidebar/brand.html", "sidebar/search.html", "sidebar/navigation.html"]},
    "html_theme_options": {"top_of_page_buttons": []},
    "pygments_style": "a11y-high-contrast-light",
    "extensions": ["flowlib.pages.book"],
    "root_doc": "index",
    "language": "en",
}


# ------------------------------------------------------------------------------------------------ what is in the book


def prose(text: str):
    """A page of Markdown as a notebook of one cell."""
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])


def front(readme: str) -> str:
    """What of README a reader of the book needs: its opening, and the sections FRONT."""
    opening, *sections = re.split(r"^## ", readme, flags=re.MULTILINE)
    kept = [f"## {section}" for section in sections if section.splitlines()[0].strip() in FRONT]
    return "\n".join([opening, *kept]).replace("(#chapters)", "(#Chapters)")  # as GitHub writes it, as a page does


def parts(root: Path) -> dict[str, dict[str, str]]:
    """The list on the left: its titles, and below each the files with the names of their pages."""
    chapters = {f"chapters/{path.name}": path.stem for path in sorted((root / "chapters").glob("*.ipynb"))}
    given = sorted((root / "exercises" / "release").glob("*/*.ipynb"))
    assignments = {path.relative_to(root).as_posix(): f"assignment_{path.stem}" for path in given}
    beside = {file: name for file, name in BESIDE.items() if (root / file).is_file()}
    return {"Chapters": chapters, "Beside the chapters": beside | {"": "bibliography"}, "Assignments": assignments}


def contents(root: Path) -> dict[str, tuple[str, object]]:
    """page -> the file it comes from, and the notebook to show."""
    listed = {name: file for part in parts(root).values() for file, name in part.items()}
    made = {"index": ("README.md", prose(front((root / "README.md").read_text("utf-8"))))}
    for name, file in listed.items():
        if file.endswith(".md"):
            made[name] = (file, prose((root / file).read_text("utf-8")))
        elif file:
            made[name] = (file, read(root / file))
    chapters = {Path(file).name: note for file, note in made.values() if re.fullmatch(r"chapters/\d.*\.ipynb", file)}
    return made | {"bibliography": ("chapters/bibliography.md", prose(bibliography(chapters)))}


def with_pictures(html: str, folder: Path) -> str:
    """The page with the PNG files that it shows in it, each named from `folder`.

    Raises: FileNotFoundError where one is missing.
    """

    def inside(found: re.Match) -> str:
        picture = b64encode((folder / found[1]).read_bytes()).decode("ascii")
        return f'src="data:image/png;base64,{picture}"'

    return re.sub(r'\bsrc="([^":]+\.png)"', inside, html)


def with_whole_numbers(html: str) -> str:
    """The page in whose tables 1.5e-06 is not broken at its hyphen."""
    return re.sub(r"<td>([^<a-df-z]*\de-\d[^<a-df-z]*)</td>", r'<td class="number">\1</td>', html)


class BodyExporter(PageExporter):
    """A page whose links the book leads on."""

    export_from_notebook = None

    def led(self, html: str, here: dict) -> str:
        return html


def bodies(root: Path) -> dict[str, str]:
    """page -> its HTML, without the frame.

    Raises: ValueError that names the file where a formula cannot become MathML.
    """
    exporter, address, made = BodyExporter(), repository(root), contents(root)
    pages = {file: f"{name}.html" for name, (file, _) in made.items()}
    found = {}
    for name, (file, notebook) in made.items():
        try:
            html, _ = exporter.from_notebook_node(notebook)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
        inside = html.split("<main>", 1)[1].rsplit("</main>", 1)[0]
        whole = with_whole_numbers(with_pictures(ANCHOR.sub("", FRAME.sub("", inside)), (root / file).parent))
        found[name] = led(whole, file, pages, address)
    return found


# ------------------------------------------------------------------------------------------------ what Sphinx is told


class Body(Parser):
    """HTML of our own, cut at its headings: so Sphinx knows the outline, and what to search."""

    supported = ("body",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        self.setup_parse(inputstring, document)
        opened: list[tuple[int, nodes.Element]] = [(0, document)]
        before, *pieces = HEADING.split(inputstring)
        add(document, before)
        for level, name, title, after in zip(*(pieces[i::4] for i in range(4))):
            words = unescape(NO_WORDS.sub("", title)).strip()
            while opened[-1][0] >= int(level):
                opened.pop()
            section = nodes.section("", nodes.title(words, words), ids=[unescape(name)], names=[])
            opened[-1][1].append(section)
            opened.append((int(level), section))
            add(section, after)
        env = document.settings.env
        if env.docname == "index":
            opened[1][1].extend(contents_list(caption, names) for caption, names in env.config.book_parts.items())
        self.finish_parse()


def add(place: nodes.Element, html: str) -> None:
    if html.strip():
        place.append(nodes.raw("", html, format="html"))


def contents_list(caption: str, names: list[str]) -> nodes.Element:
    """One part of the list on the left."""
    listed = {"entries": [(None, name) for name in names], "includefiles": names}
    options = {"caption": caption, "rawcaption": caption, "hidden": True, "includehidden": False, "glob": False}
    return addnodes.toctree(
        "", parent="index", maxdepth=1, numbered=0, titlesonly=True, rawentries=[], **listed, **options
    )


def setup(app: Sphinx) -> dict:
    app.add_config_value("book_parts", {}, "env")
    app.add_source_suffix(".body", "body")
    app.add_source_parser(Body)
    return {"parallel_read_safe": True}


def dark(css: str) -> str:
    """The style sheet of formulas, with light braces where the page is dark."""
    light = re.search(r"^math \{\n.*?^\}$", css, re.MULTILINE | re.DOTALL)[0].replace("%231c2833", "%23cfd0d0")
    chosen = light.replace("math {", 'body[data-theme="dark"] math {', 1)
    wished = light.replace("math {", 'body:not([data-theme="light"]) math {', 1)
    return f"{css}{chosen}\n@media (prefers-color-scheme: dark) {{\n{wished}\n}}\n"


def build(root: Path, out: Path) -> list[Path]:
    """Make the site in `out`; its pages.

    Raises: ValueError where a formula cannot become MathML; RuntimeError where Sphinx warns.
    """
    source, made = out.parent / f"{out.name}.source", bodies(root)
    source.mkdir(parents=True, exist_ok=True)
    for left in source.glob("*.body"):
        left.unlink()
    for name, html in made.items():
        save_text(html, source / f"{name}.body")
    listed = {caption: list(part.values()) for caption, part in parts(root).items() if part}
    settings = SETTINGS | {"book_parts": listed, "release": version("flowlib")}
    app = Sphinx(
        source,
        None,
        out,
        out.parent / f"{out.name}.doctrees",
        "html",
        confoverrides=settings,
        status=None,
        freshenv=True,
        warningiserror=True,
    )
    app.build(force_all=True)
    if app.statuscode:
        raise RuntimeError("Sphinx warned while it made the book; its words are above")
    for page in out.glob("*.html"):
        save_text(page.read_text("utf-8").replace(CAPTION, f'{CAPTION} aria-level="2"'), page)
    (out / "_static" / "math.woff").write_bytes(font(letters("".join(made.values()))))
    save_text(dark(MATH.read_text("utf-8")), out / "_static" / "math.css")
    return sorted(out.glob("*.html"))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m flowlib.pages.book", description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", default="build/book", type=Path, help="the folder to make it in")
    out = parser.parse_args(arguments).out.resolve()
    pages = build(Path.cwd(), out)
    print(f"{len(pages)} pages; open {out / 'index.html'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
