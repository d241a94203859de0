"""Self-guided DIP: the network's input is fitted too, and held near the network's output (arXiv 2402.04097).

    min_{w, z} ||y - A x||^2 + strength ||x - z||^2,    x = the mean over draws of room G(z + noise; w)

Liang, Bell, Qu, Wang, Ravishankar: Analysis of deep image prior and exploiting self-guidance for image reconstruction,
IEEE Trans. Comput. Imaging 11, 2025. Noise is drawn anew in each step, normal, with half the largest |z| as its
standard deviation. G learns to take it off again: the penalty makes a denoiser of it.
"""

from typing import Any

import jax
import jax.numpy as jnp

from csdip_jax.checks import require_count
from csdip_jax.methods.autoencoding import Autoencoding
from csdip_jax.methods.network import with_noise
from csdip_jax.methods.recipe import Recipe
from csdip_jax.types import Array, keyword_field, pytree_dataclass, static_field


@pytree_dataclass
class SelfGuided(Autoencoding):
    """Self-guided DIP: input and weights of an untrained network are fitted together; the image is a mean of outputs.

    These are its settings. It takes any differentiable operator and needs no training data. Each step costs as much as
    `draws` of `CsDip`'s.

    Differs from the paper: this library's U-Net, its learning rate and its number of steps, and z = t A^H y, see
    `Autoencoding`, where the paper starts from A^H y of k-space (the same) or from noise.

    Attributes:
        image_shape: (h, w, c).
        steps: of Adam.
        strength: >= 0, weight of `||x - z||^2`.
        draws: at least 1, of the noise in each step.
        input_noise: >= 0, standard deviation of the noise relative to the largest |z|; None for none, and one draw.
        generator: G; by default a U-Net with an input of c channels. What its latent has to be: `Autoencoding`.
        learning_rate: >= 0, of Adam, for the input and the weights.
        moves: what is fitted: "both".

    Raises:
        InputError: a setting out of its range, or a generator of other images.

    Example:
        >>> small = cs.generators.UNet((8, 8, 1), width=8, input_depth=1)
        >>> method = cs.methods.SelfGuided((8, 8, 1), steps=20, generator=small)
        >>> operator = cs.operators.gaussian(jax.random.key(0), 40, (8, 8, 1))
        >>> problem = cs.Problem(operator, operator.forward(jnp.eye(8)[..., None]))
        >>> cs.reconstruct(method, problem, jax.random.key(1)).image.shape
        (8, 8, 1)
    """

    strength: float = 0.01
    draws: int = static_field(4)
    moves: str = keyword_field("both", static=True)
    input_noise: float | None = keyword_field(0.5)

    def __post_init__(self):
        super().__post_init__()
        require_count("draws", self.draws)

    def made(self, latent: Any, params: Any, key: Array | None = None) -> Array:
        if self.input_noise is None or key is None:
            return super().made(latent, params)
        largest = jnp.stack([jnp.abs(leaf).max() for leaf in jax.tree.leaves(latent)]).max()
        deviation = self.input_noise * jax.lax.stop_gradient(largest)

        def draw(key):
            return super(SelfGuided, self).made(with_noise(latent, deviation, key), params)

        return jax.vmap(draw)(jax.random.split(key, self.draws)).mean(0)


SELF_GUIDED = Recipe(
    name="self_guided",
    label="self-guided DIP",
    colour="C7",
    method=SelfGuided,
    grid={"learning_rate": (0.001, 0.003, 0.01), "strength": (0.001, 0.01, 0.1)},
    toy={"steps": 24, "draws": 2, "learning_rate": 0.01},
)
