"""The repository itself: its README, its dependencies, what its code imports and how it is written."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
CHOSEN_BY_TORCH = re.compile(r"nvidia-|cuda-|triton|setuptools$")  # what torch pins itself, by machine

# ------------------------------------------------------------------------------------------------ README


def table(title: str) -> list[str]:
    """The first cell of every row of the table under that heading."""
    section = README.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("|")]
    return rows[2:]  # without the head and the rule below it


def kept(folder: Path) -> set[str]:
    """What a clone has in this folder: names known to git, or not ignored by it, hidden ones left out."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout: cannot tell what belongs to the repository")
    paths = [path for path in listed.stdout.split("\0") if path and (folder / path).exists()]
    return {path.split("/")[0] for path in paths if not path.startswith(".")}


def test_every_row_of_the_map_exists():
    rows = [row.strip("`") for row in table("Map of the repository")]
    assert len(rows) == len(set(rows)), "a path stands twice in README's map"
    for row in rows:
        path = ROOT / row
        assert path.is_dir() if row.endswith("/") else path.is_file(), f"README's map names {row}, which is not there"


def test_map_names_everything():
    rows = {row.strip("`").rstrip("/") for row in table("Map of the repository")}
    here = kept(ROOT) - {"README.md"}
    here |= {f"flowlib/{name}" for name in kept(ROOT / "flowlib") if not name.startswith("_")}
    assert here <= rows, f"README's map lacks {sorted(here - rows)}"


def test_table_of_chapters_lists_the_chapters():
    links = re.findall(r"\]\((chapters/[^)]+)\)", "\n".join(table("Chapters")))
    there = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "chapters").glob("*.ipynb"))
    assert links == there


def test_links_of_the_documents_lead_somewhere():
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#]+)", text):
            assert link.startswith("https://") or (ROOT / link).exists(), f"{name} links to {link}, which is not there"


def test_commands_of_the_readme_are_targets_of_the_makefile():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    asked = re.findall(r"make (lab|test|train|clean|[a-z]+)(?=\s+#|`)", README)
    assert asked[:2] == ["lab", "test"]  # the first two commands of the README
    assert set(asked) <= targets


# ------------------------------------------------------------------------------------------------ dependencies


def of_extra(extra: str) -> list[Requirement]:
    """What an extra asks for; the extras that it names come first, so that its own bounds count."""
    asked = [Requirement(line) for line in EXTRAS[extra]]
    nested = [name for requirement in asked if requirement.name == PROJECT["name"] for name in requirement.extras]
    own = [requirement for requirement in asked if requirement.name != PROJECT["name"]]
    return [*(requirement for name in nested for requirement in of_extra(name)), *own]


def requirements(*extras: str) -> dict[str, Requirement]:
    asked = [*map(Requirement, PROJECT["dependencies"]), *(line for extra in extras for line in of_extra(extra))]
    return {canonicalize_name(requirement.name): requirement for requirement in asked}


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_metadata_has_lower_bounds_only():
    for name, requirement in requirements(*EXTRAS).items():
        operators = {clause.operator for clause in requirement.specifier}
        assert operators == {">="}, f"pyproject.toml must give {name} a lower bound and nothing else: {requirement}"
    assert {clause.operator for clause in SpecifierSet(PROJECT["requires-python"])} == {">="}


def test_constraints_are_exact_versions_within_the_bounds():
    pinned = pins()
    assert all(re.fullmatch(r"\d[\w.]*", version) for version in pinned.values()), "a pin must be a public version"
    assert list(pinned) == sorted(canonicalize_name(name) for name in pinned), "pins must be sorted, in pip's spelling"
    for name, requirement in requirements("lab", "test").items():
        assert name in pinned, f"constraints.txt lacks {name}"
        assert pinned[name] in requirement.specifier, f"constraints.txt has {name} {pinned[name]}, not {requirement}"


def test_constraints_cover_all_that_is_brought_in():
    waiting, seen, missing = list(requirements("lab", "test").values()), set(), set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, *sorted(requirement.extras)) in seen or CHOSEN_BY_TORCH.match(name):
            continue
        seen.add((name, *sorted(requirement.extras)))
        if name not in pins():
            missing.add(name)
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            pytest.skip(f"{name} is not installed here; pip install -e '.[lab,test]'")
        if installed.version.partition("+")[0] != pins().get(name):
            continue  # another version may bring in other packages
        needed = map(Requirement, installed.requires or [])
        scopes = requirement.extras or {""}
        waiting += [n for n in needed if n.marker is None or any(n.marker.evaluate({"extra": s}) for s in scopes)]
    if sys.platform != "linux" or sys.version_info[:2] != (3, 11):
        missing.clear()  # the header says what the list is for; other systems bring in a few packages more
    assert not missing, f"constraints.txt lacks {sorted(missing)}"


def test_conda_environment_agrees():
    """Exact versions, those of constraints.txt, so that pip finds torch and numpy as it wants them."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    by_conda = [line for line in environment["dependencies"] if isinstance(line, str)]
    by_pip = [line for entry in environment["dependencies"] if isinstance(entry, dict) for line in entry["pip"]]
    assert environment["name"] == "flowlib"
    assert by_pip == ["-c constraints.txt", "-e .[lab]"]
    versions = dict(line.partition("=")[::2] for line in by_conda)
    assert versions.pop("pip") == ""
    assert versions.pop("python") in PROJECT["requires-python"], "the Python that constraints.txt was made with"
    versions["torch"] = versions.pop("pytorch-cpu")
    assert versions == {
        name: pins()[name] for name in ("torch", "numpy", "scipy", "scikit-learn")
    }  # one OpenMP for all


# ------------------------------------------------------------------------------------------------ code


def test_style():
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise", "."]
    linted = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert linted.returncode == 0, linted.stdout


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"flowlib"}


@pytest.mark.parametrize(
    ("folder", "extras"),
    [("flowlib", ["lab", "pages", "book", "bpe", "pretrained", "classroom"]), ("tests", ["lab", "test"])],
)
def test_what_is_imported_is_declared(folder, extras):
    """Nothing leans on a package that happens to be there: its import would fail on another machine."""
    provided = packages_distributions()
    for path in sorted((ROOT / folder).rglob("*.py")):
        for name in imported(path):
            givers = {canonicalize_name(giver) for giver in provided.get(name, [name])}
            declared = bool(givers & requirements(*extras).keys())
            assert declared, f"{path.name} imports {name}, which pyproject.toml does not declare"


def test_shapes_are_checked_in_tests():
    """The import hook of conftest.py works: a wrong shape is stopped before flowlib sees it."""
    import jaxtyping
    import torch

    from flowlib.operators.attention import attend

    q = torch.zeros(5, 4)
    with pytest.raises(jaxtyping.TypeCheckError):
        attend(q, torch.zeros(5, 3), q)
