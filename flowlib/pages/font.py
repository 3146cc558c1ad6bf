"""The font that travels in a page with formulas: what they need of the DejaVu fonts that matplotlib brings.

DejaVu Serif has the table by which a browser makes brackets, roots and sums grow. What it lacks is added here: letters,
glyph by glyph, from the other fonts there; brackets of a middling height; and where exponents, indices and the parts of
a fraction go, which it leaves at zero.
"""

import logging
import re
import unicodedata
from functools import cache
from html import unescape
from io import BytesIO

# A form of letters that the font may lack -> the font in which the plain letter looks so.
FORMS = {
    "ITALIC": "DejaVuSerif-Italic",
    "BOLD": "DejaVuSerif-Bold",
    "BOLD ITALIC": "DejaVuSerif-BoldItalic",
    "SANS-SERIF": "DejaVuSans",
}
FORM = re.compile(rf"MATHEMATICAL ({'|'.join(FORMS)}) (?!BOLD|ITALIC|SCRIPT|FRAKTUR)")
OTHERS = ["DejaVuSans", "STIXGeneral"]
BRACKETS, HEIGHTS = "()[]{}⟨⟩|‖", (1.25, 1.55, 1.9, 2.3)
PRIMES = "′″‴"  # they stand in exponents: larger, clear of the letter, and not raised a second time

# Lengths in thousandths of an em, by the rules of appendix G of Knuth's TeXbook, for letters 0.52 em high.
LENGTHS = {
    "SubscriptShiftDown": 230,
    "SubscriptTopMax": 415,
    "SubscriptBaselineDropMin": 80,
    "SuperscriptShiftUp": 430,
    "SuperscriptShiftUpCramped": 350,
    "SuperscriptBottomMin": 130,
    "SuperscriptBaselineDropMax": 380,
    "SubSuperscriptGapMin": 176,
    "SuperscriptBottomMaxWithSubscript": 415,
    "UpperLimitGapMin": 110,
    "UpperLimitBaselineRiseMin": 200,
    "LowerLimitGapMin": 130,
    "LowerLimitBaselineDropMin": 600,
    "StackTopShiftUp": 440,
    "StackTopDisplayStyleShiftUp": 680,
    "StackBottomShiftDown": 350,
    "StackBottomDisplayStyleShiftDown": 690,
    "FractionNumeratorShiftUp": 440,
    "FractionNumeratorDisplayStyleShiftUp": 680,
    "FractionDenominatorShiftDown": 350,
    "FractionDenominatorDisplayStyleShiftDown": 690,
    "RadicalVerticalGap": 60,
}


def form(letter: str) -> str:
    """form("𝑥") -> "ITALIC"; "" for a letter that is none of FORMS."""
    found = FORM.match(unicodedata.name(letter, ""))
    return found[1] if found else ""


def plain_letter(letter: str) -> str:
    """plain_letter("𝑥") -> "x"."""
    return chr(int(unicodedata.decomposition(letter).removeprefix("<font> "), 16))


# What a browser draws for the only letter of an <mi>: x -> 𝑥
ITALIC = {"h": "ℎ"} | {plain_letter(x): x for x in map(chr, range(0x1D434, 0x1D71C)) if form(x) == "ITALIC"}

ROOT = "√"  # <msqrt> does not write it


def letters(html: str) -> frozenset[str]:
    """The characters that the formulas of this page are drawn with."""
    formulas = "".join(re.findall(r"<math\b.*?</math>", html, re.DOTALL))
    written = set(unescape(re.sub(r"<annotation.*?</annotation>|<.*?>", "", formulas, flags=re.DOTALL)))
    return frozenset(written | {ITALIC[letter] for letter in written & ITALIC.keys()} | {ROOT})


def sources(letter: str) -> list[tuple[str, str]]:
    """Where to look for a letter, best first: names of fonts, with the letter to take there."""
    same = [(name, letter) for name in OTHERS]
    return [(FORMS[form(letter)], plain_letter(letter)), *same] if form(letter) else same


@cache
def font(wanted: frozenset[str]) -> bytes:
    """A font of these characters, as WOFF; empty where matplotlib or fontTools is missing."""
    try:
        from fontTools.subset import Options, Subsetter
        from fontTools.ttLib import TTFont
        from matplotlib import get_data_path
    except ImportError:
        return b""

    open_font = cache(lambda name: TTFont(f"{get_data_path()}/fonts/ttf/{name}.ttf", lazy=True))
    made = open_font("DejaVuSerif")
    for letter in sorted(wanted - set(map(chr, made.getBestCmap()))):
        for name, other in sources(letter):
            if ord(other) in open_font(name).getBestCmap():
                encode(made, letter, draw(made, f"u{ord(letter):X}", open_font(name), other))
                break
    constants, em = made["MATH"].table.MathConstants, made["head"].unitsPerEm
    for name, length in LENGTHS.items():
        getattr(constants, name).Value = round(length / 1000 * em)
    constants.DisplayOperatorMinHeight = round(1.27 * em)  # a sum on a line of its own is taller than one in a text
    for letter in wanted.intersection(PRIMES):
        low = draw(made, f"u{ord(letter):X}.low", made, letter, size=(1.5, 2.4), shift=(0.22 * em, -1.05 * em))
        encode(made, letter, low)
    for letter in wanted.intersection(BRACKETS):
        heighten(made, letter)
    # Tables about kerning and ligatures are no use to a formula; the copyright and the licence stay (0, 13, 14).
    options = Options(hinting=False, name_IDs=[0, 1, 2, 13, 14])
    options.drop_tables += ["FFTM", "GDEF", "GPOS", "GSUB", "kern"]
    logging.getLogger("fontTools.subset").setLevel(logging.WARNING)  # else each glyph is reported
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=map(ord, wanted))
    subsetter.subset(made)
    made.flavor = "woff"
    file = BytesIO()
    made.save(file)
    return file.getvalue()


def draw(made, name: str, source, letter: str, size=(1.0, 1.0), shift=(0.0, 0.0)) -> str:
    """Add a glyph of that name to the font `made`: a letter of `source`, so many times as wide and high, and moved."""
    from fontTools.pens.recordingPen import DecomposingRecordingPen
    from fontTools.pens.transformPen import TransformPen
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    glyphs, scale = source.getGlyphSet(), made["head"].unitsPerEm / source["head"].unitsPerEm
    glyph = glyphs[source.getBestCmap()[ord(letter)]]
    drawing, pen = DecomposingRecordingPen(glyphs), TTGlyphPen(None)
    glyph.draw(drawing)
    drawing.replay(TransformPen(pen, (scale * size[0], 0, 0, scale * size[1], *shift)))
    outline = made["glyf"][name] = pen.glyph()
    outline.recalcBounds(made["glyf"])
    made.setGlyphOrder(made["glyf"].glyphOrder)
    made["hmtx"][name] = round(glyph.width * scale * size[0] + shift[0]), outline.xMin
    return name


def encode(made, letter: str, name: str) -> None:
    """From now on the font draws this letter with the glyph of that name."""
    for table in made["cmap"].tables:
        if table.isUnicode() and (table.format == 12 or ord(letter) < 0x10000):
            table.cmap[ord(letter)] = name


def heighten(made, letter: str) -> None:
    """Give a bracket a few heights between that of a letter and the least that can be put together from pieces."""
    from fontTools.ttLib.tables.otTables import MathGlyphConstruction, MathGlyphVariantRecord

    variants, base = made["MATH"].table.MathVariants, made.getBestCmap()[ord(letter)]
    covered = dict(zip(variants.VertGlyphCoverage.glyphs, variants.VertGlyphConstruction))
    grown = covered.setdefault(base, MathGlyphConstruction())
    grown.GlyphAssembly = getattr(grown, "GlyphAssembly", None)
    grown.MathGlyphVariantRecord = []
    for height in (1, *HEIGHTS):
        record = MathGlyphVariantRecord()
        record.VariantGlyph = base if height == 1 else draw(made, f"{base}.{height}", made, letter, (1, height))
        outline = made["glyf"][record.VariantGlyph]
        record.AdvanceMeasurement = outline.yMax - outline.yMin
        grown.MathGlyphVariantRecord.append(record)
    order = sorted(covered, key=made.getGlyphID)
    variants.VertGlyphCoverage.glyphs = order
    variants.VertGlyphConstruction = [covered[name] for name in order]
