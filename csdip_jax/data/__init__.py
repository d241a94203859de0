"""Images for measuring: a data set by name, or any folder, glob or image file.

All come as float32 [b, h, w, c] in [-1, 1], each image with a stable name.

>>> images = cs.data.load("demo", image_shape=(32, 32, 1), num_images=2)
>>> images.shape
(2, 32, 32, 1)

Sources::

    "mnist"   the 10,000 test digits in their official order, mnist_test_00000 on; "mnist:train" the others;
              "mnist:jpeg" the test digits as JPEG files give them back, as the paper's seem to have been.
    "xray"    data_dir/xray, its images of role `test`; "xray:lr_train" those for the learned statistics.
    "retino"  data_dir/retino or data_dir/retina, its images of role `test`.
    "demo"    photographs inside the scikit-image package, CC0 or public domain: no network, no data_dir.
    else      a folder (its own image files that are not hidden, by name), a glob ("scans/*.png", quoted), or one file.

README.md tells how to fetch the first three. A folder called like a source is reached as "./mnist".
Which files are read: `csdip_jax.data.decode`. What becomes of their pixels: `csdip_jax.data.pixels`.
"""

import operator
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from csdip_jax.checks import checked_shape, require_count
from csdip_jax.data.pixels import (
    at_most,
    fit_to_shape,
    range_warning,
    shape_of_pictures,
    to_signed_range,
    values_of,
)
from csdip_jax.data.sources import KNOWN_SOURCES, find_images, path_of
from csdip_jax.types import InputError, PixelRangeWarning

__all__ = ["PixelRangeWarning", "load", "load_named"]


def load(
    source: str | os.PathLike,
    data_dir: str | os.PathLike | None = None,
    *,
    image_shape: Sequence[int] | None = None,
    num_images: int | None = None,
    first: int = 0,
    pixel_range: Sequence[float] | None = None,
    max_side: int | None = None,
) -> np.ndarray:
    """Reads images: those of `load_named`, without their names.

    Args:
        source: "mnist", "xray", "retino", "demo", or a folder, a glob or a file of your own; see above.
        data_dir: folder that holds mnist/, xray/, retino/; used for those sources only.
        image_shape: (h, w, c), c = 1 or 3, that the images are cut and averaged to; None: as stored.
        num_images: how many; None for all from `first` on.
        first: index of the first image.
        pixel_range: (black, white), the stored values that become -1 and 1; None: as `load_named` says.
        max_side: images whose height or width is larger, or would be by `image_shape`, are averaged down to it.

    Returns:
        float32 [b, h, w, c] in [-1, 1].

    Raises:
        InputError: one line, naming what was given and the remedy, where the images cannot be had as asked.

    Warns:
        PixelRangeWarning: as for `load_named`.
    """
    _, images = load_named(
        source,
        data_dir,
        image_shape=image_shape,
        num_images=num_images,
        first=first,
        pixel_range=pixel_range,
        max_side=max_side,
    )
    return images


def load_named(
    source: str | os.PathLike,
    data_dir: str | os.PathLike | None = None,
    *,
    image_shape: Sequence[int] | None = None,
    num_images: int | None = None,
    first: int = 0,
    pixel_range: Sequence[float] | None = None,
    max_side: int | None = None,
) -> tuple[list[str], np.ndarray]:
    """Reads images, and names each.

    Args:
        source: "mnist", "xray", "retino", "demo", or a folder, a glob or a file of your own; see above.
        data_dir: folder that holds mnist/, xray/, retino/; used for those sources only.
        image_shape: (h, w, c), c = 1 or 3. Images are cut centrally to the aspect ratio h : w, averaged down
            (or interpolated up) to h x w, and colour becomes grey by luminance where c = 1. An image of this
            very shape keeps its pixels. None: as stored (demo: 128x128x3).
        num_images: how many; None for all from `first` on.
        first: index of the first image.
        pixel_range: (black, white), the stored values that become -1 and 1. None: the whole range of an 8- or
            16-bit integer type, False and True, or [-1, 1] for float pixels.
        max_side: images whose height or width is larger, or would be by `image_shape`, are averaged down to it.

    Returns:
        names: b ids, unique in the source and the same for any `num_images` and `first`; stems of the files.
        images: float32 [b, h, w, c] in [-1, 1].

    Raises:
        InputError: one line, naming what was given and the remedy, where the images cannot be had as asked.

    Warns:
        PixelRangeWarning: images of one's own that use less than 60 % of the range of their type, as 12 bits in 16 or
            floats in [0, 1] do; not where pixel_range is given.

    Example:
        >>> names, images = cs.data.load_named("demo", image_shape=(32, 32, 1), num_images=2)
        >>> names, images.shape
        (['camera', 'cell'], (2, 32, 32, 1))
    """
    shape = shape_of_pictures(image_shape)
    if max_side is not None:
        require_count("max_side", max_side)
    items = find_images(source, data_dir, shape)
    source = path_of(source, "source")
    if source == "demo" and shape is None:
        shape = (128, 128, 3)
    chosen = items[_selection(source, len(items), num_images, first)]

    images, values = [], []
    for item in chosen:
        pixels = item.read()
        values.append(values_of(pixels, pixel_range, item.where))
        signed = to_signed_range(pixels, (values[-1].black, values[-1].white))
        images.append(fit_to_shape(signed, at_most(shape or checked_shape(signed.shape), max_side), item.where))
        if images[-1].shape != images[0].shape:
            raise InputError(
                f"images differ in shape: {chosen[0].where} is {images[0].shape}, "
                f"{item.where} is {images[-1].shape}; pass `image_shape=(h, w, c)` to bring them to one"
            )
    if pixel_range is None and os.fspath(source).partition(":")[0] not in KNOWN_SOURCES:
        called = Path(chosen[0].where).name if len(chosen) == 1 else os.fspath(source)
        warning = range_warning(called, values)
        if warning is not None:
            warnings.warn(warning, stacklevel=2)
    return [item.name for item in chosen], np.stack(images)


def _selection(source: str, available: int, num_images: int | None, first: int) -> slice:
    """The slice that `first` and `num_images` ask for, refused where it leaves the images at hand."""
    try:
        first = operator.index(first)
        num_images = None if num_images is None else operator.index(num_images)
    except TypeError:
        raise InputError(f"first={first!r}, num_images={num_images!r}: whole numbers are needed") from None
    if not 0 <= first < available:
        raise InputError(f"first={first}: {source!r} has {available} images; use 0 to {available - 1}")
    rest = available - first
    if num_images is not None and not 1 <= num_images <= rest:
        raise InputError(
            f"num_images={num_images}: {source!r} has {rest} images from first={first} on; use 1 to {rest}"
        )
    return slice(first, None if num_images is None else first + num_images)
