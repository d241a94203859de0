"""csdip_jax.data.decode: each format and kind of pixel, and what is no single opaque image."""

import functools
import gzip
import io
import os
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from csdip_jax import data
from csdip_jax.data.decode import read_pixels
from csdip_jax.types import InputError
from tests.data.files import COLOUR8, COLOUR16, FLOATS, GREY8, GREY16, assert_refused, rng, scaled

PALETTE = np.array([[10, 20, 30], [250, 0, 0], [0, 250, 0], [7, 7, 7]], np.uint8)
HALF_FLOATS = FLOATS.astype(np.float16)
FLOAT_COLOUR = rng.uniform(-1, 1, (6, 5, 3)).astype(np.float32)
PAGES = np.zeros((3, 6, 5), np.uint8)


def png_16_bit(path, pixels, *more):
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
    chunks = [(b"IHDR", header), *more, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
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


@pytest.mark.parametrize(
    "file, write, pixels, expected",
    [
        ("a.png", pillow(), GREY8, scaled(GREY8, 0, 255)),
        ("a.png", pillow(), COLOUR8, scaled(COLOUR8, 0, 255)),
        ("a.PNG", pillow(), COLOUR8, scaled(COLOUR8, 0, 255)),
        ("a.png", png_16_bit, GREY16, scaled(GREY16, 0, 65535)),
        ("a.png", png_16_bit, COLOUR16, scaled(COLOUR16, 0, 65535)),
        ("a.png", png_16_bit, with_alpha(COLOUR16, 65535), scaled(COLOUR16, 0, 65535)),
        ("a.png", png_16_bit, with_alpha(GREY16, 65535), scaled(GREY16, 0, 65535)),
        ("a.png", pillow(), with_alpha(COLOUR8, 255), scaled(COLOUR8, 0, 255)),
        ("a.png", pillow("LA"), GREY8, scaled(GREY8, 0, 255)),
        ("a.png", pillow(), GREY8 > 99, scaled(GREY8 > 99, 0, 1)),
        ("a.png", palette, GREY8, scaled(PALETTE[GREY8 % 4], 0, 255)),
        ("a.jpg", pillow(quality=95), np.full((6, 5), 100, np.uint8), scaled(np.full((6, 5), 100), 0, 255)),
        ("a.bmp", pillow(), COLOUR8, scaled(COLOUR8, 0, 255)),
        ("a.webp", pillow(lossless=True), COLOUR8, scaled(COLOUR8, 0, 255)),
        ("a.WebP", pillow(lossless=True), with_alpha(COLOUR8, 255), scaled(COLOUR8, 0, 255)),
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


def test_exif_turns_a_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(GREY8).save(tmp_path / "a.png", exif=exif)
    expected = scaled(np.rot90(GREY8, -1), 0, 255)
    np.testing.assert_allclose(data.load(tmp_path / "a.png")[0], expected, rtol=0, atol=1e-6)
    Image.fromarray(COLOUR8).save(tmp_path / "a.webp", exif=exif, lossless=True)
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.webp"), np.rot90(COLOUR8, -1))
    for pixels in (COLOUR16, GREY16):
        png_16_bit(tmp_path / "a.png", pixels, (b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")))
        np.testing.assert_array_equal(read_pixels(tmp_path / "a.png"), np.rot90(pixels, -1))


def test_odd_metadata_of_a_deep_picture_is_passed_over_in_silence(tmp_path, capfd):
    png_16_bit(tmp_path / "a.png", COLOUR16, (b"iCCP", b"no profile\0\0" + zlib.compress(bytes(9))), (b"tIME", b"\0"))
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.png"), COLOUR16)
    assert capfd.readouterr() == ("", "")


def test_a_deep_ppm_may_have_comments_as_long_as_they_like(tmp_path):
    header = b"P6 # " + b"x" * 10_000 + b"\n#\n5\t6\n# deep\n65535\n"
    (tmp_path / "a.ppm").write_bytes(header + COLOUR16.astype(">u2").tobytes())
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.ppm"), COLOUR16)


def npy_header(shape):
    """That of a .npy file of float64, without numbers."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue()


def png_header(height, width):
    file = io.BytesIO()
    Image.fromarray(GREY8).save(file, "png")
    header = b"IHDR" + struct.pack(">II", width, height) + file.getvalue()[24:29]
    return file.getvalue()[:12] + header + struct.pack(">I", zlib.crc32(header)) + file.getvalue()[33:]


def sparse_file(path, content, size):
    path.write_bytes(content)
    os.truncate(path, size)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (png_header(100_000, 100_000), "at most 178956970: cut or shrink"),
        (b"P5\n100000 100000\n255\n", "at most 178956970: cut or shrink"),
        (b"P6\n100000 100000\n65535\n", "at most 178956970: cut or shrink"),
        (npy_header((10**12,)), "more numbers than its 128 bytes hold"),
        (npy_header((10**6, 10**6)), "more numbers than its 128 bytes hold"),
        (npy_header((10**10, 10**10)), "more numbers than its 128 bytes hold"),
    ],
)
def test_headers_of_too_many_pixels_are_refused_before_memory_is_taken(tmp_path, content, message):
    (tmp_path / "a.png").write_bytes(content)
    assert_refused(tmp_path / "a.png", message)


def test_an_array_of_too_many_pixels_is_refused_before_memory_is_taken(tmp_path):
    sparse_file(tmp_path / "a.npy", npy_header((2**17, 2**17)), 128 + 8 * 2**34)
    assert_refused(tmp_path / "a.npy", "has 17179869184 pixels; at most 178956970: cut or shrink")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy", ".dcm"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bytes(128) + b"DICM" + bytes(200), "a DICOM file; .*pydicom"),
        (b"II*\0" + bytes(124) + b"DICM" + bytes(200), "a DICOM file; .*pydicom"),  # which may be a TIFF in front
        (b"\x02\0\0\0UL\x04\0\xb8\0\0\0" + bytes(200), "a DICOM file; .*pydicom"),
        (b"\x08\0\x05\0CS" + bytes(200), "a DICOM file; .*pydicom"),
        (bytes(344) + b"n+1\0" + bytes(200), "a NIfTI volume; .*nibabel"),
        (gzip.compress(bytes(344) + b"n+1\0" + bytes(10_000), mtime=0), "a NIfTI volume; .*nibabel"),
        (gzip.compress(bytes(10_000), mtime=0), "a gzip archive; unpack it"),
        (b"\x1f\x8b" + bytes(50), "a gzip archive; unpack it"),
        (b"\x89HDF\r\n\x1a\n" + bytes(500), "an HDF5 file; .*h5py"),
        (b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n", "a MATLAB 7.3 file; .*-v7"),
        (b"MATLAB 5.0 MAT-file".ljust(512), "a MATLAB file; .*imwrite"),
        (b"PK\3\4" + bytes(500), "a zip archive, as .npz is; .*as .npy"),
        (b"GIF89a" + bytes(500), "a GIF; save it as PNG"),
        (b"\0\0\0\x18ftypheic" + bytes(500), "a HEIC"),
        (b"\0\5\x16\7" + bytes(500), "what macOS notes about a file"),
    ],
)
def test_files_of_other_kinds_are_named_with_the_remedy(tmp_path, content, message, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    assert_refused(path, f"a{suffix}: not readable as an image: {message}")


def test_an_animation_is_several_pictures(tmp_path):
    frames = [Image.fromarray(COLOUR8), Image.fromarray(255 - COLOUR8)]
    for suffix in ("png", "webp", "tif"):
        frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
        assert_refused(tmp_path / f"a.{suffix}", "holds 2 pictures")


def test_what_is_no_regular_file_is_told_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png" / "c").mkdir(parents=True)
    assert_refused(tmp_path / "a.png", "a folder, pipe or device, not a file")
    with pytest.raises(InputError, match="a folder, pipe or device, not a file"):
        read_pixels(tmp_path / "b.png")


LARGER = np.dstack([np.add.outer(np.arange(40) * 3, np.arange(50)) % 251] * 3).astype(np.uint8)
FORMATS = {
    "png": pillow(format="png"),
    "deep png": lambda path, pixels: png_16_bit(path, pixels.astype(np.uint16) * 257),
    "grey png": lambda path, pixels: Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(path, "png"),
    "jpeg": pillow(format="jpeg"),
    "webp": pillow(format="webp"),
    "lossless webp": pillow(format="webp", lossless=True),
    "bmp": pillow(format="bmp"),
    "ppm": pillow(format="ppm"),
    "deep ppm": pnm_of(1023),
    "npy": lambda path, pixels: path.write_bytes(npy_header((40, 50)) + pixels[..., 0].astype(float).tobytes()),
    "tiff": tiff(photometric="rgb"),
    "deflated tiff": tiff(photometric="rgb", compression="zlib"),
    "deep tiff": lambda path, pixels: tiff(photometric="rgb", compression="zlib")(path, pixels.astype(np.uint16)),
    "float tiff": lambda path, pixels: tiff(photometric="rgb", tile=(16, 16))(path, pixels / 255),
    "lzw tiff": pillow(format="tiff", compression="tiff_lzw"),
    "jpeg tiff": pillow(format="tiff", compression="jpeg"),
    "fax tiff": lambda path, pixels: Image.fromarray(pixels[..., 0] > 99).save(path, "tiff", compression="group4"),
}


@pytest.mark.parametrize("form", FORMATS)
def test_damage_is_one_line_and_never_another_error(tmp_path, capfd, form):
    """Truncated, it is never a picture but the whole one; a bit may change a pixel where there is no checksum."""
    path, damage = tmp_path / "a", np.random.default_rng(1)
    FORMATS[form](path, LARGER)
    content, whole = path.read_bytes(), read_pixels(path)
    for kept in damage.integers(0, len(content), 20):
        path.write_bytes(content[:kept])
        try:
            np.testing.assert_array_equal(read_pixels(path), whole)
        except InputError as error:
            assert "\n" not in str(error)
    for place in [*damage.integers(0, min(len(content), 300), 25), *damage.integers(0, len(content), 25)]:
        changed = bytearray(content)
        changed[place] ^= 1 << damage.integers(8)
        path.write_bytes(changed)
        try:
            pixels = read_pixels(path)
            assert "png" not in form or np.array_equal(pixels, whole)
        except InputError as error:
            assert "\n" not in str(error)
    assert capfd.readouterr() == ("", "")


def transparent_colour(path):
    Image.fromarray(COLOUR8).save(path, transparency=tuple(int(v) for v in COLOUR8[0, 0]))


def object_array(path):
    np.save(path, np.array([[1, "a"]], dtype=object), allow_pickle=True)


def shortened(path, keep):
    Image.fromarray(rng.integers(0, 256, (60, 50)).astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:keep])


@pytest.mark.parametrize(
    "file, write, message",
    [
        ("a.png", lambda p: p.write_text("not an image"), "not readable as an image"),
        ("a.png", lambda p: p.write_bytes(b""), "not readable as an image"),
        ("a.gif", lambda p: Image.fromarray(GREY8).save(p), "not readable as an image"),
        ("a.png", lambda p: shortened(p, 1500), "truncated"),
        ("a.bmp", lambda p: shortened(p, 1500), "truncated"),
        ("a.tif", lambda p: shortened(p, 1500), "not readable as an image"),
        ("a.jpg", lambda p: shortened(p, 800), "truncated"),
        ("a.ppm", lambda p: p.write_bytes(b"P6\n6 5\n65535\n\0\0"), "truncated or damaged"),
        ("a.ppm", lambda p: pnm(p, COLOUR16, 1023), "truncated or damaged"),
        ("a.ppm", lambda p: p.write_bytes(b"P3\n1 1\n999\n1 2 3\n"), "plain text"),
        ("a.png", lambda p: Image.fromarray(with_alpha(COLOUR8, 254)).save(p), "transparent.*flatten"),
        ("a.png", lambda p: Image.fromarray(GREY8).save(p, transparency=int(GREY8[0, 0])), "transparent"),
        ("a.png", transparent_colour, "transparent"),
        ("a.png", lambda p: png_16_bit(p, with_alpha(COLOUR16, 65534)), "transparent"),
        ("a.png", lambda p: png_16_bit(p, with_alpha(GREY16, 65534)), "transparent"),
        ("a.png", lambda p: png_16_bit(p, COLOUR16, (b"tRNS", bytes(6))), "16-bit PNG with one transparent colour"),
        ("a.png", lambda p: png_16_bit(p, GREY16, (b"tRNS", bytes(2))), "16-bit PNG with one transparent colour"),
        ("a.tif", lambda p: tiff(photometric="minisblack")(p, PAGES), "holds 3 pictures"),
        ("a.tif", lambda p: tiff(photometric="minisblack")(p, PAGES / 255), "holds 3 pictures"),
        ("a.npy", lambda p: p.write_bytes(b"\x93NUMPY"), "not readable as an image"),
        ("a.npy", lambda p: p.write_text("no array"), "not readable as an image"),
        ("a.npy", object_array, "not readable as an image.*[Oo]bject"),
        ("a.npy", lambda p: np.save(p, np.zeros((2, 6, 5))), r"\(2, 6, 5\).*use \[h, w\]"),
        ("a.npy", lambda p: np.save(p, np.zeros(6)), r"\(6,\)"),
        ("a.npy", lambda p: np.save(p, np.zeros((0, 5))), r"\(0, 5\)"),
        ("a.npy", lambda p: np.save(p, np.zeros((6, 5), complex)), "complex128"),
    ],
)
def test_files_that_are_refused(tmp_path, file, write, message):
    write(tmp_path / file)
    assert_refused(tmp_path / file, message)


def test_unpickling_never_happens(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    np.save(tmp_path / "a.npy", np.array([Trap()]), allow_pickle=True)
    with pytest.raises(InputError):
        data.load(tmp_path / "a.npy")
    assert not (tmp_path / "sprung").exists()
