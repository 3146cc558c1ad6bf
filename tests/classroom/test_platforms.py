"""Points go back in the platform's own table: one column changes, and all else stays byte for byte."""

import re
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[classroom]'")

from flowlib.classroom.course import Course
from flowlib.classroom.moderation import draw_sample, find_differences
from flowlib.classroom.platforms import (
    fill,
    find_column,
    find_most,
    is_most,
    name_of,
    read_table,
    show_names,
    write_table,
)
from flowlib.classroom.roster import Person, read_roster
from flowlib.cli import COMMANDS, main

MOODLE = (  # PHP's quotes: where there is a blank
    'Identifier,"Full name","Email address",Status,Grade,"Maximum Grade","Grade can be changed",'
    '"Last modified (submission)","Last modified (grade)","Feedback comments"\n'
    '"Participant 12345","Ada Lovelace",ada@example.org,"Submitted for grading - Not marked",,20.00,Yes,'
    '"Sunday, 1 March 2026, 11:58 AM",-,"two\nlines, ""quoted"""\n'
    '"Participant 7","O\'Neill-Ba, Jo",jo@example.org,"No submission - Not marked",,20.00,Yes,-,-,\n'
)
GERMAN = (
    'ID,"Vollständiger Name",E-Mail-Adresse,Status,Bewertung,Bestwertung,"Bewertung kann geändert werden"\n'
    '"Teilnehmer/in 12345","Ada Lovelace",ada@example.org,Abgegeben,,"20,00",Ja\n'
    '"Teilnehmer/in 7","Jo Ba",jo@example.org,"Keine Abgabe",,"20,00",Ja\n'
)
CANVAS = (
    "Student,ID,SIS User ID,SIS Login ID,Section,Another kernel (123),Assignments Current Score,Final Score\n"
    ",,,,,Manual Posting,,\n"
    "    Points Possible,,,,,20.00,(read only),(read only)\n"
    '"Lovelace, Ada",4711,s1,ada,A,,90.00,\n'
    '"Turing, Alan",4712,4711,alan,A,3.00,,\n'
    '"Student, Test",4799,,8d5e,A,N/A,,\n'
)
NAMES_APART = (
    "LastName,FirstName,ID,SIS User ID,SIS Login ID,Section,Another kernel (123)\n"
    "    Points Possible,,,,,,20.00\n"
    "Lovelace,Ada,4711,s1,ada,A,\n"
)
BLACKBOARD = (
    '"Last Name"\t"First Name"\t"Username"\t"Student ID"\t"Another kernel [Total Pts: 20 Score] |1234"\r\n'
    '"Lovelace"\t"Ada"\t"alovelace"\t"s1"\t""\r\n'
    '"Turing"\t"Alan"\t"aturing"\t"s2"\t"3"\r\n'
)
COMMAS = "\ufeff" + BLACKBOARD.replace("\t", ",").replace("\r\n", "\n")
ADA, IN_CANVAS = "Ada Lovelace_12345", "lovelaceada_4711"
PLATFORMS = {  # the table, its encoding, --column, the student, the text that changes
    "Moodle": (MOODLE, "utf-8", None, ADA, ('marked",,20.00,Yes,"Sun', 'marked",13.5,20.00,Yes,"Sun')),
    "Moodle, German": (GERMAN, "utf-8-sig", "Bewertung", ADA, ("Abgegeben,,", "Abgegeben,13.5,")),
    "Canvas": (CANVAS, "utf-8", "Another kernel", IN_CANVAS, ("4711,s1,ada,A,,", "4711,s1,ada,A,13.5,")),
    "Canvas, a mark": (CANVAS, "utf-8-sig", "Another kernel", IN_CANVAS, ("ada,A,,", "ada,A,13.5,")),
    "Canvas, Europe": (
        CANVAS.replace(",", ";").replace(".", ","),
        "utf-8-sig",
        "Another kernel",
        IN_CANVAS,
        ("4711;s1;ada;A;;", "4711;s1;ada;A;13.5;"),
    ),
    "Canvas, names": (NAMES_APART, "utf-8", "Another kernel", IN_CANVAS, ("s1,ada,A,", "s1,ada,A,13.5")),
    "Blackboard": (BLACKBOARD, "utf-16", "another KERNEL", "alovelace", ('"s1"\t""', '"s1"\t"13.5"')),
    "Blackboard, commas": (COMMAS, "utf-8", "another KERNEL", "alovelace", ('"s1",""', '"s1","13.5"')),
}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_one_cell_changes_and_the_rest_is_as_it_came(tmp_path, platform):
    text, encoding, column, student, (before, after) = PLATFORMS[platform]
    (tmp_path / "table.csv").write_bytes(text.encode(encoding))
    table = read_table(tmp_path / "table.csv")
    assert table.platform == platform.partition(",")[0]
    assert fill(table, find_column(table, column), {student: 13.5, "nobody": 1.0}) == ([student], ["nobody"])
    assert text.count(before) == 1
    assert write_table(table) == text.replace(before, after).encode(encoding)


def test_a_number_counts_in_the_platforms_own_column_alone(tmp_path):
    (tmp_path / "table.csv").write_text(CANVAS, "utf-8")  # 4711 is Ada's at Canvas, and Alan's at the university
    table = read_table(tmp_path / "table.csv")
    assert fill(table, 5, {"turingalan_4712": 1.0}) == (["turingalan_4712"], [])
    assert fill(table, 5, {"x_s1": 1.0, "y_4711": 2.0}) == (["y_4711"], ["x_s1"])
    assert [row[5] for row in table.rows[3:6]] == ["2", "1", "N/A"]


@pytest.mark.parametrize("mark", ["EX", '"EX"', "ex"])
def test_who_is_excused_stays_so(tmp_path, mark):
    text = CANVAS.replace("4711,s1,ada,A,,", f"4711,s1,ada,A,{mark},")
    assert text != CANVAS
    (tmp_path / "table.csv").write_text(text, "utf-8")
    table = read_table(tmp_path / "table.csv")
    assert fill(table, 5, {"x_4711": 3.0, "y_4712": 2.0, "z": 1.0}) == (["y_4712"], ["z"])
    assert [row[5] for row in table.rows[3:5]] == [mark, "2"]


def test_a_column_that_canvas_counts_itself_is_refused(tmp_path):
    (tmp_path / "table.csv").write_text(CANVAS, "utf-8")
    with pytest.raises(ValueError, match="must be one that Canvas takes back; it counts Final Score itself"):
        find_column(read_table(tmp_path / "table.csv"), "Final Score")


@pytest.mark.parametrize(
    ("text", "column", "told", "same"),
    [
        (MOODLE, None, "20.00", True),
        (MOODLE.replace("20.00", "100.00"), None, "100.00", False),
        (GERMAN, "Bewertung", "", True),
        (CANVAS, "Another kernel", "20.00", True),
        (CANVAS.replace("20.00", "10"), "Another kernel", "10", False),
        (BLACKBOARD, "Another kernel", "20", True),
        (BLACKBOARD.replace("Pts: 20", "Pts: 12,5"), "Another kernel", "12,5", False),
    ],
)
def test_the_most_points_are_the_platforms_own(tmp_path, text, column, told, same):
    (tmp_path / "table.csv").write_text(text, "utf-8")
    table = read_table(tmp_path / "table.csv")
    found = find_most(table, find_column(table, column))
    assert (found, is_most(found, 20.0)) == (told, same)


@pytest.mark.parametrize("student", ["ada@example.org", "ADA@example.org", "x_12345"])
def test_a_student_is_found_by_whatever_says_who_it_is(tmp_path, student):
    (tmp_path / "table.csv").write_text(MOODLE, "utf-8", newline="")
    assert fill(read_table(tmp_path / "table.csv"), 4, {student: 1.0}) == ([student], [])


def test_the_roster_says_who_it_is_where_the_folder_does_not(tmp_path):
    people = {
        "al": ("Ada", "Lovelace", " ADA@example.org "),
        "jo": ("Jo", None, "jo@example.org"),
        "jo2": ("Jo", "Other", "jo@example.org"),
        "zoe": (None, None, None),
    }
    (tmp_path / "source").mkdir()
    course = Course(tmp_path)
    with course.api().gradebook as book:
        for student, (first, last, email) in people.items():
            book.add_student(student, first_name=first, last_name=last, email=email)
    roster = read_roster(course)
    assert [roster[one].name for one in people] == ["Ada Lovelace", "Jo", "Jo Other", ""]
    (tmp_path / "table.csv").write_text(MOODLE, "utf-8", newline="")
    table = read_table(tmp_path / "table.csv")
    filled, missing = fill(table, 4, {"al": 1.0, "jo": 2.0, "jo2": 3.0, "zoe": 4.0}, roster)
    assert (filled, missing) == (["al"], ["jo", "jo2", "zoe"])  # one address of two people is nobody's
    assert table.rows[1][4] == "1" and table.rows[2][4] == ""
    assert show_names(missing, roster) == "jo (Jo), jo2 (Jo Other), zoe"


def test_a_students_own_name_goes_before_what_the_roster_says_of_another(tmp_path):
    (tmp_path / "table.csv").write_text(MOODLE, "utf-8", newline="")
    roster = {"bob": Person("Bob", ("ada@example.org",))}
    assert fill(read_table(tmp_path / "table.csv"), 4, {"bob": 1.0, "ada@example.org": 2.0}, roster)[0] == [
        "ada@example.org"
    ]


def test_a_column_that_is_not_there_is_answered_with_those_that_are(tmp_path):
    (tmp_path / "table.csv").write_text(CANVAS, "utf-8")
    with pytest.raises(ValueError, match="--column must name one .*: Student, ID, .*, Another kernel, .*, Final Score"):
        find_column(read_table(tmp_path / "table.csv"), None)
    assert name_of("Another kernel [Total Pts: 20 Score] |1234") == name_of("Another kernel (123)") == "Another kernel"


@pytest.mark.parametrize("data", [b"", b"a,b\n1,2\n", b"\xff\xff\x00", b"student,score\nada,3\n"])
def test_another_table_is_refused(tmp_path, data):
    (tmp_path / "table.csv").write_bytes(data)
    with pytest.raises(ValueError, match="must be (Moodle's|the table)"):
        read_table(tmp_path / "table.csv")


# ------------------------------------------------------------------------------------------------ a second marker


def test_the_largest_difference_comes_first_and_what_one_has_not_marked_before_all():
    first = {("ada", "derive"): 4.0, ("ada", "explain"): 3.0, ("bob", "derive"): 2.0, ("bob", "explain"): None}
    second = {("ada", "derive"): 1.0, ("ada", "explain"): 3.0, ("bob", "derive"): 2.5, ("bob", "explain"): 4.0}
    found = [(one.student, one.task) for one in find_differences(first, second)]
    assert found == [("bob", "explain"), ("ada", "derive"), ("bob", "derive")]
    assert find_differences(first, first) == []


def test_a_sample_reaches_from_the_weakest_to_the_best_and_has_who_is_near_half():
    points = {f"s{i:02d}": float(i) for i in range(20)}
    assert draw_sample(points, 20.0, 0.2) == ["s00", "s06", "s09", "s10", "s11", "s13", "s19"]
    assert draw_sample({"ada": 3.0}, 20.0, 0.1) == ["ada"] and draw_sample({}, 20.0, 0.1) == []


# ------------------------------------------------------------------------------------------------ the guide

GUIDE = Path(__file__).parents[2] / "exercises" / "README.md"
ASKED = re.findall(r"\bflowlib ([a-z]+)([^`\n#|]*)", GUIDE.read_text("utf-8").replace("pip install", ""))


@pytest.mark.parametrize(("name", "rest"), sorted({(n, r.strip()) for n, r in ASKED if n in COMMANDS}))
def test_every_command_of_the_guide_is_one_with_these_flags(name, rest, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert set(re.findall(r"--[a-z-]+", rest)) <= known


def test_the_workflow_of_the_guide_runs_a_command_that_there_is():
    yaml = pytest.importorskip("yaml")
    told = yaml.safe_load((GUIDE.parent / "github-classroom.yml").read_text("utf-8"))
    last = told["jobs"]["checks"]["steps"][-1]["run"]
    assert last.startswith("flowlib check ") and "check" in COMMANDS and told["permissions"] == {"contents": "read"}
    assert (GUIDE.parent / "release" / told["env"]["NAME"]).is_dir()
