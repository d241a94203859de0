"""When a fit ends before its last step."""

from typing import NamedTuple

import jax.numpy as jnp

from csdip_jax.checks import require_count, require_number
from csdip_jax.rules.base import Iterate, Stop
from csdip_jax.rules.keep import Best
from csdip_jax.types import Array, pytree_dataclass, static_field


class PlateauState(NamedTuple):
    """How long a loss has not fallen.

    Attributes:
        lowest: the lowest loss that counted as progress.
        since: steps since then.
    """

    lowest: Array
    since: Array


@pytree_dataclass
class Plateau(Stop):
    """Ends a fit whose measurement loss no longer falls; of the iterates the one with the lowest loss is kept.

    It says that the fit has settled, not that the image is good: fitted to noise, a loss settles too.

    Attributes:
        tolerance: >= 0, the share by which the loss has to fall to count as progress.
        patience: steps without any.

    Example:
        >>> method = cs.methods.CsDip((28, 28, 1), steps=5000, stop=cs.rules.Plateau(patience=200))
    """

    tolerance: float = 1e-3
    patience: int = static_field(100)
    name = "plateau"
    keep = Best(window=None)

    def __post_init__(self):
        require_number("stop.tolerance", self.tolerance)
        require_count("stop.patience", self.patience)

    def init(self, image: Array) -> PlateauState:
        return PlateauState(jnp.full((), jnp.inf, image.dtype), jnp.zeros((), jnp.int32))

    def update(self, state: PlateauState, seen: Iterate) -> tuple[PlateauState, Array, dict]:
        loss = seen.scalars["measurement_loss"]
        better = loss < (1 - self.tolerance) * state.lowest
        since = jnp.where(better, 0, state.since + 1)
        return PlateauState(jnp.where(better, loss, state.lowest), since), since >= self.patience, {}


@pytree_dataclass
class Discrepancy(Stop):
    """Ends a fit that has come to the noise, where its variance is known: `||y - A x||^2 <= tau noise_variance`.

    Of measurements that are held out no fit knows: the loss of the others counts for so many more.

    Attributes:
        noise_variance: >= 0, the variance of the whole noise vector in the units of y, as `operators.measure` takes it:
            m sigma^2 of m measurements with noise of standard deviation sigma each. At 0 it never ends.
        tau: >= 0, times the noise at which it ends.

    Example:
        >>> method = cs.methods.CsDip((28, 28, 1), stop=cs.rules.Discrepancy(noise_variance=4.0))

    References:
        Morozov, On the solution of functional equations by the method of regularization, Soviet Math. Dokl. 7, 1966.
    """

    noise_variance: float = 0.0
    tau: float = 1.0
    name = "discrepancy"

    def __post_init__(self):
        require_number("stop.noise_variance", self.noise_variance)
        require_number("stop.tau", self.tau)

    def update(self, state: tuple, seen: Iterate) -> tuple[tuple, Array, dict]:
        loss = seen.scalars["measurement_loss"] * seen.unit
        return state, loss <= jnp.where(self.noise_variance > 0, self.tau * self.noise_variance, -1.0), {}
