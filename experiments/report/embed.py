"""Pictures that become part of the page, within its bounds."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.report.blocks import Picture, Problem

LARGE_FIGURE = 2**20  # bytes; what is larger gets a palette of 256 colours
FIGURE_SIDE = 2400  # pixels
PAGE_BYTES = 48 * 2**20  # of all pictures, before base64
SHEET_BYTES = 8 * 2**20  # of the contact sheets of one run
THUMB_SIDE = 512  # pixels; larger reconstructions are reduced to this


class Budget:
    """Bytes that may still be embedded; a part of another one cannot take more than that has."""

    def __init__(self, limit: int, whole: "Budget | None" = None):
        self.left, self.whole = limit, whole

    def take(self, picture: Picture) -> bool:
        """Whether the picture still fits; if so, it counts."""
        size = len(picture.png)
        if size > self.left or (self.whole and not self.whole.take(picture)):
            return False
        self.left -= size
        return True


def figure(path: Path) -> Picture | Problem:
    """A drawn figure: as it is, or reduced to FIGURE_SIDE and 256 colours where it is large."""
    try:
        png = path.read_bytes()
        with Image.open(io.BytesIO(png), formats=["PNG"]) as opened:
            opened.load()
            image = opened
        if max(image.size) > FIGURE_SIDE:
            image = image.convert("RGB")
            image.thumbnail((FIGURE_SIDE, FIGURE_SIDE))
            png = _encode(image)
        if len(png) > LARGE_FIGURE:
            png = min(png, _encode(image.convert("RGB").quantize(256)), key=len)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return Problem(f"{path}: no picture that can be read ({error})")
    return Picture(png, *image.size, path)


def thumb(path: Path) -> Picture | Problem:
    """A reconstruction's .png in 8 bits: at its own size up to THUMB_SIDE, without metadata."""
    try:
        with Image.open(path, formats=["PNG"]) as opened:
            opened.load()
            image = opened if opened.mode in ("L", "RGB") else _to_eight_bits(opened)
        if max(image.size) > THUMB_SIDE:
            image.thumbnail((THUMB_SIDE, THUMB_SIDE))
        return Picture(_encode(image), *image.size, path)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return Problem(f"{path}: no picture that can be read ({error})")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits: Pillow would clip at 255
        return Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    return image.convert("RGB")


def _encode(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="png", optimize=True)
    return buffer.getvalue()
