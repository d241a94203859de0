"""Whether measurements have an offset that their matrix does not explain, such as a detector's dark counts."""

import math

import numpy as np

LEAST_ROWS, SURE = 21, 6.0
"""From so many measurements on an offset is looked for; and it is noted beyond so many standard errors."""
ROUNDING = 1e-3
"""An offset that is smaller, relative to the root mean square of y, is not worth a word."""
ONE_PIXEL = 0.9
"""Correlation of one pixel's measurements with an offset from which on the two are the same, as in Hadamard's first."""
TOLD = 1e-2
"""||1 - its part along A 1||, relative to ||1||, from which on y tells an offset from a brighter image."""


def offset_note(measurements: np.ndarray, matrix: np.ndarray, image_shape: tuple[int, int, int]) -> str | None:
    """A line where y = A x + b fits far better than y = A x, whatever the photograph x.

    The offset is that of the regression of y on the measurements of a flat image of each channel, and on 1. What is
    left of y is measured contrast. Its share in the offset is c^T A d, of which the error says how large it gets for
    contrast like noise, like that of a photograph (a spectrum of 1 / f^2), and all in one pixel.

    Args:
        measurements: y, [m], real.
        matrix: A, [m, n], real, its columns row by row over (h, w, c).
        image_shape: (h, w, c), h w c = n.
    """
    m, c = len(measurements), image_shape[2]
    if m < LEAST_ROWS:
        return None
    y = measurements.astype(np.float64)
    flat = np.stack([matrix[:, i::c].sum(1, dtype=np.float64) for i in range(c)], 1)
    others, sizes, _ = np.linalg.svd(flat, full_matrices=False)
    others = others[:, sizes > 1e-6 * max(sizes.max(), np.finfo(float).tiny)]
    ones = np.ones(m) - others @ (others.T @ np.ones(m))
    if ones @ ones < TOLD**2 * m:
        return None
    weights = ones / (ones @ ones)
    offset = float(weights @ y)
    left = y - offset
    left -= others @ (others.T @ left)
    if abs(offset) <= ROUNDING * math.sqrt(y @ y / m):
        return None
    back, along = np.zeros(matrix.shape[1]), np.zeros((others.shape[1], matrix.shape[1]))
    squares = np.zeros(matrix.shape[1])
    for row, weight, other in zip(matrix, weights, others, strict=True):  # a matrix may be too large for a wider copy
        wide = row.astype(np.float64)
        back += weight * wide
        along += other[:, None] * wide
        squares += np.square(wide)
    squares -= np.square(along).sum(0)  # of each pixel's measurements, beside those of a flat image
    alone = np.square(back) * (ones @ ones)
    if (alone > ONE_PIXEL**2 * np.maximum(squares, 1e-6 * squares.max())).any():
        return None
    contrast = float(np.linalg.norm(left)) / math.sqrt(squares.mean())  # ||x - its mean||
    error = math.hypot(
        contrast * _alignment(back.reshape(image_shape)), float(np.linalg.norm(left)) / math.sqrt(m * (ones @ ones))
    )
    if abs(offset) <= SURE * error + contrast * float(np.abs(back).max()):
        return None
    return (
        f"y seems to have an offset of about {offset:.3g} (dark counts?): measure it with the light off, and take it "
        "off y"
    )


def _alignment(back: np.ndarray) -> float:
    """Root mean square of <g, d> of contrasts d of norm 1, of whichever kind gets it larger: noise, or photographs."""
    h, w, c = back.shape
    power = np.square(np.abs(np.fft.fft2(back, axes=(0, 1), norm="ortho"))).sum(-1)
    frequency = np.hypot(np.fft.fftfreq(h, 1 / h)[:, None], np.fft.fftfreq(w, 1 / w))
    frequency[0, 0] = np.inf  # what is left has no mean
    spectrum = 1 / frequency**2
    total = spectrum.sum() or 1.0
    return math.sqrt(max(float(power.sum()) / (h * w * c), float((power * spectrum).sum()) / total))
