"""Images from few measurements, with networks that were never trained (compressed sensing with a deep image prior).

You have measurements y of an image x*, taken by a known operator A: y = A x* + noise, with fewer numbers in y than x*
has pixels. `reconstruct` finds an image that explains y. Say what measured (`operators`), pair it with y (`Problem`),
choose a method (`methods`), and ask `verdict` how well the answer explains y::

    import jax, csdip_jax as cs

    operator = cs.operators.Dense(matrix, image_shape)  # or any differentiable function of the image
    problem = cs.Problem(operator, measurements)
    method = cs.methods.CsDip.preset("paper", image_shape)
    solution = cs.reconstruct(method, problem, jax.random.key(0))
    print(cs.verdict(solution))
    image = solution.image

Images are [h, w, c] with pixels in [-1, 1], unless `reconstruct` is given their `pixel_range`. Whatever you extend the
library by (an operator, a generator, a method, a rule) is a frozen dataclass decorated by `pytree_dataclass`.
"""

import importlib.metadata

from csdip_jax import (
    data,
    denoisers,
    generators,
    io,
    methods,
    metrics,
    operators,
    priors,
    prox,
    rules,
    transforms,
)
from csdip_jax.solve import best, estimate_pixel_range, hold_out, learn_start, reconstruct
from csdip_jax.types import (
    EndsOfRangeWarning,
    InputError,
    Problem,
    ReconstructionWarning,
    Solution,
    Status,
    keyword_field,
    pytree_dataclass,
    static_field,
)
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
    "best",
    "data",
    "denoisers",
    "estimate_pixel_range",
    "generators",
    "hold_out",
    "io",
    "keyword_field",
    "learn_start",
    "methods",
    "metrics",
    "operators",
    "priors",
    "prox",
    "pytree_dataclass",
    "reconstruct",
    "rules",
    "static_field",
    "transforms",
    "verdict",
]
