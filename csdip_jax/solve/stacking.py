"""Stacking: the weights of several images by what they leave of held out measurements, and the error of their sum.

    w = argmin ||sum_k w_k (y_h - A_h x_k)||^2,    w_k >= 0,    sum_k w_k = 1

Breiman: Stacked regressions, Machine Learning 24, 1996; Ward 2009 for the measurements in the place of samples.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import nnls

from csdip_jax.solve.uncertainty import Estimate, Rows, estimated_mse, with_ends

BETTER_BY = 0.7
"""The error of an image falls about as m to the power of minus this: what the estimate is brought to that of a fit to
all measurements by. Of CS-DIP between m = 500 and 8000: 0.63 on x-rays, 0.77 on retinas (docs/results)."""
RIDGE = 0.02
"""Of the mean error of the candidates, by which weights are drawn together: few measurements tell them badly apart."""
CROSS_FITS = 5
LEAST_ALIKE = 0.5
"""Correlation of the errors of two images that is taken for the least possible; 0.6 to 0.9 were measured between the
candidates on photographs and retinas."""


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
    return _on_simplex(np.concatenate([columns, np.sqrt(ridge) * size * np.eye(len(rows))]))


def _on_simplex(columns: np.ndarray) -> np.ndarray:
    """argmin ||columns w|| over w >= 0 of sum 1; equal weights where all columns are 0."""
    size = np.sqrt(np.mean(np.sum(np.square(columns), 0)))
    if size == 0:
        return np.full(columns.shape[1], 1 / columns.shape[1])
    one = 1e3 * np.ones((1, columns.shape[1]))  # their sum is 1, by a weight that nothing else comes near
    weights = nnls(np.concatenate([columns / size, one]), np.append(np.zeros(len(columns)), 1e3))[0]
    return weights / weights.sum()


def cross_fitted(left: np.ndarray) -> np.ndarray:
    """What the weighted image leaves of each held out measurement, [h], with weights that the others decided."""
    fold = np.arange(left.shape[1]) % CROSS_FITS
    told = np.zeros(left.shape[1], left.dtype)
    for i in range(CROSS_FITS):
        told[fold == i] = simplex_weights(left[:, fold != i]) @ left[:, fold == i]
    return told


def weights_by_distance(errors: np.ndarray, images: np.ndarray) -> np.ndarray:
    """The weights w >= 0 of sum 1 for which the mean square error of sum_j w_j x_j is least, [j].

    That error is sum_j w_j ||x_j - x*||^2 - sum_ij w_i w_j ||x_i - x_j||^2 / 2: it takes no more than the error of each
    image, which may have been told by other measurements than those of the others, and what the images differ by.

    Args:
        errors: of each image, estimated, [j].
        images: [j, h, w, c].

    Example:
        >>> from csdip_jax.solve.stacking import weights_by_distance
        >>> far_apart = np.array([-1.0, 1.0]).reshape(2, 1, 1, 1)
        >>> weights_by_distance(np.array([1.0, 1.0]), far_apart).round(3).tolist()
        [0.5, 0.5]
    """
    # Of the errors of each two images, as their distance tells them; a few measurements err, and no two are opposed.
    products = (errors[:, None] + errors - squared_distances(images)) / 2
    least = LEAST_ALIKE * np.sqrt(np.outer(errors, errors))
    products = np.where(np.eye(len(errors), dtype=bool), products, np.maximum(products, least))
    values, vectors = np.linalg.eigh(products)
    return _on_simplex(np.sqrt(np.maximum(values, 0))[:, None] * vectors.T)


def squared_distances(images: np.ndarray) -> np.ndarray:
    """Mean square difference of each two images, [j, j]."""
    flat = images.reshape(len(images), -1)
    return np.mean(np.square(flat[:, None] - flat), -1)


def stacked_mse(left: np.ndarray, rows: Rows, noise: float, fitted: float, given: int, size: int) -> Estimate:
    """The mean square error of the weighted image of one round, and its interval.

    Args:
        left: what each candidate leaves of the held out measurements that tell, [k, h].
        rows, noise: of the operator, as `estimated_mse` takes them.
        fitted: ||y - A x||^2 of the weighted image.
        given: measurements that the fits were given, of `size` in all, which its last steps are given.
    """
    found = estimated_mse(cross_fitted(left), rows, noise, fitted, given)
    factor = (given / size) ** BETTER_BY
    return Estimate(factor * found.mse, factor * found.interval)


def mse_of_rounds(
    left: np.ndarray,
    rounds: np.ndarray,
    weights: np.ndarray,
    images: np.ndarray,
    rows: Rows,
    noise: float,
) -> Estimate:
    """The mean square error of a weighted image whose parts were told by different measurements, and its interval.

    Args:
        left: what each image leaves of the measurements that tell of it, [j, h].
        rounds: which round each image is of, [j]; those of one round share their measurements.
        weights: [j].
        images: [j, h, w, c].
        rows, noise: of the operator.
    """
    square = weights @ np.mean(np.square(np.abs(left)), 1)
    of_rounds = np.bincount(rounds, weights)
    told = left.shape[1] * (1 + np.iscomplexobj(left)) / np.sum(np.square(of_rounds))
    differ = weights @ squared_distances(images) @ weights / 2
    errors = np.maximum((with_ends(told) * square - noise) / rows.energy - differ, 0)
    return Estimate(errors[0], errors[1:])


def spread_of(images: np.ndarray, weights: np.ndarray, image: np.ndarray) -> np.ndarray:
    """How much the candidates' images depart from the weighted one, [h, w, c]: half by weight, half all alike.

    Args:
        images: [j, h, w, c].
        weights: [j].
        image: [h, w, c].
    """
    shares = (weights + 1 / len(weights)) / 2
    return np.sqrt(np.tensordot(shares, np.square(images - image), 1))
