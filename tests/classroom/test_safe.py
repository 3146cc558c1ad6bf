"""What a student writes and prints runs nothing in the browser of whoever grades, and still reads as it was meant."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[classroom]'")

from nbconvert import HTMLExporter

from flowlib.classroom.course import Course
from flowlib.classroom.grading import grade_all
from flowlib.classroom.repair import adopt, read
from flowlib.classroom.safe import is_safe, safe_markdown, show_typed, sound_outputs, well_formed

ROOT = Path(__file__).parents[2]
NAME = "01_a_step_that_remembers"
PICTURE = "iVBORw0KGgo="
HARMLESS = [
    "a < b and $a<b$ & c, `x<y`; a*b, c_d_e",
    "$$\\begin{align}a&<b\\\\ c&>d\\end{align}$$\n\n\\begin{equation}x\\end{equation}",
    "|a|b|\n|:-|-:|\n|1|2|",
    "- [ ] task\n- [x] done\n\n1. one\n   - two\n\n> quoted",
    "# head <b>x</b>\n\nH<sub>2</sub>O<br>and<br/>more",
    "<details><summary>more</summary>\n\ntext\n\n</details>",
    "```python\ndef f(a): return 'x' if a<1 else \"<script>\"\n```",
    '![photo](attachment:photo.png) <img src="attachment:a b.png" width=200> ![beside](photo.png)',
    "[a](https://example.org/b?c=d) <https://example.org> [b](../x.ipynb#y) [c](mailto:a@example.org)",
    "é “q” — ∫ &amp; &lt;",
]
HARMFUL = [
    "<script>pwned()</script>",
    "<img src=x onerror=pwned()>",
    '<meta http-equiv="refresh" content="0;url=http://127.0.0.1:9/">',
    "<base href=//e.example>",
    "<svg onload=pwned()><a xlink:href='javascript:pwned()'>x</a></svg>",
    "<math><mtext><script>pwned()</script></mtext></math>",
    "<iframe srcdoc='<script>pwned()</script>'></iframe>",
    "<object data=x></object><embed src=x>",
    "<form action=/x><button>go</button></form>",
    "<style>* { display: none }</style>",
    "<p style='position: fixed'>over all</p>",
    "<b class='full-credit'>x</b>",
    "<p id='derive-comment'>x</p>",
    "<details open ontoggle=pwned()>x</details>",
    "</div></div></div>",
    "<div ",
    "<!-- never closed",
    "<![CDATA[x]]><?x <script>?>",
    "[x](javascript:pwned())",
    "[x](java&#115;cript:pwned())",
    "[x](JaVaScRiPt:pwned())",
    "[x](<java\tscript:pwned()>)",
    "[x](vbscript:pwned()) [y](data:text/html,<script>pwned()</script>)",
    "<javascript:pwned()>",
    "[x]: javascript:pwned()\n\n[x]",
    "<a\nhref=javascript:pwned()>x</a>",
    "![x](http://198.51.100.1/x.png)",
    "![x](/logout) ![x](../../logout)",
    "![a](data:image/svg+xml;base64,PHN2Zz4=)",
    "$\\href{javascript:pwned()}{x}$",
    "$$\\def\\a{\\cssId{derive-comment}{x}}\\a$$",
    "`````\n</pre><script>pwned()</script>\n`````\n\n<script>pwned()</script>",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_an_honest_text_is_left_as_it_is(text):
    assert safe_markdown(text) == text


@pytest.mark.parametrize("text", HARMFUL)
def test_a_harmful_text_is_shown_as_it_was_typed(text):
    made = safe_markdown(text)
    assert not is_safe(text) and text in made and made.startswith("*Shown as it was typed")
    check_harmless(show([nbformat.v4.new_markdown_cell(made)]))


def test_a_text_of_endless_length_is_not_even_read():
    assert "is not shown: most is" in safe_markdown("[" * 10_000_000)


@pytest.mark.parametrize(
    "kind", ["text/html", "text/markdown", "text/latex", "image/svg+xml", "application/javascript"]
)
def test_a_harmful_display_runs_nothing(kind):
    sent = [{"output_type": "display_data", "data": {kind: text, "text/plain": "plain"}} for text in HARMFUL]
    made = sound_outputs(sent)
    assert all(one["data"]["text/plain"] == "plain" for one in made) and len(made) == len(HARMFUL)
    assert all(set(one["data"]) <= {"text/plain", "text/html"} for one in made)
    check_harmless(show([nbformat.v4.new_code_cell("", outputs=[nbformat.from_dict(one) for one in made])]))


def test_a_table_and_a_picture_that_are_displayed_stay():
    data = {"text/html": "<table><tr><td>1</td></tr></table>", "image/png": PICTURE, "text/markdown": "*a*"}
    (made,) = sound_outputs(
        [{"output_type": "execute_result", "data": data, "metadata": {"image/png": {"width": "x"}}}]
    )
    assert "<td>1</td>" in made["data"]["text/html"] and made["data"]["image/png"] == PICTURE and not made["metadata"]
    assert made["data"]["text/markdown"] == "*a*"


def test_a_picture_that_leaves_its_attribute_is_dropped():
    (made,) = sound_outputs([{"output_type": "display_data", "data": {"image/png": '"><script>pwned()</script>'}}])
    assert set(made["data"]) == {"text/plain"}


@pytest.mark.parametrize(
    "outputs", [None, 3, "x", {}, [3], [{}], [{"output_type": "widget"}], [{"output_type": "display_data"}]]
)
def test_what_is_no_output_is_left_out(outputs):
    assert sound_outputs(outputs) == []


def test_outputs_without_end_end():
    many = [{"output_type": "display_data", "data": {"text/plain": "x" * 3_000_000}}] * 60
    made = sound_outputs(many)
    assert len(made) == 3 and "more was shown than is kept" in made[-1]["text"]


def test_an_error_and_a_text_are_well_formed_and_escaped():
    outputs = [
        {
            "output_type": "error",
            "ename": "<script>",
            "evalue": "\ud800",
            "traceback": ["<img src=x onerror=pwned()>", 3],
        },
        {"output_type": "stream", "name": "<script>", "text": ["\udfff", "<script>pwned()</script>"]},
    ]
    made = [nbformat.from_dict(one) for one in sound_outputs(outputs)]
    json.dumps(made, ensure_ascii=False).encode()
    assert made[1]["name"] == "stdout"
    check_harmless(show([nbformat.v4.new_code_cell("", outputs=made)]))


def test_half_a_character_is_replaced_wherever_it_stands():
    assert well_formed({"a\ud800": ["x\udfff", 3, None], "é": "😀"}) == {"a\ufffd": ["x\ufffd", 3, None], "é": "😀"}


def test_a_cell_of_ones_own_brings_no_claims_and_no_raw_html():
    cell = {
        "cell_type": "raw",
        "source": "<script>pwned()</script>",
        "metadata": {"raw_mimetype": "text/html"},
        "id": "x",
    }
    made = adopt(nbformat.from_dict(cell), 3)
    assert made.cell_type == "markdown" and made.source == show_typed(cell["source"]) and not made.metadata
    code = adopt(
        nbformat.from_dict({"cell_type": "code", "source": "1", "metadata": {"nbgrader": {}, "tags": ["x"]}}), 4
    )
    assert code.cell_type == "code" and not code.metadata


def test_pasted_pictures_are_pictures(tmp_path):
    pasted = {"a.png": {"image/png": PICTURE, "text/html": "<b>"}, "b.svg": {"image/svg+xml": PICTURE}}
    cell = {"cell_type": "markdown", "source": "![a](attachment:a.png)", "metadata": {}, "attachments": pasted}
    assert adopt(nbformat.from_dict(cell), 0).attachments == {"a.png": {"image/png": PICTURE}}


@pytest.mark.parametrize("language", [5, None, [], "Julia"])
def test_a_kernel_of_any_kind_is_no_news_or_a_sentence(language):
    from flowlib.classroom.repair import note_kernel

    book = nbformat.from_dict({"metadata": {"kernelspec": {"language": language, "name": "\x1b" * 10_000}}})
    assert all(len(note) < 400 and note.isprintable() for note in note_kernel(book))


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Two students, of whom one has put all that is harmful into answers, outputs, names, and cells of their own."""
    root = tmp_path_factory.mktemp("class")
    for kind in ("source", "release"):
        shutil.copytree(ROOT / "exercises" / kind / NAME, root / kind / NAME)
    made = Course(root)
    given = made.notebook("release", NAME).read_text("utf-8")
    for student in ("mallory", "zed"):
        book = json.loads(given)
        if student == "mallory":
            spoil(book)
        place = root / "submitted" / student / NAME
        place.mkdir(parents=True)
        (place / f"{NAME}.ipynb").write_text(json.dumps(book), "utf-8")
    results = grade_all(made, root / "submitted", names=[NAME], isolate=False, workers=1)
    assert [one.student for one in results if one.points] == ["mallory", "zed"]
    return made


def spoil(book: dict) -> None:
    shown = "from IPython.display import *\nfor x in " + repr(HARMFUL) + ":\n    print(x, chr(0xD800))\n    "
    shown += "display(HTML(x), Markdown(x), Javascript('pwned()'), SVG('<svg onload=\"pwned()\"/>'))"
    answers = {"derive": "\ud800 " + "\n\n".join(HARMFUL), "by-hand": shown, "two-step": "raise ValueError('<script>')"}
    for cell in book["cells"]:
        cell["source"] = answers.get(cell["id"], cell["source"])
    for kind in ("raw", "markdown", "nonsense\ud800"):
        book["cells"].append({"cell_type": kind, "metadata": {"raw_mimetype": "text/html"}, "source": HARMFUL[0]})


def test_nothing_runs_where_the_teacher_grades(course):
    book = nbformat.read(course.root / "autograded" / "mallory" / NAME / f"{NAME}.ipynb", 4)
    nbformat.validate(book)
    check_harmless(show(book.cells))


def test_nothing_runs_on_the_page_of_feedback(course):
    html = (course.root / "feedback" / "mallory" / NAME / f"{NAME}.html").read_text("utf-8")
    assert "&lt;script&gt;pwned()" in html
    check_harmless(html)


def test_a_notebook_with_half_a_character_is_read(course):
    book = read(course.root / "submitted" / "mallory" / NAME / f"{NAME}.ipynb")
    nbformat.writes(book).encode()


def show(cells: list) -> str:
    """The cells as the formgrader shows them: its template is nbconvert's classic one."""
    return HTMLExporter(template_name="classic").from_notebook_node(nbformat.v4.new_notebook(cells=cells))[0]


def check_harmless(html: str) -> None:
    """No tag of the notebook's part of a page runs, frames, styles or asks for anything."""
    Checked().feed(html[html.index("<body") :])


class Checked(HTMLParser):
    def handle_starttag(self, tag, attrs):
        assert tag not in ("script", "meta", "base", "iframe", "object", "embed", "svg", "form", "style", "link"), tag
        for name, value in attrs:
            assert not name.startswith("on") and name not in ("srcdoc", "xlink:href", "action"), (tag, name)
            assert not re.match(r"(?i)\s*(javascript|vbscript|data:text|java)", value or ""), (tag, name, value)
            assert tag != "img" or name != "src" or not re.match(r"http|/|\.\.|data:image/svg", value), value
