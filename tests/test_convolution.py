"""Properties of the two product forms; their values are compared with PyTorch's in test_golden.py."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from csdip_jax.kernels import convolution, winograd
from csdip_jax.kernels.convolution import ConvTranspose

LAYERS = {
    "k6 s2 p2": ConvTranspose(3, (6, 6), stride=2, padding=2),
    "k3 s1 p1": ConvTranspose(3, (3, 3), padding=1),
    "k9 s3 p3": ConvTranspose(2, (9, 9), stride=3, padding=3),
    "k4 s2 p1": ConvTranspose(3, (4, 4), stride=2, padding=1),
    "k5 s2 p1, overlaps unevenly": ConvTranspose(3, (5, 5), stride=2, padding=1),
    "k3x5 s1 p0": ConvTranspose(3, (3, 5)),
    "up2 k3 p1": ConvTranspose(3, (3, 3), padding=1, upsample=2),
    "up3 k4 p0": ConvTranspose(3, (4, 4), upsample=3),
}


def draw(layer, dtype=jnp.float32):
    keys = jax.random.split(jax.random.key(0), 2)
    return jax.random.normal(keys[0], (5, 4, 2), dtype), jax.random.normal(keys[1], layer.kernel_shape(2), dtype)


def by_definition(image, weight, layer):
    """Loops over pixels and taps: output[s i + k - p] += input[i] weight[k]."""
    image = np.repeat(np.repeat(np.asarray(image), layer.upsample, 0), layer.upsample, 1)
    weight, s, p = np.asarray(weight), layer.stride, layer.padding
    h, w, _ = image.shape
    kh, kw = layer.kernel
    full = np.zeros(((h - 1) * s + kh, (w - 1) * s + kw, weight.shape[1]))
    for i, j in np.ndindex(h, w):
        full[s * i : s * i + kh, s * j : s * j + kw] += np.einsum("c,cokl->klo", image[i, j], weight)
    return full[p : full.shape[0] - p, p : full.shape[1] - p]


@pytest.mark.parametrize("name", LAYERS)
def test_definition(name, x64):
    layer = LAYERS[name]
    image, kernel = draw(layer, jnp.float64)
    output = layer(image, kernel)
    assert output.shape == (*layer.output_size(5, 4), layer.features)
    np.testing.assert_allclose(output, by_definition(image, layer.to_torch(kernel), layer), atol=1e-12)


@pytest.mark.parametrize("name", ["k6 s2 p2", "k3 s1 p1", "k4 s2 p1", "k5 s2 p1, overlaps unevenly", "up2 k3 p1"])
@pytest.mark.parametrize("few_pixels", [0, 5 * 4])
def test_gradients_by_finite_differences(name, few_pixels, x64, monkeypatch):
    monkeypatch.setattr(convolution, "FEW_PIXELS", few_pixels)
    check_grads(LAYERS[name], draw(LAYERS[name], jnp.float64), order=1, modes=["rev"])


@pytest.mark.parametrize(
    "layer, side", [(ConvTranspose(3, (4, 4), upsample=2), 2), (ConvTranspose(3, (6, 6), stride=2, padding=2), 4)]
)
@pytest.mark.parametrize("few_pixels", [3, 16])
def test_the_kernel_comes_first_where_pixels_are_few(layer, side, few_pixels, on_cpu, monkeypatch):
    """Of the product that gives the gradient by the image, whose second operand XLA would copy."""
    monkeypatch.setattr(convolution, "FEW_PIXELS", few_pixels)
    image, kernel = jnp.ones((side, side, 5), jnp.bfloat16), jnp.ones(layer.kernel_shape(5))
    gradient = jax.jit(jax.grad(lambda image, kernel: layer(image, kernel).sum())).lower(image, kernel)
    assert ("optimization_barrier" in gradient.as_text()) == (side**2 <= few_pixels)
    assert gradient.out_info.dtype == jnp.bfloat16


def value_and_gradients(form, image, kernel, cotangent):
    output, pull = jax.vjp(form, image, kernel)
    return output, *pull(cotangent)


@pytest.mark.parametrize("many_tiles", [6, 7])
def test_winograd_equals_the_direct_form(many_tiles, x64, monkeypatch):
    """Of six tiles, their entries in one array or in parts."""
    monkeypatch.setattr(winograd, "MANY_TILES", many_tiles)
    keys = jax.random.split(jax.random.key(0), 3)
    image = jax.random.normal(keys[0], (8, 12, 3), jnp.float64)
    kernel = jax.random.normal(keys[1], (3, 3, 3, 5), jnp.float64)
    cotangent = jax.random.normal(keys[2], (8, 12, 5), jnp.float64)
    pairs = zip(
        value_and_gradients(winograd.correlate, image, kernel, cotangent),
        value_and_gradients(convolution._correlate_directly, image, kernel, cotangent),
        strict=True,
    )
    for ours, direct in pairs:
        np.testing.assert_allclose(ours, direct, atol=1e-12)


def test_rounding_is_as_said():
    """A layer as in the paper's networks, ReLU before it, in float32 beside float64."""
    keys = jax.random.split(jax.random.key(0), 3)
    image = jax.nn.relu(jax.random.normal(keys[0], (32, 32, 64)))
    kernel = jax.random.uniform(keys[1], (3, 3, 64, 256), minval=-1 / 48, maxval=1 / 48)
    cotangent = jax.random.normal(keys[2], (32, 32, 256))
    errors = {}
    with jax.enable_x64(True):
        wide = (jnp.asarray(x, jnp.float64) for x in (image, kernel, cotangent))
        exact = value_and_gradients(convolution._correlate_directly, *wide)
        for form in (winograd.correlate, convolution._correlate_directly):
            outputs = value_and_gradients(form, image, kernel, cotangent)
            assert all(output.dtype == jnp.float32 for output in outputs)
            errors[form] = [
                float(jnp.linalg.norm(ours - true) / jnp.linalg.norm(true))
                for ours, true in zip(outputs, exact, strict=True)
            ]
    assert max(errors[convolution._correlate_directly]) < 5e-7
    assert np.all(np.array(errors[winograd.correlate]) < [1e-6, 2e-6, 1e-6])


@pytest.mark.parametrize("many_tiles", [2, 3])
def test_winograd_under_vmap_is_a_loop(many_tiles, x64, monkeypatch):
    monkeypatch.setattr(winograd, "MANY_TILES", many_tiles)
    keys = jax.random.split(jax.random.key(0), 3)
    images = jax.random.normal(keys[0], (2, 3, 4, 8, 2), jnp.float64)
    kernels = jax.random.normal(keys[1], (2, 3, 3, 3, 2, 5), jnp.float64)
    cotangents = jax.random.normal(keys[2], (2, 3, 4, 8, 5), jnp.float64)
    one = jax.jit(partial(value_and_gradients, winograd.correlate))
    together = jax.vmap(jax.vmap(one))(images, kernels, cotangents)
    for i, j in np.ndindex(2, 3):
        alone = one(images[i, j], kernels[i, j], cotangents[i, j])
        for ours, expected in zip(together, alone, strict=True):
            np.testing.assert_allclose(ours[i, j], expected, atol=1e-12)


def test_winograd_has_second_derivatives_and_keeps_the_dtype(x64):
    image = jax.random.normal(jax.random.key(0), (4, 8, 2), jnp.float64)
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 2, 5), jnp.float64)

    def curvature(correlate):
        def energy(kernel):
            return jnp.sum(correlate(image, kernel) ** 3)

        return jax.jit(jax.grad(lambda kernel: jnp.sum(jax.grad(energy)(kernel) ** 2)))(kernel)

    np.testing.assert_allclose(curvature(winograd.correlate), curvature(convolution._correlate_directly), rtol=1e-9)
    narrow = [x.astype(jnp.bfloat16) for x in (image, kernel)]
    outputs = value_and_gradients(winograd.correlate, *narrow, jnp.ones((4, 8, 5), jnp.bfloat16))
    assert all(output.dtype == jnp.bfloat16 for output in outputs)


def test_winograd_says_which_sides_it_takes():
    with pytest.raises(ValueError, match="8 x 6 pixels: 4 has to divide"):
        winograd.correlate(jnp.zeros((8, 6, 1)), jnp.zeros((3, 3, 1, 1)))


@pytest.mark.parametrize(
    "h, w, products",
    [(32, 36, 2 * winograd.PARTS + 1), (124, 128, 2 * winograd.PARTS + 1), (128, 128, 3)]
    + [(32, 34, 1), (34, 32, 1), (28, 64, 1)],
)
def test_which_layers_take_which_form(h, w, products):
    image = jax.ShapeDtypeStruct((h, w, 2), jnp.float32)
    kernel = jax.ShapeDtypeStruct((3, 3, 2, 4), jnp.float32)
    lowered = jax.jit(convolution.correlate).lower(image, kernel).as_text()
    assert lowered.count("stablehlo.dot_general") == products


@pytest.mark.parametrize("name", LAYERS)
def test_layouts_are_inverse(name):
    _, kernel = draw(LAYERS[name])
    torch_layout = LAYERS[name].to_torch(kernel)
    assert torch_layout.shape == (2, LAYERS[name].features, *LAYERS[name].kernel)
    np.testing.assert_array_equal(LAYERS[name].from_torch(torch_layout), kernel)


@pytest.mark.parametrize("name", ["k6 s2 p2", "k4 s2 p1", "up2 k3 p1"])
def test_vmap_is_a_loop_and_lowers_to_no_convolution(name):
    layer = LAYERS[name]
    images, kernels = (jnp.stack([x, -2 * x, x**2]) for x in draw(layer))
    np.testing.assert_allclose(
        jax.vmap(layer)(images, kernels),
        jnp.stack([layer(*pair) for pair in zip(images, kernels, strict=True)]),
        atol=1e-4,
    )

    def loss(images, kernels):
        return jnp.sum(jnp.square(jax.vmap(layer)(images, kernels)))

    program = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(images, kernels).as_text()
    assert "dot_general" in program and "convolution" not in program


def test_upsampling_folds_into_stride_one_only():
    with pytest.raises(ValueError, match="stride 1 only"):
        ConvTranspose(3, (4, 4), stride=2, upsample=2)
