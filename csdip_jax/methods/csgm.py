"""CSGM: compressed sensing using generative models (Bora, Jalal, Price, Dimakis, arXiv 1703.03208).

    z* = argmin_z ||y - A G(z)||^2 + l2_weight ||z||^2,    G the decoder of a trained VAE, z in R^k.

Adam on z from random starts. Each restart returns its last iterate, the restart with the lowest measurement loss wins.
G is never perfect: with many measurements the error stays at what its range lacks, where an untrained network goes on
improving.

Differs from the authors' code, which picks the restart by the objective and has pixels in [0, 1], so that its weight of
0.1 is one of 0.4 here. On MNIST digits the two weights' errors agree within one standard error.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from csdip_jax.checks import require_number
from csdip_jax.generators import TrainedDecoder
from csdip_jax.methods.base import Regularization
from csdip_jax.methods.network import Network
from csdip_jax.methods.recipe import Recipe
from csdip_jax.types import Array, keyword_field, pytree_dataclass, static_field


@pytree_dataclass
class Csgm(Network):
    """Compressed sensing with a trained generator, whose latent is fitted to the measurements.

    These are its settings. Its generator needs weights, see the example; `io.vae_weights.load_decoder` reads them.

    Attributes:
        image_shape: (h, w, c).
        steps: Adam steps.
        restarts: random starts z ~ N(0, I).
        l2_weight: >= 0, weight of `||z||^2`, in the units of `||y - A x||^2` with pixels in [-1, 1].
        generator: G, trained; by default a `generators.TrainedDecoder` that has no weights yet.
        learning_rate: >= 0, of Adam.
        moves: what is fitted: the "latent"; "params" or "both" fit the weights too.

    Example:
        >>> vae = cs.generators.VAE((8, 8, 1), hidden=(16,), latent_dim=4)
        >>> params = vae.init(jax.random.key(0), jnp.zeros((8, 8, 1)), jnp.zeros(4))  # to be trained first
        >>> trained = cs.generators.TrainedDecoder((8, 8, 1), cs.generators.decoder_of(params))
        >>> method = dataclasses.replace(cs.methods.Csgm.preset("paper", (8, 8, 1)), generator=trained)
        >>> method.restarts
        10
    """

    restarts: int = static_field(10)
    l2_weight: float = 0.1
    moves: str = keyword_field("latent", static=True)
    learning_rate: float = keyword_field(0.01)
    regularization = Regularization("l2_weight", 10.0)

    def __post_init__(self):
        if self.generator is None:
            object.__setattr__(self, "generator", TrainedDecoder(self.image_shape))
        super().__post_init__()
        require_number("l2_weight", self.l2_weight)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.rate)

    def penalties(self, image: Array, latent: Any, params: Any) -> list[Array]:
        squares = [jnp.sum(jnp.square(part)) for part in jax.tree.leaves(latent)]
        return [jnp.asarray(self.l2_weight * sum(squares))]


CSGM = Recipe(
    name="csgm",
    label="CSGM",
    colour="C4",
    method=Csgm,
    grid={"learning_rate": (0.003, 0.01, 0.03, 0.1)},
    toy={"steps": 40, "restarts": 2, "learning_rate": 0.1},
    needs="a decoder trained on such images",
)
