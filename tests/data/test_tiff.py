"""TIFF: turned, signed, deep, compressed pictures come as they are meant; stacks and channels without a meaning not."""

import itertools

import numpy as np
import pytest
import tifffile
from PIL import Image

from csdip_jax.data.decode import read_pixels
from csdip_jax.data.file_kinds import MOST_PIXELS
from csdip_jax.types import InputError
from tests.data.files import assert_refused, rng

SHAPES = {"minisblack": (20, 33), "miniswhite": (20, 33), "rgb": (20, 33, 3), "planes": (3, 20, 33)}
DTYPES = ("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "float16", "float32", "float64")
# As the standard has it: where the file's first row and its first column lie.
TURNED = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}


def pixels_of(dtype, kind):
    bits = rng.integers(0, 256, (*SHAPES[kind], np.dtype(dtype).itemsize)).astype(np.uint8)
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(SHAPES[kind]).astype(dtype)
    return bits.view(dtype)[..., 0] if dtype != "bool" else bits[..., 0] > 99


def write(path, pixels, kind="minisblack", orientation=1, compression=None, **options):
    photometric, planes = ("rgb", "separate") if kind == "planes" else (kind, None)
    tags = [(274, "H", 1, orientation, True)]
    how = None if compression == "lzw" else compression
    tifffile.imwrite(
        path, pixels, photometric=photometric, planarconfig=planes, extratags=tags, compression=how, **options
    )
    if compression == "lzw":
        compress(path)


def compress(path):
    """By LZW, which tifffile writes with another package only: codes of 9 bits, the table forgotten before it grows."""
    with tifffile.TiffFile(path, mode="r+") as tiff:
        page, file, parts = tiff.pages.first, tiff.filehandle, []
        for start, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            file.seek(start)
            content = file.read(count)
            pieces = [content[i : i + 250] for i in range(0, count, 250)]
            codes = [code for piece in pieces for code in (256, *piece)] + [257]
            bits = "".join(f"{code:09b}" for code in codes)
            bits += "0" * (-len(bits) % 8)
            parts.append(int(bits, 2).to_bytes(len(bits) // 8, "big"))
        file.seek(0, 2)
        starts = []
        for part in parts:
            starts.append(file.tell())
            file.write(part)
        layout = "Tile" if page.is_tiled else "Strip"
        page.tags["Compression"].overwrite(5)
        page.tags[f"{layout}Offsets"].overwrite(starts)
        page.tags[f"{layout}ByteCounts"].overwrite([len(part) for part in parts])


def meant(pixels, kind, orientation=1):
    pixels = np.moveaxis(pixels, 0, -1) if kind == "planes" else pixels
    return TURNED[orientation](~pixels if kind == "miniswhite" else pixels)


def told_or_right(path, expected):
    """Whether it was read, then rightly; else the line has to tell the remedy."""
    try:
        read = read_pixels(path)
    except InputError as error:
        assert "save it" in str(error)
        return False
    np.testing.assert_array_equal(read, expected)
    assert read.dtype == expected.dtype
    return True


@pytest.mark.parametrize("compression", [None, "zlib", "lzma", "lzw"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_and_turn_is_right_or_told(tmp_path, dtype, compression):
    if dtype == "bool" and compression in ("zlib", "lzma"):
        pytest.skip("older versions of tifffile do not write it")
    path, done = tmp_path / "a.tif", set()
    for kind, orientation in itertools.product(("minisblack", "rgb"), TURNED):
        pixels = pixels_of(dtype, kind)
        write(path, pixels, kind, orientation, compression)
        if told_or_right(path, meant(pixels, kind, orientation)):
            done.add(kind)
    assert done == ({"minisblack"} if dtype == "bool" else {"minisblack", "rgb"})


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 7}, {"tile": (16, 16)}])
@pytest.mark.parametrize("byteorder", "<>")
def test_every_layout_is_right_or_told(tmp_path, layout, byteorder, compression):
    path = tmp_path / "a.tif"
    for kind, dtype in itertools.product(SHAPES, ("uint8", "int16", "uint16", "float32")):
        if kind == "miniswhite" and dtype in ("int16", "float32"):
            continue
        pixels = pixels_of(dtype, kind)
        write(path, pixels, kind, compression=compression, byteorder=byteorder, **layout)
        assert told_or_right(path, meant(pixels, kind))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "lzma", "zstd"])
def test_what_pillow_compresses_is_right_whoever_unpacks_it(tmp_path, compression, dtype):
    for orientation in (1, 6):
        pixels, exif = pixels_of(dtype, "minisblack"), Image.Exif()
        exif[274] = orientation
        try:
            Image.fromarray(pixels).save(tmp_path / "a.tif", compression=compression, exif=exif)
        except (OSError, KeyError):
            pytest.skip(f"this build of Pillow does not write {compression}")
        np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif"), meant(pixels, "minisblack", orientation))


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_white_that_is_zero_has_no_meaning_for_signed_pixels(tmp_path, dtype):
    write(tmp_path / "a.tif", pixels_of(dtype, "miniswhite"), "miniswhite")
    assert_refused(tmp_path / "a.tif", f"0 is white, of {dtype}.*save it with 0 as black")


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "float32"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize(("kind", "channels"), [("minisblack", 2), ("minisblack", 3), ("rgb", 4), ("rgb", 5)])
def test_channels_without_a_meaning_are_refused(tmp_path, kind, channels, planes, dtype):
    shape = (20, 33, channels) if planes == "contig" else (channels, 20, 33)
    extra = ["unspecified"] * (channels - (3 if kind == "rgb" else 1))
    pixels = np.ones(shape, dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric=kind, planarconfig=planes, extrasamples=extra)
    assert_refused(tmp_path / "a.tif", f"has {channels} channels, {len(extra)} of them neither colour nor alpha")


@pytest.mark.parametrize("alpha", ["assocalpha", "unassalpha"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("kind", ["minisblack", "rgb"])
def test_alpha_is_dropped_where_opaque_and_refused_elsewhere(tmp_path, kind, dtype, alpha):
    pixels, opaque = pixels_of(dtype, kind), np.iinfo(dtype).max
    for last in (opaque, opaque - 1):
        stored = np.dstack([pixels, np.full((20, 33), last, dtype)])
        tifffile.imwrite(
            tmp_path / f"{last}.tif", stored, photometric=kind, planarconfig="contig", extrasamples=[alpha]
        )
    np.testing.assert_array_equal(read_pixels(tmp_path / f"{opaque}.tif"), pixels)
    assert_refused(tmp_path / f"{opaque - 1}.tif", "transparent pixels")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "minisblack"},
        {"photometric": "minisblack", "truncate": True},
        {"photometric": "minisblack", "volumetric": True},
        {"photometric": "minisblack", "ome": True},
        {"photometric": "minisblack", "bigtiff": True},
        {"imagej": True},
        {"imagej": True, "truncate": True},
    ],
)
def test_stacks_are_refused_also_where_truncated(tmp_path, options, dtype):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((3, 20, 33), dtype), **options)
    assert_refused(path, "holds 3 pictures")
    content = path.read_bytes()
    for kept in range(len(content) // 2, len(content), 97):
        path.write_bytes(content[:kept])
        assert_refused(path, "a.tif: ")


@pytest.mark.parametrize(("height", "width"), [(100_000, 100_000), (1, MOST_PIXELS + 1), (2**31, 2**31)])
def test_a_header_of_too_many_pixels_is_refused_before_memory_is_taken(tmp_path, height, width):
    for dtype in ("uint8", "uint16", "float64"):
        write(tmp_path / "a.tif", np.zeros((4, 4), dtype))
        with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
            tiff.pages.first.tags["ImageLength"].overwrite(height, dtype="I")
            tiff.pages.first.tags["ImageWidth"].overwrite(width, dtype="I")
        assert_refused(tmp_path / "a.tif", f"{height * width} pixels; at most {MOST_PIXELS}")


@pytest.mark.parametrize("compression", ["zlib", "lzma"])
def test_a_strip_that_unpacks_to_more_than_the_picture_is_refused(tmp_path, compression):
    write(tmp_path / "a.tif", np.zeros((3000, 1000), np.uint16), compression=compression, rowsperstrip=3000)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
        tiff.pages.first.tags["ImageLength"].overwrite(10)
    assert_refused(tmp_path / "a.tif", "unpacks to more than its 20000 bytes")


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "tiff_lzw", "tiff_deflate", "jpeg", "packbits"])
def test_decoders_print_nothing_of_their_own(tmp_path, capfd, compression):
    """libtiff writes to the screen by itself, tifffile into its log."""
    path, pixels = tmp_path / "a.tif", pixels_of("uint8", "rgb")
    if compression in (None, "zlib", "lzw"):
        write(path, pixels.astype(np.uint16), "rgb", compression=compression)
    else:
        Image.fromarray(pixels).save(path, compression=compression)
    content = path.read_bytes()
    for kept in range(9, len(content), 61):
        path.write_bytes(content[:kept])
        assert_refused(path, "a.tif: ")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("compression", ["png", "jpeg2000", "jpegxl"])
def test_pictures_within_a_deep_picture_are_refused(tmp_path, compression):
    """Their own headers say how much they unpack to."""
    write(tmp_path / "a.tif", pixels_of("uint16", "minisblack"), compression=compression)
    assert_refused(tmp_path / "a.tif", "TIFF compressed so .*is not read; save it by LZW or deflate")
