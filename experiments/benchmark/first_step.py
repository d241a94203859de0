"""A fresh process that prints the seconds its imports took, and those until an x-ray fit has done its first step.

python -m experiments.benchmark.first_step dependencies     imports jax, flax and optax alone
python -m experiments.benchmark.first_step                  imports csdip_jax and takes the step
"""

import json
import sys
import time

BEGAN = time.perf_counter()


def dependencies() -> list[float]:
    import flax.linen  # noqa: F401
    import jax  # noqa: F401
    import optax  # noqa: F401

    return [time.perf_counter() - BEGAN]


def first_step() -> list[float]:
    import dataclasses

    import jax
    import numpy as np

    import csdip_jax as cs

    imported = time.perf_counter() - BEGAN
    shape = (256, 256, 1)
    method = dataclasses.replace(cs.methods.CsDip.preset("paper", shape), steps=1)
    mask = np.random.default_rng(0).random(shape) < 0.1
    operator = cs.operators.inpainting(mask, shape)
    problem = cs.Problem(operator, np.ones(mask.sum(), np.float32))
    jax.block_until_ready(cs.reconstruct(method, problem, jax.random.key(0), max_redraws=0).image)
    return [imported, time.perf_counter() - BEGAN]


if __name__ == "__main__":
    print(json.dumps((dependencies if sys.argv[1:] == ["dependencies"] else first_step)()))
