"""A copy of the course: where it begins, its notebooks, where it lies on the web, and what its notebooks say of that.

The address stands in etc/links.json; `flowlib links OWNER/NAME` writes it there, and from there into the notebooks.
"""

import json
import os
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import quote

DISTRIBUTION = "transformer-river"  # the name by which pip knows flowlib
RECORD = "etc/links.json"
NOTEBOOKS = ("chapters/*.ipynb", "exercises/source/*/*.ipynb", "exercises/release/*/*.ipynb")
FIRST = "chapters/00_the_river.ipynb"
OWNER = r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}"
NAME = r"(?!\.{1,2}$)(?![^/]*\.git$)[A-Za-z0-9._-]{1,100}"
SETUP_TITLE = "# @title Set-up: nothing to do where flowlib is installed. On Colab, this cell installs it."
SETUP = (
    SETUP_TITLE
    + """
from importlib.util import find_spec

COURSE = "{address}"  # where Colab installs flowlib from
if not getattr(find_spec("flowlib"), "origin", None):  # a mere folder of that name has none
    import subprocess
    import sys
    from importlib.metadata import version

    if not (COURSE and find_spec("google") and find_spec("google.colab")):
        raise ModuleNotFoundError(
            "flowlib is not here: run `make lab` in your copy of the course, or pip install -e '.[lab]'; "
            "on Colab, open a copy of the course that says on top of its notebooks where it lies on the web"
        )
    kept = [f"{{name}}=={{version(name)}}" for name in ("torch", "numpy", "matplotlib", "ipython", "ipywidgets")]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-warn-conflicts"]
    subprocess.run([*pip, f"{distribution}[notebook] @ {{COURSE}}", *kept], check=True)"""
)


KEYS = "**Run:** Shift+Enter runs a cell and goes on to the next; *Run ▸ Run All Cells* runs them all"
RUN = f"{KEYS} (on Colab, *Runtime ▸ Run all*). A question answers once its cell has run."
RUN_ASSIGNMENT = f"{KEYS} (on Colab, *Runtime ▸ Run all*). A check answers once its cell has run."


@dataclass(frozen=True)
class Stamp:
    """The repository on GitHub, as OWNER/NAME; the branch, tag or commit; the folder on the web that the book lies in.
    What is empty is not known yet.

    Raises: ValueError where it is no name that GitHub gives, or no address of a folder.
    """

    repository: str = ""
    ref: str = "main"
    site: str = ""

    def __post_init__(self):
        if self.repository and not re.fullmatch(f"{OWNER}/{NAME}", self.repository):
            raise ValueError(
                f"the repository must be OWNER/NAME, as in the address https://github.com/OWNER/NAME, without .git; "
                f"got {self.repository!r}"
            )
        if not re.fullmatch(r"[A-Za-z0-9][\w./-]*", self.ref, re.ASCII) or re.search(r"\.\.|//|[/.]$", self.ref):
            raise ValueError(f"--ref must be a branch, a tag or a commit, such as main or v1.0; got {self.ref!r}")
        if self.site and not re.fullmatch(r"https://[\w.-]+(:\d+)?/([\w.~-]+/)*", self.site, re.ASCII):
            raise ValueError(
                f"--site must be the address of a folder, such as https://owner.github.io/river/, with its last slash; "
                f"got {self.site!r}"
            )

    @property
    def address(self) -> str:
        """What pip installs on Colab: one archive of the files, without their history."""
        return f"https://github.com/{self.repository}/archive/{self.ref}.zip" if self.repository else ""

    @property
    def files(self) -> str:
        """Where the files of the course stand on the web."""
        return f"https://github.com/{self.repository}/blob/{self.ref}/" if self.repository else ""

    def setup(self) -> str:
        """The source of the set-up cell."""
        return SETUP.format(address=self.address, distribution=DISTRIBUTION)

    def line(self, path: str) -> str:
        """The links of the file at this path in the repository, and how a notebook is run.

        As long as the address is not known, there is a link to the course map of this copy, and no other.
        """
        if path == "README.md":
            live = f"[live in your browser]({self.site}river.html) · [as a book]({self.site}index.html) · "
            return live * bool(self.site) + self.links(FIRST, "#chapters")
        map_here = os.path.relpath("README.md", os.path.dirname(path)).replace(os.sep, "/") + "#Chapters"
        run = RUN_ASSIGNMENT if path.startswith("exercises/") else RUN
        return f"{self.links(path.replace('exercises/source/', 'exercises/release/'), map_here)}\n\n{run}"

    def links(self, page: str, map_here: str) -> str:
        """Where this page opens on the web, once that is known, and the course map."""
        if not self.repository:
            return f"[course map]({map_here})"
        where, ref = self.repository, quote(self.ref, safe="")
        links = {
            "course map": f"{self.files}README.md#chapters",
            "in Binder": f"https://mybinder.org/v2/gh/{where}/{ref}?urlpath=lab/tree/{page}",
            "in Colab": f"https://colab.research.google.com/github/{where}/blob/{self.ref}/{page}",
        }
        return " · ".join(f"[{name}]({link})" for name, link in links.items())


def read_stamp(root: Path) -> Stamp:
    """The address that was stamped last. Raises: ValueError where the record is damaged; FileNotFoundError."""
    try:
        return Stamp(**json.loads((root / RECORD).read_text("utf-8")))
    except (json.JSONDecodeError, TypeError) as error:
        raise ValueError(f"{RECORD} must hold a repository, a ref and a site, and nothing else: {error}") from None


def find_notebooks(root: Path) -> list[Path]:
    """Every notebook of the course, in order: chapters, assignments with solutions, assignments as handed out."""
    return [path for pattern in NOTEBOOKS for path in sorted(root.glob(pattern))]


def find_root(folder: Path) -> Path | None:
    """The copy of the course that a file or folder lies in, or None."""
    candidates = (folder, *folder.parents)
    return next((root for root in candidates if (root / "chapters").is_dir() and (root / RECORD).is_file()), None)


def root_of(folder: Path) -> Path:
    """The same. Raises: FileNotFoundError where it lies in none, which says where one is had."""
    if root := find_root(folder):
        return root
    raise FileNotFoundError(f"{folder} lies in no copy of the course (chapters/ and {RECORD}); {say_where()}")


def say_where() -> str:
    """Where the course is had: the copy that flowlib runs from, or the repository that it was installed from."""
    if own := find_root(Path(__file__).resolve()):
        return f"change to your copy of the course, {own}"
    if repository := find_repository():
        return f"get a copy of the course from {repository}, and change to it"
    return "change to a copy of the course, the folder that flowlib was built from"


def find_repository() -> str:
    """The repository on GitHub that pip installed flowlib from, as it wrote down; "" where it came from elsewhere."""
    try:
        noted = distribution(DISTRIBUTION).read_text("direct_url.json") or "{}"
    except PackageNotFoundError:
        return ""
    address = re.match(rf"https://github\.com/{OWNER}/[A-Za-z0-9._-]+", json.loads(noted).get("url", ""))
    return address[0].removesuffix(".git") if address else ""
