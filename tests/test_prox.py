import jax.numpy as jnp
import numpy as np
import pytest

from csdip_jax.prox import project_box, soft_threshold

X = np.array([-3.0, -1.0, -0.25, 0.0, 0.5, 2.0], np.float32)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0])
def test_soft_threshold_is_the_minimiser(threshold):
    """Against brute force over a fine grid."""
    grid = np.linspace(-4, 4, 80001)
    objective = threshold * np.abs(grid) + 0.5 * (grid - X[:, None]) ** 2
    np.testing.assert_allclose(soft_threshold(X, threshold), grid[objective.argmin(axis=1)], atol=1e-4)


def test_soft_threshold_of_complex_numbers_keeps_the_phase():
    z = jnp.array([3 + 4j, 0.3j, 0])
    np.testing.assert_allclose(soft_threshold(z, 1.0), [0.8 * (3 + 4j), 0, 0], rtol=1e-6)


def test_soft_threshold_takes_an_array_of_thresholds():
    thresholds = np.array([1.0, 0.0, 1.0, 1.0, 0.25, 3.0])
    np.testing.assert_allclose(soft_threshold(X, thresholds), [-2, -1, 0, 0, 0.25, 0])


def test_project_box():
    np.testing.assert_array_equal(project_box(X), [-1, -1, -0.25, 0, 0.5, 1])
    np.testing.assert_array_equal(project_box(X, 0.0, np.inf), [0, 0, 0, 0, 0.5, 2])
