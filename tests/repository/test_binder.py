"""Binder: repo2docker, which Binder runs, plans what we mean it to. Nothing is built, and no network is asked."""

from pathlib import Path

import pytest
import yaml

pytest.importorskip("repo2docker", reason="needs repo2docker: pip install -e '.[test]'")

from repo2docker.app import Repo2Docker
from repo2docker.buildpacks.conda import CondaBuildPack

from flowlib.authoring import course

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """(build pack, Dockerfile) that repo2docker makes of a repository with these files at its root."""

    def made(files: dict[str, str]):
        for name, text in files.items():
            (tmp_path / name).write_text(text, "utf-8")
        monkeypatch.chdir(tmp_path)
        app = Repo2Docker()
        pack = next(pack for pack in (kind(app.base_image) for kind in app.buildpacks) if pack.detect())
        pack.platform = "linux/amd64"
        return pack, pack.render({})

    return made


def ours() -> dict[str, str]:
    """The files at the root of the repository: what repo2docker looks at."""
    return {path.name: path.read_text("utf-8") for path in ROOT.iterdir() if path.is_file() and path.name != ".git"}


def test_the_plan_installs_flowlib_under_the_constraints(plan):
    pack, dockerfile = plan(ours())
    assert type(pack) is CondaBuildPack
    assert pack.python_version == "3.11" and not pack.separate_kernel_env  # its own JupyterLab, in the same Python
    copied, updated = dockerfile.index("COPY --chown=1000:1000 src/ "), dockerfile.index("env update")
    assert copied < updated, "flowlib and constraints.txt must be there when pip is asked to install them"
    assert 'env update -p ${NB_PYTHON_PREFIX} --file "environment.yml"' in dockerfile
    pip = [line for part in pack.environment_yaml["dependencies"] if not isinstance(part, str) for line in part["pip"]]
    assert "-e .[lab]" in pip and "-c constraints.txt" in pip


def test_a_folder_for_binder_alone_would_change_the_plan():
    """repo2docker looks into binder/ and .binder/ first, and then at nothing else."""
    assert not [name for name in ("binder", ".binder", "Dockerfile", "postBuild", "start") if (ROOT / name).exists()]


def test_without_our_python_the_plan_takes_another(plan):
    """The pin of Python is what makes Binder's the one of constraints.txt: the test above can fail."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    environment["dependencies"].remove("python=3.11")
    pack, _ = plan({"environment.yml": yaml.safe_dump(environment)})
    assert pack.python_version != "3.11"


def test_the_link_opens_jupyterlab_on_chapter_00():
    line = course.Stamp("school/course", "v1/summer").line("README.md")
    assert "https://mybinder.org/v2/gh/school/course/v1%2Fsummer?urlpath=lab/tree/chapters/00_the_river.ipynb" in line
    assert (ROOT / course.FIRST).is_file()
