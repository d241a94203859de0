"""From stored pixel values to float32 in [-1, 1] and back, and to the image shape asked for."""

import math
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from skimage.color import rgb2gray
from skimage.transform import resize, resize_local_mean

from csdip_jax.checks import as_numbers, checked_shape
from csdip_jax.types import InputError, PixelRangeWarning

WIDE = 0.6
"""Share of a range from which on it counts as used: x-rays and photographs seldom reach both of its ends."""
FLAT = 0.1
"""Share of a range below which a picture drawn over it shows next to nothing."""
FLOATS = (-1.0, 1.0)
"""(black, white) of float pixels, if none is given."""
USUAL_OF_FLOATS = ((0.0, 1.0), (0.0, 255.0))
"""(black, white) that float pixels often have, besides -1 and 1."""


class Values(NamedTuple):
    """The stored values of an image, or of several.

    Attributes:
        low, high: the smallest and the largest.
        black, white: those that become -1 and 1.
    """

    low: float
    high: float
    black: float
    white: float

    @property
    def share(self) -> float:
        """How much of the range from black to white lies between the smallest and the largest."""
        return (self.high - self.low) / abs(self.white - self.black)

    @property
    def looks(self) -> str:
        """How a picture of them looks that is drawn from black to white, in a word; "" where it shows something."""
        if self.share >= FLAT:
            return ""
        middle = ((self.low + self.high) / 2 - self.black) / (self.white - self.black)
        return "black" if middle < FLAT else "white" if middle > 1 - FLAT else "grey"

    @property
    def usual(self) -> tuple[float, float]:
        """What float pixels most likely have as black and white: of `USUAL_OF_FLOATS` one they use, else `rounded`."""
        for black, white in USUAL_OF_FLOATS:
            if black <= self.low and self.high <= white and self.high - self.low >= WIDE * (white - black):
                return black, white
        return self.rounded

    @property
    def rounded(self) -> tuple[float, float]:
        """Short numbers that hold all values and little more."""
        step = Decimal(10) ** min(0, math.floor(math.log10(self.high - self.low)) - 3)
        low, high = Decimal(self.low), Decimal(self.high)
        return float(low.quantize(step, ROUND_FLOOR)) + 0.0, float(high.quantize(step, ROUND_CEILING)) + 0.0


def range_warning(source: str, images: Sequence[Values]) -> PixelRangeWarning | None:
    """What to say of images whose black and white were taken from the type of their pixels.

    Those of one range are looked at together, since they may be dark and bright pictures of one camera.

    Args:
        source: what to call a single image, or the place of several.
        images: the values of each.

    Returns:
        The warning, if those of a range use less than `WIDE` of it. None for images of one and the same value, which no
        range makes better.
    """
    kinds, told = {}, {}
    for image in images:
        kinds.setdefault((image.black, image.white), []).append(image)
    for (black, white), kind in kinds.items():
        values = Values(min(image.low for image in kind), max(image.high for image in kind), black, white)
        if 0 < values.share < WIDE:
            of = f" of {len(images)}" if len(kinds) > 1 else ""
            who = f"{source} uses" if len(images) == 1 else f"{len(kind)}{of} images of {source} use"
            percent = f"{100 * values.share:{'.0f' if values.share >= 0.01 else '.1g'}}"
            low, high = values.rounded
            whose = "its picture is" if len(images) == 1 else "their pictures are"
            so = f", so {whose} nearly {values.looks}" if values.looks else ""
            needed = values.usual if (black, white) == FLOATS else (low, high)
            told[needed] = f"{who} {percent} % of the range {black:g} to {white:g} ({low:.15g} to {high:.15g}){so}"
    if not told:
        return None
    return PixelRangeWarning(", ".join(told.values()), next(iter(told)) if len(kinds) == 1 else None)


def shape_of_pictures(image_shape: Sequence[int] | None) -> tuple[int, int, int] | None:
    """(h, w, c) as `checked_shape` makes it, c being 1 or 3, of numbers that are whole; None stays None."""
    if image_shape is None:
        return None
    try:
        shape = checked_shape([int(size) if int(size) == size else size for size in image_shape])
    except (TypeError, ValueError, OverflowError):
        shape = None
    if shape is None or shape[2] not in (1, 3):
        raise InputError(f"image_shape={image_shape!r}: give whole numbers (h, w, c), c being 1 or 3")
    return shape


def values_of(pixels: np.ndarray, pixel_range: Sequence[float] | None, where: str) -> Values:
    """The values of an image, and which of them are black and white.

    Args:
        pixels: [h, w] or [h, w, c], bool, integer or float.
        pixel_range: (black, white) in stored values, in either order. None: False and True, the whole range
            of an 8- or 16-bit integer type, [-1, 1] for floats. Wider integers hold no image over their whole
            range (an int64 array of 0..255 would come out flat grey), so there it has to be given.
        where: what to call the image in an error.

    Raises:
        InputError: NaN or infinite pixels, values outside the range, no range, a type that is no real number.
    """
    kind, size = pixels.dtype.kind, pixels.dtype.itemsize
    if kind not in "buif":
        raise InputError(f"{where}: pixels of type {pixels.dtype} are not read; use bool, integer or float")
    bad = int((~np.isfinite(pixels)).sum())
    if bad:
        raise InputError(f"{where}: {bad} of {pixels.size} pixels are NaN or infinite; replace them first")

    low, high = float(pixels.min()), float(pixels.max())
    if pixel_range is not None:
        black, white = checked_range(pixel_range)
    elif kind == "f":
        black, white = FLOATS
    elif kind == "b":
        black, white = 0.0, 1.0
    elif size <= 2:
        limits = np.iinfo(pixels.dtype)
        black, white = float(limits.min), float(limits.max)
    else:
        raise InputError(
            f"{where}: {pixels.dtype} pixels ({low:g} to {high:g} here) do not say what is black and white; "
            "pass `pixel_range=(black, white)`"
        )
    if low < min(black, white) or high > max(black, white):
        whose = "float pixels have to lie in" if pixel_range is None else "they leave pixel_range"
        usual = Values(low, high, black, white).usual if pixel_range is None and low < high else ()
        likely = ", as `pixel_range=({:.15g}, {:.15g})` may be".format(*usual) if usual in USUAL_OF_FLOATS else ""
        raise InputError(
            f"{where}: pixels go from {low:g} to {high:g}, {whose} ({black:g}, {white:g}); "
            f"pass `pixel_range=(black, white)` that holds them{likely}"
        )
    return Values(low, high, black, white)


def to_signed_range(pixels: np.ndarray, pixel_range: tuple[float, float]) -> np.ndarray:
    """Maps values affinely, black to -1 and white to 1: float32 [h, w, c]."""
    black, white = pixel_range
    values = pixels.astype(np.float64)
    if (black, white) != (-1.0, 1.0):  # floats in [-1, 1] already stay untouched, to the last bit
        values = (values - black) / (white - black) * 2.0 - 1.0
    return np.atleast_3d(values.astype(np.float32))


def from_signed_range(image: np.ndarray, pixel_range: tuple[float, float]) -> np.ndarray:
    """The values behind an image in [-1, 1], the inverse of `to_signed_range`: float64, as an offset may be large."""
    black, white = pixel_range
    return black + (white - black) * (np.asarray(image, np.float64) + 1.0) / 2.0


def from_skimage(image: ArrayLike, pixel_range: Sequence[float] | None = None) -> np.ndarray:
    """An image by scikit-image's conventions as this package has it: float32 [h, w, c] in [-1, 1].

    Args:
        image: [h, w] or [h, w, c]; floats in [0, 1], 8- or 16-bit integers over the range of their type, or bool. Of
            NumPy, PyTorch (on the CPU) or JAX.
        pixel_range: (black, white), the values that become -1 and 1, where they are others.

    Raises:
        InputError: other axes, NaN, values outside of the range, or integers of more than 16 bits and no range.
    """
    pixels = np.asarray(as_numbers(image, "image"))
    if pixels.ndim not in (2, 3) or not pixels.size:
        raise InputError(f"image of shape {pixels.shape}: give [h, w] or [h, w, c]")
    if pixel_range is None and pixels.dtype.kind == "f":
        pixel_range = (0.0, 1.0)
    values = values_of(pixels, pixel_range, "image")
    return to_signed_range(pixels, (values.black, values.white))


def to_skimage(image: ArrayLike, dtype: DTypeLike = np.float32, pixel_range: Sequence[float] = (-1, 1)) -> np.ndarray:
    """The way back: [h, w] of one channel, else [h, w, c], in [0, 1] or over the range of an integer type.

    Pixels outside of the range become black or white.

    Args:
        image: [h, w, c].
        dtype: floating, or an unsigned integer of at most 32 bits, to which it rounds.
        pixel_range: (black, white) of `image`, what `reconstruct` was given.

    Raises:
        InputError: other axes, NaN or complex pixels, or another type.
    """
    dtype, pixels = np.dtype(dtype), np.asarray(as_numbers(image, "image"))
    if dtype.kind not in "fu" or (dtype.kind == "u" and dtype.itemsize > 4):  # doubles do not hold the ends of uint64
        raise InputError(f"dtype = {dtype}: give a floating type, or an unsigned integer as uint8")
    if pixels.ndim != 3 or pixels.dtype.kind == "c":
        raise InputError(
            f"image {pixels.dtype} of shape {pixels.shape}: give a real [h, w, c], of a batch one at a time"
        )
    if not np.isfinite(pixels).all():
        raise InputError(f"image: {(~np.isfinite(pixels)).sum()} of {pixels.size} pixels are NaN or infinite")
    black, white = checked_range(pixel_range)
    unit = np.clip((pixels.astype(np.float64) - black) / (white - black), 0, 1)
    unit = unit[..., 0] if unit.shape[2] == 1 else unit
    return unit.astype(dtype) if dtype.kind == "f" else np.rint(unit * np.iinfo(dtype).max).astype(dtype)


def checked_range(pixel_range: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """(black, white) as floats; InputError unless they are two different finite numbers."""
    try:
        black, white = map(float, np.asarray(pixel_range).astype(np.float64, casting="same_kind").tolist())
    except (TypeError, ValueError):  # no numbers, or not two
        black = white = math.nan
    if not 0 < abs(white - black) < math.inf:
        given = " ".join(repr(pixel_range).split())
        raise InputError(f"pixel_range={given:.60}: give two different finite numbers (black, white)")
    return black, white


def fit_to_shape(image: np.ndarray, image_shape: tuple[int, int, int] | None, where: str) -> np.ndarray:
    """Brings an image [h', w', c'] in [-1, 1] to image_shape (h, w, c), as `csdip_jax.data.load_named` says.

    Down: the mean over the area of each new pixel, which for whole factors is the block mean. Up: bilinear.

    Raises:
        InputError: a grey image where colour is asked for.
    """
    if image_shape is None or image.shape == image_shape:
        return image
    height, width, channels = image_shape
    if channels == 3 and image.shape[2] == 1:
        raise InputError(
            f"{where}: a grey image {image.shape} has no colours for image_shape={image_shape}; "
            f"use `image_shape=({height}, {width}, 1)`"
        )
    if channels == 1 and image.shape[2] == 3:
        image = rgb2gray(image)[..., np.newaxis]

    image = center_crop(
        image,
        min(image.shape[0], max(1, round(image.shape[1] * height / width))),
        min(image.shape[1], max(1, round(image.shape[0] * width / height))),
    )
    if image.shape[0] < height or image.shape[1] < width:
        image = np.asarray(resize(image, (height, width), order=1, anti_aliasing=True, preserve_range=True))
    elif image.shape[:2] != (height, width):
        image = np.asarray(resize_local_mean(image, (height, width), preserve_range=True, channel_axis=-1))
    # Means of values in [-1, 1] leave it by rounding only.
    return np.clip(image, -1.0, 1.0).astype(np.float32)


def at_most(image_shape: tuple[int, int, int], max_side: int | None) -> tuple[int, int, int]:
    """(h, w, c) with its longer side, h or w, brought down to `max_side`; None for no limit."""
    height, width, channels = image_shape
    if max_side is None or max(height, width) <= max_side:
        return image_shape
    factor = max_side / max(height, width)
    return max(1, round(factor * height)), max(1, round(factor * width)), channels


def center_crop(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The central height x width part of an image [h, w, ...]; of an odd rest the end loses one more."""
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]
