"""How the weights of a network of many layers are drawn: all at once, from a plan of their shapes and spreads."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from csdip_jax.types import Array


class Draw(NamedTuple):
    """One tensor of weights, uniform in [mean - spread, mean + spread].

    Attributes:
        shape: of the tensor.
        spread: half the width; 0 for a constant, which takes no part of the draw.
        mean: the middle.
    """

    shape: tuple[int, ...]
    spread: float = 0.0
    mean: float = 0.0


def draw_plan(key: Array, plan: Any, dtype: Any = jnp.float32) -> Any:
    """Weights as planned.

    One draw for all, cut into pieces: a draw per tensor would take longer to compile than a whole fit step.

    Args:
        key: random key.
        plan: pytree whose leaves are `Draw`.
        dtype: floating point type of the weights.

    Returns:
        The same pytree of arrays.
    """
    leaves, tree = jax.tree.flatten(plan, is_leaf=lambda node: isinstance(node, Draw))
    sizes = [math.prod(leaf.shape) if leaf.spread else 0 for leaf in leaves]
    uniform = jax.random.uniform(key, (sum(sizes),), dtype, minval=-1.0)
    pieces = jnp.split(uniform, np.cumsum(sizes)[:-1])
    drawn = [
        leaf.mean + leaf.spread * piece.reshape(leaf.shape) if leaf.spread else jnp.full(leaf.shape, leaf.mean, dtype)
        for leaf, piece in zip(leaves, pieces, strict=True)
    ]
    return jax.tree.unflatten(tree, drawn)


def kernel_plan(*shape: int) -> Draw:
    """A kernel [..., in, out] as PyTorch draws it for a convolution: bound 1 / sqrt(inputs x taps).

    Example:
        >>> from csdip_jax.generators.drawing import kernel_plan
        >>> kernel_plan(3, 3, 16, 8)
        Draw(shape=(3, 3, 16, 8), spread=0.08333333333333333, mean=0.0)
    """
    return Draw(shape, 1 / math.sqrt(math.prod(shape[:-1])))


def norm_plan(channels: int) -> dict[str, Draw]:
    """The weights of a BatchNorm as it starts: scale 1, shift 0."""
    return {"scale": Draw((channels,), mean=1.0), "shift": Draw((channels,))}
