"""The processes that take turns."""

import contextlib
import os
from collections.abc import Iterator
from functools import partial

import jax

from experiments.benchmark.worker import Worker

CPU = {"JAX_PLATFORMS": "cpu", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
WAIT_POLICIES = ("active", "passive")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@contextlib.contextmanager
def jax_worker(module: str = "jax_side", **environment: str) -> Iterator[Worker]:
    settings = CPU | {"JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir or ""}
    with Worker("JAX", ["-m", f"experiments.benchmark.{module}"], settings | environment) as worker:
        yield worker


limits_worker = partial(jax_worker, "limits_side")
growth_worker = partial(jax_worker, "growth_side")


@contextlib.contextmanager
def torch_worker(policy: str) -> Iterator[Worker]:
    settings = {"OMP_WAIT_POLICY": policy, "OMP_NUM_THREADS": str(cores())}
    with Worker(f"PyTorch ({policy})", ["-m", "experiments.benchmark.torch_side"], settings) as worker:
        yield worker


def sklearn_worker() -> Worker:
    return Worker("scikit-learn", ["-m", "experiments.benchmark.sklearn_side"], {})
