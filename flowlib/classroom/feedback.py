"""A graded notebook as a page for its student: points and words beside each task. It reads offline and runs nothing.

nbgrader gives it to `FeedbackExporter` with the grades in its cells' metadata (flowlib.classroom.course asks for that).
"""

import re
from html import escape

from nbconvert.filters.markdown_mistune import MarkdownWithMath
from traitlets.config import Config

from flowlib.pages.page import TEMPLATES, MathRenderer, PageExporter, without_scripts

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
                    "extra_template_basedirs": [str(TEMPLATES)],
                    "extra_template_paths": [str(TEMPLATES)],
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

    def markdown2html(self, source: str) -> str:
        renderer = WhateverTheyWrote(escape=False, exclude_anchor_links=True)
        return without_scripts(MarkdownWithMath(renderer=renderer).render(source))

    def _preprocess(self, nb, resources):
        nb, resources = super()._preprocess(nb, resources)  # nbgrader's steps, which fetch the grades
        resources["grades"] = grades(nb, resources)
        return nb, resources


def grades(nb, resources) -> dict:
    """What the page says on top; and, in the metadata of each graded cell, what it says below that cell."""
    known, tasks, heading = resources.get("nbgrader", {}), [], ""
    for cell in nb.cells:
        mark = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "markdown" and not mark.get("grade"):
            found = re.findall(r"^#+ +(.+?) *$", cell.source, re.MULTILINE)
            heading = re.sub(r" *\([\d.]+ points?\)", "", found[-1]) if found else heading
        if not (mark.get("grade") or mark.get("task")):
            continue
        task = row(cell, mark, heading)
        tasks.append(task)
        cell.metadata["flowlib_feedback"] = {"text": said_below(task, mark), "kind": task["kind"]}
    return {
        "student": known.get("student", ""),
        "tasks": tasks,
        "penalty": known.get("late_penalty") or "",
        "score": f"{known.get('score', 0):g}",
        "most": f"{known.get('max_score', 0):g}",
        "waiting": any(task["waiting"] for task in tasks),
    }


def row(cell, mark: dict, heading: str) -> dict:
    """One graded cell: its task, points, and the words of the check that failed or of the person who graded."""
    score, most = float(mark.get("score") or 0), float(mark.get("points") or 0)
    errors = [o for o in cell.get("outputs", []) if o.output_type == "error"]
    first = (errors[0].traceback or [errors[0].evalue])[0] if errors else ""
    waiting = bool(mark.get("waiting"))
    kind = "waiting" if waiting else "full" if score >= most else "part" if score else "none"
    return {
        "name": heading,
        "anchor": cell.get("id", ""),
        "points": f"{score:g} of {most:g}",
        "waiting": waiting,
        "said": " ".join((mark.get("comment") or first or "").split())[:300],
        "kind": kind,
    }


def said_below(task: dict, mark: dict) -> str:
    points = "A person grades this." if task["waiting"] else f"{task['points']} points."
    return f"{points} {mark.get('comment') or ''}".strip()
