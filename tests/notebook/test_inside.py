"""A look: it measures what the library measures, its page is whole and asks nobody, wrong things are named."""

import re
from pathlib import Path

import pytest
import torch

from flowlib.measure import budget, kernels_of, without
from flowlib.measure.variants import ends_without, only_step, other_orders
from flowlib.models import FlowLM, shipped
from flowlib.models.mapped import Mapping
from flowlib.models.opening import open_subject
from flowlib.notebook import look
from flowlib.notebook.inside.call import take_look
from flowlib.notebook.inside.claims import CLAIMS
from flowlib.notebook.inside.page import make_page, write_page
from flowlib.notebook.inside.parts import PARTS
from flowlib.studies.look import count_steps, measure

TEXT = "the value of the argum"


@pytest.fixture(scope="module")
def found():
    return take_look("tiny", TEXT, progress=False)


def test_the_numbers_are_those_of_the_library(found):
    model = FlowLM.load(shipped("tiny"))
    path = model.trajectory(TEXT)
    assert found.fields.equal(path.fields)
    torch.testing.assert_close(found.kernels, kernels_of(model.flow, path.fields[0]))
    logits = model.read_out(path.final[-1])
    a, b = logits.topk(2).indices.tolist()
    assert found.said.leaders[0] == chr(a) and found.said.race[0, -1] == logits.softmax(-1)[a]
    r = model.embed.weight[a] - model.embed.weight[b]
    account = budget(model.flow, path.fields[0]).along(r)
    rows = [move for one in found.pushes for move in (one.term, one.projection)]
    torch.testing.assert_close(torch.tensor(rows).double(), account.moved[:, -1, 0], rtol=0, atol=1e-5)
    assert abs(found.start + sum(rows) - found.end) < 1e-5 and abs(found.end - (logits[a] - logits[b])) < 1e-5
    for one in found.pushes:
        assert not one.heads or abs(sum(one.heads) - one.term) < 1e-4  # tiny's W^O has no bias
        assert one.defect < 1e-4
    for step, index, name in ((0, 0, "attention"), (2, 1, "feed-forward")):
        other = model.read_out(without(model.flow, step, index)(path.fields[0]).final[-1])
        expected = (logits[a] - logits[b]) - (other[a] - other[b])
        torch.testing.assert_close(found.missed[name][step], expected, rtol=0, atol=1e-4)


@torch.no_grad()
def test_variants_are_the_flow_itself_where_nothing_varies():
    model = FlowLM.load(shipped("tiny")).double()
    path = model.trajectory(TEXT)
    for step in range(4):
        torch.testing.assert_close(only_step(model.flow, step)(path.fields[step]).final, path.fields[step + 1])
    ends = ends_without(model.flow, path.fields[0], [0, 1])
    for step in range(4):
        for index in range(2):
            expected = without(model.flow, step, index)(path.fields[0]).final
            torch.testing.assert_close(ends[step, index], expected, rtol=0, atol=1e-12)
    swapped = other_orders(model.flow)["local term first"](path.fields[0], 512).final
    torch.testing.assert_close(swapped, model.flow(path.fields[0], 512).final, rtol=0, atol=0.2)  # C0.3


def test_as_many_steps_as_were_announced():
    subject, _ = open_subject("tiny-elastic", "a list")
    told = []
    measure(subject, told.append)
    assert sum(told) == count_steps(subject.flow)


def test_the_page_asks_nobody_and_names_its_claims(found):
    page = make_page(found)
    assert not re.findall(r"(?:https?:|//)\w|<script|<link|@import|url\(", page.split("<main>")[0] + strip_data(page))
    assert 'name="viewport"' in page and "prefers-color-scheme: dark" in page
    alts = re.findall(r'<img [^>]*alt="([^"]*)"', page)
    assert len(alts) == page.count("<img ") >= 6 and all(len(alt) >= 40 for alt in alts)
    named = set(re.findall(r'href="#(C[\d.]+)"', page))
    assert named and named <= set(CLAIMS) and named == set(re.findall(r'<li id="(C[\d.]+)"', page))
    assert 'href="https://x/claims.md"' in make_page(found, "https://x/claims.md")


def strip_data(page: str) -> str:
    return re.sub(r"data:image/png;base64,[\w+/=]+", "", page)


def test_each_claim_is_in_the_ledger():
    ledger = (Path(__file__).resolve().parents[2] / "chapters" / "claims.md").read_text("utf-8")
    assert all(f"**{name}.**" in ledger for name in CLAIMS)


def test_the_page_is_written_whole_or_not_at_all(found, tmp_path, monkeypatch):
    file = write_page(found, tmp_path / "new" / "look.html")
    before = file.read_bytes()
    assert before.endswith(b"</html>\n")

    def fail(text, new):
        new.write_text(text[:100], "utf-8")
        raise OSError(28, "no space left")

    monkeypatch.setattr("flowlib.files.write_text", fail)
    with pytest.raises(OSError, match="no space"):
        write_page(found, file)
    assert file.read_bytes() == before and [file] == list(file.parent.iterdir())


def test_one_call_shows_it_in_a_notebook(displayed):
    seen = look("tiny", TEXT, parts=("said", "order"))
    pictures = [data for data, _ in displayed if isinstance(data, dict) and "image/png" in data]
    assert len(pictures) == 1 and len(displayed) == 3 and seen.subject.name == "tiny"


def test_a_text_is_no_markup():
    page = make_page(take_look("tiny", '<b>x</b> & "y" \n', progress=False))
    assert "<b>" not in page and "&lt;b&gt;x" in page


@pytest.mark.parametrize("text", ["a", "\n\n\n", "é" * 20, "x" * 64])
def test_short_long_and_odd_texts_have_a_page(text):
    assert make_page(take_look("tiny-elastic", text, progress=False)).endswith("</html>\n")


@pytest.mark.parametrize(
    "model, text, error, message",
    [
        ("no model", "x", ValueError, "there is no model 'no model': none of those .*tiny.*no name on"),
        ("tiny", "", ValueError, "1 to 64 tokens, got 0; give a text"),
        ("tiny", "a" * 65, ValueError, "1 to 64 tokens, got 65; cut the text"),
        ("tiny", None, TypeError, "text must be a text"),
        ("shapes", "x", ValueError, "models shapes"),
        ("digits", "no.png", FileNotFoundError, "there is no file no.png"),
        (3, "x", TypeError, "model must be a name"),
    ],
)
def test_what_is_wrong_is_said(model, text, error, message):
    with pytest.raises(error, match=message):
        take_look(model, text, progress=False)


def test_a_part_that_is_none_is_named():
    with pytest.raises(ValueError, match="parts must be one of 'paths'"):
        look("tiny", TEXT, parts=("path",))
    assert len(PARTS) == 7


def test_a_picture_of_a_digit(tmp_path):
    from PIL import Image

    image = Image.new("L", (20, 20), 0)
    image.paste(255, (8, 2, 12, 18))
    image.save(tmp_path / "one.png")
    found = take_look("digits", str(tmp_path / "one.png"), progress=False)
    assert found.said.leaders[0] == "1" and make_page(found).endswith("</html>\n")
    (tmp_path / "none.png").write_text("no picture", "utf-8")
    with pytest.raises(ValueError, match="is no picture that can be read"):
        take_look("digits", str(tmp_path / "none.png"), progress=False)


def test_a_file_that_is_cut_off_is_named(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"\x20\0\0\0\0\0\0\0{")
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        Mapping([tmp_path / "a.safetensors"])
