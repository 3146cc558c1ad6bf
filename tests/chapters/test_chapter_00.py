"""Chapter 00: what its first picture says, and what it says of the whole course."""

from pathlib import Path

import torch

from flowlib.authoring.notebooks import prose, read
from flowlib.authoring.table import list_chapters, say_hours
from flowlib.models import FlowLM, shipped
from flowlib.notebook import figures

ROOT = Path(__file__).parents[2]
TEXT = "the value of the argum"


@torch.no_grad()
def test_letters_before_a_blank_rise_and_blanks_come_down():
    model = FlowLM.load(shipped("tiny"))
    smooth = model.trajectory(TEXT, steps=64)
    height = figures.Plane(smooth.fields).of(smooth.fields)[..., 0]  # (depth, letter)
    blanks = [x for x, letter in enumerate(TEXT) if letter == " "]
    before = [x for x in range(len(TEXT) - 1) if TEXT[x + 1] == " "]
    assert "".join(TEXT[x] for x in before) == "eefe"
    assert set(height[0].argsort()[-4:]) == set(blanks)
    assert set(before) < set(height[-1].argsort()[-5:])
    assert height[0, blanks].min() - height[0, before].max() > 4  # well apart where they enter, ...
    assert height[-1, before].mean() - height[-1, blanks].mean() > 2  # ... and the other way round where they leave
    assert bytes(model.read_out(smooth.fields[-1, before]).argmax(-1).tolist()) == b"    "


def test_the_hours_of_the_course_are_those_of_its_chapters():
    [said] = [
        text for text in prose(read(ROOT / "chapters/00_the_river.ipynb")) if "**If you have one evening**" in text
    ]
    assert say_hours(list_chapters(ROOT)) in said
