"""A method and a stopping rule of a few lines, which compile at once: for tests of what is done around any method."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from csdip_jax.methods import METHODS, Best, Method
from csdip_jax.operators import squared_norm
from csdip_jax.rules import Stop
from csdip_jax.types import Array, pytree_dataclass, static_field

ITERATED = {name: recipe for name, recipe in METHODS.items() if recipe.method is not Best}
"""The methods that are iterations of their own, and not made of others."""


class State(NamedTuple):
    pixels: Array
    step: Array
    loss: Array


@pytree_dataclass
class Landweber(Method):
    """x + rate A^T (y - A x), from noise; each step tells one draw of its key."""

    rate: float = 0.1
    tolerance: float = 0.0
    scalars = ("measurement_loss", "objective", "draw")
    has_tolerance = True

    def init(self, problem, key):
        pixels = 0.1 * jax.random.normal(key, self.image_shape, problem.measurements.dtype)
        return State(pixels, jnp.zeros((), jnp.int32), jnp.full((), jnp.inf, pixels.dtype))

    def step(self, problem, state, key):
        operator, y = problem
        pixels = state.pixels + self.rate * operator.adjoint(y - operator.forward(state.pixels))
        loss = squared_norm(y - operator.forward(pixels))
        scalars = {"measurement_loss": loss, "objective": loss / 2, "draw": jax.random.uniform(key)}
        return State(pixels, state.step + 1, loss), scalars

    def image(self, state):
        return jnp.clip(state.pixels, -1, 1)

    def converged(self, state):
        return state.loss <= self.tolerance


@pytree_dataclass
class After(Stop):
    """Ends a fit after so many steps, and tells how many are left."""

    count: int = static_field(5)
    scalars = ("left",)

    def update(self, state, seen):
        left = self.count - 1 - seen.step
        return state, left <= 0, {"left": left}
