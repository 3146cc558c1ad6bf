"""Names in running text are found where they mean one thing, and nowhere else."""

from types import SimpleNamespace

import pytest

from flowlib.pages.symbols import Code, find, names_in

KINDS = {
    "flowlib.fields": "module",
    "flowlib.fields.Grid": "class",
    "flowlib.fields.Grid.uniform": "method",
    "flowlib.flow.equation.Flow": "class",
    "flowlib.flow.equation.Trajectory.fields": "attribute",
    "flowlib.measure.convergence.order": "function",
    "flowlib.models.points.load": "function",
    "flowlib.models.vision.load": "function",
    "flowlib.operators.attention.attend": "function",
    "flowlib.training.loop": "module",
    "flowlib.operators.projection.project_moments": "function",
}
OBJECTS = {name: SimpleNamespace(objtype=kind, docname=name.rpartition(".")[0]) for name, kind in KINDS.items()}


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("Grid", "flowlib.fields.Grid"),
        ("Grid.uniform(16)", "flowlib.fields.Grid.uniform"),
        ("Flow.horizon", "flowlib.flow.equation.Flow"),
        ("flowlib.operators.attend", "flowlib.operators.attention.attend"),
        ("attend(q=…)", "flowlib.operators.attention.attend"),
        ("project_moments", "flowlib.operators.projection.project_moments"),
        ("flowlib.fields", "flowlib.fields"),
        ("training/loop.py", "flowlib.training.loop"),
        ("flowlib/fields.py", "flowlib.fields"),
        ("uniform(16)", ""),
        ("x.uniform", ""),
        ("order", ""),
        ("load(path)", ""),
        ("points.load(path)", "flowlib.models.points.load"),
        ("a + b", ""),
        ("tests/t.py", ""),
    ],
)
def test_a_name_is_found_where_it_means_one_thing(text, full):
    assert find(text, OBJECTS, Code()) == full


def test_what_the_code_of_the_page_says_decides():
    assert find("order", OBJECTS, Code(imported={"order"})) == "flowlib.measure.convergence.order"
    assert find("order", OBJECTS, Code(), "chapters/notation") == "flowlib.measure.convergence.order"
    assert find("attend(q)", OBJECTS, Code(bound={"attend"})) == ""
    assert find("load", OBJECTS, Code(imported={"load"}), "flowlib.models.vision") == "flowlib.models.vision.load"


def test_names_of_a_piece_of_code():
    imported, bound = names_in(
        "from flowlib.measure import order as o\nimport math\ndef f(x):\n    a, b = 1, 2\nclass C: ..."
    )
    assert imported == {"o"} and bound == {"f", "x", "a", "b", "C"}
    assert names_in("% no Python") == (frozenset(), frozenset())
