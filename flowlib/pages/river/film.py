"""The river as a short film, and as one picture, for pages that run nothing:

python -m flowlib.pages.river.film etc/river.webp        the film, in README
python -m flowlib.pages.river.film card.png              one picture of it, which the preview of a link shows
"""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import torch
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont, ImageOps

from flowlib.models import FlowLM, shipped
from flowlib.notebook.figures import palette
from flowlib.notebook.figures.canvas import array
from flowlib.notebook.figures.labels import move_apart
from flowlib.notebook.figures.paths import token_colours
from flowlib.pages.river.plane import NAMES, STEPS, TEXT, look

WIDTH, HEIGHT, FINER = 880, 460, 2  # pixels of the film; it is drawn finer, and made smaller
LEFT, RIGHT, TOP, BOTTOM = 46, 800, 92, 424  # of the river
FRAMES, PAUSE, HOLD = 84, 70, 2600  # pictures on the way; milliseconds of each, and of the last
DISC, GAP = 8.5, 15.0
CARD, CARD_AT = (1200, 630), 2.6  # the size that previews are cut from; the depth that it shows


@cache
def font(size: float) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSansMono.ttf", round(size * FINER))


def name(letter: int) -> str:
    return chr(letter).replace(" ", "␣") if 32 <= letter < 127 else "·"


class Film:
    """The flow of TEXT through the first of the models, in small steps as lines and in layers as dots."""

    def __init__(self):
        model = FlowLM.load(shipped(NAMES[0]))
        plane = look(model)
        centre, axis = np.array(plane["centre"]), np.array(plane["axis"])
        with torch.no_grad():
            flow, layers = model.trajectory(TEXT, STEPS), model.trajectory(TEXT)
            self.said = model.read_out(flow.fields).argmax(-1).tolist()  # (depth, letter)
        self.depth = float(flow.times[-1])
        self.lines, self.dots = ((array(one.fields) - centre) @ axis for one in (flow, layers))
        self.low, self.high = self.lines.min() - 0.4, self.lines.max() + 0.4
        self.colours = [tuple(int(255 * c) for c in one[:3]) for one in token_colours(len(TEXT))]

    def x(self, t: float) -> float:
        return LEFT + t / self.depth * (RIGHT - LEFT)

    def y(self, height):
        return BOTTOM - (height - self.low) / (self.high - self.low) * (BOTTOM - TOP)

    def at(self, t: float) -> np.ndarray:
        """The heights of all letters at the depth t."""
        place = t / self.depth * STEPS
        k = min(int(place), STEPS - 1)
        return self.lines[k] + (place - k) * (self.lines[k + 1] - self.lines[k])

    def path(self, start: float, end: float) -> tuple[list[float], np.ndarray]:
        """Depths from start to end, and the heights there, (depth, letter)."""
        inside = [d for d in np.arange(STEPS + 1) / STEPS * self.depth if start < d < end]
        times = [start, *inside, end]
        return times, np.stack([self.at(t) for t in times])

    def picture(self, t: float) -> Image.Image:
        """The river at the depth t."""
        return self.draw(t).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)

    def card(self) -> Image.Image:
        """The river on its way, as the preview of a link has room for it."""
        return ImageOps.pad(self.draw(CARD_AT), CARD, Image.Resampling.LANCZOS, "white")

    def draw(self, t: float) -> Image.Image:
        image = Image.new("RGB", (WIDTH * FINER, HEIGHT * FINER), "white")
        pen = Pen(image)
        self.draw_text(pen, t)
        self.draw_water(pen, t)
        self.draw_lines(pen, t)
        self.draw_front(pen, t)
        return image

    def draw_text(self, pen: "Pen", t: float) -> None:
        """The letters, and below each what the model would say next; right ones stand out."""
        said, text = self.said[int(t / self.depth * STEPS + 1e-9)], TEXT.encode()
        apart = (RIGHT - LEFT) / len(text)
        pen.text(LEFT, 14, "the text, and below each letter what the model would say next", palette.QUIET, 12, "lm")
        for i, letter in enumerate(text):
            x, right = LEFT + apart * (i + 0.5), i + 1 < len(text) and said[i] == text[i + 1]
            pen.text(x, 38, name(letter), palette.INK, 17)
            pen.text(x, 60, name(said[i]), palette.FEED_FORWARD if right else palette.QUIET, 17)
            if right:
                pen.line([(x - 6, 72), (x + 6, 72)], palette.FEED_FORWARD, 1.5)

    def draw_water(self, pen: "Pen", t: float) -> None:
        for until, colour in ((self.depth, "#F1F8FD"), (t, "#D7ECF9")):
            times, heights = self.path(0.0, until)
            above = [(self.x(one), self.y(z)) for one, z in zip(times, heights.max(1))]
            below = [(self.x(one), self.y(z)) for one, z in zip(times, heights.min(1))]
            pen.area(above + below[::-1], colour)
        for d in range(round(self.depth) + 1):
            pen.line([(self.x(d), TOP - 4), (self.x(d), BOTTOM + 4)], "#DDE4E9", 1)
            pen.text(self.x(d), BOTTOM + 18, str(d), palette.QUIET, 12)
        pen.text(self.x(0.5), BOTTOM + 18, "depth t →", palette.QUIET, 12)

    def draw_lines(self, pen: "Pen", t: float) -> None:
        ahead, come = self.path(t, self.depth), self.path(0.0, t)
        for i, colour in enumerate(self.colours):
            faint = tuple(round(255 - 0.22 * (255 - c)) for c in colour)
            for (times, heights), shade, width in ((ahead, faint, 1.2), (come, colour, 2.0)):
                pen.line([(self.x(one), self.y(z)) for one, z in zip(times, heights[:, i])], shade, width)
            for d in range(1, round(self.depth) + 1):
                pen.disc(self.x(d), self.y(self.dots[d, i]), 3.2, colour if d <= t else faint, "white")

    def draw_front(self, pen: "Pen", t: float) -> None:
        """The letters themselves, at the depth that they have come to."""
        heights, front = self.y(self.at(t)), self.x(t)
        order = np.argsort(heights)
        places = move_apart(heights[order], GAP)
        places += max(0.0, TOP - 4 - places[0]) - max(0.0, places[-1] - BOTTOM - 4)
        for i, y in zip(order, places):
            colour, at = self.colours[i], front + 24
            pen.line([(front, heights[i]), (at - DISC, y)], colour, 1)
            pen.disc(front, heights[i], 3.2, colour)
            pen.disc(at, y, DISC, colour)
            light = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 135
            pen.text(at, y, name(ord(TEXT[i])), palette.INK if light else "white", 11.5)
        said = name(self.said[int(t / self.depth * STEPS + 1e-9)][-1])
        last = places[list(order).index(len(TEXT) - 1)]
        pen.text(front + 37, last, f"→ {said}", palette.INK, 13, "lm")


class Pen:
    """Draws in the film's pixels on a picture that is FINER than they are."""

    def __init__(self, image: Image.Image):
        self.pen = ImageDraw.Draw(image)

    def line(self, points, colour, width: float) -> None:
        self.pen.line([(x * FINER, y * FINER) for x, y in points], colour, max(1, round(width * FINER)), joint="curve")

    def area(self, points, colour) -> None:
        self.pen.polygon([(x * FINER, y * FINER) for x, y in points], colour)

    def disc(self, x: float, y: float, radius: float, colour, rim=None) -> None:
        box = [(z + r) * FINER for r in (-radius, radius) for z in (x, y)]
        self.pen.ellipse(box, colour, rim, FINER if rim else 0)

    def text(self, x: float, y: float, words: str, colour, size: float, anchor: str = "mm") -> None:
        self.pen.text((x * FINER, y * FINER), words, colour, font(size), anchor)


def shoot(file: Path) -> None:
    """Write the film, which begins anew at its end, after a while; into a .png, the one picture."""
    film = Film()
    if file.suffix == ".png":
        return film.card().quantize(128, dither=Image.Dither.NONE).save(file, optimize=True)
    depths = np.linspace(0.0, film.depth, FRAMES)
    first, *rest = [film.picture(float(t)) for t in depths]
    durations = [PAUSE * 8, *[PAUSE] * (FRAMES - 2), HOLD]
    first.save(file, save_all=True, append_images=rest, duration=durations, loop=0, quality=62, method=6)


if __name__ == "__main__":
    shoot(Path(sys.argv[1]))
