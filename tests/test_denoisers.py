"""Denoisers by their definitions. What they take away and leave: tests/methods/test_damp.py."""

import jax.numpy as jnp
import numpy as np
import pytest
import pywt

from csdip_jax import denoisers
from csdip_jax.transforms import default_levels


def noisy(shape, seed=0):
    """Steps that differ from channel to channel, and noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(shape[:2])
    steps = np.where(rows < 2 * columns, 0.8, -0.6)[..., None] * np.arange(1, 1 + shape[2]) / shape[2]
    return (steps + 0.2 * rng.standard_normal(shape)).astype(np.float32)


def bayes_shrink_of_pywavelets(image, sigma):
    """One channel [h, w], cycle spun, by PyWavelets' own transforms."""
    found = []
    for shift in ((0, 0), (0, 1), (1, 0), (1, 1)):
        rolled = np.roll(image, shift, (0, 1))
        first, *details = pywt.wavedec2(rolled, "db4", "periodization", level=default_levels(image.shape))
        shrunk = [first]
        for bands in details:
            signals = [np.mean(band**2) - sigma**2 for band in bands]
            shrunk.append(
                [
                    pywt.threshold(band, sigma**2 / np.sqrt(signal), "soft") if signal > 0 else np.zeros_like(band)
                    for band, signal in zip(bands, signals, strict=True)
                ]
            )
        found.append(np.roll(pywt.waverec2(shrunk, "db4", "periodization"), np.negative(shift), (0, 1)))
    return np.mean(found, axis=0)


@pytest.mark.filterwarnings("ignore:Level value of")  # PyWavelets': the deepest levels are shorter than the filter
@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_wavelet_is_bayes_shrink_channel_by_channel(sigma):
    image = noisy((16, 16, 2))
    expected = [bayes_shrink_of_pywavelets(image[..., c].astype(float), sigma) for c in range(2)]
    np.testing.assert_allclose(denoisers.wavelet(image, sigma), np.stack(expected, -1), atol=2e-5)


@pytest.mark.parametrize("levels", [1, 3])
@pytest.mark.parametrize("shape", [(7, 10, 2), (5, 1, 1), (9, 13, 1)])
def test_only_the_approximation_is_left_where_all_is_noise(shape, levels):
    """Of sides that are halved, rounded up; without noise all is left."""
    coefficients = np.random.default_rng(0).uniform(1, 2, shape).astype(np.float32)
    h, w = (-(-side // 2**levels) for side in shape[:2])
    expected = np.zeros(shape, np.float32)
    expected[:h, :w] = coefficients[:h, :w]
    np.testing.assert_array_equal(denoisers.bayes_shrink(jnp.asarray(coefficients), 1e3, levels), expected)
    np.testing.assert_array_equal(denoisers.bayes_shrink(jnp.asarray(coefficients), 0.0, levels), coefficients)


def test_total_variation_couples_the_channels():
    """Three that are alike have sqrt(3) times the variation of one, beside three times its distance."""
    image, weight = noisy((12, 9, 1)), 0.3
    found = denoisers.tv_prox(jnp.repeat(image, 3, axis=-1), weight)
    expected = denoisers.tv_prox(jnp.asarray(image), weight / np.sqrt(3))
    np.testing.assert_allclose(found, np.repeat(expected, 3, axis=-1), atol=1e-4)
    np.testing.assert_array_equal(denoisers.tv(image, 0.2), denoisers.tv_prox(image, denoisers.TV_WEIGHT * 0.2))
    assert denoisers.TV_WEIGHT == 0.85  # measured, see there


@pytest.mark.parametrize("colours", [(0.3, 0.3, 0.3), (0.3, 0.5, -0.2)])
def test_bm3d_leaves_a_colour_without_contrast_alone(colours):
    """The wheel divides by its range."""
    pytest.importorskip("bm3d", reason="needs the extra bm3d")
    flat = jnp.broadcast_to(jnp.array(colours), (16, 16, 3))
    np.testing.assert_allclose(denoisers.bm3d(flat, 0.1), flat, atol=1e-6)
