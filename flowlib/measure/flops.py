"""Floating-point operations, counted and not estimated."""

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from flowlib.measure.inputs import check_callable

# torch counts the fused kernels of a GPU; those of a CPU it does not know.
ON_CPU = {
    "_scaled_dot_product_flash_attention_for_cpu": lambda q, k, v, *rest, **_: sdpa_flop_count(q, k, v),
    "_scaled_dot_product_flash_attention_for_cpu_backward": lambda grad, q, k, v, *rest, **_: sdpa_backward_flop_count(
        grad, q, k, v
    ),
}


def flops(call: Callable[[], object]) -> int:
    """Floating-point operations of one call: matrix products and attention, two for each product and sum.

    A causal kernel counts whole, as is usual, although half of it is never computed.
    """
    check_callable(call, "call", "a function without arguments, as lambda: model(u)")
    aten = torch.ops.aten
    known = {getattr(aten, name): formula for name, formula in ON_CPU.items() if hasattr(aten, name)}
    with FlopCounterMode(display=False, custom_mapping=known) as counter:
        call()
    return counter.get_total_flops()
