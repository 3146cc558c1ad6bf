"""A course folder: assignments from their source to the students, and back with grades.

    exercises/source/NAME/NAME.ipynb      with solutions and hidden tests, nbgrader's format
             /release/NAME/NAME.ipynb     what students get: generated, never edited
             /gradebook.db                nbgrader's gradebook: its formgrader opens it as it is
             /autograded, /feedback       graded notebooks, and pages for the students

nbgrader generates releases, keeps the gradebook, and writes feedback. Only the running of students' programs is ours.
"""

import logging
import os
import re
import shutil
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from flowlib.authoring.moving import put_in_place
from flowlib.classroom.earlier import EARLIER, keep_earlier

UNFINISHED = ".unfinished"  # what an interrupted grading run has done so far
GRADED = ".graded"  # repaired and executed notebooks, as nbgrader is given them
ASIDE = ".registered"  # what nbgrader makes lies here until it is whole
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

    def check_apart(self, folder: Path) -> None:
        """Raises: ValueError where the folder, of submissions, is the course's own or one that the course writes."""
        here, root = folder.resolve(), self.root.resolve()
        own = [
            root / kind for kind in ("source", "release", "autograded", "feedback", GRADED, ASIDE, EARLIER, UNFINISHED)
        ]
        if here == root or any(kind == here or kind in here.parents for kind in own):
            raise ValueError(
                f"{folder} is the course's own and holds no submissions; give the folder with what students handed in, "
                f"such as {self.root / 'submitted'}"
            )

    def api(self):
        """nbgrader's interface to this course, without the steps that we have done."""
        from nbgrader.apps import NbGraderAPI

        put_scripts_on_path()
        return NbGraderAPI(config=make_config(self.root))

    def release(self, name: str) -> Path:
        """Make release/NAME from source/NAME. Raises: ValueError with what nbgrader says."""
        made = self.find("release", name)
        before = made.read_text("utf-8") if made.is_file() else ""
        with self._generate(name) as folder:
            put_in_place(folder, self.root / "release")
        keep_earlier(self.root, name, before, made.read_text("utf-8"))
        return made

    def find_foreign(self, name: str) -> list[Path]:
        """What lies in release/NAME and is not made from source/NAME; checkpoints of Jupyter aside."""
        given, source = self.root / "release" / name, self.root / "source" / name
        files = (file.relative_to(given) for file in sorted(given.rglob("*")) if file.is_file())
        return [file for file in files if not (source / file).exists() and ".ipynb_checkpoints" not in file.parts]

    def register(self, name: str) -> None:
        """Tell the gradebook of an assignment, its tasks and points, and leave release/ as it is."""
        with self._generate(name):
            pass

    def feedback(self, name: str, student: str | None = None) -> list[Path]:
        """Write the pages for one or all students, with what the gradebook says by now; where all pages lie.

        Raises: ValueError with what nbgrader says.
        """
        with hush_log(), self._aside() as folder:
            api = self.api()
            api.coursedir.feedback_directory = str(folder.relative_to(self.root))
            done = api.generate_feedback(name, student, force=True)
            put_in_place(folder, self.root / "feedback")
        if not done["success"]:
            raise ValueError(f"nbgrader cannot write feedback for {name}; has it been graded? {find_reason(done)}")
        return sorted((self.root / "feedback").glob(f"*/{name}/*.html"))

    @contextmanager
    def _generate(self, name: str) -> Iterator[Path]:
        """What students get of an assignment, in a folder aside until the block ends; the gradebook is told of it."""
        with self._aside() as folder:
            api = self.api()
            api.coursedir.release_directory = str(folder.relative_to(self.root))
            with hush_log():
                done = api.generate_assignment(name, force=True, create=True)
            if not done["success"]:
                raise ValueError(f"nbgrader cannot release {name}, and nothing was written: {find_reason(done)}")
            yield folder

    @contextmanager
    def _aside(self) -> Iterator[Path]:
        """A folder of this process's own, which is gone after the block."""
        folder = self.root / ASIDE / str(os.getpid())
        shutil.rmtree(folder, ignore_errors=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # another process's lies there
                folder.parent.rmdir()


def make_config(root: Path):
    """nbgrader's settings for our course: where it lies, what is skipped, what stands for a solution, our feedback."""
    from nbgrader.converters import Autograde
    from nbgrader.preprocessors import ClearHiddenTests

    from flowlib.classroom.feedback import FeedbackExporter
    from flowlib.classroom.grades import Grades

    keep = lambda steps: [step for step in steps if step.__name__ not in SKIP]
    config = read_config(root)
    config.CourseDirectory.root = str(root.resolve())
    config.CourseDirectory.submitted_directory = GRADED
    config.Autograde.sanitize_preprocessors = keep(Autograde.sanitize_preprocessors.default())
    config.Autograde.autograde_preprocessors = keep(Autograde.autograde_preprocessors.default())
    stubs = config.ClearSolutions
    stubs.setdefault("code_stub", {"python": "# your code here\nraise NotImplementedError"})
    stubs.setdefault("text_stub", "*Your answer here.*")
    config.GenerateFeedback.exporter_class = FeedbackExporter
    config.GenerateFeedback.preprocessors = [Grades, ClearHiddenTests]
    return config


def read_config(root: Path):
    """What the course's own nbgrader_config.py says: of late penalties, say. Raises: ValueError where it breaks."""
    from traitlets.config import Config
    from traitlets.config.loader import PyFileConfigLoader

    if not (root / "nbgrader_config.py").is_file():
        return Config()
    try:
        return Config(PyFileConfigLoader("nbgrader_config.py", path=str(root.resolve())).load_config())
    except Exception as error:
        raise ValueError(f"{root / 'nbgrader_config.py'} cannot be read: {type(error).__name__}: {error}") from error


def put_scripts_on_path() -> None:
    """nbgrader asks the shell for alembic: beside this Python, where pip install --user puts it, or by its package."""
    import alembic

    site = Path(alembic.__file__).parents[1]
    around = [folder / name for folder in (site, *site.parents[:3]) for name in ("bin", "Scripts")]
    places = [
        str(Path(sys.executable).parent),
        sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user")),
        *(str(folder) for folder in around if list(folder.glob("alembic*"))),
    ]
    known = os.environ.get("PATH", "").split(os.pathsep)
    new = [one for one in dict.fromkeys(places) if one not in known]
    os.environ["PATH"] = os.pathsep.join([*new, *known])


def find_reason(done: dict) -> str:
    """The error in what nbgrader reports, on one line: the last one that does not only point at those above."""
    lines = [line.strip() for part in ("error", "log") for line in (done.get(part) or "").splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line) and "Please see the" not in line]
    return [*(lines[-1:] or ["no reason given"]), *errors][-1]


@contextmanager
def hush_log() -> Iterator[None]:
    """nbgrader reports every step on the log; what matters comes back as a result, which is made from the log."""
    from traitlets.log import get_logger

    loggers = [logging.root, get_logger()]
    before, last = [logger.handlers for logger in loggers], logging.lastResort
    for logger in loggers:
        logger.handlers = [logging.NullHandler()]
    logging.lastResort = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of SQLAlchemy's, on nbgrader's way with sessions
            yield
    finally:
        logging.lastResort = last
        for logger, handlers in zip(loggers, before, strict=True):
            logger.handlers = handlers
