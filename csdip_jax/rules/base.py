"""What a rule is: it watches the iterates of any method and decides which to keep, when to stop, and what has failed.

A rule is a frozen dataclass of settings with pure functions, like a method: numbers are data and may be swept, counts
and names are part of the program. What it remembers is a pytree of arrays that the driver carries in its loop and in
its checkpoints. It sees one fit, and of it the iterates and what was measured: never a true image.
"""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp

from csdip_jax.types import Array, Problem


class Iterate(NamedTuple):
    """What a rule sees of a step.

    Attributes:
        step: its number, from 0.
        steps: the most that the method takes.
        image: the iterate, [h, w, c] in [-1, 1].
        scalars: name -> number, as the method's step tells them: "measurement_loss" and "objective" always. For a
            network they are those of `image`; another method says of which iterate in its docstring.
    """

    step: Array
    steps: int
    image: Array
    scalars: dict[str, Array]

    @property
    def is_last(self) -> Array:
        """Whether no step follows, unless the fit ends before."""
        return self.step + 1 >= self.steps


class Rule:
    """What the three kinds of rules share.

    Attributes:
        name: that it is asked for by; "" for one that is no choice by itself.
    """

    name: ClassVar[str] = ""


class Keep(Rule):
    """Which image a fit gives.

    Attributes:
        by: the scalar that it goes by, one of those that the method or its stopping rule tells.
    """

    by: str = "measurement_loss"

    def init(self, image: Array) -> Any:
        """What it remembers at first; an iterate, [h, w, c], tells shape and type."""
        return ()

    def update(self, state: Any, seen: Iterate) -> Any:
        """What it remembers after one more step."""
        return state

    def image(self, state: Any, last: Array) -> Array:
        """The image if the fit ended now, [h, w, c]; `last` is its last iterate."""
        return last

    def score(self, state: Any, last: Array) -> Array:
        """What decides between restarts, the lower the better; `last` is the last measurement loss."""
        return last

    def aux(self, state: Any) -> dict[str, Array]:
        """What else `Solution.aux` tells of the image; what has its shape is a difference of pixels."""
        return {}


class Stop(Rule):
    """When a fit ends before its last step.

    Attributes:
        scalars: names of what `update` tells.
        keep: which image such a fit gives where the method is told none.
    """

    scalars: ClassVar[tuple[str, ...]] = ()
    keep: ClassVar[Keep] = Keep()

    def init(self, image: Array) -> Any:
        """As `Keep.init`."""
        return ()

    def update(self, state: Any, seen: Iterate) -> tuple[Any, Array, dict[str, Array]]:
        """What it remembers after one more step, whether the fit ends, and its scalars, which are traced."""
        return state, jnp.zeros((), bool), {}


class Fail(Rule):
    """When an attempt is given up and drawn anew, judged from the measurements alone."""

    def failed(self, problem: Problem, seen: Iterate) -> Array:
        """Whether this attempt is lost; `seen.image` is the image kept. Losses not finite are the driver's business."""
        return jnp.zeros((), bool)
