"""Speeds compared: in turns within one run, as ratios, with an interval that assumes nothing of their distribution."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from statistics import median

from flowlib.arguments import check_whole, describe
from flowlib.measure.inputs import check_callable, number


@dataclass(frozen=True)
class Interval:
    """A median with a confidence interval: `coverage` is the least probability that it holds the true median."""

    median: float
    low: float
    high: float
    coverage: float

    def __str__(self) -> str:
        return f"{self.median:.3f} [{self.low:.3f}, {self.high:.3f}]"


def median_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The median, and [x_(j), x_(n−j+1)] for the largest j with 2 P(Bin(n, ½) < j) ≤ 1 − confidence.

    The number of values below the true median is binomial whatever their distribution is, so the interval holds
    with at least that confidence for independent values. Fewer than 6 values cannot give 95 %: then it is
    [smallest, largest], and `coverage` says what that is worth.
    Raises: ValueError for no values, values that are not finite, a confidence that is not between 0 and 1.
    """
    if not hasattr(values, "__len__"):
        raise TypeError(f"values must be a list of numbers, got {describe(values)}")
    values = [number(x, "every value") for x in values]
    if not 0 <= number(confidence, "confidence") <= 1:
        raise ValueError(f"confidence must be from 0 to 1, got {confidence}; 0.95 is 95 %")
    n = len(values)
    if not n:
        raise ValueError("a median needs at least one value, got none")
    ordered = sorted(values)
    outside = lambda j: 2 * sum(comb(n, i) for i in range(j)) / 2**n  # P(fewer than j on one side), both sides
    j = max([1, *(j for j in range(1, n // 2 + 1) if outside(j) <= 1 - confidence)])
    return Interval(median(ordered), ordered[j - 1], ordered[n - j], max(0.0, 1 - outside(j)))


def in_turns(
    calls: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    least_seconds: float = 0.0,
    wait: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
    progress: Callable[[], object] = lambda: None,
) -> dict[str, list[float]]:
    """Seconds of each call in each round: ABC, CBA, BCA, ACB, … so that a slow moment, a drift and the place in a round
    (what the one before has left in the caches) hit all of them alike.

    least_seconds  each is repeated within a round until it takes about that long
    wait           called before the clock is read: torch.cuda.synchronize on a GPU
    """
    if not isinstance(calls, Mapping):
        raise TypeError(f"calls must be a dict of name → function, got {describe(calls)}")
    for name, call in calls.items():
        check_callable(call, f"calls[{name!r}]", "a function without arguments")
    check_whole(rounds, "rounds", 0)
    if rounds < 1 or not calls:
        raise ValueError(f"a comparison needs at least one call and one round, got {len(calls)} and {rounds}")

    def seconds(call: Callable[[], object], repeats: int) -> float:
        wait()
        began = clock()
        for _ in range(repeats):
            call()
        wait()
        return (clock() - began) / repeats

    repeats = {}
    for name, call in calls.items():
        seconds(call, 2)  # warm up: allocations, compilation
        once = seconds(call, 1)
        repeats[name] = max(1, round(least_seconds / once)) if once > 0 else 1
    taken: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for n in range(rounds):
        first = n // 2 % len(names)
        order = names[first:] + names[:first]
        for name in reversed(order) if n % 2 else order:
            taken[name].append(seconds(calls[name], repeats[name]))
            progress()
    return taken


def speed_ratio(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """How fast we are as a multiple of them: the median over rounds of (their seconds / our seconds)."""
    if len(ours) != len(theirs):
        raise ValueError(f"the rounds must be paired, got {len(ours)} and {len(theirs)} of them")
    for name, seconds in (("ours", ours), ("theirs", theirs)):
        if not all(number(x, f"every number of {name}") > 0 for x in seconds):
            raise ValueError(
                f"the seconds of {name} must be > 0, got {min(seconds)}; the clock is too coarse for one call"
            )
    return median_interval([b / a for a, b in zip(ours, theirs)])
