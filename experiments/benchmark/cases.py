"""What is measured, and how much of it: networks, dense matrices, the arrays that both sides draw alike."""

import math
from typing import NamedTuple

import numpy as np

TV_WEIGHT = 0.01


class Case(NamedTuple):
    """One network (docs/paper/method.md).

    Attributes:
        image_shape: (h, w, c).
        latent_dim: k, length of z; of a U-Net's latent, its channels.
        turn_steps: timed steps of one turn of the network alone.
        target: PyTorch / JAX that the network alone should reach at least.
        fits: m of the dense A in section `fit` -> what a whole step should reach at least, by the dtype of A.
        unet: settings of a `generators.UNet`; None for a DCGAN.
    """

    image_shape: tuple[int, int, int]
    latent_dim: int
    turn_steps: int
    target: float
    fits: dict[int, dict[str, float]]
    unet: dict[str, int] | None = None

    def steps(self, share: float) -> int:
        """So much of `turn_steps`."""
        return max(2, round(share * self.turn_steps))


CASES = {
    "xray": Case(
        (256, 256, 1), 128, 10, 1.6, {2000: {"float32": 1.5, "float16": 1.9}, 8000: {"float32": 1.3, "float16": 1.8}}
    ),
    "retino": Case((128, 128, 3), 32, 30, 1.5, {2000: {"float32": 1.5, "float16": 1.9}}),
    "mnist": Case((28, 28, 1), 128, 60, 2.6, {100: {"float32": 2.0}}),
    "U-Net, retino": Case((128, 128, 3), 32, 10, 1.3, {}, {"width": 48, "scales": 5, "skip": 4}),
    "U-Net, xray": Case((256, 256, 1), 32, 5, 1.3, {}, {"width": 32, "scales": 6, "skip": 4}),
}


class DenseCase(NamedTuple):
    """A dense A by itself: of `num_measurements` rows, for one image and for so many `images` that share it."""

    image_shape: tuple[int, int, int]
    num_measurements: int
    images: int


DENSE_CASES = {
    "small": DenseCase((32, 32, 1), 100, 2),
    "xray": DenseCase((256, 256, 1), 2000, 8),
    "photograph": DenseCase((256, 256, 1), 2000, 8),
}


class PeerCase(NamedTuple):
    """A photograph of scikit-image, measured by a dense Gaussian A: y = A x, or |A x|.

    Attributes:
        photograph: its name in `csdip_jax.data`'s "demo".
        image_shape: (h, w, c).
        num_measurements: m.
        magnitudes: whether the signs are lost: phase retrieval.
    """

    photograph: str
    image_shape: tuple[int, int, int]
    num_measurements: int
    magnitudes: bool = False


PEER_CASES = {
    "retina": PeerCase("retina", (128, 128, 3), 3000),
    "phase retrieval, m = n": PeerCase("camera", (64, 64, 1), 4096, True),
    "phase retrieval, m = n / 2": PeerCase("camera", (64, 64, 1), 2048, True),
    "photograph": PeerCase("camera", (64, 64, 1), 500),
    "small": PeerCase("retina", (16, 16, 3), 200),
    "small, magnitudes": PeerCase("camera", (16, 16, 1), 256, True),
}
PHASE_RESTARTS = 5


class Counts(NamedTuple):
    """How much is measured.

    Attributes:
        rounds: turns of each side.
        warm_up: untimed steps at the start of a turn.
        share: of `Case.turn_steps` in a turn of section `step`; half of it in one of `fit`, and in each fit of `fits`.
        sweep_steps: of each fit in section `sweep`.
        square: rows of the matrices whose product is this machine's limit, in section `limits`.
        sides: of the images in section `size`, the first one the reference.
        growth: name of the network in section `growth`.
        measurements: of its dense A.
        copies: its numbers of restarts, and of images.
        matrix_rows: numbers of measurements in section `memory`.
        memory_steps: steps of its reconstructions.
        term: name of the dense A in sections `term` and `limits`.
        lasso: name of that in sections `lasso` and `denoiser`.
        lasso_rounds: turns of each side in sections `lasso`, `sweep`, `growth` and `start`, which are long.
        peers: cases of section `peers`.
        peer_steps: of its fits of networks.
    """

    rounds: int = 12
    warm_up: int = 2
    share: float = 1.0
    sweep_steps: int = 1000
    square: int = 2048
    sides: tuple[int, ...] = (128, 256, 512, 1024)
    growth: str = "xray"
    measurements: tuple[int, ...] = (1000, 2000, 4000, 8000)
    copies: tuple[int, ...] = (1, 2, 4, 8)
    matrix_rows: tuple[int, ...] = (2000, 4000)
    memory_steps: int = 15
    term: str = "xray"
    lasso: str = "photograph"
    lasso_rounds: int = 4
    peers: tuple[str, ...] = ("retina", "phase retrieval, m = n", "phase retrieval, m = n / 2", "photograph")
    peer_steps: int = 1000


GPU = Counts(share=10.0, square=8192, copies=(1, 4, 16, 64))
"""A step there takes about a millisecond."""

QUICK = Counts(
    rounds=2,
    warm_up=1,
    share=0.04,
    sweep_steps=10,
    square=64,
    sides=(16, 32),
    growth="mnist",
    measurements=(25, 50),
    copies=(1, 2),
    matrix_rows=(200,),
    memory_steps=3,
    term="small",
    lasso="small",
    lasso_rounds=1,
    peers=("small", "small, magnitudes"),
    peer_steps=10,
)


def images(count: int, image_shape: tuple[int, int, int]) -> np.ndarray:
    """Random pixels in [-1, 1], [count, h, w, c]: speed does not depend on what they show."""
    return np.random.default_rng(0).uniform(-1, 1, (count, *image_shape)).astype(np.float32)


def matrix(num_measurements: int, image_shape: tuple[int, int, int]) -> np.ndarray:
    """A, [m, n], Gaussian; each process draws it, a copy through a pipe or a file would take longer."""
    pixels = math.prod(image_shape)
    drawn = np.random.default_rng(1).standard_normal((num_measurements, pixels), np.float32)
    drawn /= math.sqrt(num_measurements)
    return drawn
