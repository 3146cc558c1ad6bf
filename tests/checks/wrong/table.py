"""What the tables of wrong answers are made of, and how one is asked what the checks say of it.

Each table has rows for each cell that a student fills in: what is `wrong`, the `words` of which a message that names it
has one, and the answer, as `code` (the body of the function, or the whole cell) or as `edits` of the right one.
"""

import contextlib
import io
import json
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent
SOURCE = FOLDER.parents[2] / "exercises" / "source"
SOLUTION = re.compile(r"^[ \t]*### (BEGIN|END) SOLUTION\n?", re.MULTILINE)
HIDDEN = "### BEGIN HIDDEN TESTS"
SEED = 0


@dataclass(frozen=True)
class Answer:
    """A wrong answer to one cell: its code, what a teacher would say is wrong, and words of which a message has one."""

    cell: str
    code: str
    misconception: str
    words: str


@dataclass(frozen=True)
class Said:
    """What a student meets: the message, "" where all tests pass; by which test; and what stood above the message."""

    message: str
    hidden: bool = False
    kind: str = ""
    above: str = ""

    def names(self, answer: Answer) -> bool:
        return bool(self.message) and bool(re.search(answer.words, self.message, re.IGNORECASE))


class Sheet:
    """The code cells of one assignment, as they stand in its source, run in one Python."""

    def __init__(self, number: str):
        (notebook,) = SOURCE.glob(f"{number}_*/*.ipynb")
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
        self.code = {c["id"]: "".join(c["source"]) for c in cells if c["cell_type"] == "code"}
        self.solutions = {id: SOLUTION.sub("", text) for id, text in self.code.items() if "### BEGIN SOLUTION" in text}
        self.names: dict = {"__name__": "notebook"}
        for id, text in self.code.items():
            if not id.startswith(("test-", "setup", "trained")):
                self.run(id, self.solutions.get(id, text))
        self.names["SEED"] = SEED

    def run(self, id: str, text: str) -> None:
        exec(compile(text, id, "exec"), self.names)

    def tests(self, cell: str) -> list[str]:
        """The tests between this answer and the next one."""
        ids = list(self.code)
        after = ids[ids.index(cell) + 1 :]
        ends = next((i for i, id in enumerate(after) if id in self.solutions), len(after))
        return [id for id in after[:ends] if id.startswith("test-")]

    def ask(self, answer: Answer) -> Said:
        """What the first test that fails says of this answer; the right one is put back."""
        try:
            return self.first_failure(answer)
        finally:
            self.run(answer.cell, self.solutions[answer.cell])

    def first_failure(self, answer: Answer) -> Said:
        """The answer is run, then all that the student sees of its tests, then what only the grader has."""
        seen = [
            (answer.cell, answer.code),
            *((id, self.code[id].partition(HIDDEN)[0]) for id in self.tests(answer.cell)),
        ]
        printed = io.StringIO()
        for hidden, cells in ((False, seen), (True, [(id, self.code[id]) for id in self.tests(answer.cell)])):
            for id, text in cells:
                before = printed.tell()
                try:
                    with contextlib.redirect_stdout(printed):
                        self.run(id, text)
                except Exception as error:
                    return Said(str(error), hidden, type(error).__name__, printed.getvalue()[before:])
        return Said("")


def answers(number: str, sheet: Sheet) -> list[Answer]:
    """The table of one assignment."""
    table = yaml.safe_load((FOLDER / f"a{number}.yaml").read_text("utf-8"))
    return [
        Answer(cell, write(sheet.solutions[cell], row.get("edits") or row["code"]), row["wrong"], row["words"])
        for cell, rows in table.items()
        for row in rows
    ]


def write(solution: str, way: str | dict[str, str]) -> str:
    """The code of an answer: the right one with other pieces, the body of its function, or all of it."""
    if isinstance(way, dict):
        for old, new in way.items():
            assert old in solution, f"the right answer has no {old!r}"
            solution = solution.replace(old, new)
        return solution
    head = re.match(r'(?s).*?def .*?\n    """.*?"""\n', solution)
    return head.group() + textwrap.indent(way, "    ") if head else way
