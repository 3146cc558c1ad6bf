"""A course folder: assignments from their source to the students, and back with grades.

    exercises/source/NAME/NAME.ipynb      with solutions and hidden tests, nbgrader's format
             /release/NAME/NAME.ipynb     what students get: generated, never edited
             /gradebook.db                nbgrader's gradebook: its formgrader opens it as it is
             /autograded, /feedback       graded notebooks, and pages for the students

nbgrader generates releases, keeps the gradebook, and writes feedback. Only the running of students' programs is ours.
"""

import logging
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

GRADED = ".graded"  # repaired and executed notebooks, as nbgrader is given them
REGISTERED = ".registered"
SKIP = ("Execute", "ClearOutput", "DeduplicateIds", "OverwriteKernelspec", "IgnorePattern", "ClearMetadataPreprocessor")


@dataclass(frozen=True)
class Course:
    """The folder of a course. Raises: FileNotFoundError where it has no source/."""

    root: Path

    def __post_init__(self):
        if not (self.root / "source").is_dir():
            raise FileNotFoundError(f"{self.root / 'source'} is missing; give a course's folder, such as exercises")

    def assignments(self) -> list[str]:
        return sorted(f.parent.name for f in (self.root / "source").glob("*/*.ipynb") if f.stem == f.parent.name)

    def notebook(self, kind: str, name: str) -> Path:
        return self.root / kind / name / f"{name}.ipynb"

    def find(self, kind: str, name: str) -> Path:
        """The notebook of an assignment that is there. Raises: ValueError, with the names of those that are."""
        if name not in self.assignments():
            raise ValueError(f"unknown assignment {name!r}; known: {', '.join(self.assignments()) or 'none'}")
        return self.notebook(kind, name)

    def api(self):
        """nbgrader's interface to this course, without the steps that we have done."""
        from nbgrader.apps import NbGraderAPI

        put_scripts_on_path()
        return NbGraderAPI(config=make_config(self.root))

    def release(self, name: str) -> Path:
        """Make release/NAME from source/NAME. Raises: ValueError with what nbgrader says."""
        made = self.find("release", name)
        self._generate(self.api(), name)
        return made

    def register(self, name: str) -> None:
        """Tell the gradebook of an assignment, its tasks and points, and leave release/ as it is."""
        api = self.api()
        api.coursedir.release_directory = REGISTERED
        self._generate(api, name)
        shutil.rmtree(self.root / REGISTERED)

    def feedback(self, name: str) -> list[Path]:
        """Write the pages for all students of an assignment, with what the gradebook says by now; where they lie.

        Raises: ValueError with what nbgrader says.
        """
        with hush_log():
            done = self.api().generate_feedback(name, force=True)
        if not done["success"]:
            raise ValueError(f"nbgrader cannot write feedback for {name}; has it been graded?\n{last_line(done)}")
        return sorted((self.root / "feedback").glob(f"*/{name}/*.html"))

    def _generate(self, api, name: str) -> None:
        done = api.generate_assignment(name, force=True, create=True)
        if not done["success"]:
            raise ValueError(f"nbgrader cannot release {name}:\n{done.get('log') or done.get('error')}")


def make_config(root: Path):
    """nbgrader's settings for our course: where it lies, what is skipped, what stands for a solution, our feedback."""
    from nbgrader.converters import Autograde
    from nbgrader.preprocessors import ClearHiddenTests
    from traitlets.config import Config

    from flowlib.classroom.feedback import FeedbackExporter
    from flowlib.classroom.grades import Grades

    keep = lambda steps: [step for step in steps if step.__name__ not in SKIP]
    config = Config()
    config.CourseDirectory.root = str(root.resolve())
    config.CourseDirectory.submitted_directory = GRADED
    config.Autograde.sanitize_preprocessors = keep(Autograde.sanitize_preprocessors.default())
    config.Autograde.autograde_preprocessors = keep(Autograde.autograde_preprocessors.default())
    config.ClearSolutions.code_stub = {"python": "# your code here\nraise NotImplementedError"}
    config.ClearSolutions.text_stub = "*Your answer here.*"
    config.GenerateFeedback.exporter_class = FeedbackExporter
    config.GenerateFeedback.preprocessors = [Grades, ClearHiddenTests]
    return config


def put_scripts_on_path() -> None:
    """nbgrader asks the shell for alembic, which lies beside this Python."""
    scripts = str(Path(sys.executable).parent)
    if scripts not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = scripts + os.pathsep + os.environ["PATH"]


def last_line(done: dict) -> str:
    """The last line of what nbgrader reports."""
    return ((done.get("error") or done.get("log") or "").strip().splitlines() or ["no reason given"])[-1]


@contextmanager
def hush_log() -> Iterator[None]:
    """nbgrader reports every step on the log; what matters comes back as a result."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of SQLAlchemy's, on nbgrader's way with sessions
            yield
    finally:
        logging.disable(before)
