"""Questions in the page: an order to be found, the text that needs no kernel, and the questions of the course."""

import math
import re
from collections import Counter
from pathlib import Path

import pytest

from flowlib.authoring import rules
from flowlib.authoring.notebooks import is_question, objectives, question_ids, read
from flowlib.notebook.questions import ChoiceQuestion, NumberQuestion, OrderQuestion

CHAPTERS = sorted((Path(__file__).parents[2] / "chapters").glob("*.ipynb"))

ITEMS = ("spring", "summer", "autumn", "winter")
LATE, FULL = ("summer", "spring"), ("winter", "autumn", "spring", "summer")
SEASONS = OrderQuestion(
    "Order the seasons.", ITEMS, {FULL: "Backwards, nearly.", LATE: "It sprouts first."}, "As the sun.", id="Q1.1"
)


def test_the_right_order_is_right():
    assert SEASONS.reply(list(ITEMS)).right and SEASONS.reply(ITEMS).sentence == "As the sun."


def test_a_wrong_order_meets_the_misconception_behind_it():
    assert SEASONS.reply(["summer", "autumn", "spring", "winter"]).sentence == "It sprouts first."
    assert SEASONS.reply(FULL).sentence == "Backwards, nearly."


def test_another_wrong_order_meets_a_hint_at_its_first_wrong_place():
    assert SEASONS.reply(["winter", "spring", "summer", "autumn"]).sentence == "Something else comes first."
    said = SEASONS.reply(["spring", "summer", "winter", "autumn"]).sentence
    assert said == "It is right up to the second place. Something else comes third."


def test_an_answer_that_is_no_order_is_refused():
    with pytest.raises(ValueError, match="must come once"):
        SEASONS.reply(["spring", "spring", "summer", "winter"])
    for letters in ("ABC", "ABCDD", "ABCE", "1234", ""):
        with pytest.raises(ValueError, match="each of the letters ABCD once"):
            SEASONS.reply(letters)


@pytest.mark.parametrize("spelling", ["BACD", "b a c d", "B, A, C, D", " B→A→C→D.", "b<a<c<d", "B-A-C-D"])
def test_an_order_is_spelled_in_the_letters_on_the_page(spelling):
    b, a, c, d = (SEASONS.order_on_page[i] for i in (1, 0, 2, 3))
    assert SEASONS.read_letters(spelling) == (b, a, c, d) and SEASONS.reply(spelling) == SEASONS.reply([b, a, c, d])


def test_items_are_shown_in_another_order_and_always_in_the_same():
    for n in range(40):
        asked = OrderQuestion(f"Which, {n}?", ITEMS)
        assert sorted(asked.order_on_page) == sorted(ITEMS) and asked.order_on_page != ITEMS
        assert asked.order_on_page == OrderQuestion(f"Which, {n}?", ITEMS).order_on_page


def test_the_text_letters_the_items_and_folds_the_answer_away():
    text = SEASONS.text()
    open_, folded = text.split("<details><summary>Show the answer</summary>")
    letters = dict(re.findall(r"^- \*\*(\w)\.\*\* (.+)$", open_, re.MULTILINE))
    answer = re.search(r"\*\*([A-D]+)\.\*\*", folded)[1]
    assert text.startswith("**Predict an order (Q1.1).** Order the seasons.")
    assert tuple(letters[letter] for letter in answer) == ITEMS


@pytest.mark.parametrize(
    "change, message",
    [
        ({"items": ("a", "b")}, "3 to 6 items"),
        ({"items": tuple("abcdefg")}, "3 to 6 items"),
        ({"items": ("a", "b", "b")}, "all different"),
        ({"why": {("spring", "autumn"): "No."}}, "which is in the right order"),
        ({"why": {("summer", "yule"): "No."}}, "two or more different items"),
        ({"why": {("summer",): "No."}}, "two or more different items"),
    ],
)
def test_an_order_that_cannot_teach_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        OrderQuestion(**{"question": "Which?", "items": ITEMS} | change)


def test_a_number_is_no_item_of_a_list():
    folded = NumberQuestion("How long?", 50, unit="km", because="As it says.").text().splitlines()
    assert "**50 km.** As it says." in folded


def test_a_question_without_a_name_is_known_by_its_text():
    one, other = (ChoiceQuestion(text, ("a", "b"), "a", {"b": "No."}) for text in ("Up?", "Down?"))
    assert one.key == ChoiceQuestion("Up?", ("b", "a"), "b", {"a": "No."}).key != other.key
    assert NumberQuestion("Up?", 1.0, id="Q9.1").key == "Q9.1"


# --- the questions of the course --------------------------------------------------------------------------


def asked(cell):
    """The question that a cell asks, made without a page."""
    kinds = {
        "predict": lambda question, choices, **more: ChoiceQuestion(question, tuple(choices), **more),
        "predict_number": NumberQuestion,
        "predict_order": lambda question, items, **more: OrderQuestion(question, tuple(items), **more),
    }
    return eval(cell.source.removesuffix("\nprogress()"), {"math": math, **kinds})


COURSE = [asked(cell) for path in CHAPTERS for cell in filter(is_question, read(path).cells)]


def test_no_two_questions_of_the_course_share_an_id():
    assert [name for name, times in Counter(question.id for question in COURSE).items() if times > 1] == []


def test_the_course_asks_in_every_way():
    kinds = Counter(type(question).__name__ for question in COURSE)
    assert kinds["OrderQuestion"] >= 2 and kinds["NumberQuestion"] >= 8, kinds


def test_the_right_choice_is_given_away_neither_by_its_place_nor_by_its_length():
    choose = [question for question in COURSE if isinstance(question, ChoiceQuestion)]
    places = Counter(question.choices.index(question.answer) for question in choose)
    for place in (0, 1, 2):
        assert 0.2 <= places[place] / len(choose) <= 0.45, places
    lengths = [sorted(map(len, question.choices)) for question in choose]
    longest = [q.id for q, n in zip(choose, lengths) if len(q.answer) == n[-1] > n[-2]]
    shortest = [q.id for q, n in zip(choose, lengths) if len(q.answer) == n[0] < n[1]]
    assert len(longest) <= len(choose) / 3 and len(shortest) <= len(choose) / 2, (longest, shortest)


def test_an_order_meets_its_own_misconception_wherever_two_neighbours_are_swapped():
    """The nearest wrong order to the right one; a hint at the place would not say why."""
    for question in (q for q in COURSE if isinstance(q, OrderQuestion)):
        for i in range(len(question.items) - 1):
            order = list(question.items)
            order[i : i + 2] = reversed(order[i : i + 2])
            assert question.reply(order).sentence in question.why.values(), (question.id, order)


def test_every_objective_of_the_course_has_its_evidence():
    """`rules.check_objectives` says which one is missing; here: there are some, with both kinds of evidence."""
    for path in CHAPTERS:
        notebook = read(path)
        assert list(rules.check_objectives(notebook)) == [] and list(rules.check_questions(notebook)) == [], path.name
        named = {name[0] for evidence in objectives(notebook).values() for name in evidence}
        assert named == {"C", "Q"}, path.name


def test_every_question_of_a_chapter_serves_an_objective():
    for path in CHAPTERS:
        notebook = read(path)
        named = {name for evidence in objectives(notebook).values() for name in evidence}
        assert set(question_ids(notebook)) <= named, path.name
