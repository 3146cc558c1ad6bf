"""What is in the book, as files that Sphinx reads: the tree of the repository, with what a page does not show left out.

    contents(root) -> {"index.md": …, "chapters/00_the_river.ipynb": …, "library/flowlib.fields.rst": …}

The files keep their places, so that a link from one to another is right as it stands.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from posixpath import dirname, join, normpath

import nbformat

from flowlib.authoring.notebooks import HOW_TO_RUN, answers, is_cover, is_folded, name_answer, read
from flowlib.authoring.tidy import KERNEL, WIDGET
from flowlib.pages.bibliography import bibliography
from flowlib.pages.crosslinks import repository
from flowlib.pages.library import FOLDER, Library
from flowlib.pages.notice import notice
from flowlib.pages.river import PAGE, river_page, show_first
from flowlib.pages.stills import MOVES

# Of README, after its opening; the rest is for your own copy.
FRONT = ("Why read it", "Start", "Three doors", "Chapters", "Cite", "Licence")
BESIDE = (
    "chapters/notation.md",
    "chapters/claims.md",
    "chapters/measured.md",
    "chapters/extending.md",
    "exercises/README.md",
)
BIBLIOGRAPHY = "chapters/bibliography.md"
NOTICE = "notice.md"
STILLS = "_explorers"  # where the pictures of explorers lie in the book
RIVER = f"{PAGE}.md"
PICTURE = re.compile(r"!\[[^\]]*\]\(([^):]+)\)")
ROW = re.compile(r"^\| \[[^\]]*\]\((?P<file>[^)]+)\) \|[^|]*\| (?P<equation>[^|]+) \| (?P<code>[^|]+) \|", re.MULTILINE)


def parts(root: Path) -> dict[str, list[str]]:
    """The list on the left: its titles, and below each the files."""
    chapters = sorted((root / "chapters").glob("*.ipynb"))
    assignments = sorted((root / "exercises" / "release").glob("*/*.ipynb"))
    beside = [RIVER] * (root / "flowlib").is_dir() + [file for file in BESIDE if (root / file).is_file()]
    return {
        "Chapters": [path.relative_to(root).as_posix() for path in chapters],
        "Beside the chapters": [*beside, BIBLIOGRAPHY, NOTICE],
        "The library": [f"{FOLDER}/index.rst"] * (root / "flowlib").is_dir(),
        "Assignments": [path.relative_to(root).as_posix() for path in assignments],
    }


def contents(root: Path, stills: Mapping[str, Path] | None = None) -> dict[str, str]:
    """file -> its text, as Sphinx reads it. stills: where the pictures of a chapter's explorers lie, by its name."""
    listed, library = parts(root), Library(root).pages()
    readme, address = (root / "README.md").read_text("utf-8"), repository(root)
    notebooks = {file: read(root / file) for part in listed.values() for file in part if file.endswith(".ipynb")}
    chapters = {Path(file).name: notebooks[file] for file in listed["Chapters"] if re.match(r"\d", Path(file).name)}
    made = {
        "index.md": show_first(front(readme)) + lists(listed),
        BIBLIOGRAPHY: bibliography(chapters),
        NOTICE: notice(),
    } | library
    for file in listed["Beside the chapters"]:
        if file not in made:
            made[file] = river_page() if file == RIVER else (root / file).read_text("utf-8")
    for file, notebook in notebooks.items():
        moves = read_moves(stills or {}, Path(file))
        lines = [
            code_of_equation(readme).get(file, ""),
            f"[The source of this page]({address}{file})" if address else "",
        ]
        made[file] = nbformat.writes(prepare(notebook, "\n\n".join(filter(None, lines)), moves))
    return made


def pictures(root: Path, texts: dict[str, str]) -> dict[str, Path]:
    """The pictures that Markdown shows, as files of the repository: where each lies beside the page -> the file."""
    found = {}
    for file, text in texts.items():
        for picture in PICTURE.findall(markdown(file, text)):
            place = normpath(join(dirname(file), picture))
            found[place] = root / place
    return found


def markdown(file: str, text: str) -> str:
    """The Markdown of a page; of a notebook, that of its cells, without what was pasted into them."""
    if file.endswith(".ipynb"):
        cells = nbformat.reads(text, as_version=4).cells
        return "\n".join(cell.source.replace("](attachment:", "") for cell in cells if cell.cell_type == "markdown")
    return text if file.endswith(".md") else ""


def front(readme: str) -> str:
    """What of README a reader of the book needs: its opening, and the sections FRONT."""
    opening, *sections = re.split(r"^## ", readme, flags=re.MULTILINE)
    shown = [f"## {section}" for section in sections if section.splitlines()[0].strip() in FRONT]
    text = "\n".join([opening, *shown]).replace("(#chapters)", "(#Chapters)")  # as GitHub writes it, as a page does
    return text.replace("the address that your browser shows for this page", "the address of the course's repository")


def lists(listed: dict[str, list[str]]) -> str:
    """The list on the left as directives of MyST."""
    return "".join(
        "\n".join(["\n```{toctree}", ":hidden:", ":titlesonly:", f":caption: {caption}", "", *files, "```\n"])
        for caption, files in listed.items()
        if files
    )


# ------------------------------------------------------------------------------------------------ one notebook


def prepare(notebook, line: str = "", moves: Sequence[dict] = ()):
    """The notebook as a reader of the page sees it, with a line more at the end of its first cell.

    moves: what the controls of its explorers do, in the order of the page; none where no stills were drawn.
    """
    shown = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}})
    left = list(moves)
    for cell in notebook.cells:
        cell = nbformat.from_dict({**cell, "metadata": fold(cell)})
        if cell.cell_type == "code":
            there = [output for output in cell.outputs if not is_cover(output)]
            there = [describe(output) for output in there if WIDGET not in output.get("data", {})]
            cell.outputs = [more for output in there for more in (output, *controls(output, left))]
        shown.cells.append(cell)
    if shown.cells:
        shown.cells[0].source = HOW_TO_RUN.sub("", shown.cells[0].source)  # nothing runs on a page
    if line and shown.cells:
        shown.cells[0].source += f"\n\n{line}"
    return shown


def controls(output, left: list[dict]) -> Iterator:
    """Below an explorer's picture, the place for its controls, which a script makes: explorers.js."""
    if left and "explorer" in facts(output):
        data = {"text/html": f'<div data-explorer="{escape(json.dumps(left.pop(0), ensure_ascii=False))}"></div>'}
        yield nbformat.v4.new_output("display_data", data)


def facts(output) -> dict:
    """What a notebook stores of a question or an explorer, for a page without a kernel."""
    return output.get("metadata", {}).get("flowlib", {})


def read_moves(stills: Mapping[str, Path], file: Path) -> list[dict]:
    """The moves of a chapter's explorers, each with the way from the chapter's page to the pictures."""
    folder = stills.get(file.stem)
    found = sorted(folder.iterdir(), key=lambda one: int(one.name)) if folder else []
    up = "../" * len(file.parent.parts)
    return [
        json.loads((one / MOVES).read_text("utf-8")) | {"folder": f"{up}{STILLS}/{file.stem}/{one.name}/"}
        for one in found
    ]


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
    """The output, in which a picture has the words for it, which MyST-NB leaves out, and a question what answers it."""
    if "question" in facts(output):
        known = escape(json.dumps(facts(output)["question"], ensure_ascii=False))
        text = f'<div data-question="{known}">\n\n{output["data"]["text/markdown"]}\n\n</div>'
        output["data"] = {"text/markdown": text}
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
