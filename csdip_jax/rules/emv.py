"""Early stopping by the moving variance of the iterates: when they have settled, before they take up the noise.

    m_t = (1 - a) m_{t-1} + a x_t,    v_t = (1 - a) (v_{t-1} + a ||x_t - m_{t-1}||^2)

Wang, Li, Zhuang, Chen, Liang, Sun: Early stopping for deep image prior, TMLR 2023 (arXiv 2112.06074), ES-EMV.
"""

from typing import NamedTuple

import jax.numpy as jnp

from csdip_jax.checks import require_at_most, require_count, require_number
from csdip_jax.rules.base import Iterate, Stop
from csdip_jax.rules.keep import BestAverage
from csdip_jax.types import Array, pytree_dataclass, static_field


class State(NamedTuple):
    """What is remembered of the iterates.

    Attributes:
        mean: m, [h, w, c].
        variance: v, over the number of pixels.
        lowest: the lowest v so far.
        since: steps since then.
    """

    mean: Array
    variance: Array
    lowest: Array
    since: Array


@pytree_dataclass
class Emv(Stop):
    """Ends a fit when its moving variance has not fallen for some time; the average there is kept.

    It rests on what the authors observed of noisy measurements: iterates move much while they find the image, little
    once they have it, and more again as they take up the noise. Without noise nothing rises, and all steps are taken.

    Differs from the authors' code, which starts from a mean of 0: here from the first iterate, and the variance counts
    from 2 / `forgetting` steps on, when that start is forgotten. And they keep the iterate: the exponential average
    there is closer to the best iterate (docs: When a fit stops).

    Its scalar "variance" is v, inf before it counts.

    Attributes:
        forgetting: a, in (0, 1], the weight of the newest iterate.
        patience: steps without a lower variance.

    Example:
        >>> method = cs.methods.CsDip((28, 28, 1), steps=5000, stop=cs.rules.Emv(patience=300))
    """

    forgetting: float = 0.1
    patience: int = static_field(200)
    name = "emv"
    scalars = ("variance",)
    keep = BestAverage(by="variance")

    def __post_init__(self):
        require_number("stop.forgetting", self.forgetting, strictly=True)
        require_at_most("stop.forgetting", self.forgetting, 1)
        require_count("stop.patience", self.patience)

    def init(self, image: Array) -> State:
        zero = jnp.zeros((), image.dtype)
        return State(jnp.zeros_like(image), zero, jnp.full((), jnp.inf, image.dtype), jnp.zeros((), jnp.int32))

    def update(self, state: State, seen: Iterate) -> tuple[State, Array, dict[str, Array]]:
        mean = jnp.where(seen.step == 0, seen.image, state.mean)
        departure = seen.image - mean
        variance = (1 - self.forgetting) * (state.variance + self.forgetting * jnp.mean(jnp.square(departure)))
        counted = jnp.where(seen.step >= 2 / self.forgetting, variance, jnp.inf)
        since = jnp.where((counted < state.lowest) | jnp.isinf(counted), 0, state.since + 1)
        state = State(mean + self.forgetting * departure, variance, jnp.minimum(counted, state.lowest), since)
        return state, since >= self.patience, {"variance": counted}
