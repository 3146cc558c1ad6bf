"""Assignment 09: activation patching.

Two fields flow by one equation, and at some depth tokens of the one are put into the other. What is written here are
the step of the flow, the ways in which a patch goes wrong, and laws that a right answer obeys.
"""

import math

import torch
from torch import Tensor

from flowlib.checks.compare import CheckFailed, as_tensor
from flowlib.checks.exercises import Exercise, draw, three_numbers


def step(u: Tensor, beta: float, dt: float = 0.25) -> Tensor:
    """One step of the flow of this assignment, (token, feature) → (token, feature).

    u_i ← u_i + Δt (Σ_{j≤i} γ_ij u_j − u_i), with γ_ij ∝ exp(β ⟨u_i, u_j⟩).
    """
    later = torch.ones(len(u), len(u), dtype=torch.bool).triu(1)
    gamma = (beta * u @ u.mT).masked_fill(later, -torch.inf).softmax(-1)
    return u + dt * (gamma @ u - u)


def march(u, count, beta, dt):
    """u after `count` steps."""
    for _ in range(count):
        u = step(u, beta, dt)
    return u


by_hand = Exercise(
    "9.1",
    cell="by-hand",
    inputs=lambda generator: (),
    tol=6e-3,
    hints=(
        "Write u, v after one step first: three means each. u does not change.",
        "v is (15, 9, 6) after step 1. Put one of these three numbers into (3, 3, 3), and take the mean of all three.",
        "The second step without a patch takes v's last token to 10 and u's to 3, so the difference is 7.",
    ),
)
by_hand.wrong_numbers(
    begun=(
        [7, 3, 2],
        "You put in the tokens of v as they *began*. A patch after the first step takes v as it is then: (15, 9, 6).",
    ),
    patched_at_0=(
        [31 / 3, 3, 8 / 3],
        "You patched the beginning. Let both take one step first, then patch, then one step more.",
    ),
    patched_at_the_end=(
        [3, 3, 10],
        "You patched after the second step. After the first one there is still a step in which the last token hears "
        "the others.",
    ),
    no_mask=([4, 4, 4], "You let every token hear all three. A token hears itself and those *before* it."),
    the_other_way=([6, 8, 9], "You patched u into v. It is a token of v that is put into u."),
    no_step=([3, 3, 6], "You patched after the first step, and stopped there: the second step is missing."),
    differences=(
        [4, 2, 1],
        "These are the changes that the patches make. `ends` asks where the last token *is*: add where it would be "
        "without a patch.",
    ),
)


@by_hand.law
def linear_by_hand(answer, generator):
    """With β = 0 the flow is linear: the changes that the three patches make must sum to that of all, from 3 to 10."""
    return abs(sum(answer()) - 3 * 3 - 7) < 0.05


@by_hand.law
def one_of_three(answer, generator):
    """In the second step the last token takes the mean of three: a patch moves it by a third of what it changed."""
    return all(abs(3 * (end - 3) - (there - 3)) < 0.05 for end, there in zip(answer(), (15, 9, 6)))


by_hand_shares = Exercise(
    "9.1",
    cell="by-hand",
    inputs=lambda generator: (),
    tol=6e-3,
    hints=(
        "A share is what the patch changed, divided by what there is to change.",
        "The last token of u ends at 3, that of v at 10.",
        "(end − 3) / 7, for each of the three ends.",
    ),
)
by_hand_shares.wrong_numbers(
    not_subtracted=(
        [7 / 10, 5 / 10, 4 / 10],
        "You divided the ends by v's end. A share is of a *difference*: subtract u's end above and below. Without a "
        "patch nothing is restored.",
    ),
    only_above=(
        [4 / 10, 2 / 10, 1 / 10],
        "The changes are right. Divide them by the difference of the two ends, 10 − 3, and not by v's end.",
    ),
    changes=(
        [4, 2, 1],
        "These are the changes. Divide them by the whole change, 7, to get the shares.",
    ),
    what_is_missing=([3 / 7, 5 / 7, 6 / 7], "This is the share that is still missing after the patch."),
    first_difference=(
        [4 / 3, 2 / 3, 1 / 3],
        "You divided by the difference of the last tokens after step 1. The question is about their difference at the "
        "end.",
    ),
)


@by_hand_shares.law
def shares_sum_to_one(answer, generator):
    """The flow is linear here: the three shares must sum to 1."""
    return abs(sum(answer()) - 1) < 0.02


@by_hand_shares.law
def in_proportion(answer, generator):
    """The first patch changes the last token twice as much as the second, and four times as much as the third."""
    first, second, third = answer()
    return abs(first - 2 * second) < 0.02 and abs(second - 2 * third) < 0.02


def check_by_hand(ends, restored) -> None:
    """Check the three ends and the three shares of task 9.1."""
    given = three_numbers(ends, "ends", each="patch").tolist()
    shares = three_numbers(restored, "restored", each="patch").tolist()
    by_hand.check(lambda: given)
    by_hand_shares.check(lambda: shares)


def two_fields(generator):
    """Two fields (5, 3), tokens to patch, at, steps, β, Δt."""
    return draw(generator, 5, 3), draw(generator, 5, 3), [1, 3], 2, 6, 0.8, 0.25


patch = Exercise(
    "9.2",
    cell="patched",
    inputs=two_fields,
    hints=(
        "Three parts: steps of both fields, one replacement, steps of one field.",
        "step(u, beta, dt) gives a new field. Before the patch there are `at` of them, after it `steps − at`.",
        "u[tokens] = v[tokens] replaces whole tokens, all their features. Make u a clone first: with at = 0 it is "
        "still the field that somebody gave you.",
    ),
)


def swap_tokens(u, v, tokens):
    """u with some of the tokens of v."""
    chosen = torch.zeros(len(u), 1, dtype=torch.bool)
    chosen[tokens] = True
    return torch.where(chosen, v, u)


def flow_both(u, v, at, beta, dt):
    """Both fields at the depth of the patch."""
    return march(u, at, beta, dt), march(v, at, beta, dt)


@patch.wrong
def v_as_it_began(u, v, tokens, at, steps, beta, dt):
    """You put in the tokens of v as they *began*. A patch takes v as it is at the depth of the patch: v must flow,
    too."""
    return march(swap_tokens(march(u, at, beta, dt), v, tokens), steps - at, beta, dt)


@patch.wrong
def v_as_it_ends(u, v, tokens, at, steps, beta, dt):
    """You put in the tokens of v as they *end*. A patch takes v as it is at the depth of the patch."""
    return march(swap_tokens(march(u, at, beta, dt), march(v, steps, beta, dt), tokens), steps - at, beta, dt)


@patch.wrong
def at_the_beginning(u, v, tokens, at, steps, beta, dt):
    """You patched before the first step. Let both fields take `at` steps first."""
    return march(swap_tokens(u, v, tokens), steps, beta, dt)


@patch.wrong
def after_the_last_step(u, v, tokens, at, steps, beta, dt):
    """You patched after the last step. There nobody hears the patched tokens any more."""
    return swap_tokens(*flow_both(u, v, steps, beta, dt), tokens)


@patch.wrong
def one_step_late(u, v, tokens, at, steps, beta, dt):
    """Your patch comes one step too late: after `at` steps, and not in or after the next one."""
    return march(swap_tokens(*flow_both(u, v, at + 1, beta, dt), tokens), steps - at - 1, beta, dt)


@patch.wrong
def one_step_early(u, v, tokens, at, steps, beta, dt):
    """Your patch comes one step too early: both fields take `at` steps before it."""
    return march(swap_tokens(*flow_both(u, v, at - 1, beta, dt), tokens), steps - at + 1, beta, dt)


@patch.wrong
def one_step_short(u, v, tokens, at, steps, beta, dt):
    """The field has taken one step less than `steps` in all. After the patch there are steps − at."""
    return march(swap_tokens(*flow_both(u, v, at, beta, dt), tokens), steps - at - 1, beta, dt)


@patch.wrong
def all_steps_again(u, v, tokens, at, steps, beta, dt):
    """After the patch you took `steps` more steps. `at` of them had been taken before."""
    return march(swap_tokens(*flow_both(u, v, at, beta, dt), tokens), steps, beta, dt)


@patch.wrong
def no_steps_after(u, v, tokens, at, steps, beta, dt):
    """Nothing flows after the patch. Its effect on the others comes in the steps − at steps that remain."""
    return swap_tokens(*flow_both(u, v, at, beta, dt), tokens)


@patch.wrong
def the_other_way(u, v, tokens, at, steps, beta, dt):
    """You put tokens of u into v. It is u that goes on, with tokens of v in it."""
    return march(swap_tokens(*flow_both(v, u, at, beta, dt), tokens), steps - at, beta, dt)


@patch.wrong
def again_at_every_depth(u, v, tokens, at, steps, beta, dt):
    """You put the tokens of v in again at every later depth. A patch is made once; after it, the tokens flow with all
    others."""
    u, v = flow_both(u, v, at, beta, dt)
    for _ in range(steps - at):
        u, v = step(swap_tokens(u, v, tokens), beta, dt), step(v, beta, dt)
    return swap_tokens(u, v, tokens)


@patch.wrong
def added(u, v, tokens, at, steps, beta, dt):
    """You added the tokens of v to those of u. A patch *replaces* them."""
    return march(swap_tokens(march(u, at, beta, dt), sum(flow_both(u, v, at, beta, dt)), tokens), steps - at, beta, dt)


@patch.wrong
def nothing_patched(u, v, tokens, at, steps, beta, dt):
    """This is u(T): the patch has no effect. Does the field with the patch in it take the next step?"""
    return march(u, steps, beta, dt)


@patch.wrong
def beta_forgotten(u, v, tokens, at, steps, beta, dt):
    """β is not used: with β = 0 your answer would be right."""
    return march(swap_tokens(*flow_both(u, v, at, 0.0, dt), tokens), steps - at, 0.0, dt)


@patch.wrong
def features(u, v, tokens, at, steps, beta, dt):
    """The list names tokens, and you replaced *features*: u[tokens], and not u[:, tokens]."""
    return march(swap_tokens(*(z.mT for z in flow_both(u, v, at, beta, dt)), [1]).mT, steps - at, beta, dt)


def ask_patched(answer, *inputs):
    """A whole field, (token, feature)."""
    mine = as_tensor(answer(*inputs), "patched")
    if mine.shape != inputs[0].shape:
        raise CheckFailed(f"patched must return a whole field, {tuple(inputs[0].shape)}, got {tuple(mine.shape)}")
    return mine


@patch.law
def no_token(answer, generator):
    """With an empty list nothing is patched: the end must be u(T)."""
    u, v, _, at, n, beta, dt = two_fields(generator)
    return bool((ask_patched(answer, u, v, [], at, n, beta, dt) - march(u, n, beta, dt)).abs().max() < 1e-6)


@patch.law
def all_tokens(answer, generator):
    """With all tokens in the list u becomes v, at every depth: the end must be v(T)."""
    u, v, _, _, n, beta, dt = two_fields(generator)
    right = march(v, n, beta, dt)
    return all(
        bool((ask_patched(answer, u, v, list(range(5)), at, n, beta, dt) - right).abs().max() < 1e-6)
        for at in (0, 3, n)
    )


@patch.law
def patch_at_the_end(answer, generator):
    """With at = steps the tokens of the list must be those of v(T), and all others those of u(T)."""
    u, v, tokens, _, n, beta, dt = two_fields(generator)
    right = swap_tokens(*flow_both(u, v, n, beta, dt), tokens)
    return bool((ask_patched(answer, u, v, tokens, n, n, beta, dt) - right).abs().max() < 1e-6)


@patch.law
def before_the_patch(answer, generator):
    """Nobody hears a later token, so a patch cannot change the tokens before it."""
    u, v, _, at, n, beta, dt = two_fields(generator)
    one = ask_patched(answer, u, v, [2], at, n, beta, dt)
    return bool((one - march(u, n, beta, dt))[:2].abs().max() < 1e-6)


@patch.law
def input_unchanged(answer, generator):
    """The u that came in has changed: with at = 0 you wrote into it. Make a clone() before you replace."""
    u, v, tokens, _, n, beta, dt = two_fields(generator)
    before = u.clone()
    ask_patched(answer, u, v, tokens, 0, n, beta, dt)
    return torch.equal(u, before)


def three_fields(generator):
    """changed, start, goal: three fields (4, 3)."""
    return draw(generator, 4, 3), draw(generator, 4, 3), draw(generator, 4, 3)


shares = Exercise(
    "9.3",
    cell="restored",
    inputs=three_fields,
    hints=(
        "Two differences: what the patch made, and the whole way. Both are (token, feature).",
        "⟨a, b⟩ of each token is (a * b).sum(-1).",
        "Where the way is 0 the product is 0 as well: divide by 1 there, with torch.where or clamp.",
    ),
)


def share_along(made, way, below):
    """⟨made, way⟩ / below, one number for each token."""
    return (made * way).sum(-1) / below


@shares.wrong
def start_forgotten(changed, start, goal):
    """You did not subtract `start` from `changed`. Without a patch nothing is restored: there the share must be 0."""
    return share_along(changed, goal - start, (goal - start).square().sum(-1))


@shares.wrong
def from_the_origin(changed, start, goal):
    """You measured from the origin: subtract `start`, all three times."""
    return share_along(changed, goal, goal.square().sum(-1))


@shares.wrong
def lengths(changed, start, goal):
    """You divided two lengths. A patch can also move a token away from the goal: take the part *along* the way, by the
    scalar product, which has a sign."""
    return (changed - start).norm(dim=-1) / (goal - start).norm(dim=-1)


@shares.wrong
def distance_left(changed, start, goal):
    """You took the distance that is left. A patch that moves a token sideways has made no way, and has undone none."""
    return 1 - (changed - goal).norm(dim=-1) / (goal - start).norm(dim=-1)


@shares.wrong
def cosine(changed, start, goal):
    """This is the cosine. It says in which direction the patch moved, and not how far: divide by the square of the
    way."""
    return torch.cosine_similarity(changed - start, goal - start, dim=-1)


@shares.wrong
def not_squared(changed, start, goal):
    """You divided by the length of the way. With its square a patch that goes all the way has share 1."""
    return share_along(changed - start, goal - start, (goal - start).norm(dim=-1))


@shares.wrong
def one_way_for_all(changed, start, goal):
    """You divided by the way of all tokens together. Each token has its own."""
    return share_along(changed - start, goal - start, (goal - start).square().sum())


@shares.wrong
def over_tokens(changed, start, goal):
    """You summed over the tokens: this is a number for each feature. Sum over the features, dim −1."""
    return ((changed - start) * (goal - start)).sum(0) / (goal - start).square().sum(0)


@shares.wrong
def one_number(changed, start, goal):
    """This is one share for the whole field. There must be one for each token."""
    return ((changed - start) * (goal - start)).sum() / (goal - start).square().sum()


@shares.wrong
def turned_round(changed, start, goal):
    """You divided by the square of what the patch made, and not by that of the whole way."""
    return share_along(changed - start, goal - start, (changed - start).square().sum(-1))


@shares.wrong
def what_is_left(changed, start, goal):
    """This is the share that is still missing: a full patch would have 0."""
    return share_along(goal - changed, goal - start, (goal - start).square().sum(-1))


@shares.law
def parts_of_the_way(answer, generator):
    """Go a part of the way, another one for each token, and the shares must be these parts."""
    _, start, goal = three_fields(generator)
    parts = torch.tensor([0.0, 1.0, -0.5, 0.25], dtype=torch.float64)
    mine = as_tensor(answer(start + parts[:, None] * (goal - start), start, goal), "restored_shares")
    return mine.shape == (4,) and bool((mine - parts).abs().max() < 1e-6)


@shares.law
def no_way(answer, generator):
    """Where start and goal agree there is no way to go, and the share must be 0: yours divides 0 by 0 or by something
    else that does not give 0."""
    changed, start, goal = three_fields(generator)
    goal[1], changed[1] = start[1], start[1]
    mine = as_tensor(answer(changed, start, goal), "restored_shares")
    return bool(mine.isfinite().all()) and abs(mine[1].item()) < 1e-6


parts = Exercise(
    "9.4",
    cell="mismatch",
    inputs=lambda generator: (),
    hints=(
        "All you need is `patched`: with no token, with each single token, with all tokens.",
        "u(T) = patched(u, v, [], …), and v(T) = patched(u, v, all tokens, …).",
        "Add patched(u, v, [j], …) − u(T) over all j, subtract v(T) − u(T), then abs().max().",
    ),
)


def ask_mismatch(answer, eps, at=2, beta=0.4, seed=0) -> float:
    """D of two fields (4, 2) that the seed draws."""
    generator = torch.Generator().manual_seed(seed)
    value = as_tensor(answer(draw(generator, 4, 2), draw(generator, 4, 2), eps, at, 6, beta), "mismatch")
    if value.numel() != 1 or not value.item() >= 0:
        raise CheckFailed("mismatch must return one number, not below 0")
    return value.item()


@parts.law
def nothing_to_patch(answer, generator):
    """With ε = 0 there is no difference, so no effect: D = 0."""
    found = ask_mismatch(answer, 0.0, seed=generator.initial_seed())
    return found < 1e-5 or f"Yours is {found:.3f}. Did you subtract u(T) from every p(T)?"


@parts.law
def linear(answer, generator):
    """With β = 0 the effects of all single patches add up to the whole: D = 0."""
    found = ask_mismatch(answer, 1.0, beta=0.0, seed=generator.initial_seed())
    return found < 1e-5 or f"Yours is {found:.3f}. Is v(T) − u(T) subtracted, and is every token patched once?"


@parts.law
def effects_at_the_end(answer, generator):
    """After the last step no token hears another, so the effects add up whatever β is: D = 0."""
    found = ask_mismatch(answer, 1.0, at=6, seed=generator.initial_seed())
    return found < 1e-5 or f"Yours is {found:.3f}. Is `at` used?"


@parts.law
def order_2(answer, generator):
    """With β > 0 the mismatch must be of order 2 in ε: half of ε, a quarter of it."""
    coarse, fine = (ask_mismatch(answer, eps, seed=generator.initial_seed()) for eps in (0.02, 0.01))
    if fine < 1e-9:
        return "Yours is 0. Is β used?"
    found = math.log2(coarse / fine)
    if abs(found - 1) < 0.2:
        return "Yours has order 1: did you divide by ε or by the whole effect, or leave a part out?"
    return abs(found - 2) < 0.2 or f"Yours has order {found:.2f}."
