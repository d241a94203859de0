"""CSGM: compressed sensing using generative models (Bora, Jalal, Price, Dimakis, arXiv 1703.03208).

    z* = argmin_z ||y - A G(z)||^2 + l2_weight ||z||^2,    G the decoder of a trained VAE, z in R^k.

Adam on z from random starts. Each restart returns its last iterate, the restart with the lowest measurement loss wins.
G is never perfect: with many measurements the error stays at what its range lacks, where an untrained network goes on
improving.

Differs from the authors' code, which picks the restart by the objective and has pixels in [0, 1], so that its weight of
0.1 is one of 0.4 here. On MNIST digits the two weights' errors agree within one standard error.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from csdip_jax.generators import decode, decoder_sizes
from csdip_jax.methods.base import Info, Method, require_count, require_number
from csdip_jax.operators import measurement_loss
from csdip_jax.types import Array, InputError, Problem, checked_shape, pytree_dataclass, static_field


class State(NamedTuple):
    """Attributes:
    latent: z, [k], the next iterate.
    opt_state: Adam's.
    step: steps taken.
    loss: measurement loss at the last iterate evaluated.
    last_image: that iterate's image, [h, w, c] (the last one whose loss was finite).
    """

    latent: Array
    opt_state: optax.OptState
    step: Array
    loss: Array
    last_image: Array


@pytree_dataclass
class Csgm(Method):
    """Settings of CSGM; give the decoder by `dataclasses.replace(Csgm.preset("paper", image_shape), decoder=...)`.

    Attributes:
        image_shape: (h, w, c).
        decoder: parameters of G, a `generators.Decoder` that makes images of this shape.
        steps: Adam steps.
        restarts: random starts z ~ N(0, I).
        learning_rate: >= 0, of Adam.
        l2_weight: >= 0, weight of ||z||^2, in the units of ||y - A x||^2 with pixels in [-1, 1].
    """

    image_shape: tuple[int, int, int] = static_field(None)
    decoder: dict | None = dataclasses.field(default=None, repr=False)
    steps: int = static_field(1000)
    restarts: int = static_field(10)
    learning_rate: float = 0.01
    l2_weight: float = 0.1
    needs_linear_operator = False

    def __post_init__(self):
        object.__setattr__(self, "image_shape", checked_shape(self.image_shape))
        for name in ("learning_rate", "l2_weight"):
            require_number(name, getattr(self, name))
        require_count("steps", self.steps)
        require_count("restarts", self.restarts)

    def init(self, problem: Problem, key: Array) -> State:
        """As `Method.init` says.

        Raises:
            InputError: no decoder, or one that does not make images of `image_shape`.
        """
        if self.decoder is None:
            raise InputError(
                "csgm searches the range of a trained decoder and has none: run `python -m experiments.train_vae`"
            )
        dtype = jnp.finfo(problem.measurements.dtype).dtype
        latent = jax.random.normal(key, (decoder_sizes(self.decoder)[0],), dtype)
        return State(
            latent=latent,
            opt_state=self.optimizer.init(latent),
            step=jnp.zeros((), jnp.int32),
            loss=jnp.full((), jnp.inf, dtype),
            last_image=decode(self.decoder, latent, self.image_shape),
        )

    def image(self, state: State) -> Array:
        return state.last_image

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)

    def step(self, problem: Problem, state: State) -> tuple[State, Info]:
        def objective(latent):
            image = decode(self.decoder, latent, self.image_shape)
            loss = measurement_loss(*problem, image)
            return loss + self.l2_weight * jnp.sum(jnp.square(latent)), (loss, image)

        (total, (loss, image)), gradient = jax.value_and_grad(objective, has_aux=True)(state.latent)
        updates, opt_state = self.optimizer.update(gradient, state.opt_state)
        return State(
            latent=optax.apply_updates(state.latent, updates),
            opt_state=opt_state,
            step=state.step + 1,
            loss=loss,
            last_image=jnp.where(jnp.isfinite(loss), image, state.last_image),
        ), Info(loss, total)
