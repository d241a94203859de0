"""Compressed sensing with untrained networks, in JAX.

operator = csdip_jax.operators.gaussian(key, num_measurements, image_shape)
problem = csdip_jax.Problem(operator, measurements)
solution = csdip_jax.reconstruct(csdip_jax.methods.CsDip.preset("paper", image_shape), problem, key)
"""

import importlib.metadata

from csdip_jax import data, generators, io, methods, metrics, operators, priors, rules
from csdip_jax.solve import estimate_pixel_range, reconstruct
from csdip_jax.types import EndsOfRangeWarning, InputError, Problem, ReconstructionWarning, Solution, Status
from csdip_jax.verdict import verdict

try:
    __version__ = importlib.metadata.version("csdip_jax")
except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
    __version__ = "unknown"

__all__ = [
    "EndsOfRangeWarning",
    "InputError",
    "Problem",
    "ReconstructionWarning",
    "Solution",
    "Status",
    "data",
    "estimate_pixel_range",
    "generators",
    "io",
    "methods",
    "metrics",
    "operators",
    "priors",
    "reconstruct",
    "rules",
    "verdict",
]
