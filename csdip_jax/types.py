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
    """Frozen dataclass and pytree in one: fields are data unless declared `static_field()`.

    What JAX rebuilds is not checked again: its fields may be anything there, a placeholder or a derivative.
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
    """A field that belongs to the program, not to its data."""
    return dataclasses.field(default=default, metadata={"static": True})


def keyword_field(default: Any, static: bool = False) -> Any:
    """A field that is given by its name alone, so that what is derived from the class may have fields before it."""
    return dataclasses.field(default=default, kw_only=True, metadata={"static": static})


def with_fields(instance: T, changes: Mapping[str, Any], check: bool = True) -> T:
    """A dataclass with other values of some fields, those of its parts included.

    Args:
        instance: of a dataclass, whose fields may be dataclasses.
        changes: name of a field, "stop.patience" for one of a part -> its value.
        check: whether the dataclasses look at their values; not where these were looked at before, inside of jit.

    Example:
        >>> with_fields(CsDip((28, 28, 1)), {"tv_weight": 0.0, "keep.window": 5})
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
    """What a user should know of a reconstruction that is no error: a doubtful pixel range, say."""


class EndsOfRangeWarning(ReconstructionWarning):
    """Many pixels lie at the ends of the pixel range: right for black and white, else the range is too narrow."""


class InputError(ValueError):
    """What a user gave cannot be used. One line: the offending value and the remedy.

    Parameters to change stand in it as Python has them, in backquotes: `order='F'`. A program may spell its options so.

    Attributes:
        needs: what has to be made or fetched first, where that is the remedy: "mnist", "xray", "retino" (the images),
            "vae" or "prior" (the trained files). A program may know how.
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
    """Measurements y = A x* + eta of ONE unknown image; a leading axis on both fields makes a batch.

    Attributes:
        operator: A, one of `csdip_jax.operators` (or any differentiable callable image -> measurements).
            In a batch either one operator for all images, or one per image: a `Stack`, or an operator whose arrays have
            a leading axis each, where that is recognised (`operators.functions.recognised`).
        measurements: y, [m], real or complex as `operator.forward` gives it.
    """

    operator: Any
    measurements: Array


class Status(enum.IntEnum):
    """How a fit ended, the good ends first.

    Attributes:
        CONVERGED: the method's own tolerance was met.
        STOPPED: its stopping rule ended it.
        FINISHED: it took all its steps, and has no tolerance to meet.
        OUT_OF_STEPS: it took all its steps before its tolerance was met.
        UNEXPLAINED: it ended well, but its image explains too little of what the measurements tell beyond a flat image:
            `Solution.unexplained` is above 0.25.
        DIVERGED: its loss was no longer finite, or beyond what its method allows.
        COLLAPSED: its rule `fail` gave it up.
    """

    CONVERGED = 0
    STOPPED = 1
    FINISHED = 2
    OUT_OF_STEPS = 3
    UNEXPLAINED = 4
    DIVERGED = 5
    COLLAPSED = 6


class Solution(NamedTuple):
    """What `csdip_jax.reconstruct` returns; for a batch of problems every field has a leading axis.

    Attributes:
        image: the reconstruction, [h, w, c] in the pixel range of the problem, [-1, 1] by default.
        status: how the chosen restart ended, a number of `Status`: `Status(int(solution.status))`.
        measurement_loss: ||y - A image||^2 of that image.
        steps: steps taken by the chosen restart (redrawn attempts not counted).
        restart: index of the chosen restart.
        redraws: attempts that were recognised as collapsed or diverged and drawn anew, over all restarts.
        unexplained: ||y - A image||^2 relative to that of the best flat image, which tells nothing: 0 where y is
            explained, 1 where no better than by a flat image. The mean that rows of A share has the weight of one row.
        trace: name -> [most steps, ...] of the chosen restart, step by step; NaN after it stopped. What the method's
            step tells ("measurement_loss" and "objective" always), what its stopping rule does, and what `record` asked
            for. Where rows of A share a mean, that mean has the weight of one row in the losses (docs: Units and
            ranges).
        aux: name -> what the rules tell besides of the chosen restart: "standard_deviation" of an average, say. What
            has the shape of the image is a difference of pixels, in their units.
        params: the weights at which the chosen restart ended, if `reconstruct` was asked to keep them.
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
