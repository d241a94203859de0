"""What a user brings along in files: measurements with their matrix or mask, trained weights, learned priors.

own = csdip_jax.io.with_matrix(csdip_jax.io.read_array("y.npy"), csdip_jax.io.read_array("A.mat"), image_shape, "auto")
solution = csdip_jax.reconstruct(method, own.problem, key, pixel_range=own.pixel_range)
"""

from csdip_jax.io import learned_priors, vae_weights
from csdip_jax.io.arrays import read_array
from csdip_jax.io.measurements import OwnProblem, with_mask, with_matrix, with_operator

__all__ = ["OwnProblem", "learned_priors", "read_array", "vae_weights", "with_mask", "with_matrix", "with_operator"]
