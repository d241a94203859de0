"""Networks whose input is an image too, near which their output is held: self-guided DIP and aSeqDIP.

    ||y - A x||^2 + strength ||x - z||^2,    x = room G(z; w)

z starts as what the measurements alone make of an image, A^H y, and the methods differ in how it moves. The penalty
makes of G something that leaves images as they are, an autoencoder of one image, and holds it back from fitting noise.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from csdip_jax.checks import require_number
from csdip_jax.generators import Generator, UNet
from csdip_jax.generators.base import middle
from csdip_jax.methods.base import Regularization
from csdip_jax.methods.network import Network, State
from csdip_jax.operators import LinearOperator, squared_norm
from csdip_jax.types import Array, Problem, keyword_field, pytree_dataclass


@pytree_dataclass
class Autoencoding(Network):
    """What fits of a network to its own input share: where z starts, and what it is compared with.

    A latent holds an image if it is one array [h', w', k] of at least the image's sides and channels. The image is the
    middle of its first c channels, what lies around it is 0, and further channels stay as drawn. Of a generator with
    any other latent z is drawn and the penalty is left out.

    z starts at t A^H y, the step of steepest descent from 0: for rows that are orthonormal, as those of k-space are,
    t = 1. Of operators that have no adjoint it is drawn.

    Attributes:
        image_shape: (h, w, c).
        generator: G; by default `generators.UNet(image_shape, input_depth=c)`, whose latent is an image and no more.
        strength: >= 0, weight of `||x - z||^2`.
        learning_rate: >= 0, of Adam.
    """

    strength: float = 1.0
    generator: Generator = keyword_field(None)
    learning_rate: float = keyword_field(3e-3)
    fills_the_cache = True
    remedy = "try another seed, a lower learning_rate or more measurements"
    regularization = Regularization("strength", 10.0)

    def __post_init__(self):
        if self.generator is None:
            object.__setattr__(self, "generator", UNet(self.image_shape, input_depth=self.image_shape[2]))
        super().__post_init__()
        require_number("strength", self.strength)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.rate)

    @property
    def is_guided(self) -> bool:
        """Whether the generator's latent holds an image."""
        latent = jax.eval_shape(lambda key: self.generator.init(key)[0], jax.random.key(0))
        shape = getattr(latent, "shape", ())
        return len(shape) == 3 and all(have >= need for have, need in zip(shape, self.image_shape, strict=True))

    def guide(self, latent: Array) -> Array:
        """The image [h, w, c] in a latent that holds one."""
        return latent[middle(latent, self.image_shape)]

    def with_guide(self, latent: Array, image: Array) -> Array:
        """The latent with another image in it."""
        cleared = latent.at[..., : self.image_shape[2]].set(0)
        return cleared.at[middle(latent, self.image_shape)].set(image.astype(latent.dtype))

    def init(self, problem: Problem, key: Array) -> State:
        state = super().init(problem, key)
        if not self.is_guided or not isinstance(problem.operator, LinearOperator):
            return state
        latent = self.with_guide(state.latent, first_image(problem.operator, problem.measurements))
        return self.start(latent, self.generator.trained if state.params is None else state.params)

    def penalties(self, image: Array, latent: Any, params: Any) -> list[Array]:
        return [self.strength * squared_norm(image - self.guide(latent))] if self.is_guided else []


def first_image(operator: LinearOperator, measurements: Array) -> Array:
    """t A^H y, the first image of steepest descent from 0: t makes the most of its direction.

    Args:
        operator: A.
        measurements: y.

    Returns:
        [h, w, c].
    """
    back = operator.adjoint(measurements)
    size = squared_norm(operator.forward(back))
    return back * squared_norm(back) / jnp.maximum(size, jnp.finfo(size.dtype).tiny)
