"""Chapter 11: schemes as tables, what Euler substeps and layer norm make of their orders, order against loss."""

from itertools import combinations

import pytest
import torch

from flowlib.flow import SCHEMES, Flow, Scheme
from flowlib.measure import errors_against, evaluations, examples, order
from flowlib.notebook.figures.schedules import schedules, write_share
from flowlib.operators import project_moments
from flowlib.studies import blueprint

LIE = lambda h: ((0, h), (1, h))
EXTRAPOLATED = Scheme("extrapolated Lie", 2, lambda n: [(2.0, LIE(0.5) + LIE(0.5)), (-1.0, LIE(1.0))])
A, B = (0, 1.0), (1, 1.0)
FOUR = Scheme("four paths", 2, lambda n: [(0.25, (A, A)), (0.25, (B, B)), (0.25, (A, B, B, A)), (0.25, ())])
STEPS = [32, 64, 128]


@pytest.mark.claim("C11.2")
def test_a_higher_order_did_not_lower_the_loss(measured, capsys):
    best = blueprint.report_schemes()
    assert "flowlib compare schemes" in capsys.readouterr().out
    mean = {name: sum(losses) / len(losses) for name, losses in best.items()}
    behind = mean["tangent Strang"] - mean["post-norm"]
    measured.at_least("tangent Strang less post-norm Lie, nats (stored run)", behind, 0.0)
    apart = abs(mean["additive"] - mean["post-norm"])
    measured.at_most("additive and post-norm Lie, nats apart (stored run)", apart, 0.02)


@pytest.mark.claim("C11.3")
@torch.no_grad()
def test_a_difference_of_paths_beats_its_substeps(measured, float64):
    torch.manual_seed(5)
    u0, steps = project_moments(torch.randn(5, 8)), [16, 32, 64]
    exact = evaluations.solution(examples.smooth_flow(), u0, 1e-5)
    for name, scheme, expected in (("Lie", "lie", 1), ("Strang", "strang", 1), ("extrapolated Lie", EXTRAPOLATED, 2)):
        errors = errors_against(exact, lambda n, s=scheme: examples.smooth_flow(s)(u0, n, save="final").final, steps)
        measured.near(f"{name}, Euler, projected: order", order(errors, steps), expected, within=0.06)


@pytest.mark.claim("C11.3")
@torch.no_grad()
def test_it_needs_less_than_a_quarter_of_lies_work(measured, elastic, solved):
    u0, truth = solved
    found = evaluations.work(elastic.flow.by(EXTRAPOLATED), u0, truth, 1e-3)
    steps = 2 * found.evaluations  # Lie takes two evaluations a step: so these are four times as many
    left = evaluations.error(elastic.flow(u0, steps, save="final").final, truth)
    measured.at_least("Lie: error left with four times the evaluations that extrapolated Lie needs to 1e-3", left, 1e-3)


def euler_conditions(scheme):
    """For each of two terms: the number of the word "A then A" with Euler substeps, and the weighted squares."""
    found = []
    for term in (0, 1):
        shares = [(w, [a for i, a in path if i == term]) for w, path in scheme.paths(2)]
        twice = sum(w * (sum(own) ** 2 - sum(a * a for a in own)) / 2 for w, own in shares)
        found.append((twice, sum(w * sum(a * a for a in own) for w, own in shares)))
    return found


@pytest.mark.claim("C11.4")
@torch.no_grad()
def test_paths_that_share_unequally_beat_euler_and_layer_norm_takes_it_back(measured, float64):
    torch.manual_seed(5)
    u0, held = project_moments(torch.randn(5, 8)), examples.smooth_flow()
    free = Flow(held.terms, None, horizon=1.0)
    ends = {flow: evaluations.solution(flow, u0, 1e-6) for flow in (free, held)}

    def order_of(flow, scheme, tangent=False):
        run = flow.by(scheme, tangent=tangent)
        return order(errors_against(ends[flow], lambda n: run(u0, n, save="final").final, STEPS), STEPS)

    averages = {name: SCHEMES[name] for name in ("strang", "symmetrised", "additive")}
    for name, scheme in averages.items():
        p = order_of(free, scheme)
        measured.near(f"{name}, each path the whole step, Euler, free: order", p, 1, within=0.06)
        assert all(twice < 0.5 for twice, _ in euler_conditions(scheme))
    measured.near("four paths, Euler, free: order", order_of(free, FOUR), 2, within=0.06)
    measured.near("four paths, Euler, tangent: order", order_of(held, FOUR, tangent=True), 2, within=0.06)
    assert all(abs(twice - 0.5) < 1e-12 and squares > 0 for twice, squares in euler_conditions(FOUR))
    mixed = Scheme(
        "mixed",
        1,
        lambda n: [(0.6, path) if k else (0.4, path) for k, (_, path) in enumerate(SCHEMES["symmetrised"].paths(2))],
    )
    for name, scheme in {**averages, "four paths": FOUR, "uneven average": mixed}.items():
        p = order_of(held, scheme)
        measured.near(f"{name}, Euler, projected: order", p, 1, within=0.06)


def test_extrapolation_meets_both_conditions():
    assert all(abs(t - 0.5) < 1e-12 and abs(s) < 1e-12 for t, s in euler_conditions(EXTRAPOLATED))


def test_a_schedule_has_a_box_for_each_substep():
    fig = schedules({"four paths": FOUR.paths(2), "extrapolated": EXTRAPOLATED.paths(2)}, terms=("A", "B"))
    ax = fig.axes[0]
    boxes = [p for p in ax.patches if abs(p.get_width()) > 1e-9 and abs(p.get_height() - 0.8) < 1e-9]
    assert len(boxes) == 8 + 6 and sum(p.get_hatch() == "//" for p in boxes) == 2
    assert [label.get_text() for label in ax.get_yticklabels()] == ["four paths", "extrapolated"]
    assert [write_share(z) for z in (1.0, 0.5, -1.0, 1 / 6, -1.7024)] == ["1", "½", "−1", "1/6", "−1.70"]


def test_a_word_of_three_letters_has_another_number_than_the_rivers():
    """Question Q11.6: "A then B then A" in the four paths."""
    found = 0.0
    for weight, path in FOUR.paths(2):
        words = [three for three in combinations(path, 3) if [i for i, _ in three] == [0, 1, 0]]
        found += weight * sum(a * b * c for (_, a), (_, b), (_, c) in words)
    assert found == 0.5
