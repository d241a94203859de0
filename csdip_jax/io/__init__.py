"""What a user brings along: measurements with their matrix or mask, trained weights, learned priors, other conventions.

own = csdip_jax.io.with_matrix(csdip_jax.io.read_array("y.npy"), csdip_jax.io.read_array("A.mat"), image_shape, "auto")
solution = csdip_jax.reconstruct(method, own.problem, key, pixel_range=own.pixel_range)
"""

from csdip_jax.data.pixels import from_skimage, to_skimage
from csdip_jax.io import learned_priors, vae_weights
from csdip_jax.io.arrays import read_array
from csdip_jax.io.measurements import OwnProblem, with_mask, with_matrix

__all__ = [
    "OwnProblem",
    "from_skimage",
    "learned_priors",
    "read_array",
    "to_skimage",
    "vae_weights",
    "with_mask",
    "with_matrix",
]
