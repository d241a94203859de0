"""What goes in and out of a reconstruction, the error for bad input, dataclasses as pytrees."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array


def pytree_dataclass(cls):
    """Frozen dataclass and pytree in one: fields are data unless declared `static_field()`."""
    return jax.tree_util.register_dataclass(dataclasses.dataclass(frozen=True)(cls))


def static_field(default: Any = dataclasses.MISSING) -> Any:
    """A field that belongs to the program, not to its data."""
    return dataclasses.field(default=default, metadata={"static": True})


class ReconstructionWarning(UserWarning):
    """What a user should know of a reconstruction that is no error: a doubtful pixel range, say."""


class EndsOfRangeWarning(ReconstructionWarning):
    """Many pixels lie at the ends of the pixel range: right for black and white, else the range is too narrow."""


class InputError(ValueError):
    """What a user gave cannot be used. One line: the offending value and the remedy."""


class PixelRangeWarning(UserWarning):
    """Images use a small part of the values that are taken to lie between black and white.

    Attributes:
        usage: how much of which range they use.
        needed: (black, white) that hold all their values; None where no one pair suits them.
    """

    def __init__(self, usage: str, needed: tuple[float, float] | None):
        super().__init__(usage, needed)
        self.usage, self.needed = usage, needed

    def __str__(self) -> str:
        if self.needed is None:
            return f"{self.usage}: load each kind by itself, with its pixel_range"
        return "{}: pixel_range=({:.15g}, {:.15g}) sets it".format(self.usage, *self.needed)


def require_key(key: Any, several: bool = False) -> None:
    """Raises InputError unless it is a key of `jax.random.key`, or an array of them if there may be several."""
    if not jnp.issubdtype(getattr(key, "dtype", None), jax.dtypes.prng_key):
        what = f"{type(key).__name__} without a key type, as jax.random.PRNGKey makes them"
        raise InputError(f"key is a {what if hasattr(key, 'dtype') else type(key).__name__}: give jax.random.key(seed)")
    if key.shape and not several:
        raise InputError(f"keys of shape {key.shape}: give one, key[0] for example")


def checked_shape(image_shape: Any) -> tuple[int, int, int]:
    """`image_shape` as a tuple; raises InputError unless it is (h, w, c), whole numbers above 0."""
    sides = tuple(image_shape) if isinstance(image_shape, (tuple, list)) else ()
    if len(sides) != 3 or not all(isinstance(side, (int, np.integer)) and side >= 1 for side in sides):
        given = image_shape if isinstance(image_shape, (tuple, list, int, str)) else f"a {type(image_shape).__name__}"
        raise InputError(f"image_shape = {given}: give (h, w, c), whole numbers above 0, c = 1 for grey")
    return tuple(map(int, sides))


class Problem(NamedTuple):
    """Measurements y = A x* + eta of ONE unknown image; a leading axis on both fields makes a batch.

    Attributes:
        operator: A, one of `csdip_jax.operators` (or any differentiable callable image -> measurements).
            In a batch either one operator for all images, or one per image (leading axis on the arrays of `Dense`,
            `Fourier` or `Inpainting`; functions are shared).
        measurements: y, [m], real or complex as `operator.forward` gives it.
    """

    operator: Any
    measurements: Array


class Solution(NamedTuple):
    """What `csdip_jax.reconstruct` returns; for a batch of problems every field has a leading axis.

    Attributes:
        image: the reconstruction, [h, w, c] in the pixel range of the problem, [-1, 1] by default.
        measurement_loss: ||y - A image||^2 of that image.
        steps: optimiser steps taken by the chosen restart (redrawn attempts not counted).
        restart: index of the chosen restart.
        redraws: attempts that were recognised as collapsed or diverged and drawn anew, over all restarts.
        ok: False where even the last allowed attempt of the chosen restart collapsed or diverged.
        converged: whether the method's own stopping rule was met, rather than its limit of steps (methods that take a
            fixed number of steps meet it by taking them; a method says in its docstring what it means by it), and the
            image explains the measurements, `unexplained` being at most 0.1.
        trace: [max steps] measurement loss of the chosen restart, iterate by iterate; NaN after it stopped. Where rows
            of A share a mean, that mean has the weight of one row in it (docs/units.md).
        params: the weights at which the chosen restart ended, if `reconstruct` was asked to keep them.
        unexplained: ||y - A image||^2 relative to that of the best flat image, which tells nothing: 0 where y is
            explained, 1 where no better than by a flat image. The mean that rows of A share has the weight of one row.
    """

    image: Array
    measurement_loss: Array
    steps: Array
    restart: Array
    redraws: Array
    ok: Array
    converged: Array
    trace: Array
    params: Any = None
    unexplained: Array | None = None
