"""The rules that every chapter keeps, each as a function of a notebook that says what breaks it.

`flowlib notebooks` says it after a run; tests run all of them over all chapters. What a rule says is meant for the
author: what must hold, what came.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat

from flowlib.authoring.minutes import count_minutes
from flowlib.authoring.notebooks import (
    CHECKED,
    COMMENT,
    STATEMENT,
    answers,
    code_cells,
    id_of,
    is_checked,
    is_folded,
    is_question,
    is_setup,
    number_in_title,
    objectives,
    prose,
    question_ids,
)
from flowlib.authoring.table import read_minutes
from flowlib.notebook.show import MINIMUM_ALT

CELLS = (30, 60)
PROSE_PER_CODE = (1.2, 3.5)  # about two cells of prose to one of code
CODE_LINES, CLASS_LINES = 15, 25
CODE_WIDTH = 110  # characters
MINUTES_OVER, MINUTES_UNDER = 10, 2.5  # by how much the stated time may exceed the counted one, or fall short of it
SECONDS, ALL_SECONDS, PEAK_MB, SIZE_MB = 60, 300, 1200, 1.5
OPENING = ("objectives", "prerequisites", "reading time")
CLOSING = ("summary", "exercise", "references")
QUESTIONS = 5  # at least, in a chapter
ABSOLUTE = re.compile(r"(?<![\w./:-])(?:/(?:home|root|tmp|work|Users|usr|opt|mnt|content|var)/\w|[A-Z]:\\\w)")
ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")
HEADING = re.compile(r"^#+ ", re.MULTILINE)
WORDS = re.compile(r"\b(?:show|explorer)\(.*[\"'].{20}")
FOLD = re.compile(r"<details>\s*<summary>.+?</summary>[ \t]*\n\s*\n.*\n\s*\n</details>", re.DOTALL)
RAISES = "raises-exception"


def check_form(notebook) -> Iterator[str]:
    """Valid nbformat 4.5, for the kernel python3."""
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        yield f"not a valid notebook: {str(error).splitlines()[0]}"
    if (notebook.nbformat, notebook.nbformat_minor) != (4, 5):
        yield f"nbformat must be 4.5, it is {notebook.nbformat}.{notebook.nbformat_minor}"
    name = notebook.metadata.get("kernelspec", {}).get("name")
    if name != "python3":
        yield f"the kernel must be python3, or a dialog asks the reader for one; it is {name!r}"


def check_runs(notebook) -> Iterator[str]:
    """Run in order from 1, without errors and without anything on stderr."""
    counts = [cell.execution_count for cell in code_cells(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"cells must be run in order 1, 2, ..., the counts are {counts}: use flowlib notebooks"
    for i, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.output_type == "error" and RAISES not in cell.metadata.get("tags", []):
                yield f"cell {i} ended in {output.ename}: {output.evalue}"
            if output.output_type == "stream" and output.name == "stderr":
                yield f"cell {i} wrote to stderr: {output.text.strip()[:80]!r}"


def check_proportions(notebook) -> Iterator[str]:
    """30-60 cells, about two of prose to one of code; questions count as neither, the set-up cell not at all."""
    cells = sum(not is_setup(cell) for cell in notebook.cells)
    if not CELLS[0] <= cells <= CELLS[1]:
        yield f"a chapter has {CELLS[0]} to {CELLS[1]} cells, this one {cells}"
    running = [cell for cell in code_cells(notebook) if not (is_question(cell) or is_setup(cell))]
    ratio = len(prose(notebook)) / max(len(running), 1)
    if not PROSE_PER_CODE[0] <= ratio <= PROSE_PER_CODE[1]:
        yield f"about two cells of prose to one of code: between {PROSE_PER_CODE}, here {ratio:.2f}"


def check_code(notebook) -> Iterator[str]:
    """Short code cells; a question's first line, which stays on the page when folded, tells no answer."""
    classes = 0
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        if is_question(cell):
            if not cell.source.split("\n")[0].rstrip().endswith("("):
                yield f"cell {i}: a question opens with 'predict(' alone on its line, which stays visible"
            continue
        if (widest := max(map(len, cell.source.splitlines()), default=0)) > CODE_WIDTH:
            yield f"cell {i} has a line of {widest} characters, at most {CODE_WIDTH} fit the page"
        lines = sum(bool(line.strip()) for line in cell.source.splitlines())
        is_class = bool(re.search(r"^class \w", cell.source, re.MULTILINE))
        if lines <= CODE_LINES:
            continue
        classes += is_class
        if not is_class or classes > 1 or lines > CLASS_LINES:
            yield f"cell {i} has {lines} lines of code: at most {CODE_LINES}, one class {CLASS_LINES}"


def check_header(notebook) -> Iterator[str]:
    """Title, objectives, prerequisites, reading time and run time within the first three prose cells."""
    if not notebook.cells or not notebook.cells[0].source.lstrip().startswith("# "):
        yield "the first cell must open with the title, '# ...'"
    opening = "\n".join(prose(notebook)[:3])
    for word in OPENING:
        if word not in opening.lower():
            yield f"the opening must say {word!r}"
    try:
        read_minutes(notebook)
    except ValueError as error:
        yield str(error)
    if not re.search(r"<!-- measured -->Runs in \d+ s, .+<!-- /measured -->", opening):
        yield "the opening must hold <!-- measured --><!-- /measured -->, which execute fills"


def check_minutes(notebook) -> Iterator[str]:
    """The stated reading time is the counted one, rounded: not much less, not far too much."""
    try:
        stated, counted = read_minutes(notebook), count_minutes(notebook)
    except ValueError:
        return  # check_header says it
    if not counted - MINUTES_UNDER <= stated <= counted + MINUTES_OVER:
        yield f"the opening says {stated} minutes, {counted:.0f} were counted; say so, or cut the chapter"


def check_ending(notebook) -> Iterator[str]:
    """Summary, exercise and references as headings within the last ten cells."""
    closing = "\n".join(cell.source for cell in notebook.cells[-10:] if cell.cell_type == "markdown")
    headings = " ".join(re.findall(r"^#+ (.+)$", closing, re.MULTILINE)).lower()
    for word in CLOSING:
        if word not in headings:
            yield f"a heading at the end must say {word!r}"


def check_questions(notebook) -> Iterator[str]:
    """At least five, each with an id of its own that names the chapter, which makes it the only one in the course."""
    ids, number = question_ids(notebook), number_in_title(notebook)
    if len(ids) < QUESTIONS:
        yield f"a chapter asks at least {QUESTIONS} questions, this one {len(ids)}"
    for name in sorted({name for name in ids if not re.fullmatch(rf"Q{number}\.\d+", name)}):
        yield f"a question of chapter {number} has an id such as 'Q{number}.1', which stays; one has {name!r}"
    for name in sorted({name for name in ids if ids.count(name) > 1}):
        yield f"two questions have the id {name!r}; a new question takes a new number"
    last = next((cell.source for cell in reversed(notebook.cells) if is_question(cell)), "")
    if last and not last.rstrip().endswith("\nprogress()"):
        yield "the cell of the last question must end in 'progress()', which counts the answers"


def check_objectives(notebook) -> Iterator[str]:
    """Each names a claim that this chapter states or a question that it asks, and nothing that is missing."""
    listed = objectives(notebook)
    there = {name for text in prose(notebook) for name in STATEMENT.findall(text)} | set(question_ids(notebook))
    if len(listed) < 2:
        yield f"the opening lists the objectives, one on each line '- ... (C3.2, Q3.4)'; it lists {len(listed)}"
    for line, evidence in listed.items():
        if not evidence:
            yield f"an objective must name the claim or the question that it is tested by: {line!r}"
        if missing := sorted(set(evidence) - there):
            yield f"an objective names {', '.join(missing)}, which this chapter does not hold: {line!r}"


def check_pictures(notebook) -> Iterator[str]:
    """Every picture has an alternative text of its own, of at least 40 characters."""
    seen: dict[str, int] = {}
    for i, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if not any(kind.startswith("image/") for kind in output.get("data", {})):
                continue
            alts = [m.get("alt", "") for m in output.metadata.values() if isinstance(m, dict)]
            alt = max(alts, key=len, default="")
            if len(alt) < MINIMUM_ALT:
                yield f"cell {i} has a picture with {len(alt)} characters of alt text, not {MINIMUM_ALT}"
            elif alt in seen:
                yield f"cells {seen[alt]} and {i} have the same alt text: {alt[:60]!r}"
            seen[alt] = i
        if cell.cell_type == "markdown":
            for alt in re.findall(r"!\[([^\]]*)\]\(", cell.source):
                if len(alt) < MINIMUM_ALT:
                    yield f"cell {i} has a picture with alt text shorter than {MINIMUM_ALT}: {alt!r}"


def texts(notebook) -> Iterator[tuple[int, str]]:
    """(cell, text) for every source and every printed output, pictures left out."""
    for i, cell in enumerate(notebook.cells):
        yield i, cell.source
        for output in cell.get("outputs", []):
            yield i, output.get("text", "")
            yield i, "\n".join(output.get("traceback", []))
            for kind, value in output.get("data", {}).items():
                if kind.startswith("text/") and "base64," not in value:
                    yield i, value


def check_paths(notebook) -> Iterator[str]:
    """No path of a machine, no memory address."""
    for i, text in texts(notebook):
        for pattern, what in ((ABSOLUTE, "an absolute path"), (ADDRESS, "a memory address")):
            found = pattern.search(text)
            if found:
                yield f"cell {i} shows {what}: {text[found.start() : found.start() + 40]!r}"


def check_marked_outputs(notebook) -> Iterator[str]:
    """Some output is compared by nbval, and it is text: pictures differ from machine to machine."""
    marked = [(i, cell) for i, cell in enumerate(notebook.cells) if is_checked(cell)]
    if not marked:
        yield f"at least one cell with numbers that teach must have the tag {CHECKED}"
    for i, cell in marked:
        kinds = {kind for output in cell.outputs for kind in output.get("data", {"text/plain": ""})}
        if not cell.outputs or not kinds <= {"text/plain"}:
            yield f"cell {i} is tagged {CHECKED}: it must print text and nothing else, it has {sorted(kinds)}"
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and COMMENT.match(cell.source):
            yield f"cell {i} begins with a comment that a reader sees; flowlib notebooks makes it the tag {CHECKED}"


def check_answers(notebook) -> Iterator[str]:
    """A cell that shows the answer of a question comes after it, and is folded until the reader has chosen."""
    asked = {id_of(cell): i for i, cell in enumerate(notebook.cells) if is_question(cell)}
    for i, cell in enumerate(notebook.cells):
        for name in answers(cell):
            if name not in asked:
                yield f"cell {i} is tagged answer:{name}, which this chapter does not ask"
            elif i <= asked[name]:
                yield f"cell {i} answers {name}, and stands before it (cell {asked[name]})"
        if not answers(cell):
            continue
        if cell.cell_type == "code" and not is_folded(cell, "outputs"):
            yield f"cell {i} shows an answer, and its output is not folded: jupyter.outputs_hidden must be true"
        if cell.cell_type == "code" and WORDS.search(cell.source.split("\n")[0]):
            yield f"cell {i} shows an answer, and the words of its picture stand on its first line, which stays visible"
        if cell.cell_type == "markdown" and not FOLD.search(cell.source):
            yield (
                f"cell {i} tells an answer, which must stand in <details><summary>words</summary>, a blank line, "
                "the text, a blank line, </details>"
            )
        if cell.cell_type == "markdown" and any(HEADING.search(fold) for fold in FOLD.findall(cell.source)):
            yield f"cell {i} has a heading inside of <details>, where nobody finds it"


def check_budget(notebook) -> Iterator[str]:
    """The measured run time and memory within what a small Binder gives."""
    measured = notebook.metadata.get("flowlib", {}).get("measured")
    if not measured:
        yield "nothing was measured: run flowlib notebooks"
        return
    if measured["seconds"] > SECONDS:
        yield f"it must run in {SECONDS} s, it took {measured['seconds']}"
    if measured["peak_mb"] > PEAK_MB:
        yield f"it must need at most {PEAK_MB} MB, it took {measured['peak_mb']}"


RULES = (
    check_form,
    check_runs,
    check_proportions,
    check_code,
    check_header,
    check_minutes,
    check_ending,
    check_questions,
    check_objectives,
    check_pictures,
    check_paths,
    check_marked_outputs,
    check_answers,
    check_budget,
)


def find_violations(notebook, path: Path | str = "") -> list[str]:
    """Everything that breaks a rule in this notebook; an empty list where all is well."""
    found = [sentence for rule in RULES for sentence in rule(notebook)]
    if path and (size := Path(path).stat().st_size / 1e6) > SIZE_MB:
        found.append(f"the file must have at most {SIZE_MB} MB, it has {size:.2f}")
    return found
