"""Explorers that move without a kernel: their pictures for the book, at the values of their controls.

    draw_stills([Path("chapters/03_….ipynb")], Path("build/stills"))     -> {"03_…": the folder of its explorers}

A chapter runs in a fresh kernel, where each explorer, as soon as it is made, draws itself: first every value of each
control, the others at their start, then all combinations where these are at most a few hundred. The pictures are kept
by what they depend on, the chapter's code and the library's, and drawn again only where that has changed.

    build/stills/03_attention_is_an_integral/5f0c…/0/moves.json, 0.webp, 1.webp, …
"""

import hashlib
import io
import itertools
import json
import math
import shutil
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat

import flowlib
from flowlib.authoring.execute import run
from flowlib.authoring.notebooks import code_cells, read
from flowlib.cores import count_cores
from flowlib.files import save_text

ALL = 300  # combinations, at most; where there are more, one control moves at a time
POSITIONS = 25  # of one slider, at most: those of a longer one are thinned
LIMIT_MB = 3.9  # what the pictures of one explorer may weigh
DPI, COLOURS = 120, 64
MOVES = "moves.json"
FIRST_CELL = "from pathlib import Path\nfrom flowlib.pages.stills import watch\nwatch(Path({folder!r}))"


# ------------------------------------------------------------------------------------------ in the chapter's kernel


def watch(folder: Path) -> None:
    """From here on every explorer of this kernel draws its stills into a folder of its own: 0, 1, …"""
    from flowlib.notebook import explore

    numbers = itertools.count()
    explore.told.append(lambda explorer: draw(explorer, folder / str(next(numbers))))


@dataclass(frozen=True)
class Positions:
    """Where a control can stand in the book: its values, as a page writes them, and the first one's place."""

    name: str
    label: str
    kind: str  # "range", "switch", "buttons"
    values: tuple
    texts: tuple[str, ...]
    start: int


def place(name: str, control) -> Positions:
    """The positions of a control of flowlib.notebook.controls."""
    traits, label = control.traits, control.label or name.replace("_", " ")
    if control.kind == "Checkbox":
        return Positions(name, label, "switch", (False, True), ("off", "on"), int(control.value))
    if "options" in traits:
        values = tuple(traits["options"])
        kind = "buttons" if control.kind == "ToggleButtons" else "range"
        return Positions(name, label, kind, values, tuple(map(str, values)), values.index(control.value))
    low, high, step = traits["min"], traits["max"], traits["step"]
    ticks = [control.read(low + i * step) for i in range(math.floor((high - low) / step + 1e-9) + 1)]
    values = thin(sorted({*ticks, control.value, high}), control.value)
    form = traits.get("readout_format", "d")
    return Positions(name, label, "range", values, tuple(format(v, form) for v in values), values.index(control.value))


def thin(values: list, start) -> tuple:
    """At most POSITIONS of the values, as evenly as they go, both ends and the start among them."""
    if len(values) <= POSITIONS:
        return tuple(values)
    last = len(values) - 1
    kept = {round(i * last / (POSITIONS - 2)) for i in range(POSITIONS - 1)} | {values.index(start)}
    return tuple(values[i] for i in sorted(kept))


def one_at_a_time(controls: list[Positions]) -> Iterator[tuple[int, ...]]:
    """The start, then each control moved alone."""
    start = tuple(control.start for control in controls)
    yield start
    for i, control in enumerate(controls):
        for k in range(len(control.values)):
            if k != control.start:
                yield (*start[:i], k, *start[i + 1 :])


def draw(explorer, folder: Path) -> None:
    """Draw an explorer's stills, and write down which picture belongs to which positions."""
    controls = [place(name, control) for name, control in explorer.controls.items()]
    folder.mkdir(parents=True)
    told: dict[tuple[int, ...], tuple[str, str]] = {}  # positions -> the alternative text and the caption
    draw_each(explorer, controls, one_at_a_time(controls), folder, told)
    number = math.prod(len(control.values) for control in controls)
    weight = sum(file.stat().st_size for file in folder.iterdir()) / len(told)
    if number <= ALL and weight * number <= LIMIT_MB * 1e6:
        everything = itertools.product(*(range(len(control.values)) for control in controls))
        draw_each(explorer, controls, (key for key in everything if key not in told), folder, told)
    words = list(dict.fromkeys(told.values()))
    moves = {
        "controls": [{n: getattr(c, n) for n in ("name", "label", "kind", "texts", "start")} for c in controls],
        "frames": {",".join(map(str, key)): [i, words.index(said)] for i, (key, said) in enumerate(told.items())},
        "words": words,
    }
    save_text(json.dumps(moves, ensure_ascii=False), folder / MOVES)


def draw_each(explorer, controls: list[Positions], keys: Iterable[tuple[int, ...]], folder: Path, told: dict) -> None:
    """Draw the pictures of these positions: 0.webp, 1.webp, … in the order of `told`, which gets their words."""
    for key in keys:
        values = {control.name: control.values[k] for control, k in zip(controls, key, strict=True)}
        canvas, _ = explorer.paint(values, DPI)
        (folder / f"{len(told)}.webp").write_bytes(encode(canvas))
        alt, caption = explorer.words(values)
        told[key] = (alt, alt if caption is None else " ".join(caption.split()))


def encode(canvas) -> bytes:
    """What is drawn on a canvas as WebP, in colours enough for a plot, and without a loss else."""
    from PIL import Image

    from flowlib.notebook.show import read_pixels

    file = io.BytesIO()
    drawn = read_pixels(canvas).quantize(COLOURS, dither=Image.Dither.NONE).convert("RGB")
    drawn.save(file, format="webp", lossless=True, method=3)
    return file.getvalue()


# -------------------------------------------------------------------------------------------------------- the cache


def draw_stills(notebooks: Iterable[Path], cache: Path) -> dict[str, Path]:
    """The folder of each chapter's stills, drawn where the cache has none; a chapter without explorers has no folder.

    Raises: flowlib.authoring.execute.NotebookFailed where a cell raises.
    """
    library = digest_library()
    found = {path: cache / path.stem / digest(path, library) for path in notebooks if has_explorers(read(path))}
    missing = [path for path, folder in found.items() if not folder.is_dir()]
    with ThreadPoolExecutor(count_cores()) as pool:
        list(pool.map(lambda path: fill(path, found[path]), missing))
    return {path.stem: folder for path, folder in found.items()}


def has_explorers(notebook) -> bool:
    return any("explorer(" in cell.source for cell in code_cells(notebook))


def digest(path: Path, library: str) -> str:
    """A name for what the stills of a chapter depend on: its code, the library's, and who draws them."""
    code = "\n".join(cell.source for cell in code_cells(read(path)))
    return hashlib.sha256(f"{library}\n{code}".encode()).hexdigest()[:16]


def digest_library() -> str:
    import matplotlib
    import torch

    root, found = Path(flowlib.__file__).parent, hashlib.sha256()
    for file in sorted(file for file in root.rglob("*") if file.suffix in (".py", ".json", ".safetensors")):
        if "templates" not in file.parts:
            found.update(file.read_bytes())
    return f"{matplotlib.__version__} {torch.__version__} {found.hexdigest()}"


def fill(path: Path, folder: Path) -> None:
    """Run a chapter, and put what its explorers drew in place; what an older state of the chapter left goes."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as aside:
        drawn = Path(aside, "drawn")
        drawn.mkdir()
        notebook = read(path)
        notebook.cells.insert(0, nbformat.v4.new_code_cell(FIRST_CELL.format(folder=str(drawn.absolute()))))
        print(f"drawing the explorers of {path.name}", file=sys.stderr)
        run(notebook, path.resolve().parent, timeout=1200)
        for old in folder.parent.iterdir():
            if old.name != Path(aside).name:
                shutil.rmtree(old)
        drawn.rename(folder)
