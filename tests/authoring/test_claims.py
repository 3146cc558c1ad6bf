"""The claims ledger: it finds what is missing on either side, and its page says what the chapters and tests say."""

import json
import shutil
from pathlib import Path

import nbformat
import pytest

from flowlib import cli
from flowlib.authoring import claims, ledger

ROOT = Path(__file__).resolve().parents[2]
ROW = {
    "test": "tests/test_x.py::test_the_order[one]",
    "claims": ["C1.1"],
    "passed": True,
    "figures": [{"what": "order", "low": 1.98, "high": 1.98, "must": "2 ± 0.1"}],
}
TEST = """
import pytest

@pytest.mark.claim("C1.1")
@pytest.mark.parametrize("p", [1.98, 2.05])
def test_the_order(measured, p):
    measured.near("order", p, 2, within=0.1)
"""


@pytest.fixture
def course(tmp_path):
    """A course of one chapter with one claim, and the test of it, in a folder of its own."""
    text = "# 01 · Steps\n\n## Measure | it\n\n> **Claim C1.1.** The order\n> is 2.\n\nAnd more."
    (tmp_path / "chapters").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "etc").mkdir()
    shutil.copy(ROOT / "etc" / "links.json", tmp_path / "etc")
    chapter = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
    nbformat.write(chapter, tmp_path / "chapters" / "01_steps.ipynb")
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "tests")
    (tmp_path / "tests" / "test_x.py").write_text(TEST, "utf-8")
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\nmarkers = ["claim(id): a claim"]\n', "utf-8")
    return tmp_path


def test_a_statement_ends_where_its_quotation_ends(course):
    [claim] = claims.find_statements((course / "chapters").glob("*.ipynb"))
    assert (claim.name, claim.statement, claim.section) == ("C1.1", "The order is 2.", "Measure | it")


def test_cases_of_one_test_are_one_figure_with_a_range():
    other = {**ROW, "test": ROW["test"].replace("one", "two"), "figures": [{**ROW["figures"][0], "high": 2.05}]}
    [figure] = claims.collect_figures([ROW, other])["C1.1"]
    assert figure.value == "1.98 … 2.05" and figure.passed and figure.test == "tests/test_x.py::test_the_order"


@pytest.mark.parametrize(
    "row, said",
    [
        ({**ROW, "passed": False}, "C1.1: failing"),
        ({**ROW, "figures": []}, "C1.1: failing, or not measured"),
        ({**ROW, "claims": ["C1.2"]}, "C1.1: failing, or not measured"),
    ],
)
def test_what_does_not_hold_is_named(course, row, said):
    book = claims.make_ledger(course, [row])
    assert not book.sound and said in book.verdict()


def test_what_is_on_one_side_only_is_named(course):
    file = course / "tests" / "test_x.py"
    file.write_text(TEST.replace("C1.1", "C1.10"), "utf-8")
    book = claims.make_ledger(course, [{**ROW, "claims": ["C1.10"]}])
    assert book.untested == ["C1.1"] and book.unstated == ["C1.10"] and not book.sound
    assert "C1.1: stated in a chapter, and on no test" in book.verdict()


def test_another_page_and_half_a_ledger_are_never_written(course):
    page, record = course / "chapters" / "claims.md", course / "tests" / "claims.json"
    page.write_text("# My own claims")
    with pytest.raises(ValueError, match="is no claims ledger, and would be written over"):
        ledger.write_ledger(course, [ROW])
    assert page.read_text() == "# My own claims" and not record.exists()
    page.unlink()
    (course / "chapters" / "01_steps.ipynb").write_text("damaged")
    with pytest.raises(ValueError):
        ledger.write_ledger(course, [ROW])
    assert not record.exists()  # no new record beside an old page


@pytest.mark.no_shape_check
def test_the_command_measures_writes_and_fails(course, monkeypatch, capsys):
    monkeypatch.chdir(course / "chapters")  # anywhere in the course will do
    assert cli.main(["claims", "--write"]) == 0
    said = capsys.readouterr().out
    assert "1.98 … 2.05" in said and "none unmapped, none failing" in said
    page = (course / "chapters" / "claims.md").read_text("utf-8")
    assert "| order | 1.98 … 2.05 | 2 ± 0.1 | [the order](../tests/test_x.py) |" in page
    assert cli.main(["claims", "--recorded"]) == 0

    file = course / "tests" / "test_x.py"
    file.write_text(TEST.replace("2.05", "2.5").replace('"order"', '"slope"'), "utf-8")
    assert cli.main(["claims"]) == 1
    said = capsys.readouterr().out
    assert "FAILED" in said and "C1.1: failing" in said and "new: C1.1: slope" in said
    assert page == (course / "chapters" / "claims.md").read_text("utf-8")


def test_the_command_takes_what_a_run_of_the_tests_has_measured(course, monkeypatch, capsys):
    monkeypatch.chdir(course)
    file = course / "measured.json"
    assert cli.main(["claims", "--measured", str(file)]) == 2 and "--claims-to" in capsys.readouterr().err
    file.write_text(json.dumps([ROW]), "utf-8")
    assert cli.main(["claims", "--write", "--measured", str(file)]) == 0
    assert cli.main(["claims", "--measured", str(file)]) == 0 and "none failing" in capsys.readouterr().out
    file.write_text(json.dumps([{**ROW, "passed": False}]), "utf-8")
    assert cli.main(["claims", "--measured", str(file)]) == 1 and "C1.1: failing" in capsys.readouterr().out
    file.write_text("{}x", "utf-8")
    assert cli.main(["claims", "--measured", str(file)]) == 2 and "is not what pytest" in capsys.readouterr().err
    assert cli.main(["claims", "--recorded", "--measured", str(file)]) == 2


def test_outside_a_course_it_says_where_it_works(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["claims"]) == 2 and "change to your copy of the course" in capsys.readouterr().err
    for name in ("chapters", "tests", "etc"):
        (tmp_path / name).mkdir()
    (tmp_path / "etc" / "links.json").write_text("{}", "utf-8")
    assert cli.main(["claims", "--recorded"]) == 2 and "flowlib claims --write" in capsys.readouterr().err
    (tmp_path / "tests" / "claims.json").write_text("{", "utf-8")
    assert cli.main(["claims", "--recorded"]) == 2 and "damaged" in capsys.readouterr().err


def test_the_page_is_the_one_that_the_record_gives():
    rows, with_what = ledger.read_record(ROOT)
    book = claims.make_ledger(ROOT, rows)
    assert book.sound, book.verdict()
    written = (ROOT / "chapters" / "claims.md").read_text("utf-8")
    assert written == ledger.render_page(book, with_what), "write it anew with: flowlib claims --write"


def test_the_record_names_tests_that_exist():
    files = [*(ROOT / "tests").rglob("test_*.py")]
    for row in json.loads((ROOT / "tests" / "claims.json").read_text("utf-8"))["measured"]:
        file, name = row["test"].split("[")[0].split("::")
        there = [path.read_text("utf-8") for path in files if path.name == Path(file).name]
        assert any(f"def {name}(" in source for source in there), row["test"]
