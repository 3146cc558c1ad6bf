"""The picture on the README: python -m flowlib.authoring.front etc/river.png"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

from flowlib.models import FlowLM, shipped
from flowlib.notebook.figures.paths import snapshots
from flowlib.notebook.setup import setup

TEXT = "the value of the argum"


def draw_front() -> Figure:
    """A text on its way through the shipped elastic model: its flow in 64 steps, its layers in 4."""
    model = FlowLM.load(shipped("tiny-elastic"))
    return snapshots(model.trajectory(TEXT, steps=64), model.trajectory(TEXT), list(TEXT.replace(" ", "_")))


if __name__ == "__main__":
    setup()
    draw_front().savefig(Path(sys.argv[1]), dpi=110)
