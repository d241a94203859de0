"""What a user brings along: measurements with what made them, trained weights, learned priors, other conventions.

`read_array` reads the arrays; `with_matrix`, `with_mask` and `with_operator` make a problem of them, look for wrong
conventions, and say in `OwnProblem.notes` what was assumed::

    y, matrix = cs.io.read_array("y.npy"), cs.io.read_array("A.mat")
    own = cs.io.with_matrix(y, matrix, image_shape, pixel_range="auto")
    print(own.notes)
    solution = cs.reconstruct(method, own.problem, key, pixel_range=own.pixel_range)

The weights of a VAE (`vae_weights`), learned priors (`learned_priors`) and starts (`learned_starts`) have files of
their own.
"""

from csdip_jax.data.pixels import from_skimage, to_skimage
from csdip_jax.io import learned_priors, learned_starts, vae_weights
from csdip_jax.io.arrays import read_array
from csdip_jax.io.measurements import OwnProblem, with_mask, with_matrix, with_operator

__all__ = [
    "OwnProblem",
    "from_skimage",
    "learned_priors",
    "learned_starts",
    "read_array",
    "to_skimage",
    "vae_weights",
    "with_mask",
    "with_matrix",
    "with_operator",
]
