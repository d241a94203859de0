"""Against scikit-image."""

import jax
import jax.numpy as jnp
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


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int64", ">u2", "float16", "float64"])
def test_images_of_any_type_are_converted_before_they_are_subtracted(dtype):
    top = 255 if dtype in ("uint8", "float16") else 32767
    a, b = np.random.default_rng(0).integers(0, top, (2, 28, 28, 1)).astype(dtype)
    wide = a.astype(float), b.astype(float)
    np.testing.assert_allclose(cs.metrics.mse(a, b), skimage_metrics.mean_squared_error(*wide), rtol=1e-5)
    expected = skimage_metrics.peak_signal_noise_ratio(*wide, data_range=top)
    np.testing.assert_allclose(cs.metrics.psnr(a, b, top), expected, rtol=1e-5)
    expected = skimage_metrics.structural_similarity(*wide, data_range=top, channel_axis=-1)
    np.testing.assert_allclose(cs.metrics.ssim(a, b, top), expected, atol=1e-4)
    np.testing.assert_allclose(cs.metrics.ssim(a[..., 0], b[..., 0].tolist(), top), expected, atol=1e-4)


METRICS = {"mse": cs.metrics.mse, "psnr": cs.metrics.psnr, "ssim": cs.metrics.ssim}


@pytest.mark.parametrize("name", METRICS)
def test_a_batch_is_refused_and_vmapped(name):
    a, b = np.zeros((2, 28, 28, 1)), np.array([0.002, 0.2]).reshape(2, 1, 1, 1) + np.zeros((2, 28, 28, 1))
    with pytest.raises(cs.InputError, match=r"shape \(2, 28, 28, 1\): give \[h, w, c\], .* jax.vmap"):
        METRICS[name](a, b)
    each = jax.vmap(METRICS[name])(a, b)
    np.testing.assert_allclose(each, [METRICS[name](*pair) for pair in zip(a, b, strict=True)], rtol=1e-5)
    with pytest.raises(cs.InputError, match="cannot be compared"):
        METRICS[name](a[0], np.zeros((28, 28, 3)))
    with pytest.raises(cs.InputError, match="image is complex128"):
        METRICS[name](a[0] + 1j, b[0])


@pytest.mark.parametrize("data_range", [0, -1.0, np.nan, np.inf, "255", None, [1, 2]])
@pytest.mark.parametrize("name", ["psnr", "ssim"])
def test_a_data_range_that_is_none(name, data_range):
    with pytest.raises(cs.InputError, match="data_range = .*: it must be a number above 0"):
        METRICS[name](np.zeros((8, 8, 1)), np.zeros((8, 8, 1)), data_range)


def as_jax(image):
    with jax.enable_x64(image.dtype.itemsize == 8):
        return jnp.asarray(image)


FORMS = {"NumPy": np.asarray, "list": np.ndarray.tolist, "JAX": as_jax, "traced": None}


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32", "float32", "float64"])
@pytest.mark.parametrize("offset", [-(2.0**14), 2.0**14, 2.0**24])
def test_what_images_share_does_not_count(name, form, dtype, offset):
    """Of pixels that every one of these types holds beside the offset; for each channel it may be another one."""
    unit = 4 if offset == 2.0**24 and dtype == "float32" else 1
    if offset < 0 and dtype == "uint32":
        offset = -offset
    rng = np.random.default_rng(0)
    a = rng.integers(0, 100, (16, 16, 2))
    b = np.clip(a + rng.integers(-9, 9, a.shape), 0, 99)
    wide = [image * float(unit) for image in (a, b)]
    offsets = np.array([offset, 0])
    images = [(image + offsets).astype(dtype) for image in wide]
    ranges = () if name == "mse" else (99.0 * unit,)
    near = METRICS[name](*wide, *ranges)
    if name == "ssim":  # its means are those with the offset
        near = skimage_metrics.structural_similarity(
            *(image + offsets for image in wide), data_range=99 * unit, channel_axis=-1
        )
    with jax.enable_x64(form == "traced" and dtype in ("int64", "float64")):
        if form == "traced":
            value = jax.jit(METRICS[name])(*images, *ranges)
        else:
            value = METRICS[name](*map(FORMS[form], images), *ranges)
    np.testing.assert_allclose(value, near, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
@pytest.mark.parametrize("power", [28, 53, 61])
def test_whole_numbers_beyond_any_float_differ_by_what_they_differ(dtype, power):
    a = np.full((8, 8), 2**power, dtype)
    np.testing.assert_allclose(cs.metrics.mse(a, a + np.array(3, dtype)), 9)
    np.testing.assert_allclose(cs.metrics.psnr(a + np.array(3, dtype), a, 3), 0, atol=1e-6)


@pytest.mark.parametrize("unit", [1e-25, 1e-6, 1e6, 1e25])
@pytest.mark.parametrize("name", ["psnr", "ssim"])
def test_the_unit_of_pixels_does_not_matter(name, unit):
    a, b = (image.astype(float) for image in pair((16, 16, 1)))
    np.testing.assert_allclose(METRICS[name](unit * a, unit * b, 2 * unit), METRICS[name](a, b), rtol=1e-5)
