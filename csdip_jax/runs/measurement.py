"""How images are measured: the keys of a seed and an image, the operator, the noise."""

import zlib
from typing import NamedTuple

import jax
import numpy as np

from csdip_jax import operators
from csdip_jax.checks import checked_shape, require
from csdip_jax.types import Array, Problem


class Keys(NamedTuple):
    """Independent random keys of a run, all from its seed."""

    operator: Array
    noise: Array
    fit: Array


def require_seed(seed: int) -> None:
    """Raises InputError unless it is one that JAX can take."""
    require(type(seed) is int and 0 <= seed < 2**63, "seed", seed, "a whole number from 0 on, below 2^63")


def keys_of(seed: int) -> Keys:
    """The keys of a seed, see `require_seed`."""
    require_seed(seed)
    root = jax.random.key(seed)
    return Keys(*(jax.random.fold_in(root, i) for i in range(3)))


def image_id(name: str) -> int:
    """A stable integer for an image's name, so that its keys do not depend on which other images are there."""
    return zlib.crc32(name.encode(errors="surrogateescape"))


class Measurement(NamedTuple):
    """How one part's images are measured.

    Attributes:
        kind: a name of `operators.OPERATORS`.
        count: what the kind counts, m or a number of lines.
        noise_variance: s, the variance of the whole noise vector: the noise of one of m measurements is N(0, s / m)
            (the paper). With `reference` s / m is its standard deviation instead (the reference code).
        reference: as the reference code does it, which also shares one operator among all images.
        matrix_dtype: what a dense matrix is stored in, one of `operators.DTYPES`.
    """

    kind: str
    count: int
    noise_variance: float
    reference: bool
    matrix_dtype: str = "float32"

    def operator(self, key: Array, image: int, image_shape: tuple[int, int, int]) -> operators.Operator:
        """A of the image of this id; one for all images with `reference`."""
        key = jax.random.fold_in(key, 0 if self.reference else image)
        return operators.OPERATORS[self.kind].make(key, self.count, image_shape, self.matrix_dtype)

    def operator_bytes(self, pixels: int) -> int:
        """Of the operator's arrays; those that are no dense matrix are small."""
        return operators.OPERATORS[self.kind].bytes(self.count, pixels, self.matrix_dtype)

    def measure(self, key: Array, operator: operators.Operator, image: Array | np.ndarray) -> Array:
        """The measurements of an image, with the noise."""
        return operators.measure(key, operator, image, self.paper_variance(operator.measurements_like.size))

    def paper_variance(self, num_measurements: int) -> float:
        """The paper's s that this noise amounts to: one measurement's variance is it divided by their number m."""
        return self.noise_variance**2 / num_measurements if self.reference else self.noise_variance

    def problem(self, keys: Keys, name: str, image: Array) -> Problem:
        """The image of this name measured, by keys that depend on its name alone."""
        id_ = image_id(name)
        operator = self.operator(keys.operator, id_, checked_shape(image.shape))
        return Problem(operator, self.measure(jax.random.fold_in(keys.noise, id_), operator, image))

    @property
    def description(self) -> str:
        """The operator in words."""
        return operators.OPERATORS[self.kind].described(self.count)
