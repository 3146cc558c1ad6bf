"""From whatever a student handed in, the notebook that the assignment asked for.

Students lose metadata (an editor strips it), copy cells, delete tests, edit them, move things about. The repaired
notebook has every cell of the assignment in its order: tests and given cells as the teacher wrote them, answers as the
student wrote them, and cells of the student's own after the one that they followed.
"""

import difflib
import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

MOST_BYTES = 500 << 20
ALIKE = 0.6  # the least likeness of two texts that may be one cell, before and after a student's work


class Unreadable(ValueError):
    """What was handed in is no notebook."""


def read(file: Path):
    """The notebook in a file, brought to today's format; its outputs, however large, are left out.

    Raises: Unreadable, saying why.
    """
    import nbformat

    if file.stat().st_size > MOST_BYTES:
        raise Unreadable(f"the file has {file.stat().st_size >> 20} MB; most is {MOST_BYTES >> 20} MB")
    try:
        content = json.loads(file.read_text("utf-8"))
        for cell in content["cells"]:
            if cell.get("cell_type") == "code":
                cell.update(outputs=[], execution_count=None)
        content.setdefault("metadata", {})
        book = nbformat.from_dict(content)
        return nbformat.convert(book, 4) if book.get("nbformat") != 4 else book
    except UnicodeDecodeError:
        raise Unreadable("the file is no text") from None
    except ValueError as error:
        raise Unreadable(f"the file is no notebook, or only a part of one ({error})") from None
    except (KeyError, TypeError, AttributeError, RecursionError):
        raise Unreadable("the file is JSON, but no notebook") from None


def blank(release):
    """The notebook of a student who handed in nothing that can be read."""
    return deepcopy(release)


def repair(submitted, source, release) -> tuple[Any, list[str]]:
    """The assignment with the student's answers, and a sentence for each thing that had to be mended.

    source: the teacher's notebook, release: the same as it was handed out; their cells correspond one to one.
    """
    cells = [c for c in submitted.cells if isinstance(c.get("source"), str | list)]
    for cell in cells:
        cell.source = cell.source if isinstance(cell.source, str) else "".join(map(str, cell.source))
    matches, notes = match(cells, release.cells), []
    owner = {id(cells[j]): i for i, js in matches.items() for j in js}
    book, after = deepcopy(source), -1
    extras: dict[int, list] = {}
    for cell in cells:
        if id(cell) in owner:
            after = owner[id(cell)]
        elif cell.source.strip():
            extras.setdefault(after, []).append(own(cell))
    result, restored, lost = [], 0, []
    result += extras.get(-1, [])
    for i, (theirs, given) in enumerate(zip(source.cells, release.cells, strict=True)):
        cell, found = deepcopy(theirs), [cells[j] for j in matches.get(i, [])]
        if is_answer(theirs):
            changed = [c for c in found if c.source.strip() != given.source.strip()]
            cell.source = (changed or found or [given])[-1].source
            if len(found) > 1:
                notes.append(f"cell {grade_id(theirs)} was there {len(found)} times: the last one worked on counts")
        elif found and mark(theirs).get("locked") and not same(found[-1], given, theirs):
            restored += 1
        if not found and mark(theirs):
            lost.append(grade_id(theirs))
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        result.append(cell)
        result += extras.get(i, [])
    book.cells = result
    if restored:
        notes.append(f"{restored} cells that must not be changed were changed: put back as they were")
    if lost:
        notes.append(f"cells that were missing were put back: {', '.join(lost)}")
    stripped = sum(1 for i, js in matches.items() for j in js if mark(release.cells[i]) and not mark(cells[j]))
    if stripped:
        notes.append(f"{stripped} cells had lost their metadata: recognised by their text")
    kernel = submitted.metadata.get("kernelspec", {})
    if isinstance(kernel, dict) and (kernel.get("language") or "python").lower() != "python":
        notes.append(f"the notebook named the kernel {kernel.get('name')!r}: run with Python")
    return book, notes


def match(cells: list, wanted: list) -> dict[int, list[int]]:
    """Which of the student's cells are which of the assignment's: by their grade_id, their id, or their text."""
    matches: dict[int, list[int]] = {}
    free = set(range(len(cells)))

    def take(i: int, j: int) -> None:
        matches.setdefault(i, []).append(j)
        free.discard(j)

    for alike in (
        lambda a, b: grade_id(a) and grade_id(a) == grade_id(b),
        lambda a, b: a.get("id") and a.get("id") == b.get("id"),
        lambda a, b: a.source.strip() and same(a, b),
    ):
        for j in sorted(free):
            found = [i for i, w in enumerate(wanted) if w.cell_type == cells[j].cell_type and alike(w, cells[j])]
            if found:
                take(found[0], j)
    for i, cell in enumerate(wanted):
        if i in matches or not mark(cell):
            continue
        near = [(likeness(cell, cells[j]), -j) for j in free if cells[j].cell_type == cell.cell_type]
        score, j = max(near, default=(0.0, 0))
        if score >= ALIKE:
            take(i, -j)
    return {i: sorted(js) for i, js in matches.items()}


def same(cell, *others) -> bool:
    """Whether the text is that of one of the others."""
    return cell.source.strip() in {other.source.strip() for other in others}


def likeness(a, b) -> float:
    """From 0 to 1: how much of one text is in the other; 1 where both define the same function."""
    heads = re.findall(r"^(?:def|class) (\w+)", a.source, re.M)
    if heads and heads == re.findall(r"^(?:def|class) (\w+)", b.source, re.M)[: len(heads)]:
        return 1.0
    return difflib.SequenceMatcher(None, a.source, b.source, autojunk=False).ratio()


def own(cell):
    """A cell of the student's own, without any claim to be one of the assignment's."""
    cell = deepcopy(cell)
    cell.metadata = type(cell.metadata)({k: v for k, v in cell.metadata.items() if k != "nbgrader"})
    if cell.cell_type == "code":
        cell.outputs, cell.execution_count = [], None
    return cell


def mark(cell) -> dict:
    """nbgrader's metadata of a cell, {} where it has none."""
    found = cell.metadata.get("nbgrader", {}) if hasattr(cell.get("metadata"), "get") else {}
    return found if isinstance(found, dict) else {}


def grade_id(cell) -> str:
    return str(mark(cell).get("grade_id", ""))


def is_answer(cell) -> bool:
    """A cell that the student writes: a solution, or a task."""
    return bool(mark(cell).get("solution") or mark(cell).get("task"))
