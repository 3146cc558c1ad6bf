"""The bibliography: works are found in the references of chapters, and stand once."""

import nbformat

from flowlib.pages.bibliography import bibliography, references


def prose(text: str):
    """A notebook of one cell."""
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])


def find_works(text: str) -> list[str]:
    return list(references(prose(f"## References\n\n{text}\n")))


def test_works_are_taken_out_of_the_references():
    assert find_works("- A, *T: more*, arXiv:2010.12345: why; and more.") == ["A, *T: more*, arXiv:2010.12345"]
    assert find_works("- A, *T*, 1999; and the answer, B, *U*, 2000: why.") == ["A, *T*, 1999", "B, *U*, 2000"]
    assert find_works("- A, B, *T*, 1999, and *U*, 2000: why.") == ["A, B, *T*, 1999", "A, B, *U*, 2000"]


def test_a_work_stands_once_with_all_that_cite_it():
    first = prose("## References\n\n- Zed, *T*, arXiv:2010.12345: why.\n- Abe, *U*, 1999.\n\n## After\n\n- no, 1999\n")
    second = prose("## References\n\n- Zed et al., *T*, arXiv:2010.12345: another reason.\n")
    page = bibliography({"01_a.ipynb": first, "02_b.ipynb": second})
    assert "The 2 works" in page and page.index("Abe") < page.index("Zed")
    assert "(https://arxiv.org/abs/2010.12345). Chapters [01](01_a.ipynb), [02](02_b.ipynb)." in page
