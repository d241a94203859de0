"""What `reconstruct` is given, checked at the boundary."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from csdip_jax.checks import as_floating, num_needed, require_at_most, require_number
from csdip_jax.data.pixels import checked_range
from csdip_jax.methods.base import Method
from csdip_jax.operators import LinearOperator, Stack, form_of, one_of
from csdip_jax.operators.functions import as_operator_or_stack, is_own, linear_if_it_is
from csdip_jax.operators.own import require_sound
from csdip_jax.rules import HELD_OUT_LOSS
from csdip_jax.solve.fits import Case
from csdip_jax.types import Array, InputError, Problem, with_fields


def require_pytree(method: Method) -> None:
    """Raises InputError for a method, or a part of it, that JAX cannot take apart, as a plain dataclass is."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(method):
        try:
            jax.typeof(leaf)
        except TypeError:
            what = f"method{jax.tree_util.keystr(path)} is a {type(leaf).__name__}"
            if path and (isinstance(leaf, str) or callable(leaf)):
                remedy = "which JAX does not trace: declare the field by csdip_jax.static_field()"
            else:
                remedy = "which is no pytree: decorate the class by csdip_jax.pytree_dataclass"
            raise InputError(f"{what}, {remedy}") from None


def middle_and_half(pixel_range: Any) -> tuple[float, float]:
    """Of (black, white), None for (-1, 1); raises InputError unless these are two different finite numbers."""
    black, white = (-1.0, 1.0) if pixel_range is None else checked_range(pixel_range)
    return (black + white) / 2, (white - black) / 2


def checked_batch(
    problem: Problem, method: Method, cases_per_operator: int = 1, pixel_range: tuple[float, float] | str | None = None
) -> tuple[Problem, bool]:
    """The problem as a batch (an axis added where it was single), and whether it was one."""
    measurements = as_floating(problem.measurements, "measurements")
    operator = as_operator_or_stack(problem.operator, method.image_shape, measurements.shape)
    form = form_of(operator)
    if method.needs_linear_operator and not isinstance(form, LinearOperator):
        raise InputError(
            f"{type(method).__name__} needs a linear operator, one with an adjoint, not {type(form).__name__}: "
            "write csdip_jax.operators.Linear(function, image_shape) where it is linear, or choose csdip"
        )
    if is_own(form):
        require_sound(one_of(operator), *middle_and_half(None if isinstance(pixel_range, str) else pixel_range))
        operator = linear_if_it_is(operator)
    operator = jax.tree.map(jnp.asarray, operator)  # on the device once, not again with every chunk
    expected = operator.measurements_like
    if jnp.iscomplexobj(measurements) != jnp.issubdtype(expected.dtype, jnp.complexfloating):
        remedy = "give real ones, or make" if jnp.iscomplexobj(measurements) else "give complex ones, or make"
        raise InputError(
            f"measurements are {measurements.dtype}, but the operator's are {expected.dtype}: {remedy} the operator so"
        )
    measurements = measurements.astype(jnp.result_type(measurements, expected))
    operator = jax.tree.map(partial(_widened, as_wide_as=measurements), operator)
    batched = measurements.ndim == len(expected.shape) + 1
    if not measurements.size:
        raise InputError(f"measurements of shape {measurements.shape} are empty: give at least those of one image")
    if measurements.shape[batched:] != expected.shape:
        raise InputError(
            f"measurements of shape {measurements.shape} do not fit the operator: "
            f"it makes {expected.shape} per image of shape {operator.image_shape}"
        )
    each = cases_per_operator
    if isinstance(operator, Stack) and (not batched or operator.size * each != measurements.shape[0]):
        raise InputError(
            f"{operator.size} operators for measurements of shape {measurements.shape}: "
            + ("the leading axes (one per image) must agree" if each == 1 else f"each should have made {each} of them")
        )
    _require_finite(measurements, "measurements")
    for leaf in jax.tree.leaves(operator):
        _require_finite(leaf, "operator")
    return Problem(operator, measurements if batched else measurements[None]), batched


def _widened(leaf: jax.Array, as_wide_as: jax.Array) -> jax.Array:
    """In double precision where the measurements are and the leaf is in single; narrow storage stays."""
    if leaf.dtype not in (jnp.float32, jnp.complex64):
        return leaf
    return leaf.astype(jnp.result_type(leaf, jnp.finfo(as_wide_as.dtype).dtype))


def require_problem(problem: Any) -> None:
    """Raises InputError for what is no `Problem`."""
    if not isinstance(problem, Problem):
        raise InputError(f"problem is a {type(problem).__name__}: give csdip_jax.Problem(operator, measurements)")


def checked_share(hold_out: float, method: Method) -> float:
    """Of the measurements that are held out: as `reconstruct` is told, or as the method's rule that stops asks for."""
    require_number("hold_out", hold_out)
    require_at_most("hold_out", hold_out, 1, strictly=True)
    share = hold_out or method.stopper.holds_out
    if not share and method.keeper.by == HELD_OUT_LOSS:
        raise InputError(f"keep.by = {HELD_OUT_LOSS!r}: no measurements are held out; give hold_out=0.05, say")
    return share


def checked_ids(image_ids: Sequence[int] | None, key: Array, images: int) -> list[int]:
    """One per image, as whole numbers.

    Raises:
        InputError: one is none of 0 to 2^32 - 1, as `jax.random.fold_in` takes them, or ids or keys are not one per
            image.
    """
    ids = range(images) if image_ids is None else np.atleast_1d(np.asarray(image_ids, object)).ravel().tolist()
    for value in ids:
        if not isinstance(value, (int, np.integer)) or not 0 <= value < 2**32:
            raise InputError(f"image_ids: {value!r} is none: give whole numbers from 0 to 2^32 - 1")
    if len(ids) != images:
        raise InputError(f"{len(ids)} image_ids for {images} images: give one per image")
    if key.shape not in ((), (images,)):
        raise InputError(f"keys of shape {key.shape} for {images} images: give one key, or one per image")
    return list(map(int, ids))


def split_swept(method: Method, dtype) -> tuple[Method, dict[str, Any]]:
    """The method with the first of its swept values, and those fields: name -> values along a leading axis.

    Numbers become arrays of the data's real type; what else can be stacked says so by its `batch_size`.
    """
    swept = {}
    for name in method.sweepable():
        value = attrgetter(name)(method)
        if value is not None and jnp.ndim(value):
            swept[name] = jnp.asarray(value, jnp.finfo(dtype).dtype)
    for name, values in swept.items():
        if values.ndim != 1 or not values.size:
            raise InputError(f"{name} has shape {values.shape}: a sweep needs a one-dimensional array of values")
        for value in values:
            with_fields(method, {name: float(value)})  # the method refuses what is out of range
    first = {name: float(values[0]) for name, values in swept.items()}
    for field in dataclasses.fields(method):
        value = getattr(method, field.name)
        if getattr(value, "batch_size", None) is not None:
            swept[field.name] = jax.tree.map(jnp.asarray, value)
            first[field.name] = jax.tree.map(lambda x: x[0], value)
    return with_fields(method, first), swept


def checked_record(
    record: Mapping[str, Callable], method: Method, middle: float, half: float
) -> dict[str, jax.tree_util.Partial]:
    """Name -> a function of (iterate, state), of what `reconstruct` was given as `record`.

    Args:
        record: name -> function of the image, or of the image and the method's state.
        method: whose scalars, and those of its stopping rule, have their names already.
        middle, half: of the pixel range, in which the functions see the image.

    Raises:
        InputError: not callable, or a name that is taken.
    """
    if not isinstance(record, Mapping):
        raise InputError(f"record is a {type(record).__name__}: give a dictionary, name -> function of the image")
    wrapped = {}
    for name, function in record.items():
        taken = (*method.told, HELD_OUT_LOSS)
        if not callable(function) or name in taken:
            what = f"{name!r} is traced already" if name in taken else f"{name!r} is a {type(function).__name__}"
            raise InputError(f"record: {what}: give a new name, and a function of the image, or of (image, state)")
        bound = function if isinstance(function, jax.tree_util.Partial) else jax.tree_util.Partial(function)
        seen = _of_image_and_state if (num_needed(function) or 0) > 1 else _of_image
        wrapped[name] = jax.tree_util.Partial(seen, bound, middle, half)
    return wrapped


def _of_image(function, middle, half, image, state):
    return function(middle + half * image)


def _of_image_and_state(function, middle, half, image, state):
    return function(middle + half * image, state)


def num_cases(swept: dict[str, Any]) -> int:
    """How many settings a sweep has."""
    return jax.tree.leaves(swept)[0].shape[0]


def checked_cases(problem: Problem, swept: dict[str, Any]) -> Case:
    """The cases of a batch of problems and as many settings."""
    for name, values in swept.items():
        if num_cases(values) != len(problem.measurements):
            raise InputError(
                f"{num_cases(values)} values of {name} for {len(problem.measurements)} cases: give one value per "
                "image, and as many of each swept setting"
            )
    return Case(problem, swept)


def _require_finite(array: jax.Array, name: str) -> None:
    if jnp.issubdtype(array.dtype, jnp.inexact):
        bad = int(_count_non_finite(array))
        if bad:
            raise InputError(f"{name}: {bad} of {array.size} entries are NaN or infinite; remove or replace them")


@jax.jit
def _count_non_finite(array):
    # Row by row: XLA would make a second array of the size of a matrix.
    rows = array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)
    return jnp.sum(jax.lax.map(lambda row: jnp.sum(~jnp.isfinite(row)), rows))
