"""What goes in and out of a reconstruction, the error for bad input, dataclasses as pytrees."""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar, dataclass_transform

import jax
import numpy as np

Array = jax.Array
T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def pytree_dataclass(cls):
    """Decorator that makes a class a frozen dataclass and a JAX pytree, as an operator or a method has to be.

    A field is data (an array or a number, which may be swept, traced and differentiated) unless it is declared by
    `static_field`. A `__post_init__` that checks the fields runs when a user makes an instance, and not when JAX
    rebuilds one: there a field may be anything, a placeholder or a derivative.

    Args:
        cls: the class, its fields annotated as those of a dataclass; it may be derived from one that is decorated so.

    Returns:
        The class, decorated.

    Example:
        >>> @cs.pytree_dataclass
        ... class Scaled(cs.operators.LinearOperator):
        ...     factor: jax.Array
        ...     image_shape: tuple[int, int, int] = cs.static_field()
        ...
        ...     def forward(self, image):
        ...         return self.factor * image.reshape(-1)
        >>> operator = Scaled(jnp.asarray(2.0), (2, 2, 1))
        >>> operator.adjoint(jnp.ones(4)).shape
        (2, 2, 1)
    """
    cls = dataclasses.dataclass(frozen=True)(cls)
    of_kind = {False: [], True: []}
    for field in dataclasses.fields(cls):
        of_kind[bool(field.metadata.get("static"))].append(field.name)
    data, static = of_kind.values()

    def flatten_with_keys(instance):
        named = tuple((jax.tree_util.GetAttrKey(name), getattr(instance, name)) for name in data)
        return named, tuple(getattr(instance, name) for name in static)

    def flatten(instance):
        return tuple(getattr(instance, name) for name in data), tuple(getattr(instance, name) for name in static)

    def unflatten(meta, leaves):
        instance = object.__new__(cls)
        instance.__dict__.update(zip([*data, *static], [*leaves, *meta], strict=True))
        return instance

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls


def static_field(default: Any = dataclasses.MISSING) -> Any:
    """Declares a field of a `pytree_dataclass` that belongs to the program: a shape, a count, a name, a function.

    Another value compiles another program, and so the value has to be hashable, and cannot be swept.

    Args:
        default: the field's default value; none if left out.
    """
    return dataclasses.field(default=default, metadata={"static": True})


def keyword_field(default: Any, static: bool = False) -> Any:
    """Declares a field that is given by its name alone, so that a derived class may have fields before it.

    Args:
        default: the field's default value.
        static: whether it belongs to the program, as `static_field` says.
    """
    return dataclasses.field(default=default, kw_only=True, metadata={"static": static})


def with_fields(instance: T, changes: Mapping[str, Any], check: bool = True) -> T:
    """A dataclass with other values of some fields, those of its parts included.

    Args:
        instance: of a dataclass, whose fields may be dataclasses.
        changes: name of a field, "stop.patience" for one of a part -> its value.
        check: whether the dataclasses look at their values; not where these were looked at before, inside of jit.

    Example:
        >>> method = cs.methods.CsDip((28, 28, 1), keep=cs.rules.Best())
        >>> method = cs.types.with_fields(method, {"tv_weight": 0.0, "keep.window": 5})
        >>> method.tv_weight, method.keep.window
        (0.0, 5)
    """
    parts: dict[str, dict] = {}
    direct = {}
    for name, value in changes.items():
        first, _, rest = name.partition(".")
        if rest:
            parts.setdefault(first, {})[rest] = value
        else:
            direct[first] = value
    direct |= {name: with_fields(getattr(instance, name), inner, check) for name, inner in parts.items()}
    if check:
        return dataclasses.replace(instance, **direct)  # type: ignore[type-var]
    copy = object.__new__(type(instance))
    copy.__dict__.update(instance.__dict__ | direct)
    return copy


class ReconstructionWarning(UserWarning):
    """What a user should know of a reconstruction that is no error: a doubtful pixel range, say.

    `reconstruct` warns by it; `warnings.simplefilter("error", cs.ReconstructionWarning)` makes an error of each.
    """


class EndsOfRangeWarning(ReconstructionWarning):
    """Many pixels lie at the ends of the pixel range: right for black and white, else the range is too narrow."""


class InputError(ValueError):
    """What a user gave cannot be used: one line, with the offending value and the remedy.

    It is a `ValueError`. Parameters to change stand in it as Python has them, in backquotes, so that a program may
    spell them as its own options.

    Attributes:
        needs: what has to be made or fetched first, where that is the remedy: "mnist", "xray", "retino" (the images),
            "vae" or "prior" (the trained files). A program may know how.

    Example:
        >>> try:
        ...     cs.operators.gaussian(jax.random.key(0), 0, (8, 8, 1))
        ... except cs.InputError as error:
        ...     print(error)
        num_measurements m = 0 of n = 64 pixels: it must be a whole number, at least 1
    """

    def __init__(self, message: str = "", *, needs: str | None = None):
        super().__init__(message)
        self.needs = needs


class PixelRangeWarning(UserWarning):
    """Images use a small part of the values that are taken to lie between black and white.

    Attributes:
        usage: how much of which range they use.
        needed: (black, white) that hold all their values; None where no one pair suits them.
    """

    def __init__(self, usage: str, needed: tuple[float, float] | None):
        super().__init__(usage, needed)
        self.usage, self.needed = usage, needed

    def __str__(self) -> str:
        if self.needed is None:
            return f"{self.usage}: load each kind by itself, with its pixel_range"
        return "{}: pixel_range=({:.15g}, {:.15g}) sets it".format(self.usage, *self.needed)


class Problem(NamedTuple):
    """What is known of an unknown image x*: its measurements y = A x* + noise, and the operator A that took them.

    For several images give y a leading axis, [b, m]: `reconstruct` then solves all of them at once.

    Attributes:
        operator: A, one of `csdip_jax.operators`, or any function of an image [h, w, c] that JAX can differentiate. It
            serves all images of a batch, unless it is an `operators.Stack`, which has one for each. (An operator whose
            arrays all have a leading axis of images, as `jax.vmap` of a constructor leaves them, is taken for a stack
            where only that fits; say Stack to be sure.)
        measurements: y, [m], or [b, m] of a batch; whatever holds numbers, real or complex as A makes them. Their
            noise is no part of the problem; `verdict` compares with it where it is known.

    Example:
        >>> operator = cs.operators.gaussian(jax.random.key(0), 20, (8, 8, 1))
        >>> image = jnp.zeros((8, 8, 1))
        >>> problem = cs.Problem(operator, operator.forward(image))
        >>> problem.measurements.shape
        (20,)
    """

    operator: Any
    measurements: Array


class Status(enum.IntEnum):
    """How a fit ended, the good ends first; it says nothing of how good the image is.

    Example:
        >>> cs.Status(2).name
        'FINISHED'
    """

    CONVERGED = 0
    """The method's own tolerance was met."""
    STOPPED = 1
    """Its stopping rule ended it."""
    FINISHED = 2
    """It took all its steps, and has no tolerance to meet."""
    OUT_OF_STEPS = 3
    """It took all its steps before its tolerance was met."""
    UNEXPLAINED = 4
    """It ended well, but its image explains too little of what the measurements tell beyond a flat image:
    `Solution.unexplained` is above 0.25. The noise is not known here: where it is, `verdict` has the last word."""
    DIVERGED = 5
    """Its loss was no longer finite, or beyond what its method allows."""
    COLLAPSED = 6
    """Its rule `fail` gave it up."""


class Solution(NamedTuple):
    """What `reconstruct` returns: the image, and how well it explains the measurements.

    For a batch of problems, or a sweep, every array has a leading axis. Look at `ok` first, then at `verdict`.

    Attributes:
        image: the reconstruction, [h, w, c] in the pixel range that `reconstruct` was given, [-1, 1] by default.
        status: how the chosen restart ended, a number of `Status`: `Status(int(solution.status))`.
        measurement_loss: `||y - A image||^2` of that image, in the units of y. Noise alone leaves its energy, m
            sigma^2 of m measurements.
        steps: steps taken by the chosen restart (redrawn attempts not counted).
        restart: index of the chosen restart, that with the lowest score by the rule that keeps.
        redraws: attempts that were recognised as collapsed or diverged and drawn anew, over all restarts.
        unexplained: `||y - A image||^2` relative to that of the best flat image, which tells nothing: 0 where y is
            explained, 1 where no better than by a flat image. The mean that rows of A share has the weight of one row.
        trace: name -> [most steps, ...] of the chosen restart, step by step; NaN after it stopped. What the method's
            step tells ("measurement_loss" and "objective" always), what its stopping rule does, and what `record` asked
            for. Where rows of A share a mean, that mean has the weight of one row in the losses (docs: Units and
            ranges).
        aux: name -> what the rules tell besides of the chosen restart: the "standard_deviation" of `rules.Tail`, say.
            What has the shape of the image is a difference of pixels, in their units. Where measurements are held out:
            "held_out_error", the mean square of what the image leaves of them, in the unit of y squared, and where rows
            of A are isotropic "estimated_mse" per pixel, in the units of the pixels, squared, with
            "estimated_mse_interval", (low, high) of 90 %, and a "standard_deviation" per pixel whose mean square it is,
            where restarts or iterates spread.
        params: the weights at which the chosen restart ended, if `reconstruct` was asked to keep them.

    Example:
        >>> operator = cs.operators.gaussian(jax.random.key(0), 30, (8, 8, 1))
        >>> problem = cs.Problem(operator, operator.forward(jnp.eye(8)[..., None]))
        >>> solution = cs.reconstruct(cs.methods.Tv((8, 8, 1)), problem, jax.random.key(1))
        >>> solution.image.shape, bool(solution.ok), cs.Status(int(solution.status)).name
        ((8, 8, 1), True, 'CONVERGED')
    """

    image: Array
    status: Array
    measurement_loss: Array
    steps: Array
    restart: Array
    redraws: Array
    unexplained: Array
    trace: dict[str, Array]
    aux: dict[str, Array]
    params: Any = None

    @property
    def maps(self) -> dict[str, Array]:
        """What of `aux` has the shape of the image, and so is a difference of pixels, in their units."""
        return {name: values for name, values in self.aux.items() if np.shape(values) == self.image.shape}

    @property
    def ok(self) -> Array:
        """Whether the fit neither diverged nor collapsed, even in its last allowed attempt; [b] of a batch."""
        return self.status < Status.DIVERGED
