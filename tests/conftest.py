"""Shared by all tests: the compilation cache, the real images where they are at hand, float64 on request."""

import os
import tempfile
from pathlib import Path

# Most of the suite's time is compiling; what small programs lose in speed without LLVM's optimisations is less.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import jax  # noqa: E402
import pytest  # noqa: E402

REPOSITORY = Path(__file__).parent.parent
REAL_DATA = REPOSITORY.parent / "shared" / "data"


def pytest_configure(config):
    # Programs compiled by one worker or one run serve the next.
    cache = Path(tempfile.gettempdir()) / "csdip_jax_test_cache"
    jax.config.update("jax_compilation_cache_dir", str(cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


@pytest.fixture
def x64():
    """The mathematics in float64, for this test only."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def real_data():
    """The folder of real images beside the checkout."""
    if not REAL_DATA.is_dir():
        pytest.skip("needs the real images in ../shared/data, which are not part of the repository")
    return REAL_DATA
