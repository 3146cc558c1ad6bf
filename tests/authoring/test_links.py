"""`flowlib links`: the course's address in README and every notebook, all of it or nothing."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from flowlib import cli
from flowlib.authoring import course as home
from flowlib.authoring import links
from flowlib.authoring.course import Stamp, find_notebooks, read_stamp
from flowlib.authoring.links import plan, save_all
from flowlib.authoring.notebooks import read
from flowlib.files import rename

ROOT = Path(__file__).resolve().parents[2]
SCHOOL = Stamp("school/course", "v1.0")


def copied(root: Path) -> Path:
    """Files of the course that are stamped, under `root`: README, chapter 00, and the first assignment."""
    _, *assignments = [path for path in find_notebooks(ROOT) if path.parent.name != "chapters" or "00_" in path.name]
    name = min(path.stem for path in assignments)
    chosen = [ROOT / home.FIRST, *(path for path in assignments if path.stem == name)]
    for path in [ROOT / "README.md", ROOT / home.RECORD, *chosen]:
        there = root / path.relative_to(ROOT)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, there)
    return root


@pytest.fixture
def course(tmp_path) -> Path:
    """A small course: README, a chapter with an output, the same in an assignment's source; no links yet."""
    (tmp_path / "README.md").write_text("# A course\n\nWords.\n")
    (tmp_path / "etc").mkdir()
    (tmp_path / home.RECORD).write_text(json.dumps({"repository": "", "ref": "main"}, indent=1) + "\n")
    for name in ("chapters/00_the_river.ipynb", "chapters/01_a.ipynb", "exercises/source/01_b/01_b.ipynb"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        output = {"name": "stdout", "output_type": "stream", "text": ["½ 1e-05\n"]}
        cells = [
            {"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["# Title\n", "\n", "Words."]},
            {
                "cell_type": "code",
                "execution_count": 1,
                "id": "b",
                "metadata": {"zz": 1e-05, "aa": "é"},
                "outputs": [output],
                "source": ["print('½', 1e-5)"],
            },
        ]
        made = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        path.write_text(json.dumps(made, indent=1, ensure_ascii=False), "utf-8")
    return tmp_path


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    try:
        code = cli.main(["links", *arguments])
    except SystemExit as stop:
        code = stop.code
    out = capsys.readouterr()
    assert "Traceback" not in out.out + out.err
    return code, out.out, " ".join(out.err.split())


def commit(folder: Path) -> None:
    if not shutil.which("git"):
        pytest.skip("there is no git here")
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", *command], cwd=folder, check=True)


# ------------------------------------------------------------------------------------------------ this course


def test_every_notebook_has_the_links_and_the_set_up_cell():
    lacking = [path.relative_to(ROOT).as_posix() for path in plan(ROOT, read_stamp(ROOT))]
    assert not lacking, f"out of date; mend them with `flowlib links`, then execute: {', '.join(lacking)}"


def test_the_set_up_cell_is_the_same_in_all_of_them():
    found = set()
    for path in find_notebooks(ROOT):
        code = [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
        found.add("".join(code[0]["source"]))
        assert links.FOLDED.items() <= code[0]["metadata"].items(), f"{path.name}: the set-up cell must be folded"
    assert found == {read_stamp(ROOT).setup()}


def test_no_word_of_how_the_course_is_kept_meets_a_reader():
    """Neither how it is stamped, nor which rule looks at a cell. What stands in <!-- marks --> is not seen."""
    from flowlib.authoring.rules import texts

    words = re.compile(r"OWNER/NAME|NBVAL|\bnbval\b|flowlib (links|notebooks|release|contents)\b")
    for path in find_notebooks(ROOT):
        found = [(i, words.search(text)[0]) for i, text in texts(read(path)) if words.search(text)]
        assert not found, f"{path.name}: in cells {found}; flowlib links and flowlib notebooks --tidy take them away"


def test_every_assignment_was_measured():
    """By the command, within the budget of a chapter."""
    from flowlib.authoring import rules
    from flowlib.authoring.notebooks import MEASURED

    for path in sorted(ROOT.glob("exercises/source/*/*.ipynb")):
        book, again = read(path), f"flowlib notebooks {path.relative_to(ROOT)}; flowlib release {path.stem}"
        assert not list(rules.check_budget(book)), f"{path.name}: {list(rules.check_budget(book))}; run {again}"
        assert "Runs in" in (MEASURED.search(book.cells[0].source) or [""])[0], (
            f"{path.name} lacks its time; run {again}"
        )
        outputs = [cell for cell in book.cells if cell.get("outputs") or cell.get("execution_count")]
        assert not outputs, f"{path.name}: an assignment is stored without outputs"


def test_stamping_this_course_changes_links_and_set_up_cells_only(tmp_path):
    root = copied(tmp_path)
    unstamped = plan(root, Stamp())
    save_all(root, unstamped)  # a school may run this after it has stamped its fork
    before = contents(root)
    save_all(root, plan(root, SCHOOL))
    assert not plan(root, SCHOOL)
    for name, text in before.items():
        old = set(text.decode().splitlines())
        changed = [line for line in (root / name).read_text("utf-8").splitlines() if line not in old]
        words = ("<!-- links -->", "<!-- /links -->", "git clone", "COURSE =", '"checksum"', '"repository"', '"ref"')
        assert changed and all(any(word in line for word in words) for line in changed), (name, changed)
    binder = "https://mybinder.org/v2/gh/school/course/v1.0?urlpath=lab/tree/chapters/00_the_river.ipynb"
    readme = (root / "README.md").read_text("utf-8")
    assert binder in readme and "    git clone https://github.com/school/course.git river" in readme
    save_all(root, plan(root, Stamp()))
    assert contents(root) == before


def test_stamped_releases_are_what_the_stamped_sources_generate(tmp_path):
    pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[classroom]'")
    from flowlib.classroom.course import Course

    root = copied(tmp_path)
    save_all(root, plan(root, SCHOOL))
    course = Course(root / "exercises")
    [name, *_] = course.assignments()
    stamped = course.notebook("release", name).read_text("utf-8")
    assert "school/course" in stamped
    assert course.release(name).read_text("utf-8") == stamped


# ------------------------------------------------------------------------------------------------ any course


def test_links_and_set_up_cell_are_inserted_once(course):
    before = json.loads((course / "chapters/01_a.ipynb").read_text("utf-8"))
    save_all(course, plan(course, SCHOOL))
    assert not plan(course, SCHOOL)
    chapter = json.loads((course / "chapters/01_a.ipynb").read_text("utf-8"))
    text = "".join(chapter["cells"][0]["source"])
    assert text.startswith(
        "# Title\n\n**Open:** <!-- links -->[course map](https://github.com/school/course/blob/v1.0/"
    )
    assert text.endswith("once its cell has run.<!-- /links -->\n\nWords.")
    assert "https://colab.research.google.com/github/school/course/blob/v1.0/chapters/01_a.ipynb" in text
    setup = chapter["cells"][1]
    assert "".join(setup["source"]) == SCHOOL.setup() and "nbgrader" not in setup["metadata"]
    assert chapter["cells"][2] == before["cells"][1]


def test_an_assignment_leads_to_the_copy_without_solutions(course):
    save_all(course, plan(course, SCHOOL))
    cells = json.loads((course / "exercises/source/01_b/01_b.ipynb").read_text("utf-8"))["cells"]
    text = "".join(cells[0]["source"])
    assert "exercises/release/01_b/01_b.ipynb" in text and "exercises/source" not in text
    assert cells[1]["metadata"]["nbgrader"]["locked"] and cells[1]["metadata"]["nbgrader"]["grade_id"] == cells[1]["id"]


def test_until_stamped_there_is_the_course_map_and_no_word_of_how_a_course_is_stamped(course):
    save_all(course, plan(course, Stamp()))
    for path in [course / "README.md", *find_notebooks(course)]:
        text = path.read_text("utf-8")
        assert "flowlib links" not in text and "OWNER" not in text and "http" not in text
        [link] = re.findall(r"\[course map\]\(([^)#]*)#[Cc]hapters\)", text)
        assert not link or (path.parent / link).resolve() == course / "README.md"


@pytest.mark.parametrize("stamp", [Stamp(), SCHOOL])
def test_every_notebook_says_how_it_is_run(course, stamp):
    save_all(course, plan(course, stamp))
    for path in find_notebooks(course):
        title, links_line, run, words = read(path).cells[0].source.split("\n\n")
        assert run.startswith("**Run:** Shift+Enter") and run.endswith("once its cell has run.<!-- /links -->")
        assert ("A question" if path.parent.name == "chapters" else "A check") in run
    assert "**Run:**" not in (course / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    "name", ["course", "a/b/c", "-a/b", "a/..", "a/b.git", "a b/c", "a/b?x", "https://github.com/a/b"]
)
def test_a_wrong_name_is_refused(name):
    with pytest.raises(ValueError, match="the repository must be OWNER/NAME"):
        Stamp(name)


@pytest.mark.parametrize("ref", ["", "-x", "a..b", "a b", "main/", 'x"y'])
def test_a_wrong_ref_is_refused(ref):
    with pytest.raises(ValueError, match="--ref must be a branch"):
        Stamp("a/b", ref)


@pytest.mark.parametrize(
    "site", ["river", "https://a.b", "https://a.b/c", "https://a.b/c d/", "file:///a/", 'https://a.b/"/']
)
def test_a_wrong_site_is_refused(site):
    with pytest.raises(ValueError, match="--site must be the address of a folder"):
        Stamp("a/b", site=site)


def test_readme_leads_to_the_book_once_it_is_published(course, monkeypatch, capsys):
    assert "live in your browser" not in Stamp("a/b").line("README.md")
    monkeypatch.chdir(course)
    assert run(capsys, "--site", "https://a.b/river")[0] == 0
    line = "[live in your browser](https://a.b/river/river.html) · [as a book](https://a.b/river/index.html) · [course"
    assert line in (course / "README.md").read_text("utf-8") and read_stamp(course).site == "https://a.b/river/"
    assert run(capsys, "school/course")[0] == 0  # what was stamped stays
    assert read_stamp(course) == Stamp("school/course", "main", "https://a.b/river/")


def half_a_mark(course):
    (course / "README.md").write_text("# A course\n\n<!-- links -->\n")


def no_title(course):
    (course / "README.md").write_text("Words.\n")


def no_json(course):
    (course / "chapters/01_a.ipynb").write_text("<<<<<<< HEAD\n{}")


def no_cells(course):
    (course / "chapters/01_a.ipynb").write_text("{}")


def two_set_up_cells(course):
    save_all(course, plan(course, Stamp()))
    book = json.loads((course / "chapters/01_a.ipynb").read_text("utf-8"))
    book["cells"].append(book["cells"][1])
    (course / "chapters/01_a.ipynb").write_text(json.dumps(book, indent=1), "utf-8")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (half_a_mark, "README.md: it must have <!-- links --> and, after it, <!-- /links -->"),
        (no_title, "README.md: it must begin with its title"),
        (no_json, "chapters/01_a.ipynb: it is no notebook in JSON"),
        (no_cells, "chapters/01_a.ipynb: it is no notebook in JSON with a first cell"),
        (two_set_up_cells, "chapters/01_a.ipynb: there must be one set-up cell"),
    ],
)
def test_what_stands_in_the_way_is_said_and_nothing_is_written(course, capsys, monkeypatch, spoil, said):
    spoil(course)
    before = contents(course)
    monkeypatch.chdir(course)
    code, _, err = run(capsys, "school/course")
    assert code == 2 and said in err and "nothing was written" in err
    assert contents(course) == before


def test_where_one_file_cannot_be_written_none_is(course, monkeypatch):
    before, texts = contents(course), plan(course, SCHOOL)
    replaced = Path.write_bytes

    def full(path, data):
        if "01_b" in path.name:
            raise OSError(28, "No space left on device")
        return replaced(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        save_all(course, texts)
    assert contents(course) == before


def test_where_one_file_cannot_be_put_in_place_the_others_come_back(course, monkeypatch):
    """As on Windows, where a program holds the third of them."""
    before, moved = contents(course), []

    def hold(old, new):
        moved.append(new)
        if len(moved) == 3:
            raise PermissionError(13, "held", str(new))
        rename(old, new)

    monkeypatch.setattr("flowlib.authoring.links.rename", hold)
    with pytest.raises(PermissionError, match="held"):
        save_all(course, plan(course, SCHOOL))
    assert len(moved) == 5 and contents(course) == before


def test_a_file_that_has_nothing_to_change_stays_byte_for_byte(course):
    """Another editor's JSON: it is not written anew for its form's sake."""
    save_all(course, plan(course, SCHOOL))
    path = course / "chapters/01_a.ipynb"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")), indent=4), "utf-8")
    assert path not in plan(course, SCHOOL) and path in plan(course, Stamp("other/course"))


@pytest.mark.parametrize("moment", range(1, 8))
def test_a_kill_leaves_nothing_that_git_would_add(course, die_at, moment):
    """Whatever was not done yet, the next run does."""
    shutil.copyfile(ROOT / ".gitignore", course / ".gitignore")
    commit(course)
    texts = plan(course, SCHOOL)
    with pytest.MonkeyPatch.context() as patch:
        die_at(patch, moment)
        with pytest.raises(die_at.Killed):
            save_all(course, texts)
    command = ["git", "ls-files", "--others", "--exclude-standard"]
    assert subprocess.run(command, cwd=course, capture_output=True, text=True, check=True).stdout == ""
    save_all(course, plan(course, SCHOOL))
    assert not plan(course, SCHOOL)


def test_line_ends_of_windows_stay(course):
    path = course / "chapters/01_a.ipynb"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    save_all(course, plan(course, SCHOOL))
    made = path.read_bytes()
    assert made.count(b"\n") == made.count(b"\r\n") and b"school/course" in made


def test_check_says_what_disagrees(course, capsys, monkeypatch):
    monkeypatch.chdir(course / "chapters")
    code, out, _ = run(capsys, "--check")
    assert code == 1 and "chapters/01_a.ipynb\n" in out and out.endswith("write anew with: flowlib links\n")
    assert run(capsys, "school/course", "--ref", "v1.0")[0] == 0
    assert run(capsys, "--check")[:2] == (0, "all agree: school/course at v1.0\n")
    assert run(capsys)[1] == "0 files written: school/course at v1.0\n"
    readme = course / "README.md"
    readme.write_text(readme.read_text().replace("school/course", "other/course"))
    assert run(capsys, "--check")[:2] == (1, "README.md\nout of date; write anew with: flowlib links\n")


def test_changes_that_are_not_committed_are_not_written_over(course, capsys, monkeypatch):
    monkeypatch.chdir(course)
    for variable in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(variable)
    commit(course)
    with open("README.md", "a") as file:
        file.write("More.\n")
    before = contents(course)
    code, _, err = run(capsys, "school/course")
    assert code == 2 and "not committed" in err and err.endswith("nothing was written: README.md")
    assert contents(course) == before
    assert run(capsys, "school/course", "--dirty")[0] == 0
    assert run(capsys, "school/course")[0] == 0  # nothing to change, so nothing to lose
