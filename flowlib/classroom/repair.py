"""From whatever a student handed in, the notebook that the assignment asked for.

Students lose metadata (an editor strips it), copy cells, delete tests, edit them, move things about. The repaired
notebook has every cell of the assignment in its order: tests and given cells as the teacher wrote them, answers as the
student wrote them, and cells of the student's own after the one that they followed.
"""

import difflib
import json
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from copy import deepcopy
from pathlib import Path
from typing import Any

from flowlib.classroom.cells import grade_id, is_answer, mark
from flowlib.classroom.earlier import bring_up_to_date
from flowlib.classroom.safe import show_typed, sound_pictures, well_formed

MOST_BYTES = 500 << 20
ALIKE = 0.6  # the least likeness of two texts that may be one cell, before and after a student's work
MOST_COMPARED = 200  # cells that are compared by likeness, which takes its time; an assignment has some thirty


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
        content = join_sources(well_formed(drop_outputs(json.loads(decode(file.read_bytes())))))
        content.setdefault("metadata", {})
        book = nbformat.from_dict(content)
        return nbformat.convert(book, 4) if book.get("nbformat") != 4 else book
    except UnicodeDecodeError:
        raise Unreadable("the file is no text") from None
    except ValueError as error:
        raise Unreadable(f"the file is no notebook, or only a part of one ({error})") from None
    except (KeyError, TypeError, AttributeError, RecursionError):
        raise Unreadable("the file is JSON, but no notebook") from None


def drop_outputs(content: dict) -> dict:
    for cell in content["cells"]:
        if cell.get("cell_type") == "code":
            cell.update(outputs=[], execution_count=None)
    return content


def join_sources(content: dict) -> dict:
    """Each cell's text as one, where the file has it in lines."""
    for cell in content["cells"]:
        if isinstance(cell.get("source"), list):
            cell["source"] = "".join(map(str, cell["source"]))
    return content


def decode(data: bytes) -> str:
    """The text in a file, whichever byte order mark an editor of Windows put before it."""
    return data.decode("utf-16" if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig")


def repair(submitted, source, release, earlier=()) -> tuple[Any, list[str]]:
    """The assignment with the student's answers, and a sentence for each thing that had to be mended.

    source: the teacher's notebook, release: the same as it was handed out; their cells correspond one to one.
    earlier: releases before that one.
    """
    cells = [cell for cell in submitted.cells if isinstance(cell.get("source"), str)]
    old = bring_up_to_date(cells, release, earlier)
    matches = match(cells, release.cells)
    extras = find_extras(cells, matches)
    book = deepcopy(source)
    book.cells = extras.get(-1, [])
    for i, (theirs, given) in enumerate(zip(source.cells, release.cells, strict=True)):
        found, copies = choose_copies(theirs, given, cells, matches.get(i, []))
        book.cells += [put_answer(theirs, given, found), *copies, *extras.get(i, [])]
    notes = [f"{old} cells were of an earlier release: brought up to date"] if old else []
    return book, [*notes, *note_repairs(cells, matches, source, release), *note_kernel(submitted)]


def find_extras(cells: list, matches: dict[int, list[int]]) -> dict[int, list]:
    """The cells of the student's own, by the cell of the assignment that they followed; -1: they came before all."""
    owner = {j: i for i, js in matches.items() for j in js}
    after, extras = -1, {}
    for j, cell in enumerate(cells):
        if j in owner:
            after = owner[j]
        elif cell.source.strip():
            extras.setdefault(after, []).append(adopt(cell, j))
    return extras


def choose_copies(theirs, given, cells: list, places: list[int]) -> tuple[Any, list]:
    """Of the copies of an answer's cell the one that stands for it, and the others, as cells that run after it.

    Split cells are copies, too, and so is one that was copied and changed below: all that was written runs, in order.
    """
    if not is_answer(theirs) or not places:
        return given, []
    written = [j for j in places if cells[j].source.strip() and not has_text_of(cells[j], given)]
    first, *others = written or places[:1]
    return cells[first], [adopt(cells[j], j) for j in others]


def put_answer(theirs, given, found):
    """The teacher's cell; with the student's text where it is for the student to write."""
    cell = deepcopy(theirs)
    if is_answer(theirs):
        cell.source = found.source
        put_pictures(cell, found)
    if cell.cell_type == "code":
        cell.outputs, cell.execution_count = [], None
    return cell


def put_pictures(cell, answer) -> None:
    """Give the cell the pictures that were pasted into the answer's text, where they are pictures."""
    cell.pop("attachments", None)
    pasted = answer.get("attachments")
    if cell.cell_type == "code" or not isinstance(pasted, dict):
        return
    sound = {name: kept for name, made in pasted.items() if (kept := sound_pictures(made))}
    if sound:
        cell.attachments = sound


def note_repairs(cells: list, matches: dict[int, list[int]], source, release) -> list[str]:
    """What was copied, changed, lost, or stripped of its metadata, in a sentence each."""
    pairs = [
        (theirs, given, [cells[j] for j in matches.get(i, [])])
        for i, (theirs, given) in enumerate(zip(source.cells, release.cells, strict=True))
    ]
    notes = [
        f"cell {grade_id(theirs)} was there {len(found)} times: all that was written in them runs, in order"
        for theirs, _, found in pairs
        if is_answer(theirs) and len(found) > 1
    ]
    changed = sum(
        bool(
            found and mark(theirs).get("locked") and not is_answer(theirs) and not has_text_of(found[-1], given, theirs)
        )
        for theirs, given, found in pairs
    )
    lost = [grade_id(theirs) for theirs, _, found in pairs if not found and mark(theirs)]
    stripped = sum(not mark(one) for _, given, found in pairs if mark(given) for one in found)
    notes += [f"{changed} cells that must not be changed were changed: put back as they were"] if changed else []
    notes += [f"cells that were missing were put back: {', '.join(lost)}"] if lost else []
    notes += [f"{stripped} cells had lost their metadata: recognised by their text"] if stripped else []
    return notes


def note_kernel(submitted) -> list[str]:
    """A sentence where the notebook asks for another language."""
    kernel = submitted.metadata.get("kernelspec", {})
    if isinstance(kernel, dict) and str(kernel.get("language") or "python").lower() != "python":
        return [f"the notebook named the kernel {str(kernel.get('name'))[:60]!a}: run with Python"]
    return []


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
        lambda a, b: a.source.strip() and has_text_of(a, b),
    ):
        for j in sorted(free):
            found = [i for i, w in enumerate(wanted) if w.cell_type == cells[j].cell_type and alike(w, cells[j])]
            if found:
                take(found[0], j)
    for i, cell in enumerate(wanted):
        if i in matches or not mark(cell):
            continue
        kin = [j for j in sorted(free) if cells[j].cell_type == cell.cell_type][:MOST_COMPARED]
        score, j = max(((likeness(cell, cells[j]), -j) for j in kin), default=(0.0, 0))
        if score >= ALIKE:
            take(i, -j)
    return {i: sorted(js) for i, js in matches.items()}


def has_text_of(cell, *others) -> bool:
    """Whether the text is that of one of the others."""
    return cell.source.strip() in {other.source.strip() for other in others}


def likeness(a, b) -> float:
    """From 0 to 1: how much of one text is in the other; 1 where both define the same function.

    What takes long is asked last, and only of texts whose lengths and letters allow it.
    """
    heads = re.findall(r"^(?:def|class) (\w+)", a.source, re.M)
    if heads and heads == re.findall(r"^(?:def|class) (\w+)", b.source, re.M)[: len(heads)]:
        return 1.0
    if 2 * min(len(a.source), len(b.source)) < ALIKE * (len(a.source) + len(b.source)):
        return 0.0
    letters = difflib.SequenceMatcher(None, a.source, b.source, autojunk=False)
    if letters.quick_ratio() < ALIKE:
        return 0.0
    words = [re.findall(r"\w+|\s+|.", one.source) for one in (a, b)]
    return difflib.SequenceMatcher(None, *words, autojunk=False).ratio()


def adopt(cell, number: int):
    """A cell of the student's own, made anew: none of its metadata, whatever they claim or ask for."""
    from nbformat.v4 import new_code_cell, new_markdown_cell

    name = f"own-{number}"
    if cell.cell_type == "code":
        return new_code_cell(cell.source, id=name)
    made = new_markdown_cell(cell.source if cell.cell_type == "markdown" else show_typed(cell.source), id=name)
    put_pictures(made, cell)  # a raw cell would be HTML as it stands
    return made
