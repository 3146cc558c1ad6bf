"""Where the course lies on the web, written into README and every notebook: the links, and the set-up cell.

    flowlib links OWNER/NAME --ref REF        stamp
    flowlib links --check                     do README, notebooks and set-up cells agree?

The address stands in etc/links.json. From it come the line of links under each title, between the marks <!-- links -->
and <!-- /links -->, and the set-up cell: the first code cell of every notebook, the same text in all of them. `plan`
finds what has to change and writes nothing; `save_all` writes all of it, or nothing.
"""

import json
import os
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

OPEN, CLOSE = "<!-- links -->", "<!-- /links -->"
MARK = re.compile(f"({OPEN}).*?({CLOSE})", re.DOTALL)
LEAD = "**Open:** "  # a line that began with a mark would be HTML, and no links
RECORD = "etc/links.json"
NOTEBOOKS = ("chapters/*.ipynb", "exercises/source/*/*.ipynb", "exercises/release/*/*.ipynb")
FIRST = "chapters/00_the_river.ipynb"
OWNER = r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}"
NAME = r"(?!\.{1,2}$)(?![^/]*\.git$)[A-Za-z0-9._-]{1,100}"

SETUP_ID = "setup-cell"
TITLE = "# @title Set-up: nothing to do where flowlib is installed. On Colab, this cell installs it."
SETUP = (
    TITLE
    + """
from importlib.util import find_spec

COURSE = "{address}"  # written here by: flowlib links OWNER/NAME
if not find_spec("flowlib"):
    import subprocess
    import sys
    from importlib.metadata import version

    if not (COURSE and find_spec("google") and find_spec("google.colab")):
        raise ModuleNotFoundError(
            "flowlib is not here: run `make lab` in your copy of the course, or pip install -e '.[lab]'; "
            "for Colab, let flowlib links OWNER/NAME write the copy's address into its notebooks first"
        )
    kept = [f"{{name}}=={{version(name)}}" for name in ("torch", "numpy", "matplotlib", "ipython", "ipywidgets")]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-warn-conflicts"]
    subprocess.run([*pip, f"flowlib[notebook] @ {{COURSE}}", *kept], check=True)"""
)
FOLDED = {"cellView": "form", "jupyter": {"source_hidden": True}}  # in Colab, in JupyterLab
LOCKED = {
    "cell_type": "code",
    "grade": False,
    "grade_id": SETUP_ID,
    "locked": True,
    "schema_version": 3,
    "solution": False,
    "task": False,
}


class NotStamped(ValueError):
    """Something stands in the way; nothing was written."""


@dataclass(frozen=True)
class Stamp:
    """The repository on GitHub, as OWNER/NAME, and the branch, tag or commit; an empty one is not known yet.

    Raises: ValueError where it is no name that GitHub gives.
    """

    repository: str = ""
    ref: str = "main"

    def __post_init__(self):
        if self.repository and not re.fullmatch(f"{OWNER}/{NAME}", self.repository):
            raise ValueError(
                f"the repository must be OWNER/NAME, as in the address https://github.com/OWNER/NAME, without .git; "
                f"got {self.repository!r}"
            )
        if not re.fullmatch(r"[A-Za-z0-9][\w./-]*", self.ref, re.ASCII) or re.search(r"\.\.|//|[/.]$", self.ref):
            raise ValueError(f"--ref must be a branch, a tag or a commit, such as main or v1.0; got {self.ref!r}")

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
        return SETUP.format(address=self.address)

    def line(self, path: str) -> str:
        """The links of the file at this path in the repository; what to run, where the address is not known."""
        page = FIRST if path == "README.md" else path.replace("exercises/source/", "exercises/release/")
        if not self.repository:
            chapters = os.path.relpath(FIRST, os.path.dirname(path)).replace(os.sep, "/")
            near = {"README.md": "[course map](#chapters)", FIRST: "course map: at the end of this chapter"}
            todo = "Binder, Colab: after `flowlib links OWNER/NAME`, run once in your copy of the course"
            return f"{near.get(path, f'[course map]({chapters})')} · {todo}"
        where, ref = self.repository, quote(self.ref, safe="")
        links = {
            "course map": f"{self.files}README.md#chapters",
            "in Binder": f"https://mybinder.org/v2/gh/{where}/{ref}?urlpath=lab/tree/{page}",
            "in Colab": f"https://colab.research.google.com/github/{where}/blob/{self.ref}/{page}",
        }
        return " · ".join(f"[{name}]({link})" for name, link in links.items())


# ------------------------------------------------------------------------------------------------ the whole course


def root_of(folder: Path) -> Path:
    """The copy of the course that `folder` lies in. Raises: FileNotFoundError where it lies in none."""
    for root in (folder, *folder.parents):
        if (root / "chapters").is_dir() and (root / RECORD).is_file():
            return root
    raise FileNotFoundError(f"{folder} lies in no copy of the course (chapters/ and {RECORD}); change to yours")


def recorded(root: Path) -> Stamp:
    """The address that was stamped last."""
    try:
        return Stamp(**json.loads((root / RECORD).read_text("utf-8")))
    except (json.JSONDecodeError, TypeError) as error:
        raise NotStamped(f"{RECORD} must hold a repository and a ref, and nothing else: {error}") from None


def notebooks(root: Path) -> list[Path]:
    """Every notebook that is stamped, in order."""
    return [path for pattern in NOTEBOOKS for path in sorted(root.glob(pattern))]


def plan(root: Path, stamp: Stamp) -> dict[Path, str]:
    """The files that say something else than the stamp, each with what it has to say. Nothing is written.

    Raises: NotStamped with everything that stands in the way: no JSON, half a mark, two set-up cells.
    """
    texts, troubles = {root / RECORD: json.dumps(asdict(stamp), indent=1) + "\n"}, []
    for path in [root / "README.md", *notebooks(root)]:
        name = path.relative_to(root).as_posix()
        try:
            text = path.read_bytes().decode("utf-8")
            made = linked(text, stamp.line(name)) if path.suffix == ".md" else stamped(text, name, stamp)
        except (ValueError, OSError) as error:
            troubles.append(f"{name}: {error}")
            continue
        texts[path] = made
    if troubles:
        raise NotStamped("nothing was written, because of\n" + "\n".join(troubles))
    return {path: text for path, text in texts.items() if path.read_bytes().decode("utf-8") != text}


def unsaved(root: Path, paths: list[Path]) -> list[str]:
    """Those of the files that git knows with changes that are not committed; none where there is no git."""
    if not shutil.which("git") or not paths:
        return []
    command = ["git", "status", "--porcelain", "-z", "--no-renames", "--untracked-files=no", "--", *map(str, paths)]
    told = subprocess.run(command, cwd=root, capture_output=True, text=True, encoding="utf-8")
    return [line[3:] for line in told.stdout.split("\0") if line] if told.returncode == 0 else []


def save_all(texts: dict[Path, str]) -> None:
    """Write every file, or none where one cannot be written: all new ones beside the old ones, then renamed."""
    new = {path: path.with_name(f".{path.name}.{os.getpid()}") for path in texts}
    try:
        for path, text in texts.items():
            new[path].write_bytes(text.encode("utf-8"))
            shutil.copymode(path, new[path])
        for path in texts:
            os.replace(new[path], path)
    finally:
        for path in new.values():
            path.unlink(missing_ok=True)


# ------------------------------------------------------------------------------------------------ one file


def linked(text: str, line: str) -> str:
    """The Markdown with this line between its marks; where there are none, they come under its title."""
    if text.count(OPEN) != text.count(CLOSE) or text.count(OPEN) > 1 or (OPEN in text and not MARK.search(text)):
        raise ValueError(f"it must have {OPEN} and, after it, {CLOSE}, each once; mend them, or take both away")
    if OPEN in text:
        return MARK.sub(lambda found: f"{found[1]}{line}{found[2]}", text)
    if not re.match(r"# .", text):
        raise ValueError("it must begin with its title, '# ...': the links come under it")
    end = re.search(r"\r?\n|\Z", text)
    gap = (end[0] or "\n") * 2
    return f"{text[: end.start()]}{gap}{LEAD}{OPEN}{line}{CLOSE}{text[end.start() :]}"


def stamped(text: str, name: str, stamp: Stamp) -> str:
    """The notebook, as text, with links and set-up cell; all else stays as it is, byte for byte."""
    try:
        book = json.loads(text)
        cells = book["cells"]
        first = cells[0]
    except (json.JSONDecodeError, TypeError, KeyError, IndexError):
        raise ValueError("it is no notebook in JSON with a first cell; open it in JupyterLab, or restore it") from None
    form = form_of(text, book)
    if first["cell_type"] != "markdown":
        raise ValueError("its first cell must be Markdown with the title, '# ...'")
    sealed = [first, set_up_cell(cells)]
    write(first, linked(source(first), stamp.line(name)))
    write(sealed[1], stamp.setup())
    if name.startswith("exercises/"):
        lock(sealed, release=name.startswith("exercises/release/"))
    return form(book)


def set_up_cell(cells: list[dict]) -> dict:
    """The set-up cell, which is the first code cell; a new one under the first cell, where there is none."""
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    found = [i for i, cell in enumerate(code) if is_setup(source(cell))]
    if found not in ([], [0]):
        raise ValueError(f"there must be one set-up cell, and no code cell before it; it is code cell {found}")
    if found:
        return code[0]
    made = {
        "cell_type": "code",
        "execution_count": None,
        "id": SETUP_ID,
        "metadata": dict(FOLDED),
        "outputs": [],
        "source": [],
    }
    cells.insert(1, made)
    return made


def is_setup(source: str) -> bool:
    return source.startswith(TITLE[: TITLE.index(":")])


def source(cell: dict) -> str:
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def write(cell: dict, text: str) -> None:
    """Give the cell this source, in the form that it had: one string, or a list of lines."""
    if source(cell) != text:
        cell["source"] = text if isinstance(cell["source"], str) else text.splitlines(keepends=True)


def lock(cells: list[dict], *, release: bool) -> None:
    """What nbgrader wants to know of the set-up cell; in a release, the checksums that tell a changed cell."""
    setup = cells[1]
    setup["metadata"].setdefault("nbgrader", dict(LOCKED))
    if release:
        setup["metadata"] |= {"deletable": False, "editable": False}
        try:
            from nbformat import from_dict
            from nbgrader.utils import compute_checksum
        except ImportError:
            raise ValueError(
                "a release copy carries nbgrader's checksums, so nbgrader must be here: pip install -e '.[classroom]'"
            ) from None
        for cell in cells:
            mark = cell["metadata"].get("nbgrader", {})
            if cell is setup or "checksum" in mark:
                mark["checksum"] = compute_checksum(from_dict({**cell, "source": source(cell)}))
    for cell in cells:  # sorted, as nbgrader and Jupyter write them
        cell["metadata"] = dict(sorted(cell["metadata"].items()))
        if "nbgrader" in cell["metadata"]:
            cell["metadata"]["nbgrader"] = dict(sorted(cell["metadata"]["nbgrader"].items()))


def form_of(text: str, book: dict):
    """The function that writes a notebook in the form that `text` has: indent, separators, line ends, last line."""
    newline, end = ("\r\n" if "\r\n" in text else "\n"), text[len(text.rstrip()) :]
    for indent, separators in ((1, None), (2, None), (4, None), (None, None), (None, (",", ":"))):
        for ascii in (False, True):

            def form(made, indent=indent, separators=separators, ascii=ascii):
                lines = json.dumps(made, indent=indent, separators=separators, ensure_ascii=ascii)
                return lines.replace("\n", newline) + end

            if form(book) == text:
                return form
    raise ValueError("its JSON is not written as Jupyter writes it; open it in JupyterLab, save it, and try again")
