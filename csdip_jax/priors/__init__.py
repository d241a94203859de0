"""Regularizers: functions of an image or of a network's weights that are small where these are likely.

`total_variation` is small for images with few edges. `LayerGaussian` is the paper's learned regularization: `fit` it to
the weights of networks that were fitted to other measurements, and give it to `CsDip` as its `prior`.

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
from csdip_jax.priors.total_variation import (
    difference_norms,
    image_gradient,
    image_gradient_adjoint,
    total_variation,
)

__all__ = [
    "READINGS",
    "LayerGaussian",
    "difference_norms",
    "fit",
    "image_gradient",
    "image_gradient_adjoint",
    "log_prob",
    "move_to_mean",
    "penalty",
    "require_tensors",
    "tensor_names",
    "total_variation",
]
