"""The one form in which a notebook of the course is stored: kernel, metadata, ids, outputs."""

import hashlib
from copy import deepcopy

import nbformat

from flowlib.authoring.notebooks import (
    CHECKED,
    COMMENT,
    LINKS,
    MEASURED,
    SETUP_ID,
    answers,
    is_assignment,
    is_cover,
    is_folded,
    is_question,
    is_setup,
    tags,
)

WIDGET = "application/vnd.jupyter.widget-view+json"
VOLATILE = ("execution", "ExecuteTime", "collapsed", "scrolled", "trusted", "lines_to_next_cell")  # what editors leave
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def tidy(notebook) -> None:
    """One form for every notebook: kernel python3, short metadata, ids made of the text, streams in one piece."""
    kept = {key: notebook.metadata[key] for key in ("flowlib", "title") if key in notebook.metadata}
    kept |= {"kernelspec": dict(KERNEL), "language_info": {"name": "python"}}
    notebook.metadata = type(notebook.metadata)(kept)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        for key in VOLATILE:
            cell.metadata.pop(key, None)
        put_tag(cell)
        fold(cell)
        cell["id"] = make_id(cell, seen)
        if cell.cell_type == "code":
            cell.outputs = [merged for merged in merge_streams(cell.outputs) if WIDGET not in merged.get("data", {})]
            cover(cell)


def tidy_stored(notebook) -> bool:
    """Tidy a notebook as it is stored, nothing run; whether that changed it. Of an assignment only the tags."""
    before = deepcopy(notebook)
    if is_assignment(notebook):
        for cell in notebook.cells:
            put_tag(cell)
    else:
        tidy(notebook)
    return notebook != before


def put_tag(cell) -> None:
    """The comment # NBVAL_CHECK_OUTPUT, which a reader would see, as the tag that nbval knows as well."""
    if cell.cell_type == "code" and COMMENT.match(cell.source):
        cell.source = COMMENT.sub("", cell.source)
        cell.metadata["tags"] = list(dict.fromkeys([*tags(cell), CHECKED]))


def fold(cell) -> None:
    """The source of a question tells its answer; so does what comes out of a cell that is tagged with a question."""
    folded = {"source_hidden": is_question(cell), "outputs_hidden": cell.cell_type == "code" and bool(answers(cell))}
    if any(folded.values()):
        cell.metadata["jupyter"] = cell.metadata.get("jupyter", {}) | {name: True for name in folded if folded[name]}


def cover(cell) -> None:
    """Put an empty output before those of an answer: JupyterLab shows the first line of the first one, though folded.

    It is gone as soon as the cell runs; nbval compares nothing of it, and pages leave it out.
    """
    shown = [output for output in cell.outputs if not is_cover(output)]
    hidden = is_folded(cell, "source")  # then JupyterLab shows nothing of the outputs
    empty = nbformat.v4.new_output("display_data", {})
    cell.outputs = [empty, *shown] if shown and answers(cell) and not hidden else shown


def make_id(cell, seen: dict[str, int]) -> str:
    """An id that is the same as long as the cell's text is; cells with the same text are counted.

    What was measured and where the course lies on the web make no difference.
    """
    if is_setup(cell):
        return SETUP_ID
    text = LINKS.sub(r"\1\2", MEASURED.sub(r"\1\2", cell.source))
    made = hashlib.sha256(f"{cell.cell_type}\n{text}".encode()).hexdigest()[:12]
    seen[made] = seen.get(made, 0) + 1
    return made if seen[made] == 1 else f"{made}-{seen[made]}"


def merge_streams(outputs) -> list:
    """Neighbouring outputs of the same stream as one, with what a carriage return overwrote left out.

    Error: exact. It takes time in proportion to the text, however long its lines.
    """
    merged: list = []
    pieces: list[list[str]] = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            pieces[-1].append(output.text)
        else:
            merged.append(output)
            pieces.append([output.text] if output.output_type == "stream" else [])
    for output, texts in zip(merged, pieces, strict=True):
        if output.output_type == "stream":
            output.text = drop_overwritten("".join(texts))
    return merged


def drop_overwritten(text: str) -> str:
    """What a terminal shows in the end: of each line what stands after a carriage return, but for one at its end."""
    *lines, last = text.split("\n")
    ends = ["\r\n" if line.endswith("\r") else "\n" for line in lines]
    shown = [line.removesuffix("\r").rpartition("\r")[2] + end for line, end in zip(lines, ends, strict=True)]
    return "".join(shown) + last.rpartition("\r")[2]
