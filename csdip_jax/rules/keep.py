"""Which image a fit gives: its last one, the best of the last ones, or an average."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from csdip_jax.checks import require, require_at_most, require_count, require_number
from csdip_jax.rules.base import Iterate, Keep
from csdip_jax.types import Array, pytree_dataclass, static_field


@pytree_dataclass
class Last(Keep):
    """Keeps the last iterate."""

    name = "last"


class BestState(NamedTuple):
    """The best iterate so far.

    Attributes:
        image: the iterate kept, [h, w, c]; before the window opens simply the last one.
        score: what it was picked by, inf before the window opens.
        loss: its measurement loss.
    """

    image: Array
    score: Array
    loss: Array


@pytree_dataclass
class Best(Keep):
    """Keeps the best of the last iterates, judged from the measurements alone; the first of equally good ones.

    Attributes:
        window: how many of the last of all steps compete; None for all of them.
        by: the scalar that is to be small: "measurement_loss", "objective", or one of a stopping rule.
        restarts: compete by the measurement loss of the iterate "kept", or of the "last" one.

    Example:
        >>> method = cs.methods.CsDip((28, 28, 1), keep=cs.rules.Best(window=None))
    """

    window: int | None = static_field(20)
    by: str = static_field("measurement_loss")
    restarts: str = static_field("kept")
    name = "best"

    def __post_init__(self):
        if self.window is not None:
            require_count("keep.window", self.window)
        require(self.restarts in ("kept", "last"), "keep.restarts", self.restarts, "kept or last")

    def init(self, image: Array) -> BestState:
        return BestState(jnp.zeros_like(image), _infinity(image), _infinity(image))

    def update(self, state: BestState, seen: Iterate) -> BestState:
        score, loss = seen.scalars[self.by], seen.scalars["measurement_loss"]
        in_window = self.window is None or seen.step >= seen.steps - self.window
        keep = jnp.isfinite(score) & (~jnp.asarray(in_window) | (score < state.score))
        return BestState(
            image=jnp.where(keep, seen.image, state.image),
            score=jnp.where(keep & in_window, score, state.score),
            loss=jnp.where(keep, loss, state.loss),
        )

    def image(self, state: BestState, last: Array) -> Array:
        return state.image if self.window is not None else jnp.where(jnp.isfinite(state.score), state.image, last)

    def score(self, state: BestState, last: Array) -> Array:
        return last if self.restarts == "last" else state.loss


class AverageState(NamedTuple):
    """A weighted sum of iterates.

    Attributes:
        image: the weighted sum of the iterates, [h, w, c].
        weight: the sum of the weights.
        squares: the weighted sum of their squared departures from their mean, [h, w, c].
    """

    image: Array
    weight: Array
    squares: Array

    def with_one_more(self, image: Array, decay: Array | float) -> "AverageState":
        """After one more iterate, the weights of the others multiplied by the decay."""
        total, weight = decay * self.image + image, decay * self.weight + 1
        squares = decay * self.squares + (image - self.mean) * (image - total / weight)
        return AverageState(total, weight, squares)

    @property
    def mean(self) -> Array:
        """Of the iterates, [h, w, c]; 0 of none."""
        return self.image / jnp.maximum(self.weight, 1)

    @property
    def spread(self) -> Array:
        """Their standard deviation, [h, w, c]; NaN of fewer than two."""
        return jnp.where(self.weight > 1, jnp.sqrt(jnp.maximum(self.squares, 0) / jnp.maximum(self.weight, 1)), jnp.nan)


@pytree_dataclass
class Average(Keep):
    """Keeps the exponential average of the iterates: the one of k steps ago has the weight decay^k.

    How much they differ, with the same weights, is told in `Solution.aux`, "standard_deviation", [h, w, c]: no error
    bar, as for `Tail`.

    Attributes:
        decay: in [0, 1); 0.99 averages over about the last hundred.

    Example:
        >>> method = cs.methods.CsDip((28, 28, 1), keep=cs.rules.Average(0.99))

    References:
        Wang et al., Early stopping for deep image prior, TMLR 2023 (section 3, on averaging the iterates).
    """

    decay: float = 0.99
    name = "average"

    def __post_init__(self):
        require_number("keep.decay", self.decay)
        require_at_most("keep.decay", self.decay, 1, strictly=True)

    def init(self, image: Array) -> AverageState:
        return _nothing(image)

    def update(self, state: AverageState, seen: Iterate) -> AverageState:
        return state.with_one_more(seen.image, self.decay)

    def image(self, state: AverageState, last: Array) -> Array:
        return jnp.where(state.weight > 0, state.mean, last)

    def aux(self, state: AverageState) -> dict[str, Array]:
        return {"standard_deviation": state.spread}


class BestAverageState(NamedTuple):
    """The average of the iterates so far, and the best of all that there were.

    Attributes:
        average: of `Average`.
        best: of `Average`, where the score was lowest.
        score: what it was picked by, inf before the first.
        loss: the measurement loss of the iterate of that step.
    """

    average: AverageState
    best: AverageState
    score: Array
    loss: Array


@pytree_dataclass
class BestAverage(Keep):
    """Keeps the exponential average of the iterates as it was where a scalar was lowest, and its spread as `Average`.

    Attributes:
        decay: in [0, 1); 0.99 averages over about the last hundred.
        by: the scalar that is to be small: "measurement_loss", "held_out_loss", or one of a stopping rule.

    Example:
        >>> keep = cs.rules.BestAverage(0.99, by="held_out_score")
        >>> method = cs.methods.CsDip((28, 28, 1), stop=cs.rules.HeldOut(0.05), keep=keep)  # as it is without `keep`
    """

    decay: float = 0.99
    by: str = static_field("measurement_loss")
    name = "best_average"

    def __post_init__(self):
        Average(self.decay)  # which refuses what is out of range

    def init(self, image: Array) -> BestAverageState:
        return BestAverageState(_nothing(image), _nothing(image), _infinity(image), _infinity(image))

    def update(self, state: BestAverageState, seen: Iterate) -> BestAverageState:
        average = state.average.with_one_more(seen.image, self.decay)
        score, loss = seen.scalars[self.by], seen.scalars["measurement_loss"]
        best = jax.tree.map(
            partial(jnp.where, score < state.score), (average, score, loss), (state.best, state.score, state.loss)
        )
        return BestAverageState(average, *best)

    def image(self, state: BestAverageState, last: Array) -> Array:
        return jnp.where(state.best.weight > 0, state.best.mean, last)

    def score(self, state: BestAverageState, last: Array) -> Array:
        return state.loss

    def aux(self, state: BestAverageState) -> dict[str, Array]:
        return {"standard_deviation": state.best.spread}


class TailState(NamedTuple):
    """Mean and spread of the last iterates.

    Attributes:
        count: iterates so far.
        mean: theirs, [h, w, c].
        squares: the sum of their squared departures from it, [h, w, c].
    """

    count: Array
    mean: Array
    squares: Array


@pytree_dataclass
class Tail(Keep):
    """Keeps the mean of the last iterates, and tells how much they differ, in `Solution.aux`.

    The name there is "standard_deviation", [h, w, c].

    The spread is that of the iterates. It shows where a fit has not settled, and is no error bar.

    Attributes:
        share: in (0, 1], of all steps, the last ones. A fit that ends before them gives its last iterate, and NaN.

    Example:
        >>> method = cs.methods.CsDip((28, 28, 1), keep=cs.rules.Tail(share=0.1))
    """

    share: float = 0.2
    name = "tail"

    def __post_init__(self):
        require_number("keep.share", self.share, strictly=True)
        require_at_most("keep.share", self.share, 1)

    def init(self, image: Array) -> TailState:
        return TailState(jnp.zeros((), image.dtype), jnp.zeros_like(image), jnp.zeros_like(image))

    def update(self, state: TailState, seen: Iterate) -> TailState:
        """Mean and spread after one more step, as Welford has it, so that nothing cancels."""
        counts = seen.step >= jnp.floor((1 - self.share) * seen.steps)
        count = state.count + counts
        departure = jnp.where(counts, seen.image - state.mean, 0)
        mean = state.mean + departure / jnp.maximum(count, 1)
        return TailState(count, mean, state.squares + departure * jnp.where(counts, seen.image - mean, 0))

    def image(self, state: TailState, last: Array) -> Array:
        return jnp.where(state.count > 0, state.mean, last)

    def aux(self, state: TailState) -> dict[str, Array]:
        spread = jnp.sqrt(state.squares / jnp.maximum(state.count - 1, 1))
        return {"standard_deviation": jnp.where(state.count > 1, spread, jnp.nan)}


def _nothing(like: Array) -> AverageState:
    return AverageState(jnp.zeros_like(like), jnp.zeros((), like.dtype), jnp.zeros_like(like))


def _infinity(like: Array) -> Array:
    # An array each: a state is donated, and one buffer cannot be given away twice.
    return jnp.full((), jnp.inf, like.dtype)
