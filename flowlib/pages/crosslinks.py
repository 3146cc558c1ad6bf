"""Links of a notebook that lead to other files of the course, turned into links that work on a page.

A link to a file of the course is relative, as [chapter 04](04_layer_norm_is_a_projection.ipynb#Summary). On a page it
leads to the page of that file, where there is one; to the file in the repository, where its address is known
(`flowlib links` stamps it into etc/links.json); or nowhere, and then its words stay, as text.
"""

import re
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from posixpath import dirname, join, normpath

from flowlib.authoring.course import RECORD, find_root, read_stamp

LINK = re.compile(r'<a\b[^>]*?\bhref="([^"#:]+)(#[^"]*)?"[^>]*>(.*?)</a>', re.DOTALL)  # no "https:", no "#here"


def repository(root: Path | None) -> str:
    """The address that the files of this copy of the course have on the web, or "" where none was stamped."""
    return read_stamp(root).files if root and (root / RECORD).is_file() else ""


def published(root: Path) -> str:
    """The address at which the book of this copy of the course lies, or "" where none was stamped."""
    return read_stamp(root).site if (root / RECORD).is_file() else ""


def rewrite_links(html: str, file: str, pages: Mapping[str, str], address: str = "", otherwise: str = "text") -> str:
    """The page of `file`, whose links lead on. All files are named from the root of the course.

    pages: file -> its page. otherwise: what becomes of a link that leads nowhere; "text", or "link".
    """

    def lead(found: re.Match) -> str:
        path, place, words = found.groups()
        target = normpath(join(dirname(file), unescape(path)))
        if target in pages:
            return f'<a href="{pages[target]}{place or ""}">{words}</a>'
        if address and not target.startswith(".."):
            return f'<a href="{address}{target}{place or ""}">{words}</a>'
        return words if otherwise == "text" else found[0]

    return LINK.sub(lead, html)


def rewrite_links_of_page(html: str, path: Path | None) -> str:
    """A page that `jupyter nbconvert --to flowlib` makes: chapters beside it become pages beside it."""
    root = find_root(path.resolve()) if path else None
    if not root:
        return re.sub(r'(<a\b[^>]*?\bhref="[^"/#:]+)\.ipynb(#[^"]*)?"', r'\1.html\2"', html)
    file = path.resolve().relative_to(root.resolve())
    beside = path.resolve().parent.glob("*.ipynb")
    pages = {(file.parent / near.name).as_posix(): f"{near.stem}.html" for near in beside}
    return rewrite_links(html, file.as_posix(), pages, repository(root), otherwise="link")
