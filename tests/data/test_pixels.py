"""csdip_jax.data.pixels: the range that pixels come to, cropping and resizing."""

import numpy as np
import pytest

from csdip_jax import data
from csdip_jax.data.pixels import center_crop
from tests.data.files import COLOUR8, FLOATS, GREY8, assert_refused, rng, scaled


def test_ends_of_a_type_are_exactly_black_and_white(tmp_path):
    for dtype in (np.uint8, np.int8, np.uint16, np.int16):
        limits = np.iinfo(dtype)
        np.save(tmp_path / "a.npy", np.array([[limits.min, limits.max]], dtype))
        np.testing.assert_array_equal(data.load(tmp_path / "a.npy").ravel(), [-1, 1])


@pytest.mark.parametrize(
    "pixels, pixel_range, expected",
    [
        ([[0, 2047, 4095]], (0, 4095), [-1, 2 * 2047 / 4095 - 1, 1]),  # a 12-bit scan in a wider type
        ([[0.0, 0.5, 1.0]], (0, 1), [-1, 0, 1]),
        ([[-1000, 0, 3000]], (-1000, 3000), [-1, -0.5, 1]),  # Hounsfield units
        ([[0, 5, 10]], (10, 0), [1, 0, -1]),  # white is 0
    ],
)
def test_pixel_range(tmp_path, pixels, pixel_range, expected):
    np.save(tmp_path / "a.npy", np.array(pixels))
    images = data.load(tmp_path / "a.npy", pixel_range=pixel_range)
    np.testing.assert_allclose(images.ravel(), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64, np.uint64, ">i4", "<u8"])
def test_wider_integers_need_a_range(tmp_path, dtype):
    """Over the whole range of their type an image of 0..255 would be flat grey."""
    np.save(tmp_path / "a.npy", np.array([[0, 127, 255]], dtype))
    assert_refused(tmp_path / "a.npy", r"pixels \(0 to 255.*pixel_range=")
    images = data.load(tmp_path / "a.npy", pixel_range=(0, 255))
    np.testing.assert_allclose(images.ravel(), [-1, 2 * 127 / 255 - 1, 1], rtol=0, atol=1e-7)


def test_same_shape_leaves_pixels_alone(tmp_path):
    np.save(tmp_path / "a.npy", FLOATS)
    np.testing.assert_array_equal(data.load(tmp_path / "a.npy", image_shape=(6, 5, 1))[0, ..., 0], FLOATS)


@pytest.mark.parametrize(
    "stored, shape, crop, factor",
    [
        ((12, 8), (6, 4, 1), (slice(None), slice(None)), 2),
        ((12, 8), (4, 4, 1), (slice(2, 10), slice(None)), 2),
        ((9, 20), (3, 6, 1), (slice(None), slice(1, 19)), 3),
        ((7, 4), (2, 2, 1), (slice(1, 5), slice(None)), 2),  # of an odd rest the end loses one more
        ((4, 7), (2, 2, 1), (slice(None), slice(1, 5)), 2),
    ],
)
def test_whole_factors_are_central_block_means(tmp_path, stored, shape, crop, factor):
    pixels = rng.uniform(-1, 1, stored).astype(np.float32)
    np.save(tmp_path / "a.npy", pixels)
    cut = pixels[crop]
    blocks = cut.reshape(cut.shape[0] // factor, factor, cut.shape[1] // factor, factor)
    image = data.load(tmp_path / "a.npy", image_shape=shape)[0, ..., 0]
    np.testing.assert_allclose(image, blocks.mean((1, 3)), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("stored", "shape"), [((10, 3), (11, 3)), ((3, 10), (3, 11)), ((6, 5), (12, 10)), ((4, 4), (9, 9))]
)
def test_up_is_bilinear(tmp_path, stored, shape):
    """Between the centres of the pixels, also where one side alone grows."""
    pixels = rng.uniform(-1, 1, stored).astype(np.float32)
    np.save(tmp_path / "a.npy", pixels)
    places = [(np.arange(new) + 0.5) * old / new - 0.5 for old, new in zip(stored, shape, strict=True)]
    expected = np.stack([np.interp(places[0], np.arange(stored[0]), column) for column in pixels.T], axis=1)
    expected = np.stack([np.interp(places[1], np.arange(stored[1]), row) for row in expected])
    inside = np.ix_(*((at >= 0) & (at <= old - 1) for at, old in zip(places, stored, strict=True)))
    image = data.load(tmp_path / "a.npy", image_shape=(*shape, 1))[0, ..., 0]
    np.testing.assert_allclose(image[inside], expected[inside], rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(5, 5, 3), (7, 3, 3), (31, 30, 3), (40, 10, 3)])
def test_any_shape_keeps_range_and_flat_images(tmp_path, shape):
    np.save(tmp_path / "a.npy", rng.choice([-1.0, 1.0], (16, 11, 3)))
    image = data.load(tmp_path / "a.npy", image_shape=shape)[0]
    assert image.shape == shape and image.dtype == np.float32 and np.abs(image).max() <= 1
    np.save(tmp_path / "a.npy", np.full((16, 11, 3), 0.3))
    np.testing.assert_allclose(data.load(tmp_path / "a.npy", image_shape=shape), 0.3, rtol=0, atol=1e-6)


def test_colour_to_grey_is_luminance(tmp_path):
    np.save(tmp_path / "a.npy", COLOUR8)
    grey = data.load(tmp_path / "a.npy", image_shape=(6, 5, 1))[0, ..., 0]
    expected = scaled(COLOUR8, 0, 255) @ np.array([0.2125, 0.7154, 0.0721])
    np.testing.assert_allclose(grey, expected, rtol=0, atol=1e-6)


def test_center_crop_follows_the_manifests():
    rows, columns = np.mgrid[:605, :700]
    assert center_crop(np.stack([rows, columns], -1), 512, 512)[0, 0].tolist() == [46, 94]


@pytest.mark.parametrize(
    "pixels, options, message",
    [
        (np.full((6, 5), np.nan), {}, "30 of 30 pixels are NaN"),
        (np.array([[0, np.inf]]), {}, "1 of 2 pixels"),
        (np.array([[0.0, 255.0]]), {}, r"from 0 to 255.*pixel_range="),
        (np.array([[0, 255]]), {}, r"int64 pixels \(0 to 255.*pixel_range="),
        (GREY8, {"pixel_range": (0, 100)}, r"pixels go from .*\(0, 100\)"),
        (GREY8, {"pixel_range": (5, 5)}, r"pixel_range=\(5, 5\)"),
        (GREY8, {"pixel_range": 255}, "pixel_range=255"),
        (GREY8, {"pixel_range": (0, np.nan)}, "pixel_range="),
        (GREY8, {"image_shape": (6, 5, 3)}, r"grey.*use image_shape=\(6, 5, 1\)"),
        (GREY8, {"image_shape": (6, 5)}, r"image_shape=\(6, 5\)"),
        (GREY8, {"image_shape": (6, 5, 2)}, "c being 1 or 3"),
        (GREY8, {"image_shape": (6.5, 5, 1)}, "whole numbers"),
        (GREY8, {"image_shape": 28}, "image_shape=28"),
    ],
)
def test_pixels_and_shapes_that_are_refused(tmp_path, pixels, options, message):
    np.save(tmp_path / "a.npy", pixels)
    assert_refused(tmp_path / "a.npy", message, **options)
