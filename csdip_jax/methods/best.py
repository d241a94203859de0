"""Best: several methods are fitted, and measurements that none of them was given weigh their images.

    x = sum_k w_k x_k,    w = argmin ||sum_k w_k (y_h - A_h x_k)||^2,    w_k >= 0,    sum_k w_k = 1

No method is best on every image, and which one is shows in the held out measurements y_h (Ward 2009). A mean of images
whose errors differ is better than each; it is stacking, as statistics has it. `solve/candidates.py` does the fits.

References:
    Ward: Compressed sensing with cross validation, IEEE Trans. Inf. Theory 55(12), 2009.
    Breiman: Stacked regressions, Machine Learning 24, 1996.
"""

import dataclasses

from csdip_jax.checks import require, require_number
from csdip_jax.methods.base import Method
from csdip_jax.methods.recipe import Recipe
from csdip_jax.types import InputError, pytree_dataclass, static_field


@pytree_dataclass
class Best(Method):
    """The best image that the methods at hand make together, with its error, and their weights in it.

    It is no iteration of its own: `reconstruct` fits each candidate to all but a share of the measurements, weighs
    them by these, goes on with the winners on all measurements, and gives the weighted image. `Solution.aux` has
    "weights" (name of a candidate -> its weight), "held_out_error", "standard_deviation", and, where rows of A are
    random, "estimated_mse" with its interval. The trace is that of the candidate with the largest weight.

    Attributes:
        image_shape: (h, w, c).
        steps: of the longest fit of a network; the others have their share of it. It is the budget where a run has to
            repeat bit for bit.
        seconds: that all fits may take; None for no limit. What is cut short depends on the machine, and so does the
            image.
        candidates: names, as `candidates` gives them; () for all that the operator and the packages at hand allow.

    Example:
        >>> method = cs.methods.Best((8, 8, 1), steps=20, candidates=("tv", "csdip"))
        >>> operator = cs.operators.gaussian(jax.random.key(0), 40, (8, 8, 1))
        >>> problem = cs.Problem(operator, operator.forward(jnp.eye(8)[..., None]))
        >>> solution = cs.reconstruct(method, problem, jax.random.key(1))
        >>> sorted(solution.aux["weights"])
        ['csdip', 'tv']
    """

    steps: int = static_field(1500)
    seconds: float | None = static_field(None)
    candidates: tuple[str, ...] = static_field(())
    needs_linear_operator = False
    remedy = "look at A and y: none of several methods could be fitted"

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "candidates", tuple(self.candidates))
        if self.seconds is not None:
            require_number("seconds", self.seconds, strictly=True)
        known = candidates(self.image_shape)
        for name in self.candidates:
            require(name in known, "candidates", name, f"of {', '.join(known)}")

    def chosen(self) -> dict[str, Method]:
        """Name -> method of each candidate, with its share of the steps."""
        known = candidates(self.image_shape)
        chosen = {name: known[name] for name in self.candidates} or known
        longest = Best.steps
        return {name: _shortened(method, self.steps / longest) for name, method in chosen.items()}


def candidates(image_shape: tuple[int, int, int]) -> dict[str, Method]:
    """Name -> method, in the order in which they are fitted, of what its recipe offers for `Best` and is installed.

    Args:
        image_shape: (h, w, c).

    Example:
        >>> [name for name in cs.methods.candidates((128, 128, 3)) if name != "bm3d_amp"]
        ['csdip_room', 'dip', 'tv']
    """
    from csdip_jax.methods import METHODS  # of which this is one

    found = {}
    for recipe in METHODS.values():
        for name, changes in recipe.candidates(image_shape).items():
            if recipe.installed:
                try:
                    method = recipe.preset("paper", image_shape)
                except InputError:  # a shape that it cannot take
                    continue
                found[name] = dataclasses.replace(method, **changes)
    return found


def _shortened(method: Method, share: float) -> Method:
    """A network's fit with a share of its steps; others stop by themselves."""
    return method if method.has_tolerance else dataclasses.replace(method, steps=max(1, round(share * method.steps)))


BEST = Recipe(name="best", label="best", colour="k", method=Best, toy={"steps": 60})
"""What `--config.methods=best` asks for."""
