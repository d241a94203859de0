"""Measurements that a fit is not given: they tell what its image is worth, and decide in place of a true image.

Ward: Compressed sensing with cross validation, IEEE Trans. Inf. Theory 55(12), 2009 (arXiv 0803.1845).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from csdip_jax.checks import as_floating, require_key
from csdip_jax.methods.base import Method
from csdip_jax.operators import Operator, Stack, form_of, squared_norm
from csdip_jax.operators.functions import as_operator_or_stack
from csdip_jax.rules import HELD_OUT_LOSS
from csdip_jax.types import Array, InputError, Problem

LEAST = 5
"""Measurements that have to be held out: the mean square of so many is known to two thirds."""

OF_HELD_OUT = 2**32 - 2
"""Folded into an image's key for the key of what it holds out: no restart has so high a number."""


class Parts(NamedTuple):
    """Which of its measurements an image's fits are given; a leading axis makes a batch.

    Attributes:
        kept: [m - h], indices into y, flat.
        held: [h], those that are held out.
    """

    kept: Array
    held: Array


def hold_out(problem: Problem, share: float, key: Array) -> tuple[Problem, Problem]:
    """Splits a problem into one to fit to and one to judge by, of a share of the measurements, drawn at random.

    Units, noise and y stay as they are. What has to be kept is kept: the centre of k-space, say. Samples of several
    channels or coils are held out together.

    Args:
        problem: of one image, or a batch, which gives up the same measurements of each image unless each has an
            operator of its own.
        share: in (0, 1), of the measurements.
        key: random key.

    Returns:
        The problem to fit to, and the one held out, of `round(share * m)` measurements.

    Raises:
        InputError: a share out of range, or one that holds out fewer than 5 measurements or more than there may be.

    Example:
        >>> operator = cs.operators.gaussian(jax.random.key(0), 200, (16, 16, 1))
        >>> problem = cs.Problem(operator, operator.forward(jnp.zeros((16, 16, 1))))
        >>> training, held = cs.hold_out(problem, 0.1, jax.random.key(1))
        >>> training.measurements.shape, held.measurements.shape
        ((180,), (20,))
    """
    require_key(key)
    y = as_floating(problem.measurements, "measurements")
    operator = as_operator_or_stack(problem.operator, form_of(problem.operator).image_shape, y.shape)
    like = operator.measurements_like
    if isinstance(operator, Stack):
        parts = draw(operator, share, jax.random.split(key, operator.size))
        kept, held = (Stack(part) for part in jax.vmap(lambda a, p: a.split(*p))(operator.operator, parts))
    else:
        parts = jax.tree.map(lambda x: x[0], draw(operator, share, key[None]))
        kept, held = operator.split(*parts)
    y = y.reshape(*y.shape[: y.ndim - len(like.shape)], like.size)
    of_kept, of_held = (
        jnp.take_along_axis(y, indices, axis=-1) if indices.ndim > 1 else y[..., indices] for indices in parts
    )
    return Problem(kept, of_kept), Problem(held, of_held)


def draw(operator: Operator | Stack, share: float, keys: Array) -> Parts:
    """The parts of each image, each drawn by its key, [b].

    Args:
        operator: one for all, or a stack, of which each serves the next equally many images.
        share: in (0, 1).
        keys: [b].
    """
    form = form_of(operator)
    together, size = form.held_together, operator.measurements_like.size
    if not 0 < share < 1:
        raise InputError(f"hold_out = {share}: it must be a number between 0 and 1, a share of the measurements")
    count = round(share * size / together)
    if count * together < LEAST:
        needed = LEAST / size
        remedy = f"give at least {needed:.2g}" if needed < 0.5 else f"m = {size} measurements are too few for it"
        raise InputError(f"hold_out = {share}: {count * together} of {size} measurements tell too little: {remedy}")
    allowed = form.may_be_held_out
    if isinstance(operator, Stack) and allowed is not None:
        allowed = jax.vmap(lambda one: one.may_be_held_out)(operator.operator)
    allowed = np.ones((1, size // together), bool) if allowed is None else np.atleast_2d(allowed)
    if allowed.sum(-1).min() < count or count == size // together:
        most = int(allowed.sum(-1).min()) * together
        raise InputError(f"hold_out = {share}: {count * together} of {size} measurements, where {most} can be spared")
    served = np.arange(len(keys)) * len(allowed) // len(keys)
    return _drawn(keys, jnp.asarray(allowed[served]), count, together)


@partial(jax.jit, static_argnames=("count", "together"))
def _drawn(keys: Array, allowed: Array, count: int, together: int) -> Parts:
    """`count` groups of measurements that are allowed, each of `together`, and the rest, of each image."""

    def of_one(key, allowed):
        order = jnp.argsort(jnp.where(allowed, jax.random.uniform(key, allowed.shape), 2.0))
        offsets = allowed.size * jnp.arange(together)[:, None]
        return Parts(*((jnp.sort(part) + offsets).reshape(-1) for part in (order[count:], order[:count])))

    return jax.vmap(of_one)(keys, allowed)


def parts_of(problem: Problem, parts: Parts) -> tuple[Problem, Problem]:
    """The problem of one image to fit to, and the one that is held out."""
    kept, held = problem.operator.split(*parts)
    y = problem.measurements.reshape(-1)
    return Problem(kept, y[parts.kept]), Problem(held, y[parts.held])


def residual_of(held: Problem, image: Array) -> Array:
    """What an image [h, w, c] leaves of the held out measurements, y - A x, [h]."""
    return (held.measurements - held.operator.forward(image)).reshape(-1)


def decide(method: Method) -> bool:
    """Whether they choose an image of a fit, or between restarts.

    Then every second one chooses, and the others tell the error: by the same ones it would come out too small. (A tiny
    network, three restarts, 32 of 400 measurements: by 40 %, and below the true error in 19 % of all cases.)
    """
    return method.stop is not None or method.restarts > 1 or method.keeper.by == HELD_OUT_LOSS


def halves(held_out: Any) -> tuple[Any, Any]:
    """Of held out measurements, or of what is left of them, [h]: those that choose where they `decide`, and the others.

    The others tell the error then.
    """
    return held_out[::2], held_out[1::2]


def that_choose(method: Method, held_out: Array) -> Array:
    """Those that rules see."""
    return halves(held_out)[0] if decide(method) else held_out


def that_tell(method: Method, held_out: Array) -> Array:
    """Those that tell the error."""
    return halves(held_out)[1] if decide(method) else held_out


def held_out_loss(residual: Array) -> Array:
    """The mean square of the moduli."""
    return squared_norm(residual) / residual.size
