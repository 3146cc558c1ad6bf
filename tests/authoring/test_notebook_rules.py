"""Executing notebooks, and the rules of their form: each rule must find what breaks it."""

import json
import re

import nbformat
import pytest

from flowlib.authoring import rules
from flowlib.authoring.claims import find_marks
from flowlib.authoring.execute import NotebookFailed, execute
from flowlib.authoring.notebooks import CHECKED, claim_ids, code_cells, read
from flowlib.authoring.tidy import merge_streams, tidy
from flowlib.cli import main
from flowlib.notebook import figures, setup
from flowlib.notebook.show import bundle, png

ALT = "A straight line that rises from one to three over three points, drawn for a test"


def notebook(*cells, metadata=None):
    made = nbformat.v4.new_notebook(metadata=metadata or {})
    for cell in cells:
        made.cells.append(cell if not isinstance(cell, str) else nbformat.v4.new_code_cell(cell))
    return made


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A notebook that was executed in place, and what was measured."""
    path = tmp_path_factory.mktemp("notebooks") / "small.ipynb"
    head = nbformat.v4.new_markdown_cell("# Small\n\nTime: <!-- measured --><!-- /measured -->.")
    code = nbformat.v4.new_code_cell("a = bytearray(150_000_000)\na[:] = b'x' * len(a)\ndel a")
    code.metadata["execution"] = {"iopub.status.busy": "now"}
    talk = "import os\nfrom pathlib import Path\nprint('one', flush=True)\nprint(Path('small.ipynb').exists())"
    ask = "predict('Up?', choices=['yes', 'no'], answer='yes', why={'no': 'Look again.'})"
    tools = "from flowlib.notebook import predict"
    nbformat.write(notebook(head, code, talk, tools, ask, metadata={"widgets": {"junk": 1}}), path)
    [(_, measured)] = execute([path]).items()
    return path, measured


def test_execute_measures_what_the_kernel_took(executed):
    path, measured = executed
    assert 1 <= measured.seconds < 120 and measured.cores >= 1
    assert 180 <= measured.peak_mb < 2000  # the cell holds 150 MB twice for a moment
    notebook = read(path)
    assert notebook.metadata["flowlib"]["measured"]["peak_mb"] == measured.peak_mb
    assert f"Time: <!-- measured -->Runs in {measured.seconds} s, peak memory" in notebook.cells[0].source


def test_execute_leaves_one_clean_form(executed):
    path, _ = executed
    notebook = read(path)
    nbformat.validate(notebook)
    assert set(notebook.metadata) == {"kernelspec", "language_info", "flowlib"}
    assert notebook.metadata.kernelspec.name == "python3" and notebook.nbformat_minor == 5
    assert [cell.execution_count for cell in code_cells(notebook)] == [1, 2, 3, 4]
    assert all("execution" not in cell.metadata for cell in notebook.cells)
    [stream] = notebook.cells[2].outputs
    assert stream.text == "one\nTrue\n"  # merged, and run in the notebook's own folder
    assert not list(path.parent.glob(".*.tmp"))


def test_execute_drops_widgets_and_folds_the_source_of_a_question(executed):
    notebook = read(executed[0])
    [static] = notebook.cells[4].outputs
    assert "Up?" in static.data["text/markdown"]
    assert notebook.cells[4].metadata["jupyter"]["source_hidden"]
    assert "widget" not in json.dumps(notebook)


def test_executing_again_changes_nothing_but_the_figures(executed):
    path, _ = executed
    before = read(path)
    execute([path])
    after = read(path)
    for one in (before, after):
        del one.metadata["flowlib"], one.cells[0]["source"]
    assert before == after


def stream(text, name="stdout"):
    return nbformat.from_dict({"output_type": "stream", "name": name, "text": text})


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        (["one\n", "two\n"], "one\ntwo\n"),
        (["10 %\r", "20 %\r", "30 %"], "30 %"),
        (["10 %\r20 %\r\n", "a\nb\rc\n"], "20 %\r\na\nc\n"),
        (["all\r"], ""),
        (["\n\r\n\r", "x"], "\n\r\nx"),
    ],
)
def test_neighbours_are_merged_and_what_was_overwritten_is_left_out(texts, shown):
    [merged] = merge_streams([stream(text) for text in texts])
    assert merged.text == shown


def test_streams_of_two_kinds_stay_two():
    outputs = [stream("a"), stream("b", "stderr"), stream("c", "stderr"), stream("d")]
    assert [output.text for output in merge_streams(outputs)] == ["a", "bc", "d"]


@pytest.mark.timeout(20)
def test_one_long_line_takes_no_longer_than_many_short_ones():
    """A second, for 20 million characters; what is quadratic in a line takes days."""
    long = "x" * 10_000_000
    [merged] = merge_streams([stream(long), stream(long)])
    assert merged.text == long + long
    [merged] = merge_streams([stream("x\r") for _ in range(100_000)] + [stream("done")])
    assert merged.text == "done"


def test_an_assignment_is_measured_and_keeps_its_form(tmp_path):
    head = nbformat.v4.new_markdown_cell("# Assignment", id="about")
    code = nbformat.v4.new_code_cell("print(1)", id="q1", metadata={"nbgrader": {"grade_id": "q1", "solution": True}})
    nbformat.write(notebook(head, code), tmp_path / "a.ipynb")
    for _ in range(2):  # marks are made once
        [measured] = execute([tmp_path / "a.ipynb"]).values()
        about, q1 = read(tmp_path / "a.ipynb").cells
        assert about.source == f"# Assignment\n\n**With its solution:** <!-- measured -->{measured}<!-- /measured -->."
        assert q1 == code and not q1.outputs and q1.execution_count is None


def test_a_notebook_that_raises_is_reported_and_left_alone(tmp_path):
    bad, good = tmp_path / "bad.ipynb", tmp_path / "good.ipynb"
    nbformat.write(notebook("x = 1", "1 / 0"), bad)
    nbformat.write(notebook("x = 1"), good)
    before = bad.read_bytes()
    with pytest.raises(NotebookFailed, match=r"bad.ipynb: cell 1 of 2 failed[\s\S]*ZeroDivisionError"):
        execute([bad, good])
    assert bad.read_bytes() == before and sorted(p.name for p in tmp_path.iterdir()) == [
        "bad.ipynb",
        "good.ipynb",
    ]
    assert read(good).cells[0].execution_count == 1


def test_what_was_changed_while_it_ran_is_not_written_over(tmp_path):
    path = tmp_path / "edited.ipynb"
    edit = "from pathlib import Path\nhere = Path('edited.ipynb')\nhere.write_text(here.read_text() + ' ')"
    nbformat.write(notebook(edit), path)
    before = path.read_text()
    with pytest.raises(NotebookFailed, match="it was changed while it ran"):
        execute([path])
    assert path.read_text() == before + " "


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_run_that_ends_in_the_middle_leaves_the_old_notebook(tmp_path, monkeypatch, error):
    path = tmp_path / "a.ipynb"
    nbformat.write(notebook("1"), path)
    before = path.read_bytes()

    def stop(*_):
        raise error

    monkeypatch.setattr("flowlib.authoring.execute.run", stop)
    with pytest.raises(error):
        execute([path])
    monkeypatch.undo()
    monkeypatch.setattr("os.replace", stop)
    with pytest.raises(error):
        execute([path])
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["a.ipynb"]


def test_a_link_to_a_notebook_stays_one(tmp_path):
    nbformat.write(notebook("1"), tmp_path / "a.ipynb")
    (tmp_path / "link.ipynb").symlink_to("a.ipynb")
    execute([tmp_path / "link.ipynb"])
    assert (tmp_path / "link.ipynb").is_symlink() and "flowlib" in read(tmp_path / "a.ipynb").metadata


def test_a_dry_run_looks_at_what_ran_and_writes_nothing(tmp_path, capsys):
    loud = tmp_path / "01_loud.ipynb"
    nbformat.write(notebook("import warnings", "warnings.warn('old')"), loud)
    before = loud.read_bytes()
    assert main(["notebooks", "--dry", str(loud)]) == 0 and loud.read_bytes() == before
    assert re.search(r"rule: cell 1 wrote to stderr: .*UserWarning: old", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is no notebook in JSON"),
        (b"[1]", "it is no notebook in JSON"),
        (b'{"cells": 3}', "it is no notebook in JSON"),
        (b'{"cells": [{"cell_type": "x"}], "nbformat": 4, "nbformat_minor": 5}', "it is no notebook in JSON"),
        (b'{"cells": [{"cell_type": "code", "source": "1"}], "nbformat": 4}', "it is no notebook in JSON"),
        (b'{"cells": [], "nbformat": 9, "nbformat_minor": 0, "metadata": {}}', "it is no notebook in JSON"),
        ("{}".encode("utf-16"), "it is no text in UTF-8; save it as UTF-8"),
    ],
)
def test_what_is_no_notebook_is_one_message(tmp_path, capsys, data, said):
    (tmp_path / "x.ipynb").write_bytes(data)
    assert main(["notebooks", str(tmp_path / "x.ipynb")]) == 2
    err = capsys.readouterr().err
    assert f"x.ipynb: {said}" in err and err.count("\n") == 1
    assert (tmp_path / "x.ipynb").read_bytes() == data


def test_a_byte_order_mark_is_no_obstacle(tmp_path):
    (tmp_path / "x.ipynb").write_text(nbformat.writes(notebook("1")), "utf-8-sig")
    assert code_cells(read(tmp_path / "x.ipynb"))[0].source == "1"


def test_execute_names_a_path_that_is_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no notebook"):
        execute([tmp_path / "none.ipynb"])


@pytest.fixture(scope="module", autouse=True)
def course_style():
    setup()


def line():
    return figures.curves([1, 2, 3], {"attention": [1, 2, 3]}, xlabel="x", ylabel="y")


def ask(n):
    return f'predict_number(\n    "How many?",\n    answer={n},\n    id="Q4.{n}",\n)' + "\nprogress()" * (n == 5)


def sound():
    """A notebook that keeps every rule."""
    text = "# 04 · A chapter\n\n**Objectives**\n\n- see (C4.1)\n- say so (C4.2, Q4.5)\n\n"
    text += "**Prerequisites** none. Reading time 10 min. "
    cells = [nbformat.v4.new_markdown_cell(text + "<!-- measured -->Runs in 1 s, so<!-- /measured -->")]
    for i in range(10):
        cells += [nbformat.v4.new_markdown_cell(f"Prose {i}")]
        cells += [nbformat.v4.new_markdown_cell(f"> **Claim C4.{i + 1}.** So it is.")]
        cells += [nbformat.v4.new_code_cell(f"x = {i}", execution_count=i + 1)]
    cells[3].source, cells[3].metadata["tags"] = "print(1)", [CHECKED]
    cells[3].outputs = [nbformat.v4.new_output("stream", name="stdout", text="1\n")]
    data, metadata = bundle(png(line()), ALT, 10, 10)
    cells[6].outputs = [nbformat.v4.new_output("display_data", data, metadata=metadata)]
    cells += [nbformat.v4.new_code_cell(ask(n), execution_count=10 + n) for n in range(1, 6)]
    cells += [nbformat.v4.new_markdown_cell(f"## {w}") for w in ("Summary", "Exercise", "References")]
    made = notebook(*cells)
    made.metadata["flowlib"] = {"measured": {"seconds": 9, "peak_mb": 600, "cores": 2}}
    tidy(made)
    return made


def test_a_sound_notebook_breaks_no_rule(tmp_path):
    nbformat.write(sound(), tmp_path / "04.ipynb")
    assert rules.find_violations(read(tmp_path / "04.ipynb"), tmp_path / "04.ipynb") == []


def spoil(change):
    made = sound()
    change(made.cells, made)
    return rules.find_violations(made)


def error_output(cells, _):
    cells[9].outputs = [nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[])]


def stderr_output(cells, _):
    cells[9].outputs = [nbformat.v4.new_output("stream", name="stderr", text="a warning")]


def same_alt(cells, _):
    cells[9].outputs = cells[6].outputs


def no_alt(cells, _):
    cells[6].outputs[0].metadata = {}


def picture_in_checked(cells, _):
    cells[3].outputs = cells[6].outputs


def change_source(i, old, new):
    """In cell i, which holds it."""

    def change(cells, _):
        assert old in cells[i].source
        cells[i].source = cells[i].source.replace(old, new)

    return change


def set_source(i, text):
    return lambda cells, _: cells[i].update(source=text)


def set_meta(**values):
    return lambda _, made: made.metadata["flowlib"]["measured"].update(values)


QUESTION = "predict(\n" + "    # a long question\n" * 30 + "    id='Q4.6',\n)"
CLASS = "class A:\n" + "    x = 1\n" * 20


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda cells, made: made.metadata["kernelspec"].update(name="julia"), "kernel must be python3"),
        (lambda cells, made: cells[3].update(execution_count=7), "run in order"),
        (error_output, "ended in ValueError"),
        (stderr_output, "stderr"),
        (lambda cells, _: cells.__delitem__(slice(10, 22)), "30 to 60 cells"),
        (
            lambda cells, _: [cells[i].update(cell_type="markdown") for i in range(12, 31, 3)],
            "two cells of prose",
        ),
        (set_source(9, "x = 1\n" * 16), "16 lines of code"),
        (set_source(9, CLASS + "    x = 2\n" * 5), "26 lines of code"),
        (lambda cells, _: [cells[i].update(source=CLASS) for i in (9, 12)], "21 lines of code"),
        (set_source(9, "x = " + "1" * 110), "a line of 114 characters"),
        (set_source(9, "predict('Up?', answer='yes')"), "alone on its line"),
        (set_source(0, "No title"), "title"),
        (set_source(0, "# T\nObjectives, prerequisites"), "reading time"),
        (set_source(0, "# T\n<!-- measured --><!-- /measured -->"), "which execute fills"),
        (set_source(-1, "## Thanks"), "references"),
        (no_alt, "0 characters of alt text"),
        (same_alt, "the same alt text"),
        (set_source(1, "![short](a.png)"), "alt text"),
        (set_source(9, "open('/home/me/x')"), "absolute path"),
        (set_source(9, r"open('C:\Users')"), "absolute path"),
        (set_source(1, "<A at 0x7f00deadbeef>"), "memory address"),
        (lambda cells, _: cells[3].metadata.pop("tags"), "nbval-check-output"),
        (picture_in_checked, "must print text"),
        (set_meta(seconds=61), "must run in 60 s"),
        (set_meta(peak_mb=1300), "at most 1200 MB"),
        (lambda _, made: made.metadata.pop("flowlib"), "nothing was measured"),
        (set_source(32, "x = 1"), "at least 5 questions, this one 4"),
        (change_source(32, 'id="Q4.2"', 'id="Q3.2"'), "one has 'Q3.2'"),
        (change_source(32, 'id="Q4.2",', ""), "one has ''"),
        (change_source(32, "Q4.2", "Q4.1"), "two questions have the id 'Q4.1'"),
        (change_source(35, "progress()", ""), "must end in 'progress()'"),
        (change_source(0, "# 04", "#"), "of chapter -1"),
        (change_source(0, "- see (C4.1)\n", ""), "lists the objectives"),
        (change_source(0, "(C4.1)", ""), "must name the claim or the question"),
        (change_source(0, "C4.1", "C4.11"), "names C4.11, which this chapter does not hold"),
        (change_source(0, "Q4.5", "Q4.7"), "names Q4.7, which"),
        (change_source(2, "**Claim C4.1.**", "As C4.1 says:"), "names C4.1, which"),
    ],
)
def test_each_rule_finds_what_breaks_it(change, said):
    assert any(said in sentence for sentence in spoil(change)), spoil(change)


def test_one_class_cell_of_25_lines_is_allowed():
    assert spoil(set_source(9, CLASS)) == []


def test_a_question_counts_neither_as_code_nor_as_prose():
    assert spoil(set_source(9, QUESTION)) == []


def test_a_large_file_is_found(tmp_path):
    big = sound()
    big.cells[1].source = "x" * 1_600_000
    nbformat.write(big, tmp_path / "big.ipynb")
    assert any("at most 1.5 MB" in s for s in rules.find_violations(big, tmp_path / "big.ipynb"))


def test_a_web_address_is_no_absolute_path():
    text = "see https://example.org/home/page and `chapters/tmp/x`"
    assert spoil(set_source(1, text)) == []


def test_claims_are_found_on_both_sides(tmp_path):
    assert claim_ids(sound(), 4) == {f"C4.{i}" for i in range(1, 11)}
    assert claim_ids(sound(), 3) == set()
    file = tmp_path / "test_x.py"
    file.write_text(
        "import pytest\n@pytest.mark.claim('C4.1', 'C4.2')\ndef test_a(): ...\n"
        "@pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.claim('C4.3'))])\n"
        "def test_b(x): ...\n# pytest.mark.claim('C9.9')\n"
    )
    assert find_marks([file]) == {
        "C4.1": ["test_x.py:2"],
        "C4.2": ["test_x.py:2"],
        "C4.3": ["test_x.py:4"],
    }
