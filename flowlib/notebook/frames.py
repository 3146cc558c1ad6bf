"""Drawing a figure again and again: its layout is found once, and its ticks are drawn once.

Most of the time that a small figure takes goes into ticks and labels, which a slider rarely changes. So a figure
that comes back is drawn as the picture of its frame, kept from the time before, with what moves on top of it.
"""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.layout_engine import ConstrainedLayoutEngine

ROOM = 0.12  # inches around the axes, for tick labels that grow longer than the first ones


class Frame:
    """What the pictures of one explorer share: the places of the axes, and the frame of a figure that comes back."""

    def __init__(self):
        self.places: list = []
        self.canvas = self.seen = self.still = None
        self.dpi = 0.0

    def draw(self, fig, dpi: float) -> FigureCanvasAgg:
        """The figure on a canvas. Error: exact, as drawn whole at the places of the first picture."""
        same = self.canvas is not None and self.canvas.figure is fig and self.dpi == dpi
        if not same or self.seen != describe_frame(fig):
            self.begin(fig, dpi)
        self.canvas.restore_region(self.still)
        for ax in fig.axes:
            for artist in sorted(contents(ax), key=lambda artist: artist.get_zorder()):
                artist.draw(self.canvas.get_renderer())
        return self.canvas

    def begin(self, fig, dpi: float) -> None:
        """Draw the frame alone, the axes where they were in the picture before."""
        settle(fig, self.places)
        self.dpi = dpi
        fig.set_dpi(dpi)
        if not self.places:  # the layout depends on all that is drawn
            FigureCanvasAgg(fig).draw()
            self.places = [ax.get_position(original=True) for ax in fig.axes]
            settle(fig, self.places)
        if len(fig.axes) != len(self.places):
            self.places = []
            return self.begin(fig, dpi)
        parts = [artist for ax in fig.axes for artist in contents(ax) if not artist.get_animated()]
        self.canvas = FigureCanvasAgg(fig)
        for part in parts:
            part.set_animated(True)
        self.canvas.draw()
        for part in parts:
            part.set_animated(False)
        self.still, self.seen = self.canvas.copy_from_bbox(fig.bbox), describe_frame(fig)


def contents(ax) -> list:
    """What lies in the axes: everything but the background, the ticks with their labels, and the grid."""
    return [artist for artist in ax.get_children() if artist not in (ax.patch, ax.xaxis, ax.yaxis)]


def describe_frame(fig) -> tuple:
    """What the frame shows. As long as it stays, so does the frame."""
    axes = [axis for ax in fig.axes for axis in (ax.xaxis, ax.yaxis)]
    ticks = [(axis.get_scale(), axis.get_major_locator(), axis.get_major_formatter()) for axis in axes]
    words = [axis.get_label_text() for axis in axes] + [text.get_text() for text in fig.texts]
    return [tuple(axis.get_view_interval()) for axis in axes], ticks, words, [ax.get_visible() for ax in fig.axes]


def settle(fig, places: list) -> None:
    """Put the axes where they were in the picture before; in the first one leave some room around them."""
    engine = fig.get_layout_engine()
    if len(fig.axes) == len(places):
        fig.set_layout_engine("none")
        for ax, place in zip(fig.axes, places, strict=True):
            ax.set_axes_locator(None)
            ax.set_position(place)
    elif isinstance(engine, ConstrainedLayoutEngine):
        engine.set(w_pad=ROOM, h_pad=ROOM)
