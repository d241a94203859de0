"""What is asked of an operator of a user's own, found out by a few images at the boundary."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from csdip_jax.checks import as_floating
from csdip_jax.operators.base import LinearOperator, Operator
from csdip_jax.operators.stacks import Stack
from csdip_jax.types import Array, InputError

OFFSET, LINEARITY, TRANSPOSE = 1e-3, 3e-3, 1e-2
"""Errors relative to the size of the measurements that are taken for rounding, as single precision leaves it where a
function adds up what cancels a thousandfold: of A 0, of A (2 u - 3 v), and of <A u, y> against <u, A^H y>."""

REMEDY = "write it with jax.numpy, differentiable, for one image of that shape"


def on_device(operator: Operator) -> Operator:
    """Its arrays as JAX's; raises InputError where it is no pytree of arrays."""
    if jax.tree_util.all_leaves([operator]):
        raise InputError(
            f"operator is a {type(operator).__name__}, which is no pytree: decorate the class by "
            "csdip_jax.pytree_dataclass, or give operators.Linear(its forward, image_shape)"
        )
    try:
        hash(jax.tree.structure(operator))
    except TypeError as error:
        raise InputError(f"operator cannot be hashed ({error}): give a plain function, or a frozen class") from error
    return jax.tree.map(_on_device, operator)


def _on_device(leaf: Any) -> Array:
    if isinstance(leaf, (jax.Array, float, complex)):
        return jnp.asarray(leaf)
    array = as_floating(leaf, "a leaf of the operator")
    whole = np.asarray(leaf)
    if whole.dtype.kind in "biu":  # indices, say: as they are, but where JAX has no such large ones
        narrow = whole.astype(jax.dtypes.canonicalize_dtype(whole.dtype))
        return jnp.asarray(narrow) if np.array_equal(narrow, whole) else array
    return array


def require_traceable(operator: Operator | Stack) -> None:
    """Raises InputError unless JAX traces it for an image of its shape, and it gives one array of float32 or wider."""
    given = f"the operator's function, traced by JAX for an image of shape {operator.image_shape},"
    output = attempt(lambda: operator.measurements_like, f"{given} ends in")
    if not isinstance(output, jax.ShapeDtypeStruct):
        count = len(jax.tree.leaves(output))
        what = f"{count} arrays ({type(output).__name__})" if count else "no array"
        raise InputError(f"{given} gives {what}: return one, several joined by jnp.concatenate")
    if not output.size:
        raise InputError(f"{given} gives no measurements, shape {output.shape}: return at least one")
    if not jnp.issubdtype(output.dtype, jnp.inexact):
        raise InputError(f"{given} gives {output.dtype}: return floating point, without rounding or comparing")
    if jnp.finfo(output.dtype).bits < 32:
        raise InputError(f"{given} gives {output.dtype}: return float32, by .astype(jnp.float32) on what it computes")


def require_sound(
    operator: Operator,
    middle: float = 0.0,
    half: float = 1.0,
    of_adjoint: str = "leave `adjoint` out, and JAX transposes `forward`",
) -> None:
    """Raises InputError unless it gives the same twice, is linear if it says so, and has a derivative.

    A few images of pixels within `half` of `middle` go through it (a linear one is asked with pixels in [-1, 1]), and
    its derivative at one.

    Args:
        of_adjoint: what mends an adjoint that is none.
    """
    if isinstance(operator, LinearOperator):
        middle, half = 0.0, 1.0
    rng, shape = np.random.default_rng(0), operator.image_shape
    u, v = (jnp.asarray(middle + half * rng.uniform(-1, 1, shape), jnp.float32) for _ in range(2))

    def measured(image: Array) -> np.ndarray:
        values = operator.forward(image)
        return np.asarray(values).astype(np.complex128 if jnp.iscomplexobj(values) else np.float64)

    of_u, of_v, again = measured(u), measured(v), measured(u)
    bad = int((~np.isfinite(of_u)).sum())
    if bad:
        _require_finite_leaves(operator)
        raise InputError(
            f"operator: {bad} of {of_u.size} measurements of a random image of pixels from {middle - abs(half):g} to "
            f"{middle + abs(half):g} are NaN or infinite"
        )
    size = float(max(np.linalg.norm(of_u), np.linalg.norm(of_v)))
    if np.linalg.norm(of_u - again) > OFFSET * size:
        raise InputError(
            "operator gives other measurements of the same image the second time: draw what is random once, outside of "
            "it; noise belongs to y"
        )
    if np.array_equal(of_u, of_v):
        raise InputError("operator gives the same measurements of any image: they have to depend on its argument")
    if isinstance(operator, LinearOperator):
        _require_linear(measured, u, v, of_u, of_v, size)
        # Of order one: what A makes, so that the products are large, and noise, so that every row counts.
        y = of_u * (math.sqrt(of_u.size) / np.linalg.norm(of_u)) + rng.standard_normal(of_u.shape)
        measurements = jnp.asarray(y, operator.measurements_like.dtype)
        back = attempt(lambda: operator.adjoint(measurements), "the operator is linear, but its transpose ends in")
        _require_adjoint(of_u, measurements, u, back, of_adjoint)
    weights = jnp.asarray(rng.standard_normal(of_u.shape), operator.measurements_like.dtype)
    (gradient,) = attempt(
        lambda: jax.vjp(operator.forward, u)[1](weights), "the derivative of the operator's function ends in"
    )
    if not np.any(np.asarray(gradient)):
        raise InputError(
            "operator has a derivative of 0 everywhere, so that no image can be fitted: leave out rounding, comparing "
            "and stop_gradient"
        )


def _require_linear(measured: Callable, u: Array, v: Array, of_u: np.ndarray, of_v: np.ndarray, size: float) -> None:
    offset, both = measured(jnp.zeros_like(u)), measured(2 * u - 3 * v)
    error = np.linalg.norm(both - offset - 2 * (of_u - offset) + 3 * (of_v - offset)) / (5 * size)
    if not error <= LINEARITY:
        raise InputError(
            f"operator is not linear: A (2 u - 3 v) differs from 2 A u - 3 A v by {error:.2g} of its size; give a "
            "linear function, or operators.Nonlinear to a method that takes it (csdip)"
        )
    if np.linalg.norm(offset) > OFFSET * size:
        raise InputError(
            f"operator is not linear: A 0 is not 0, it is of size {np.abs(offset).max():.3g}: take it off y and the "
            "function"
        )


def _require_adjoint(of_u: np.ndarray, y: Array, u: Array, back: Array, remedy: str) -> None:
    forward = float(np.real(np.vdot(of_u, np.asarray(y))))
    backward = float(np.vdot(np.asarray(u, float), np.asarray(back, float)))
    error = abs(forward - backward) / (math.sqrt(of_u.size) * np.linalg.norm(of_u))
    if not error <= TRANSPOSE:
        raise InputError(
            f"operator's adjoint is not that of its forward: <A u, y> = {forward:.4g}, but <u, A^H y> = "
            f"{backward:.4g}, off by {100 * error:.3g} %; {remedy}"
        )


def _require_finite_leaves(operator: Operator) -> None:
    for leaf in map(np.asarray, jax.tree.leaves(operator)):
        bad = int((~np.isfinite(leaf)).sum()) if jnp.issubdtype(leaf.dtype, jnp.inexact) else 0
        if bad:
            raise InputError(f"operator: {bad} of {leaf.size} entries are NaN or infinite; remove or replace them")


def attempt(call: Callable, what: str, remedy: str = REMEDY) -> Any:
    """What it returns; anything that a user's function raises as one line."""
    try:
        return call()
    except InputError:
        raise
    except Exception as error:
        first = str(error).strip().split("\n")[0]
        told = f"{what} {type(error).__name__}: {first:.200}"
        raise InputError(f"{told}; {remedy}" if remedy else told) from error
