"""Borders, the strided correlation and upsampling beside XLA's own forms; whole networks: test_golden.py."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from csdip_jax.kernels import convolution, winograd
from csdip_jax.kernels.borders import BORDERS
from csdip_jax.kernels.resampling import correlate_halving, double_bilinear, double_nearest

DOUBLINGS = {"bilinear": double_bilinear, "nearest": double_nearest}


def by_xla(image, kernel, stride, border):
    padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)), mode={"zero": "constant", "reflect": "reflect"}[border])
    order = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(padded[None], kernel, (stride, stride), "VALID", dimension_numbers=order)[0]


def with_gradients(form, *arrays):
    """Output, and the gradients of a sum of it that tells all entries apart."""
    output, pull = jax.vjp(form, *arrays)
    return output, *pull(jnp.cos(jnp.arange(output.size, dtype=output.dtype)).reshape(output.shape))


def assert_same(ours, theirs):
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-11), ours, theirs)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize(
    "form, stride, size",
    [
        (convolution._correlate_directly, 1, (5, 2)),
        (winograd.correlate, 1, (8, 4)),
        (correlate_halving, 2, (6, 2)),
    ],
)
def test_correlations_are_those_of_xla(form, stride, size, border, x64):
    """With their gradients; two pixels along a side are the fewest that have a mirror image."""
    keys = jax.random.split(jax.random.key(0), 2)
    arrays = jax.random.normal(keys[0], (*size, 3)), jax.random.normal(keys[1], (3, 3, 3, 4))
    ours = jax.jit(partial(with_gradients, partial(form, border=border)))(*arrays)
    assert_same(ours, jax.jit(partial(with_gradients, lambda x, k: by_xla(x, k, stride, border)))(*arrays))


@pytest.mark.parametrize("name", DOUBLINGS)
@pytest.mark.parametrize("size", [(3, 4), (1, 2)])
def test_upsamplings_are_those_of_xla(name, size, x64):
    image = jax.random.normal(jax.random.key(0), (*size, 2))
    doubled = (2 * size[0], 2 * size[1], 2)
    ours = jax.jit(partial(with_gradients, DOUBLINGS[name]))(image)
    assert_same(ours, jax.jit(partial(with_gradients, lambda x: jax.image.resize(x, doubled, name)))(image))


def test_a_single_pixel_is_its_own_mirror_image():
    """Where the deepest scale is one pixel wide, which PyTorch refuses."""
    image, kernel = jnp.ones((1, 1, 2)), jnp.arange(18.0).reshape(3, 3, 2, 1)
    output, by_image, _ = with_gradients(partial(convolution.correlate, border="reflect"), image, kernel)
    assert output.item() == kernel.sum()
    np.testing.assert_array_equal(by_image[0, 0], kernel.sum((0, 1, 3)))


@pytest.mark.parametrize("form, size", [(correlate_halving, 6), (convolution.correlate, 32)])
def test_vmap_lowers_to_no_convolution(form, size):
    """Each fit has a kernel of its own: a grouped convolution is slow everywhere."""
    images, kernels = jnp.ones((2, size, size, 2)), jnp.ones((2, 3, 3, 2, 3))

    def loss(images, kernels):
        return jnp.sum(jax.vmap(partial(form, border="reflect"))(images, kernels) ** 2)

    program = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(images, kernels).as_text()
    assert "dot_general" in program and "convolution" not in program
