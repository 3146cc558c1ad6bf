"""The equation set in motion: terms + constraints + scheme + parameters in depth → a flow and its trajectory.

u_t ∈ Σ_i A_i(u, t) − N_S(t)(u),     u(0) = u0,     0 ≤ t ≤ T
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from flowlib.fields import Grid
from flowlib.flow.depth import Constant, Depth
from flowlib.flow.splitting import INTEGRATORS, Scheme, get_scheme
from flowlib.operators.attention import Past, check_attended, check_finite, relative_log

AT_ONCE = 64  # steps whose parameters are made together: more than a network has layers


@dataclass(frozen=True)
class Trajectory:
    """u at the times t_0 = 0, …, t_N = T.  times (N+1,), fields (N+1, …, token, feature) with u0 first.

    final: what the flow hands on, (…, token, feature): the last field, through the flow's readout if it has one.
    With save="final" only the last time and field are kept.
    """

    times: Tensor
    fields: Tensor
    final: Tensor

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True)
class Increment:
    """What one substep did to the field:  before → moved (by the term) → after (by the projection).

    step    the number of the step, from 0;  dt: the length of the substep.
    term    the module that moved it; None where a constraint alone acts (it carries u along, or it projects a mean).
    share   the weight of the substep's path in the scheme: 1 where substeps follow each other, less where they run
            side by side. The sum of share · (after − before) over all substeps is u(T) − u(0).
    context what a non-local term is told of the tokens: weights and mask.
    """

    step: int
    term: nn.Module | None
    before: Tensor
    moved: Tensor
    after: Tensor
    share: float = 1.0
    dt: float = 0.0
    context: dict | None = None


Watch = Callable[[Increment], object]


class _Teller:
    """Tells `watch` of one step's substeps, in the order they are taken, each with the weight of its path."""

    def __init__(self, watch: Watch, step: int, context: dict, paths):
        self.watch, self.step, self.context = watch, step, context
        self.shares = iter([share for share, path in paths for _ in path])

    def of_term(self, term: nn.Module, before: Tensor, moved: Tensor, after: Tensor, dt: float) -> None:
        self.watch(Increment(self.step, term, before, moved, after, next(self.shares), dt, self.context))

    def of_constraint(self, before: Tensor, after: Tensor) -> None:
        self.watch(Increment(self.step, None, before, before, after))


class Flow(nn.Module):
    """u_t ∈ Σ_i A_i(u, t) − N_S(u), split over its terms:   u ↦ P_S(Φ_n(Δt) … P_S(Φ_1(Δt) u)),   Δt = T / steps.

    terms        vector fields A_i, u ↦ A_i(u), (…, token, feature) → the same; the depth keeps copies of them.
                 A term with `is_substep = True` is a whole substep (u, h) ↦ Φ(h) u instead.
    constraints  None, one for all terms, or one for each (None where a substep is not followed by a projection).
    scheme       a name in `SCHEMES`, or a Scheme.
    depth        parameters in t: Constant, PerStep, PiecewiseLinear. A step uses those of its midpoint (error O(Δt²)).
    substep      how a term is advanced: "euler" (the skip connection), "midpoint", "heun" or "rk4".
    tangent      False: u moves freely in a substep and is then projected. True: the velocity is projected onto the
                 tangent space of S first; S itself carries u along where it moves (and the projection stays, to
                 remove the drift). This is what makes Strang second order under a constraint.
    horizon      T; by default the depth's own number of steps, so that Δt = 1.
    steps        how many steps a call takes unless told otherwise; by default the depth's own number.
    readout      a map of the last field to `Trajectory.final`, as a last norm is.
    Two attributes are for training: `recompute = True` keeps only the field before each step for the backward pass,
    which computes the step again; `checks = False` reads no value of u0 (a GPU would wait for it in every call).

    Error: O(Δt) with "euler" and with tangent=False under a constraint, whatever the scheme; O(Δt²) for a scheme of
    order 2 with "midpoint" or "heun", and without a constraint or with tangent=True.
    Raises: ValueError for constraints that do not match the terms, unknown names, a horizon that is not positive.
    Source: arXiv:2510.03989; the tangent form is the course's own (chapter 06 derives and measures it).
    """

    def __init__(
        self,
        terms: Sequence[nn.Module],
        constraints=None,
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
        if not len(terms):
            raise ValueError("a flow needs at least one term, got none")
        if not isinstance(constraints, (list, tuple)):
            constraints = [constraints] * len(terms)
        if len(constraints) != len(terms):
            raise ValueError(
                f"one constraint for all terms or one for each: {len(terms)} terms, {len(constraints)} constraints"
            )
        self.depth = (Constant() if depth is None else depth).attach(terms)
        self.horizon = float(self.depth.steps if horizon is None else horizon)
        if not 0 < self.horizon < math.inf:
            raise ValueError(f"the horizon T must be positive and finite, got {horizon}")
        self.steps = self.depth.steps if steps is None else steps
        self.constraints = nn.ModuleList(nn.Identity() if c is None else c for c in constraints)
        self.scheme, self.substep, self.tangent, self.readout = get_scheme(scheme), substep, tangent, readout
        self.checks, self.recompute = True, False
        self._check_scheme()

    def forward(
        self,
        u0: Tensor,
        steps: int | None = None,
        *,
        mask: Tensor | None = None,
        weights: Tensor | Grid | None = None,
        save: str = "all",
        past: Past | None = None,
        watch: Watch | None = None,
    ) -> Trajectory:
        """The trajectory from u0 (…, token, feature) over `steps` steps (default: the flow's own number).

        mask     bool, (…, token): True = a valid token; or (…, query, key): True = may attend. A mask that could be
                 either is read as (…, token). Padded tokens attend to nothing and are not attended to.
        weights  quadrature weights of the token grid, (…, token), or a Grid: attention integrates with them.
        save     "all" fields, or only the "final" one.
        past     keys and values of earlier tokens, under a causal kernel: u0 then holds only the tokens after them, and
                 their keys and values are added to it.
        watch    called with an `Increment` after each substep, and once with the readout's, if there is one.
        Raises: ValueError for NaN or infinity in u0, steps < 1, shapes that do not fit, a token with nothing to attend,
                a past where it does not stay as it was (a kernel that is not causal, a mask, weights, other steps).
        """
        steps = self.steps if steps is None else steps
        context = self._check(u0, steps, mask, weights, save)
        if past is not None:
            self._check_past(mask, weights)
            past.begin(steps)
            context["past"] = past
        dt = self.horizon / steps
        layers = self._layers([(n + 0.5) / steps for n in range(steps)])  # parameters in t, outside the loop
        u, fields = u0, [u0]
        for n, layer in enumerate(layers):
            tell = None if watch is None else _Teller(watch, n, context, self.scheme.paths(len(layer)))
            step = partial(self._step, layer=layer, t=n * dt, dt=dt, context=context, tell=tell)
            again = self.recompute and torch.is_grad_enabled() and watch is None
            u = checkpoint(step, u, use_reentrant=False) if again else step(u)
            if save == "all":
                fields.append(u)
        times = torch.arange(steps + 1, dtype=torch.float64) * dt
        if save == "final":
            times = times[-1:]
        fields = torch.stack(fields) if save == "all" else u.unsqueeze(0)
        final = u if self.readout is None else self.readout(u)
        if watch is not None and self.readout is not None:
            watch(Increment(steps, self.readout, u, final, final))
        return Trajectory(times, fields, final)

    def by(self, scheme: str | Scheme, *, substep: str = "euler", tangent: bool = False) -> "Flow":
        """The same equation with the same parameters (shared, not copied), advanced by another scheme.

        Raises: ValueError for unknown names, and for tangent=True where the terms have no one constraint in common.
        """
        flow = copy.copy(self)
        flow.scheme, flow.substep, flow.tangent = get_scheme(scheme), substep, tangent
        flow._check_scheme()
        return flow

    def maps(self, u0: Tensor, steps: int | None = None, *, mask: Tensor | None = None, weights=None) -> list[Callable]:
        """The steps one by one, [u(t_n) ↦ u(t_n+1)]: for what is done between them. u0 says which shape is meant.

        Error: exact, the same bits as a call of the flow. Raises: ValueError as a call does.
        """
        steps = self.steps if steps is None else steps
        context, dt = self._check(u0, steps, mask, weights, "all"), self.horizon / steps
        layers = self._layers([(n + 0.5) / steps for n in range(steps)])
        return [partial(self._step, layer=layer, t=n * dt, dt=dt, context=context) for n, layer in enumerate(layers)]

    def _layers(self, depths: list[float]):
        """The terms at each of the depths: all at once or, where they are very many, some at a time (less memory)."""
        if len(depths) <= AT_ONCE:
            return self.depth(depths)
        return chain.from_iterable(self.depth(depths[k : k + AT_ONCE]) for k in range(0, len(depths), AT_ONCE))

    def velocity(self, u: Tensor, t: float, *, mask: Tensor | None = None, weights=None) -> Tensor:
        """Σ_i A_i(u, t), made tangent to S(t), plus S's own velocity: the right-hand side that small steps tend to.

        u (…, token, feature) on S(t) → the same. For reference solutions (torchdiffeq) and for looking at single terms.
        Raises: ValueError where the flow has substeps that are no vector fields (the literal reading has no such limit)
                or different constraints (which of them should hold in the limit?).
        """
        terms = self.depth([min(max(float(t) / self.horizon, 0.0), 1.0)])[0]
        if any(getattr(term, "is_substep", False) for term in terms):
            raise ValueError("this flow has substeps that do not come from a vector field, so it has no limit Δt → 0")
        held = [c for c in self.constraints if not isinstance(c, nn.Identity)]
        if len({repr(c) for c in held}) > 1:
            raise ValueError(f"a velocity needs one constraint, this flow has several: {held}")
        context = self._check(u, 1, mask, weights, "all")
        total = sum(_evaluate(term, u, context) for term in terms)
        return held[0].tangent(u, total, t) + held[0].velocity(u, t) if held else total

    def _step(self, u: Tensor, layer, t: float, dt: float, context: dict, tell=None) -> Tensor:
        """One composition of the scheme's substeps, from t to t + dt."""
        at = t + dt / 2 if self.tangent else t + dt  # where a moving constraint is taken
        substeps = [partial(self._substep, term, c, at, context, tell) for term, c in zip(layer, self.constraints)]
        if self.tangent:
            u = self._carry(u, t, at, tell)
        u = self.scheme.step(substeps, u, dt)
        last = self.constraints[-1]
        if len(self.scheme.paths(len(substeps))) > 1 and not isinstance(last, nn.Identity):
            mean, u = u, last.project(u, at)  # a mean of points of S is not in S
            if tell is not None:
                tell.of_constraint(mean, u)
        return self._carry(u, at, t + dt, tell) if self.tangent else u

    def _carry(self, u: Tensor, t0: float, t1: float, tell) -> Tensor:
        """u moved along with S, where S moves."""
        carried = self.constraints[0].carry(u, t0, t1)
        if tell is not None and self.constraints[0].moving:
            tell.of_constraint(u, carried)
        return carried

    def _substep(self, term, constraint, at: float, context: dict, tell, u: Tensor, h: float) -> Tensor:
        """P_S(Φ(h) u): one term alone, advanced by h, then projected."""
        before = u
        if getattr(term, "is_substep", False):
            u = term(u, h)
        else:
            velocity = partial(_evaluate, term, context=context)
            if self.tangent:
                velocity = lambda v: constraint.tangent(v, _evaluate(term, v, context), at)
            u = INTEGRATORS[self.substep](velocity, u, h)
        moved = u
        u = u if isinstance(constraint, nn.Identity) else constraint.project(u, at)
        if tell is not None:
            tell.of_term(term, before, moved, u, h)
        return u

    def _check_scheme(self) -> None:
        if self.substep not in INTEGRATORS:
            raise ValueError(f"unknown substep {self.substep!r}; known: {', '.join(INTEGRATORS)}")
        first = self.constraints[0]
        if self.tangent and (isinstance(first, nn.Identity) or any(c is not first for c in self.constraints)):
            raise ValueError("tangent=True needs one and the same constraint for all terms")

    def _check_past(self, mask, weights) -> None:
        if mask is not None or weights is not None:
            raise ValueError("a past is kept without mask and weights; leave them out, or flow all tokens again")
        terms = (term for term in self.depth.layers[0] if term.sees_other_tokens)
        kernels = [m.causal for term in terms for m in term.modules() if hasattr(m, "causal")]
        if not kernels or any(causal is not True for causal in kernels):
            raise ValueError("a past stays as it was only under a causal kernel (causal=True); flow all tokens again")

    def _check(self, u0, steps, mask, weights, save) -> dict:
        """Everything that can be wrong is said here, once; returns what non-local terms need to know of the tokens."""
        if u0.ndim < 2 or not u0.is_floating_point():
            raise ValueError(f"u0 must be a float field (…, token, feature), got {u0.dtype} of shape {tuple(u0.shape)}")
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ValueError(f"steps must be a whole number ≥ 1, got {steps!r}")
        if save not in ("all", "final"):
            raise ValueError(f"save must be 'all' or 'final', got {save!r}")
        tokens = u0.shape[-2]
        pairs = _pairs(mask, u0)
        if self.checks and not torch.compiler.is_compiling():
            check_finite(u0, "u0")
            causal = any(getattr(m, "causal", False) for m in self.depth.layers[0].modules())
            check_attended(pairs, causal, tokens, tokens)
        context = dict(weights=relative_log(weights, tokens), mask=pairs)
        if any(getattr(m, "needs_points", False) for m in self.depth.layers[0].modules()):
            context["points"] = _points(weights)
        return context

    def extra_repr(self) -> str:
        return f"scheme={self.scheme.name}, substep={self.substep}, tangent={self.tangent}, horizon={self.horizon:g}"


def _evaluate(term, u: Tensor, context: dict) -> Tensor:
    """A(u): only a non-local term is told of the other tokens."""
    return term(u, **context) if term.sees_other_tokens else term(u)


def _points(grid) -> Tensor:
    """Where the tokens are. Raises: ValueError where no grid says it."""
    if not isinstance(grid, Grid):
        raise ValueError(
            "this flow looks at neighbours, so it needs to know where the tokens are: give weights=Grid(…), "
            f"got {type(grid).__name__}"
        )
    return grid.points


def _pairs(mask: Tensor | None, u0: Tensor) -> Tensor | None:
    """A mask of valid tokens (…, token) as one of pairs (…, query, key)."""
    if mask is None:
        return None
    if mask.dtype != torch.bool:
        raise ValueError(f"mask must be bool (True = valid, may attend), got {mask.dtype}; try mask.bool()")
    tokens = u0.shape[-2]
    if mask.shape == u0.shape[:-1] or mask.shape == (tokens,):
        return mask.unsqueeze(-1) & mask.unsqueeze(-2)
    try:
        torch.broadcast_shapes(mask.shape, (*u0.shape[:-1], tokens))
    except RuntimeError:
        raise ValueError(
            f"mask must be (…, token) = {tuple(u0.shape[:-1])} or broadcast to (…, query, key) = "
            f"{(*u0.shape[:-1], tokens)}, got {tuple(mask.shape)}"
        ) from None
    return mask
