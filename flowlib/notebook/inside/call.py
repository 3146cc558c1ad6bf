"""`look`: open a model, measure, and show what was found in the notebook."""

import re
from collections.abc import Sequence
from typing import Any

from flowlib.arguments import check_choice
from flowlib.notebook.inside.page import part_html
from flowlib.notebook.inside.parts import NEEDS, PARTS
from flowlib.notebook.show import bundle, check_alt, css_size, png
from flowlib.studies.look import Look, count_steps, measure

TINTS = "<style>.flowlib-look .lens td { background: rgba(0, 114, 178, calc(0.45 * var(--share))); }</style>"


def take_look(
    model: Any, text: Any, tokenizer: Any = None, *, parts: Sequence[str] = tuple(PARTS), progress: bool = True
) -> Look:
    """Open the model and measure what the parts need, with a bar for the steps. Raises: as `open_subject` does."""
    from tqdm import tqdm

    from flowlib.models.opening import open_subject

    subject, inside = open_subject(model, text, tokenizer)
    only = {name for part in parts for name in NEEDS[part]}
    with inside, tqdm(total=count_steps(subject.flow, only), unit="step", disable=None if progress else True) as bar:
        return measure(subject, bar.update, only)


def look(
    model: Any, text: Any, tokenizer: Any = None, *, parts: Sequence[str] = tuple(PARTS), progress: bool = False
) -> Look:
    """Look inside a model on one text (or picture): what `flowlib look` writes on a page, shown here.

        found = look("tiny", "the value of the argum")
        look(minilm(), "The ferry crosses the river.", parts=("paths", "order"))

    model: a name, a folder, a FlowLM or FlowVision, a model of transformers with its tokenizer, or the pair of both.
    parts: which of paths, said, account, kernels, refined, constraint, order. Only what they need is measured, and
    returned.
    Raises: ValueError for an unknown model or part, no text or too long a one; as `open_subject` says.
    """
    for name in parts:
        check_choice(name, "parts", tuple(PARTS))
    found = take_look(model, text, tokenizer, parts=parts, progress=progress)
    for name in parts:
        show_part(PARTS[name](found))
    return found


def show_part(part) -> None:
    """Its words and tables as HTML, then each picture as `show` has it."""
    from IPython.display import HTML, display

    pictures, part.pictures = part.pictures, []
    plain = re.sub(r'<a href="#(C[\d.]+)">\1</a>', r"\1", part_html(part))  # there is no list of claims to lead to
    display(HTML(f'<div class="flowlib-look">{TINTS}{plain}</div>'))
    for fig, caption in pictures:
        words = check_alt(caption)
        data, metadata = bundle(png(fig), words, *css_size(fig))
        display(data, raw=True, metadata=metadata)
