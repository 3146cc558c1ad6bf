"""One call at the top of a notebook: the same seeds, the same figures, the same digits for every reader."""

import random

from flowlib.cores import count_cores
from flowlib.notebook.figures import palette


def setup(seed: int = 0, threads: int = 2) -> None:
    """Seed torch, numpy and random; set figure style, printed digits and the number of torch threads.

    Works alike in JupyterLab, VS Code, Colab and under nbval, and prints nothing. For the first code cell.

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
    torch.set_num_threads(min(threads, count_cores()))
    torch.set_printoptions(precision=4, sci_mode=False, linewidth=100)
    numpy.set_printoptions(precision=4, suppress=True, linewidth=100)
    matplotlib.rcdefaults()  # a dark style or LaTeX, which the reader's own settings may ask for, is not ours
    matplotlib.rcParams.update(palette.STYLE)
    matplotlib.rcParams["axes.prop_cycle"] = cycler(color=palette.SERIES)
