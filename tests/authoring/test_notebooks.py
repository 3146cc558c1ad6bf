"""What keeps the chapters honest: their form, their pictures, their budget, and a test behind every claim."""

from pathlib import Path

import pytest

from flowlib.authoring import rules
from flowlib.authoring.claims import find_marks
from flowlib.authoring.notebooks import CLAIM, claim_ids, number_in_name, prose, read

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request):
    return request.param


def test_the_course_opens_with_chapter_00():
    assert CHAPTERS, "there is no notebook in chapters/"
    assert number_in_name(CHAPTERS[0]) == 0


def test_no_two_chapters_share_a_number():
    numbers = [number_in_name(path) for path in CHAPTERS]
    assert len(set(numbers)) == len(numbers), numbers


def test_a_chapter_keeps_the_rules(chapter):
    broken = rules.find_violations(read(chapter), chapter)
    assert not broken, "\n".join(broken)


def test_every_claim_of_a_chapter_has_a_test(chapter):
    stated = claim_ids(read(chapter), number_in_name(chapter))
    untested = stated - set(find_marks(TESTS))
    assert stated, "a chapter states at least one claim, such as C3.1"
    assert not untested, f"no test is marked with pytest.mark.claim for {sorted(untested)}"


def test_every_marked_test_has_its_claim_in_a_chapter():
    stated = set().union(*(claim_ids(read(path), number_in_name(path)) for path in CHAPTERS))
    unstated = {claim: places for claim, places in find_marks(TESTS).items() if claim not in stated}
    assert not unstated, f"no chapter states {unstated}"


def test_a_chapter_refers_only_to_claims_that_are_stated(chapter):
    stated = {number_in_name(path): read(path) for path in CHAPTERS}
    for text in prose(read(chapter)):
        for match in CLAIM.finditer(text):
            number = int(match[1])
            if number in stated:
                assert match[0] in claim_ids(stated[number], number)


def test_all_chapters_together_stay_within_five_minutes():
    seconds = [read(path).metadata["flowlib"]["measured"]["seconds"] for path in CHAPTERS]
    assert sum(seconds) <= rules.ALL_SECONDS, dict(zip(CHAPTERS, seconds, strict=True))
