"""What answers a question, in JupyterLab: folded when the notebook opens, and there once its cell has run."""

import nbformat
import pytest

from flowlib.authoring.tidy import KERNEL, tidy
from flowlib.notebook import figures
from flowlib.notebook.show import bundle, png

STEM = "answers"
ALT = "A straight line from one to two over two points, stored with the notebook and drawn for a test"
QUESTION = 'predict_number(\n    "How many?",\n    answer=2,\n    id="Q1.1",\n)'
FOLD = "<details><summary>After you have chosen: the reason</summary>\n\nIt is *told in prose*.\n\n</details>"


def code(source: str, shown: str, *tags: str, **jupyter):
    outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"{shown}\n")]
    metadata = {"tags": list(tags), "jupyter": jupyter}
    return nbformat.v4.new_code_cell(source, metadata=metadata, outputs=outputs, execution_count=1)


@pytest.fixture(scope="module")
def opened(lab, served):
    data, metadata = bundle(png(figures.curves([1, 2], {"attention": [1, 2]}, xlabel="x", ylabel="y")), ALT, 640, 300)
    cells = [
        nbformat.v4.new_markdown_cell("# 01 · A"),
        nbformat.v4.new_code_cell("from flowlib.notebook import predict_number"),
        nbformat.v4.new_code_cell(QUESTION),
        code("word = 'told'\nprint(word, 'by an output')", "told by an output", "answer:Q1.1"),
        code("for _ in range(1):\n    print('told by both')", "told by both", "answer:Q1.1", source_hidden=True),
        nbformat.v4.new_markdown_cell(FOLD, metadata={"tags": ["answer:Q1.1"]}),
        code("print('plain')", "plain"),
        nbformat.v4.new_code_cell("", outputs=[nbformat.v4.new_output("display_data", data, metadata=metadata)]),
    ]
    made = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
    tidy(made)
    nbformat.write(made, served / "chapters" / f"{STEM}.ipynb")
    chapter = lab(STEM)
    yield chapter
    chapter.close()


def seen(chapter) -> str:
    """The text of the page that is on the screen: of a closed <details> its summary alone."""
    return chapter.page.locator(".jp-NotebookPanel .jp-WindowedPanel-viewport").inner_text()


def test_an_answer_is_folded_until_its_cell_has_run(opened):
    opened.page.locator("text=plain").first.wait_for()
    assert "word =" in seen(opened) and "told by" not in seen(opened) and "told in prose" not in seen(opened)
    figure = opened.page.locator("figure")  # stored, and not trusted yet
    assert figure.locator("figcaption").inner_text() == ALT == figure.locator("img").get_attribute("alt")
    print(figure.evaluate("f => f.outerHTML.replace(/base64,[^\"]*/, '…')"))
    opened.picture("_folded")
    opened.run()
    for words in ("told by an output", "told by both"):
        opened.page.locator(f".jp-OutputArea-output >> text={words}").wait_for(timeout=30_000)
    assert "print('told by both')" not in seen(opened) and "told in prose" not in seen(opened)
    opened.page.locator("summary", has_text="After you have chosen").click()
    opened.page.locator("em", has_text="told in prose").wait_for()
    assert opened.troubles() == {}
    opened.picture("_run")
