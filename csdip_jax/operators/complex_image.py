"""Complex images, as those of MRI and optics, which methods see as real ones of twice the channels."""

import jax
import jax.numpy as jnp

from csdip_jax.checks import checked_shape, require
from csdip_jax.operators.base import LinearOperator, Shape
from csdip_jax.types import Array, pytree_dataclass, static_field


@pytree_dataclass
class ComplexImage(LinearOperator):
    """x + i y of the real image [h, w, 2 c] whose first c channels are x and whose last c are y.

    Put it first: `A @ ComplexImage(...)` measures a complex image by a linear A of images [h, w, c]. Its `adjoint` is
    the way back, from the flat complex image to the channels.

    Attributes:
        image_shape: (h, w, 2 c). The measurements are complex, [h w c].

    Raises:
        InputError: an odd number of channels.

    Example:
        >>> mask = np.arange(8) % 2 * np.ones((8, 1))
        >>> operator = cs.operators.cartesian_fourier(mask, (8, 8, 1)) @ cs.operators.ComplexImage((8, 8, 2))
        >>> channels = cs.operators.ComplexImage((8, 8, 2)).adjoint(np.exp(1j * np.arange(64)))
        >>> operator.forward(channels).shape
        (32,)
    """

    image_shape: Shape = static_field()
    is_balanced = True

    def __post_init__(self):
        object.__setattr__(self, "image_shape", checked_shape(self.image_shape))
        channels = self.image_shape[2]
        require(channels % 2 == 0, "channels", channels, "even: real parts, then as many imaginary ones")

    def forward(self, image: Array) -> Array:
        real, imaginary = jnp.split(image, 2, axis=-1)
        return jax.lax.complex(real, imaginary).reshape(-1)

    def gain(self, frobenius_norm: Array) -> Array:
        """1: pixels are what they are; `frobenius_norm` does not matter."""
        return jnp.ones(())

    @property
    def isometry(self) -> float:
        """1: only another way to write the same numbers."""
        return 1.0
