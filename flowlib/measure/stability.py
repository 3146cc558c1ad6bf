"""How fast small differences grow along a flow, and the step at which a scheme loses that flow.

    δ' = J δ,   J = ∂f/∂u.      Euler:  δ ↦ (I + Δt J) δ.      A direction with the rate λ is multiplied by 1 + Δt λ.

A velocity here is any function u ↦ f(u) of torch operations, (…) → (…); all of u counts as one long vector.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from flowlib.arguments import check_whole, describe
from flowlib.measure.inputs import check_callable, check_field, check_positive, check_tensor, finite, number, same_shape

Velocity = Callable[[Tensor], Tensor]
LARGEST = 4096  # numbers in u for which a whole Jacobian is still reasonable: 128 MB in float64


def jacobian(velocity: Velocity, u: Tensor) -> Tensor:
    """J = ∂f/∂u as a matrix (n, n), n = numbers in u; row: what is moved, column: what moves it.

    Error: exact. Raises: ValueError where u has more than 4096 numbers (use `lipschitz` or `token_rates` there).
    """
    velocity = same_shape(velocity, u)
    check_field(u, "u", "(…)", 0)
    if u.numel() > LARGEST:
        raise ValueError(
            f"a Jacobian of {u.numel()} × {u.numel()} is too large (at most {LARGEST}); `lipschitz` and `token_rates` "
            "need none, or take fewer tokens"
        )
    with plain_attention():
        return torch.func.jacrev(lambda x: velocity(x.reshape(u.shape)).flatten())(u.flatten())


def rates(velocity: Velocity, u: Tensor) -> Tensor:
    """The eigenvalues λ of J at u, (n,), complex: how fast each direction grows (Re λ > 0) or dies out, per unit of t.

    Error: exact for a normal J; of a J far from normal, eigenvalues are sensitive, and say nothing of short times.
    Raises: as `jacobian`; ValueError where J is not finite.
    """
    return torch.linalg.eigvals(finite(jacobian(velocity, u), "the Jacobian"))


def token_rates(velocity: Velocity, u: Tensor) -> Tensor:
    """The eigenvalues of ∂f_i/∂u_i for each token i: u (token, feature) → (token, feature), complex.

    Where no token hears a later one (a causal kernel, or a term that is local), J is block triangular, and these are
    all its eigenvalues: `rates`, without the whole matrix.
    Error: exact. Raises: ValueError for u that is not (token, feature), and where a ∂f_i/∂u_i is not finite.
    """
    velocity = same_shape(velocity, u)
    check_field(u)
    if u.ndim != 2:
        raise ValueError(f"token_rates needs u (token, feature), got {tuple(u.shape)}; take one text at a time")

    def alone(i: int) -> Tensor:
        here = lambda x: velocity(torch.cat([u[:i], x[None], u[i + 1 :]]))[i]
        return torch.func.jacrev(here)(u[i])

    with plain_attention():
        return torch.linalg.eigvals(finite(torch.stack([alone(i) for i in range(len(u))]), "the Jacobian"))


def lipschitz(velocity: Velocity, u: Tensor, iterations: int = 500, tolerance: float = 1e-5, seed: int = 0) -> float:
    """max |Jδ| / |δ|, the largest singular value of J at u: how fast any small difference can grow, for a moment.

    Power iteration δ ← Jᵀ J δ (a product forwards, one backwards); it ends when the value stands still.
    Error: from below; `tolerance` is that of the last change, and more is left where the next value is near.
    Raises: ValueError where it still moves after `iterations`, or is not finite, and for a tolerance that is not > 0.
    """
    velocity = same_shape(velocity, u)
    check_field(u, "u", "(…)", 0)
    check_whole(iterations, "iterations")
    check_positive(tolerance, "tolerance")
    generator = torch.Generator().manual_seed(seed)
    v = torch.randn(u.shape, generator=generator, dtype=torch.float64).to(u)
    size = 0.0
    with plain_attention():
        backwards = torch.func.vjp(velocity, u)[1]
        for _ in range(iterations):
            v = v / v.norm()
            forwards = torch.func.jvp(velocity, (u,), (v,))[1]
            before, size = size, finite(forwards, "Jδ").norm().item()
            if size == 0 or abs(size - before) <= tolerance * size:
                return size
            v = backwards(forwards)[0]
    raise ValueError(
        f"the largest singular value must stand still, and after {iterations} iterations it moved from {before:.8g} to "
        f"{size:.8g}; give more of them, or a larger tolerance"
    )


def critical_step(rate: Tensor | complex, outward: float = 0.0) -> float:
    """The longest step with which Euler and a projection keep every dying direction (Re λ < 0) dying:

        Δt_c = min over Re λ < 0 of   −2 Re λ / (|λ + a|² − a²),     ∞ where that is not positive.

    rate     eigenvalues λ of the velocity that is tangent to S, per unit of t
    outward  a = ⟨f, u⟩ / ⟨u, u⟩, how strongly the free velocity f points out of S at u. A step and a projection onto a
             sphere (S1 is one) multiply by (1 + Δt (λ + a)) / (1 + Δt a). Without a projection, or where the velocity
             is made tangent first, a = 0: Δt_c = −2 Re λ / |λ|², and 2/|λ| for a real λ.
    Error: exact at an equilibrium with one a for all tokens; along a trajectory a statement about the next step only.
           It says nothing of growing directions, nor of what a J far from normal does before its rates rule.
    Raises: ValueError for rates that are not finite.
    Source: Dahlquist's test equation (Hairer, Wanner, Solving Ordinary Differential Equations II, IV.2); a by us.
    """
    if not isinstance(rate, Tensor | complex | float | int) or isinstance(rate, bool):
        raise TypeError(f"rate must be a tensor of eigenvalues, or one of them, got {describe(rate)}")
    z, outward = torch.as_tensor(rate).flatten().to(torch.complex128), number(outward, "outward")
    if not torch.isfinite(torch.view_as_real(z)).all():
        raise ValueError("rates must be finite, got NaN or infinity; look at the field they were taken at")
    z = z[z.real < -1e-9 * z.abs().clamp(min=1)]  # what only round-off makes die
    room = (z + outward).abs() ** 2 - outward**2
    steps = torch.where(room > 0, -2 * z.real / room, math.inf)
    return steps.min().item() if len(steps) else math.inf


def outward(velocity: Velocity, u: Tensor) -> Tensor:
    """a = ⟨f, u⟩ / ⟨u, u⟩ for each token, (…, token), u centred as on S1: > 0 where f lengthens u. `f` is the free one.

    Error: exact for S1 with mean 0; for the sphere it is the same without centring, which changes nothing there.
    """
    velocity = same_shape(velocity, u)
    check_field(u)
    centred = u - u.mean(-1, keepdim=True)
    return (velocity(u) * centred).sum(-1) / centred.square().sum(-1)


def growth(step: Velocity, u: Tensor) -> float:
    """The spectral radius of a map's Jacobian at its fixed point u: below 1, small differences die out under the map.

    For step = one step of a scheme this is the truth that `critical_step` predicts from the velocity alone.
    Error: exact. Raises: as `rates`.
    """
    return rates(same_shape(step, u, "step"), u).abs().max().item()


def breaking_step(rests: Callable[[float], bool], low: float, high: float, tolerance: float = 0.01) -> float:
    """The step at which a scheme breaks, found by running it: rests(Δt) says whether the scheme comes to rest with Δt.

    Bisection (of log Δt) between `low`, which must hold, and `high`; ∞ where `high` holds, too.
    Error: relative `tolerance`, or round-off. Raises: ValueError where `low` does not hold, and for a tolerance that is
    not > 0 or steps that are not 0 < low < high < ∞.
    """
    check_callable(rests, "rests", "a function Δt ↦ whether the scheme comes to rest")
    check_positive(tolerance, "tolerance")
    check_positive(low, "low")
    if number(high, "high") <= low:
        raise ValueError(f"the steps must be low < high, got {low} and {high}")
    if not rests(low):
        raise ValueError(f"the scheme must come to rest at the shortest step, {low:g}, and does not; take a shorter")
    if rests(high):
        return math.inf
    while high / low > 1 + tolerance and low < (middle := math.sqrt(low) * math.sqrt(high)) < high:
        low, high = (middle, high) if rests(middle) else (low, middle)
    return math.sqrt(low) * math.sqrt(high)


def sharpness(
    loss: Callable[[], Tensor],
    parameters: Sequence[Tensor],
    iterations: int = 100,
    tolerance: float = 1e-3,
    seed: int = 0,
) -> float:
    """The eigenvalue of the loss's Hessian that is largest in size, by power iteration (two passes backwards each).

    Gradient descent is Euler for θ' = −∇loss: its rates are minus the eigenvalues, its critical step 2 / the largest.
    Error: relative `tolerance` in the last change. Raises: ValueError where it still moves after `iterations` or is not
    finite, for a tolerance that is not > 0, and for a loss that does not depend on a parameter.
    Source: Cohen et al., arXiv:2103.00065.
    """
    parameters = check_loss(loss, parameters)
    check_whole(iterations, "iterations")
    check_positive(tolerance, "tolerance")
    generator = torch.Generator().manual_seed(seed)
    v = [torch.randn(p.shape, generator=generator).to(p) for p in parameters]
    found = math.nan
    with plain_attention(), torch.enable_grad():
        gradient = slopes_of(loss, parameters, create_graph=True)[1]
        if not any(g.requires_grad for g in gradient):  # a loss that is linear
            return 0.0
        for _ in range(iterations):
            length = math.sqrt(sum(finite(x, "the Hessian times v").square().sum().item() for x in v))
            if length == 0:
                return 0.0
            v = [x / length for x in v]
            product = _curve(gradient, parameters, v)
            before, found = found, sum((x * y).sum().item() for x, y in zip(v, product))
            if abs(found - before) <= tolerance * abs(found):
                return found
            v = product
    raise ValueError(
        f"the sharpness must stand still, and after {iterations} iterations it moved from {before:.6g} to {found:.6g}; "
        "give more of them, or a larger tolerance"
    )


def _curve(gradient: Sequence[Tensor], parameters: Sequence[Tensor], v: Sequence[Tensor]) -> list[Tensor]:
    """The Hessian times v, a tensor for each parameter."""
    curved = [(g, x) for g, x in zip(gradient, v) if g.requires_grad]
    return list(
        torch.autograd.grad(
            [g for g, _ in curved], parameters, [x for _, x in curved], retain_graph=True, materialize_grads=True
        )
    )


def check_loss(loss: object, parameters: Sequence[Tensor]) -> list[Tensor]:
    """The parameters as a list. Raises: TypeError, ValueError for what a gradient cannot be taken of."""
    check_callable(loss, "loss", "a function () ↦ the loss")
    if isinstance(parameters, Tensor | str) or not hasattr(parameters, "__iter__"):
        raise TypeError(
            f"parameters must be a list of tensors, got {describe(parameters)}; try [p] or module.parameters()"
        )
    found = list(parameters)
    for p in found:
        check_tensor(p, "every parameter")
        if not p.requires_grad:
            raise ValueError(f"every parameter must have requires_grad=True, got {describe(p)} without")
    if not found:
        raise ValueError("parameters must hold at least one tensor, got none; a generator is empty once it was used")
    return found


def slopes_of(
    loss: Callable[[], Tensor], parameters: Sequence[Tensor], create_graph: bool = False
) -> tuple[float, list[Tensor]]:
    """The loss, and ∇loss, a tensor for each parameter. Raises: TypeError, ValueError for what is no loss of them."""
    value = loss()
    if not isinstance(value, Tensor) or value.numel() != 1 or not value.requires_grad:
        raise TypeError(
            f"loss must give one number with a gradient, got {describe(value)}; is it made from the parameters?"
        )
    found = torch.autograd.grad(value.sum(), parameters, create_graph=create_graph, allow_unused=True)
    if unused := [k for k, g in enumerate(found) if g is None]:
        raise ValueError(f"loss must depend on every parameter, but does not on number {unused[0]}; leave it out")
    return value.item(), list(found)


@contextmanager
def plain_attention() -> Iterator[None]:
    """torch's fused attention has no derivative forwards, and no second one: inside, the plain formula is used.

    What torch 2.15 says of its own torch.jit.script when it first takes a derivative forwards is not shown.
    """
    with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
        yield
