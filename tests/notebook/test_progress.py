"""What a reader has answered: kept on the reader's own disk, and never touched by a test or an execution."""

import json
import math
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import filelock
import nbformat
import platformdirs
import pytest
import torch

from flowlib.authoring import execute as executing
from flowlib.notebook import forget, predict, predict_number, predict_order, progress, self_test
from flowlib.notebook.course import find_chapter, read_chapters
from flowlib.notebook.prerequisites import PREREQUISITES
from flowlib.notebook.progress import Standing, _save, note, place, recall, trouble

CHOOSE = dict(question="Up?", choices=["yes", "no"], answer="yes", why={"no": "Look again."})
ORDER = dict(question="Which?", items=["a", "b", "c"], why={("b", "a"): "a is before b."}, because="Yes indeed.")


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    """A progress file of the test's own, and a kernel that has just started."""
    monkeypatch.setenv("FLOWLIB_PROGRESS", str(tmp_path / "mine" / "progress.json"))
    new_kernel()
    return tmp_path / "mine" / "progress.json"


def new_kernel():
    from flowlib.notebook import predict as function  # the name in the package is the function, not its module

    module, record = sys.modules[function.__module__], sys.modules[note.__module__]
    for kept in (record._here, record._troubles, module._questions, module._tally):
        kept.clear()


@pytest.fixture
def shown(monkeypatch):
    """What was displayed: texts, and widgets."""
    items = []
    monkeypatch.setattr("IPython.display.display", lambda thing, raw=False, metadata=None: items.append(thing))
    return items


def kept(file):
    return json.loads(file.read_text("utf-8"))


# --- the file ---------------------------------------------------------------------------------------------


def test_attempts_are_counted_up_to_the_first_right_one(file):
    for right in (False, True, False, True):
        note("Q3.1", right)
    assert kept(file) == {"Q3.1": {"tries": 2, "right": True}}
    assert recall() == {"Q3.1": Standing(2, True)}


def test_nothing_is_written_before_something_is_answered(file, shown):
    predict(**CHOOSE, id="Q3.1")
    progress()
    assert not file.parent.exists()


def test_what_another_kernel_wrote_is_kept(file):
    note("Q3.1", True)
    other = "from flowlib.notebook.progress import note; note('Q3.2', False); note('Q3.1', False)"
    subprocess.run([sys.executable, "-c", other], check=True)
    note("Q3.3", True)
    assert kept(file) == {
        "Q3.1": {"tries": 1, "right": True},
        "Q3.2": {"tries": 1, "right": False},
        "Q3.3": {"tries": 1, "right": True},
    }


def test_answers_at_the_same_moment_are_all_kept(file):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: note(f"Q1.{n}", True), range(24)))
    assert len(kept(file)) == 24 and not list(file.parent.glob("*.tmp"))


def test_a_damaged_file_is_kept_aside_and_said(file):
    for n, damage in enumerate(("{", "[1, 2]", '{"Q3.1": {"tries": "many"}}'), start=1):
        file.parent.mkdir(exist_ok=True)
        file.write_text(damage)
        assert recall() == {}
        assert f"progress.damaged-{n}.json" in trouble() and trouble() == ""
        assert file.with_name(f"progress.damaged-{n}.json").read_text() == damage
    note("Q3.1", True)
    assert recall() == {"Q3.1": Standing(1, True)}


def test_where_nothing_can_be_written_the_kernel_remembers(tmp_path, monkeypatch):
    (tmp_path / "wall").write_text("a file, where a folder must be")
    monkeypatch.setenv("FLOWLIB_PROGRESS", str(tmp_path / "wall" / "progress.json"))
    note("Q3.1", False)
    assert note("Q3.1", True) == Standing(2, True) and recall() == {"Q3.1": Standing(2, True)}
    assert "not kept beyond this session" in trouble() and trouble() == ""
    with pytest.raises(OSError):
        forget()


def test_a_kill_leaves_the_old_file_or_the_new_one(file, die_at, monkeypatch):
    note("Q3.1", True)
    with monkeypatch.context() as patched:
        die_at(patched, 0)
        with pytest.raises(die_at.Killed):
            _save(file, {})
    assert kept(file) == {"Q3.1": {"tries": 1, "right": True}}


def test_forget_wipes_all_or_one_chapter(file):
    for key in ("Q1.1", "Q1.2", "Q10.1"):
        note(key, True)
    forget(1)
    assert set(recall()) == set(kept(file)) == {"Q10.1"}
    forget()
    assert recall() == {} == kept(file)


# --- where it is, and where it is not ---------------------------------------------------------------------


def test_off_keeps_it_in_the_kernel_only(monkeypatch, tmp_path):
    monkeypatch.setenv("FLOWLIB_PROGRESS", "off")
    assert place() is None
    assert note("Q3.1", True) == Standing(1, True) == recall()["Q3.1"]
    forget()
    assert recall() == {} and list(tmp_path.iterdir()) == []


def test_it_is_off_under_pytest_and_so_under_nbval(monkeypatch):
    monkeypatch.delenv("FLOWLIB_PROGRESS")
    assert place() is None
    monkeypatch.delenv("PYTEST_VERSION")
    assert place().parts[-2:] == ("flowlib", "progress.json")


def _no_home(*_, **__):
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.parametrize("told", ["", "~/mine.json"])
@pytest.mark.parametrize("folder", [_no_home, lambda *_, **__: Path("~/.local/share/flowlib")])
def test_without_a_home_answers_count_for_this_session_and_no_folder_is_made(folder, told, monkeypatch, tmp_path):
    """platformdirs 4.14 and pathlib refuse, an older platformdirs leaves the ~ as it is."""
    monkeypatch.setenv("FLOWLIB_PROGRESS", told)
    monkeypatch.delenv("PYTEST_VERSION")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(platformdirs, "user_data_path", folder)
    monkeypatch.setattr(Path, "expanduser", _no_home)
    assert note("Q3.1", False) == Standing(1, False) and note("Q3.1", True) == Standing(2, True) == recall()["Q3.1"]
    assert "not kept beyond this session" in trouble() and trouble() == ""
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_cannot_lock_is_said_and_the_answer_is_met(monkeypatch, shown, file):
    """filelock before 3.21 raises NotImplementedError there, which is no OSError."""

    def acquire(*_, **__):
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    predict(**CHOOSE, id="Q3.1")
    buttons, answer = shown[1].children
    buttons.value = "yes"
    assert "✓ Right." in answer.value and "not kept beyond this session" in answer.value
    assert recall() == {"Q3.1": Standing(1, True)} and not file.exists()
    with pytest.raises(OSError, match="cannot lock"):
        forget()


@pytest.mark.parametrize(
    "first",
    [
        "import flowlib.notebook.progress",
        "from flowlib.notebook.progress import note",
        "from flowlib.notebook.predict import progress",
        "import flowlib.notebook.setup, flowlib.notebook.show, flowlib.notebook.predict",
    ],
)
def test_what_a_chapter_imports_is_the_function_in_any_order(first):
    """show, setup, predict and progress are names of modules, too."""
    names = "from flowlib.notebook import predict, progress, setup, show"
    says = "assert all(type(one).__name__ == 'function' for one in (predict, progress, setup, show))"
    subprocess.run([sys.executable, "-c", "\n".join([first, names, first, names, says])], check=True)


def test_an_execution_neither_reads_nor_writes_it(file, tmp_path):
    note("Q3.1", True)
    before = file.read_bytes()
    lines = "from flowlib.notebook.progress import note, place, recall\nnote('Q3.1', False)\nprint(place(), recall())"
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(lines)])
    nbformat.write(made, tmp_path / "one.ipynb")
    executing.execute([tmp_path / "one.ipynb"])
    [output] = executing.read(tmp_path / "one.ipynb").cells[0].outputs
    assert output.text == "None {'Q3.1': Standing(tries=1, right=False)}\n"
    assert file.read_bytes() == before


# --- on the page ------------------------------------------------------------------------------------------


def test_an_answer_is_counted_once_for_each_attempt(shown, file):
    predict(**CHOOSE, id="Q3.1")
    buttons, answer = shown[1].children
    buttons.value = "no"
    buttons.value = "yes"
    assert "✓ Right." in answer.value and kept(file)["Q3.1"] == {"tries": 2, "right": True}


def test_what_is_no_number_is_no_attempt(shown, file):
    predict_number("√64?", 8, id="Q3.2")
    box, answer = shown[1].children
    box.value = "eight"
    assert "type a number" in answer.value and not file.exists()
    box.value = "8"
    assert kept(file)["Q3.2"] == {"tries": 1, "right": True}


def test_an_order_is_typed_as_letters(shown, file):
    asked = predict_order(**ORDER, id="Q3.3")
    box, answer = shown[1].children
    box.value = "AB"
    assert "each of the letters ABC once" in answer.value and not file.exists()
    letters = dict(zip(asked.order_on_page, "ABC"))
    box.value = letters["b"] + letters["a"] + letters["c"]
    assert "a is before b." in answer.value
    box.value = " ".join(letters[item] for item in "abc")
    assert "Yes indeed." in answer.value and kept(file)["Q3.3"] == {"tries": 2, "right": True}


def test_a_chapter_that_is_opened_again_knows_what_was_right(shown):
    for key, right in (("Q3.1", True), ("Q3.2", False)):
        note(key, right)
    new_kernel()
    predict(**CHOOSE, id="Q3.1")
    predict_number("√64?", 8, id="Q3.2")
    (_, first), (_, second) = shown[:2], shown[2:]
    assert "answered this right before" in first.children[1].value and first.children[0].value is None
    assert second.children[1].value == ""


def test_the_text_on_the_page_does_not_depend_on_what_was_answered(shown):
    predict(**CHOOSE, id="Q3.1")
    progress()
    shown[1].children[0].value = "yes"
    new_kernel()
    predict(**CHOOSE, id="Q3.1")
    progress()
    assert shown[0] == shown[4] and shown[2] == shown[6] and "<details>" in shown[0]["text/markdown"]


def test_progress_counts_and_goes_on_counting(shown):
    predict(**CHOOSE, id="Q3.1")
    predict_number("√64?", 8, id="Q3.2")
    predict_order(**ORDER, id="Q3.3")
    progress()
    tally = shown[-1]
    assert "0 of 3" in tally.value and "Still open in this chapter: Q3.1, Q3.2, Q3.3." in tally.value
    shown[1].children[0].value = "yes"
    shown[3].children[0].value = "9"
    shown[3].children[0].value = "8"
    assert "<b>1 of 3</b> right at the first attempt, 1 later. Still open in this chapter: Q3.3." in tally.value


def test_progress_shows_the_whole_course(shown):
    note("Q0.1", True)
    note("Q0.2", False)
    note("Q99.1", True)  # a question that the course no longer asks
    predict(**CHOOSE, id="Q3.1")
    progress()
    row = r'<th scope="row"[^>]*>(.*?)</th>.*?<progress value="(\d+)" max="(\d+)".*?>(\d+ of \d+)<'
    rows = re.findall(row, shown[-1].value)
    here = [chapter for chapter in read_chapters() if chapter.number == 3]
    asked = sum(len(chapter.questions) for chapter in read_chapters())
    assert len(rows) == len(read_chapters()) + 1
    assert rows[0][1:] == ("1", str(len(read_chapters()[0].questions)), f"1 of {len(read_chapters()[0].questions)}")
    assert rows[3][0] == f"<b>{here[0].name}</b>" and rows[3][1] == "0"
    assert rows[-1] == ("<b>The whole course</b>", "1", str(asked), f"1 of {asked}")
    shown[1].children[0].value = "yes"
    assert '<progress value="2"' in shown[-1].value


def test_the_chapter_at_hand_is_that_of_most_questions():
    assert find_chapter(["Q3.1", "Q10.2", "Q10.3"]) == 10 and find_chapter(["0f3c", ""]) is None


# --- what one has to know before --------------------------------------------------------------------------


def test_the_self_test_says_what_to_read_first(shown, file):
    self_test()
    assert not file.parent.exists()
    texts = [thing["text/markdown"] for thing in shown if isinstance(thing, dict)]
    boxes = [thing for thing in shown if hasattr(thing, "children")]
    assert len(texts) == 1 + len(boxes) == 1 + len(PREREQUISITES) and "Are you ready?" in texts[0]
    for one, text, box in zip(PREREQUISITES, texts[1:], boxes):
        seen, folded = text.split("<details>")
        assert one.asked.question in seen and one.read not in seen
        assert one.asked.because in folded and one.read in folded
        assert all(sentence in folded for sentence in one.asked.why.values())
        right = one.name != "Softmax"
        box.children[0].value = one.asked.answer if right else next(iter(one.asked.why))
        assert ("✓ Right" if right else "✗ Not so") in box.children[1].value
    verdict = shown[-1].value
    assert "<b>5 of 6</b>" in verdict and "Dive into Deep Learning" in verdict and verdict.count("<li>") == 1
    boxes[4].children[0].value = PREREQUISITES[4].asked.answer
    assert "<b>5 of 6</b>" in shown[-1].value and "✓ Right" in boxes[4].children[1].value  # the first choice counts
    assert not file.exists() and recall() == {}


def test_what_the_self_test_calls_right_is_right():
    a, matrix = torch.tensor([1.0, 2, 3]), torch.tensor([[1.0, 2], [0, 3]])
    t, x = torch.tensor(0.3, requires_grad=True), torch.linspace(0, 1, 100_001, dtype=torch.float64)
    torch.exp(-2 * t).backward()
    found = {
        "Dot product": (float(a @ torch.tensor([2.0, 0, -1])), -1),
        "Matrix times vector": ((matrix @ torch.ones(2)).tolist(), [3, 3]),
        "Derivative": (round(float(t.grad), 5), round(-2 * math.exp(-0.6), 5)),
        "Integral": (round(float(torch.trapezoid(3 * x**2, x)), 6), 1),
        "Softmax": ([round(z, 5) for z in torch.tensor([0, math.log(3)]).softmax(0).tolist()], [0.25, 0.75]),
        "Shapes in PyTorch": (tuple((torch.zeros(2, 5, 3) @ torch.zeros(3, 4)).shape), (2, 5, 4)),
    }
    assert list(found) == [one.name for one in PREREQUISITES] and all(here == there for here, there in found.values())


def test_a_trouble_is_said_under_the_answer(shown, file):
    file.parent.mkdir()
    file.write_text("{")
    predict(**CHOOSE, id="Q3.1")
    assert "could not be understood" in shown[1].children[1].value


def test_the_buttons_are_named_in_plain_words(shown):
    predict(question="Which?", choices=["$x^2$", "$x$"], answer="$x$", why={"$x^2$": "No."})
    assert shown[1].children[0].tooltips == ("answer A", "answer B")


def test_a_sentence_keeps_its_stress_and_its_formulas(shown):
    why = {"no": r"That is *pre-norm*, **not** `post`: $a^*b^*<c$."}
    predict(**CHOOSE | {"why": why})
    buttons, answer = shown[1].children
    buttons.value = "no"
    assert "That is <i>pre-norm</i>, <b>not</b> <code>post</code>: $a^*b^*&lt;c$." in answer.value
