"""What moves over a picture comes to that picture; who asked for less motion has it at once."""

from io import BytesIO

import nbformat
import numpy as np
import pytest
from PIL import Image

from flowlib.notebook import figures
from flowlib.notebook.show import bundle, css_size, lay_over, png
from flowlib.pages.page import PageExporter

SECONDS = 12  # from the first moment on, the last picture has come; a machine may be busy


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A chapter as one page, whose picture is a river that pours in."""
    t = np.linspace(0.0, 2.0, 9)
    fig = figures.river(np.stack([2 * t, 3 - t], -1), t, ["a", "b"], follow=[0], ylabel="height")
    over = figures.pour(fig, "ab")
    data, metadata = bundle(png(fig), "Two tokens along the depth, drawn for a test", *css_size(fig))
    data["text/html"] = lay_over(data["text/html"], over)
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A"), nbformat.v4.new_code_cell("1")])
    made.cells[1].outputs = [nbformat.v4.new_output("display_data", data, metadata=metadata)]
    file = tmp_path_factory.mktemp("over") / "page.html"
    file.write_text(PageExporter().from_notebook_node(made)[0], "utf-8")
    return file


def look(tab) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(tab.locator("figure img").screenshot())).convert("RGB"), float)


@pytest.mark.browser
def test_a_river_pours_in_where_motion_is_welcome(browser, page):
    contexts = [browser.new_context(reduced_motion=wish) for wish in ("reduce", "no-preference")]
    calm, tab = (context.new_page() for context in contexts)
    calm.goto(page.as_uri())
    still = look(calm)
    tab.goto(page.as_uri())
    first = look(tab)
    assert np.abs(first - still).mean() > 3, "what lies ahead is veiled"
    for _ in range(SECONDS * 2):
        tab.wait_for_timeout(500)
        if np.abs(look(tab) - still).max() == 0:
            break
    else:
        pytest.fail("it does not come to the picture that it lies over")
    assert np.abs(look(calm) - still).max() == 0
    for context in contexts:
        context.close()
