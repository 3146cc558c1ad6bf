"""What a scheme's table says of its order, before anything is run.

The flow of A_1 + … + A_n over h has the expansion Σ_w h^m/m! w over all words w = A_j1 … A_jm. A path of substeps has
one, too: the product of the exponentials e^{a_k h A_ik}. A scheme is of order p where both agree in every word of at
most p letters: these are its order conditions. The first says that each term gets the share 1 of a step in all.
"""

import math
from collections.abc import Iterator
from itertools import product

from flowlib.arguments import check_number, check_whole
from flowlib.flow.splitting import Path, Scheme, get_scheme

Word = tuple[int, ...]
MOST = 6  # letters: the words are n + … + n^MOST


def order_of(scheme: str | Scheme, terms: int = 2, most: int = MOST, tolerance: float = 1e-9) -> int:
    """The largest p ≤ most for which the table fulfils all order conditions, with substeps that are exact; 0: none.

    Substeps with an error of their own (Euler, midpoint) may have a lower order together: they are not looked at here.
    Error: exact, for shares and weights right to `tolerance`. Raises: ValueError for fewer than one term.
    Source: Hairer, Lubich, Wanner, Geometric Numerical Integration, III.5 (splitting as words of operators).
    """
    check_number(tolerance, "tolerance", "≥ 0")
    worst: dict[int, float] = {}
    for word, got, wanted in _conditions(scheme, terms, most):
        worst[len(word)] = max(worst.get(len(word), 0.0), abs(got - wanted))
    failed = [p for p, gap in worst.items() if not gap <= tolerance]
    return min(failed, default=most + 1) - 1


def shares(scheme: str | Scheme, terms: int = 2) -> list[float]:
    """Σ_p c_p Σ a_k over the substeps of each term: the share of Δt that it gets in a step, which has to be 1."""
    paths = _paths(scheme, terms)
    return [sum(c * sum(a for j, a in path if j == i) for c, path in paths) for i in range(terms)]


def step_back(scheme: str | Scheme, terms: int = 2) -> float:
    """The most negative number among the shares a_k and the weights c_p, 0 where there is none.

    No scheme of order 3 or more is without one. Source: Sheng, IMA J. Numer. Anal. 9 (1989); Suzuki, J. Math. Phys. 32
    (1991).
    """
    paths = _paths(scheme, terms)
    return min([0.0, *(c for c, _ in paths), *(a for _, path in paths for _, a in path)])


def _paths(scheme: str | Scheme, terms: int) -> list[Path]:
    check_whole(terms, "terms")
    scheme = get_scheme(scheme)
    scheme.check(terms)
    return scheme.paths(terms)


def _conditions(scheme: str | Scheme, terms: int, most: int) -> Iterator[tuple[Word, float, float]]:
    """Each word with the coefficient that the scheme has, and the one that the flow has."""
    check_whole(most, "most")
    found = [(c, _expansion(path, most)) for c, path in _paths(scheme, terms)]
    for length in range(1, most + 1):
        for word in product(range(terms), repeat=length):
            yield word, sum(c * words.get(word, 0.0) for c, words in found), 1 / math.factorial(length)


def _expansion(path: tuple[tuple[int, float], ...], most: int) -> dict[Word, float]:
    """The words of e^{a_1 A_i1} e^{a_2 A_i2} …, in the order in which the substeps are taken."""
    words: dict[Word, float] = {(): 1.0}
    for i, a in path:
        longer: dict[Word, float] = {}
        for word, coefficient in words.items():
            for m in range(most - len(word) + 1):
                key = word + (i,) * m
                longer[key] = longer.get(key, 0.0) + coefficient * a**m / math.factorial(m)
        words = longer
    return words
