"""Checks of what a user gives, settings, keys, shapes and numbers, each with one line that says what to do."""

import contextlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from csdip_jax.types import Array, InputError

NUMBERS: tuple[type, ...] = (int, float, np.generic, str)
"""What is looked at as a number, or as text that should be one."""


def in_one_line(error: BaseException) -> str:
    """The type and the text of an error."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def num_needed(function: Callable) -> int | None:
    """How many arguments a function needs by their place, those without a default; None where that cannot be told."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # of compiled code
        return None
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in places and p.default is p.empty for p in parameters)


def require(condition: bool, name: str, value: Any, allowed: str) -> None:
    """Raises InputError unless the setting is as allowed."""
    if not condition:
        raise InputError(f"{name} = {value!r}: it must be {allowed}")


def require_number(name: str, value: Any, lowest: float = 0.0, strictly: bool = False) -> None:
    """Raises InputError for a number below `lowest` (or at it, if strictly), infinite or NaN, and for text.

    Arrays pass: they may be swept, which `reconstruct` checks, or traced.
    """
    if value is None or isinstance(value, NUMBERS):
        fine = (
            value is not None
            and not isinstance(value, str)
            and (lowest < value < float("inf") or (value == lowest and not strictly))
        )
        require(fine, name, value, f"a number {'above' if strictly else 'of at least'} {lowest:g}")


def require_at_most(name: str, value: Any, highest: float, strictly: bool = False) -> None:
    """Raises InputError for a number above `highest` (or at it, if strictly); arrays pass, as for `require_number`."""
    if isinstance(value, (int, float)):
        fine = value < highest or (value == highest and not strictly)
        require(fine, name, value, f"{'below' if strictly else 'at most'} {highest:g}")


def require_distinct(name: str, values: Sequence) -> None:
    """Raises InputError where a value comes twice."""
    require(len(set(values)) == len(values), name, tuple(values), "without repetitions")


def require_count(name: str, value: Any) -> None:
    """Raises InputError unless the setting is a whole number of at least 1."""
    require(isinstance(value, int) and value >= 1, name, value, "a whole number of at least 1")


def require_key(key: Any, several: bool = False) -> None:
    """Raises InputError unless it is a key of `jax.random.key`, or an array of them if there may be several."""
    if not jnp.issubdtype(getattr(key, "dtype", float), jax.dtypes.prng_key):
        what = f"{type(key).__name__} without a key type, as jax.random.PRNGKey makes them"
        raise InputError(f"key is a {what if hasattr(key, 'dtype') else type(key).__name__}: give jax.random.key(seed)")
    if key.shape and not several:
        raise InputError(f"keys of shape {key.shape}: give one, key[0] for example")


def checked_shape(image_shape: Any) -> tuple[int, int, int]:
    """`image_shape` as a tuple; raises InputError unless it is (h, w, c), whole numbers above 0."""
    sides = tuple(image_shape) if isinstance(image_shape, (tuple, list)) else ()
    if len(sides) != 3 or not all(isinstance(side, (int, np.integer)) and side >= 1 for side in sides):
        given = image_shape if isinstance(image_shape, (tuple, list, int, str)) else f"a {type(image_shape).__name__}"
        raise InputError(f"image_shape = {given}: give (h, w, c), whole numbers above 0, c = 1 for grey")
    h, w, c = map(int, sides)
    return h, w, c


def as_floating(values: Any, name: str, real: bool = False) -> Array:
    """Whatever holds numbers as a JAX array of floating point; what is one already, or is traced as one, as it is.

    Whole numbers and bool become the widest float that JAX makes as it is set (float64 with x64, else float32), narrow
    floats float32, wider ones what JAX makes of float64; complex likewise. NumPy converts, so that nothing wraps round.

    Args:
        values: numbers, nested lists of them, an array of any library, dense or sparse.
        name: of `values`, for the message.
        real: whether complex numbers are refused.

    Raises:
        InputError: not numbers, rows of unequal lengths, masked entries, or beyond the range of the float.
    """
    wide = jax.dtypes.canonicalize_dtype(np.float64)
    given = as_numbers(values, name)
    dtype = given.dtype
    is_complex = jnp.issubdtype(dtype, jnp.complexfloating)
    if real and is_complex:
        raise InputError(f"{name} {_be(name)} {dtype.name}, but pixels are real: give magnitudes, or two channels")
    narrow = jnp.issubdtype(dtype, jnp.inexact) and dtype.itemsize <= (8 if is_complex else 4)
    target = jnp.result_type(np.float32 if narrow else wide, np.complex64 if is_complex else np.float32)
    if dtype == target and isinstance(given, jax.Array):
        return given
    if isinstance(given, jax.core.Tracer) or (isinstance(given, jax.Array) and dtype.itemsize <= target.itemsize):
        return given.astype(target)
    given = np.asarray(given)
    with np.errstate(over="ignore", under="ignore"):
        cast = given.astype(target, order="C", copy=False)
    _require_in_range(given, cast, name)
    return jnp.asarray(cast)


def as_numbers(values: Any, name: str) -> Array | np.ndarray:
    """Whatever holds numbers or bool as an array of its own type, JAX's where it is one, else NumPy's.

    Raises:
        InputError: not numbers, rows of unequal lengths, or masked entries.
    """
    array = values if isinstance(values, jax.Array) else _dense(values, name)
    is_number = jnp.issubdtype(array.dtype, np.number) and not jnp.issubdtype(array.dtype, np.timedelta64)
    if not (is_number or jnp.issubdtype(array.dtype, np.bool_)):
        raise _not_numbers(values, name)
    return array


def _dense(values: Any, name: str) -> Array | np.ndarray:
    """As an array, of whatever dtype."""
    parts = values if isinstance(values, (list, tuple)) else [values]
    masked = sum(int(np.ma.count_masked(part)) for part in parts if isinstance(part, np.ma.MaskedArray))
    if masked:
        raise InputError(f"{name}: {masked} entries are masked: fill them, or leave them and their rows of A out")
    error = None
    try:
        for method in ("toarray", "todense", "to_dense"):  # the sparse ones of SciPy, of JAX, of PyTorch and of others
            if callable(getattr(values, method, None)):
                values = getattr(values, method)()
                break
        array = values if isinstance(values, jax.Array) else np.asarray(values)
        if array.dtype != object:
            return array
    except Exception as raised:  # whatever NumPy, or the array's own library, says
        error = raised
    # What NumPy does not take: bfloat16 of PyTorch, an array on a GPU. In x64, since wide numbers would wrap round; and
    # a copy, since the other library may write to what it shares.
    with contextlib.suppress(Exception), jax.enable_x64(True):
        return jax.block_until_ready(jnp.array(jnp.from_dlpack(values), copy=True))
    raise _not_numbers(values, name, error) from error


def _not_numbers(values: Any, name: str, error: Exception | None = None) -> InputError:
    of = f" and dtype {values.dtype}" if hasattr(values, "dtype") else ""
    why = f" ({' '.join(str(error).split())})" if error else ""
    return InputError(f"{name} {_be(name)} of type {type(values).__name__}{of}: give an array of numbers{why}")


def _be(name: str) -> str:
    return "are" if name.endswith("s") else "is"


def _require_in_range(given: np.ndarray, cast: np.ndarray, name: str) -> None:
    """Raises InputError where rounding to a narrower float made entries infinite, or all of them zero."""
    if given.dtype.itemsize <= cast.dtype.itemsize or not jnp.issubdtype(given.dtype, jnp.inexact):
        return
    beyond = int((np.isfinite(given) & ~np.isfinite(cast)).sum())
    if beyond or (given.any() and np.abs(cast).max() < np.finfo(cast.dtype).tiny):
        what = f"{beyond} of {given.size} entries are above" if beyond else f"all {given.size} entries are below"
        largest = np.max(np.abs(given), where=np.isfinite(given), initial=0)
        raise InputError(
            f"{name}: {what} the range of {cast.dtype}, the largest is {largest:.3g}: choose another unit, or set "
            "JAX_ENABLE_X64=1"
        )
