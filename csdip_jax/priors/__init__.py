"""Regularizers: functions of an image or of a network's weights that are small where these are likely."""

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
