"""csdip_jax.data.pixels: the range that pixels come to, cropping and resizing."""

import warnings

import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax import data
from csdip_jax.data import PixelRangeWarning
from csdip_jax.data.pixels import center_crop, from_signed_range, to_signed_range
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
        (GREY8, {"pixel_range": "09"}, "pixel_range='09'"),
        (GREY8, {"pixel_range": (0, 255j)}, "pixel_range="),
        (GREY8, {"pixel_range": np.array([[0.0], [255.0]])}, r"pixel_range=array\(.*\): give two different"),
        (GREY8, {"pixel_range": (-1.5e308, 1.5e308)}, "pixel_range="),
        (GREY8, {"pixel_range": (0, 10**400)}, "pixel_range="),
        (GREY8, {"pixel_range": (0, np.nan)}, "pixel_range="),
        (GREY8, {"image_shape": (6, 5, 3)}, r"grey.*use `image_shape=\(6, 5, 1\)"),
        (GREY8, {"image_shape": (6, 5)}, r"image_shape=\(6, 5\)"),
        (GREY8, {"image_shape": (6, 5, 2)}, "c being 1 or 3"),
        (GREY8, {"image_shape": (6.5, 5, 1)}, "whole numbers"),
        (GREY8, {"image_shape": 28}, "image_shape=28"),
    ],
)
def test_pixels_and_shapes_that_are_refused(tmp_path, pixels, options, message):
    np.save(tmp_path / "a.npy", pixels)
    assert_refused(tmp_path / "a.npy", message, **options)


PARTS = {
    "12 bits in 16": (
        np.array([[100, 1000, 500]], np.uint16),
        "1 % of the range 0 to 65535 (100 to 1000)",
        (100, 1000),
    ),
    "a dim picture": (np.array([[3, 90]], np.uint8), "34 % of the range 0 to 255 (3 to 90)", (3, 90)),
    "CT numbers": (np.array([[-1000, 2000]], np.int16), "5 % of the range -32768 to 32767", (-1000, 2000)),
    "signed bytes": (np.array([[0, 100]], np.int8), "39 % of the range -128 to 127", (0, 100)),
    "floats of 0..1": (np.array([[0.0, 1.0, 0.5]]), "50 % of the range -1 to 1 (0 to 1)", (0, 1)),
    "single floats": (np.array([[0.1, 0.3]], np.float32), "10 % of the range -1 to 1", (0.1, 0.3001)),
    "half floats": (np.array([[-0.25, 0.5]], np.float16), "38 % of the range -1 to 1", (-0.25, 0.5)),
    "faint floats": (np.array([[0.5, 0.5 + 3e-8]]), "2e-06 % of the range -1 to 1", None),
}


@pytest.mark.parametrize(
    ("low", "high", "needed"), [(0.0173, 0.8767, (0, 1)), (0.0, 0.61, (0, 1)), (0.1, 0.5, (0.1, 0.5))]
)
def test_floats_that_use_0_to_1_are_told_these_round_numbers(tmp_path, low, high, needed):
    np.save(tmp_path / "a.npy", np.array([[low, high]]))
    with pytest.warns(PixelRangeWarning) as caught:
        data.load(tmp_path / "a.npy")
    assert caught[0].message.needed == needed


@pytest.mark.parametrize(
    ("low", "high", "usual"), [(3.5, 240.0, "(0, 255)"), (0.0, 4095.0, None), (-3.0, 240.0, None), (7.0, 7.0, None)]
)
def test_floats_beyond_1_are_told_255_where_they_fit(tmp_path, low, high, usual):
    np.save(tmp_path / "a.npy", np.array([[low, high]]))
    with pytest.raises(cs.InputError) as refusal:
        data.load(tmp_path / "a.npy")
    assert str(refusal.value).endswith(f", as `pixel_range={usual}` may be" if usual else "that holds them")


@pytest.mark.parametrize(
    ("pixels", "looks"),
    [([0, 4095], "black"), ([62000, 65535], "white"), ([31000, 33000], "grey"), ([0, 7000], None)],
)
def test_a_picture_that_shows_next_to_nothing_is_told(tmp_path, pixels, looks):
    np.save(tmp_path / "a.npy", np.array([pixels], np.uint16))
    with pytest.warns(PixelRangeWarning) as caught:
        data.load(tmp_path / "a.npy")
    assert ("nearly" in str(caught[0].message)) == (looks is not None)
    assert looks is None or f", so its picture is nearly {looks}: " in str(caught[0].message)


@pytest.mark.parametrize("kind", PARTS)
def test_a_part_of_the_range_is_told_with_the_range_that_uses_it_all(tmp_path, kind):
    pixels, usage, needed = PARTS[kind]
    np.save(tmp_path / "a.npy", pixels)
    with pytest.warns(PixelRangeWarning) as caught:
        data.load(tmp_path / "a.npy")
    (warning,) = [one.message for one in caught]
    assert str(warning).startswith("a.npy uses ") and usage in str(warning) and "\n" not in str(warning)
    assert needed is None or warning.needed == pytest.approx(needed, rel=1e-12)
    given = eval(str(warning).partition("pixel_range=")[2].removesuffix(" sets it"))  # what is told, as one types it
    image = data.load(tmp_path / "a.npy", pixel_range=given)  # and is not refused
    assert image.max() - image.min() > 1.99


@pytest.mark.parametrize(
    "pixels",
    [
        np.array([[0, 255]], np.uint8),
        np.array([[40, 220]], np.uint8),  # few photographs reach both ends
        np.array([[False, True]]),
        np.array([[-1.0, 1.0]]),
        np.array([[7, 7]], np.uint8),  # no range would make it better
        np.array([[0.0, 0.0]]),
    ],
)
def test_a_range_that_is_used_is_not_mentioned(tmp_path, pixels):
    warnings.simplefilter("error")
    np.save(tmp_path / "a.npy", pixels)
    data.load(tmp_path / "a.npy")


def test_one_warning_for_all_files_of_a_source(tmp_path):
    for name, pixels in {"a": [[100, 300]], "b": [[200, 4000]], "c": [[90, 90]]}.items():
        np.save(tmp_path / f"{name}.npy", np.array(pixels, np.uint16))
    with pytest.warns(PixelRangeWarning) as caught:
        data.load(tmp_path)
    assert len(caught) == 1 and caught[0].message.needed == (90, 4000)
    assert str(caught[0].message).startswith(f"3 images of {tmp_path} use 6 % of the range 0 to 65535 (90 to 4000)")

    np.save(tmp_path / "d.npy", np.array([[0, 255]], np.uint8))
    with pytest.warns(PixelRangeWarning, match=r"^3 of 4 images of .* load each kind by itself") as caught:
        data.load(tmp_path)
    assert len(caught) == 1 and caught[0].message.needed is None

    warnings.simplefilter("error")
    data.load(tmp_path, pixel_range=(0, 65535))  # told by the user, and so meant
    np.save(tmp_path / "d.npy", np.array([[0, 65535]], np.uint16))
    data.load(tmp_path)  # dark and bright pictures of one kind


@pytest.mark.parametrize("source", ["mnist", "mnist:jpeg", "xray", "xray:lr_train", "retino", "demo"])
def test_data_sets_use_their_range(source, real_data):
    """By name, and as a folder of anybody's."""
    warnings.simplefilter("error")
    data.load(source, real_data, num_images=4)
    folder = real_data / source.replace("retino", "retina")
    if list(folder.glob("*.png")):
        data.load(folder, num_images=1, image_shape=(64, 64, 1))


@pytest.mark.parametrize("pixel_range", [(100, 1000), (1000, 100), (-1, 1), (0, 1e-6), (1e6, 1e6 + 1), (-1000.5, 3000)])
def test_back_to_stored_values(pixel_range):
    stored = np.linspace(*pixel_range, 30).reshape(5, 6, 1)
    image = to_signed_range(stored, pixel_range)
    assert image.dtype == np.float32 and image[0, 0, 0] == -1 and image[-1, -1, 0] == 1
    back = from_signed_range(image, pixel_range)
    np.testing.assert_allclose(back, stored, rtol=0, atol=1e-7 * abs(pixel_range[1] - pixel_range[0]))
    np.testing.assert_allclose(to_signed_range(back, pixel_range), image, rtol=0, atol=2e-9)
