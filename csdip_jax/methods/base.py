"""What every method is: a frozen dataclass of settings with pure functions init, step and image.

A method acts on ONE image and knows nothing of batches, jit or files; `csdip_jax.solve` adds these. Its settings are
pytree leaves where they may be swept or differentiated (weights, rates) and static where they change the program
(shapes, counts).
"""

from typing import Any, NamedTuple, Protocol

from csdip_jax.types import Array, Problem


class Info(NamedTuple):
    """What people look at, per step.

    Attributes:
        measurement_loss: ||y - A x||^2 at the iterate this step started from.
        objective: what is minimised, there.
    """

    measurement_loss: Array
    objective: Array


class Method(Protocol):
    """The contract. States are pytrees of arrays: what the next step needs, nothing else.

    Attributes:
        image_shape: (h, w, c) of the images it makes.
        steps: the most steps it takes.
        restarts: how many random starts it is meant to be given.
    """

    image_shape: tuple[int, int, int]
    steps: int
    restarts: int

    def init(self, problem: Problem, key: Array) -> Any:
        """The state to start from; all randomness comes from `key`."""

    def step(self, problem: Problem, state: Any) -> tuple[Any, Info]:
        """One step further."""

    def done(self, state: Any) -> Array:
        """Whether no further step is needed."""

    def failed(self, problem: Problem, state: Any) -> Array:
        """Whether this attempt should be given up and drawn anew, judged from the measurements alone."""

    def image(self, state: Any) -> Array:
        """The reconstruction if one stopped now, [h, w, c] in [-1, 1]."""

    def score(self, state: Any) -> Array:
        """What decides between restarts, the lower the better; inf or NaN is never chosen."""
