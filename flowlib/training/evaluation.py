"""The loss of a model on held-out tokens, in nats per token: over all of them, or a quick estimate."""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowlib.models.shape import Steps
from flowlib.training import data


def cross_entropy(
    model: Callable[..., Tensor], tokens: Tensor, targets: Tensor, reduction: str = "mean", steps: Steps = None
) -> Tensor:
    """-log p(target | the tokens before it), averaged or summed over (batch, token).

    It calls `model(tokens, steps)`, not a method of the model, so that it works through accelerate's wrappers too.
    """
    return F.cross_entropy(model(tokens, steps).flatten(0, 1).float(), targets.flatten(), reduction=reduction)


@torch.no_grad()
def _mean_loss(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    device: torch.device | str | None,
    steps: int | None = None,
) -> float:
    was_training = model.training
    model.eval()
    losses, count = [], 0
    for tokens, targets in batches:
        losses.append(cross_entropy(model, tokens.to(device), targets.to(device), "sum", steps))
        count += targets.numel()
    model.train(was_training)
    return sum(torch.stack(losses).tolist()) / count  # read once, so that a GPU need not wait after each batch


def full_loss(
    model: nn.Module,
    tokens: Tensor,
    *,
    context: int,
    size: int = 64,
    device: torch.device | str | None = None,
    steps: int | None = None,
) -> float:
    """The mean loss over every target of `tokens` (token,), in windows that do not overlap. Error: exact.

    steps: of the flow; without a number, the model's own.
    """
    return _mean_loss(model, data.windows(tokens, context, size), device, steps)


def quick_loss(
    model: nn.Module,
    tokens: Tensor,
    *,
    context: int,
    batches: int,
    size: int = 64,
    seed: int = 0,
    device: torch.device | str | None = None,
) -> float:
    """The mean loss over `batches` random batches, the same ones at every call with the same seed.

    Error: statistical, (batches · size)^-½ times the spread of a window's loss.
    """
    draws = (data.batch(tokens, step, size=size, context=context, seed=seed) for step in range(batches))
    return _mean_loss(model, draws, device)


def frequency_loss(seen: Tensor, unseen: Tensor, kinds: int, most: int = 1_000_000) -> float:
    """−mean log p over `unseen`, with p as often as each of so many kinds occurs in `seen` (and once more).

    Of each the first million are taken. Error: statistical, a few thousandths of a nat.
    """
    seen, unseen = (data.numbers(tokens.flatten()[:most]) for tokens in (seen, unseen))
    counts = torch.bincount(seen, minlength=kinds).double() + 1
    return -(counts / counts.sum()).log()[unseen].mean().item()
