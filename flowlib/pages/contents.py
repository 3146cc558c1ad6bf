"""What is in the book, as files that Sphinx reads: the tree of the repository, with what a page does not show left out.

    contents(root) -> {"index.md": …, "chapters/00_the_river.ipynb": …, "library/flowlib.fields.rst": …}

The files keep their places, so that a link from one to another is right as it stands.
"""

import re
from html import escape
from pathlib import Path

import nbformat

from flowlib.authoring.notebooks import HOW_TO_RUN, answers, is_cover, is_folded, name_answer, read
from flowlib.authoring.tidy import KERNEL, WIDGET
from flowlib.pages.bibliography import bibliography
from flowlib.pages.library import FOLDER, Library

# Of README, after its opening; the rest is for your own copy.
FRONT = ("Why read it", "Three doors", "Chapters", "Cite", "Licence")
BESIDE = (
    "chapters/notation.md",
    "chapters/claims.md",
    "chapters/measured.md",
    "chapters/extending.md",
    "exercises/README.md",
)
BIBLIOGRAPHY = "chapters/bibliography.md"
PICTURE = re.compile(r"!\[[^\]]*\]\(([^):]+)\)")
ROW = re.compile(r"^\| \[[^\]]*\]\((?P<file>[^)]+)\) \|[^|]*\| (?P<equation>[^|]+) \| (?P<code>[^|]+) \|", re.MULTILINE)


def parts(root: Path) -> dict[str, list[str]]:
    """The list on the left: its titles, and below each the files."""
    chapters = sorted((root / "chapters").glob("*.ipynb"))
    assignments = sorted((root / "exercises" / "release").glob("*/*.ipynb"))
    beside = [file for file in BESIDE if (root / file).is_file()]
    return {
        "Chapters": [path.relative_to(root).as_posix() for path in chapters],
        "Beside the chapters": [*beside, BIBLIOGRAPHY],
        "The library": [f"{FOLDER}/index.rst"] * (root / "flowlib").is_dir(),
        "Assignments": [path.relative_to(root).as_posix() for path in assignments],
    }


def contents(root: Path) -> dict[str, str]:
    """file -> its text, as Sphinx reads it."""
    listed, library = parts(root), Library(root).pages()
    readme = (root / "README.md").read_text("utf-8")
    notebooks = {file: read(root / file) for part in listed.values() for file in part if file.endswith(".ipynb")}
    chapters = {Path(file).name: notebooks[file] for file in listed["Chapters"] if re.match(r"\d", Path(file).name)}
    made = {"index.md": front(readme) + lists(listed), BIBLIOGRAPHY: bibliography(chapters)} | library
    for file in listed["Beside the chapters"]:
        made.setdefault(file, (root / file).read_text("utf-8") if file != BIBLIOGRAPHY else "")
    for file, notebook in notebooks.items():
        made[file] = nbformat.writes(prepare(notebook, code_of_equation(readme).get(file, "")))
    return made


def pictures(root: Path, texts: dict[str, str]) -> dict[str, Path]:
    """The pictures that Markdown shows, as files of the repository: where each lies beside the page -> the file."""
    found = {}
    for file, text in texts.items():
        if file.endswith(".md"):
            for picture in PICTURE.findall(text):
                place = (Path(file).parent / picture).as_posix()
                found[place] = root / place
    return found


def front(readme: str) -> str:
    """What of README a reader of the book needs: its opening, and the sections FRONT."""
    opening, *sections = re.split(r"^## ", readme, flags=re.MULTILINE)
    shown = [f"## {section}" for section in sections if section.splitlines()[0].strip() in FRONT]
    return "\n".join([opening, *shown]).replace("(#chapters)", "(#Chapters)")  # as GitHub writes it, as a page does


def lists(listed: dict[str, list[str]]) -> str:
    """The list on the left as directives of MyST."""
    return "".join(
        "\n".join(["\n```{toctree}", ":hidden:", ":titlesonly:", f":caption: {caption}", "", *files, "```\n"])
        for caption, files in listed.items()
        if files
    )


# ------------------------------------------------------------------------------------------------ one notebook


def prepare(notebook, line: str = ""):
    """The notebook as a reader of the page sees it, with a line more at the end of its first cell."""
    shown = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}})
    for cell in notebook.cells:
        cell = nbformat.from_dict({**cell, "metadata": fold(cell)})
        if cell.cell_type == "code":
            there = [output for output in cell.outputs if not is_cover(output)]
            cell.outputs = [describe(output) for output in there if WIDGET not in output.get("data", {})]
        shown.cells.append(cell)
    if shown.cells:
        shown.cells[0].source = HOW_TO_RUN.sub("", shown.cells[0].source)  # nothing runs on a page
    if line and shown.cells:
        shown.cells[0].source += f"\n\n{line}"
    return shown


def fold(cell) -> dict:
    """What MyST-NB is told of a cell: an answer lies in a closed <details>, other folded code is left out."""
    hidden = is_folded(cell, "source")
    if cell.cell_type != "code" or not answers(cell):
        return {"tags": ["remove-input"]} if hidden else {}
    return {
        "tags": ["hide-cell" if hidden else "hide-output"],
        "mystnb": {"code_prompt_show": name_answer(cell), "code_prompt_hide": "Fold it away again"},
    }


def describe(output):
    """The output, in which a picture has the words for it: MyST-NB leaves those out."""
    data, words = output.get("data", {}), output.get("metadata", {}).get("image/png", {})
    if "image/png" in data and "text/html" not in data:
        sizes = "".join(f' {name}="{escape(str(words[name]))}"' for name in ("width", "height", "alt") if name in words)
        data["text/html"] = f'<img src="data:image/png;base64,{data["image/png"]}"{sizes}>'
    if "text/html" in data:
        output["data"] = {"text/html": data["text/html"]}
    return output


def code_of_equation(readme: str) -> dict[str, str]:
    """chapter -> the line that leads to the code of its equation, from README's table of chapters."""
    lines = {}
    for row in ROW.finditer(readme):
        modules = [name_module(path) for path in re.findall(r"`([^`]+)`", row["code"])]
        links = " and ".join(f"[`{name}`](../{FOLDER}/{name}.rst)" for name in modules)
        lines[row["file"]] = f"**The code of this chapter's equation**, {row['equation'].strip()}: {links}."
    return lines


def name_module(path: str) -> str:
    """name_module("flow/equation.py") -> "flowlib.flow.equation"."""
    return ".".join(["flowlib", *path.removeprefix("flowlib/").removesuffix("/").removesuffix(".py").split("/")])
