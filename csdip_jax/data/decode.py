"""One image file -> its pixel values as stored, at their full bit depth; and what JPEG makes of pixels.

Pillow reads all formats offered, but keeps 8 bits only of a colour picture that has 16: those go other ways.
"""

import io
import warnings
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageOps

from csdip_jax.types import InputError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".ppm", ".pgm", ".pnm", ".bmp", ".npy")
_FORMATS = ("PNG", "JPEG", "TIFF", "PPM", "BMP")
_JPEG_QUALITY = 75  # the default of libjpeg, of Pillow and of MATLAB
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262  # TIFF tags


def read_pixels(path: Path) -> np.ndarray:
    """Reads PNG, JPEG, TIFF, PPM/PGM and BMP, told apart by content, and .npy, told by the suffix.

    A palette becomes colour. An alpha channel is dropped where it is opaque throughout and refused otherwise:
    what lies behind a transparent pixel is the user's to say. A picture is turned as its EXIF entry says, as
    viewers do.

    Returns:
        [h, w] or [h, w, 3]: bool, uint8 or uint16; from TIFF also 32-bit integers and floats; from .npy
        whatever type the array has, and [h, w, 1] too.

    Raises:
        InputError: another kind of file, damage, several pictures, transparency, a kind of pixel that would
            lose bits or meaning.
    """
    try:
        pixels = _read_npy(path) if path.suffix.lower() == ".npy" else _read_image(path)
    except InputError:
        raise
    except Exception as error:  # decoders raise OSError, ValueError, SyntaxError, struct.error and more
        reason = " ".join(str(error).split()) or type(error).__name__
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


def _read_npy(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        # Unpickling an object array would run code that the file brings along.
        return np.lib.format.read_array(file, allow_pickle=False)


def _read_image(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        # Pillow warns of odd metadata and of very large pictures: neither touches the pixels.
        warnings.simplefilter("ignore")
        try:
            with Image.open(path, formats=_FORMATS) as image:
                frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
                _refuse_many(frames, path)
                pixels = _pillow_pixels(image, path)
        except Image.UnidentifiedImageError:
            if not _is_tiff(path):
                raise
            pixels = _tifffile_pixels(path)  # float colour and 64-bit TIFFs, which Pillow does not know
    return _without_opaque_alpha(pixels, path)


def _refuse_many(pictures: int, path: Path) -> None:
    if pictures > 1:
        raise InputError(f"{path}: holds {pictures} pictures; save the one wanted as a file of its own")


def _pillow_pixels(image: Image.Image, path: Path) -> np.ndarray:
    """[h, w] or [h, w, 2 | 3 | 4] of an opened picture, at full depth."""
    form, tags = image.format, getattr(image, "tag_v2", {})
    if form == "PNG" and str(image.tile[0][3]).endswith(";16B") and len(image.getbands()) > 1:
        return _png_pixels_16_bit(image, path)
    if form == "TIFF" and max(tags.get(_BITS_PER_SAMPLE, (1,))) > 8 and len(image.getbands()) > 1:
        return _tifffile_pixels(path)
    if form == "PPM" and image.mode == "RGB" and _ppm_maximum(image) > 255:
        return _ppm_pixels_16_bit(image, path)

    image = ImageOps.exif_transpose(image)
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif image.mode in ("CMYK", "YCbCr"):
        image = image.convert("RGB")
    elif "transparency" in image.info:  # a PNG may name one colour as the transparent one
        image = image.convert("RGBA" if image.mode == "RGB" else "LA")
    if image.mode not in ("1", "L", "LA", "RGB", "RGBA", "F", "I") and not image.mode.startswith("I;16"):
        raise InputError(f"{path}: pixels of the kind {image.mode} are not read; save it as grey or RGB")
    pixels = np.asarray(image)
    if image.mode == "I" and form in ("PNG", "PPM"):
        return pixels.astype(np.uint16)  # 16 bits at most; Pillow scales a 10- or 12-bit PGM up to 65535
    if image.mode.startswith("I;16") and tags.get(_PHOTOMETRIC) == 0:
        return 65535 - pixels  # 0 is white: Pillow turns that round for 8 bits only
    return pixels


def _png_pixels_16_bit(image: Image.Image, path: Path) -> np.ndarray:
    """uint16 [h, w, 3 | 4] of a PNG with 16-bit RGB or RGBA.

    Pillow has no such mode: of each two bytes it keeps one, and the raw mode of its decoder says which. So
    the file is decoded twice, for the high bytes as big-endian, for the low ones as if it were little-endian.
    """
    if image.tile[0][3] not in ("RGB;16B", "RGBA;16B") or "transparency" in image.info:
        raise InputError(f"{path}: this kind of 16-bit PNG with transparency is not read; save it without")
    halves = []
    for order in "BL":
        with Image.open(path, formats=("PNG",)) as half:
            half.tile = [(codec, box, offset, mode[:-1] + order) for codec, box, offset, mode in half.tile]
            half.load()
            halves.append(np.asarray(half).astype(np.uint16))
    return halves[0] * 256 + halves[1]


def _ppm_maximum(image: Image.Image) -> int:
    arguments = image.tile[0][3]  # (raw mode, maximum), or the raw mode alone where the maximum is 255
    return arguments[1] if isinstance(arguments, tuple) else 255


def _ppm_pixels_16_bit(image: Image.Image, path: Path) -> np.ndarray:
    """uint16 [h, w, 3] of a PPM deeper than 8 bits, scaled up to 65535 as Pillow does with grey ones."""
    codec, _, offset, (_, maximum) = image.tile[0]
    if codec != "ppm":
        raise InputError(f"{path}: a 16-bit colour PPM in plain text is not read; save it as PNG or TIFF")
    count = image.height * image.width * 3
    values = np.fromfile(path, dtype=">u2", count=count, offset=offset)
    if values.size < count or values.max() > maximum:
        raise InputError(f"{path}: truncated or damaged, not {count} values up to {maximum}; get it anew")
    return np.rint(values * (65535 / maximum)).astype(np.uint16).reshape(image.height, image.width, 3)


def _is_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _tifffile_pixels(path: Path) -> np.ndarray:
    with tifffile.TiffFile(path) as tiff:
        _refuse_many(len(tiff.pages), path)
        page = tiff.pages[0]
        if page.photometric not in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.MINISBLACK):
            raise InputError(f"{path}: TIFF pixels of the kind {page.photometric.name} are not read; use RGB")
        pixels = page.asarray()
        planes_first = pixels.ndim == 3 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
        return np.moveaxis(pixels, 0, -1) if planes_first else pixels


def _without_opaque_alpha(pixels: np.ndarray, path: Path) -> np.ndarray:
    if pixels.ndim != 3 or pixels.shape[2] not in (2, 4):
        return pixels
    opaque = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    if (pixels[..., -1] != opaque).any():
        raise InputError(f"{path}: has transparent pixels; flatten it onto a background colour first")
    return pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3]
