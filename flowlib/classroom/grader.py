"""Grade one notebook: its cells run in the student's room, its tests here, where the student's program cannot reach.

A test cell is an ordinary cell: `close(my_attend(q, k, v), …)`. Names that the assignment gives (its imports and data)
are looked up here, in a namespace of the grader's own; names that it does not give are the student's, and are fetched
from the room. So a test sees what the student's functions return, and they see nothing of the test but their arguments.
"""

import ast
import builtins
import io
import linecache
import re
import traceback
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowlib.classroom.cells import grade_id, is_given, is_test, worth
from flowlib.classroom.room.room import Died, Room
from flowlib.classroom.room.sandbox import Limits
from flowlib.classroom.room.wire import Raised
from flowlib.classroom.safe import sound_outputs


@dataclass
class Graded:
    """A notebook with its outputs, the points of its automatic tests, and what happened on the way."""

    notebook: Any
    points: dict[str, float] = field(default_factory=dict)
    most: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def grade(notebook, limits: Limits, files: Path | None = None, *, isolate: bool | str = True, seed: int = 0) -> Graded:
    """Run a repaired notebook (`repair`) cell by cell; fills in outputs, and gives a test its points if it passes.

    seed: given to the assignment as SEED, which its tests draw their inputs from.
    """
    from nbformat import from_dict

    graded = Graded(notebook)
    given: dict[str, Any] = {"__name__": "assignment", "SEED": seed}
    with Room(limits, files, isolate=isolate) as room:
        room.run(f"SEED = {seed}", "SEED")
        count = 0
        for number, cell in enumerate(notebook.cells, start=1):
            if cell.cell_type != "code":
                continue
            name = grade_id(cell) or str(number)
            if is_test(cell):
                outputs, passed = test(cell.source, name, given, room)
                graded.points[name], graded.most[name] = worth(cell) if passed else 0.0, worth(cell)
            else:
                if is_given(cell):
                    provide(cell.source, name, given, seed)
                outputs = sound_outputs(room.run(cell.source, name))
                graded.notes += report_errors(outputs, name)
            count += 1
            cell.outputs = [from_dict(output) for output in outputs]
            cell.execution_count = count
        graded.notes += room.notes
    return graded


def report_errors(outputs: list[dict], name: str) -> list[str]:
    """A sentence where a cell ended in an error of its own; one that is not written yet is no news."""
    kinds = [str(o.get("ename"))[:60] for o in outputs if o.get("output_type") == "error"]
    return [f"cell {name} ended in {kind}" for kind in kinds if kind not in ("NotImplementedError", "Stopped")]


def provide(source: str, name: str, given: dict[str, Any], seed: int) -> None:
    """Run what a given cell needs nothing of the student's for, in the grader's own namespace."""
    tree = ast.parse(drop_magics(source))
    for statement in tree.body:
        missing = [n for n in find_names(statement) if n not in given and not hasattr(builtins, n)]
        if missing:  # it shows what the student made: nothing that a test would need
            continue
        with redirect_stdout(io.StringIO()):  # the student's own run of the cell shows it
            exec(_compile(ast.Module([statement], []), name, source), given)
    given["SEED"] = seed


def test(source: str, name: str, given: dict[str, Any], room: Room) -> tuple[list[dict], bool]:
    """Run a test cell: its outputs, and whether it passed."""
    out = io.StringIO()
    names = dict(given)
    try:
        tree = ast.parse(drop_magics(source))
        for wanted in find_names(tree):
            if wanted not in names and not hasattr(builtins, wanted):
                try:
                    names[wanted] = room.get(wanted)
                except KeyError:
                    pass  # a name of the test's own, or one that is missing: Python will say which
        with redirect_stdout(out):
            exec(_compile(tree, name, source), names)
        said = None
    except Exception as error:
        said = explain(error)
    outputs = [{"output_type": "stream", "name": "stdout", "text": out.getvalue()}] if out.getvalue() else []
    return (outputs, True) if said is None else ([*outputs, said], False)


def explain(error: Exception) -> dict:
    """An error as a notebook keeps it, in the words that help a student."""
    kind, text = type(error).__name__, str(error)
    if isinstance(error, Raised):
        lines = ["Your code raised an error:", *error.trace.splitlines()[-12:]]
    elif isinstance(error, Died):
        lines = [text]
    elif isinstance(error, NameError) and not isinstance(error, UnboundLocalError):
        lines = [f"{text}: is the cell that defines it still there, and does it run?"]
    elif isinstance(error, AssertionError):
        lines = [f"✗ {text or 'a check did not hold'}"]
    else:
        lines = traceback.format_exception_only(error)
    return {"output_type": "error", "ename": kind, "evalue": text[:2000], "traceback": [x.rstrip() for x in lines]}


def find_names(tree: ast.AST) -> list[str]:
    """The names that code asks for, in order, each once."""
    found = (n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))
    return list(dict.fromkeys(found))


MAGIC = re.compile(r"\s*[%!?]|\s*[\w.]+\?{1,2}\s*$")  # %matplotlib inline, !ls, ?x, x?


def drop_magics(source: str) -> str:
    """The code without IPython's own lines."""
    return "\n".join("" if MAGIC.match(line) else line for line in source.splitlines())


def _compile(tree: ast.Module, name: str, source: str):
    file = f"<test {name}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    return compile(tree, file, "exec")
