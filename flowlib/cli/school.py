"""Commands between a class and its learning platform: collect, points, similar, moderate, check, slides."""

from pathlib import Path

from flowlib.authoring.course import root_of
from flowlib.cli.classroom import EXERCISES, open_course
from flowlib.cli.parsing import check_target


def collect(
    archive: Path, /, assignment: str, course: Path = EXERCISES, out: Path | None = None, replace: bool = False
) -> int:
    """Unpack a platform's zip of a class.

    Moodle's, Canvas's or Blackboard's "download all submissions", or any zip of STUDENT/FILE, becomes
    STUDENT/ASSIGNMENT/FILE, for flowlib grade. Exit code 1 if something was left out; it says what.

    Args:
        archive: The zip.
        assignment: What it was handed in for.
        course: The folder of the course.
        out: Where to; submitted/ in the course's folder, where nothing else is said.
        replace: Take away what a student has there already for this assignment.
    """
    from flowlib.classroom.collecting import collect as unpack

    book = open_course(course)
    name = book.find("source", assignment).stem
    place = out or book.root / "submitted"
    book.check_apart(place)
    students, said = unpack(archive, place, name, replace=replace)
    print(f"{len(students)} students: {place}/STUDENT/{name}")
    for sentence in said:
        print(f"  {sentence}")
    return int(any(sentence.startswith("NOT COLLECTED") for sentence in said) or not students)


def points(
    table: Path,
    /,
    assignment: str,
    out: Path,
    course: Path = EXERCISES,
    column: str | None = None,
    unfinished: bool = False,
) -> int:
    """Fill the points of an assignment into the platform's own table.

    That is Moodle's grading worksheet, Canvas's exported gradebook, or Blackboard's download: only one column changes,
    and the platform takes the table back as it is. Points by hand and for being late are in. Exit code 1 if a student
    is not in the table.

    Args:
        table: The table, as the platform gave it.
        assignment: The assignment.
        out: The table that is written.
        course: The folder of the course.
        column: The column that the points go to; Moodle's Grade, where nothing else is said.
        unfinished: Also those who still wait for a person to grade.
    """
    from flowlib.classroom import platforms
    from flowlib.classroom.roster import read_roster

    book = open_course(course)
    name = book.find("source", assignment).stem
    if out.resolve() == table.resolve() or out.exists():
        raise ValueError(f"--out {out} is there already; give a new file, and keep the platform's own")
    read = platforms.read_table(table)
    place = platforms.find_column(read, column)
    found, waiting = platforms.read_points(book, name)
    if not found:
        raise ValueError(f"nobody has points for {name}; first: flowlib grade SUBMISSIONS --out grades.csv")
    given = {one: value for one, value in found.items() if unfinished or one not in waiting}
    roster = read_roster(book)
    filled, missing = platforms.fill(read, place, given, roster)
    out.write_bytes(platforms.write_table(read))
    print(f"{out}: {len(filled)} rows of {read.platform}'s table, in {platforms.name_of(read.head[place])}")
    if waiting and not unfinished:
        print(f"  left out, to be graded by hand first (or --unfinished): {platforms.show_names(waiting, roster)}")
    told, most = platforms.find_most(read, place), platforms.read_most(book, name)
    if not platforms.is_most(told, most):
        print(f"  {read.platform} says that the most is {told}, and here it is {most:g}: set it to {most:g} there")
    if excused := sorted(set(given) - set(filled) - set(missing)):
        print(f"  excused in {read.platform}, and left so: {platforms.show_names(excused, roster)}")
    if missing:
        print(f"  NOT IN THE TABLE: {platforms.show_names(missing, roster)}")
    return int(bool(missing))


def similar(submissions: Path, /, assignment: str, out: Path, course: Path = EXERCISES, most: int = 50) -> None:
    """List submissions that resemble each other.

    The share of the shorter one's code that is in the other, too, names made alike, what the assignment gives left
    out. It shows where to look, and proves nothing: short answers resemble each other by themselves.

    Args:
        submissions: The folder that flowlib grade takes.
        assignment: The assignment.
        out: The table, CSV, the most alike first.
        course: The folder of the course.
        most: So many pairs.
    """
    from flowlib.classroom.similar import find_similar
    from flowlib.classroom.submissions import find_submissions

    check_target(out, "--out", "similar.csv", "first,second,share")
    book = open_course(course)
    name = book.find("source", assignment).stem
    pairs, left = find_similar(book, find_submissions(submissions, [name]))
    rows = [[p.first, p.second, f"{p.share:.2f}", p.letters] for p in pairs[:most]]
    write_rows(out, ["first", "second", "share", "letters compared"], rows)
    middle = pairs[len(pairs) // 2].share if pairs else 0.0
    print(f"{out}: {len(pairs[:most])} of {len(pairs)} pairs, the most alike first; half of all share {middle:.0%}")
    print("  It proves nothing: look at both. What stands far above that half is worth a look, and a talk.")
    if left:
        print(f"  too short to be compared: {len(left)}")


def moderate(
    assignment: str, /, out: Path, course: Path = EXERCISES, second: Path | None = None, share: float = 0.1
) -> None:
    """Choose whom a second marker marks; compare two markers.

    With --second, the folder in which the second one marked: every task on which the two differ, the largest
    difference first. Without it: a sample of students, from the weakest to the best, and those near half of all points.

    Args:
        assignment: The assignment.
        out: The table, CSV.
        course: The folder of the course.
        second: A copy of it, in which another person graded by hand.
        share: Of the students in the sample.
    """
    from flowlib.classroom import moderation
    from flowlib.classroom.platforms import read_points
    from flowlib.classroom.roster import Person, read_roster

    check_target(out, "--out", "moderation.csv", "student")
    if not 0 < share <= 1:
        raise ValueError(f"--share must be above 0, and 1 at most; got {share}")
    book = open_course(course)
    name = book.find("source", assignment).stem
    roster = read_roster(book)
    name_of = lambda student: roster.get(student, Person()).name
    if second is None:
        points, _ = read_points(book, name)
        with book.api().gradebook as grades:
            most = float(grades.find_assignment(name).max_score) if points else 0.0
        chosen = moderation.draw_sample(points, most, share)
        write_rows(out, ["student", "name", "points"], [[one, name_of(one), f"{points[one]:g}"] for one in chosen])
        print(f"{out}: {len(chosen)} of {len(points)} students to be marked by a second person")
        return
    marks = (moderation.read_marks(one, name) for one in (book, open_course(second)))
    found = moderation.find_differences(*marks)
    show = lambda value: "" if value is None else f"{value:g}"
    rows = [[one.student, name_of(one.student), one.task, show(one.first), show(one.second)] for one in found]
    write_rows(out, ["student", "name", "task", "first", "second"], rows)
    print(f"{out}: {len(found)} tasks on which the two differ")


def write_rows(out: Path, head: list[str], rows: list[list]) -> None:
    """A table that no spreadsheet takes for formulas."""
    import csv
    import io

    from flowlib.classroom.tables import no_formula
    from flowlib.files import save_text

    text = io.StringIO()
    made = csv.writer(text, lineterminator="\n")
    made.writerow(head)
    made.writerows([no_formula(str(cell)) for cell in row] for row in rows)
    save_text(text.getvalue(), out)


def check(notebook: Path, /, assignment: str | None = None, course: Path = EXERCISES, seconds: float = 120.0) -> int:
    """Run the visible checks of a student's own notebook.

    For a repository of GitHub Classroom, or before handing in; the program runs as you. Exit code 1 if a check fails.

    Args:
        notebook: The notebook.
        assignment: Which one it is; where nothing is said, the file's name.
        course: The folder of the course, of which release/ is needed alone.
        seconds: Time for the whole notebook.
    """
    from flowlib.classroom.room.sandbox import Limits
    from flowlib.classroom.visible import check_visible

    name = assignment or notebook.stem
    release = course / "release" / name / f"{name}.ipynb"
    if not release.is_file():
        raise ValueError(f"there is no {release}; name the assignment with --assignment NAME")
    if not notebook.is_file():
        raise FileNotFoundError(f"there is no notebook {notebook}")
    results = check_visible(notebook, release, Limits(seconds=seconds))
    for test, worth, said in results:
        print(f"✗ {test} ({worth:g} points)\n{said}\n" if said else f"✓ {test} ({worth:g} points, its visible part)")
    return int(any(said for _, _, said in results))


def slides(chapters: tuple[Path, ...] = (), /, out: Path = Path("build/slides")) -> None:
    """Make a deck of slides from each chapter.

    Figures, claims, formulas, and the questions to vote on, each answered on the slide after it. One file of HTML
    without scripts: it needs no network; Space or Page Down goes on, and printing it makes a PDF.

    Args:
        chapters: Paths of chapters; without one, all of them.
        out: The folder that they go to.
    """
    from flowlib.files import save_text
    from flowlib.pages.slides import make_deck

    found = chapters or tuple(sorted((root_of(Path.cwd()) / "chapters").glob("[0-9][0-9]_*.ipynb")))
    for chapter in found:
        html, count = make_deck(chapter)
        save_text(html, out / f"{chapter.stem}.html")
        print(f"{out / chapter.stem}.html: {count} slides")
