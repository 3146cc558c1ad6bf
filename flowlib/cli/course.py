"""Commands for the course: notebooks, contents, claims, links."""

import sys
from pathlib import Path

from flowlib.authoring.course import Stamp, read_stamp, root_of


def notebooks(paths: tuple[Path, ...] = (), /, dry: bool = False, tidy: bool = False) -> int:
    """Run notebooks in place and measure them.

    Each runs from top to bottom in a fresh kernel. Exit code 1 if a cell raised; that notebook stays as it was.

    Args:
        paths: Paths of .ipynb files; without one, all chapters.
        dry: Run, measure and look, write nothing.
        tidy: Run nothing: bring what is stored into its form (tags, what is folded, ids), and look.
    """
    if dry and tidy:
        raise ValueError("--dry runs and writes nothing, --tidy writes and runs nothing; give one of the two")
    found = list(paths) or find_chapters()
    for path in found:
        if path.suffix != ".ipynb" or not path.is_file():
            raise ValueError(
                f"{path} is no notebook; give the path of an .ipynb file, such as chapters/00_the_river.ipynb"
            )
    good = [tidy_notebook(path) if tidy else run_notebook(path, write=not dry) for path in found]
    return 0 if all(good) else 1


def find_chapters() -> list[Path]:
    """The chapters in this folder. Raises: FileNotFoundError where there are none."""
    found = sorted(Path("chapters").glob("*.ipynb"))
    if not found:
        root = root_of(Path.cwd())
        raise FileNotFoundError(f"there are no chapters here; go to {root}, or give the path of an .ipynb file")
    return found


def run_notebook(path: Path, *, write: bool) -> bool:
    """Run one notebook and say what was measured, and which rules it breaks; False where a cell raised."""
    from flowlib.authoring import execute
    from flowlib.authoring.notebooks import is_assignment

    try:
        measured, notebook = execute.execute_one(path, write=write)
    except execute.NotebookFailed as error:
        print(error, file=sys.stderr)
        return False
    print(f"{path}: {measured}, {path.stat().st_size / execute.MEGABYTE:.2f} MB")
    say_rules(notebook, path)
    if is_assignment(notebook) and write:
        print(f"  its copy for students, anew: flowlib release {path.stem}")
    return True


def tidy_notebook(path: Path) -> bool:
    """Bring a stored notebook into its form, and say whether that changed it, and which rules it breaks."""
    from flowlib.authoring.notebooks import read, save
    from flowlib.authoring.tidy import tidy_stored

    notebook = read(path)
    changed = tidy_stored(notebook)
    if changed:
        save(notebook, path)
    print(f"{path}: {'brought into its form' if changed else 'as it was'}")
    say_rules(notebook, path)
    return True


def say_rules(notebook, path: Path) -> None:
    """The rules that it breaks; of an assignment, its budget."""
    from flowlib.authoring.notebooks import is_assignment
    from flowlib.authoring.rules import check_budget, find_violations

    for sentence in check_budget(notebook) if is_assignment(notebook) else find_violations(notebook, path):
        print(f"  rule: {sentence}")


def contents(check: bool = False) -> int:
    """Write what chapters say of themselves to where it is told.

    Titles, minutes and questions for progress(), in flowlib/notebook/chapters.json; how many chapters and hours, in
    README.

    Args:
        check: Write nothing; exit code 1 if one of the two says something else.
    """
    root = root_of(Path.cwd())
    from flowlib.authoring.table import plan
    from flowlib.files import save_text

    texts = plan(root)
    if not check:
        for path, text in texts.items():
            save_text(text, path)
    out_of_date = bool(texts) and check
    said = "out of date; write anew with: flowlib contents" if out_of_date else f"{len(texts)} files written"
    print("\n".join([*list_names(root, texts), said if texts or not check else "all agree"]))
    return int(out_of_date)


def claims(recorded: bool = False, write: bool = False, measured: Path | None = None) -> int:
    """Measure every claim of the course, and show the ledger.

    Statement, section, figures, bounds, tests. Exit code 1 if a claim fails, a chapter states one that no test
    measures, a test measures one that no chapter states, or the page chapters/claims.md no longer lists what is
    measured.

    Args:
        recorded: Show what was measured when chapters/claims.md was written, and measure nothing.
        write: Write chapters/claims.md, and tests/claims.json which it is made from, anew.
        measured: Take the figures from a file that pytest --claims-to=FILE wrote, and measure nothing.
    """
    if recorded and (write or measured):
        raise ValueError("--recorded shows the old figures; --write and --measured show new ones: give one of the two")
    root = root_of(Path.cwd())
    from flowlib.authoring import ledger
    from flowlib.authoring.claims import make_ledger, measure, read_figures

    rows = ledger.read_record(root)[0] if recorded else read_figures(measured) if measured else measure(root)
    found = make_ledger(root, rows)
    print(f"{ledger.render_text(found)}\n\n{found.verdict()}")
    if write:
        ledger.write_ledger(root, rows)
    changed = ledger.find_drift(ledger.read_record(root)[0], rows)
    if changed:
        print("\n".join([*changed, "chapters/claims.md is out of date; write it with: flowlib claims --write"]))
    return 0 if found.sound and not changed else 1


def links(repository: str = "", /, ref: str = "", site: str = "", check: bool = False, dirty: bool = False) -> int:
    """Write the course's address into README and notebooks.

    Links to the course map, Binder and Colab come under the titles, and Colab installs flowlib from there. Where a
    notebook has no links or no set-up cell, it gets them. All files are written, or none.

    Args:
        repository: OWNER/NAME; without it, the one that was stamped last.
        ref: A branch, a tag or a commit; without it, the one that was stamped last, at first main.
        site: Where the book is published, as https://owner.github.io/river/; without it, the one that was stamped last.
        check: Write nothing; exit code 1 if a file says something else.
        dirty: Write over changes that are not committed, too.
    """
    root = root_of(Path.cwd())
    last = read_stamp(root)
    stamp = Stamp(repository or last.repository, ref or last.ref, site and f"{site.rstrip('/')}/" or last.site)
    from flowlib.authoring.links import plan

    texts = plan(root, stamp)
    if check:
        again = " ".join(["flowlib links", *([repository] if repository else []), *(["--ref", ref] if ref else [])])
        again += f" --site {site}" if site else ""
        return say_what_disagrees(root, texts, stamp, again)
    write_links(root, texts, stamp, dirty=dirty)
    return 0


def say_what_disagrees(root: Path, texts: dict[Path, str], stamp: Stamp, again: str) -> int:
    """The files that say something else than the stamp, and the command that mends them; 1 if there are any."""
    if not texts:
        print(f"all agree: {describe(stamp)}")
        return 0
    print("\n".join([*list_names(root, texts), f"out of date; write anew with: {again}"]))
    return 1


def write_links(root: Path, texts: dict[Path, str], stamp: Stamp, *, dirty: bool) -> None:
    """Raises: ValueError where changes that are not committed would be written over."""
    from flowlib.authoring.links import find_uncommitted, save_all

    lost = [] if dirty else find_uncommitted(root, list(texts))
    if lost:
        raise ValueError(
            f"these files have changes that are not committed, and would be written over; commit them first, or "
            f"add --dirty; nothing was written: {', '.join(lost)}"
        )
    save_all(root, texts)
    print("\n".join([*list_names(root, texts), f"{len(texts)} files written: {describe(stamp)}"]))


def list_names(root: Path, paths) -> list[str]:
    """The paths from the root of the course."""
    return [path.relative_to(root).as_posix() for path in paths]


def describe(stamp: Stamp) -> str:
    return f"{stamp.repository} at {stamp.ref}" if stamp.repository else "no address yet"
