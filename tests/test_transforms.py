"""The transforms against SciPy and PyWavelets, and their orthonormality on images of any size."""

from functools import partial

import jax
import numpy as np
import pytest
import pywt
import scipy.fft
import scipy.linalg

from csdip_jax import transforms
from csdip_jax.types import InputError

SHAPES = [(16, 12, 1), (15, 11, 3), (1, 9, 1), (2, 3, 2)]
SETTINGS = [("haar", 9), ("db4", None), ("db8", 2), ("coif1", 1)]
PAIRS = {"dct of channels": (transforms.dct, transforms.inverse_dct)} | {
    f"{name} of all": pair for name, pair in transforms.ORTHONORMAL.items()
}
for wavelet, depth in SETTINGS:
    pair = (partial(f, name=wavelet, levels=depth) for f in (transforms.wavelet, transforms.inverse_wavelet))
    PAIRS[f"{wavelet}, {depth}"] = tuple(pair)


def image(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_dct_is_that_of_scipy(shape):
    x = image(shape)
    expected = scipy.fft.dctn(x.astype(np.float64), axes=(0, 1), norm="ortho")
    np.testing.assert_allclose(jax.jit(transforms.dct)(x), expected, atol=2e-6)


@pytest.mark.parametrize("shape", [(16, 8, 1), (12, 10, 2), (28, 28, 1), (3, 5, 1), (64, 64, 1)])
def test_hadamard_is_the_product_of_scipys_matrices(shape):
    """n = 128, 240 = 15 * 16, 784 = 49 * 16, 15, and 4096, which takes two factors of 64."""
    x, power = image(shape), 2 ** [7, 4, 4, 0, 12][[128, 240, 784, 15, 4096].index(np.prod(shape))]
    odd = scipy.fft.dct(np.eye(x.size // power), axis=0, norm="ortho")
    expected = np.kron(odd, scipy.linalg.hadamard(power) / np.sqrt(power)) @ x.ravel().astype(float)
    np.testing.assert_allclose(jax.jit(transforms.hadamard)(x).ravel(), expected, atol=1e-5)


@pytest.mark.parametrize("name, levels", [("haar", 4), ("db2", 1), ("db4", 3), ("db8", 2), ("sym6", 2), ("coif2", 2)])
def test_wavelet_is_that_of_pywavelets(name, levels):
    x = image((64, 80, 2))
    ours = jax.jit(transforms.wavelet, static_argnums=(1, 2))(x, name, levels)
    for channel in range(2):
        expected = pywt.wavedec2(x[..., channel].astype(np.float64), name, mode="periodization", level=levels)
        array, _ = pywt.coeffs_to_array(expected)
        np.testing.assert_allclose(ours[..., channel], array, atol=5e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pair", PAIRS)
def test_orthonormal(pair, shape, x64):
    """The inverse inverts, on both sides, and is the transpose."""
    transform, inverse = PAIRS[pair]
    x, c = image(shape).astype(np.float64), image(shape, 1).astype(np.float64)

    @jax.jit
    def there_and_back(x, c):
        return transform(x), inverse(c), inverse(transform(x)), transform(inverse(c))

    forward, backward, x_again, c_again = map(np.asarray, there_and_back(x, c))
    assert forward.shape == shape
    np.testing.assert_allclose(x_again, x, atol=1e-9)
    np.testing.assert_allclose(c_again, c, atol=1e-9)
    np.testing.assert_allclose((forward * c).sum(), (x * backward).sum(), atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(forward), np.linalg.norm(x))


@pytest.mark.parametrize("pair", ["dct of channels", "db4, None"])
def test_channels_do_not_mix(pair):
    transform, x = jax.jit(PAIRS[pair][0]), image((12, 17, 3))
    for channel in range(3):
        alone = transform(x[..., channel : channel + 1])
        np.testing.assert_allclose(transform(x)[..., channel : channel + 1], alone, atol=1e-6)


def test_default_levels_leave_one_approximation():
    image = np.ones((64, 64, 1), np.float32)
    coefficients = np.array(jax.jit(transforms.wavelet)(image))
    np.testing.assert_allclose(coefficients[0, 0], 64, rtol=1e-5)
    coefficients[0, 0] = 0
    np.testing.assert_allclose(coefficients, 0, atol=1e-4)
    for shape in [(28, 40, 3), (1, 9, 1), (1, 1, 1)]:
        image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        wavelet = jax.jit(transforms.wavelet, static_argnames=("name", "levels"))
        one_more = wavelet(image, "haar", transforms.default_levels(shape) + 1)
        np.testing.assert_array_equal(wavelet(image, "haar"), one_more)


def test_negative_levels_are_refused():
    with pytest.raises(InputError, match="levels = -1"):
        transforms.wavelet(image((8, 8, 1)), "haar", -1)
