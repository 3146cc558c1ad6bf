"""What the chapters say of themselves, where a reader is told of all of them: progress(), README."""

import json
from pathlib import Path

import nbformat
import pytest

from flowlib.authoring.table import list_chapters, plan, read_minutes, say_hours
from flowlib.cli import main
from flowlib.models.zoo import list_architectures
from flowlib.notebook.course import read_chapters

ROOT = Path(__file__).resolve().parents[2]


def opening(text: str):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])


def test_the_table_and_the_readme_say_what_the_chapters_say():
    lacking = [path.relative_to(ROOT).as_posix() for path in plan(ROOT)]
    assert not lacking, f"out of date; write anew with `flowlib contents`: {', '.join(lacking)}"
    assert [chapter.number for chapter in read_chapters()] == list(range(len(read_chapters())))


@pytest.mark.parametrize(
    "said", ["**Reading time:** about 55 minutes. And 7 more.", "Reading time 55 min", "*Reading time*: 55 minutes"]
)
def test_the_reading_time_is_read(said):
    assert read_minutes(opening(f"# 01 · A\n\n{said}")) == 55


@pytest.mark.parametrize("said", ["", "Reading time: an hour", "Reading time is short.\n\nRuns in 5 minutes"])
def test_a_reading_time_that_is_no_number_of_minutes_is_refused(said):
    with pytest.raises(ValueError, match="must state the reading time in minutes"):
        read_minutes(opening(f"# 01 · A\n\n{said}"))


def test_hours_are_words():
    assert say_hours([{"minutes": 50}] * 12) == "twelve chapters, about ten hours in all"
    assert say_hours([{"minutes": 60}] * 17) == "17 chapters, about 17 hours in all"


def test_the_command_writes_and_checks(tmp_path, monkeypatch, capsys):
    for folder in ("chapters", "etc", "flowlib/notebook"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc" / "links.json").write_text('{"repository": "", "ref": "main"}')
    (tmp_path / "README.md").write_text("# T\n\nIt has <!-- hours --><!-- /hours -->.\n")
    chapter = opening("# 00 · A start\n\n**Reading time:** 90 minutes")
    chapter.cells.append(
        nbformat.v4.new_code_cell('predict_number(\n    "How many?",\n    answer=2,\n    id="Q0.1",\n)')
    )
    nbformat.write(chapter, tmp_path / "chapters" / "00_a.ipynb")
    monkeypatch.chdir(tmp_path)
    assert main(["contents", "--check"]) == 1 and "out of date" in capsys.readouterr().out
    assert main(["contents"]) == 0 and main(["contents", "--check"]) == 0
    assert "It has <!-- hours -->one chapters, about two hours in all<!-- /hours -->." in Path("README.md").read_text()
    [row] = json.loads(Path("flowlib/notebook/chapters.json").read_text())
    assert row == {"number": 0, "title": "A start", "minutes": 90, "questions": ["Q0.1"]}
    assert list_chapters(tmp_path) == [row]
    assert "architectures" not in Path("README.md").read_text()
    (marks := Path("README.md")).write_text(
        marks.read_text() + "<!-- architectures -->\nold\n<!-- /architectures -->\n"
    )
    assert main(["contents", "--check"]) == 1 and main(["contents"]) == 0 and main(["contents", "--check"]) == 0
    assert f"<!-- architectures -->\n{list_architectures()}\n<!-- /architectures -->\n" in marks.read_text()
    Path("README.md").write_text("# T\n")
    assert main(["contents"]) == 2 and "README.md must have <!-- hours -->" in capsys.readouterr().err
