"""What every method is: a frozen dataclass of settings with pure functions init, step and image.

A method acts on ONE image and knows nothing of batches, jit or files; `csdip_jax.solve` adds these. Its settings are
pytree leaves where they may be swept or differentiated (weights, rates) and static where they change the program
(shapes, counts). States are NamedTuples of arrays: what the next step needs, nothing else.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Self

import jax.numpy as jnp
import numpy as np

from csdip_jax.types import Array, InputError, Problem

PRESETS = ("paper", "reference")


class Info(NamedTuple):
    """What people look at, per step.

    Attributes:
        measurement_loss: ||y - A x||^2 at an iterate of this step: the one it started from, or a later one if at hand.
        objective: what is minimised, there.
    """

    measurement_loss: Array
    objective: Array


class Method:
    """The contract: `init`, `step` and `image` are the method's own, the rest has defaults.

    The defaults read two fields of the state, which every state has: `step`, the steps taken, and `loss`, the
    measurement loss at the last iterate evaluated.

    Attributes:
        image_shape: (h, w, c) of the images it makes.
        steps: the most steps it takes.
        restarts: how many random starts it is meant to be given.
        fills_the_cache: whether one fit alone keeps a CPU busy; if not, fits of one image are advanced together there.
        needs_linear_operator: whether it can do with an adjoint only, not with any differentiable function.
        remedy: what a user may try where it failed or did not converge.
    """

    image_shape: tuple[int, int, int]
    steps: int
    restarts: ClassVar[int] = 1
    fills_the_cache: ClassVar[bool] = False
    needs_linear_operator: ClassVar[bool] = True
    remedy: ClassVar[str] = "allow it more steps"

    @classmethod
    def preset(cls, name: str, image_shape: tuple[int, int, int]) -> Self:
        """The settings of the "paper", or of its "reference" code where the two differ (docs/method.md).

        Args:
            name: "paper" or "reference".
            image_shape: (h, w, c).

        Raises:
            InputError: unknown name.
        """
        if name not in PRESETS:
            raise InputError(f"unknown preset {name!r}: choose {' or '.join(PRESETS)}")
        return cls(image_shape)

    @classmethod
    def sweepable(cls) -> list[str]:
        """Names of the settings that are numbers and data: an array of values is a sweep (see `reconstruct`)."""
        fields = dataclasses.fields(cls)
        return [field.name for field in fields if isinstance(field.default, float) and not field.metadata.get("static")]

    def require_data(self) -> None:
        """Raises InputError for data that cannot be used; called outside of jit, for it looks at the numbers."""

    def init(self, problem: Problem, key: Array) -> Any:
        """The state to start from; all randomness comes from `key`."""
        raise NotImplementedError

    def step(self, problem: Problem, state: Any) -> tuple[Any, Info]:
        """One step further."""
        raise NotImplementedError

    def image(self, state: Any) -> Array:
        """The reconstruction if one stopped now, [h, w, c] in [-1, 1]."""
        raise NotImplementedError

    def converged(self, state: Any) -> Array:
        """Whether the method's stopping rule is met; by default, whether it took all its steps."""
        return state.step >= self.steps

    def done(self, state: Any) -> Array:
        """Whether no further step is to be taken."""
        return (state.step >= self.steps) | self.converged(state)

    def failed(self, problem: Problem, state: Any) -> Array:
        """Whether this attempt should be given up and drawn anew, judged from the measurements alone."""
        return ~jnp.isfinite(state.loss) & (state.step > 0)

    def params(self, state: Any) -> Any:
        """The weights that the fit stands at, a pytree; None for a method that fits none."""
        return None

    def score(self, state: Any) -> Array:
        """What decides between restarts, the lower the better; inf or NaN is never chosen."""
        return state.loss


def require(condition: bool, name: str, value: Any, allowed: str) -> None:
    """Raises InputError unless the setting is as allowed."""
    if not condition:
        raise InputError(f"{name} = {value!r}: it must be {allowed}")


def require_number(name: str, value: Any, lowest: float = 0.0, strictly: bool = False) -> None:
    """Raises InputError for a number below `lowest` (or at it, if strictly), infinite or NaN, and for text.

    Arrays pass: they may be swept, which `reconstruct` checks, or traced.
    """
    if isinstance(value, (int, float, np.generic, str)):
        fine = not isinstance(value, str) and (lowest < value < float("inf") or (value == lowest and not strictly))
        require(fine, name, value, f"a number {'above' if strictly else 'of at least'} {lowest:g}")


def require_distinct(name: str, values: Sequence) -> None:
    """Raises InputError where a value comes twice."""
    require(len(set(values)) == len(values), name, tuple(values), "without repetitions")


def require_count(name: str, value: Any) -> None:
    """Raises InputError unless the setting is a whole number of at least 1."""
    require(isinstance(value, int) and value >= 1, name, value, "a whole number of at least 1")
