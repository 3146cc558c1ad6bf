"""A graded notebook as a page for its student: points and words beside each task. It reads offline and runs nothing.

nbgrader gives it to `FeedbackExporter` with the grades in its cells' metadata (flowlib.classroom.course asks for that).
"""

import re
from html import escape

from jinja2 import pass_context
from nbconvert.filters.markdown_mistune import MarkdownWithMath
from traitlets.config import Config

from flowlib.classroom.cells import REFUSED, mark, worth
from flowlib.pages.page import (
    MathRenderer,
    PageExporter,
    list_pictures,
    list_template_folders,
    without_scripts,
)

PICTURES = ["image/png", "image/jpeg", "image/svg+xml", "text/plain"]  # no HTML of a student's program


class WhateverTheyWrote(MathRenderer):
    """A student's formula that is no TeX stays as it was typed."""

    def inline_math(self, body: str) -> str:
        try:
            return super().inline_math(body)
        except ValueError:
            return f"<code>{escape(body)}</code>"

    def block_math(self, body: str) -> str:
        try:
            return super().block_math(body)
        except ValueError:
            return f"<pre>{escape(body)}</pre>"


class FeedbackExporter(PageExporter):
    """nbgrader's exporter_class for feedback."""

    export_from_notebook = None  # nothing for JupyterLab's menu: it needs grades

    def __init__(self, config=None, **options):
        ours = Config(
            {
                "FeedbackExporter": {
                    "template_name": "graded",
                    "extra_template_basedirs": list_template_folders(),
                    "extra_template_paths": list_template_folders(),
                }
            }
        )
        config = Config() if config is None else config.copy()
        config.merge(ours)  # nbgrader asks every HTMLExporter for a template of its own, which fetches scripts
        super().__init__(config=config, **options)

    @property
    def default_config(self):
        config = super().default_config.copy()
        config.NbConvertBase.display_data_priority = PICTURES
        return config

    @pass_context
    def markdown2html(self, context, source: str) -> str:
        pasted = list_pictures(context.get("cell", {}))
        renderer = WhateverTheyWrote(escape=False, exclude_anchor_links=True, attachments=pasted)
        return without_scripts(MarkdownWithMath(renderer=renderer).render(source))

    def _preprocess(self, nb, resources):
        nb, resources = super()._preprocess(nb, resources)  # nbgrader's steps, which fetch the grades
        resources["grades"] = collect_grades(nb, resources)
        return nb, resources


def collect_grades(nb, resources) -> dict:
    """What the page says on top; and, in the metadata of each graded cell, what it says below that cell."""
    known, tasks, heading = resources.get("nbgrader", {}), [], ""
    for cell in nb.cells:
        if mark(cell).get("grade") or mark(cell).get("task"):
            tasks.append(make_task(cell, heading))
            text = describe_points(tasks[-1], mark(cell).get("comment") or "")
            cell.metadata["flowlib_feedback"] = {"text": text, "kind": tasks[-1]["kind"]}
        elif cell.cell_type == "markdown":
            headings = re.findall(r"^#+ +(.+?) *$", cell.source, re.MULTILINE)
            heading = re.sub(r" *\([\d.]+ points?\)", "", headings[-1]) if headings else heading
    return {
        "student": known.get("student", ""),
        "refused": [str(one) for one in nb.metadata.get(REFUSED, ())],
        "tasks": tasks,
        "penalty": known.get("late_penalty") or "",
        "score": f"{known.get('score', 0):g}",
        "most": f"{known.get('max_score', 0):g}",
        "waiting": any(task["waiting"] for task in tasks),
    }


def make_task(cell, heading: str) -> dict:
    """One graded cell: its task, points, and the words of the check that failed or of the person who graded."""
    given, most = mark(cell), worth(cell)
    score, waiting = float(given.get("score") or 0), bool(given.get("waiting"))
    errors = [o for o in cell.get("outputs", []) if o.output_type == "error"]
    first = (errors[0].traceback or [errors[0].evalue])[0] if errors else ""
    return {
        "name": heading,
        "anchor": cell.get("id", ""),
        "points": f"{score:g} of {most:g}",
        "waiting": waiting,
        "said": " ".join((given.get("comment") or first or "").split())[:300],
        "kind": "waiting" if waiting else "full" if score >= most else "part" if score else "none",
    }


def describe_points(task: dict, comment: str) -> str:
    """What stands below the cell: its points, and the words of the person who graded."""
    points = "A person grades this." if task["waiting"] else f"{task['points']} points."
    return f"{points} {comment}".strip()
