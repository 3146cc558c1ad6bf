"""The river in the reader's own browser: a page of the book, on which the shipped models run.

Sphinx loads this as an extension (SETTINGS in flowlib.pages.book). It puts beside the pages what the river needs:

    _static/river/   river.js, drawing.js      the page: what answers, and what is drawn; river.css, how it looks
                     model.js                  the model, in a worker: the three terms, the splitting, the read-out
                     NAME.safetensors          the shipped tensors, the very file
                     models.json               each model's settings, and the side from which its river is looked at
                     offline/                  the same files as scripts: a page that is opened from the file system
                                               may load scripts, and nothing else
"""

import json
import re
import shutil
from base64 import b64encode
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
PAGE = "river"
SCRIPTS = ("drawing.js", "river.js", "river.css", "model.js")
# README's picture, with the words below it.
PICTURE = re.compile(r"^!\[[^\]]*\]\(etc/river\.\w+\)\n\n(?:\*.*?\*\n\n)?", re.MULTILINE | re.DOTALL)
STILL = """![Twenty-two letters of a text as lines along the depth from 0 to 4, bending smoothly and crossing; on the
lines, or near them, a dot for each letter at each of the depths 0, 1, 2, 3 and 4.](etc/river.png)

A text on its way through a small trained model. With scripts allowed, this picture moves and takes a sentence of yours.
"""
BELOW = f"""*Each line is a letter of the text, on its way through a small trained Transformer that runs here. At
depth 0 it is a letter and no more; at depth 4 the model reads from it what comes next. [The whole river]({PAGE}.md)
shows who hears whom and which term pushes, and lets you swap the terms.*

"""


def frame(kind: str) -> str:
    """The place of the river in a page of Markdown: a still picture, until the script puts the moving one there."""
    return f'<div class="river" data-river="{kind}">\n\n{STILL}\n</div>\n\n'


def river_page() -> str:
    """The page as Markdown: river.md, with the river in its place."""
    return (HERE / "river.md").read_text("utf-8").replace("<!-- river -->\n\n", frame("page"))


def show_first(home: str) -> str:
    """The home page with the river right below its title, in the place of README's picture."""
    title, _, rest = home.partition("\n\n")
    if not PICTURE.search(rest):
        return home
    return f"{title}\n\n{frame('home')}{BELOW}{PICTURE.sub('', rest, count=1)}"


def put_files(folder: Path) -> None:
    """What the river needs, into that folder."""
    from flowlib.models import shipped
    from flowlib.pages.river.plane import NAMES, models

    (folder / "offline").mkdir(parents=True, exist_ok=True)
    for name in SCRIPTS:
        shutil.copy(HERE / name, folder / name)
    for name in NAMES:
        shutil.copy(shipped(name) / "model.safetensors", folder / f"{name}.safetensors")
    (folder / "models.json").write_text(json.dumps(models(), separators=(",", ":")), "utf-8")
    for file in ("models.json", "model.js", *(f"{name}.safetensors" for name in NAMES)):
        held = b64encode((folder / file).read_bytes()).decode("ascii")
        script = f'(self.riverFiles ??= {{}})["{file}"] = "{held}";\n'
        (folder / "offline" / f"{file}.js").write_text(script, "utf-8")


def load_scripts(app: Sphinx, name: str, template: str, context: dict, tree) -> None:
    """The two pages that have a river ask for its script and its style, and no other page does."""
    if tree is not None and 'class="river"' in (context.get("body") or ""):
        app.add_css_file("river/river.css")
        for script in ("river/drawing.js", "river/river.js"):
            app.add_js_file(script, loading_method="defer")


def finish(app: Sphinx, error: Exception | None) -> None:
    if error is None and PAGE in app.env.found_docs:
        put_files(Path(app.outdir, "_static", "river"))


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", load_scripts)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
