"""From what was handed in to what was asked for: copies, earlier releases, pasted pictures, cells without marks."""

import json
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[classroom]'")

from flowlib.classroom import repair as module
from flowlib.classroom.course import Course
from flowlib.classroom.repair import read, repair

COURSE = Course(Path(__file__).parents[2] / "exercises")
NAME = "03_another_kernel"


@pytest.fixture(scope="module")
def books():
    return [nbformat.read(COURSE.notebook(kind, NAME), 4) for kind in ("source", "release")]


def find_answer(book, kind="code"):
    return next(c for c in book.cells if c.cell_type == kind and c.metadata.get("nbgrader", {}).get("solution"))


def mend(books, change, earlier=()):
    """The repaired notebook, and its notes, after a change of what was handed in."""
    source, release = books
    book = nbformat.from_dict(json.loads(json.dumps(release)))
    change(book)
    return repair(book, source, release, earlier)


def put_copies(*sources, last=False):
    def change(book):
        answer = find_answer(book)
        copies = [nbformat.from_dict(json.loads(json.dumps(answer)) | {"source": source}) for source in sources[1:]]
        answer.source = sources[0]
        place = len(book.cells) if last else book.cells.index(answer) + 1
        book.cells[place:place] = copies

    return change


@pytest.mark.parametrize("last", [False, True], ids=["split", "copied below"])
def test_all_that_was_written_in_copies_runs_before_the_next_cell(books, last):
    book, notes = mend(books, put_copies("first = 1", "second = first", last=last))
    name = find_answer(books[0]).metadata.nbgrader.grade_id
    at = next(i for i, cell in enumerate(book.cells) if cell.metadata.get("nbgrader", {}).get("grade_id") == name)
    assert [cell.source for cell in book.cells[at : at + 2]] == ["first = 1", "second = first"]
    assert not book.cells[at + 1].metadata and len(book.cells) == len(books[0].cells) + 1
    assert notes == [f"cell {name} was there 2 times: all that was written in them runs, in order"]


def test_a_copy_in_which_nothing_was_written_undoes_nothing(books):
    stub = find_answer(books[1]).source
    book, _ = mend(books, put_copies(stub, "mine = 1", stub, ""))
    assert find_answer(book).source == "mine = 1" and len(book.cells) == len(books[0].cells)


def test_a_cell_of_an_earlier_release_is_todays(books):
    earlier = nbformat.from_dict(json.loads(json.dumps(books[1])))
    locked = next(c for c in earlier.cells if c.metadata.get("nbgrader", {}).get("locked"))
    locked.source += "\n\nA tpyo."
    find_answer(earlier).source = "# an older stub"

    def change(book):
        book.cells = nbformat.from_dict(json.loads(json.dumps(earlier))).cells

    book, notes = mend(books, change, [earlier])
    assert notes == ["2 cells were of an earlier release: brought up to date"]
    assert find_answer(book).source == find_answer(books[1]).source
    _, notes = mend(books, change)
    assert notes == ["1 cells that must not be changed were changed: put back as they were"]


def test_likeness_is_bounded_by_lengths_and_letters(monkeypatch):
    monkeypatch.setattr(module.difflib.SequenceMatcher, "ratio", lambda _: pytest.fail("it was compared in full"))
    text = (COURSE.notebook("source", NAME)).read_text("utf-8")[:4000]
    for other in (" e" * 50_000, text * 3, "e " * 2000, ""):
        assert module.likeness(*(nbformat.v4.new_markdown_cell(one) for one in (text, other))) == 0


def test_of_many_cells_without_marks_some_are_compared(books, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "likeness", lambda a, b: asked.append(1) or 0.0)

    def change(book):
        book.cells = [nbformat.v4.new_markdown_cell(f"{i} e") for i in range(1000)]

    book, _ = mend(books, change)
    wanted = sum(cell.cell_type == "markdown" and "nbgrader" in cell.metadata for cell in books[1].cells)
    assert len(asked) == wanted * module.MOST_COMPARED and len(book.cells) == 1000 + len(books[0].cells)


def with_pictures(tmp_path, pasted):
    """The answer in words, and a cell of the student's own, with pictures, after repair."""
    given = json.loads(COURSE.notebook("release", NAME).read_text("utf-8"))
    answer = next(
        c for c in given["cells"] if c["cell_type"] == "markdown" and c["metadata"].get("nbgrader", {}).get("solution")
    )
    answer |= {"source": "![photo](attachment:photo.png)", "attachments": pasted}
    own = {"cell_type": "markdown", "metadata": {}, "source": "mine", "attachments": pasted}
    given["cells"].append(own)
    (tmp_path / "x.ipynb").write_text(json.dumps(given))
    source, release = (nbformat.read(COURSE.notebook(kind, NAME), 4) for kind in ("source", "release"))
    book, _ = repair(read(tmp_path / "x.ipynb"), source, release)
    nbformat.validate(book)
    return [cell.get("attachments") for cell in book.cells if cell.source in (answer["source"], "mine")]


def test_a_picture_that_was_pasted_stays(tmp_path):
    pasted = {"photo.png": {"image/png": "iVBORw0KGgo="}}
    assert with_pictures(tmp_path, pasted) == [pasted, pasted]


@pytest.mark.parametrize("pasted", [3, [], {"photo.png": 3}, {"photo.png": {"image/png": 3}}, {"photo.png": {}}])
def test_what_is_no_picture_is_left_out(tmp_path, pasted):
    assert with_pictures(tmp_path, pasted) == [None, None]
