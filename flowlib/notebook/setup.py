"""One call at the top of a notebook: the same seeds, the same figures, the same digits for every reader."""

import math
import os
import random

from flowlib.cores import count_cores
from flowlib.notebook.figures import palette


def setup(seed: int = 0, threads: int = 2) -> None:
    """Seed torch, numpy and random; set figure style, printed digits and the number of torch threads.

    OMP_NUM_THREADS, where it is set, is an upper bound. Works alike in JupyterLab, VS Code, Colab and under nbval, and
    prints nothing. For the first code cell.

    Raises: ValueError where the seed is negative or threads is below 1.
    """
    if seed < 0 or threads < 1:
        raise ValueError(f"setup needs seed >= 0 and threads >= 1; got seed={seed}, threads={threads}")
    import matplotlib
    import numpy
    import torch
    from cycler import cycler

    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(int(min(threads, count_cores(), read_thread_limit())))
    torch.set_printoptions(precision=4, sci_mode=False, linewidth=100)
    numpy.set_printoptions(precision=4, suppress=True, linewidth=100)
    matplotlib.rcdefaults()  # a dark style or LaTeX, which the reader's own settings may ask for, is not ours
    matplotlib.rcParams.update(palette.STYLE)
    matplotlib.rcParams["axes.prop_cycle"] = cycler(color=palette.SERIES)


def read_thread_limit() -> float:
    """The threads that OMP_NUM_THREADS allows, as several notebooks at a time need it; infinite where it is not set.

    Two threads on one core wait for each other: small tensors then take ten times as long.
    """
    try:
        return max(1, int(os.environ["OMP_NUM_THREADS"]))
    except (KeyError, ValueError):
        return math.inf
