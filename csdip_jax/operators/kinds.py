"""What an operator that can be asked for by name says of itself, at the foot of its own file: its kind."""

import dataclasses
import math
from collections.abc import Callable, Mapping

import jax
import numpy as np

from csdip_jax.operators.base import Operator, Shape
from csdip_jax.types import Array

LARGEST_UNASKED = 2**30
"""Bytes of the largest matrix that is chosen without being asked for."""


@dataclasses.dataclass(frozen=True)
class Count:
    """The one whole number that a run gives an operator: how much it measures, or how strongly it blurs.

    Attributes:
        name: of the setting.
        about: what it counts, for `--help`.
        default: image_shape -> the number where none is given.
    """

    name: str
    about: str
    default: Callable[[Shape], int]


MEASUREMENTS = Count(
    "num_measurements", "m; None: a tenth of h w c", lambda image_shape: max(1, math.prod(image_shape) // 10)
)

UNCOUNTED = Count("", "of an operator that is as it is", lambda image_shape: 1)


def of_a_matrix(number: int, pixels: int, itemsize: int) -> int:
    """For `Kind.matrix_bytes`: of a stored matrix with as many rows as the number says."""
    return number * pixels * itemsize


def _small(number: int, pixels: int, itemsize: int) -> int:
    return 0


@dataclasses.dataclass(frozen=True)
class Kind:
    """An operator that a run can be asked for by name.

    Whatever lists, draws, names or tests operators reads it, so a new one is registered once, in its own file.

    Attributes:
        name: that it is asked for by.
        label: how it is called in tables.
        about: what it is, for `--help`.
        draw: (key, number, image_shape) -> the operator, with columns of norm 1 in the mean where it is random, so that
            noise and every method's weights mean the same; (key, number, image_shape, dtype) where it takes a dtype.
        prefix: of its number, in names of files.
        toy: a number for tests, of images of 240 pixels.
        count: what its number counts.
        is_drawn: whether the key matters; one without serves all images.
        takes_dtype: whether it stores a matrix, in one of `DTYPES`.
        unasked: whether it may be meant where no operator is named.
        is_linear: whether methods that need an adjoint can take it.
        matrix_bytes: (number, pixels, itemsize), the last the bytes of an entry -> bytes of its matrix; other arrays
            are small.
        code: a checksum of the file in which a user wrote it; None for the library's.
        image_shape: of the images that it measures, where there is no choice.

    Example:
        >>> kind = cs.operators.OPERATORS["hadamard"]
        >>> kind.label, kind.make(jax.random.key(0), 10, (8, 8, 1)).measurements_like.shape
        ('randomised Hadamard', (10,))
    """

    name: str
    label: str
    about: str
    draw: Callable[..., Operator]
    prefix: str
    toy: int
    count: Count = MEASUREMENTS
    is_drawn: bool = True
    takes_dtype: bool = False
    unasked: bool = False
    is_linear: bool = True
    matrix_bytes: Callable[[int, int, int], int] = _small
    code: str | None = None
    image_shape: Shape | None = None

    def make(self, key: Array, number: int, image_shape: Shape, dtype: str = "float32") -> Operator:
        """The operator that a key draws.

        Args:
            key: random key; without effect where `is_drawn` is False.
            number: what `count` counts.
            image_shape: (h, w, c).
            dtype: one of `DTYPES`; without effect where `takes_dtype` is False.

        Raises:
            InputError: a number or dtype out of range.
        """
        return self.draw(key, number, image_shape, *([dtype] if self.takes_dtype else []))

    def require(self, number: int, image_shape: Shape) -> None:
        """Raises InputError for a number out of range, of images of this `image_shape`.

        It draws nothing, but a user's own, which JAX may not trace.
        """
        if self.code is not None:
            self.make(jax.random.key(0), number, image_shape)
        else:
            jax.eval_shape(lambda key: self.make(key, number, image_shape), jax.random.key(0))

    def bytes(self, number: int, pixels: int, dtype: str = "float32") -> int:
        """How much memory the operator's matrix takes; 0 without one.

        Args:
            number: as for `make`.
            pixels: n = h w c.
            dtype: of the matrix.
        """
        return self.matrix_bytes(number, pixels, np.dtype(dtype).itemsize)

    def stem(self, number: int) -> str:
        """Its part of the names of files, with this number in it if it has one."""
        return self.prefix if self.count is UNCOUNTED else f"{self.prefix}{number}"

    def described(self, number: int) -> str:
        """The label, after the number where that is not m, which is told anyway."""
        return self.label if self.count in (MEASUREMENTS, UNCOUNTED) else f"{number} {self.label}"


def first_of_each_count(kinds: Mapping[str, Kind]) -> dict[str, Kind]:
    """Name of a count -> the kind that is meant by it where no operator is named: one that says so, or the first."""
    first = {}
    for kind in sorted(kinds.values(), key=lambda kind: not kind.unasked):
        first.setdefault(kind.count.name, kind)
    return first


def unnamed_kind(kinds: Mapping[str, Kind], image_shape: Shape, given: Mapping[str, int | None]) -> Kind:
    """The kind that is meant where no operator is named: that of the number given, else the first that is not large.

    Args:
        kinds: all, by name.
        image_shape: (h, w, c).
        given: name of a count -> its number, None where it is left open. Of several the last kind's decides.
    """
    first = first_of_each_count(kinds)
    meant = [kind for name, kind in first.items() if given.get(name) is not None]
    if meant:
        return meant[-1]
    pixels = math.prod(image_shape)
    unasked = [kind for kind in first.values() if kind.unasked]
    small = (k for k in unasked if k.bytes(k.count.default(image_shape), pixels) <= LARGEST_UNASKED)
    return next(small, unasked[-1])
