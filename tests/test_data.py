"""csdip_jax.data: each format and kind of pixel, names, shapes, and one clear line for each bad input."""

import functools
import gzip
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image

from csdip_jax import data
from csdip_jax.data.pixels import center_crop
from csdip_jax.types import InputError

REAL = Path(__file__).parents[2] / "shared" / "data"
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason="no ../shared/data beside the repository")

rng = np.random.default_rng(0)
GREY8 = rng.integers(0, 256, (6, 5)).astype(np.uint8)
COLOUR8 = rng.integers(0, 256, (6, 5, 3)).astype(np.uint8)
GREY16 = rng.integers(0, 65536, (6, 5)).astype(np.uint16)
COLOUR16 = rng.integers(0, 65536, (6, 5, 3)).astype(np.uint16)


def scaled(pixels, black, white):
    return np.atleast_3d((pixels.astype(np.float64) - black) / (white - black) * 2 - 1).astype(np.float32)


def png_16_bit(path, pixels):
    """Pillow writes no 16-bit colour PNG, so the chunks are put together here."""
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    stored = np.frombuffer(pixels.astype(">u2").tobytes(), np.uint8).reshape(height, -1).copy()
    # Filter 1: each byte less the one a pixel before, so that the decoder has to know how wide a pixel is.
    stored[:, 2 * channels :] -= stored[:, : -2 * channels].copy()
    rows = b"".join(b"\1" + row.tobytes() for row in stored)

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks))


def pnm(path, pixels, maximum):
    kind = 5 if pixels.ndim == 2 else 6
    body = pixels.astype(">u2" if maximum > 255 else "u1").tobytes()
    path.write_bytes(b"P%d\n%d %d\n%d\n" % (kind, pixels.shape[1], pixels.shape[0], maximum) + body)


def pnm_of(maximum):
    return functools.partial(pnm, maximum=maximum)


def tiff(**options):
    return functools.partial(tifffile.imwrite, **options)


def pillow(mode=None, **options):
    def write(path, pixels):
        image = Image.fromarray(pixels)
        (image if mode is None else image.convert(mode)).save(path, **options)

    return write


def with_alpha(pixels, alpha):
    return np.dstack([pixels, np.full(pixels.shape[:2], alpha, pixels.dtype)])


def palette(path, pixels):
    image = Image.fromarray(pixels % 4)
    image.putpalette([10, 20, 30, 250, 0, 0, 0, 250, 0, 7, 7, 7])
    image.save(path)


PALETTE = np.array([[10, 20, 30], [250, 0, 0], [0, 250, 0], [7, 7, 7]], np.uint8)
FLOATS = rng.uniform(-1, 1, (6, 5)).astype(np.float32)
HALF_FLOATS = FLOATS.astype(np.float16)
FLOAT_COLOUR = rng.uniform(-1, 1, (6, 5, 3)).astype(np.float32)
PAGES = np.zeros((3, 6, 5), np.uint8)


@pytest.mark.parametrize(
    "file, write, pixels, expected",
    [
        ("a.png", pillow(), GREY8, scaled(GREY8, 0, 255)),
        ("a.png", pillow(), COLOUR8, scaled(COLOUR8, 0, 255)),
        ("a.PNG", pillow(), COLOUR8, scaled(COLOUR8, 0, 255)),
        ("a.png", png_16_bit, GREY16, scaled(GREY16, 0, 65535)),
        ("a.png", png_16_bit, COLOUR16, scaled(COLOUR16, 0, 65535)),
        ("a.png", png_16_bit, with_alpha(COLOUR16, 65535), scaled(COLOUR16, 0, 65535)),
        ("a.png", pillow(), with_alpha(COLOUR8, 255), scaled(COLOUR8, 0, 255)),
        ("a.png", pillow("LA"), GREY8, scaled(GREY8, 0, 255)),
        ("a.png", pillow(), GREY8 > 99, scaled(GREY8 > 99, 0, 1)),
        ("a.png", palette, GREY8, scaled(PALETTE[GREY8 % 4], 0, 255)),
        ("a.jpg", pillow(quality=95), np.full((6, 5), 100, np.uint8), scaled(np.full((6, 5), 100), 0, 255)),
        ("a.bmp", pillow(), COLOUR8, scaled(COLOUR8, 0, 255)),
        ("a.pgm", pillow(), GREY8, scaled(GREY8, 0, 255)),
        ("a.ppm", pillow(), COLOUR8, scaled(COLOUR8, 0, 255)),
        ("a.pgm", pnm_of(65535), GREY16, scaled(GREY16, 0, 65535)),
        ("a.ppm", pnm_of(65535), COLOUR16, scaled(COLOUR16, 0, 65535)),
        ("a.pgm", pnm_of(1023), GREY16 % 1024, scaled(GREY16 % 1024, 0, 1023)),
        ("a.ppm", pnm_of(1023), COLOUR16 % 1024, scaled(COLOUR16 % 1024, 0, 1023)),
        ("a.tif", tifffile.imwrite, GREY8, scaled(GREY8, 0, 255)),
        ("a.tif", tifffile.imwrite, GREY16, scaled(GREY16, 0, 65535)),
        ("a.tiff", tifffile.imwrite, COLOUR16, scaled(COLOUR16, 0, 65535)),
        ("a.tif", pillow(compression="tiff_lzw"), GREY16, scaled(GREY16, 0, 65535)),
        ("a.tif", pillow(compression="tiff_lzw"), COLOUR8, scaled(COLOUR8, 0, 255)),
        ("a.tif", tiff(photometric="miniswhite"), GREY16, scaled(GREY16, 65535, 0)),
        ("a.tif", tiff(photometric="miniswhite"), GREY8, scaled(GREY8, 255, 0)),
        (
            "a.tif",
            tiff(photometric="rgb", planarconfig="separate"),
            np.moveaxis(COLOUR16, 2, 0),
            scaled(COLOUR16, 0, 65535),
        ),
        ("a.tif", tiff(photometric="rgb"), FLOAT_COLOUR, FLOAT_COLOUR),
        ("a.tif", tifffile.imwrite, FLOATS, FLOATS[..., None]),
        ("a.tif", tifffile.imwrite, FLOATS.astype(np.float64), FLOATS[..., None]),
        ("a.npy", np.save, GREY8, scaled(GREY8, 0, 255)),
        ("a.npy", np.save, GREY8[..., None], scaled(GREY8, 0, 255)),
        ("a.npy", np.save, COLOUR16, scaled(COLOUR16, 0, 65535)),
        ("a.npy", np.save, GREY8.astype(np.int8), scaled(GREY8.astype(np.int8), -128, 127)),
        ("a.npy", np.save, GREY16.astype(">u2"), scaled(GREY16, 0, 65535)),
        ("a.npy", np.save, GREY8 > 99, scaled(GREY8 > 99, 0, 1)),
        ("a.npy", np.save, FLOATS, FLOATS[..., None]),
        ("a.npy", np.save, HALF_FLOATS, HALF_FLOATS.astype(np.float32)[..., None]),
    ],
)
def test_every_kind_of_file_keeps_its_pixels(tmp_path, file, write, pixels, expected):
    write(tmp_path / file, pixels)
    names, images = data.load_named(tmp_path / file)
    assert names == ["a"]
    assert images.dtype == np.float32
    # Of 16-bit levels, 3e-5 wide: hundredths for the rounding to float32, and half of one where a 10-bit file
    # is scaled up to 16.
    tolerance = 1.6e-5 if file.endswith(("pgm", "ppm")) else 1.5e-7
    np.testing.assert_allclose(images, expected[None], rtol=0, atol=tolerance)


def test_ends_of_a_type_are_exactly_black_and_white(tmp_path):
    for dtype in (np.uint8, np.int8, np.uint16, np.int16):
        limits = np.iinfo(dtype)
        np.save(tmp_path / "a.npy", np.array([[limits.min, limits.max]], dtype))
        np.testing.assert_array_equal(data.load(tmp_path / "a.npy").ravel(), [-1, 1])


def test_exif_turns_a_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(GREY8).save(tmp_path / "a.png", exif=exif)
    expected = scaled(np.rot90(GREY8, -1), 0, 255)
    np.testing.assert_allclose(data.load(tmp_path / "a.png")[0], expected, rtol=0, atol=1e-6)


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


def save_grey(path):
    np.save(path, GREY8)


def transparent_colour(path):
    Image.fromarray(COLOUR8).save(path, transparency=tuple(int(v) for v in COLOUR8[0, 0]))


def object_array(path):
    np.save(path, np.array([[1, "a"]], dtype=object), allow_pickle=True)


def shortened(path, keep):
    Image.fromarray(rng.integers(0, 256, (60, 50)).astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:keep])


@pytest.mark.parametrize(
    "file, write, options, message",
    [
        ("a.png", lambda p: p.write_text("not an image"), {}, "not readable as an image"),
        ("a.png", lambda p: p.write_bytes(b""), {}, "not readable as an image"),
        ("a.gif", lambda p: Image.fromarray(GREY8).save(p), {}, "not readable as an image"),
        ("a.png", lambda p: shortened(p, 1500), {}, "truncated"),
        ("a.bmp", lambda p: shortened(p, 1500), {}, "truncated"),
        ("a.tif", lambda p: shortened(p, 1500), {}, "not readable as an image"),
        ("a.jpg", lambda p: shortened(p, 800), {}, "truncated"),
        ("a.ppm", lambda p: p.write_bytes(b"P6\n6 5\n65535\n\0\0"), {}, "truncated or damaged"),
        ("a.ppm", lambda p: pnm(p, COLOUR16, 1023), {}, "truncated or damaged"),
        ("a.ppm", lambda p: p.write_bytes(b"P3\n1 1\n999\n1 2 3\n"), {}, "plain text"),
        ("a.png", lambda p: Image.fromarray(with_alpha(COLOUR8, 254)).save(p), {}, "transparent.*flatten"),
        ("a.png", lambda p: Image.fromarray(GREY8).save(p, transparency=int(GREY8[0, 0])), {}, "transparent"),
        ("a.png", transparent_colour, {}, "transparent"),
        ("a.png", lambda p: png_16_bit(p, with_alpha(COLOUR16, 65534)), {}, "transparent"),
        ("a.png", lambda p: png_16_bit(p, with_alpha(GREY16, 65535)), {}, "16-bit PNG with transparency"),
        ("a.tif", lambda p: tiff(photometric="minisblack")(p, PAGES), {}, "holds 3 pictures"),
        ("a.tif", lambda p: tiff(photometric="minisblack")(p, PAGES / 255), {}, "holds 3 pictures"),
        ("a.npy", lambda p: p.write_bytes(b"\x93NUMPY"), {}, "not readable as an image"),
        ("a.npy", lambda p: p.write_text("no array"), {}, "not readable as an image"),
        ("a.npy", object_array, {}, "not readable as an image.*[Oo]bject"),
        ("a.npy", lambda p: np.save(p, np.zeros((2, 6, 5))), {}, r"\(2, 6, 5\).*use \[h, w\]"),
        ("a.npy", lambda p: np.save(p, np.zeros(6)), {}, r"\(6,\)"),
        ("a.npy", lambda p: np.save(p, np.zeros((0, 5))), {}, r"\(0, 5\)"),
        ("a.npy", lambda p: np.save(p, np.zeros((6, 5), complex)), {}, "complex128"),
        ("a.npy", lambda p: np.save(p, np.full((6, 5), np.nan)), {}, "30 of 30 pixels are NaN"),
        ("a.npy", lambda p: np.save(p, np.array([[0, np.inf]])), {}, "1 of 2 pixels"),
        ("a.npy", lambda p: np.save(p, np.array([[0.0, 255.0]])), {}, r"from 0 to 255.*pixel_range="),
        ("a.npy", lambda p: np.save(p, np.array([[0, 255]])), {}, r"int64 pixels \(0 to 255.*pixel_range="),
        ("a.npy", save_grey, {"pixel_range": (0, 100)}, r"pixels go from .*\(0, 100\)"),
        ("a.npy", save_grey, {"pixel_range": (5, 5)}, r"pixel_range=\(5, 5\)"),
        ("a.npy", save_grey, {"pixel_range": 255}, "pixel_range=255"),
        ("a.npy", save_grey, {"pixel_range": (0, np.nan)}, "pixel_range="),
        ("a.npy", save_grey, {"image_shape": (6, 5, 3)}, r"grey.*use image_shape=\(6, 5, 1\)"),
        ("a.npy", save_grey, {"image_shape": (6, 5)}, r"image_shape=\(6, 5\)"),
        ("a.npy", save_grey, {"image_shape": (6, 5, 2)}, "c being 1 or 3"),
        ("a.npy", save_grey, {"image_shape": (6.5, 5, 1)}, "whole numbers"),
        ("a.npy", save_grey, {"image_shape": 28}, "image_shape=28"),
        ("a.npy", save_grey, {"num_images": 2}, "num_images=2.*1 images.*use 1 to 1"),
        ("a.npy", save_grey, {"num_images": 0}, "num_images=0"),
        ("a.npy", save_grey, {"num_images": 1.0}, "whole numbers"),
        ("a.npy", save_grey, {"first": 1}, "first=1: .*use 0 to 0"),
        ("a.npy", save_grey, {"first": -1}, "first=-1"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path, file, write, options, message):
    write(tmp_path / file)
    with pytest.raises(InputError, match=message) as caught:
        data.load(tmp_path / file, **options)
    assert "\n" not in str(caught.value)


def test_unpickling_never_happens(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    np.save(tmp_path / "a.npy", np.array([Trap()]), allow_pickle=True)
    with pytest.raises(InputError):
        data.load(tmp_path / "a.npy")
    assert not (tmp_path / "sprung").exists()


def write_all(folder, files):
    for file, pixels in files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, pixels) if path.suffix == ".npy" else Image.fromarray(pixels).save(path)


def test_folder_glob_and_file(tmp_path, monkeypatch):
    flat = {"b.png": 0, "a.png": 255, "c.png": 51}
    write_all(tmp_path, {file: np.full((4, 4), value, np.uint8) for file, value in flat.items()})
    write_all(tmp_path, {"inner/d.png": GREY8})
    (tmp_path / "notes.txt").write_text("not an image")
    names, images = data.load_named(tmp_path)
    assert names == ["a", "b", "c"] and images.shape == (3, 4, 4, 1)
    np.testing.assert_allclose(images[:, 0, 0, 0], [1, -1, -0.6], rtol=0, atol=1e-7)

    monkeypatch.chdir(tmp_path)
    assert data.load_named("[ab].png")[0] == ["a", "b"]
    assert data.load_named("**/d.png")[0] == ["d"]
    assert data.load_named("c.png")[0] == ["c"]


def test_names_do_not_depend_on_the_part_that_is_read(tmp_path):
    write_all(tmp_path, {f"{index}.png": np.full((2, 2), index, np.uint8) for index in range(5)})
    names, images = data.load_named(tmp_path)
    for first, num_images in ((0, 2), (3, None), (4, 1)):
        some_names, some_images = data.load_named(tmp_path, first=first, num_images=num_images)
        stop = None if num_images is None else first + num_images
        assert some_names == names[first:stop]
        np.testing.assert_array_equal(some_images, images[first:stop])


@pytest.mark.parametrize(
    "files, names",
    [
        (["x.npy", "x.png", "y.png"], ["x.npy", "x.png", "y"]),
        (["p/x.png", "q/x.png", "q/z.png"], ["p__x.png", "q__x.png", "z"]),
        (["p/x.npy", "p/x.png", "q/x.npy"], ["p__x.npy", "x.png", "q__x.npy"]),
    ],
)
def test_equal_stems_keep_suffix_and_folder(tmp_path, files, names):
    write_all(tmp_path, dict.fromkeys(files, GREY8))
    assert data.load_named(tmp_path / "**" / "*.*")[0] == names


def test_names_that_collide_all_the_same_are_refused(tmp_path):
    write_all(tmp_path, dict.fromkeys(["p/x.png", "q/x.png", "p__x.png.png"], GREY8))
    with pytest.raises(InputError, match="'p__x.png'; rename"):
        data.load(tmp_path / "**" / "*.png")


def test_images_of_different_shape(tmp_path):
    write_all(tmp_path, {"a.png": GREY8, "b.png": GREY8.T, "c.png": COLOUR8})
    with pytest.raises(InputError, match=r"a\.png is \(6, 5, 1\).*b\.png is \(5, 6, 1\).*image_shape="):
        data.load(tmp_path)
    assert data.load(tmp_path, image_shape=(4, 4, 1)).shape == (3, 4, 4, 1)


def test_sources_that_are_not_there(tmp_path):
    for source, message in (
        ("mnits", "neither a known name .mnist, xray, retino, demo."),
        (tmp_path / "none", "nor a folder, glob or file that exists"),
        (tmp_path, "none of the 0 files"),
        (tmp_path / "*.png", "none of the 0 files"),
    ):
        with pytest.raises(InputError, match=message):
            data.load(source)
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(InputError, match="none of the 1 files"):
        data.load(tmp_path / "*.txt")


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
    ],
)
def test_whole_factors_are_central_block_means(tmp_path, stored, shape, crop, factor):
    pixels = rng.uniform(-1, 1, stored).astype(np.float32)
    np.save(tmp_path / "a.npy", pixels)
    cut = pixels[crop]
    blocks = cut.reshape(cut.shape[0] // factor, factor, cut.shape[1] // factor, factor)
    image = data.load(tmp_path / "a.npy", image_shape=shape)[0, ..., 0]
    np.testing.assert_allclose(image, blocks.mean((1, 3)), rtol=0, atol=1e-6)


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


def test_demo_needs_no_data():
    colour_names, colour = data.load_named("demo")
    assert colour_names[0] == "retina" and colour.shape == (len(colour_names), 128, 128, 3)
    grey_names, grey = data.load_named("demo", image_shape=(64, 64, 1), num_images=2)
    assert grey_names[0] == "camera" and grey.shape == (2, 64, 64, 1)
    block_means = skimage.data.camera().reshape(64, 8, 64, 8).mean((1, 3))
    np.testing.assert_allclose(grey[0, ..., 0], block_means / 127.5 - 1, rtol=0, atol=1e-6)


def idx(shape, magic=0x00000803, cut=0):
    pixels = np.arange(np.prod(shape)).astype(np.uint8).tobytes()
    content = struct.pack(">IIII", magic, *shape) + pixels
    return content[: len(content) - cut]


@pytest.mark.parametrize(
    "file, pack",
    [
        ("t10k-images-idx3-ubyte", bytes),
        ("mnist/t10k-images-idx3-ubyte", bytes),
        ("t10k-images-idx3-ubyte.gz", gzip.compress),
        ("mnist/t10k-images-idx3-ubyte.gz", gzip.compress),
        ("mnist/t10k-images-idx3-ubyte.gz", bytes),  # unpacked on its way, but not renamed
    ],
)
def test_mnist(tmp_path, file, pack):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(pack(idx((7, 4, 3))))
    names, images = data.load_named("mnist", tmp_path, first=2, num_images=2)
    assert names == ["mnist_test_00002", "mnist_test_00003"]
    expected = np.arange(24, 48).reshape(2, 4, 3, 1) / 127.5 - 1
    np.testing.assert_allclose(images, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "content, message",
    [
        (idx((7, 4, 3), magic=0x00000801), "starts with 0x00000801 not 0x00000803"),
        (idx((7, 4, 3), cut=5), "7 images of 4x3, it holds 79 pixels"),
        (idx((7, 4, 3)) + b"\0", "it holds 85 pixels"),
        (idx((7, 4, 3))[:9], "truncated within its header"),
        (b"", "no IDX file"),
        (gzip.compress(idx((7, 4, 3)))[:-9], "not readable"),
        (b"\x1f\x8b no gzip", "not readable"),
    ],
)
def test_damaged_mnist(tmp_path, content, message):
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        data.load("mnist", tmp_path)
    assert "experiments.fetch_data" in str(caught.value) and "\n" not in str(caught.value)


def test_manifest_gives_order_and_roles(tmp_path):
    write_all(tmp_path / "xray", {f"{n}.png": np.full((2, 2), i, np.uint8) for i, n in enumerate("abcd")})
    manifest = tmp_path / "xray" / "manifest.csv"
    assert data.load_named("xray", tmp_path)[0] == ["a", "b", "c", "d"]

    manifest.write_text("file,role\nd.png,test\nc.png,lr_train\na.png,test\n")
    names, images = data.load_named("xray", tmp_path)
    assert names == ["d", "a"]
    np.testing.assert_allclose(images[:, 0, 0, 0], [3 / 127.5 - 1, -1], rtol=0, atol=1e-7)
    assert data.load_named("xray:lr_train", tmp_path)[0] == ["c"]

    manifest.write_text("file,source\nb.png,somewhere\n")
    assert data.load_named("xray", tmp_path)[0] == ["b"]


@pytest.mark.parametrize("folder", ["retino", "retina"])
def test_retino_has_two_folder_names(tmp_path, folder):
    write_all(tmp_path / folder, {"im0001.png": COLOUR8})
    assert data.load_named("retino", tmp_path)[0] == ["im0001"]


@pytest.mark.parametrize(
    "source, manifest, message",
    [
        ("xray", "file,role\na.png,test\nmissing.png,test\n", "names missing.png, which is missing"),
        ("xray:dev", "file,role\na.png,test\n", "role 'dev'; there is test"),
        ("xray", "name\na.png\n", "needs a column `file`"),
        ("xray", "file,role\n", "no image is of role 'test'; there is none"),
        ("xray:lr_train", None, "no manifest.csv to say"),
        ("mnist", None, "run `python -m experiments.fetch_data --dataset=mnist"),
        ("mnist:dev", None, "the parts of MNIST are test, train"),
        ("retino", None, "has no retino/.* or retina/.*; run"),
    ],
)
def test_bad_data_dir(tmp_path, source, manifest, message):
    write_all(tmp_path / "xray", {"a.png": GREY8})
    if manifest is not None:
        (tmp_path / "xray" / "manifest.csv").write_text(manifest)
    with pytest.raises(InputError, match=message) as caught:
        data.load(source, tmp_path)
    assert "\n" not in str(caught.value)


def test_data_dir_is_needed_and_named(tmp_path):
    with pytest.raises(InputError, match="needs a data_dir.*--dataset=xray --data_dir=data"):
        data.load("xray")
    with pytest.raises(InputError, match="nowhere'.*pass the --data_dir that has it"):
        data.load("xray", tmp_path / "nowhere")
    (tmp_path / "xray").mkdir()
    (tmp_path / "xray" / "readme.txt").write_text("")
    with pytest.raises(InputError, match="no image"):
        data.load("xray", tmp_path)


def test_center_crop_follows_the_manifests():
    rows, columns = np.mgrid[:605, :700]
    assert center_crop(np.stack([rows, columns], -1), 512, 512)[0, 0].tolist() == [46, 94]


@needs_real_data
def test_real_mnist_is_in_official_order():
    names, images = data.load_named("mnist", REAL)
    assert images.shape == (10000, 28, 28, 1) and names[7] == "mnist_test_00007"
    with gzip.open(REAL / "mnist" / "t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    assert labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    # The labels are those of these images, in this order: the nearest class mean finds most of them.
    means = np.stack([images[labels == digit].mean(0).ravel() for digit in range(10)])
    flat = images.reshape(len(images), -1)
    nearest = (flat @ means.T - 0.5 * (means**2).sum(1)).argmax(1)
    assert (nearest == labels).mean() > 0.8


@needs_real_data
@pytest.mark.parametrize(
    "source, shape, first_name",
    [
        ("xray", (60, 256, 256, 1), "001_81089cb4"),
        ("xray:lr_train", (10, 256, 256, 1), "061_e53ea41a"),
        ("retino", (20, 128, 128, 3), "im0001"),
    ],
)
def test_real_images(source, shape, first_name):
    names, images = data.load_named(source, REAL)
    assert images.shape == shape and images.dtype == np.float32 and np.abs(images).max() <= 1
    assert names[0] == first_name and len(set(names)) == shape[0]
    folder = REAL / ("retina" if source == "retino" else "xray")
    stored = np.asarray(Image.open(folder / f"{names[-1]}.png"))
    np.testing.assert_array_equal(np.rint((images[-1] + 1) * 127.5).squeeze(), stored)
