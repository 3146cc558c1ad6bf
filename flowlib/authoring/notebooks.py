"""What a notebook of the course is: how it is read and written, what kinds of cells it has, what its prose names."""

import ast
import re
from pathlib import Path

import nbformat

from flowlib.authoring.course import SETUP_TITLE
from flowlib.files import save_text

MEASURED = re.compile(r"(<!-- measured -->).*?(<!-- /measured -->)", re.DOTALL)
LINKS = re.compile(r"(<!-- links -->).*?(<!-- /links -->)", re.DOTALL)
HOW_TO_RUN = re.compile(r"\n+\*\*Run:\*\*[^\n]*?(?=<!-- /links -->)")
CLAIM = re.compile(r"\bC(\d+)\.(\d+)\b")
STATEMENT = re.compile(r"\*\*Claim (C\d+\.\d+)")
EVIDENCE = re.compile(r"\b[CQ]\d+\.\d+\b")
QUESTIONS = ("predict(", "predict_number(", "predict_order(")
SETUP_ID = "setup-cell"
CHECKED = "nbval-check-output"  # a tag: nbval compares what this cell prints
COMMENT = re.compile(r"\A[ \t]*# ?NBVAL_CHECK_OUTPUT[ \t]*(\n|\Z)")  # the same, once, where a reader saw it
ANSWERS = "answer:"  # a tag, as answer:Q3.2: this cell shows the answer, and stays folded until the reader has chosen


def read(path: Path):
    """The notebook in a file. Raises: FileNotFoundError, ValueError where it is none."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no notebook {path}; give the path of an .ipynb file")
    try:
        return parse(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def parse(data: bytes):
    """The notebook that stands in these bytes, of today's format. Raises: ValueError where it is none."""
    try:
        book = nbformat.reads(data.decode("utf-8-sig"), as_version=4)
        for cell in book.cells:
            sound = isinstance(cell.source, str) and isinstance(cell.metadata, dict)
            if not sound or cell.cell_type not in ("code", "markdown", "raw"):
                raise ValueError
        return book
    except UnicodeDecodeError:
        raise ValueError("it is no text in UTF-8; save it as UTF-8, or restore it") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, nbformat.ValidationError):
        raise ValueError("it is no notebook in JSON with a first cell; open it in JupyterLab, or restore it") from None


def save(notebook, path: Path) -> None:
    """The file is whole at every moment."""
    nbformat.validate(notebook)
    save_text(nbformat.writes(notebook), path)


def is_setup(cell) -> bool:
    """The set-up cell: the first code cell of every notebook, the same in all of them."""
    return cell.cell_type == "code" and cell.source.startswith(SETUP_TITLE[: SETUP_TITLE.index(":")])


def is_question(cell) -> bool:
    """A code cell that asks and does nothing else: its input is folded away."""
    return cell.cell_type == "code" and cell.source.lstrip().startswith(QUESTIONS)


def tags(cell) -> list[str]:
    """The tags of a cell; [] where it has none."""
    return list(cell.metadata.get("tags", []))


def is_checked(cell) -> bool:
    """A code cell whose output nbval compares: by its tag, or by the comment that the tag was once."""
    return cell.cell_type == "code" and (CHECKED in tags(cell) or bool(COMMENT.match(cell.source)))


def answers(cell) -> list[str]:
    """The questions that this cell answers, by its tags: ["Q3.2"] where it is tagged answer:Q3.2."""
    return [tag.removeprefix(ANSWERS) for tag in tags(cell) if tag.startswith(ANSWERS)]


def name_answer(cell) -> str:
    """What stands on a page in the place of an answer, until it is opened."""
    return f"After {' and '.join(answers(cell))}: show what comes out"


def is_cover(output) -> bool:
    """An empty output, which stands before those of an answer: see tidy.cover."""
    return output.output_type == "display_data" and not output.data


def is_folded(cell, what: str) -> bool:
    """Whether JupyterLab folds a part of the cell away; what: "source" or "outputs"."""
    return bool(cell.metadata.get("jupyter", {}).get(f"{what}_hidden"))


def is_assignment(notebook) -> bool:
    """A notebook with nbgrader's marks; any other is a chapter."""
    return any("nbgrader" in cell.metadata for cell in notebook.cells)


def code_cells(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook) -> list[str]:
    """The Markdown of the notebook, cell by cell."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def number_in_name(path: Path) -> int:
    """3 of chapters/03_attention_is_an_integral.ipynb."""
    return int(re.match(r"\d+", path.name)[0])


def number_in_title(notebook) -> int:
    """The chapter's number, from its title: 3 of '# 03 · Attention is an integral'; -1 where there is none."""
    title = re.match(r"\s*# (\d+)", notebook.cells[0].source) if notebook.cells else None
    return int(title[1]) if title else -1


def question_ids(notebook) -> list[str]:
    """The ids of the questions, Q3.1, Q3.2, ... in the order of the page; '' for a question without one."""
    return [id_of(cell) for cell in filter(is_question, notebook.cells)]


def id_of(question) -> str:
    """The id of the question that this cell asks; "" where it has none."""
    call = ast.parse(question.source).body[0].value
    given = {word.arg: word.value for word in call.keywords}
    return ast.literal_eval(given["id"]) if "id" in given else ""


def claim_ids(notebook, chapter: int) -> set[str]:
    """The claims that a chapter names: C3.1, C3.2, ... in the prose of chapter 3."""
    return {m[0] for text in prose(notebook) for m in CLAIM.finditer(text) if int(m[1]) == chapter}


def objectives(notebook) -> dict[str, list[str]]:
    """Each objective, a line '- ...' where the opening lists them, with the claims and questions that it names."""
    opening = next((text for text in prose(notebook)[:3] if "**Objectives" in text), "")
    lines = re.findall(r"^- (.+)$", opening, re.MULTILINE)
    return {line: EVIDENCE.findall(line) for line in lines}
