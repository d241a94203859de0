"""Against scikit-image."""

import jax
import numpy as np
import pytest
from skimage import metrics as skimage_metrics

import csdip_jax as cs


def pair(shape):
    rng = np.random.default_rng(0)
    a = rng.uniform(-1, 1, shape).astype(np.float32)
    return a, np.clip(a + 0.2 * rng.standard_normal(shape), -1, 1).astype(np.float32)


@pytest.mark.parametrize("shape", [(28, 28, 1), (40, 31, 3), (7, 9, 2)])
def test_equal_scikit_image(shape):
    a, b = pair(shape)
    np.testing.assert_allclose(cs.metrics.mse(a, b), skimage_metrics.mean_squared_error(a, b), rtol=1e-5)
    expected = skimage_metrics.peak_signal_noise_ratio(a, b, data_range=2)
    np.testing.assert_allclose(cs.metrics.psnr(a, b), expected, rtol=1e-5)
    expected = skimage_metrics.structural_similarity(a.astype(float), b.astype(float), channel_axis=-1, data_range=2)
    np.testing.assert_allclose(jax.jit(cs.metrics.ssim)(a, b), expected, atol=1e-4)


@pytest.mark.parametrize("window", [3, 7, 11])
@pytest.mark.parametrize("data_range", [1.0, 2.0, 255.0])
def test_range_and_window_are_those_that_are_given(data_range, window):
    """Beside scikit-image, on images whose contrast is near the constants of SSIM."""
    a, b = (0.02 * data_range * image for image in pair((13, 20, 2)))
    expected = skimage_metrics.structural_similarity(
        a.astype(float), b.astype(float), channel_axis=-1, data_range=data_range, win_size=window
    )
    np.testing.assert_allclose(cs.metrics.ssim(a, b, data_range, window), expected, atol=1e-5)
    expected = skimage_metrics.peak_signal_noise_ratio(a, b, data_range=data_range)
    np.testing.assert_allclose(cs.metrics.psnr(a, b, data_range), expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(6, 4, 1), (4, 6), (1, 4, 6), (24,), (), (4, 6, 2)])
def test_images_of_another_shape_are_not_compared(shape):
    with pytest.raises(cs.InputError, match=r"shapes \(4, 6, 1\) and .* cannot be compared"):
        cs.metrics.mse(np.zeros((4, 6, 1)), np.zeros(shape))


def test_equal_images():
    a, _ = pair((16, 16, 1))
    assert cs.metrics.mse(a, a) == 0 and np.isinf(cs.metrics.psnr(a, a))
    np.testing.assert_allclose(cs.metrics.ssim(a, a), 1, atol=1e-6)


def test_an_image_smaller_than_the_window():
    with pytest.raises(cs.InputError, match=r"\(6, 20, 1\) are smaller than the SSIM window"):
        cs.metrics.ssim(np.zeros((6, 20, 1)), np.zeros((6, 20, 1)))
