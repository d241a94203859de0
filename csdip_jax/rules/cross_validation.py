"""Early stopping by measurements that are held out of the fit, which explains them worse once it fits noise.

    score(t) = mean |y_h - A_h m_t|^2 + c mean |y_f - A_f x|^2,    m_t the average of the iterates x, h held out, f not

Ward: Compressed sensing with cross validation, IEEE Trans. Inf. Theory 55(12), 2009 (arXiv 0803.1845).
"""

from typing import NamedTuple

import jax.numpy as jnp

from csdip_jax.checks import require_at_most, require_count, require_number
from csdip_jax.rules.base import Iterate, Keep, Stop
from csdip_jax.rules.keep import BestAverage
from csdip_jax.types import Array, pytree_dataclass, static_field


class State(NamedTuple):
    """What is remembered of the held out residuals.

    Attributes:
        residual: their exponential average times `weight`, [h].
        fitted: the exponential average of the other measurements' mean square, times `weight`.
        weight: the sum of its weights.
        lowest: the lowest score so far.
        since: steps since then.
    """

    residual: Array
    fitted: Array
    weight: Array
    lowest: Array
    since: Array


@pytree_dataclass
class HeldOut(Stop):
    """Ends a fit when the average of its iterates no longer explains held out measurements better; the best is kept.

    A share of the measurements, drawn at random, is given to no fit: `reconstruct` says what they tell of the image
    besides. What is judged and kept is the exponential average of the iterates, whose residuals are the average of
    theirs where A is linear, and nearly so else.

    Its scalar "average_held_out_loss" is the mean square of what that average leaves of them. What decides is its
    scalar "held_out_score": that, and c times the mean square of what the iterates leave of the measurements that they
    are fitted to, averaged in the same way. Where measurements tell little of each other, as samples of k-space do,
    those that are held out are explained best by a smooth image of the first steps, and get worse while the image,
    fitted to the others, gets better. A fit to noise lowers the second part, so c is small.

    Attributes:
        share: in (0, 1), of the measurements; at least 5 of them are needed.
        decay: in [0, 1), of the average: the iterate of k steps ago has the weight decay^k.
        patience: steps without a lower score.
        fitted: c >= 0; 0 for the held out measurements alone. At 1, blurred images are fitted to their noise (docs:
            When a fit stops).

    Example:
        >>> method = cs.methods.CsDip((28, 28, 1), steps=5000, stop=cs.rules.HeldOut(0.05, patience=300))
    """

    share: float = static_field(0.05)
    decay: float = 0.99
    patience: int = static_field(300)
    fitted: float = 0.25
    name = "held_out"
    scalars = ("average_held_out_loss", "held_out_score")

    def __post_init__(self):
        require_number("stop.share", self.share, strictly=True)
        require_at_most("stop.share", self.share, 1, strictly=True)
        require_number("stop.decay", self.decay)
        require_at_most("stop.decay", self.decay, 1, strictly=True)
        require_count("stop.patience", self.patience)
        require_number("stop.fitted", self.fitted)

    @property
    def holds_out(self) -> float:
        return self.share

    def usual_keep(self) -> Keep:
        return BestAverage(self.decay, by="held_out_score")

    def start(self, image: Array, held_out: Array) -> State:
        zero, infinity = (jnp.full((), value, image.dtype) for value in (0.0, jnp.inf))
        return State(jnp.zeros_like(held_out), zero, jnp.zeros_like(zero), infinity, jnp.zeros((), jnp.int32))

    def update(self, state: State, seen: Iterate) -> tuple[State, Array, dict[str, Array]]:
        assert seen.held_out is not None  # as `holds_out` asks
        residual, weight = self.decay * state.residual + seen.held_out, self.decay * state.weight + 1
        fitted = self.decay * state.fitted + seen.scalars["measurement_loss"] / seen.fitted
        loss = jnp.mean(jnp.square(jnp.abs(residual / weight)))
        score = loss + self.fitted * fitted / weight
        since = jnp.where(score < state.lowest, 0, state.since + 1)
        state = State(residual, fitted, weight, jnp.minimum(score, state.lowest), since)
        return state, since >= self.patience, {"average_held_out_loss": loss, "held_out_score": score}
