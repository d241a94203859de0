"""Regularizers: functions of an image or of a network's weights that are small where these are likely.

`total_variation` is small for images with few edges. `LayerGaussian` is the paper's learned regularization: `fit` it to
the weights of networks that were fitted to other measurements, and give it to `CsDip` as its `prior`. A `Start` is what
a fit begins with, its `learned_start`; `csdip_jax.learn_start` learns one.

>>> image = jnp.zeros((8, 8, 1)).at[2:4, 2:4].set(1.0)
>>> float(cs.priors.total_variation(image))
8.0
"""

from csdip_jax.priors.layer_gaussian import (
    READINGS,
    LayerGaussian,
    fit,
    log_prob,
    move_to_mean,
    penalty,
    require_tensors,
    tensor_names,
)
from csdip_jax.priors.start import FEW_STEPS, Start, draw_start, require_start
from csdip_jax.priors.total_variation import (
    difference_norms,
    image_gradient,
    image_gradient_adjoint,
    total_variation,
)

__all__ = [
    "FEW_STEPS",
    "READINGS",
    "LayerGaussian",
    "Start",
    "difference_norms",
    "draw_start",
    "fit",
    "image_gradient",
    "image_gradient_adjoint",
    "log_prob",
    "move_to_mean",
    "penalty",
    "require_start",
    "require_tensors",
    "tensor_names",
    "total_variation",
]
