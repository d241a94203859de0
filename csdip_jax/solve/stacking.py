"""Stacking: the weights of several images by what they leave of held out measurements, and the error of their sum.

    w = argmin ||sum_k w_k (y_h - A_h x_k)||^2,    w_k >= 0,    sum_k w_k = 1

Breiman: Stacked regressions, Machine Learning 24, 1996; Ward 2009 for the measurements in the place of samples.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import nnls

from csdip_jax.operators import measurement_loss
from csdip_jax.solve.uncertainty import Rows, estimated_mse
from csdip_jax.types import Array, Problem

BETTER_BY = 0.8
"""The error of an image falls about as m to the power of minus this: what the estimate is brought to that of a fit to
all measurements by. Measured between m = 500 and 8000 on x-rays and retinas: 0.7 to 0.9."""
RIDGE = 0.02
"""Of the mean error of the candidates, by which weights are drawn together: few measurements tell them badly apart."""
CROSS_FITS = 5


def simplex_weights(left: ArrayLike, ridge: float = RIDGE) -> np.ndarray:
    """The weights w >= 0 of sum 1 for which the weighted residuals are least.

    Args:
        left: what the image of each candidate leaves of the held out measurements, [k, h], real or complex.
        ridge: >= 0, of the mean square residual; w is drawn towards equal weights by it.

    Returns:
        [k].

    Example:
        >>> from csdip_jax.solve.stacking import simplex_weights
        >>> simplex_weights([[1.0, 0.0], [0.0, 1.0], [3.0, 3.0]], ridge=0.0).round(3).tolist()
        [0.5, 0.5, 0.0]
    """
    rows: Any = np.asarray(left)
    rows = np.concatenate([rows.real, rows.imag], 1) if np.iscomplexobj(rows) else rows
    columns = rows.T.astype(float)
    size = np.sqrt(np.mean(np.sum(np.square(columns), 0)))
    if size == 0:
        return np.full(len(rows), 1 / len(rows))
    spread = np.sqrt(ridge) * np.eye(len(rows))
    one = 1e3 * np.ones((1, len(rows)))  # their sum is 1, by a weight that nothing else comes near
    weights = nnls(np.concatenate([columns / size, spread, one]), np.append(np.zeros(len(columns) + len(rows)), 1e3))[0]
    return weights / weights.sum()


def cross_fitted(left: np.ndarray) -> np.ndarray:
    """What the weighted image leaves of each held out measurement, [h], with weights that the others decided."""
    fold = np.arange(left.shape[1]) % CROSS_FITS
    told = np.zeros(left.shape[1], left.dtype)
    for i in range(CROSS_FITS):
        told[fold == i] = simplex_weights(left[:, fold != i]) @ left[:, fold == i]
    return told


def stacked_mse(
    problem: Problem,
    rows: Rows,
    noise: float,
    left: np.ndarray,
    images: np.ndarray,
    weights: np.ndarray,
    image: Array,
) -> tuple[np.ndarray, np.ndarray]:
    """The mean square error of the weighted image, and its interval.

    The mean of several rounds is better than each by what they differ: mean_r ||x_r - x*||^2 = ||mean_r x_r - x*||^2 +
    mean_r ||x_r - mean_r x_r||^2, and the last is known.
    """
    rounds, size = images.shape[1], problem.measurements.size
    given = size - 2 * (left.shape[1] // rounds)  # as many chose images of fits, and tell nothing here
    fitted = float(measurement_loss(*problem, image))
    found = estimated_mse(cross_fitted(left), rows, noise, fitted, given)
    if rounds == 1:
        factor = (given / size) ** BETTER_BY
        return factor * found.mse, factor * found.interval
    of_rounds = np.tensordot(weights, images, 1)
    differ = np.mean(np.square(of_rounds - of_rounds.mean(0)))
    return np.maximum(found.mse - differ, 0), np.maximum(found.interval - differ, 0)


def spread_of(images: np.ndarray, weights: np.ndarray, image: np.ndarray) -> np.ndarray:
    """How much the candidates' images depart from the weighted one, [h, w, c]: half by weight, half all alike.

    Args:
        images: [candidates, rounds, h, w, c].
        weights: [candidates].
        image: [h, w, c].
    """
    shares = (weights + 1 / len(weights)) / 2
    return np.sqrt(np.tensordot(shares, np.square(images - image).mean(1), 1))
