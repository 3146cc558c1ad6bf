"""The equation set in motion: terms + constraints + scheme + parameters in depth → a flow and its trajectory.

u_t ∈ Σ_i A_i(u, t) − N_S(t)(u),     u(0) = u0,     0 ≤ t ≤ T
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from flowlib.arguments import check_choice, check_flag, check_number, check_type, check_whole, describe
from flowlib.fields import Grid
from flowlib.flow.context import (
    Context,
    Save,
    check_field,
    check_last,
    check_past,
    check_steps,
    check_values,
    evaluate,
    find_pairs,
    one_each,
    prepare_context,
)
from flowlib.flow.depth import Constant, Depth
from flowlib.flow.splitting import INTEGRATORS, SCHEMES, Scheme, get_scheme, move
from flowlib.flow.trajectory import Increment, Teller, Trajectory, Watch, carry
from flowlib.flow.twin import twin
from flowlib.operators.constraint import Constraint, are_same
from flowlib.operators.past import Past
from flowlib.operators.term import Term, last_of

__all__ = ["Flow", "Increment", "Trajectory", "Watch"]

Act = Callable[..., Tensor]  # (A, u) ↦ A(u), told of the other tokens; last=: of the last tokens
Layer = list[tuple[Term, Constraint | None]]  # the terms of a step, each with the set that it is followed by
AT_ONCE = 64  # steps whose parameters are made together: more than a network has layers


class Flow(nn.Module):
    """u_t ∈ Σ_i A_i(u, t) − N_S(u), split over its terms:   u ↦ P_S(Φ_n(Δt) … P_S(Φ_1(Δt) u)),   Δt = T / steps.

    terms        vector fields A_i, u ↦ A_i(u), (…, token, feature) → the same; the depth keeps copies of them.
                 Each is a `Term`; one with `is_substep = True` is a whole substep (u, h) ↦ Φ(h) u instead.
    constraints  None, one for all terms, or one for each (None where a substep is not followed by a projection).
    scheme       a name in `SCHEMES`, or a Scheme.
    depth        parameters in t: Constant, PerStep, PiecewiseLinear. A step uses those of its midpoint (error O(Δt²)).
    substep      how a term is advanced: "euler" (the skip connection), "midpoint", "heun" or "rk4".
    tangent      False: u moves freely in a substep and is then projected. True: the velocity is projected onto the
                 tangent space of S first; S itself carries u along where it moves (and the projection stays, to
                 remove the drift). This is what makes Strang second order under a constraint.
    horizon, steps   T, and how many steps a call takes; both by default the depth's own number, so that Δt = 1. Steps
                 are equally long, unless the depth has them fitted to its parameters, as `Terraced` does.
    readout      a map of the last field to `Trajectory.final`, as a last norm is.
    Two attributes are for training: `recompute = True` keeps only the field before each step for the backward pass,
    which computes the step again; `checks = False` reads no value of u0 (a GPU would wait for it in every call).

    Error: O(Δt) with "euler" and with tangent=False under a constraint, whatever the scheme; O(Δt²) for a scheme of
    order 2 with "midpoint" or "heun", and without a constraint or with tangent=True.
    torch.compile (fullgraph=True), torch.export (between knots: strict=True) and torch.func.vmap take it, unchecked.
    Raises: TypeError for a term that is no `Term` or a constraint that is no `Constraint`; ValueError for constraints
            that do not match the terms, unknown names, a horizon that is not positive, a scheme with a wrong path.
    Source: arXiv:2510.03989; the tangent form is the course's own (chapter 06 derives and measures it).
    """

    def __init__(
        self,
        terms: Sequence[Term],
        constraints: Constraint | None | Sequence[Constraint | None] = None,
        scheme: str | Scheme = "lie",
        depth: Depth | None = None,
        *,
        substep: str = "euler",
        tangent: bool = False,
        horizon: float | None = None,
        steps: int | None = None,
        readout: nn.Module | None = None,
    ):
        super().__init__()
        constraints = one_each(terms, constraints)
        check_type(depth, "depth", (Depth, type(None)), "a Depth (Constant, PerStep, PiecewiseLinear)")
        check_type(readout, "readout", (nn.Module, type(None)), "a module, or None")
        depth = Constant() if depth is None else depth
        horizon = depth.steps if horizon is None else horizon
        check_number(horizon, "horizon", "> 0")
        self.horizon, self.steps = float(horizon), depth.steps if steps is None else steps
        check_whole(self.steps, "steps")
        self.depth = depth.attach(terms)
        self.constraints = nn.ModuleList(nn.Identity() if c is None else c for c in constraints)
        self.scheme, self.substep, self.tangent, self.readout = get_scheme(scheme), substep, tangent, readout
        self.checks, self.recompute = True, False
        self._check_scheme()

    @property
    def terms(self) -> list[Term]:
        """The terms of the first copy: at other depths they have other parameters, and are the same otherwise."""
        return self.depth.terms(0)

    def forward(
        self,
        u0: Tensor,
        steps: int | None = None,
        *,
        mask: Tensor | None = None,
        valid: Tensor | None = None,
        weights: Tensor | Grid | None = None,
        save: Save = "all",
        past: Past | None = None,
        last: int | None = None,
        watch: Watch | None = None,
    ) -> Trajectory:
        """The trajectory from u0 (…, token, feature) over `steps` steps (default: the flow's own number).

        mask     bool (…, query, key): True = may attend.
        valid    bool (…, token): True = a token, False = padding, which attends to nothing and is not attended to. A
                 mask of shape (…, token) is taken for it where it can be nothing else.
        weights  quadrature weights of the token grid, (…, token), or a Grid: attention integrates with them.
        save     "all" fields, or only the "final" one.
        past     keys and values of earlier tokens, under a causal kernel: u0 then holds only the tokens after them, and
                 their keys and values are added to it.
        last     how many tokens, the last ones, `final` is wanted of: what the last step does to the others after they
                 have been heard is left out (where nobody watches; by Lie and Euler). With save="final".
        watch    called with an `Increment` after each substep, and once with the readout's, if there is one.
        Raises: TypeError for no tensor; ValueError for NaN or infinity in u0, steps < 1, shapes that do not fit, a mask
                that could be `valid`, a token with nothing to attend, a past that would not stay as it was.
        """
        steps = self.steps if steps is None else steps
        check_steps(steps, save)
        self.depth.check_steps(steps)
        check_last(last, save)
        context = self._context(u0, mask, valid, weights)
        if past is not None:
            check_past(past, self.terms, context["mask"], weights)
        if watch is not None and not callable(watch):
            raise TypeError(f"watch must be a function of an Increment, got {describe(watch)}")
        slots = None if past is None else past.begin(steps)
        act, (times, lengths) = partial(evaluate, context=context, slots=slots), self.depth.times(steps, self.horizon)
        u, fields = u0, [u0]
        told = context if past is None else None  # a kernel over a past cannot be made again from the field alone
        for n, (layer, dt) in enumerate(zip(self._layers(steps), lengths)):  # parameters in t, outside the loop
            tell = None if watch is None else Teller(watch, n, told, self.scheme.paths(len(layer)))
            how = (layer, times[n], dt, act, tell, last if n + 1 == steps else None)
            again = self.recompute and torch.is_grad_enabled() and watch is None
            u = checkpoint(self._step, u, *how, use_reentrant=False) if again else self._step(u, *how)
            if save == "all":
                fields.append(u)
        u = last_of(u, last)
        final = u if self.readout is None else self.readout(u)
        if watch is not None and self.readout is not None:
            watch(Increment(steps, "readout", self.readout, u, final, final))
        if save == "final":
            return Trajectory(torch.full((1,), times[-1], dtype=torch.float64), u.unsqueeze(0), final)
        return Trajectory(torch.tensor(times, dtype=torch.float64), torch.stack(fields), final)

    def by(self, scheme: str | Scheme, *, substep: str = "euler", tangent: bool = False) -> "Flow":
        """The same equation with the same parameters (shared, not copied), advanced by another scheme.

        What is set on the one afterwards (a horizon, a readout) is not set on the other.
        Raises: ValueError for unknown names, and for tangent=True where the terms have no one constraint in common.
        """
        flow = twin(self)
        flow.scheme, flow.substep, flow.tangent = get_scheme(scheme), substep, tangent
        flow._check_scheme()
        return flow

    def maps(
        self,
        u0: Tensor,
        steps: int | None = None,
        *,
        mask: Tensor | None = None,
        valid: Tensor | None = None,
        weights: Tensor | Grid | None = None,
    ) -> list[Callable[[Tensor], Tensor]]:
        """The steps one by one, [u(t_n) ↦ u(t_n+1)]: for what is done between them. u0 says which shape is meant.

        Error: exact, the same bits as a call of the flow. Raises: ValueError as a call does.
        """
        steps = self.steps if steps is None else steps
        check_steps(steps, "all")
        self.depth.check_steps(steps)
        act = partial(evaluate, context=self._context(u0, mask, valid, weights))
        return [
            partial(self._step, layer=layer, t=t, dt=dt, act=act)
            for layer, t, dt in zip(self._layers(steps), *self.depth.times(steps, self.horizon))
        ]

    def velocity(
        self,
        u: Tensor,
        t: float,
        *,
        mask: Tensor | None = None,
        valid: Tensor | None = None,
        weights: Tensor | Grid | None = None,
    ) -> Tensor:
        """Σ_i A_i(u, t), made tangent to S(t), plus S's own velocity: the right-hand side that small steps tend to.

        u (…, token, feature) on S(t) → the same. For reference solutions (torchdiffeq) and for looking at single terms.
        Raises: ValueError where the flow has substeps that are no vector fields (the literal reading has no such limit)
                or different constraints (which of them should hold in the limit?).
        """
        check_number(t.item() if isinstance(t, Tensor) and t.ndim == 0 else t, "t")
        terms = self.depth([min(max(float(t) / self.horizon, 0.0), 1.0)])[0]
        if any(term.is_substep for term in terms):
            raise ValueError("this flow has substeps that come from no vector field: no continuous limit Δt → 0")
        sets = [c for c in self._sets if c is not None]
        if not all(are_same(sets[0], c) for c in sets[1:]):
            raise ValueError(f"a velocity needs one constraint, this flow has several: {sets}")
        context = self._context(u, mask, valid, weights)
        total = sum((evaluate(term, u, context) for term in terms), torch.zeros_like(u))
        return sets[0].tangent(u, total, t) + sets[0].velocity(u, t) if sets else total

    @property
    def _sets(self) -> list[Constraint | None]:
        """The set S onto which each substep is projected; None where u stays free."""
        return [c if isinstance(c, Constraint) else None for c in self.constraints]

    def _layers(self, steps: int) -> Iterable[Layer]:
        """The terms in the middle of each step: all at once or, where they are very many, some at a time."""
        depths, sets = self.depth.middles(steps), self._sets
        parts = (self.depth(depths[k : k + AT_ONCE]) for k in range(0, steps, AT_ONCE))
        return (list(zip(terms, sets)) for terms in chain.from_iterable(parts))

    def _step(
        self,
        u: Tensor,
        layer: Layer,
        t: float,
        dt: float,
        act: Act,
        tell: Teller | None = None,
        last: int | None = None,
    ) -> Tensor:
        """One composition of the scheme's substeps, from t to t + dt; of the `last` tokens at least."""
        if tell is None and self.scheme.paths is SCHEMES["lie"].paths and self.substep == "euler" and not self.tangent:
            return self._step_lie(u, layer, t, dt, act, last)
        at = t + dt / 2 if self.tangent else t + dt  # where a moving constraint is taken
        sets = [S for _, S in layer]
        substeps = [partial(self._substep, term, S, at, act, tell) for term, S in layer]
        if self.tangent:
            u = carry(sets[0], u, t, at, tell)
        u = self.scheme.step(substeps, u, dt)
        if len(self.scheme.paths(len(substeps))) > 1 and (end := sets[-1]) is not None:
            mean, u = u, end.project(u, at)  # a mean of points of S is not in S
            if tell is not None:
                tell.of_constraint("projection", mean, u)
        return carry(sets[0], u, at, t + dt, tell) if self.tangent else u

    def _step_lie(self, u: Tensor, layer: Layer, t: float, dt: float, act: Act, last: int | None = None) -> Tensor:
        """`_step` with the same bits for what is taken most: one term after the other, by Euler, and nobody watches."""
        for k, (term, S) in enumerate(layer):
            few = None if last is None or any(later.sees_other_tokens for later, _ in layer[k + 1 :]) else last
            u = last_of(term(u, dt), few) if term.is_substep else move(last_of(u, few), act(term, u, last=few), dt)
            if S is not None:
                u = S.project(u, t + dt)
        return u

    def _substep(
        self, term: Term, S: Constraint | None, at: float, act: Act, tell: Teller | None, u: Tensor, h: float
    ) -> Tensor:
        """P_S(Φ(h) u): one term alone, advanced by h, then projected."""
        moved = term(u, h) if term.is_substep else INTEGRATORS[self.substep](self._velocity(term, S, at, act), u, h)
        after = moved if S is None else S.project(moved, at)
        if tell is not None:
            tell.of_term(term, u, moved, after, h)
        return after

    def _velocity(self, term: Term, S: Constraint | None, at: float, act: Act) -> Callable[[Tensor], Tensor]:
        """u ↦ A(u), made tangent to S where the flow is."""
        if not self.tangent or S is None:
            return partial(act, term)
        return lambda u: S.tangent(u, act(term, u), at)

    def _check_scheme(self) -> None:
        self.scheme.check(len(self.terms))
        check_choice(self.substep, "substep", tuple(INTEGRATORS))
        check_flag(self.tangent, "tangent")
        first = self.constraints[0]
        if self.tangent and (isinstance(first, nn.Identity) or any(c is not first for c in self.constraints)):
            raise ValueError("tangent=True needs one and the same constraint for all terms")

    def _context(self, u0: Tensor, mask: Tensor | None, valid: Tensor | None, weights: Tensor | Grid | None) -> Context:
        """What terms that see other tokens are told of them, in every step alike; says what is wrong with it."""
        check_field(u0)
        pairs = find_pairs(mask, valid, u0)
        terms = self.terms
        if self.checks:
            check_values(u0, pairs, terms)
        return prepare_context(u0, pairs, weights, terms)

    def extra_repr(self) -> str:
        names = ("scheme", "substep", "tangent", "horizon", "steps")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)
