"""The notation page and the chapters say the same: every symbol, where it first appears, and its name in code."""

import ast
import importlib
import inspect
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from flowlib.authoring.notebooks import read
from flowlib.authoring.symbols import formulas, notebook_symbols, spell, symbols

CHAPTERS = sorted((Path(__file__).resolve().parents[2] / "chapters").glob("*.ipynb"))
PAGE = CHAPTERS[0].with_name("notation.md")
HOMES = (  # where the page's names of flowlib come from
    "fields",
    "operators",
    "flow",
    "measure",
    "measure.ablation",
    "measure.clustering",
    "measure.spectra",
    "models",
)
PARAMETER = re.compile(r"([\w.]+)\((\w+)=…\)")
CELLS = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Row:
    symbols: tuple[str, ...]
    names: tuple[str, ...]
    chapter: str  # where the symbols first appear, or where they have this meaning
    local: bool


@dataclass
class Chapter:
    tex: list[str] = field(default_factory=list)
    code: set[str] = field(default_factory=set)


def rows(page: str) -> list[Row]:
    """The rows of the two parts that hold symbols."""
    found, local, chapter = [], False, ""
    for line in page.split("\n## Words\n")[0].splitlines():
        if line.startswith("## "):
            local = "local" in line
        elif line.startswith("### ") and local:
            chapter = re.search(r"\((\w+)\.ipynb\)", line)[1]
        elif line.startswith("| $"):
            cells = [cell.strip() for cell in CELLS.split(line)[1:-1]]
            assert len(cells) == (3 if local else 4), f"a row has too many cells or too few: {line}"
            where = chapter if local else re.fullmatch(r"\[(\d\d)\]\((\1_\w+)\.ipynb\)", cells[3])[2]
            names = tuple(re.findall(r"`([^`]+)`", cells[2]))
            found.append(Row(tuple(map(spell, formulas(cells[0]))), names, where, local))
    return found


def used(chapters: dict[str, str | object], listed: set[str]) -> dict[str, set[str]]:
    """chapter -> the symbols it uses. A chapter is a notebook, or in the tests of this test a text."""
    return {
        name: {s for tex in formulas(text) for s in symbols(tex, listed)}
        if isinstance(text, str)
        else notebook_symbols(text, listed)
        for name, text in chapters.items()
    }


def complaints(page: str, chapters: dict) -> list[str]:
    """Whatever differs between the page and the chapters."""
    table = rows(page)
    listed = {symbol for row in table for symbol in row.symbols}
    found = used(chapters, listed)
    general = {symbol: row for row in table if not row.local for symbol in row.symbols}
    local = {(row.chapter, symbol): row for row in table if row.local for symbol in row.symbols}
    said = []
    for name, here in found.items():
        said += [f"{name} uses {s}, which the page lacks" for s in here if s not in general and (name, s) not in local]
    first: dict[str, str] = {}
    for name in sorted(found):
        for symbol in found[name]:
            if (name, symbol) not in local:
                first.setdefault(symbol, name)
    for row in table:
        if row.local:
            said += [
                f"{s} is on the page for {row.chapter}, which lacks it"
                for s in row.symbols
                if s not in found.get(row.chapter, ())
            ]
            continue
        said += [f"{s} is on the page, but no chapter uses it" for s in row.symbols if s not in first]
        there = min((first[s] for s in row.symbols if s in first), default=row.chapter)
        if there != row.chapter:
            said.append(f"{row.symbols} first appears in {there}, not in {row.chapter}")
    counted = [s for row in table if not row.local for s in row.symbols]
    said += [f"{s} stands twice on the page" for s in set(counted) if counted.count(s) > 1]
    return sorted(said)


def exists(name: str, code: set[str]) -> bool:
    """A name of flowlib, with a parameter or without, or an identifier of the code."""
    asked = PARAMETER.fullmatch(name)
    owner = found_in_flowlib(asked[1] if asked else name)
    if asked:
        return owner is not None and asked[2] in inspect.signature(owner).parameters
    return owner is not None or name in code


@cache
def found_in_flowlib(name: str):
    """What a dotted name stands for; of what a class gives its instances only, the name."""
    for home in HOMES:
        thing = importlib.import_module(f"flowlib.{home}")
        for part in name.split("."):
            if inspect.isclass(thing) and not hasattr(thing, part):
                own = "".join(inspect.getsource(c) for c in thing.__mro__ if c.__module__.startswith("flowlib."))
                given = part in thing.__annotations__ or re.search(rf"\bself\.{part}\b", own)
                thing = part if given else None
            else:
                thing = getattr(thing, part, None)
        if thing is not None:
            return thing
    return None


def identifiers(notebook) -> set[str]:
    """Every name that the code of a notebook uses."""
    names = set()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            for node in ast.walk(ast.parse(cell.source)):
                for attribute in ("id", "arg", "attr", "name"):
                    names.add(getattr(node, attribute, None))
    return names - {None}


@pytest.fixture(scope="module")
def chapters():
    return {path.stem: read(path) for path in CHAPTERS}


def test_page_and_chapters_agree(chapters):
    assert complaints(PAGE.read_text("utf-8"), chapters) == []


def test_names_in_code_exist(chapters):
    table = rows(PAGE.read_text("utf-8"))
    code = {name: identifiers(notebook) for name, notebook in chapters.items()}
    everywhere = set().union(*code.values())
    missing = [
        f"{row.symbols}: {name}"
        for row in table
        for name in row.names
        if not exists(name, code[row.chapter] if row.local else everywhere)
    ]
    assert missing == [], "neither in flowlib nor in the chapter's code"


def test_formulas_of_the_page_use_its_own_symbols_only():
    page = PAGE.read_text("utf-8")
    listed = {symbol for row in rows(page) for symbol in row.symbols}
    assert {s for tex in formulas(page) for s in symbols(tex, listed)} <= listed


def test_links_of_the_page_lead_somewhere():
    for link in re.findall(r"\]\(([^)#]+)", PAGE.read_text("utf-8")):
        assert (PAGE.parent / link).exists(), link


def test_tables_survive_markdown():
    """A raw | in a formula or in code would end the cell; GitHub takes a backslash before a sign (\\, or \\{) away."""
    for line in PAGE.read_text("utf-8").splitlines():
        for inside in re.findall(r"\$[^$]+\$|`[^`]+`", line) if line.startswith("|") else []:
            assert "|" not in inside, line
    for tex in formulas(PAGE.read_text("utf-8")):
        assert not re.search(r"\\[^A-Za-z]", tex), tex


# ------------------------------------------------------------------------------------ the test can fail

SMALL = r"""# Notation

| symbol | meaning | in code | first in |
|---|---|---|---|
| $u$ | the field | `Trajectory.fields` | [00](00_a.ipynb) |
| $u_t$ | its velocity | – | [01](01_b.ipynb) |

## Letters with a local meaning

### Chapter [01](01_b.ipynb): B

| symbol | meaning here | in code |
|---|---|---|
| $n$ | a number | `n` |
"""
TEXTS = {"00_a": "A field $u$.", "01_b": r"Its velocity $u_t=n\,u'$."}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("| $n$ | a number | `n` |\n", "", "01_b uses n, which the page lacks"),
        ("| $u$ |", r"| $u$, $\psi$ |", r"\psi is on the page, but no chapter uses it"),
        ("| $n$ |", "| $n$, $m$ |", "m is on the page for 01_b, which lacks it"),
        ("[01](01_b.ipynb) |", "[00](00_a.ipynb) |", "('u_t',) first appears in 01_b, not in 00_a"),
        ("| $u_t$ |", "| $u$, $u_t$ |", "u stands twice on the page"),
    ],
)
def test_what_is_wrong_is_found(old, new, said):
    assert complaints(SMALL, TEXTS) == []
    assert SMALL.count(old) == 1
    assert said in complaints(SMALL.replace(old, new), TEXTS)


def test_a_row_taken_from_the_page_is_missed(chapters):
    """Each row is needed: without it something is missing in a chapter."""
    page = PAGE.read_text("utf-8")
    lines = [line for line in page.split("\n## Words\n")[0].splitlines() if line.startswith("| $")]
    found = used(chapters, {symbol for row in rows(page) for symbol in row.symbols})
    everywhere = set().union(*found.values())
    for line, row in zip(lines, rows(page), strict=True):
        assert set(row.symbols) <= (found[row.chapter] if row.local else everywhere), line
    for line in (lines[0], lines[len(lines) // 2]):
        assert any("which the page lacks" in said for said in complaints(page.replace(line + "\n", ""), chapters)), line


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("Trajectory.fields", True),
        ("Moments.tangent", True),
        ("Attention.qkv", True),
        ("attend(temperature=…)", True),
        ("my_own", True),
        ("Trajectory.waves", False),
        ("Attention.qkvs", False),
        ("attend(heat=…)", False),
        ("my_other", False),
    ],
)
def test_an_invented_name_is_found(name, there):
    assert exists(name, {"my_own"}) is there


# ------------------------------------------------------------------------------------ the extractor


@pytest.mark.parametrize(
    ("tex", "found"),
    [
        (r"\int_0^1\gamma(x,\tilde x)\,V(\tilde x)\,d\tilde x", r"\gamma x;\tilde x;V"),
        (r"\hat W_j=E_j+\Delta t\,W_j", r"\hat W;j;E;\Delta t;W"),
        (r"u_t=f(u)", "u_t;f;u"),
        (r"u_{t}=W^{O}u_n^2", "u_t;W^O;u;n"),
        (r"S_1(\sigma_1,\sigma_2)\cap\Omega_{x}", r"S_1;\sigma;\cap;\Omega_x"),
        (r"\frac{d}{dt}\overline u+\frac1d\sum_y v_y", r"t;\overline;u;d;y;v"),
        (r"f''\,ds+\sqrt d\,\sin x+12.5", "f;s;d;x"),
        (r"\operatorname*{argmin}_u\tfrac12|u-v|^2\text{ for all }q", r"u;v;\lvert;q"),
        (r"A=\begin{pmatrix}0&1\\b&0\end{pmatrix}", "A;b"),
        (r"N_{S_1}(u)+\mathbf 1_{Z\le v}", r"N_{S_1};u;\mathbf 1;Z;v"),
        (r"W^{\mathsf T}\,\mathrm d x\newword", r"W;\mathsf T;x;\newword"),
        (r"u_{\text{one step}}'\mapsto e^{hA}", r"u;\mapsto;e;h;A"),
    ],
)
def test_symbols_of_a_formula(tex, found):
    listed = {"u_t", "W^O", "S_1", r"\Omega_x", spell("N_{S_1}")}
    expected = {spell(one) for one in found.replace(r"\gamma x", r"\gamma;x").split(";")}
    assert symbols(tex, listed) == expected


def test_formulas_of_a_text():
    text = "a $x$ b $$y\n=1$$ `$code$` costs \\$5\n```\n$fence$\n```\n$z$"
    assert formulas(text) == ["x", "y\n=1", "z"]


@pytest.mark.parametrize("tex", ["x+y", "12", r"\text{mean}"])
def test_an_entry_must_be_one_symbol(tex):
    with pytest.raises(ValueError, match="one symbol must stand here"):
        spell(tex)
