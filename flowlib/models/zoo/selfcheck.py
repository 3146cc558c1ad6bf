"""A reading against its original: one small forward pass of both tells whether they are the same map."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

BOUND = 1e-5  # of the largest entry, in float32 and float64
LARGE = 1e-3  # no round-off, whatever a model makes of it
HALF = 16  # units of round-off, in half precision
OURS = ("torch", "transformers", "flowlib")  # packages whose modules and hooks are as they were built


def must_be_equal(
    flow: Callable[[], Tensor],
    original: Callable[[], Tensor],
    module: nn.Module,
    says: str = "its output",
    finer: Callable[[], Tensor] | None = None,
) -> None:
    """Compare what a flow and the module that it was read from make of one input, which both have.

    For as long the module is in evaluation mode; afterwards its modes, its buffers and the random numbers are as found.
    finer: the flow's output in float64, asked for where they differ: a model may make more of round-off than 1e-5 of
    the largest entry, and that of the flow alone says how much.
    Raises: ValueError where they differ by more than round-off, or where the module cannot be run.
    """
    name = type(module).__name__
    with as_found(module):
        try:
            theirs = original()
        except Exception as error:
            raise ValueError(
                f"{name} cannot be run on a small input ({type(error).__name__}: {str(error):.200}), so that its flow "
                "cannot be compared with it; mend it, or read it unchecked with verify=False"
            ) from error
        try:
            ours = flow()
        except Exception as error:
            raise ValueError(
                f"the flow that was read from {name} cannot be run ({type(error).__name__}: {str(error):.200}): its "
                "settings do not fit its parameters; give it the configuration that it was built with"
            ) from error
        gap, bound = _relative_gap(ours, theirs)
        if bound < gap < LARGE and finer is not None:
            bound = max(bound, 4 * _relative_gap(ours, finer())[0])
    if not gap <= bound:
        raise ValueError(
            f"{name} is not what its parameters and settings say: {says} differs from its flow's by up to {gap:.1e} of "
            f"the largest entry (at most {bound:.1e} is round-off); {_tell_changes(module)}; undo the change, or read "
            "it unchecked with verify=False"
        )


@contextmanager
def as_found(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, full precision, no gradients; afterwards all is as before, in the module and around it."""
    modes = [(part, part.training) for part in module.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
    device = next(module.parameters()).device
    devices = [device] if device.type == "cuda" else []
    precision = torch.get_float32_matmul_precision()
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(torch.random.fork_rng(devices=devices))
        if torch.amp.is_autocast_available(device.type):
            stack.enter_context(torch.autocast(device.type, enabled=False))
        stack.callback(torch.set_float32_matmul_precision, precision)
        torch.set_float32_matmul_precision("highest")
        try:
            for part, _ in modes:
                part.training = False
            yield
        finally:
            for part, mode in modes:
                part.training = mode
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)


@contextmanager
def torchs_fast_path(on: bool) -> Iterator[None]:
    """Torch's encoder has two ways to the same numbers; a change to a module may reach only one of them."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(on)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def small_inputs(embed: nn.Module, body: nn.Module) -> dict[str, Tensor]:
    """2 × 7 tokens (more, where a window is wider) that are no padding, or one picture or sound; always the same."""
    generator, like = torch.Generator().manual_seed(0), next(body.parameters())
    if (takes := getattr(embed, "takes", "input_ids")) != "input_ids":
        shape: Any = embed.shape
        return {takes: torch.randn(1, *shape, generator=generator).to(like)}
    known, most = getattr(body.config, "vocab_size", None), getattr(embed, "longest", None)
    if known is None:
        raise ValueError(f"{type(body).__name__} takes no tokens, so it cannot be tried; read it with verify=False")
    window = getattr(body.config, "sliding_window", None) or 0
    longest = window + 2 if 5 < window < 100 else 7  # so many that a window bites, if it is not too wide
    longest = longest if most is None else min(longest, most)
    tokens = torch.randint(0, known, (2, longest), generator=generator)
    padding, end = (getattr(body.config, f"{name}_token_id", None) for name in ("pad", "eos"))
    other = next((k for k in range(known) if k not in (padding, end)), 0)
    for special in (padding, end):
        tokens = tokens if not isinstance(special, int) else torch.where(tokens == special, other, tokens)
    if isinstance(end, int) and 0 <= end < known and end != padding:
        tokens[:, -1] = end  # some heads look where a text ends
    return dict(input_ids=tokens.to(like.device))


def _relative_gap(ours: Tensor, theirs: Tensor) -> tuple[float, float]:
    """The largest difference, relative to the largest entry, and what round-off may make."""
    bound = max(BOUND, HALF * torch.finfo(theirs.dtype).eps if theirs.dtype.itemsize < 4 else 0)
    if ours.shape != theirs.shape:
        return float("inf"), bound
    ours, theirs = ours.cpu().double(), theirs.cpu().double()
    return ((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-30)).item(), bound


def _tell_changes(module: nn.Module) -> str:
    """What in a module is not as its package made it, as far as one can see."""
    found = []
    for name, part in module.named_modules():
        where = name or "the model"
        if not type(part).__module__.startswith(OURS):
            found.append(f"{where} is a {type(part).__name__}")
        if "forward" in vars(part):
            found.append(f"{where} has another forward")
        hooks = (*part._forward_hooks.values(), *part._forward_pre_hooks.values())
        if any(not (getattr(hook, "__module__", None) or "").startswith(OURS) for hook in hooks):
            found.append(f"{where} has a hook")
    rest = "" if len(found) <= 4 else f" and {len(found) - 4} more"
    return ", ".join(found[:4]) + rest or "an activation, an ε or a setting was changed after it was built, perhaps"
