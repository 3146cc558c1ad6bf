"""An assignment in the format of otter-grader (https://otter-grader.readthedocs.io), for Gradescope and Colab classes.

    flowlib otter 03_another_kernel     then:  otter assign build/otter/03_another_kernel.ipynb build/otter/dist

Made from exercises/source, so that there is no second source. A task's cells become a question: the answer its
solution, each test cell a test that raises ("exception-based": what a check says is what the student reads).
There a student's code and the tests share one Python; only `flowlib grade` keeps them apart.
"""

import ast
import builtins
import json
import re
from textwrap import indent

from flowlib.classroom.cells import grade_id, is_answer, is_test, worth
from flowlib.classroom.grader import find_names

HIDDEN = re.compile(r"^### BEGIN HIDDEN TESTS\n(.*?)^### END HIDDEN TESTS\n?", re.MULTILINE | re.DOTALL)
CONFIG = """# ASSIGNMENT CONFIG
requirements: [{requirements}]
export_cell:
    pdf: false
seed:
    variable: SEED
    autograder_value: 0
    student_value: None
tests:
    ok_format: false
"""


def make_master(source, requirements: list[str]):
    """The notebook that `otter assign` takes, from a source notebook.

    Raises: ValueError where a test cell comes before any answer, so that there is no question to put it into.
    """
    from nbformat.v4 import new_notebook

    quoted = ", ".join(map(json.dumps, requirements))  # YAML reads JSON; a bracket in a name would end the list
    cells = [new_raw(CONFIG.format(requirements=quoted))]
    answer, tests = None, []

    def close() -> None:
        if answer is not None:
            cells.extend(make_question(answer, tests))
        tests.clear()

    for cell in source.cells:
        if is_test(cell):
            if answer is None:
                raise ValueError(f"the test {grade_id(cell)} comes before any answer: move it behind one")
            tests.append(cell)
            continue
        close()
        answer = cell if is_answer(cell) else None
        if answer is None:
            cells.append(strip_marks(cell))
    close()
    return new_notebook(cells=cells, metadata=source.metadata)


def make_question(answer, tests: list) -> list:
    """The cells of one question: what is asked of it, its solution, its tests."""
    by_hand = not tests
    points = worth(answer) if by_hand else sum(map(worth, tests))
    config = f"# BEGIN QUESTION\nname: {grade_id(answer)}\npoints: {points:g}\nmanual: {str(by_hand).lower()}"
    made = [new_raw(config), new_raw("# BEGIN SOLUTION"), make_solution(answer), new_raw("# END SOLUTION")]
    if tests:
        cases = [case for test in tests for case in make_cases(test)]
        made += [new_raw("# BEGIN TESTS"), *cases, new_raw("# END TESTS")]
    return [*made, new_raw("# END QUESTION")]


def make_solution(answer):
    """The answer's cell, with otter's marks around the solution where it is code."""
    solution = strip_marks(answer)
    code = answer.cell_type == "code"
    solution.source = re.sub(
        r"### (BEGIN|END) SOLUTION" if code else r"^#+ (BEGIN|END) SOLUTION\n?",
        r"# \1 SOLUTION" if code else "",
        solution.source,
        flags=re.MULTILINE,
    )
    return solution


def make_cases(test) -> list:
    """A test cell as one case, or two where a part of it is hidden: the shown part then gives no points by itself."""
    name, points, source = grade_id(test).replace("-", "_"), worth(test), test.source
    shown, hidden = HIDDEN.sub("", source), HIDDEN.search(source)
    if not hidden:
        return [make_case(name, source, points, hidden=False)]
    whole = HIDDEN.sub(lambda found: found[1], source)
    return [make_case(name, shown, 0, hidden=False), make_case(f"{name}_hidden", whole, points, hidden=True)]


def make_case(name: str, source: str, points: float, *, hidden: bool):
    """One test as a function of the notebook's names that it uses."""
    from nbformat.v4 import new_code_cell

    tree = ast.parse(source)
    made = find_definitions(tree)
    wanted = [name for name in find_names(tree) if name not in made and not hasattr(builtins, name)]
    head = f'""" # BEGIN TEST CONFIG\npoints: {points:g}\nhidden: {str(hidden).lower()}\n""" # END TEST CONFIG\n'
    body = indent(source, "    ") if tree.body else "    pass"
    return new_code_cell(f"{head}def test_{name.removeprefix('test_')}({', '.join(wanted)}):\n{body}")


def find_definitions(tree: ast.AST) -> set[str]:
    """The names that code makes itself: variables, functions, classes, arguments, imports."""
    made = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            made.add(node.name)
        elif isinstance(node, ast.arg):
            made.add(node.arg)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            made |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return made


def new_raw(text: str):
    from nbformat.v4 import new_raw_cell

    return new_raw_cell(text)


def strip_marks(cell):
    """The cell without nbgrader's marks and without outputs."""
    from nbformat.v4 import new_code_cell, new_markdown_cell

    return new_code_cell(cell.source) if cell.cell_type == "code" else new_markdown_cell(cell.source)
