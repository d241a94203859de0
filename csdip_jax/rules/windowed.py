"""Early stopping by the variance of the last iterates, kept in a buffer: where it is lowest, a fit has settled.

    VAR(t) = 1/W sum_{w < W} ||x_{t-w} - mean||^2 / n,    mean that of the same W iterates

Wang, Li, Zhuang, Chen, Liang, Sun: Early stopping for deep image prior, TMLR 2023 (arXiv 2112.06074), ES-WMV.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from csdip_jax.checks import require_count
from csdip_jax.rules.base import Iterate, Stop
from csdip_jax.rules.keep import BestAverage
from csdip_jax.types import Array, pytree_dataclass, static_field


class State(NamedTuple):
    """What is remembered of the iterates.

    Attributes:
        buffer: the last of them, [window, h, w, c]; the newest replaces the oldest.
        mean: theirs, [h, w, c].
        squares: the sum of their squared departures from it.
        lowest: the lowest variance so far.
        since: steps since then.
    """

    buffer: Array
    mean: Array
    squares: Array
    lowest: Array
    since: Array


@pytree_dataclass
class Wmv(Stop):
    """Ends a fit when the variance of its last iterates has not fallen for some time; the average there is kept.

    As `Emv`, with a window instead of an exponential average: it takes the memory of so many images.

    Differs from the authors' code, which waits for 1000 steps, as many as a fit takes here, and keeps the iterate: the
    exponential average there is closer to the best iterate (docs: When a fit stops).

    Its scalar "variance" is VAR, inf until the window is full.

    Attributes:
        window: W, how many iterates.
        patience: steps without a lower variance.

    Example:
        >>> method = cs.methods.CsDip((28, 28, 1), steps=5000, stop=cs.rules.Wmv(window=100, patience=500))
    """

    window: int = static_field(100)
    patience: int = static_field(200)
    name = "wmv"
    scalars = ("variance",)
    keep = BestAverage(by="variance")

    def __post_init__(self):
        require_count("stop.window", self.window)
        require_count("stop.patience", self.patience)

    def init(self, image: Array) -> State:
        zero = jnp.zeros((), image.dtype)
        buffer = jnp.zeros((self.window, *image.shape), image.dtype)
        return State(buffer, jnp.zeros_like(image), zero, jnp.full((), jnp.inf, image.dtype), jnp.zeros((), jnp.int32))

    def update(self, state: State, seen: Iterate) -> tuple[State, Array, dict[str, Array]]:
        place, full = seen.step % self.window, seen.step >= self.window
        oldest = jax.lax.dynamic_index_in_dim(state.buffer, place, keepdims=False)
        # As Welford has it, so that nothing cancels: an iterate is added, or takes the place of the oldest.
        count = jnp.minimum(seen.step + 1, self.window).astype(oldest.dtype)
        change = seen.image - jnp.where(full, oldest, state.mean)
        mean = state.mean + change / count
        squares = state.squares + jnp.sum(change * (seen.image - mean + jnp.where(full, oldest - state.mean, 0)))
        variance = jnp.maximum(squares, 0) / (self.window * seen.image.size)
        counted = jnp.where(seen.step + 1 >= self.window, variance, jnp.inf)
        since = jnp.where((counted < state.lowest) | jnp.isinf(counted), 0, state.since + 1)
        buffer = jax.lax.dynamic_update_index_in_dim(state.buffer, seen.image, place, 0)
        state = State(buffer, mean, squares, jnp.minimum(counted, state.lowest), since)
        return state, since >= self.patience, {"variance": counted}
