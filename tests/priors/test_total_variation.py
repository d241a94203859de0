import jax
import jax.numpy as jnp
import numpy as np
import pytest

from csdip_jax.priors import image_gradient, total_variation


def test_total_variation_by_hand():
    image = jnp.array([[[0.0, 1.0], [2.0, 1.0]], [[-1.0, 4.0], [2.0, 0.0]]])
    horizontal, vertical = 2 + 0 + 3 + 4, 1 + 3 + 0 + 1
    assert total_variation(image) == horizontal + vertical


@pytest.mark.parametrize(
    ("isotropic", "coupled", "expected"),
    [
        (False, False, 7 + 1 + 4 + 4),
        (True, False, 5 + 1 + 4 + 4),  # 3, 4 of the first channel at one pixel
        (False, True, 5 + 4 + np.hypot(1, 4)),  # 3, 4 of the two channels in one direction
        (True, True, np.sqrt(3**2 + 4**2 + 4**2) + np.hypot(1, 4)),
    ],
)
def test_total_variation_joins_directions_and_channels(isotropic, coupled, expected):
    image = jnp.array([[[0.0, 0.0], [4.0, 0.0]], [[3.0, 4.0], [4.0, 0.0]]])
    np.testing.assert_allclose(total_variation(image, isotropic, coupled), expected, rtol=1e-6)


@pytest.mark.parametrize("isotropic", [False, True])
@pytest.mark.parametrize("coupled", [False, True])
def test_gradient_of_a_flat_image_is_zero(isotropic, coupled):
    gradient = jax.grad(total_variation)(jnp.ones((4, 5, 2)), isotropic, coupled)
    np.testing.assert_array_equal(gradient, 0)


def test_image_gradient_does_not_wrap():
    np.testing.assert_array_equal(image_gradient(jnp.array([[[1.0], [3.0]]])), [[[[0.0], [0.0]]], [[[2.0], [0.0]]]])
