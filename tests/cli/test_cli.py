"""The command `flowlib`: what it prints, and its exit codes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import flowlib
from flowlib import cli
from flowlib.models.language import FlowConfig, FlowLM, Vocabulary

SMALL = (
    "--device cpu --steps 4 --batch 2 --eval-every 2 --log-every 1 --warmup 1 "
    "--model.context 8 --model.width 8 --model.heads 2 --model.layers 1"
).split()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """Every command runs in an empty folder with a short text."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLOWLIB_DATA", raising=False)
    Path("text.txt").write_text("the river is the flow and the flow is the river; " * 20)
    return tmp_path


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    """(exit code, standard output, standard error)."""
    try:
        code = cli.main(list(arguments))
    except SystemExit as stop:  # tyro's way to end after --help and wrong flags
        code = stop.code
    out = capsys.readouterr()
    assert "Traceback" not in out.out + out.err
    return code, out.out, out.err


ROOT = Path(flowlib.__file__).parents[1]
ASK = """
import sys, flowlib.cli
try:
    flowlib.cli.main([{!r}])
except SystemExit:
    pass
print([name for name in ("torch", "numpy", "nbformat", "accelerate", "pooch", "matplotlib") if name in sys.modules])
"""


@pytest.mark.parametrize("asked", ["--help", "--version", "swim"])
def test_what_lists_the_commands_loads_nothing_heavy(asked):
    script = [sys.executable, "-c", ASK.format(asked)]
    outcome = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=True)
    assert outcome.stdout.splitlines()[-1] == "[]"


def test_help_has_one_line_for_each_command(capsys):
    code, out, _ = run(capsys, "--help")
    listed = re.findall(r"^\W*(\w+) {2,}(\S.*\.)\W*$", out, re.MULTILINE)  # a whole sentence on the line
    assert code == 0 and [name for name, _ in listed] == list(cli.COMMANDS), out


def test_the_version_is_told(capsys):
    assert run(capsys, "--version") == (0, f"flowlib {flowlib.__version__}\n", "")


@pytest.mark.parametrize("asked", ["doctor", "--help"])
def test_a_closed_pipe_is_no_traceback(asked, folder):
    command = [sys.executable, "-m", "flowlib.cli", asked]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, **streams)
    process.stdout.close()  # as head -1 does, only sooner
    assert process.stderr.read() == b"" and process.wait() == 141


def test_every_setting_is_a_flag_with_its_explanation(capsys):
    code, out, _ = run(capsys, "train", "shakespeare-cpu", "--help")
    assert code == 0
    for text in (
        "--learning-rate",
        "--model.width",
        "--model.scheme",
        "--resume",
        "--eval-every",
        "--corpus",
        "Steps between evaluations",
        "| tiny   ",
        "--compile",
        "--precision",
        "(default: shakespeare)",
    ):
        assert text in out
    assert "alphabet" not in out  # the vocabulary comes from the corpus


def test_train_prints_a_curve_a_sample_and_where_the_run_lies(capsys, folder):
    code, out, err = run(capsys, "train", "--corpus", "text.txt", *SMALL, "--name", "one", "--prompt", "the ")
    assert code == 0, err
    losses = [
        line["validation_loss"] for line in map(json.loads, open("runs/one/metrics.jsonl")) if "validation_loss" in line
    ]
    assert len(losses) == 3
    assert f"from {losses[0]:.4f} to {losses[-1]:.4f}, lowest {min(losses):.4f}" in out
    assert "\nthe " in out
    assert f"the run lies in {Path('runs/one')}" in out

    code, again, _ = run(capsys, "sample", "runs/one", "--prompt", "the ", "--tokens", "12", "--seed", "3")
    assert code == 0 and again.startswith("the ")
    assert run(capsys, "sample", "runs/one", "--prompt", "the ", "--tokens", "12", "--seed", "3")[1] == again
    greedy = run(capsys, "sample", "runs/one", "--tokens", "12", "--temperature", "0", "--top-k", "1")
    assert greedy[0] == 0

    code, _, err = run(capsys, "train", "--corpus", "text.txt", *SMALL, "--name", "one")
    assert code == 2 and "already holds a run" in err
    code, out, _ = run(capsys, "train", "--corpus", "text.txt", *SMALL, "--name", "one", "--resume")
    assert code == 0 and f"from {losses[0]:.4f} to {losses[-1]:.4f}" in out


def test_a_model_that_comes_with_flowlib_writes_by_its_name_in_any_number_of_steps(capsys):
    how = ("--prompt", "the ", "--tokens", "8", "--seed", "0")
    texts = [run(capsys, "sample", "tiny-elastic", *how, "--steps", n) for n in ("2", "4", "1")]
    assert all(code == 0 and out.startswith("the ") for code, out, _ in texts)
    assert texts[1] == run(capsys, "sample", "tiny-elastic", *how) and texts[1][1] != texts[2][1]
    code, _, err = run(capsys, "sample", "tiny", "--steps", "0")
    assert code == 2 and "steps must be" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["swim"], "unknown command 'swim'; known are train, sample, look, tokenize, claims, bench, compare"),
        (["train", "huge"], "unknown preset 'huge'; known are digits, digits-conv, gpt2-124m, mnist, shak"),
        (["train", "--steps", "0"], "steps must be at least 1, but is 0"),
        (["train", "--steps", "many"], "invalid literal"),
        (["train", "--stepps", "5"], "Perhaps you meant: --steps INT"),
        (["--foo"], "Available subcommands: train, sample, look, tokenize"),
        (["train", "--steps", "1", "digits"], "the preset stands before the flags: flowlib train digits"),
        (["compare", "depth", "--seeds", "1", "tiny"], "the preset stands before the flags: flowlib compare depth ti"),
        (["train", "--model.scheme", "magic"], "unknown scheme 'magic'; known"),
        (["train", "--model.width", "9"], "width must be a multiple of heads"),
        (["train", "--corpus", "nowhere.txt"], "no text file nowhere.txt"),
        (["train", "--corpus", "empty.txt"], "empty.txt is empty"),
        (["train", "--corpus", "latin1.txt"], "byte 0xee at offset 1 is not"),
        (["train", "--corpus", "text.txt", "--model.context", "500"], "too short for a context of 500"),
        (["sample", "runs/none"], "no model in"),
        (["sample", "model", "--prompt", "Ω"], "never saw"),
        (["sample", "model", "--temperature", "-1"], "temperature must be"),
        (["sample", "model", "--top-k", "0"], "top_k must be"),
        (["sample", "damaged"], "model.safetensors is not a whole safetensors file"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(capsys, arguments, message):
    Path("empty.txt").touch()
    Path("latin1.txt").write_bytes(b"r\xeeviere")
    shape = FlowConfig(vocabulary=Vocabulary.characters("a river\n"), context=8, width=8, heads=2, layers=1)
    FlowLM(shape).save("model")
    FlowLM(shape).save("damaged")
    Path("damaged/model.safetensors").write_bytes(Path("model/model.safetensors").read_bytes()[:100])
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert message in " ".join(err.replace("│", " ").split())
    assert not Path("runs").exists()


def test_a_finished_run_is_shipped_with_its_card(capsys, folder):
    run(capsys, "train", "--corpus", "text.txt", *SMALL, "--name", "one")
    code, out, _ = run(capsys, "ship", "runs/one", "gift", "--command", "flowlib train mine")
    assert code == 0 and "`flowlib train mine`" in out and "4 updates of 2 windows" in out
    assert (folder / "gift" / "CARD.md").read_text("utf-8").strip() == out.strip()
    assert FlowLM.load(folder / "gift").config == FlowLM.load(folder / "runs" / "one" / "best").config
    code, _, err = run(capsys, "ship", "runs/nobody", "gift", "--command", "x")
    assert code == 2 and "runs/nobody" in err


def test_a_run_that_blows_up_is_a_message(capsys):
    arguments = ["train", "--corpus", "text.txt", *SMALL, "--learning-rate", "9e5", "--warmup", "0", "--steps", "50"]
    code, _, err = run(capsys, *arguments)
    assert code == 2 and "start again with a lower learning_rate" in err


def test_ctrl_c_before_the_loop_is_exit_code_130(capsys, monkeypatch):
    monkeypatch.setattr("flowlib.training.data.embedded_text", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    code, _, err = run(capsys, "train")
    assert code == 130 and "interrupted" in err


def test_notebooks_hands_over_to_the_executor(capsys, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    nbformat.write(notebook, "good.ipynb")
    from flowlib.authoring import execute

    asked = []
    ran = lambda path, write: asked.append((path.as_posix(), write)) or ("ran", notebook)
    monkeypatch.setattr(execute, "execute_one", ran)
    assert run(capsys, "notebooks", "good.ipynb", "--dry")[0] == 0
    Path("chapters").mkdir()
    nbformat.write(notebook, "chapters/01.ipynb")
    nbformat.write(notebook, "chapters/00.ipynb")
    assert run(capsys, "notebooks")[0] == 0
    assert asked == [("good.ipynb", False), ("chapters/00.ipynb", True), ("chapters/01.ipynb", True)]

    def fails(path, write):
        raise execute.NotebookFailed("cell 1 fails")

    monkeypatch.setattr(execute, "execute_one", fails)
    assert run(capsys, "notebooks")[0] == 1


@pytest.mark.parametrize("arguments", [["bench", "--quick"], ["compare", "schemes", "tiny"]])
def test_figures_are_written_over_nothing_else(capsys, folder, arguments):
    (folder / "link.json").symlink_to("text.txt")
    text = Path("text.txt").read_text()
    for file, said in (("text.txt", "is there already"), ("link.json", "is a link"), ("/dev/null", "a device")):
        code, _, err = run(capsys, *arguments, "--json", file)
        assert code == 2 and said in err and err.count("\n") == 1
    assert Path("text.txt").read_text() == text and not Path("/dev/null").is_file()


def test_an_older_file_of_figures_is_written_over(folder):
    from flowlib.cli.parsing import check_target

    for text in ("", " \n", '{"ratios": []}'):
        Path("old.json").write_text(text)
        check_target(Path("old.json"), "--json", "x.json", '"ratios": ')
    check_target(Path("deep/er/new.json"), "--json", "x.json", '"ratios": ')
    check_target(Path("-"), "--json", "x.json", '"ratios": ')


@pytest.mark.parametrize("arguments", [["bench", "--quick"], ["compare", "schemes", "tiny"]])
def test_a_folder_is_no_file_of_figures_and_is_refused_before_the_work(capsys, folder, arguments):
    code, _, err = run(capsys, *arguments, "--json", str(folder))
    assert code == 2 and "--json must be a file, such as" in err and "is a folder" in err
    code, _, err = run(capsys, *arguments, "--json", "text.txt/figures.json")
    assert code == 2 and "text.txt is a file, no folder" in err


def test_compare_asks_what_and_knows_the_presets_of_text_only(capsys):
    code, _, err = run(capsys, "compare")
    assert code == 2 and "compare what? known are schemes, depth, remedies" in err
    code, _, err = run(capsys, "compare", "--seeds", "1", "schemes")
    assert code == 2 and "compare what? known are schemes, depth, remedies" in err
    code, _, err = run(capsys, "compare", "schemes", "digits")
    assert code == 2 and "compare trains models of text" in err and "'digits'" in err
    code, out, _ = run(capsys, "compare", "--help")
    assert code == 0 and "shakespeare-cpu" in out and "digits" not in out


def test_what_is_no_run_is_not_shipped(capsys, folder):
    for name in ("text.txt", str(folder)):
        code, _, err = run(capsys, "ship", name, "gift", "--command", "x")
        assert code == 2 and "is not the folder of a run" in err and not (folder / "gift").exists()


def test_tokens_do_not_go_into_a_file(capsys):
    code, _, err = run(capsys, "tokenize", "text.txt", "text.txt", "--vocabulary", "bytes")
    assert code == 2 and "need a folder, and text.txt is a file" in err and Path("text.txt").is_file()


@pytest.mark.parametrize("name", ["text.txt", ".", "gone.ipynb"])
def test_what_is_no_notebook_is_named(capsys, name):
    code, _, err = run(capsys, "notebooks", name)
    assert code == 2 and err.startswith(f"flowlib notebooks: {name} is no notebook")


def test_a_model_of_pictures_writes_no_text(capsys):
    from flowlib.models import shipped

    for name in ("digits", "shapes"):
        code, _, err = run(capsys, "sample", str(shipped(name)))
        assert code == 2 and "sample needs a model of text" in err


def test_look_writes_a_page_and_only_over_its_own(capsys, folder):
    code, out, err = run(capsys, "look", "tiny", "the value of")
    page = Path("look-tiny.html")
    assert (code, out) == (0, "look-tiny.html\n"), err
    assert page.read_text("utf-8").endswith("</html>\n") and list(folder.glob("*.html")) == [page.absolute()]
    assert run(capsys, "look", "tiny", "the value", "--out", str(page))[0] == 0
    page.write_text("mine", "utf-8")
    assert "is there already" in run(capsys, "look", "tiny", "the value")[2] and page.read_text("utf-8") == "mine"


@pytest.mark.parametrize("model, text, message", [("no model", "x", "there is no model"), ("tiny", "", "give a text")])
def test_look_says_what_is_wrong(capsys, folder, model, text, message):
    code, _, err = run(capsys, "look", model, text)
    assert code == 2 and err.startswith("flowlib look: ") and message in err and not list(folder.glob("*.html"))
