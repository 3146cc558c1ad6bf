"""Who the students are by nbgrader's roster (`nbgrader db student import`), as far as it says so."""

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    """A student's name, "" where nobody gave one; and what else a platform's table may find them by."""

    name: str = ""
    keys: tuple[str, ...] = ()


def read_roster(course) -> dict[str, Person]:
    """By the name of the student's folder; an address that two of them have says of neither who it is."""
    with course.api().gradebook as book:
        rows = [(one.id, [one.first_name, one.last_name], [one.email, one.lms_user_id]) for one in book.students]
    keys = {student: [key.strip().casefold() for key in given if key and key.strip()] for student, _, given in rows}
    count = Counter(key for given in keys.values() for key in {*given})
    return {
        student: Person(" ".join(filter(None, name)).strip(), tuple(key for key in keys[student] if count[key] == 1))
        for student, name, _ in rows
    }
