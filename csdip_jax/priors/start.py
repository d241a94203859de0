"""A learned start: the latent and the weights that fits of a network begin with, instead of random ones.

`csdip_jax.learn_start` learns one from the measurements of a few images; no image is looked at.
"""

from typing import Any

import jax
import jax.numpy as jnp

from csdip_jax.checks import require_number
from csdip_jax.types import Array, InputError, pytree_dataclass

FEW_STEPS = {
    "steps": 100,
    "optimizer_name": "adam",
    "momentum": 0.9,
    "decay": 0.999,
    "learning_rate": 0.01,
}
"""Settings of `CsDip` for a fit from a learned start. RMSProp as the paper has it would leave the start with its first
steps, which are ten times as long as the later ones: it does not correct its averages, which begin at zero."""


@pytree_dataclass
class Start:
    """Where fits begin: z and w, from which a new image of the same kind needs few steps.

    Attributes:
        latent: z, as the generator takes it; it is the same for every fit.
        params: w, likewise.
        noise: >= 0, standard deviation of what is added to each tensor of w at the start of a fit, relative to the root
            mean square of the tensor: restarts, and attempts after a collapse, differ by it.

    Example:
        >>> generator = cs.generators.DCGAN((8, 8, 1), cs.generators.dcgan_layers((8, 8, 1), width=8))
        >>> start = cs.priors.Start(*generator.init(jax.random.key(0)))
        >>> method = cs.methods.CsDip((8, 8, 1), generator=generator, learned_start=start, **cs.priors.FEW_STEPS)
        >>> method.steps
        100
    """

    latent: Any
    params: Any
    noise: float = 0.01

    def __post_init__(self):
        require_number("noise", self.noise)


def draw_start(start: Start, key: Array, dtype: Any = jnp.float32) -> tuple[Any, Any]:
    """Latent and weights of one fit, as `Generator.init` draws them.

    Args:
        start: one.
        key: random key of its noise.
        dtype: floating point type of both.
    """
    latent = jax.tree.map(lambda leaf: _as_floating(leaf, dtype), start.latent)
    leaves, structure = jax.tree.flatten(start.params)
    moved = []
    for leaf, own in zip(leaves, jax.random.split(key, len(leaves)), strict=True):
        leaf = _as_floating(leaf, dtype)
        deviation = start.noise * jnp.sqrt(jnp.mean(jnp.square(leaf)))
        moved.append(leaf + deviation * jax.random.normal(own, leaf.shape, dtype))
    return latent, structure.unflatten(moved)


def require_start(start: Start, like: tuple[Any, Any]) -> None:
    """Raises InputError unless the start is of this network.

    Args:
        start: one.
        like: latent and weights of the network, or their shapes.
    """
    if not isinstance(start, Start):
        raise InputError(f"learned_start is a {type(start).__name__}: give what csdip_jax.learn_start learned, or None")
    for name, mine, theirs in zip(("latent", "weights"), (start.latent, start.params), like, strict=True):
        own, wanted = (_described(tree) for tree in (mine, theirs))
        if own != wanted:
            differ = sorted({*own.items()} ^ {*wanted.items()})[0]
            raise InputError(
                f"learned_start is of another network: its {name} differ at {differ[0]}, {own.get(differ[0])} instead "
                f"of {wanted.get(differ[0])}: learn one for this generator"
            )


def _described(tree: Any) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): jnp.shape(leaf) for path, leaf in leaves}


def _as_floating(leaf: Array, dtype: Any) -> Array:
    leaf = jnp.asarray(leaf)
    return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
