"""Pixels and image files that several of these tests use, and how bad ones are refused."""

import numpy as np
import pytest
from PIL import Image

from csdip_jax import data
from csdip_jax.types import InputError

rng = np.random.default_rng(0)
GREY8 = rng.integers(0, 256, (6, 5)).astype(np.uint8)
COLOUR8 = rng.integers(0, 256, (6, 5, 3)).astype(np.uint8)
GREY16 = rng.integers(0, 65536, (6, 5)).astype(np.uint16)
COLOUR16 = rng.integers(0, 65536, (6, 5, 3)).astype(np.uint16)
FLOATS = rng.uniform(-1, 1, (6, 5)).astype(np.float32)


def scaled(pixels, black, white):
    return np.atleast_3d((pixels.astype(np.float64) - black) / (white - black) * 2 - 1).astype(np.float32)


def write_all(folder, files):
    for file, pixels in files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, pixels) if path.suffix == ".npy" else Image.fromarray(pixels).save(path)


def assert_refused(source, message, **options):
    """`load` ends in one line that matches `message`."""
    with pytest.raises(InputError, match=message) as caught:
        data.load(source, **options)
    assert "\n" not in str(caught.value)
