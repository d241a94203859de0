"""The networks: their sizes, the rule for other shapes, the initializers. Values: test_golden.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax.generators import DCGAN, dcgan_layers, draw_params, from_torch, to_torch


@pytest.mark.parametrize(
    ("image_shape", "latent_dim", "weights", "tensors"),
    [
        ((256, 256, 1), 128, 870_144, 19),
        ((28, 28, 1), 128, 2_730_432, 13),
        ((256, 256, 1), 32, 771_840, 19),
        ((128, 128, 3), 32, 626_304, 16),
    ],
)
def test_sizes_of_the_published_networks(image_shape, latent_dim, weights, tensors):
    shapes = jax.eval_shape(lambda key: draw_params(key, dcgan_layers(image_shape), latent_dim), jax.random.key(0))
    leaves = jax.tree.leaves(shapes)
    assert (sum(leaf.size for leaf in leaves), len(leaves)) == (weights, tensors)


@pytest.mark.parametrize("shape", [(2, 2, 1), (7, 9, 2), (28, 28, 3), (33, 64, 1), (100, 37, 3), (512, 512, 1)])
def test_any_shape(shape):
    layers = dcgan_layers(shape)
    generator, latent = DCGAN(layers, shape), jnp.ones(8)
    params = jax.eval_shape(lambda key: draw_params(key, layers, 8), jax.random.key(0))
    image = jax.eval_shape(generator.apply, params, latent)
    assert image.shape == shape
    assert jax.tree.map(lambda x: x.shape, params) == jax.tree.map(
        lambda x: x.shape, jax.eval_shape(generator.init, jax.random.key(0), latent)
    )


def test_the_centre_is_kept():
    layers = dcgan_layers((28, 29, 3))
    params = draw_params(jax.random.key(0), layers, 4)
    whole = DCGAN(layers, (28, 32, 3)).apply(params, jnp.ones(4))
    np.testing.assert_array_equal(DCGAN(layers, (28, 29, 3)).apply(params, jnp.ones(4)), whole[:, 1:30])


@pytest.mark.parametrize(
    ("name", "kernel_deviation", "scale_mean", "scale_deviation"),
    [
        ("torch_0_4", 1 / np.sqrt(3 * 64 * 36), 0.5, np.sqrt(1 / 12)),
        ("torch", 1 / np.sqrt(3 * 64 * 36), 1.0, 0.0),
        ("dcgan", 0.02, 1.0, 0.02),
    ],
)
def test_initializers(name, kernel_deviation, scale_mean, scale_deviation):
    layers = dcgan_layers((256, 256, 1))
    params = draw_params(jax.random.key(0), layers, 128, name)["params"]
    kernel = params["layer_1"]["kernel"]
    assert abs(kernel.mean()) < 1e-3
    np.testing.assert_allclose(kernel.std(), kernel_deviation, rtol=0.01)
    scales = np.concatenate([params[f"layer_{i}"]["scale"] for i in range(6)])
    np.testing.assert_allclose(scales.mean(), scale_mean, atol=0.05)
    np.testing.assert_allclose(scales.std(), scale_deviation, atol=0.03)
    assert all((params[f"layer_{i}"]["shift"] == 0).all() for i in range(6))


def test_torch_rules_differ_in_the_side_they_count():
    """One in, 64 channels out: PyTorch 0.4 counts the inputs, today's the outputs."""
    layers = dcgan_layers((8, 8, 1))
    bounds = {
        name: draw_params(jax.random.key(0), layers, 1, name)["params"]["layer_0"]["kernel"]
        for name in ("torch_0_4", "torch")
    }
    np.testing.assert_allclose(np.abs(bounds["torch_0_4"]).max(), 1 / np.sqrt(16), rtol=0.02)
    np.testing.assert_allclose(np.abs(bounds["torch"]).max(), 1 / np.sqrt(64 * 16), rtol=0.02)


def test_torch_layout_there_and_back():
    layers = dcgan_layers((28, 28, 1))
    params = draw_params(jax.random.key(0), layers, 16)
    jax.tree.map(np.testing.assert_array_equal, from_torch(layers, *to_torch(layers, params)), params)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dcgan_layers((1, 9, 1)), r"image_shape = \(1, 9, 1\)"),
        (lambda: dcgan_layers((9, 9, 0)), r"image_shape = \(9, 9, 0\)"),
        (lambda: draw_params(jax.random.key(0), dcgan_layers((8, 8, 1)), 4, "xavier"), "unknown initializer 'xavier'"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(cs.InputError, match=message):
        call()
