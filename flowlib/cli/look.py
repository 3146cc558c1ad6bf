"""The command look: a page about the inside of a model."""

from pathlib import Path

from flowlib.authoring.course import find_root, read_stamp
from flowlib.cli.parsing import check_target


def look(model: str, text: str, /, out: Path | None = None) -> None:
    """Look inside a model on one text, and write a page.

    The page shows where the tokens go, what would be said at each depth, which term moved the prediction, whom the
    heads hear, how far a step is from its own refined flow, where the constraint holds, and what another order of the
    terms does. It holds all that it shows, and asks nobody for anything.

    Args:
        model: A model that comes with flowlib (tiny, tiny-elastic, digits), the folder of a saved one (of flowlib or of
            transformers), or a name on Hugging Face's hub.
        text: The text; for a model of pictures, the path of one. A model that listens (T5, BART) hears it, and the
            page shows the model's answer.
        out: The page; by default look-MODEL.html, here.
    """
    from flowlib.notebook.inside.call import take_look
    from flowlib.notebook.inside.page import SIGN, write_page

    file = out or Path(f"look-{Path(model).name or 'model'}.html")
    check_target(file, "--out", "look.html", SIGN)
    print(write_page(take_look(model, text), file, find_ledger()))


def find_ledger() -> str:
    """Where the claims' ledger lies on the web; nothing, where that is not known."""
    root = find_root(Path(__file__).resolve())
    files = read_stamp(root).files if root else ""
    return f"{files}chapters/claims.md" if files else ""
