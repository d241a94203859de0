"""How far an image is from the true one, told by measurements that it was not fitted to.

    E |a^H (x - x*)|^2 = ||x - x*||^2 E ||a||^2 / n    for a row a that is drawn independently of x, isotropic

so the mean square of h held out residuals estimates the mean square error of n pixels without bias, but for the noise
in them, and h times it is distributed nearly as chi^2 with h degrees of freedom (2 h of complex ones).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtri

from csdip_jax.operators import LinearOperator, Normalised, Operator, RandomizedTransform, Stack, one_of
from csdip_jax.solve.fits import Case, Outcome
from csdip_jax.types import Array, Solution, Status

LEVEL = 0.9
"""Of the intervals, two-sided."""

STRAY = 5.0
"""Standard errors by which a random A may measure an image larger or smaller than it is."""


class Rows(NamedTuple):
    """What is known of the rows of an operator that measures every image alike.

    Attributes:
        energy: the mean of ||a||^2.
        basis: n, where they are drawn without replacement from n orthogonal ones; None where they are independent.
    """

    energy: float
    basis: int | None = None


class Estimate(NamedTuple):
    """Of the mean square error of an image, per pixel.

    Attributes:
        mse: [...], at least 0.
        interval: [..., 2], which holds it in 90 % of all draws of the held out measurements.
    """

    mse: np.ndarray
    interval: np.ndarray


def rows_of(operator: Operator) -> Rows | None:
    """What is known of an operator's rows; None unless they are isotropic, as far as a few images tell.

    Constant, smooth, rough and localised images are measured: the energies must be theirs, within the statistical error
    of independent rows, and no few rows may have most of it. So samples of k-space, pixels and blurs are told from
    random patterns.

    Args:
        operator: of one image; patterns of 0 and 1, which share a mean, only as `solve.normalise` leaves them.

    Example:
        >>> from csdip_jax.solve.uncertainty import rows_of
        >>> random = cs.operators.gaussian(jax.random.key(0), 200, (16, 16, 1))
        >>> round(rows_of(random).energy / 256, 3), rows_of(cs.operators.Identity((16, 16, 1)))
        (0.005, None)
    """
    if isinstance(operator, Normalised) and operator.weight is None:
        rows = rows_of(operator.operator)
        return None if rows is None else rows._replace(energy=rows.energy / float(operator.divisor) ** 2)
    if isinstance(operator, RandomizedTransform):
        return Rows(operator.scale**2, math.prod(operator.image_shape))
    if not isinstance(operator, LinearOperator):
        return None
    m, n = operator.measurements_like.size, math.prod(operator.image_shape)
    energy = float(operator.frobenius_norm()) ** 2 / m
    seconds, fourths = map(np.asarray, _moments(operator, jnp.asarray(_probes(operator.image_shape))))
    freedom = m * (2 if jnp.issubdtype(operator.measurements_like.dtype, jnp.complexfloating) else 1)
    alike = abs(seconds * n / energy - 1) <= STRAY * math.sqrt(2 / freedom)
    spread = fourths <= (3 + 8 * math.sqrt(24 / m)) * np.square(seconds)
    return Rows(energy) if energy > 0 and (alike & spread).all() else None


@jax.jit
def _moments(operator: LinearOperator, images: Array) -> tuple[Array, Array]:
    """Mean of |A x|^2 and of its square, of each image."""

    def of_one(image):
        squares = jnp.square(jnp.abs(operator.forward(image)))
        return jnp.mean(squares), jnp.mean(jnp.square(squares))

    return jax.lax.map(of_one, images)


def _probes(image_shape: tuple[int, int, int]) -> np.ndarray:
    """Images of norm 1, float32 [k, h, w, c]: constant, smooth, rough and localised ones, always the same."""
    rng, (h, w, c) = np.random.default_rng(0), image_shape
    rows, columns = np.arange(h)[:, None, None] / h, np.arange(w)[:, None] / w
    images = [np.ones(image_shape)]
    for _ in range(4):
        frequencies, phases = rng.integers(0, 4, (2, 3)) + [[1], [0]], rng.uniform(0, 2 * np.pi, (3, c))
        waves = [
            np.cos(2 * np.pi * (u * rows + v * columns) + p) for (u, v), p in zip(frequencies.T, phases, strict=True)
        ]
        images.append(sum(waves, np.zeros(image_shape)))
        images.append(rng.choice([-1.0, 1.0], image_shape))
        patch, (top, left) = np.zeros(image_shape), (rng.integers(0, size - size // 4) for size in (h, w))
        patch[top : top + max(1, h // 4), left : left + max(1, w // 4)] = rng.uniform(0.5, 1)
        images.append(patch)
    return np.stack([image / np.linalg.norm(image) for image in images]).astype(np.float32)


def estimated_mse(
    residuals: ArrayLike, rows: Rows, noise: float = 0.0, fitted: ArrayLike = 0.0, num_fitted: int = 0
) -> Estimate:
    """The mean square error of images, from what they leave of measurements that they were not fitted to.

    Of rows drawn without replacement, which are orthogonal, the part of the error that the fitted measurements see is
    known; the held out ones speak for the rest.

    Args:
        residuals: [..., h], real or complex.
        rows: of the operator.
        noise: variance of one measurement's noise, where it is known; else 0, and the noise counts as error of the
            image: an upper bound.
        fitted: ||y - A x||^2 of the measurements that were fitted, [...], and
        num_fitted: how many these are; both matter for orthogonal rows alone.

    Returns:
        The estimate, without the noise, and its interval: by chi^2 as if the image had been chosen without a look at
        these measurements.

    Example:
        >>> from csdip_jax.solve.uncertainty import estimated_mse, Rows
        >>> found = estimated_mse(0.1 * np.ones((2, 50)), Rows(energy=1.0))
        >>> found.mse.round(4).tolist(), found.interval[0].round(4).tolist()
        ([0.01, 0.01], [0.0074, 0.0144])
    """
    residuals = np.asarray(residuals)
    held, is_complex = residuals.shape[-1], np.iscomplexobj(residuals)
    square = np.mean(np.square(np.abs(residuals).astype(float)), -1)
    freedom = held * (1 + is_complex)
    seen, others = np.zeros(square.shape), 1
    if rows.basis is not None:
        others = rows.basis - num_fitted
        # What is left of the noise where an image was fitted to it is what the image took up of it.
        seen = np.square(np.sqrt(np.asarray(fitted, float)) - math.sqrt(noise * num_fitted))
        freedom = freedom / max(1 - held / others, 1e-9)
        others, seen = others / rows.basis, seen / rows.basis
    errors = np.maximum(seen[..., None] + others * (square[..., None] * with_ends(freedom) - noise), 0) / rows.energy
    return Estimate(errors[..., 0], errors[..., 1:])


def with_ends(freedom: float) -> np.ndarray:
    """1, and what a mean square of so many degrees of freedom is multiplied by for the ends of its interval, [3]."""
    tail = (1 - LEVEL) / 2
    return np.array([1.0, freedom / chdtri(freedom, tail), freedom / chdtri(freedom, 1 - tail)])


def calibrated_spread(images_or_spread: ArrayLike, mse: ArrayLike) -> np.ndarray:
    """A standard deviation per pixel whose mean square is the estimated error: one factor for all pixels.

    Args:
        images_or_spread: images of several fits, [k, h, w, c], k at least 2, whose deviation shows where they are
            unsure; or such a deviation, [h, w, c].
        mse: the mean square error, a number.

    Returns:
        [h, w, c]; NaN where nothing spreads.

    Example:
        >>> from csdip_jax.solve.uncertainty import calibrated_spread
        >>> np.square(calibrated_spread(np.eye(4)[..., None], 0.04)).mean().round(6)
        np.float64(0.04)
    """
    spread = np.asarray(images_or_spread, float)
    spread = spread.std(0, ddof=1) if spread.ndim == 4 else spread
    mean_square = np.mean(np.square(spread))
    return spread * np.sqrt(np.asarray(mse, float) / mean_square) if mean_square > 0 else np.full(spread.shape, np.nan)


def what_is_told(outcomes: Outcome, solution: Solution, asked: Case, noise: np.ndarray) -> dict[str, np.ndarray]:
    """What held out measurements tell of solutions, for `Solution.aux`, [cases, ...], in the methods' units.

    Args:
        outcomes: of all restarts, [cases, restarts, ...].
        solution: the chosen ones, [cases, ...].
        asked: the cases, in the methods' units.
        noise: the variance of one measurement's noise, [cases].
    """
    assert asked.parts is not None  # or nothing would have been left of it
    cases, operator = len(solution.image), asked.problem.operator
    chosen, real = (np.arange(cases), solution.restart), solution.image.dtype
    left, fitted = np.asarray(outcomes.held_out)[chosen], np.asarray(outcomes.fitted)[chosen]
    told = {"held_out_error": np.mean(np.square(np.abs(left)), -1)}
    operators = operator.size if isinstance(operator, Stack) else 1
    known = [rows_of(one_of(operator, i)) for i in range(operators)]
    if any(known):
        fitted_to = asked.parts.kept.shape[-1]
        found = [
            NOT_KNOWN if rows is None else estimated_mse(left[i], rows, noise[i], fitted[i], fitted_to)
            for i, rows in enumerate(known[i * operators // cases] for i in range(cases))
        ]
        told["estimated_mse"], told["estimated_mse_interval"] = map(np.stack, zip(*found, strict=True))
        if "standard_deviation" in solution.aux or outcomes.score.shape[1] > 1:
            spreads = _spreads(outcomes, solution)
            told["standard_deviation"] = np.stack(list(map(calibrated_spread, spreads, told["estimated_mse"])))
    return {name: np.asarray(values, real) for name, values in told.items()}


NOT_KNOWN = Estimate(np.array(np.nan), np.full(2, np.nan))


def _spreads(outcomes: Outcome, solution: Solution) -> np.ndarray:
    """How much the images of restarts differ, and the iterates of the chosen one, [cases, h, w, c]."""
    healthy = np.asarray(outcomes.solution.status) < Status.DIVERGED
    squares = np.zeros(solution.image.shape)
    for i, images in enumerate(np.asarray(outcomes.solution.image, float)):
        if healthy[i].sum() > 1:
            squares[i] = images[healthy[i]].var(0, ddof=1)
    return np.sqrt(squares + np.nan_to_num(np.square(solution.aux.get("standard_deviation", 0.0))))
