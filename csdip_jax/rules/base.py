"""What a rule is: it watches the iterates of any method and decides which to keep, when to stop, and what has failed.

A rule is a frozen dataclass of settings with pure functions, like a method: numbers are data and may be swept, counts
and names are part of the program. What it remembers is a pytree of arrays that the driver carries in its loop and in
its checkpoints. It sees one fit, and of it the iterates and what was measured: never a true image.
"""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp

from csdip_jax.types import Array, Problem

HELD_OUT_LOSS = "held_out_loss"
"""The scalar that a fit has where measurements are held out of it."""


class Iterate(NamedTuple):
    """What a rule sees of a step.

    Attributes:
        step: its number, from 0.
        steps: the most that the method takes.
        image: the iterate, [h, w, c] in [-1, 1].
        scalars: name -> number, as the method's step tells them: "measurement_loss" and "objective" always. For a
            network they are those of `image`; another method says of which iterate in its docstring. Where measurements
            are held out, "held_out_loss" too, the mean square of what `image` leaves of them.
        held_out: what it leaves of each, [h], in the methods' units; None where none are held out.
        unit: what a measurement loss is multiplied by to be that of all measurements in the user's units.
        fitted: how many measurements the measurement loss sums over.
    """

    step: Array
    steps: int
    image: Array
    scalars: dict[str, Array]
    held_out: Array | None = None
    unit: Array | float = 1.0
    fitted: int = 1

    @property
    def is_last(self) -> Array:
        """Whether no step follows, unless the fit ends before."""
        return self.step + 1 >= self.steps


class Rule:
    """What the three kinds of rules, `Keep`, `Stop` and `Fail`, share.

    Attributes:
        name: that it is asked for by; "" for one that is no choice by itself.
    """

    name: ClassVar[str] = ""


class Keep(Rule):
    """Which image a fit gives; one of your own is a `pytree_dataclass` derived from this class.

    Attributes:
        by: the scalar that it goes by, one of those that the method or its stopping rule tells, or "held_out_loss".

    Example:
        >>> @cs.pytree_dataclass
        ... class Halfway(cs.rules.Keep):
        ...     def init(self, image):
        ...         return jnp.zeros_like(image)
        ...
        ...     def update(self, state, seen):
        ...         return jnp.where(2 * seen.step <= seen.steps, seen.image, state)
        ...
        ...     def image(self, state, last):
        ...         return state
        >>> method = cs.methods.Tv((28, 28, 1), keep=Halfway())
    """

    by: str = "measurement_loss"

    def init(self, image: Array) -> Any:
        """What it remembers at first, a pytree of arrays, for iterates of the shape and type of `image`."""
        return ()

    def update(self, state: Any, seen: Iterate) -> Any:
        """What it remembers after one more step.

        Args:
            state: what it remembered before.
            seen: the step, an `Iterate`.
        """
        return state

    def image(self, state: Any, last: Array) -> Array:
        """The image if the fit ended now.

        Args:
            state: what it remembers.
            last: the last iterate, [h, w, c].

        Returns:
            [h, w, c].
        """
        return last

    def score(self, state: Any, last: Array) -> Array:
        """What decides between restarts, the lower the better.

        Args:
            state: what it remembers.
            last: the last measurement loss.
        """
        return last

    def aux(self, state: Any) -> dict[str, Array]:
        """What else `Solution.aux` tells, made of `state`; what has the image's shape are differences of pixels."""
        return {}


class Stop(Rule):
    """When a fit ends before its last step; one of your own is a `pytree_dataclass` derived from this class.

    Attributes:
        scalars: names of what `update` tells.
        keep: which image such a fit gives where the method is told none.

    Example:
        >>> @cs.pytree_dataclass
        ... class Explained(cs.rules.Stop):
        ...     loss: float = 0.0  # that of the noise, say
        ...
        ...     def update(self, state, seen):
        ...         return state, seen.scalars["measurement_loss"] <= self.loss, {}
        >>> method = cs.methods.CsDip((28, 28, 1), stop=Explained(1e-3))
    """

    scalars: ClassVar[tuple[str, ...]] = ()
    keep: ClassVar[Keep] = Keep()

    @property
    def holds_out(self) -> float:
        """The share of the measurements that it asks to be held out of the fit, to judge by; 0 for none."""
        return 0.0

    def usual_keep(self) -> Keep:
        """The rule that keeps where the method is told none: `keep`, unless its settings matter for it."""
        return self.keep

    def init(self, image: Array) -> Any:
        """What it remembers at first, a pytree of arrays, for iterates of the shape and type of `image`."""
        return ()

    def start(self, image: Array, held_out: Array | None) -> Any:
        """As `init`, for one that holds measurements out.

        Args:
            image: as there.
            held_out: what has the shape and type of what is left of them, [h]; None where none are held out.
        """
        return self.init(image)

    def update(self, state: Any, seen: Iterate) -> tuple[Any, Array, dict[str, Array]]:
        """Looks at one more step.

        Args:
            state: what it remembered before.
            seen: the step, an `Iterate`.

        Returns:
            What it remembers now, whether the fit ends, and name -> number for each of `scalars`, which are traced.
        """
        return state, jnp.zeros((), bool), {}


class Fail(Rule):
    """When an attempt is given up and drawn anew; one of your own is a `pytree_dataclass` derived from this class.

    Example:
        >>> @cs.pytree_dataclass
        ... class Black(cs.rules.Fail):
        ...     def failed(self, problem, seen):
        ...         return seen.is_last & (seen.image.max() < -0.99)
        >>> method = cs.methods.CsDip((28, 28, 1), fail=Black())
    """

    def failed(self, problem: Problem, seen: Iterate) -> Array:
        """Whether this attempt is lost, judged from the measurements alone.

        Losses that are not finite need no rule: such an attempt is drawn anew anyway.

        Args:
            problem: operator and measurements, of one image.
            seen: the step; `seen.image` is the image that would be kept.
        """
        return jnp.zeros((), bool)
