"""What `reconstruct` is given, checked at the boundary."""

import jax
import jax.numpy as jnp

from csdip_jax.methods.base import Method
from csdip_jax.operators import as_operator
from csdip_jax.types import Array, InputError, Problem


def checked_batch(problem: Problem, method: Method) -> tuple[Problem, bool]:
    """The problem as a batch (an axis added where it was single), and whether it was one."""
    operator = as_operator(problem.operator, method.image_shape)
    operator = jax.tree.map(jnp.asarray, operator)  # on the device once, not again with every chunk
    measurements = jnp.asarray(problem.measurements)
    expected = operator.measurements_like
    if not jnp.issubdtype(measurements.dtype, jnp.inexact):
        measurements = measurements.astype(jnp.float32)
    if jnp.iscomplexobj(measurements) != jnp.issubdtype(expected.dtype, jnp.complexfloating):
        raise InputError(f"measurements are {measurements.dtype}, but the operator's are {expected.dtype}")
    batched = measurements.ndim == len(expected.shape) + 1
    if measurements.shape[batched:] != expected.shape:
        raise InputError(
            f"measurements of shape {measurements.shape} do not fit the operator: "
            f"it makes {expected.shape} per image of shape {operator.image_shape}"
        )
    if operator.batch_size is not None and (not batched or operator.batch_size != measurements.shape[0]):
        raise InputError(
            f"{operator.batch_size} operators for measurements of shape {measurements.shape}: "
            "the leading axes (one per image) must agree"
        )
    _require_finite(measurements, "measurements")
    for leaf in jax.tree.leaves(operator):
        _require_finite(leaf, "operator")
    return Problem(operator, measurements if batched else measurements[None]), batched


def _require_finite(array: Array, name: str) -> None:
    if jnp.issubdtype(array.dtype, jnp.inexact):
        bad = int(_count_non_finite(array))
        if bad:
            raise InputError(f"{name}: {bad} of {array.size} entries are NaN or infinite; remove or replace them")


@jax.jit
def _count_non_finite(array):
    # Row by row: XLA would make a second array of the size of a matrix.
    rows = array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)
    return jnp.sum(jax.lax.map(lambda row: jnp.sum(~jnp.isfinite(row)), rows))
