"""A fresh process that does the first step of an x-ray fit, and prints the seconds until what it needs was reached.

    python -m experiments.benchmark.first_step

They are three: until jax, flax and optax are imported, until csdip_jax is, until the step is done.
"""

import json
import time


def first_step() -> list[float]:
    """Imports and takes the step; nothing of this package may be imported before."""
    began = time.perf_counter()
    import flax.linen  # noqa: F401
    import jax
    import optax  # noqa: F401

    seconds = [time.perf_counter() - began]
    import dataclasses

    import numpy as np

    import csdip_jax as cs

    seconds.append(time.perf_counter() - began)
    shape = (256, 256, 1)
    method = dataclasses.replace(cs.methods.CsDip.preset("paper", shape), steps=1)
    mask = np.random.default_rng(0).random(shape) < 0.1
    operator = cs.operators.inpainting(mask, shape)
    problem = cs.Problem(operator, np.ones(mask.sum(), np.float32))
    jax.block_until_ready(cs.reconstruct(method, problem, jax.random.key(0), max_redraws=0).image)
    return [*seconds, time.perf_counter() - began]


if __name__ == "__main__":
    print(json.dumps(first_step()))
