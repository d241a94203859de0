"""When an attempt is given up and drawn anew."""

import jax.numpy as jnp

from csdip_jax.checks import require_number
from csdip_jax.operators import squared_norm
from csdip_jax.rules.base import Fail, Iterate
from csdip_jax.types import Array, Problem, pytree_dataclass


@pytree_dataclass
class Collapsed(Fail):
    """Gives up a network that puts out constants.

    Its last layer is so saturated that no gradient comes through, and it never recovers. So a tenth of the steps shows
    it, or the end at the latest: the image is flat (standard deviation of every channel below 0.01) or at the ends
    alone (every `|pixel|` above 0.999), and the relative residual `||y - A x||^2 / ||y||^2` is above `residual`.
    Healthy fits have left that far behind by then (measured on digits, x-rays and retinas: deviation above 0.2). An
    image that truly is flat, or truly black and white, has no residual; only one whose own contrast is below 0.01 can
    be mistaken for a collapse.

    Attributes:
        residual: >= 0, the relative residual above which a flat image is a collapse.
    """

    residual: float = 0.05
    name = "collapsed"

    def __post_init__(self):
        require_number("fail.residual", self.residual)

    def failed(self, problem: Problem, seen: Iterate) -> Array:
        taken = seen.step + 1
        checked = (taken == max(1, seen.steps // 10)) | (taken == seen.steps)
        flat = jnp.std(seen.image, axis=(0, 1)).max() < 0.01
        saturated = jnp.abs(seen.image).min() > 0.999
        energy = squared_norm(problem.measurements)
        unexplained = (seen.scalars["measurement_loss"] > self.residual * energy) & (energy > 0)
        return checked & (flat | saturated) & unexplained
