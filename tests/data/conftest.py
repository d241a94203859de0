"""Most of these tests write pictures of one value, or of a few."""

import warnings

import pytest

from csdip_jax.data import PixelRangeWarning


@pytest.fixture(autouse=True)
def _any_range():
    """Tests of the warning itself ask for it by `pytest.warns`."""
    warnings.simplefilter("ignore", PixelRangeWarning)
