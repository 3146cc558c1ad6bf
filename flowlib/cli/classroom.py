"""Commands for a class: release, grade, feedback, otter."""

from pathlib import Path
from typing import Literal

from flowlib.cli.parsing import parse, to_write


def release(arguments: list[str]) -> int:
    """What students get of an assignment, without solutions: flowlib release [NAME ...] [--course exercises]."""
    import tyro

    def release(names: tyro.conf.Positional[tuple[str, ...]] = (), course: Path = Path("exercises")) -> None:
        """Make release/NAME from source/NAME, with solutions and hidden tests taken out.

        Args:
            names: Assignments; without a name, all of the course.
            course: The folder of the course.
        """
        book = _classroom().Course(course)
        for name in names or book.assignments():
            print(book.release(name))

    parse(release, arguments, "flowlib release")
    return 0


def grade(arguments: list[str]) -> int:
    """Grade what students handed in, each in a sandbox: flowlib grade SUBMISSIONS --out GRADES.csv [--assignment N]."""
    import tyro

    def grade(
        submissions: tyro.conf.Positional[Path],
        out: Path,
        course: Path = Path("exercises"),
        assignment: str | None = None,
        seconds: float = 120.0,
        call_seconds: float = 20.0,
        megabytes: int = 1200,
        seed: int = 0,
        workers: int = 0,
        sandbox: Literal["bubblewrap", "none"] = "bubblewrap",
    ) -> int:
        """Grade notebooks; write a table of grades, and give everything to nbgrader's gradebook.

        Exit code 1 if a submission could not be graded, or lies in a folder that is no assignment; it says which.

        Args:
            submissions: STUDENT/ASSIGNMENT/*.ipynb as nbgrader collects them, or STUDENT.ipynb with --assignment.
            out: The table of grades, CSV; details of every test go beside it, as JSON.
            course: The folder of the course.
            assignment: Grade this one only.
            seconds: Wall-clock time for a whole notebook.
            call_seconds: Wall-clock time for a cell, or a call of a student's function.
            megabytes: Memory for all processes of one student.
            seed: Draws the numbers in the tests; another one for another class.
            workers: Students graded at a time; 0: as many as there are cores.
            sandbox: none runs students' programs as you: only in a container that is thrown away.
        """
        from tqdm import tqdm

        to_write(out, "--out", "grades.csv")
        room = _classroom()
        book = room.Course(course)
        names = [assignment] if assignment else book.assignments()
        count = len(room.submissions(submissions, names))
        with tqdm(total=count, unit="submission", disable=None) as bar:
            results = room.grade_all(
                book,
                submissions,
                names=names,
                limits=room.Limits(seconds, call_seconds, megabytes),
                seed=seed,
                isolate=sandbox != "none",
                workers=workers or None,
                progress=bar.update,
            )
        save_text(room.table(results), out)
        save_text(room.details(results), out.with_suffix(".json"))
        print(f"{len(results)} submissions graded: {out}; every test: {out.with_suffix('.json')}")
        for result in results:
            if result.notes:
                print(f"  {result.student}, {result.assignment}: {'; '.join(result.notes)}")
        strays = room.strays(submissions, book.assignments())
        for place in strays:
            print(f"  NOT GRADED: {place} is no assignment of the course; known: {', '.join(book.assignments())}")
        return 1 if strays or any(not r.points for r in results) else 0

    from flowlib.files import save_text

    return parse(grade, arguments, "flowlib grade")


def feedback(arguments: list[str]) -> int:
    """Write pages of feedback for students, after grading by hand: flowlib feedback [NAME ...] [--course exercises]."""
    import tyro

    def feedback(names: tyro.conf.Positional[tuple[str, ...]] = (), course: Path = Path("exercises")) -> None:
        """Write a page for every student: points and comments from the gradebook, beside each task.

        The pages need no network and run nothing. They lie in feedback/STUDENT/NAME/NAME.html, as nbgrader has it.

        Args:
            names: Assignments; without a name, all that were graded.
            course: The folder of the course.
        """
        book = _classroom().Course(course)
        graded = {folder.name for folder in (book.root / "autograded").glob("*/*")}
        for name in names:
            book.known("source", name)
        for name in names or sorted(graded & set(book.assignments())):
            pages = book.feedback(name)
            print(f"{name}: {len(pages)} pages in {book.root / 'feedback'}")

    parse(feedback, arguments, "flowlib feedback")
    return 0


def otter(arguments: list[str]) -> int:
    """An assignment for otter-grader, Gradescope and Colab classes: flowlib otter NAME [--out FOLDER]."""
    import tyro

    def otter(
        name: tyro.conf.Positional[str],
        out: Path = Path("build/otter"),
        course: Path = Path("exercises"),
        requirements: tuple[str, ...] = (),
    ) -> None:
        """Write an assignment as otter-grader's master notebook, from its source.

        Args:
            name: The assignment.
            out: The folder that it goes to.
            course: The folder of the course.
            requirements: What the grading image installs; without it, your copy, from the address that links stamped.
        """
        room = _classroom()
        from nbformat import read, writes

        from flowlib.classroom.otter import master
        from flowlib.files import save_text

        source = read(room.Course(course).known("source", name), as_version=4)
        requirements = requirements or (_this_course(course),)
        out.mkdir(parents=True, exist_ok=True)
        made = out / f"{name}.ipynb"
        save_text(writes(master(source, list(requirements))) + "\n", made)
        print(f"{made}\nthen, with otter-grader: otter assign {made} {out / 'dist'}")

    parse(otter, arguments, "flowlib otter")
    return 0


def _this_course(course: Path) -> str:
    """What pip installs this copy of the course by. The name alone would not do: PyPI's flowlib is another project.

    Raises: ValueError where the copy's address is not stamped.
    """
    from flowlib.authoring.links import recorded, root_of

    address = recorded(root_of(course.resolve())).address
    if not address:
        raise ValueError(
            "the grading image must know where flowlib comes from: stamp the address with flowlib links OWNER/NAME, "
            "or give --requirements 'flowlib[notebook] @ https://…'; PyPI's flowlib is another project"
        )
    return f"flowlib[notebook] @ {address}"


def _classroom():
    """flowlib.classroom.course, or a word on what is missing."""
    try:
        import nbgrader  # noqa: F401
    except ImportError:
        raise ModuleNotFoundError("grading needs nbgrader: pip install -e '.[classroom]'") from None
    from flowlib.classroom import course

    return course
