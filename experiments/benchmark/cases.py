"""What is measured: the paper's networks, and the arrays that both sides draw alike."""

import math
from typing import NamedTuple

import numpy as np

TV_WEIGHT = 0.01


class Case(NamedTuple):
    """One network (docs/method.md).

    Attributes:
        image_shape: (h, w, c).
        latent_dim: k, length of z.
        turn_steps: timed steps of one turn of the network alone.
        target: PyTorch / JAX that the network alone should reach at least.
        fits: m of the dense A in section `fit` -> what a whole step should reach at least, by the dtype of A.
    """

    image_shape: tuple[int, int, int]
    latent_dim: int
    turn_steps: int
    target: float
    fits: dict[int, dict[str, float]]


CASES = {
    "xray": Case(
        (256, 256, 1), 128, 10, 1.6, {2000: {"float32": 1.5, "float16": 1.9}, 8000: {"float32": 1.3, "float16": 1.8}}
    ),
    "retino": Case((128, 128, 3), 32, 30, 1.5, {2000: {"float32": 1.5, "float16": 1.9}}),
    "mnist": Case((28, 28, 1), 128, 60, 2.6, {100: {"float32": 2.0}}),
}


class TermCase(NamedTuple):
    """The measurement term alone, for one image and for several that share A.

    Attributes:
        image_shape: (h, w, c).
        num_measurements: m of the dense A.
        images: how many share it.
    """

    image_shape: tuple[int, int, int]
    num_measurements: int
    images: int


TERM_CASES = {"small": TermCase((32, 32, 1), 100, 2), "xray": TermCase((256, 256, 1), 2000, 8)}


class LassoCase(NamedTuple):
    """A photograph to be recovered by Lasso-DCT at the paper's alpha.

    Attributes:
        image_shape: (h, w, 1).
        num_measurements: m of the dense A.
        target: scikit-learn / JAX that should be reached at least.
    """

    image_shape: tuple[int, int, int]
    num_measurements: int
    target: float


LASSO_CASES = {
    "small": LassoCase((32, 32, 1), 100, 1.0),
    "photograph": LassoCase((256, 256, 1), 2000, 1.0),
}


def images(count: int, image_shape: tuple[int, int, int]) -> np.ndarray:
    """Random pixels in [-1, 1], [count, h, w, c]: speed does not depend on what they show."""
    return np.random.default_rng(0).uniform(-1, 1, (count, *image_shape)).astype(np.float32)


def matrix(num_measurements: int, image_shape: tuple[int, int, int]) -> np.ndarray:
    """A, [m, n], Gaussian; each process draws it, a copy through a pipe or a file would take longer."""
    pixels = math.prod(image_shape)
    drawn = np.random.default_rng(1).standard_normal((num_measurements, pixels), np.float32)
    drawn /= math.sqrt(num_measurements)
    return drawn
