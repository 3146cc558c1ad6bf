"""Put a figure on the page once, over a caption that says what to see; who does not see it hears the same words."""

import html
import io
import re
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from flowlib.notebook.figures import palette

MINIMUM_ALT = 40
FIGURE = "margin: 0 0 0.8em"
# JupyterLab's dark theme: white is black, and each hue keeps its place (the book's style sheet does the same).
DARK = (
    '<style>[data-jp-theme-light="false"] .flowlib-figure img'
    "{filter:invert(1) hue-rotate(180deg);mix-blend-mode:screen}</style>"
)
# What moves over a picture stands in the page's style, so that who asked for less motion sees the picture alone.
# Its white becomes the near black of a dark page, not black.
OVER = (
    "<style>.flowlib-over{{position:relative;width:fit-content}}"
    "@media screen and (prefers-reduced-motion:no-preference)"
    '{{.flowlib-over::after{{content:"";position:absolute;inset:0;pointer-events:none;'
    'background:url("data:image/svg+xml;base64,{code}") 0 0/100% 100%}}}}'
    '[data-jp-theme-light="false"] .flowlib-over::after{{filter:invert(0.93) hue-rotate(180deg)}}</style>'
)
CAPTION = "max-width: 46rem; margin-top: 0.3em; font-size: 0.92em; line-height: 1.45"  # in the colour of the text


def check_alt(alt: str) -> str:
    """The alternative text, with its white space tidied.

    Raises: ValueError where it is shorter than 40 characters.
    """
    words = " ".join(str(alt).split())
    if len(words) < MINIMUM_ALT:
        raise ValueError(
            f"alt text must have at least {MINIMUM_ALT} characters, got {len(words)}: {words!r}; "
            "say what is plotted, along which axes, and what a reader should see in it"
        )
    return words


def read_pixels(canvas):
    """What is drawn on an Agg canvas, as a Pillow image."""
    from PIL import Image

    drawn = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba(), "raw", "RGBA", 0, 1)
    return drawn.convert("RGB")


def png(fig) -> bytes:
    """The figure as PNG bytes, in 256 colours, which a plot does not miss: a third of the size.

    It is drawn once. (`savefig` would draw it twice to find its layout.)
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    fig.set_dpi(palette.DPI)
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    return reduce_colours(canvas)


def reduce_colours(canvas) -> bytes:
    """What is drawn on an Agg canvas as a PNG of 256 colours."""
    from PIL import Image

    return encode_png(read_pixels(canvas).quantize(256, dither=Image.Dither.NONE), optimize=True)


def encode_png(image, **how) -> bytes:
    """A Pillow image as PNG bytes."""
    file = io.BytesIO()
    image.save(file, format="png", **how)
    return file.getvalue()


def css_size(fig) -> tuple[int, int]:
    """Width and height of the figure on the page, in CSS pixels."""
    width, height = fig.get_size_inches()
    return round(width * palette.CSS_PER_INCH), round(height * palette.CSS_PER_INCH)


def bundle(
    picture: bytes, alt: str, width: int, height: int, caption: str | None = None, values: str = ""
) -> tuple[dict, dict]:
    """The display data and metadata of one picture with its caption, which is `alt` where none is given.

    JupyterLab 4 and nbconvert 7 write an image/png output as an <img> without alt, whatever its metadata say;
    both prefer text/html where it is there. So the picture is given both ways: as HTML with its words, and
    as image/png (with the same words in its metadata) for GitHub, VS Code and whatever reads only that.
    """
    data = {
        "image/png": b64encode(picture).decode("ascii"),
        "text/html": figure_tag(picture, alt, width, height, caption, values),
        "text/plain": f"[Figure: {alt}]",
    }
    metadata = {"image/png": {"alt": alt, "width": width, "height": height}, "vscode_altText": alt}
    return data, metadata


def figure_tag(picture: bytes, alt: str, width: int, height: int, caption: str | None = None, values: str = "") -> str:
    """The picture over its caption as HTML. A caption that says what `alt` says is not read aloud a second time.

    values: where an explorer stands, in JSON
    """
    caption = alt if caption is None else " ".join(caption.split())
    where = f' data-values="{html.escape(values, quote=True)}"' if values else ""
    twice = ' aria-hidden="true"' if caption == alt else ""
    return (
        f'<figure class="flowlib-figure" style="{FIGURE}"{where}>{DARK}{image_tag(picture, alt, width, height)}'
        f'<figcaption style="{CAPTION}"{twice}>{html.escape(caption)}</figcaption></figure>'
    )


def image_tag(picture: bytes, alt: str, width: int, height: int) -> str:
    """The picture as HTML: it keeps its place while it is decoded, and shrinks on a small screen."""
    source = f"data:image/png;base64,{b64encode(picture).decode('ascii')}"
    size = f'width="{width}" height="{height}" style="max-width: 100%; height: auto"'
    return f'<img src="{source}" {size} decoding="sync" alt="{html.escape(alt, quote=True)}">'


class Place:
    """A place on the page for one picture: the first is displayed, each later one takes its place."""

    def __init__(self) -> None:
        self.shown: Any = None

    def put(self, data: dict, metadata: dict | None = None) -> None:
        from IPython.display import display

        if self.shown:
            self.shown.update(data, raw=True, metadata=metadata)
        else:  # None comes back outside of a notebook
            self.shown = display(data, raw=True, metadata=metadata, display_id=True)


def lay_over(tag: str, svg: str) -> str:
    """The figure as HTML with an SVG over its picture."""
    image = re.search("<img [^>]*>", tag)[0]
    style = OVER.format(code=b64encode(svg.encode()).decode("ascii"))
    return tag.replace(image, f'<div class="flowlib-over">{style}{image}</div>')


def show(fig, alt: str, caption: str | None = None, over: str = "") -> None:
    """Display a matplotlib figure once, over its caption, and close it.

    `alt` says what the picture shows, in at least 40 characters: what is plotted, along which axes, and what
    is to be seen. It is read aloud in the place of the picture, and stands below it, unless `caption` does.
    `over`: an SVG that moves over the picture, once, as `figures.pour` makes it.

    Raises: ValueError where alt is too short; TypeError where fig is no figure.
    """
    if not hasattr(fig, "savefig"):
        raise TypeError(f"show needs a matplotlib Figure, got {type(fig).__name__}; from axes use ax.figure")
    words = check_alt(alt)
    from IPython.display import display

    data, metadata = bundle(png(fig), words, *css_size(fig), caption)
    if over:
        data["text/html"] = lay_over(data["text/html"], over)
    close_figure(fig)
    display(data, raw=True, metadata=metadata)


def show_live(alt: str, caption: str | None = None) -> Callable[[Any], None]:
    """A place on the page for a picture that changes while a cell runs: call what comes back with each new figure.

    The last one stays there, with its words, as if `show` had put it there.

    Raises: ValueError where alt is too short.
    """
    words, place = check_alt(alt), Place()

    def put(fig) -> None:
        data, metadata = bundle(png(fig), words, *css_size(fig), caption)
        close_figure(fig)
        place.put(data, metadata)

    return put


def close_figure(fig) -> None:
    """Close the figure, so that nothing displays it a second time."""
    import sys

    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(fig)
