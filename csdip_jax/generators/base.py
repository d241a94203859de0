"""What a generator is: a network that makes an image of a latent and of weights, both of which it draws."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from csdip_jax.checks import checked_shape, require
from csdip_jax.types import Array, pytree_dataclass, static_field


@pytree_dataclass
class Generator:
    """What every generator is: a frozen dataclass of settings with two pure functions of ONE image, `init` and `apply`.

    One of your own is a `pytree_dataclass` derived from this class; any library of networks serves, or none. Latent and
    weights are pytrees of any shapes: a vector, a noise image, coordinates. Which of the two a fit moves is the
    method's choice. Settings are static where they change the program, and trained weights are data.

    Attributes:
        image_shape: (h, w, c) of the images it makes.
        name: that it is asked for by; "" for one that is no choice by itself.
        needs_weights: whether it is of use only with weights that were trained before.

    Example:
        >>> @cs.pytree_dataclass
        ... class OneLayer(cs.generators.Generator):
        ...     def init(self, key, dtype=jnp.float32):
        ...         keys, (h, w, c) = jax.random.split(key), self.image_shape
        ...         latent = jax.random.normal(keys[0], (h, w, 8), dtype)
        ...         return latent, jax.random.normal(keys[1], (8, c), dtype)
        ...
        ...     def apply(self, params, latent):
        ...         return jnp.tanh(latent @ params)
        >>> generator = OneLayer((8, 8, 1))
        >>> latent, params = generator.init(jax.random.key(0))
        >>> generator.apply(params, latent).shape
        (8, 8, 1)
        >>> method = cs.methods.CsDip((8, 8, 1), generator=generator)
    """

    image_shape: tuple[int, int, int] = static_field()
    name: ClassVar[str] = ""
    needs_weights: ClassVar[bool] = False

    def __post_init__(self):
        object.__setattr__(self, "image_shape", checked_shape(self.image_shape))

    @property
    def trained(self) -> Any:
        """Weights that were trained before, which `init` gives as they are; None for a network that draws its own."""
        return None

    def init(self, key: Array, dtype: Any = jnp.float32) -> tuple[Any, Any]:
        """Draws the latent and the weights.

        Args:
            key: random key.
            dtype: their floating point type.

        Returns:
            latent, params: pytrees of any shapes.
        """
        raise NotImplementedError

    def apply(self, params: Any, latent: Any) -> Array:
        """The image that these make.

        Args:
            params: the weights, as `init` gives them.
            latent: likewise.

        Returns:
            [h, w, c], in (-1, 1).
        """
        raise NotImplementedError

    @property
    def params_like(self) -> Any:
        """Shapes and types of the weights, a pytree."""
        return jax.eval_shape(lambda key: self.init(key)[1], jax.random.key(0))


def middle(x: Array, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Where the centre of x [h', w', ...] is that has the sides (h, w) and the channels of an image shape (h, w, c)."""
    starts = [(have - need) // 2 for have, need in zip(x.shape[:2], shape[:2], strict=True)]
    rows, columns = (slice(start, start + side) for start, side in zip(starts, shape[:2], strict=True))
    return rows, columns, slice(shape[2])


def require_image(generator: Generator, image_shape: tuple[int, int, int]) -> None:
    """Raises InputError unless the generator is one, of images of this shape."""
    require(isinstance(generator, Generator), "generator", type(generator).__name__, "one of csdip_jax.generators")
    made = generator.image_shape
    require(made == image_shape, "image_shape", image_shape, f"its generator's, {made}")
