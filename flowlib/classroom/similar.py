"""Which submissions resemble each other: pairs to be looked at by a person, and no proof of anything.

copydetect (winnowing, as Stanford's MOSS does it) compares code in which names are all alike, so that renaming hides
nothing. What the assignment gives does not count. Short answers resemble each other by themselves.
"""

import io
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from flowlib.classroom.cells import is_answer
from flowlib.classroom.repair import Unreadable, read, repair
from flowlib.classroom.submissions import Submission

TOKENS = 15  # the shortest run of letters, after names are made alike, that counts as common
LEAST = 60  # letters of an answer, so made, below which nothing can be said


@dataclass(frozen=True)
class Pair:
    """Two students, and the share of the shorter one's code that the other has as well."""

    first: str
    second: str
    share: float
    letters: int  # of the shorter one


def find_similar(course, submissions: list[Submission]) -> tuple[list[Pair], list[str]]:
    """All pairs for one assignment, the most alike first; and the students of whom nothing can be said."""
    from copydetect import CodeFingerprint, compare_files

    (assignment,) = {one.assignment for one in submissions}
    source, release = (read(course.notebook(kind, assignment)) for kind in ("source", "release"))
    given = CodeFingerprint("x.py", TOKENS, 1, fp=io.StringIO(join_code(release.cells)))
    made, left = {}, []
    for one in submissions:
        code = read_answers(one.notebook, source, release)
        print_of = CodeFingerprint("x.py", TOKENS, 1, boilerplate=list(given.hashes), fp=io.StringIO(code))
        if print_of.token_coverage < LEAST:
            left.append(one.student)
        else:
            made[one.student] = print_of
    pairs = []
    for a, b in combinations(sorted(made), 2):
        shares = compare_files(made[a], made[b])[1]
        pairs.append(Pair(a, b, float(max(shares)), int(min(made[a].token_coverage, made[b].token_coverage))))
    return sorted(pairs, key=lambda pair: (-pair.share, pair.first, pair.second)), sorted(left)


def read_answers(notebook: Path | None, source, release) -> str:
    """The code that a student wrote; nothing of it runs."""
    try:
        book = repair(read(notebook), source, release)[0] if notebook else None
    except Unreadable:
        book = None
    stubs = {cell.source for cell in release.cells}
    return join_code(cell for cell in book.cells if is_answer(cell) and cell.source not in stubs) if book else ""


def join_code(cells) -> str:
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")
