"""What is fitted: images, problems, noise and networks; one fit of each, watched."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import csdip_jax as cs
from csdip_jax.checks import require
from csdip_jax.files import is_whole, read_arrays, write_arrays
from csdip_jax.generators import dcgan_layers
from csdip_jax.operators import LinearOperator
from csdip_jax.runs.measurement import Keys, image_id, keys_of
from experiments.stopping.watching import NEVER, Watcher, library_rules


def _inpainting(key: jax.Array, shape: tuple) -> LinearOperator:
    return cs.operators.inpainting(np.asarray(jax.random.bernoulli(key, 0.5, shape[:2])), shape)


PROBLEMS: dict[str, Callable[[jax.Array, tuple], LinearOperator]] = {
    "Gaussian": lambda key, shape: cs.operators.gaussian(key, shape[0] * shape[1] // 2, shape),
    "Fourier": lambda key, shape: cs.operators.radial_fourier(shape[0] // 2, shape),
    "inpainting": _inpainting,
    "denoising": lambda key, shape: cs.operators.Identity(shape),
    "deblurring": lambda key, shape: cs.operators.Blur(jnp.asarray(cs.operators.gaussian_psf(1.0, shape)), shape),
}
"""Label -> the operator. Half as many random rows as pixels, h / 2 lines, half of the pixels, all, a blur of 1."""


def _unet(shape: tuple, width: int, **rest) -> cs.methods.Method:
    generator = cs.generators.UNet(shape, width=width)
    plain = {"schedule": "constant", "learning_rate": 0.01, "tv_weight": 0.0}
    return cs.methods.Dip(shape, generator=generator, **plain, **rest)


def _dcgan(shape: tuple, width: int, **rest) -> cs.methods.Method:
    generator = cs.generators.DCGAN(shape, dcgan_layers(shape, 2 * width))
    return cs.methods.CsDip(shape, generator=generator, tv_weight=0.0, **rest)


NETWORKS = {"U-Net": _unet, "DCGAN": _dcgan}
"""Label -> the method: without TV and at a constant rate, so that nothing but a rule keeps a fit from the noise."""


class Setup(NamedTuple):
    """What all fits share.

    Attributes:
        size: of the images, size x size grey pixels.
        width: channels of the U-Net; the DCGAN has twice as many.
        steps: of each fit.
        share: of the measurements that are held out of all fits.
        seed: of operators, noise and fits.
    """

    size: int = 32
    width: int = 16
    steps: int = 1000
    share: float = 0.1
    seed: int = 0


class Cell(NamedTuple):
    """One fit.

    Attributes:
        image, problem, network: labels.
        noise: ratio of the energy of Ax, without its mean, to that of the noise, in dB.
    """

    image: str
    problem: str
    noise: float
    network: str

    @property
    def file(self) -> str:
        """That has its traces."""
        return f"{self.image}-{self.problem}-{self.noise:g}-{self.network}.npz"


def load(names: Sequence[str], size: int) -> dict[str, np.ndarray]:
    """Name -> one of the photographs that scikit-image ships, [size, size, 1], grey.

    Raises:
        InputError: there is none of this name.
    """
    found = dict(zip(*cs.data.load_named("demo", image_shape=(size, size, 1)), strict=True))
    coloured, images = cs.data.load_named("demo", image_shape=(size, size, 3))
    found |= {name: (image @ LUMINANCE)[..., None] for name, image in zip(coloured, images, strict=True)}
    for name in names:
        require(name in found, "--images", name, " or ".join(found))
    return {name: np.asarray(found[name], np.float32) for name in names}


LUMINANCE = np.array([0.2125, 0.7154, 0.0721])


def traces(folder: Path, cell: Cell, setup: Setup, image: np.ndarray) -> dict[str, np.ndarray]:
    """Those of a fit, read where they are there, else computed."""
    path = folder / "traces" / cell.file
    if not is_whole(path, **{f"{NEVER}: stops": ("f", (setup.steps,))}):
        path.parent.mkdir(exist_ok=True)
        write_arrays(path, **watched_fit(cell, setup, image))
    return read_arrays(path)


def watched_fit(cell: Cell, setup: Setup, image: np.ndarray) -> dict[str, np.ndarray]:
    """Scalar -> [steps], of a fit that takes all its steps."""
    keys, id_ = keys_of(setup.seed), image_id(cell.image)
    operator = PROBLEMS[cell.problem](keys.operator, image.shape)
    variance = noise_variance(operator, image, cell.noise)
    y = cs.operators.measure(_noise_key(keys, cell), operator, image, variance)
    watcher = Watcher(jnp.asarray(image), library_rules(variance, setup.share))
    method = NETWORKS[cell.network](image.shape, setup.width, steps=setup.steps, stop=watcher)
    solution = cs.reconstruct(method, cs.Problem(operator, y), keys.fit, image_ids=[id_])
    return {name: np.asarray(values) for name, values in solution.trace.items()}


def _noise_key(keys: Keys, cell: Cell) -> jax.Array:
    return jax.random.fold_in(jax.random.fold_in(keys.noise, image_id(cell.image)), round(10 * cell.noise))


def noise_variance(operator: LinearOperator, image: np.ndarray, decibels: float) -> float:
    """The energy of A x, x without its mean, over a ratio in dB."""
    energy = cs.operators.squared_norm(operator.forward(jnp.asarray(image - image.mean())))
    return float(energy * 10 ** (-decibels / 10))
