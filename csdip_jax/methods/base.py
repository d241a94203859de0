"""What every method is: a frozen dataclass of settings with pure functions init, step and image.

A method acts on ONE image and knows nothing of batches, jit or files; `csdip_jax.solve` adds these. Its settings are
pytree leaves where they may be swept or differentiated (weights, rates) and static where they change the program
(shapes, counts). States are NamedTuples of arrays: what the next step needs, nothing else. Which of its iterates is
kept, when it ends early and when it is drawn anew is said by rules (`csdip_jax.rules`), run around it by the driver.
"""

import dataclasses
from typing import Any, ClassVar, NamedTuple, Self

import jax.numpy as jnp

from csdip_jax import rules
from csdip_jax.checks import checked_shape, require, require_count
from csdip_jax.types import Array, InputError, Problem, keyword_field, pytree_dataclass, static_field

PRESETS = ("paper", "reference")
"""Names that `Method.preset` knows."""


class Regularization(NamedTuple):
    """The setting by which a method regularizes, for advice that names it.

    Attributes:
        field: name of the setting, a number.
        more: factor that regularizes clearly more: below 1 where a smaller number does.

    Example:
        >>> cs.methods.Tv.regularization
        Regularization(field='mu', more=0.25)
    """

    field: str
    more: float


@pytree_dataclass
class Method:
    """What every method is: `init`, `step` and `image` are its own, the rest has defaults.

    One of your own is a `pytree_dataclass` derived from this class. Its fields are its settings: numbers may be swept,
    what is declared by `static_field` changes the program. It acts on ONE image in [-1, 1], on measurements and an
    operator that `reconstruct` has brought to its units. Its state is a NamedTuple of arrays with at least two fields,
    which the defaults read: `step`, the steps taken, and `loss`, the measurement loss at the last iterate evaluated,
    inf at first.

    Attributes:
        image_shape: (h, w, c) of the images it makes.
        steps: the most steps it takes, at least 1.
        keep: which image a fit gives, a rule; None for what `stop` recommends, or else `usual_keep`.
        stop: when a fit ends before its last step, a rule; None for only by the method's own tolerance, if it has one.
        fail: when an attempt is drawn anew although its loss is finite, a rule; None for never.
        restarts: how many random starts it is meant to be given.
        scalars: names of what each step tells.
        has_tolerance: whether it can converge by a tolerance of its own.
        usual_keep: see `keep`.
        fills_the_cache: whether one fit alone keeps a CPU busy; if not, fits of one image are advanced together there.
        needs_linear_operator: whether it can do with an adjoint only, not with any differentiable function.
        remedy: what a user may try where it failed.
        regularization: which setting regularizes, and which way; None where none does.

    Raises:
        InputError: a setting out of its range.

    Example:
        >>> from typing import NamedTuple
        >>> class State(NamedTuple):
        ...     last: jax.Array
        ...     step: jax.Array
        ...     loss: jax.Array
        >>> @cs.pytree_dataclass
        ... class ProjectedGradient(cs.methods.Method):
        ...     rate: float = 0.5
        ...
        ...     def init(self, problem, key):
        ...         return State(jnp.zeros(self.image_shape), jnp.zeros((), int), jnp.asarray(jnp.inf))
        ...
        ...     def step(self, problem, state, key):
        ...         residual, back = problem.operator.residual_and_adjoint(problem.measurements, state.last)
        ...         loss = cs.operators.squared_norm(residual)
        ...         following = cs.prox.project_box(state.last + self.rate * back)
        ...         return State(following, state.step + 1, loss), {"measurement_loss": loss, "objective": loss}
        ...
        ...     def image(self, state):
        ...         return state.last
        >>> operator = cs.operators.gaussian(jax.random.key(0), 40, (8, 8, 1))
        >>> problem = cs.Problem(operator, operator.forward(jnp.eye(8)[..., None]))
        >>> method = ProjectedGradient((8, 8, 1), steps=50)
        >>> bool(cs.reconstruct(method, problem, jax.random.key(1)).ok)
        True
    """

    image_shape: tuple[int, int, int] = static_field()
    steps: int = static_field(1000)
    keep: rules.Keep | None = keyword_field(None)
    stop: rules.Stop | None = keyword_field(None)
    fail: rules.Fail | None = keyword_field(None)
    restarts: ClassVar[int] = 1
    scalars: ClassVar[tuple[str, ...]] = ("measurement_loss", "objective")
    has_tolerance: ClassVar[bool] = False
    usual_keep: ClassVar[rules.Keep] = rules.Last()
    fills_the_cache: ClassVar[bool] = False
    needs_linear_operator: ClassVar[bool] = True
    remedy: ClassVar[str] = "take smaller steps, and look at A and y"
    regularization: ClassVar[Regularization | None] = None

    def __post_init__(self):
        object.__setattr__(self, "image_shape", checked_shape(self.image_shape))
        require_count("steps", self.steps)
        require_count("restarts", self.restarts)
        for name, kind in (("keep", rules.Keep), ("stop", rules.Stop), ("fail", rules.Fail)):
            rule = getattr(self, name)
            allowed = f"a {kind.__name__} of csdip_jax.rules, or None"
            require(rule is None or isinstance(rule, kind), name, rule, allowed)
        more = self.stopper.scalars
        require(not {*more} & {*self.scalars}, "stop.scalars", more, f"other names than {', '.join(self.scalars)}")
        known = (*self.told, rules.HELD_OUT_LOSS)  # the last where measurements are held out, which is not known here
        require(self.keeper.by in known, "keep.by", self.keeper.by, " or ".join(self.told))

    @classmethod
    def preset(cls, name: str, image_shape: tuple[int, int, int]) -> Self:
        """The settings of the paper, or of its reference code where the two differ (docs: The method).

        Args:
            name: "paper" or "reference".
            image_shape: (h, w, c) of the images that are to be reconstructed.

        Returns:
            The method; `dataclasses.replace` gives it other settings.

        Raises:
            InputError: unknown name.
        """
        if name not in PRESETS:
            raise InputError(f"unknown preset {name!r}: choose {' or '.join(PRESETS)}")
        return cls(image_shape)

    @property
    def keeper(self) -> rules.Keep:
        """The rule that keeps an image: `keep`, or what stands in for None."""
        recommended = self.usual_keep if self.stop is None else self.stop.usual_keep()
        return recommended if self.keep is None else self.keep

    @property
    def stopper(self) -> rules.Stop:
        """The rule that stops, one that never does where there is none."""
        return rules.Stop() if self.stop is None else self.stop

    @property
    def failer(self) -> rules.Fail:
        """The rule that gives attempts up, one that never does where there is none."""
        return rules.Fail() if self.fail is None else self.fail

    @property
    def told(self) -> tuple[str, ...]:
        """Names of the numbers of each step: its own, and those of the rule that stops."""
        return (*self.scalars, *self.stopper.scalars)

    def sweepable(self) -> list[str]:
        """Names of the settings that are numbers and data: an array of values is a sweep (see `reconstruct`).

        Those of its parts (rules, a generator) are called "stop.tolerance" and so on.

        Example:
            >>> cs.methods.Damp((28, 28, 1)).sweepable()
            ['strength', 'damping', 'probe']
        """
        return list(_numbers(self))

    def require_data(self) -> None:
        """Raises InputError for data that cannot be used; called outside of jit, for it looks at the numbers."""

    def init(self, problem: Problem, key: Array) -> Any:
        """The state to start from.

        Args:
            problem: of one image, in the method's units.
            key: all randomness of the start comes from it.
        """
        raise NotImplementedError

    def step(self, problem: Problem, state: Any, key: Array) -> tuple[Any, dict[str, Array]]:
        """One step further, and what it tells, which is traced.

        Args:
            problem: of one image.
            state: before the step.
            key: of this step alone.

        Returns:
            The state after it, and name -> number for each of `scalars`: "measurement_loss", `||y - A x||^2` at an
            iterate of this step (the one it started from, or a later one if at hand), and "objective", what is
            minimised, there.
        """
        raise NotImplementedError

    def image(self, state: Any) -> Array:
        """The last iterate, [h, w, c] in [-1, 1], of a state."""
        raise NotImplementedError

    def converged(self, state: Any) -> Array:
        """Whether the method's own tolerance is met in this state; never so where it has none."""
        return jnp.zeros((), bool)

    def diverged(self, state: Any) -> Array:
        """Whether there is nothing left to go on with in this state: by default, whether its loss is not finite."""
        return ~jnp.isfinite(state.loss) & (state.step > 0)

    def params(self, state: Any) -> Any:
        """The weights that the fit stands at in this state, a pytree; None for a method that fits none."""
        return None


def _numbers(instance: Any, prefix: str = "") -> list[str]:
    """Names of the fields of a dataclass, and of its parts, that are data and numbers by default."""
    data = [field for field in dataclasses.fields(instance) if not field.metadata.get("static")]
    found = [prefix + field.name for field in data if isinstance(field.default, float) or field.type == float | None]
    for field in data:
        value = getattr(instance, field.name)
        if dataclasses.is_dataclass(value) and not prefix:
            found += _numbers(value, f"{field.name}.")
    return found
