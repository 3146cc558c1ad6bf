"""The course's address in README and every notebook: the links under each title, and the set-up cell.

    flowlib links OWNER/NAME --ref REF        stamp
    flowlib links --check                     do README, notebooks and set-up cells agree?

The line of links stands between the marks <!-- links --> and <!-- /links -->; the set-up cell is the first code cell of
every notebook, the same text in all of them. `plan` finds what has to change and writes nothing; `save_all` writes all
of it, or nothing.
"""

import json
import re
import shutil
import subprocess
import tempfile
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path

import nbformat

from flowlib.authoring import notebooks
from flowlib.authoring.course import RECORD, Stamp, find_notebooks
from flowlib.authoring.moving import move
from flowlib.authoring.notebooks import LINKS, SETUP_ID, code_cells, is_setup

OPEN, CLOSE = "<!-- links -->", "<!-- /links -->"
LEAD = "**Open:** "  # a line that began with a mark would be HTML, and no links
CLONE = re.compile(r"^( +git clone )\S+", re.MULTILINE)
STAGE = "build"  # git ignores it: a kill leaves nothing that could be committed
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


# ------------------------------------------------------------------------------------------------ the whole course


def plan(root: Path, stamp: Stamp) -> dict[Path, str]:
    """The files that say something else than the stamp, each with what it has to say. Nothing is written.

    Raises: NotStamped with everything that stands in the way: no notebook, half a mark, two set-up cells.
    """
    texts, troubles = {root / RECORD: json.dumps(asdict(stamp), indent=1) + "\n"}, []
    for path in [root / "README.md", *find_notebooks(root)]:
        name = path.relative_to(root).as_posix()
        put = stamp_readme if path.suffix == ".md" else stamp_notebook
        try:
            texts[path] = put(path.read_bytes().decode("utf-8"), name, stamp)
        except UnicodeDecodeError:
            troubles.append(f"{name}: it is no text in UTF-8; save it as UTF-8, or restore it")
        except (ValueError, OSError) as error:
            troubles.append(f"{name}: {error}")
    if troubles:
        raise NotStamped("nothing was written, because of\n" + "\n".join(troubles))
    return {path: text for path, text in texts.items() if path.read_bytes().decode("utf-8") != text}


def find_uncommitted(root: Path, paths: list[Path]) -> list[str]:
    """Those of the files that git knows with changes that are not committed; none where there is no git."""
    if not shutil.which("git") or not paths:
        return []
    command = ["git", "status", "--porcelain", "-z", "--no-renames", "--untracked-files=no", "--", *map(str, paths)]
    told = subprocess.run(command, cwd=root, capture_output=True, text=True, encoding="utf-8")
    return [line[3:] for line in told.stdout.split("\0") if line] if told.returncode == 0 else []


def save_all(root: Path, texts: dict[Path, str]) -> None:
    """Write every file, or none where one cannot be written: all new ones in a folder aside, then renamed."""
    stage = root / STAGE
    stage.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="links-", dir=stage) as folder:
        new, old = {path: Path(folder, f"{i}-{path.name}") for i, path in enumerate(texts)}, {}
        for path, text in texts.items():
            new[path].write_bytes(text.encode("utf-8"))
            shutil.copymode(path, new[path])
            old[path] = Path(folder, f"{new[path].name}.old")
            shutil.copy2(path, old[path])
        try:
            for path in texts:
                move(new[path], path)
        except OSError:
            for path in texts:
                if not new[path].exists():
                    move(old[path], path)
            raise


# ------------------------------------------------------------------------------------------------ one file


def stamp_readme(text: str, name: str, stamp: Stamp) -> str:
    """README with its links, and with the address in its line `git clone`, where it has one."""
    address = f"https://github.com/{stamp.repository}.git" if stamp.repository else "ADDRESS"
    return CLONE.sub(rf"\g<1>{address}", put_line(text, name, stamp))


def put_line(text: str, name: str, stamp: Stamp) -> str:
    """The Markdown with its links between the marks; where there are none, they come under its title."""
    line = stamp.line(name)
    if text.count(OPEN) != text.count(CLOSE) or text.count(OPEN) > 1 or (OPEN in text and not LINKS.search(text)):
        raise ValueError(f"it must have {OPEN} and, after it, {CLOSE}, each once; mend them, or take both away")
    if OPEN in text:
        return LINKS.sub(lambda found: f"{found[1]}{line}{found[2]}", text)
    if not re.match(r"# .", text):
        raise ValueError("it must begin with its title, '# ...': the links come under it")
    end = re.search(r"\r?\n|\Z", text)
    gap = (end[0] or "\n") * 2
    return f"{text[: end.start()]}{gap}{LEAD}{OPEN}{line}{CLOSE}{text[end.start() :]}"


def stamp_notebook(text: str, name: str, stamp: Stamp) -> str:
    """The notebook, as text, with links and set-up cell; the same text where it has both already."""
    old = parse(text)
    book = deepcopy(old)
    if book.cells[0].cell_type != "markdown":
        raise ValueError("its first cell must be Markdown with the title, '# ...'")
    setup = find_setup_cell(book)
    book.cells[0].source = put_line(book.cells[0].source, name, stamp)
    setup.source = stamp.setup()
    if name.startswith("exercises/"):
        lock([book.cells[0], setup], release=name.startswith("exercises/release/"))
    if book == old:
        return text
    newline, end = ("\r\n" if "\r\n" in text else "\n"), text[len(text.rstrip()) :]
    return nbformat.writes(book).rstrip().replace("\n", newline) + end


def parse(text: str):
    """The notebook that stands in a text. Raises: ValueError where it is none, or an empty one."""
    book = notebooks.parse(text.encode("utf-8"))
    if not book.cells:
        raise ValueError("it is no notebook in JSON with a first cell; open it in JupyterLab, or restore it")
    return book


def find_setup_cell(book):
    """The set-up cell, which is the first code cell; a new one under the first cell, where there is none."""
    code = code_cells(book)
    found = [i for i, cell in enumerate(code) if is_setup(cell)]
    if found not in ([], [0]):
        raise ValueError(f"there must be one set-up cell, and no code cell before it; it is code cell {found}")
    if found:
        return code[0]
    book.cells.insert(1, nbformat.v4.new_code_cell(id=SETUP_ID, metadata=nbformat.from_dict(FOLDED)))
    return book.cells[1]


def lock(cells: list, *, release: bool) -> None:
    """What nbgrader wants to know of the set-up cell; in a release, the checksums that tell a changed cell."""
    setup = cells[1]
    setup.metadata.setdefault("nbgrader", nbformat.from_dict(LOCKED))
    if not release:
        return
    setup.metadata |= {"deletable": False, "editable": False}
    try:
        from nbgrader.utils import compute_checksum
    except ImportError:
        raise ValueError(
            "a release copy carries nbgrader's checksums, so nbgrader must be here: pip install -e '.[classroom]'"
        ) from None
    for cell in cells:
        mark = cell.metadata.get("nbgrader", {})
        if cell is setup or "checksum" in mark:
            mark["checksum"] = compute_checksum(cell)
