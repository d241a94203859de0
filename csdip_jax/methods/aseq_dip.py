"""aSeqDIP: the network's output becomes its next input, a few steps apart (Alkhouri et al., NeurIPS 2024).

    w_k = a few steps of Adam on ||y - A x||^2 + strength ||x - z_k||^2,    x = room G(z_k; w);    z_{k+1} = x

Alkhouri, Liang, Bell, Qu, Wang, Ravishankar: Image reconstruction via autoencoding sequential deep image prior. The
penalty hardly lets G fit noise, so that no stopping rule is needed.
"""

from typing import cast

import jax

from csdip_jax.checks import require_count
from csdip_jax.methods.autoencoding import Autoencoding
from csdip_jax.methods.network import State
from csdip_jax.methods.recipe import Recipe
from csdip_jax.operators import LinearOperator
from csdip_jax.types import Array, Problem, pytree_dataclass, static_field

SHIFT = 1e-3
"""Of (A^H A + shift I)^-1 where z is made to explain y: small beside 1, A^H A on what k-space has samples of."""


@pytree_dataclass
class ASeqDip(Autoencoding):
    """Autoencoding sequential DIP: an untrained network is fitted for a few steps, then given its own output as input.

    These are its settings. It takes any differentiable operator and needs no training data. A step is one of Adam.

    Differs from the paper: this library's U-Net, its learning rate and its number of steps; z = t A^H y at first, see
    `Autoencoding`; and the new z is the output that the last of the `inner` steps started from, so that no further pass
    through the network is needed.

    Attributes:
        image_shape: (h, w, c).
        steps: of Adam, `inner` of them for each z.
        strength: >= 0, weight of `||x - z||^2`; the paper has 1, and 5 for deblurring.
        inner: at least 1, steps between two z. Fewer than the U-Net needs to come near z keep in z what it puts out
            unfitted: a brain of 64 x 64 from a quarter of its k-space, 600 steps, had 12.4 dB with 5 (rate 0.001) and
            400 steps 17.1 dB with 100 (rate 0.003); its zero-filled image has 17.4 dB. The paper has 2 to 10.
        consistent: whether the new z is changed to what explains the measurements, x + (A^H A + s I)^-1 A^H (y - A x)
            with s = 0.001, as the paper does for MRI. It is for linear operators with noise that hardly matters, others
            go without; and cheap where A^H A is inverted cheaply, as for k-space.
        generator: G; by default a U-Net with an input of c channels. What its latent has to be: `Autoencoding`. Of any
            other generator z stays as drawn, and this is a plain DIP by Adam.
        learning_rate: >= 0, of Adam.

    Raises:
        InputError: a setting out of its range, or a generator of other images.

    Example:
        >>> small = cs.generators.UNet((8, 8, 1), width=8, input_depth=1)
        >>> method = cs.methods.ASeqDip((8, 8, 1), steps=20, generator=small)
        >>> operator = cs.operators.gaussian(jax.random.key(0), 40, (8, 8, 1))
        >>> problem = cs.Problem(operator, operator.forward(jnp.eye(8)[..., None]))
        >>> cs.reconstruct(method, problem, jax.random.key(1)).image.shape
        (8, 8, 1)
    """

    inner: int = static_field(100)
    consistent: bool = static_field(False)

    def __post_init__(self):
        super().__post_init__()
        require_count("inner", self.inner)

    def step(self, problem: Problem, state: State, key: Array) -> tuple[State, dict[str, Array]]:
        state, told = super().step(problem, state, key)
        if self.is_guided:
            following = jax.lax.cond(state.step % self.inner == 0, self._renewed, _kept, problem, state)
            state = state._replace(latent=following)
        return state, told

    def _renewed(self, problem: Problem, state: State) -> Array:
        """z with the last image in it."""
        image, operator = state.last_image, problem.operator
        if self.consistent and isinstance(operator, LinearOperator):
            _, back = operator.residual_and_adjoint(problem.measurements, image)
            image = image + operator.regularized_solve(back, SHIFT)
        return self.with_guide(cast(Array, state.latent), image)


def _kept(problem: Problem, state: State) -> Array:
    return cast(Array, state.latent)


ASEQ_DIP = Recipe(
    name="aseq_dip",
    label="aSeqDIP",
    colour="C9",
    method=ASeqDip,
    grid={"learning_rate": (0.001, 0.003, 0.01), "strength": (0.1, 1.0, 10.0)},
    toy={"steps": 24, "inner": 2, "learning_rate": 0.01},
)
