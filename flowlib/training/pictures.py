"""Pictures to classify: scikit-learn's digits, MNIST; and the small movements that they are trained with."""

import hashlib
import zipfile
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from flowlib.training.data import fetch

MNIST_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
MNIST_FILE = "mnist.npz"
MNIST_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"

Split = tuple[Tensor, Tensor]  # pictures (picture, channel, row, column) from 0 to 1, and their classes (picture,)


def load_pictures(name: str) -> tuple[Split, Split, Split]:
    """`digits` or `mnist`, as pictures to train on, to validate on, and to test on.

    Raises: ValueError for another name, ModuleNotFoundError, ConnectionError (nothing to fetch from).
    """
    known = {"digits": digits, "mnist": mnist}
    if name not in known:
        raise ValueError(f"unknown pictures {name!r}; known are {', '.join(known)}")
    return known[name]()


def digits() -> tuple[Split, Split, Split]:
    """1797 handwritten digits of 8 × 8 pixels that come with scikit-learn: 7/10, 1/10, 2/10 of them, mixed.

    Raises: ModuleNotFoundError that says what to install.
    Source: Alpaydin, Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "the digits come with scikit-learn, which is not installed; try: pip install scikit-learn"
        ) from None
    found = load_digits()
    pictures = torch.tensor(found.images / 16, dtype=torch.float32)[:, None]
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0))
    classes = torch.tensor(found.target, dtype=torch.int64)
    first, second, third = order.split([len(order) - 180 - 360, 180, 360])
    take = lambda part: (pictures[part], classes[part])
    return take(first), take(second), take(third)


def mnist() -> tuple[Split, Split, Split]:
    """70 000 handwritten digits of 28 × 28 pixels: 55 000, 5 000 and the 10 000 that have always been the test.

    Read from the folder FLOWLIB_DATA if mnist.npz is there, else fetched once.
    Raises: ValueError (another file in FLOWLIB_DATA, or a damaged one), ConnectionError (offline).
    Source: LeCun, Cortes, Burges, The MNIST database; the file is that of Keras.
    """
    file = fetch("MNIST", MNIST_URL, MNIST_FILE, MNIST_SHA256)
    try:
        with np.load(file, allow_pickle=False) as found:  # numbers only: loading never runs code
            known = [torch.from_numpy(found[name]) for name in ("x_train", "y_train", "x_test", "y_test")]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file} is not the original MNIST ({error}); delete it") from None
    pictures, classes, test, test_classes = known
    ready = lambda x, y: (x[:, None].float() / 255, y.long())
    return ready(pictures[:-5000], classes[:-5000]), ready(pictures[-5000:], classes[-5000:]), ready(test, test_classes)


def describe(name: str, *splits: Split) -> dict[str, Any]:
    """What a run writes down, so that one can tell later whether the pictures were the same."""
    digest = hashlib.sha256()
    for pictures, classes in splits:
        digest.update(pictures.numpy().tobytes())
        digest.update(classes.numpy().tobytes())
    return {"name": name, "pictures": [len(classes) for _, classes in splits], "sha256": digest.hexdigest()}


def warp(
    pictures: Tensor, generator: torch.Generator, *, turn: float = 0.2, stretch: float = 0.1, shift: float = 0.075
) -> Tensor:
    """Each picture as the function I(Mx + c) with M and c drawn near 1 and 0, sampled where its pixels were.

    turn in radians, stretch and shift as shares of the picture's side. Between pixels it is bilinear.
    """
    n = len(pictures)
    draw = lambda size, *shape: size * (2 * torch.rand(n, *shape, generator=generator) - 1)
    angle, factor, move = draw(turn), 1 + draw(stretch, 2), draw(2 * shift, 2)  # torch's pictures are 2 wide
    rows = [
        torch.stack([angle.cos() * factor[:, 0], -angle.sin() * factor[:, 1], move[:, 0]], -1),
        torch.stack([angle.sin() * factor[:, 0], angle.cos() * factor[:, 1], move[:, 1]], -1),
    ]
    at = F.affine_grid(torch.stack(rows, 1), list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, at.to(pictures), mode="bilinear", padding_mode="border", align_corners=False)
