"""Colab: what the set-up cell installs there is small and pure Python, and leaves alone what is there already."""

import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from flowlib.authoring import course

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
MEGABYTES = 5  # of files, unpacked, for each package that Colab lacks


def shipped() -> dict[str, str]:
    lines = (Path(__file__).with_name("colab.txt")).read_text("utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def asked() -> list[Requirement]:
    """What `transformer-river[notebook]` asks for."""
    return [Requirement(line) for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["notebook"]]


def brought(requirements: list[Requirement], there: dict[str, str]) -> set[str]:
    """What is installed where `there` is installed already, with all that this asks for on Colab's Python.

    Raises: AssertionError where something that is there would have to be changed.
    """
    waiting, new = list(requirements), set()
    colab = {"extra": "", "python_version": "3.12", "sys_platform": "linux", "platform_system": "Linux"}
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate(colab):
            continue
        if name in there:
            assert there[name] in requirement.specifier, f"Colab has {name} {there[name]}, which is not {requirement}"
        elif name not in new:
            new.add(name)
            waiting += [Requirement(line) for line in distribution(name).requires or []]
    return new


def test_what_colab_lacks_is_small_and_pure_python():
    new = brought(asked(), shipped())
    assert {"jaxtyping", "tyro"} <= new  # the walk has found what Colab does not ship
    for name in sorted(new):
        wheel = distribution(name).read_text("WHEEL")
        assert "Root-Is-Purelib: true" in wheel and "-none-any" in wheel, f"{name} is not pure Python"
        size = sum(file.size or 0 for file in distribution(name).files)
        assert size < MEGABYTES * 1e6, f"{name} has {size / 1e6:.1f} MB, and every reader on Colab waits for it"


def test_a_bound_above_what_colab_ships_is_found():
    with pytest.raises(AssertionError, match="Colab has ipywidgets 7.7.1, which is not ipywidgets>=8.1"):
        brought([Requirement("ipywidgets>=8.1")], shipped())


def test_what_the_set_up_cell_pins_is_shipped():
    [names] = re.findall(r"for name in (\(.*?\))\]", course.SETUP)
    pinned = set(re.findall(r'"(\w+)"', names))
    assert {"torch", "numpy"} <= pinned <= set(shipped())


def test_the_set_up_cell_asks_for_our_distribution():
    """pip refuses an archive that holds another name than the one that was asked for."""
    assert course.DISTRIBUTION == PROJECT["name"]
    assert f'f"{PROJECT["name"]}[notebook] @ {{COURSE}}"' in course.Stamp().setup()


def test_the_wheel_is_pure_python():
    """setuptools makes a py3-none-any wheel of a project without extension modules."""
    code = {".pyx", ".pyd", ".so", ".c", ".cc", ".cpp", ".cu"}
    assert not [path for path in (ROOT / "flowlib").rglob("*") if path.suffix in code]
