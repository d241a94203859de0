"""An offset of y is noted where the measurements tell it, and never where there is none."""

import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage
import skimage.data

import csdip_jax as cs

SIDE, M = 32, 400
N, SHAPE = SIDE**2, (SIDE, SIDE, 1)
NAMES = ("camera", "moon", "coins", "page", "clock", "checkerboard")


def images():
    """Photographs of pixels from 0 to 1, and what is none: noise, a point in the corner, a ramp, flat, black."""
    found = []
    for name in NAMES:
        image = getattr(skimage.data, name)().astype(float)
        side = min(image.shape)
        image = scipy.ndimage.zoom(image[:side, :side], SIDE / side, order=1)
        found.append((image - image.min()) / np.ptp(image))
    point, ramp = np.zeros((SIDE, SIDE)), np.indices((SIDE, SIDE)).sum(0) / (2 * SIDE)
    point[0, 0] = 1
    noise = np.random.default_rng(0).random((SIDE, SIDE))
    return [*found, noise, point, ramp, np.full((SIDE, SIDE), 0.5), np.zeros((SIDE, SIDE))]


def blocks(rng):
    matrix = np.zeros((M, SIDE, SIDE))
    for pattern in matrix:
        i, j, h, w = rng.integers(0, SIDE - 4), rng.integers(0, SIDE - 4), *rng.integers(1, 8, 2)
        pattern[i : i + h, j : j + w] = 1
    return matrix.reshape(M, N)


def hadamard(first, rows=M):
    return scipy.linalg.hadamard(N)[first : first + rows]


MATRICES = {
    "Gaussian": lambda rng: rng.normal(size=(M, N)) / np.sqrt(M),
    "few": lambda rng: rng.normal(size=(30, N)),
    "more than pixels": lambda rng: rng.normal(size=(1200, N)),
    "with an offset": lambda rng: 10 + rng.normal(size=(M, N)),
    "+-1": lambda rng: rng.choice([-1, 1], (M, N)),
    "0/1": lambda rng: rng.integers(0, 2, (M, N)).astype(np.uint8),
    "2 % of 1": lambda rng: rng.random((M, N)) < 0.02,
    "as many of 1 as it comes": lambda rng: rng.random((M, N)) < rng.uniform(0.05, 0.95, (M, 1)),
    "Hadamard": lambda rng: hadamard(1),
    "Hadamard of 0/1": lambda rng: (hadamard(0) + 1) / 2,
    "Hadamard of 0/1 without a row of ones": lambda rng: (hadamard(1) + 1) / 2,
    "all of Hadamard": lambda rng: hadamard(0, N),
    "pixels": lambda rng: np.eye(N)[rng.permutation(N)[:M]],
    "blocks": blocks,
    "blurred": lambda rng: scipy.ndimage.gaussian_filter(rng.normal(size=(M, SIDE, SIDE)), (0, 2, 2)).reshape(M, N),
    "blurred to 0/1": lambda rng: (MATRICES["blurred"](rng) > 0) * 1.0,
}


def noted(y, matrix, shape=SHAPE):
    return [note for note in cs.io.with_matrix(y, matrix, shape, None).notes if "offset" in note]


@pytest.mark.parametrize("name", MATRICES)
def test_there_is_no_false_alarm(name):
    rng = np.random.default_rng(1)
    matrix = MATRICES[name](rng)
    for image in images():
        for black, white, noise in ((0, 1, 0), (-1, 1, 0.1), (0, 1000, 0), (0, 1000, 1)):
            y = matrix @ (black + (white - black) * image.ravel())
            assert noted(y + noise * np.std(y) * rng.normal(size=len(y)), matrix) == []


def test_colours_are_no_offset():
    rng = np.random.default_rng(2)
    matrix, image = rng.integers(0, 2, (M, 768)), np.stack([images()[0][::2, ::2] * k for k in (0.2, 1, 0.5)], -1)
    y = matrix @ image.ravel()
    assert noted(y, matrix, (16, 16, 3)) == [] and noted(y + 200, matrix, (16, 16, 3))


@pytest.mark.parametrize("image", images()[:2])
def test_dark_counts_are_noted(image):
    """Beside 1e4 photons through patterns of 0 and 1; and beside random signs."""
    rng = np.random.default_rng(3)
    matrix = MATRICES["0/1"](rng)
    light = matrix @ image.ravel()
    counts = rng.poisson(light * 1e4 / light.mean())
    (note,) = noted(counts + 5000, matrix)
    assert "y seems to have an offset of about" in note and noted(counts, matrix) == []
    signs = MATRICES["+-1"](rng)
    (note,) = noted(signs @ image.ravel() + 50, signs)
    assert 45 < float(note.split("about ")[1].split()[0]) < 55
