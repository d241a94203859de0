"""One image file -> its pixel values as stored, at their full bit depth; and what JPEG makes of pixels.

Pillow reads all formats offered, but keeps 8 bits only of a colour picture that has 16: those are for imagecodecs and
tifffile.
"""

import contextlib
import io
import math
import os
import re
import warnings
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from csdip_jax.data import tiff
from csdip_jax.data.file_kinds import first_bytes, foreign_kind, refuse_many, require_pixels, too_many_pixels
from csdip_jax.types import InputError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pnm", ".bmp", ".npy")
_FORMATS = ("PNG", "JPEG", "WEBP", "PPM", "BMP")
_PNG_DEPTH = 24  # the byte that tells the bits of a sample
_PPM_HEADER = re.compile(rb"(?P<kind>P[36])" + 2 * rb"(?:\s|#[^\n]*\n)+\d+" + rb"(?:\s|#[^\n]*\n)+(?P<maximum>\d+)\s")
_JPEG_QUALITY = 75  # the default of libjpeg, of Pillow and of MATLAB


def read_pixels(path: Path) -> np.ndarray:
    """Reads PNG, JPEG, TIFF, WebP, PPM/PGM, BMP and .npy, told apart by content.

    A palette becomes colour. An alpha channel is dropped where it is opaque throughout and refused otherwise:
    what lies behind a transparent pixel is the user's to say. A picture is turned as its EXIF entry or its
    orientation tag says, as viewers do.

    Returns:
        [h, w] or [h, w, 3]: bool, uint8 or uint16; from TIFF also other integers and floats; from .npy
        whatever type the array has, and [h, w, 1] too.

    Raises:
        InputError: another kind of file, damage, several pictures, too many pixels, transparency, a kind of
            pixel that would lose bits or meaning.
    """
    try:
        head = first_bytes(path)
        foreign = foreign_kind(head)
        if foreign:
            raise InputError(f"{path}: not readable as an image: {foreign}")
        if head.startswith(b"\x93NUMPY"):
            pixels = read_npy(path)
            require_pixels(math.prod(pixels.shape[:2]), path)
            pixels = np.array(pixels)
        else:
            pixels = _without_opaque_alpha(
                _read_tiff(path) if head.startswith(tiff.SIGNATURES) else _read_image(path), path
            )
    except InputError:
        raise
    except Exception as error:  # decoders raise OSError, ValueError, SyntaxError, struct.error and more
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, (LookupError, TypeError, AttributeError, ArithmeticError)):  # they tell of the decoder
            reason = "its header contradicts itself"
        raise InputError(f"{path}: not readable as an image, damaged or of another kind: {reason}") from error
    if pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (1,), (3,)) or 0 in pixels.shape:
        raise InputError(f"{path}: an array {pixels.shape} is no image; use [h, w], [h, w, 1] or [h, w, 3]")
    return pixels


def jpeg_pixels(pixels: np.ndarray) -> np.ndarray:
    """What a JPEG file of quality 75 gives back of a grey picture, uint8 [h, w]."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=_JPEG_QUALITY)
    with Image.open(file) as image:
        return np.asarray(image)


def read_npy(path: str | os.PathLike) -> np.ndarray:
    """The array of a .npy file, its numbers still on the disk: a header that lies takes no memory.

    Raises:
        ValueError: not such a file, shorter than its header says, or of Python objects, which would run code
            that the file brings along.
        OSError: not readable.
    """
    try:
        with np.errstate(over="raise"):
            return np.lib.format.open_memmap(path, mode="r")
    except (ValueError, ArithmeticError) as error:
        if isinstance(error, ValueError) and "mmap" not in str(error):
            raise
        raise ValueError(f"its header says more numbers than its {os.path.getsize(path)} bytes hold") from error


def _read_image(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        # Pillow warns of odd metadata and of large pictures: neither touches the pixels.
        warnings.simplefilter("ignore")
        try:
            with Image.open(path, formats=_FORMATS) as image:
                refuse_many(1 if image.format == "MPO" else getattr(image, "n_frames", 1), path)
                pixels = _pillow_pixels(image, path)
            if image.format == "PNG":
                with Image.open(path, formats=("PNG",)) as whole:
                    whole.verify()  # the checksums, which decoding does not look at
            return pixels
        except Image.DecompressionBombError:
            raise too_many_pixels("more pixels than are read", path) from None


def _pillow_pixels(image: Image.Image, path: Path) -> np.ndarray:
    """[h, w] or [h, w, 2 | 3 | 4] of an opened picture, at full depth."""
    if image.format == "PNG" and first_bytes(path)[_PNG_DEPTH] == 16:
        if "transparency" in image.info:
            raise InputError(f"{path}: a 16-bit PNG with one transparent colour is not read; save it without")
        with tiff.quiet():
            pixels = imagecodecs.png_decode(path.read_bytes())
        return tiff.upright(pixels, image.getexif().get(ExifTags.Base.Orientation))
    if image.format == "PPM" and image.mode == "RGB":
        content = path.read_bytes()
        header = _PPM_HEADER.match(content)
        if not header:
            raise InputError(f"{path}: a PPM with a header that is not understood; save it as PNG or TIFF")
        if int(header["maximum"]) > 255:
            return _ppm_pixels_16_bit(content, header, image.size, path)
    pixels = _grey_or_colour(image, path)
    if image.mode == "I":
        return pixels.astype(np.uint16)  # 16 bits at most; Pillow scales a 10- or 12-bit PGM up to 65535
    return pixels


def _grey_or_colour(image: Image.Image, path: Path) -> np.ndarray:
    """The pixels of an opened picture, turned, palettes and other colours as RGB."""
    image = ImageOps.exif_transpose(image)
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif image.mode in ("CMYK", "YCbCr"):
        image = image.convert("RGB")
    elif image.mode == "La":  # grey multiplied by its alpha, which has to be opaque anyway
        image = image.convert("LA")
    elif "transparency" in image.info:  # a PNG may name one colour as the transparent one
        image = image.convert("RGBA" if image.mode == "RGB" else "LA")
    if image.mode not in ("1", "L", "LA", "RGB", "RGBA", "F", "I") and not image.mode.startswith("I;16"):
        raise InputError(f"{path}: pixels of the kind {image.mode} are not read; save it as grey or RGB")
    return np.asarray(image)


def _ppm_pixels_16_bit(content: bytes, header: re.Match, size: tuple[int, int], path: Path) -> np.ndarray:
    """uint16 [h, w, 3] of a PPM deeper than 8 bits, scaled up to 65535 as Pillow does with grey ones."""
    if header["kind"] != b"P6":
        raise InputError(f"{path}: a 16-bit colour PPM in plain text is not read; save it as PNG or TIFF")
    (width, height), maximum = size, int(header["maximum"])
    count = height * width * 3
    stored = content[header.end() :][: 2 * count]
    if len(stored) < 2 * count or np.frombuffer(stored, ">u2").max() > maximum:
        raise InputError(f"{path}: truncated or damaged, not {count} values up to {maximum}; get it anew")
    values = np.frombuffer(stored, ">u2").reshape(height, width, 3)
    return np.rint(values * (65535 / maximum)).astype(np.uint16)


def _read_tiff(path: Path) -> np.ndarray:
    """[h, w] or [h, w, 2 | 3 | 4] of a TIFF: 8 bits by Pillow, which knows colours and palettes, others by tifffile.

    What Pillow reads is looked at by tifffile before: Pillow drops channels, and takes signed pixels for unsigned.
    """
    with tiff.opened(path) as page:
        if page.dtype in (np.uint8, np.bool_):
            # Given the name, Pillow maps the file into memory, and scrambles a picture that is to be turned.
            with contextlib.suppress(UnidentifiedImageError), warnings.catch_warnings(), path.open("rb") as file:
                warnings.simplefilter("ignore")
                with Image.open(file, formats=("TIFF",)) as image:
                    return _grey_or_colour(image, path)
        return tiff.pixels(page, path)


def _without_opaque_alpha(pixels: np.ndarray, path: Path) -> np.ndarray:
    if pixels.ndim != 3 or pixels.shape[2] not in (2, 4):
        return pixels
    opaque = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    if (pixels[..., -1] != opaque).any():
        raise InputError(f"{path}: has transparent pixels; flatten it onto a background colour first")
    return pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3]
