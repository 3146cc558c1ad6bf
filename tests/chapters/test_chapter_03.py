"""Chapter 03: who can look a letter up; over which grids a Volterra operator's half weights restore order 2."""

from pathlib import Path

import pytest
import torch

from flowlib.authoring.notebooks import read
from flowlib.fields import Grid
from flowlib.measure import order
from flowlib.operators import attend

CHAPTER = Path(__file__).parents[2] / "chapters" / "03_attention_is_an_integral.ipynb"

SIZES = [32, 64, 128, 256]
FIELDS = {  # Q, K, V as functions of x
    "waves": (
        lambda x: torch.stack([torch.sin(3 * x), torch.cos(2 * x)], -1),
        lambda x: torch.stack([torch.cos(x), x], -1),
        lambda x: (torch.sin(5 * x) + x)[:, None],
    ),
    "powers": (
        lambda x: torch.stack([x, 1 - x, x**2], -1),
        lambda x: torch.stack([torch.exp(-x), x**2, torch.sin(4 * x)], -1),
        lambda x: torch.stack([torch.exp(x), torch.cos(7 * x)], -1),
    ),
}
GRIDS = {
    "trapezoid": lambda n: Grid.uniform(n, "trapezoid"),
    "trapezoid on [0, 2]": lambda n: Grid.uniform(n, "trapezoid", (0.0, 2.0)),
    "graded, power 2": lambda n: Grid.graded(n, 2.0),
    "graded, power 3": lambda n: Grid.graded(n, 3.0),
    "Gauss": Grid.gauss,
}


def exact(field, x):
    """∫ over [0, x_i] by Gauss's rule on that interval; at x = 0 there is nothing but V(0) to hear."""
    Q, K, V = field
    pasts = [(end[None], Grid.gauss(40, (0.0, end.item()))) for end in x if end > 0]
    rows = [attend(Q(end), K(g.x), V(g.x), g.weights) for end, g in pasts]
    return torch.cat([V(x[:1]), *rows] if len(rows) < len(x) else rows)


def order_of(field, grid, causal, weighted=True):
    Q, K, V = field
    errors = []
    for g in map(grid, SIZES):
        heard = attend(Q(g.x), K(g.x), V(g.x), g.weights if weighted else None, causal=causal)
        errors.append((heard - exact(field, g.x)).abs().max())
    return order(errors, SIZES)


@pytest.mark.claim("C3.6")
@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
@pytest.mark.parametrize("name", GRIDS)
def test_with_the_grids_weights_half_the_own_token_restores_order_two(measured, name, field):
    grid = GRIDS[name]
    measured.near("order, half the own token, grid's weights", order_of(field, grid, "volterra"), 2, within=0.1)
    measured.near("order, all counted whole, grid's weights", order_of(field, grid, True), 1, within=0.15)


@pytest.mark.claim("C3.6")
@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_without_weights_only_equally_spaced_tokens_converge(measured, field):
    for name in ("trapezoid", "trapezoid on [0, 2]"):
        found = order_of(field, GRIDS[name], "volterra", weighted=False)
        measured.near("order, half at both ends, trapezoid without weights", found, 2, within=0.1)
    for causal in (True, "volterra"):
        found = order_of(field, GRIDS["graded, power 2"], causal, weighted=False)
        measured.near("order, graded without weights", found, 0, within=0.1)


@pytest.mark.claim("C3.6")
@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_the_first_of_the_midpoints_hears_itself_alone(measured, field):
    """It stands half a cell from the start, and V there misses the mean of V up to there by O(h)."""
    found = order_of(field, Grid.uniform, "volterra")
    measured.near("order of the largest error, midpoints", found, 1, within=0.1)
    first = [
        (attend(*(f(g.x) for f in field), g.weights, causal="volterra") - exact(field, g.x))[0].abs().max()
        for g in map(Grid.uniform, SIZES)
    ]
    measured.near("order at the first listener, midpoints", order(first, SIZES), 1, within=0.1)


@pytest.fixture
def chapter():
    """What the chapter's own cells define, those that make the texts, the readers and their training."""
    names = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional}
    exec("from flowlib.operators import Attention", names)
    wanted = ("def texts(", "class Reader(", "def train(")
    cells = [cell.source for cell in read(CHAPTER).cells if cell.cell_type == "code"]
    before, threads = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    for source in (source for source in cells if any(name in source for name in wanted)):
        exec(source, names)
    yield names
    torch.set_default_dtype(before)
    torch.set_num_threads(threads)


def recall(chapter, gather, seed):
    """(distance of the answer, is it right) on fresh texts, after training with this seed."""
    letters, answer, back = chapter["texts"](11_000, seed=10**6)
    reader = chapter["train"](gather, seed)
    with torch.no_grad():
        return back, (reader(chapter["tokens"](letters)).argmax(-1) == answer).double()


@pytest.mark.claim("C3.8")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_attention_looks_up_what_fixed_places_do_not(measured, chapter, seed):
    back, hits = recall(chapter, "attention", seed)
    at = [hits[back == d].mean() for d in range(2, chapter["N"])]
    measured.at_least("right answers, attention, worst distance", min(at), 0.99)
    for name, gather in (("a fixed average", "average"), ("a window of 24", 24)):
        back, hits = recall(chapter, gather, seed)
        at = [hits[back == d].mean() for d in range(2, chapter["N"])]
        measured.at_most(f"right answers, {name}, best distance", max(at), 0.4)


@pytest.mark.claim("C3.8")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_window_guesses_what_stands_outside_of_it(measured, chapter, seed):
    """Six tokens, each with the letter before it: seven letters. Nothing before them changes what is read."""
    back, hits = recall(chapter, 6, seed)
    measured.near("right answers, a window of 6, beyond it", hits[back > 7].mean(), 1 / 7, within=0.02)
    letters, answer, back = chapter["texts"](2000, seed=1)
    assert (answer != letters[:, -1]).all() and all((answer[back > 7] == letter).any() for letter in range(8))
    reader, far = chapter["train"](6, seed), letters.clone()
    far[:, : chapter["N"] - 7] = 0
    assert torch.equal(reader(chapter["tokens"](letters)), reader(chapter["tokens"](far)))


@pytest.mark.claim("C3.8")
def test_the_lookup_asks_for_what_followed_the_last_letter(measured, chapter):
    letters, answer, back = chapter["texts"](2000, seed=3)
    n, rows = chapter["N"], torch.arange(2000)
    assert torch.equal(letters[rows, n - 1 - back], letters[:, -1]) and torch.equal(letters[rows, n - back], answer)
    measured.near(
        "places at which the last letter stands", (letters == letters[:, -1:]).sum(-1).double().mean(), 2, 0.0
    )
