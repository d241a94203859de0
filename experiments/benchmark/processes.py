"""The processes that take turns."""

import contextlib
import os
from collections.abc import Iterator
from functools import partial

import jax

from csdip_jax.types import InputError
from experiments.benchmark.worker import Worker

PLATFORMS = {"cpu": "cpu", "gpu": "cuda,cpu"}
"""What is measured -> JAX's platforms; a GPU's programs may call back to the CPU."""
JAX_SETTINGS = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
WAIT_POLICIES = ("active", "passive")


def choose(device: str) -> None:
    """Makes this process and the workers to come compute on `device`, one of PLATFORMS.

    Raises:
        InputError: JAX has no such device here.
    """
    # Several processes share a GPU: none may take its memory in advance.
    os.environ |= {"JAX_PLATFORMS": PLATFORMS[device], "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    jax.config.update("jax_platforms", PLATFORMS[device])
    try:
        found, reason = jax.default_backend(), ""
    except RuntimeError as error:
        found, reason = None, f" ({error})".splitlines()[0]
    if found != device:
        raise InputError(
            f"--device={device}: JAX finds none here{reason}: it needs NVIDIA's driver and "
            "requirements-cuda.txt; or take --device=cpu"
        )


def on_gpu() -> bool:
    """Whether the workers compute on a GPU."""
    return jax.default_backend() == "gpu"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@contextlib.contextmanager
def jax_worker(module: str = "jax_side", **environment: str) -> Iterator[Worker]:
    settings = JAX_SETTINGS | {"JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir or ""}
    with Worker("JAX", ["-m", f"experiments.benchmark.{module}"], settings | environment) as worker:
        yield worker


limits_worker = partial(jax_worker, "limits_side")
growth_worker = partial(jax_worker, "growth_side")


@contextlib.contextmanager
def torch_workers() -> Iterator[dict[str, Worker]]:
    """One for each way in which idle threads may wait; on a GPU, where that is no matter, one alone."""
    device, policies = ("cuda", {"eager": "passive"}) if on_gpu() else ("cpu", {name: name for name in WAIT_POLICIES})
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(
                Worker(
                    f"PyTorch ({name})",
                    ["-m", "experiments.benchmark.torch_side", device],
                    {"OMP_WAIT_POLICY": policy, "OMP_NUM_THREADS": str(cores())},
                )
            )
            for name, policy in policies.items()
        }


def sklearn_worker() -> Worker:
    return Worker("scikit-learn", ["-m", "experiments.benchmark.sklearn_side"], {})
