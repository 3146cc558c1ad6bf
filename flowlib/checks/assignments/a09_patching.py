"""Assignment 09: activation patching.

Two fields flow by one equation, and at some depth tokens of the one are put into the other. What is written here are
the step of the flow, the ways in which a patch goes wrong, and laws that a right answer obeys.
"""

import math

import torch
from torch import Tensor

from flowlib.checks.compare import CheckFailed, as_tensor
from flowlib.checks.exercises import Exercise, draw, three_numbers, uniform


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
    patched_tokens_themselves=(
        [15, 9, 6],
        "These are the patched tokens right after step 1. `ends` asks where the *last* token is after the second step.",
    ),
    patched_tokens_at_the_end=(
        [15, 6, 4],
        "You followed the patched token itself. `ends` asks for the last token, number 3, in each run.",
    ),
    backwards=([4, 5, 7], "The order is reversed: first the run in which token 1 is patched."),
    kept=([7, 9, 10], "You kept the earlier patches: in each run one token alone is patched."),
    all_patched=([10, 10, 10], "You patched all tokens. In each run it is one token alone."),
    neighbour_alone=(
        [3, 6, 4.5],
        "You took the mean of the last two tokens. The last token hears all three: itself and all before it.",
    ),
    sums=([21, 15, 12], "These are the sums of the three tokens. What a token hears is their mean: divide by 3."),
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
    changes = [end - 3 for end in answer()]
    return abs(sum(changes) - 7) < 0.05 or (
        f"Yours are {', '.join(f'{z:.3g}' for z in changes)}. After step 1 v is (15, 9, 6): one of its tokens "
        f"stands in u "
        "= (3, 3, 3) at that depth, and the last token takes the mean of all three."
    )


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
    backwards=([1 / 7, 2 / 7, 4 / 7], "The order is reversed: the first patch restores most."),
    rounded=([0.7, 0.2, 0.1], "These are no shares of the difference 7: divide the changes 4, 2 and 1 by it."),
    upside_down=([7 / 4, 7 / 2, 7], "Your shares are upside down: the change is divided by the whole difference, 7."),
    difference_at_the_beginning=(
        [-4 / 3, -2 / 3, -1 / 3],
        "You divided by the difference of the last tokens at the beginning, 0 − 3. The question is about the "
        "end, 10 − 3.",
    ),
    percent=([400 / 7, 200 / 7, 100 / 7], "These are percent. Shares sum to 1, not to 100."),
    thirds=(
        [1 / 3, 1 / 3, 1 / 3],
        "You gave each token the same share. It is what its patch changes, divided by the difference 7.",
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
    by_hand.examine(lambda: given)
    by_hand_shares.check(lambda: shares)


def two_fields(generator):
    """Two fields (5, 3), tokens to patch, at, steps, β, Δt."""
    return draw(generator, 5, 3), draw(generator, 5, 3), [1, 3], 2, 6, 0.8, uniform(generator, 0.3, 0.4)


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
    """Yours is the other way round: v with tokens of u in it. It is u that goes on, and the tokens of the list, not the
    other tokens, come from v."""
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


def chosen(way):
    """A wrong choice of tokens: way(tokens, number of tokens in the field)."""

    def patched(u, v, tokens, at, steps, beta, dt):
        return march(swap_tokens(*flow_both(u, v, at, beta, dt), way(tokens, len(u))), steps - at, beta, dt)

    return patched


def mixed(part):
    """The tokens of the list mixed: part of v's, the rest of u's."""

    def patched(u, v, tokens, at, steps, beta, dt):
        u, v = flow_both(u, v, at, beta, dt)
        return march(swap_tokens(u, part * v + (1 - part) * u, tokens), steps - at, beta, dt)

    return patched


def mean_of_runs(u, v, tokens, at, steps, beta, dt):
    """A run for each token, and their mean."""
    u, v = flow_both(u, v, at, beta, dt)
    return torch.stack([march(swap_tokens(u, v, [t]), steps - at, beta, dt) for t in tokens]).mean(0)


patch.wrong_ways(
    counted_from_1=(
        chosen(lambda tokens, n: [t - 1 for t in tokens]),
        "You replace the tokens before those of the list, as if they were counted from 1. They are counted from 0.",
    ),
    first_of_the_list=(
        chosen(lambda tokens, n: tokens[:1]),
        "Only the first token of the list is replaced. All of them are.",
    ),
    last_of_the_list=(
        chosen(lambda tokens, n: tokens[-1:]),
        "Only the last token of the list is replaced. All of them are, in one run.",
    ),
    first_tokens=(
        chosen(lambda tokens, n: list(range(len(tokens)))),
        "You replace the first tokens of the field, as many as the list has. The list says which tokens.",
    ),
    all_of_v=(
        lambda u, v, tokens, at, steps, beta, dt: march(v, steps, beta, dt),
        "This is v(T): all tokens come from v. Only those of the list are replaced, in u.",
    ),
    half_way=(mixed(0.5), "You put in the mean of both fields. A patch replaces: the token is that of v, whole."),
    usual_dt=(
        lambda u, v, tokens, at, steps, beta, dt: march(
            swap_tokens(*flow_both(u, v, at, beta, 0.25), tokens), steps - at, beta, 0.25
        ),
        "Your steps have Δt = 0.25 whatever dt is. Hand the argument on: step(u, beta, dt).",
    ),
    no_dt=(
        lambda u, v, tokens, at, steps, beta, dt: march(
            swap_tokens(*flow_both(u, v, at, beta, 1.0), tokens), steps - at, beta, 1.0
        ),
        "Your steps have Δt = 1. The length is an argument, dt.",
    ),
    mean_of_runs=(
        mean_of_runs,
        "You make one run for each token of the list, and take their mean. All tokens of the list are replaced "
        "together, in one run.",
    ),
    two_steps_late=(
        lambda u, v, tokens, at, steps, beta, dt: march(
            swap_tokens(*flow_both(u, v, at, beta, dt), tokens), steps - at + 1, beta, dt
        ),
        "The field has taken one step more than `steps` in all. After the patch there are steps − at.",
    ),
    v_made_of_u=(
        lambda u, v, tokens, at, steps, beta, dt: march(
            swap_tokens(march(u, at, beta, dt), march(u, at + 1, beta, dt), tokens), steps - at, beta, dt
        ),
        "Your v is made of u: each of the two fields takes steps of its own, v = step(v, …).",
    ),
    not_flowing_before=(
        lambda u, v, tokens, at, steps, beta, dt: march(
            swap_tokens(u, march(v, at, beta, dt), tokens), steps - at, beta, dt
        ),
        "u does not flow before the patch in yours: both fields take `at` steps.",
    ),
    unmoved_before=(
        lambda u, v, tokens, at, steps, beta, dt: march(swap_tokens(u, v, tokens), steps - at, beta, dt),
        "No field flows before the patch in yours: both take `at` steps.",
    ),
)


def ask_patched(answer, *inputs):
    """A whole field, (token, feature)."""
    mine = as_tensor(answer(*inputs), "patched")
    if mine.shape != inputs[0].shape:
        raise CheckFailed(f"patched must return a whole field, {tuple(inputs[0].shape)}, got {tuple(mine.shape)}")
    return mine


@patch.law
def never_at_the_end(answer, generator):
    """With at = steps the patch is made after the last step. Yours never makes it: is it in a loop that ends before?"""
    u, v, tokens, _, n, beta, dt = two_fields(generator)
    return bool((ask_patched(answer, u, v, tokens, n, n, beta, dt) - march(u, n, beta, dt)).abs().max() > 1e-6)


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


def ratio(made, way):
    """⟨made, way⟩/|way|² of each token."""
    return share_along(made, way, way.square().sum(-1))


def below_0(z):
    """z, where an entry is below 0; there is nothing to see otherwise."""
    return z if z.min() < -0.01 else None


shares.wrong_ways(
    sign=(
        lambda changed, start, goal: ratio(start - changed, goal - start),
        "The sign is turned: it is changed − start, what the patch made.",
    ),
    percent=(
        lambda changed, start, goal: 100 * ratio(changed - start, goal - start),
        "These are percent. A full patch has the share 1, not 100.",
    ),
    column=(
        lambda changed, start, goal: ratio(changed - start, goal - start)[:, None],
        "Your result has a second axis: the shape is (token,), so no keepdim and no [:, None] in the end.",
    ),
    cut_off=(
        lambda changed, start, goal: below_0(ratio(changed - start, goal - start)).clamp(0, 1),
        "You cut the shares off at 0 and 1. A patch can move a token away from the goal or beyond it: shares "
        "may be negative "
        "or above 1.",
    ),
    not_negative=(
        lambda changed, start, goal: below_0(ratio(changed - start, goal - start)).clamp(min=0),
        "You cut the shares off at 0. A patch can move a token away from the goal: shares may be negative.",
    ),
    absolute=(
        lambda changed, start, goal: below_0(ratio(changed - start, goal - start)).abs(),
        "You took the absolute value. A patch can move a token away from the goal: shares may be negative.",
    ),
    quotients=(
        lambda changed, start, goal: ((changed - start) / (goal - start)).mean(-1),
        "You divided feature by feature and took the mean. Take the scalar product with the way, and divide "
        "once by its square.",
    ),
    sum_of_quotients=(
        lambda changed, start, goal: ((changed - start) / (goal - start)).sum(-1),
        "You divided feature by feature. Take the scalar product with the way, and divide once by its square.",
    ),
    way_from_changed=(
        lambda changed, start, goal: ratio(changed - start, goal - changed),
        "Your way goes from changed to goal. The way that the token had to go is from start to goal.",
    ),
    square_of_the_goal=(
        lambda changed, start, goal: share_along(changed - start, goal - start, goal.square().sum(-1)),
        "You divide by |goal|². The way is a difference: |goal − start|².",
    ),
    along_the_goal=(
        lambda changed, start, goal: share_along(changed - start, goal, (goal - start).square().sum(-1)),
        "You multiply by goal. The way is a difference: goal − start.",
    ),
    product_alone=(
        lambda changed, start, goal: ((changed - start) * (goal - start)).sum(-1),
        "This is the product alone: divide by the square of the way.",
    ),
    mean_over_features=(
        lambda changed, start, goal: ((changed - start) * (goal - start)).mean(-1) / (goal - start).square().sum(-1),
        "You took the mean over the features above the line, and the sum below it. Both are sums.",
    ),
)


@shares.law
def parts_of_the_way(answer, generator):
    """Go a part of the way, another one for each token, and the shares must be these parts."""
    _, start, goal = three_fields(generator)
    parts = torch.tensor([0.0, 1.0, -0.5, 0.25], dtype=torch.float64)
    mine = as_tensor(answer(start + parts[:, None] * (goal - start), start, goal), "restored_shares")
    off = (mine - parts).abs().max() if mine.shape == (4,) else torch.tensor(torch.inf)
    if 1e-6 < off < 0.01:
        return f"Yours miss by {off:.1g}: is there an ε in the divisor? Choose by `where` instead, it must be exact."
    if off == 0.5 and mine[2] == 0:
        return "A patch that leads away from the goal has a negative share: yours are cut off at 0."
    return bool(off < 1e-6) or f"They are {parts.tolist()}, and yours are {mine.tolist()}."


@shares.law
def no_way(answer, generator):
    """Where start and goal agree there is no way to go, and the share must be 0: yours divides 0 by 0 or by something
    else that does not give 0."""
    changed, start, goal = three_fields(generator)
    goal[1], changed[1] = start[1], start[1]
    mine = as_tensor(answer(changed, start, goal), "restored_shares")
    return bool(mine.isfinite().all()) and abs(mine[1].item()) < 1e-6


def mismatch_inputs(generator):
    """u, w (3, 2), ε, at, steps, β: all that matters is large."""
    return draw(generator, 3, 2), draw(generator, 3, 2), 0.7, 2, 5, 0.8


def runs(u, w, eps, at, steps, beta, v=None):
    """u(T), v(T) and the ends of all single patches."""
    v = u + eps * w if v is None else v
    there = flow_both(u, v, at, beta, 0.25)
    single = [march(swap_tokens(*there, [j]), steps - at, beta, 0.25) for j in range(len(u))]
    return march(u, steps, beta, 0.25), march(v, steps, beta, 0.25), single


def missed(measure=lambda D: D.abs().max(), taken=1.0, whole=1.0, v=None, begin=False):
    """|D| with something else in it: how often u(T) is taken off, how much of the whole is."""

    def way(u, w, eps, at, steps, beta):
        start, goal, single = runs(u, w, eps, 0 if begin else at, steps, beta, None if v is None else v(u, w, eps))
        return measure(sum(z - taken * start for z in single) - whole * (goal - start))

    return way


def parts_of_it(combine):
    """A number from u(T), v(T) and the single ends."""
    return lambda u, w, eps, at, steps, beta: combine(*runs(u, w, eps, at, steps, beta)).abs().max()


parts = Exercise(
    "9.4",
    cell="mismatch",
    inputs=mismatch_inputs,
    hints=(
        "All you need is `patched`: with no token, with each single token, with all tokens.",
        "u(T) = patched(u, v, [], …), and v(T) = patched(u, v, all tokens, …).",
        "Add patched(u, v, [j], …) − u(T) over all j, subtract v(T) − u(T), then abs().max().",
    ),
)


parts.wrong_ways(
    start_not_taken_off=(
        missed(taken=0.0),
        "u(T) is not subtracted from each p(T): the effect of a patch is p(T) − u(T).",
    ),
    start_taken_off_once=(
        parts_of_it(lambda start, goal, single: sum(single) - start - (goal - start)),
        "u(T) is subtracted once from the sum. It belongs to each of the patches: p(T) − u(T), then the sum.",
    ),
    whole_not_subtracted=(missed(whole=0.0), "The whole is not subtracted: v(T) − u(T), what all patches together do."),
    whole_added=(missed(whole=-1.0), "The sign of the whole is wrong: minus (v(T) − u(T))."),
    start_not_in_the_whole=(
        parts_of_it(lambda start, goal, single: sum(z - start for z in single) - goal),
        "u(T) is not taken off the whole: it is v(T) − u(T).",
    ),
    start_added_to_the_whole=(
        parts_of_it(lambda start, goal, single: sum(z - start for z in single) - (goal + start)),
        "The sign of u(T) in the whole is wrong: it is v(T) − u(T).",
    ),
    no_eps=(missed(v=lambda u, w, eps: u + w), "ε is not used: v = u + ε w."),
    v_without_u=(missed(v=lambda u, w, eps: eps * w), "Your v is ε w. It is u + ε w: the u is missing."),
    v_is_w=(missed(v=lambda u, w, eps: w), "Your v is w itself. It is u + ε w."),
    minus_eps=(missed(v=lambda u, w, eps: u - eps * w), "Your v is u − ε w: the sign is plus."),
    square_of_eps=(missed(v=lambda u, w, eps: u + eps**2 * w), "Your v is u + ε² w: ε stands there once."),
    patched_at_the_beginning=(missed(begin=True), "You patched at the beginning: `at` is not used."),
    sum_of_all=(missed(lambda D: D.abs().sum()), "This is the sum of all |D|. The largest is asked for."),
    mean_of_all=(missed(lambda D: D.abs().mean()), "This is the mean of all |D|. The largest is asked for."),
    length=(missed(lambda D: D.norm()), "This is the length of D, its norm. The largest |D| is asked for."),
    square=(missed(lambda D: D.square().max()), "This is the square of the largest |D|."),
    largest_with_its_sign=(
        missed(lambda D: D.max() if D.max() < D.abs().max() else None),
        "You took max(D) without the absolute value: take abs first, for D may be negative.",
    ),
    smallest_with_its_sign=(
        missed(lambda D: D.min()),
        "You took min(D). The largest absolute value is asked for.",
    ),
    divided_by_eps=(
        lambda *given: missed()(*given) / given[2],
        "You divided by ε. D is asked for as it is.",
    ),
    divided_by_the_square=(
        lambda *given: missed()(*given) / given[2] ** 2,
        "You divided by ε². D is asked for as it is.",
    ),
    relative=(
        lambda *given: missed()(*given) / parts_of_it(lambda start, goal, single: goal - start)(*given),
        "You divided by the whole effect. D is asked for as it is.",
    ),
    mean_over_the_patches=(
        parts_of_it(lambda start, goal, single: sum(z - start for z in single) / len(single) - (goal - start)),
        "You took the mean over the patches. Their effects are added: the sum.",
    ),
    largest_patch=(
        parts_of_it(
            lambda start, goal, single: max((z - start for z in single), key=lambda z: z.abs().max()) - (goal - start)
        ),
        "Only one of the patches counts in yours. The effects of all single patches are added: the sum.",
    ),
    first_left_out=(
        parts_of_it(lambda start, goal, single: sum(z - start for z in single[1:]) - (goal - start)),
        "The first token is left out: all tokens are patched, from 0 on.",
    ),
    last_left_out=(
        parts_of_it(lambda start, goal, single: sum(z - start for z in single[:-1]) - (goal - start)),
        "The last token is left out: all tokens are patched, up to len(u) − 1.",
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
