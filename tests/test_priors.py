import jax
import jax.numpy as jnp
import numpy as np

from csdip_jax.priors import total_variation


def test_total_variation_by_hand():
    image = jnp.array([[[0.0, 1.0], [2.0, 1.0]], [[-1.0, 4.0], [2.0, 0.0]]])
    horizontal, vertical = 2 + 0 + 3 + 4, 1 + 3 + 0 + 1
    assert total_variation(image) == horizontal + vertical


def test_gradient_of_a_flat_image_is_zero():
    np.testing.assert_array_equal(jax.grad(total_variation)(jnp.ones((4, 5, 1))), 0)
