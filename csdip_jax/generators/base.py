"""What a generator is: a network that makes an image of a latent and of weights, both of which it draws."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from csdip_jax.checks import checked_shape, require
from csdip_jax.types import Array, pytree_dataclass, static_field


@pytree_dataclass
class Generator:
    """The contract: a frozen dataclass of settings with two pure functions of ONE image.

    Latent and weights are pytrees of any shapes: a vector, a noise image, coordinates. Which of the two a fit moves is
    the method's choice. Settings are static where they change the program, and trained weights are data.

    Attributes:
        image_shape: (h, w, c) of the images it makes.
        name: that it is asked for by; "" for one that is no choice by itself.
        needs_weights: whether it is of use only with weights that were trained before.

    Example:
        >>> generator = DCGAN((28, 28, 1))
        >>> latent, params = generator.init(jax.random.key(0))
        >>> image = generator.apply(params, latent)
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
        """(latent, params), drawn; of floating point type `dtype`."""
        raise NotImplementedError

    def apply(self, params: Any, latent: Any) -> Array:
        """The image [h, w, c], in (-1, 1)."""
        raise NotImplementedError

    @property
    def params_like(self) -> Any:
        """Shapes of the weights."""
        return jax.eval_shape(lambda key: self.init(key)[1], jax.random.key(0))


def require_image(generator: Generator, image_shape: tuple[int, int, int]) -> None:
    """Raises InputError unless the generator is one, of images of this shape."""
    require(isinstance(generator, Generator), "generator", type(generator).__name__, "one of csdip_jax.generators")
    made = generator.image_shape
    require(made == image_shape, "image_shape", image_shape, f"its generator's, {made}")
