"""The colours and the figure style of the course: one term, one colour, in every chapter.

The colours are those of Okabe and Ito, chosen so that colour-blind readers tell them apart, plus a slate for
the river itself. A test simulates the three kinds of colour blindness and measures the distances. Colour is
never the only cue: series also differ in marker and line style.

Source: Okabe and Ito, "Color Universal Design" (2008).
"""

ATTENTION = "#0072B2"  # term I, the echo chamber
LAYER_NORM = "#D55E00"  # term II, the tuning fork
FEED_FORWARD = "#009E73"  # term III, the sieve
RIVER = "#2F4858"  # the field u itself

TERMS = {"attention": ATTENTION, "layer norm": LAYER_NORM, "feed-forward": FEED_FORWARD, "river": RIVER}

INK = "#1F2933"  # text and axes
QUIET = "#8A949E"  # guides, grids, what is there for comparison
WATER = "#56B4E9"  # areas; too light for a thin line or for text on white

SERIES = (ATTENTION, LAYER_NORM, FEED_FORWARD, "#CC79A7", WATER, "#E69F00", RIVER)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)), "-", (0, (5, 1.5)), (0, (1.2, 1.2)))

DPI = 144  # pixels per inch of a saved figure: sharp on a dense screen
CSS_PER_INCH = 96  # a figure 7 inches wide stands 672 CSS pixels wide on the page
WIDTH = 7.2  # inches: the width of the text column in JupyterLab

STYLE = {
    "figure.figsize": (WIDTH, 3.8),
    "figure.dpi": 96,
    "savefig.dpi": DPI,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.size": 12,
    "font.family": "DejaVu Sans",  # comes with matplotlib, so every machine draws the same letters
    "mathtext.fontset": "dejavusans",
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 12,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E3E8EC",
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "lines.linewidth": 2.2,
    "lines.markersize": 6.5,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "image.cmap": "cividis",
    "image.interpolation": "nearest",
}


def tint(colour: str, share: float = 0.3) -> str:
    """The colour thinned with white to this share: a ground that dark text is read on."""
    from matplotlib.colors import to_hex, to_rgb

    return to_hex([share * c + 1 - share for c in to_rgb(colour)])


def ramp(colour: str, name: str = "ramp"):
    """White -> colour: the colour map of something that is never negative, such as a kernel."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(name, ["#FFFFFF", colour])


def diverging(name: str = "river"):
    """Blue -> white -> vermillion: the colour map of a field with a sign. White is zero."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(name, ["#00416A", ATTENTION, "#FFFFFF", LAYER_NORM, "#7A3600"])
