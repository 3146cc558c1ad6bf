"""The course as a site that reads without scripts: make book, or python -m flowlib.pages.book.

MyST-NB reads notebooks and Markdown, autodoc the library's docstrings; Sphinx resolves the links and makes the search,
which is the one thing that needs a script; the theme Furo puts the frame around it, light and dark. Formulas are
MathML. Nothing on a page is fetched from anywhere but the site. Chapters stand as they were
executed; they are run once more for the pictures that their explorers move to (`stills`).
"""

import re
import shutil
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import tyro

import flowlib
from flowlib.authoring.course import Stamp, root_of
from flowlib.files import rename, save_text
from flowlib.pages.crosslinks import published, repository
from flowlib.pages.font import font, letters
from flowlib.pages.mathml import MATH, TEMPLATES
from flowlib.pages.stills import draw_stills

MARK = ".made-by-flowlib"  # in a book: the list of its files, so that nothing else is ever replaced
NEEDED = ("sphinx", "myst_nb", "furo", "math_core", "nbformat", "sphinx_copybutton", "sphinxext.opengraph")
CARD = "_static/card.png"  # the picture that a link to a page shows elsewhere
EPUB = "flowlib.epub"
LEAD_TO_EPUB = f'\n<p>For a device of your own: <a href="{EPUB}">the whole book as an ePub</a>.</p>\n\n'
NO_ADDRESS = re.compile(r'<meta property="og:url"[^>]*>\n?')  # of a book that lies nowhere yet
CORRECTIONS = {  # what a screen reader needs, and Furo and Sphinx forget
    '<p class="caption" role="heading"': '<p class="caption" role="heading" aria-level="2"',  # a heading has a level
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="All pages">',  # two of a kind
    '<aside class="toc-drawer">': '<aside class="toc-drawer" aria-label="On this page">',
    '<summary aria-label="Toggle hidden content">': "<summary>",  # its words say more
    "<dl>\n<dd>": '<dl role="none">\n<dd>',  # arguments, one a line: a list of descriptions of nothing
}
SETTINGS = {
    "project": "flowlib",
    "release": flowlib.__version__,
    "root_doc": "index",
    "language": "en",
    "extensions": [
        "myst_nb",
        "sphinx.ext.autodoc",
        "sphinx_copybutton",
        "sphinxext.opengraph",
        "flowlib.pages.extension",
        "flowlib.pages.river",
    ],
    "suppress_warnings": ["myst.header"],  # a chapter may go from ## to ####
    # Markdown as Jupyter reads it, and nothing of MyST that a notebook may write by chance.
    "myst_enable_extensions": ["dollarmath", "strikethrough"],
    "myst_disable_syntax": ["myst_line_comment", "myst_block_break", "myst_target", "myst_role", "front_matter"],
    "myst_dmath_double_inline": True,
    "myst_heading_anchors": 6,
    "myst_heading_slug_func": "flowlib.pages.extension.slug",
    "nb_execution_mode": "off",
    "nb_render_markdown_format": "myst",
    "nb_render_text_lexer": "none",
    "nb_mime_priority_overrides": [("html", "application/javascript", None)],
    "nb_ipywidgets_js": {},
    # The library: signatures with shapes, one argument a line where they are long.
    "autodoc_inherit_docstrings": False,
    "autodoc_preserve_defaults": True,
    "autodoc_typehints_format": "short",
    "python_use_unqualified_type_names": True,
    "python_display_short_literal_types": True,
    "maximum_signature_line_length": 110,
    "add_module_names": False,
    "toc_object_entries_show_parents": "hide",
    "smartquotes": False,
    "html_title": "flowlib: a Transformer is a river",
    "html_theme": "furo",
    "html_static_path": [str(TEMPLATES / "book")],
    "html_css_files": ["book.css", "math.css"],
    "html_js_files": [(name, {"defer": "defer"}) for name in ("make.js", "explorers.js", "questions.js", "reach.js")],
    "html_math_renderer": "mathml",
    "html_favicon": str(TEMPLATES / "book" / "icon.svg"),
    "copybutton_selector": "div.cell_input div.highlight pre, div.highlight-default pre",
    "copybutton_copy_empty_lines": True,
    "ogp_site_url": "",  # nobody knows where a copy of the book will lie: see `address_pages`
    "ogp_site_name": "flowlib: a Transformer is a river",
    "ogp_type": "article",
    "ogp_description_length": 200,
    "ogp_social_cards": {"enable": False},
    "html_copy_source": False,
    "html_show_sphinx": False,
    "html_show_copyright": False,
    "html_use_index": False,
    "html_domain_indices": False,
    "html_sidebars": {"**": ["sidebar/brand.html", "sidebar/search.html", "sidebar/navigation.html"]},
    "html_theme_options": {"top_of_page_buttons": []},
    "pygments_style": "a11y-high-contrast-light",
}


def add_dark_braces(css: str) -> str:
    """The style sheet of formulas, with light braces where the page is dark."""
    light = re.search(r"^math \{\n.*?^\}$", css, re.MULTILINE | re.DOTALL)[0].replace("%231c2833", "%23cfd0d0")
    chosen = light.replace("math {", 'body[data-theme="dark"] math {', 1)
    wished = light.replace("math {", 'body:not([data-theme="light"]) math {', 1)
    return f"{css}@media screen {{\n{chosen}\n}}\n@media screen and (prefers-color-scheme: dark) {{\n{wished}\n}}\n"


def write_sources(root: Path, folder: Path, stills: Mapping[str, Path]) -> None:
    """What Sphinx reads: texts, and the pictures that they show."""
    from flowlib.pages.contents import contents, pictures

    texts = contents(root, stills)
    for file, text in texts.items():
        save_text(text, folder / file)
    for place, picture in pictures(root, texts).items():
        if not picture.is_file():
            raise FileNotFoundError(f"a page shows {place}, which is not there")
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, folder / place)


def check_extra() -> None:
    """Raises: ImportError that says what to install."""
    for name in NEEDED:
        try:
            import_module(name)
        except ImportError as error:
            raise ImportError(f"the book needs more packages: pip install -e '.[book]' ({error})") from None


def address_pages(site: str) -> dict:
    """What link previews need: where the book lies, and a picture. Without an address nothing is claimed."""
    if not site:
        return {}
    picture = {"ogp_image": f"{site}{CARD}", "ogp_image_alt": "Letters of a text as lines that flow along the depth"}
    large = '<meta name="twitter:card" content="summary_large_image" />'
    return picture | {"ogp_site_url": site, "ogp_custom_meta_tags": [large]}


def run_sphinx(source: Path, out: Path, settings: dict, builder: str = "html") -> None:
    """Raises: ValueError where a formula cannot become MathML; RuntimeError where Sphinx warns."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace

    with docutils_namespace():  # what Sphinx adds to docutils goes when it is done
        trees, said = out.parent / "doctrees", {"status": None, "warning": sys.stderr}
        app = Sphinx(source, None, out, trees, builder, settings, **said, freshenv=True, warningiserror=True)
        app.build(force_all=True)
    if app.statuscode:
        raise RuntimeError("Sphinx warned while it made the book; its words are above")


def finish(out: Path, site: str = "") -> None:
    """What needs all pages: corrections, and a font with the letters of all formulas; the picture of link previews."""
    from flowlib.pages.river.film import shoot

    written = frozenset()
    for page in out.rglob("*.html"):
        html = page.read_text("utf-8")
        written |= letters(html)
        for theirs, ours in CORRECTIONS.items():
            html = html.replace(theirs, ours)
        html = html if site else NO_ADDRESS.sub("", html)
        save_text(html, page)
    (out / "_static" / "math.woff").write_bytes(font(written))
    save_text(add_dark_braces(MATH.read_text("utf-8")), out / "_static" / "math.css")
    if site:
        shoot(out / CARD)


def check_out(out: Path) -> None:
    """Raises: ValueError where something lies there that is no book made earlier, or more than the book."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise ValueError(f"the book needs a folder of its own, and {out} is a link or a file; try {out}-book")
    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / MARK).is_file():
        raise ValueError(f"{out} is no book that was made here; give an empty folder, or {out / 'book'}")
    foreign = sorted(set(list_files(out)) - {MARK, *(out / MARK).read_text("utf-8").splitlines()})
    if foreign:
        raise ValueError(f"{out} has more in it than the book: {', '.join(foreign[:5])}; move that away, and try again")


def list_files(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if not file.is_dir())


def put_book(site: Path, out: Path, aside: Path) -> None:
    """Put the site in place of the old one, which goes aside, and comes back if that fails."""
    save_text("\n".join(list_files(site)) + "\n", site / MARK)
    check_out(out)  # once more: the book took a minute
    if out.exists():
        rename(out, aside)
    try:
        rename(site, out)
    except OSError:
        if aside.exists():
            rename(aside, out)
        raise


def put_stills(stills: Mapping[str, Path], site: Path) -> None:
    """The pictures that explorers move to, beside the pages."""
    from flowlib.pages.contents import STILLS

    for chapter, folder in stills.items():
        shutil.copytree(folder, site / STILLS / chapter, ignore=shutil.ignore_patterns("*.json"))


def build(root: Path, out: Path, cache: Path | None = None, site: str = "", epub: Path | None = None) -> list[Path]:
    """Make the site in `out`, whole or not at all; its pages.

    cache: where explorers' pictures are kept, and found again; without it explorers stand still, and nothing is run.
    site: the address at which the book will lie; without it, the one that `flowlib links --site` stamped.
    epub: the same for a device of one's own (flowlib.pages.epub), which the home page then leads to.

    Raises: ValueError where `out` is something else than a book made earlier, or a formula cannot become MathML;
    RuntimeError where Sphinx warns; FileNotFoundError for a picture; ImportError where the extra [book] is missing.
    """
    check_out(out)
    check_extra()
    site = Stamp(site=f"{site.rstrip('/')}/").site if site else published(root)
    out.parent.mkdir(parents=True, exist_ok=True)
    stills = draw_stills(sorted((root / "chapters").glob("*.ipynb")), cache) if cache else {}
    with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        source, made = Path(folder, "source"), Path(folder, "site")
        write_sources(root, source, stills)
        if epub:
            home = source / "index.md"
            save_text(home.read_text("utf-8").replace("\n```{toctree}", f"{LEAD_TO_EPUB}\n```{{toctree}}", 1), home)
        run_sphinx(source, made, SETTINGS | {"book_address": repository(root)} | address_pages(site))
        finish(made, site)
        put_stills(stills, made)
        if epub:
            shutil.copy(epub, made / EPUB)
        put_book(made, out, Path(folder, "old"))
    return sorted(out.rglob("*.html"))


def main(arguments: list[str] | None = None) -> int:
    def book(
        out: tyro.conf.Positional[Path] = Path("build/book"),
        quick: tyro.conf.FlagCreatePairsOff[bool] = False,
        site: str = "",
    ) -> int:
        """Make the course into a site that reads without scripts.

        Args:
            out: The folder to make it in.
            quick: Leave the explorers still. Else each chapter is run once, to draw them at all values of their
                controls; that is kept in build/stills until the chapter or the library changes.
            site: The address at which the book will lie, as https://owner.github.io/river/, for the previews of links
                to it; without it, the one that `flowlib links --site` has stamped.
        """
        root = root_of(Path.cwd())
        pages = build(root, out.absolute(), None if quick else root / "build" / "stills", site)
        print(f"{len(pages)} pages; open {out.absolute() / 'index.html'}")
        return 0

    try:
        return tyro.cli(book, prog="python -m flowlib.pages.book", args=arguments)
    except (ImportError, RuntimeError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1 if isinstance(error, ImportError | RuntimeError) else 2


if __name__ == "__main__":
    raise SystemExit(main())
