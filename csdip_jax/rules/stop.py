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
