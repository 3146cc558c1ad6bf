"""A check of a reader's own splitting scheme: what its table must hold, said in words before it is run."""

import math

from flowlib.checks.compare import CheckFailed, confirm
from flowlib.flow.conditions import backward, order_of, shares
from flowlib.flow.splitting import Scheme


def check_scheme(scheme: Scheme, terms: int = 2) -> int:
    """The order that the table has with exact substeps; prints what the table says, or raises with what is wrong.

    Raises: CheckFailed where paths are missing or are no paths, a share is not finite, a term's shares do not sum to 1,
    or the declared order is more than the table has.
    """
    paths = scheme.paths(terms)
    if not paths:
        raise CheckFailed(f"{scheme.name}: the table has no path, so nothing would move. Return a list of paths")
    for path in paths:
        check_path(scheme.name, path, terms)
    for i, share in enumerate(shares(scheme, terms)):
        if abs(share - 1) > 1e-9:
            raise CheckFailed(
                f"{scheme.name}: term {i} gets the share {share:.6g} of a step, and must get 1 in all (each path's "
                "shares times its weight, summed). Otherwise another equation is solved"
            )
    order = order_of(scheme, terms)
    if scheme.order > order:
        raise CheckFailed(
            f"{scheme.name}: it says order {scheme.order}, but with exact substeps its table has order {order}. "
            f"A condition on the words of {order + 1} letters is missed"
        )
    taken = sum(len(path) for _, path in paths)
    back = backward(scheme, terms)
    said = f"; its most negative number is {back:.4g}" if back else "; nothing in it goes backwards"
    confirm(f"{scheme.name}: order {order} with exact substeps, {taken} substeps in a step{said}")
    return order


def check_path(name: str, path, terms: int) -> None:
    """Raises: CheckFailed unless path is (weight, ((term, share), …)) with known terms and finite numbers."""
    try:
        weight, substeps = path
        numbers = [float(weight), *(float(share) for _, share in substeps)]
        known = all(i in range(terms) for i, _ in substeps)
    except (TypeError, ValueError):
        raise CheckFailed(f"{name}: a path is (weight, ((term, share), …)), got {path!r}") from None
    if not known:
        raise CheckFailed(f"{name}: the terms are numbered 0 to {terms - 1}, got a path {path!r}")
    if not all(map(math.isfinite, numbers)):
        raise CheckFailed(f"{name}: weights and shares must be finite, got {path!r}")
