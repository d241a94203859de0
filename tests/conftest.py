"""Shared by all tests: the compilation cache, the real images where they are at hand, float64 on request."""

import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

CACHE = Path(tempfile.gettempdir()) / "csdip_jax_test_cache"
# Most of the suite's time is compiling: few of LLVM's optimisations save more than the slower programs cost.
FLAGS = ["--xla_backend_optimization_level=1"]
if version("jaxlib").startswith("0.10."):  # later ones have no others
    FLAGS += ["--xla_cpu_use_fusion_emitters=false"]  # which set up an MLIR context for every kernel: half of the time
os.environ |= {
    "XLA_FLAGS": os.environ.get("XLA_FLAGS", " ".join(FLAGS)),
    # Dozens of tests start a process, which would parse JAX, pandas and Matplotlib anew, 4 to 7 s each, wherever a
    # container or a user's profile sets this and pip has compiled nothing.
    "PYTHONDONTWRITEBYTECODE": "",
    # Programs compiled by one process or one run serve the next, and so does Matplotlib's list of fonts.
    "JAX_COMPILATION_CACHE_DIR": str(CACHE),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
    # On a GPU: its TF32 would exceed most tolerances, and the suite's processes share its memory.
    "JAX_DEFAULT_MATMUL_PRECISION": "highest",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "MPLCONFIGDIR": str(CACHE / "matplotlib"),
}
sys.dont_write_bytecode = False  # which Python has read from it already

import jax  # noqa: E402
import pytest  # noqa: E402

REPOSITORY = Path(__file__).parent.parent
REAL_DATA = REPOSITORY.parent / "shared" / "data"


MOST_MAPPINGS = 30_000
"""Of the 65,530 pieces of memory that Linux lets a process map: each program takes dozens, and XLA crashes beyond."""


@pytest.fixture(autouse=True, scope="module")
def _programs_are_forgotten():
    yield
    mappings = Path("/proc/self/maps")
    if mappings.exists() and mappings.read_bytes().count(b"\n") > MOST_MAPPINGS:
        jax.clear_caches()


@pytest.fixture
def on_cpu():
    """For tests of what is done on CPUs alone, or of processes that share out the work among several of them."""
    if jax.default_backend() != "cpu":
        pytest.skip("is about CPUs: JAX_PLATFORMS=cpu")


@pytest.fixture
def x64():
    """The mathematics in float64, for this test only."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def saved_prior(tmp_path):
    """(path of its file, the prior) of three networks of 16 x 16 pixels."""
    from csdip_jax import priors
    from csdip_jax.generators import DCGAN, draw_params
    from csdip_jax.io import learned_priors

    layers = DCGAN((16, 16, 1)).layers
    params = [draw_params(jax.random.key(i), layers, 128) for i in range(3)]
    prior = priors.fit(jax.tree.map(lambda *leaves: jax.numpy.stack(leaves), *params))
    path = tmp_path / "prior.npz"
    learned_priors.save(path, prior, 0.5, {"images": ["a", "b", "c"]})
    return path, prior


@pytest.fixture(scope="session")
def real_data():
    """The folder of real images beside the checkout."""
    if not REAL_DATA.is_dir():
        pytest.skip("needs the real images in ../shared/data, which are not part of the repository")
    return REAL_DATA
