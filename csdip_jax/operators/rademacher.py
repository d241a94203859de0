"""Random signs that are never stored."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from csdip_jax.checks import checked_shape, require_key
from csdip_jax.operators.base import Shape
from csdip_jax.operators.dense import require_num_measurements
from csdip_jax.operators.kinds import Kind
from csdip_jax.operators.rows import RowOperator
from csdip_jax.types import Array, pytree_dataclass, static_field

WORD = 32


@pytree_dataclass
class Rademacher(RowOperator):
    """A with independent entries +-1/sqrt(m), drawn anew in each product: no storage, the same A every time.

    `rademacher` makes it of a random key. Row i is made of the bits of a counter-based generator (Threefry) under a key
    of its own, so A is the same on every device and however many rows are taken at once.

    Attributes:
        key: [2] uint32, as `jax.random.key_data` gives it.
        num_measurements: m.
        image_shape: (h, w, c).
    """

    key: Array
    num_measurements: int = static_field()
    image_shape: Shape = static_field()

    def __post_init__(self):
        require_num_measurements(self.num_measurements, self.image_shape)

    def rows(self, first: Array | int, size: int, dtype: Any) -> Array:
        pixels = math.prod(self.image_shape)
        key = jax.random.wrap_key_data(self.key, impl="threefry2x32")

        def words(row):
            return jax.random.bits(jax.random.fold_in(key, row), (-(-pixels // WORD),), jnp.uint32)

        drawn = jax.vmap(words)(first + jnp.arange(size))
        bits = (drawn[:, :, None] >> jnp.arange(WORD, dtype=jnp.uint32)) & 1
        signs = 1 - 2 * bits.reshape(size, -1)[:, :pixels].astype(dtype)
        return signs / jnp.sqrt(jnp.asarray(self.num_measurements, dtype))


def rademacher(key: Array, num_measurements: int, image_shape: Shape) -> Rademacher:
    """Random signs +-1/sqrt(m), of the mean and variance of the entries of `gaussian`, that take no memory.

    Args:
        key: random key.
        num_measurements: m >= 1; more than the n = h w c pixels are allowed.
        image_shape: (h, w, c).

    Raises:
        InputError: m out of range, or a key of `jax.random.PRNGKey`.

    Example:
        >>> operator = cs.operators.rademacher(jax.random.key(0), 20, (8, 8, 1))
        >>> operator.forward(np.ones((8, 8, 1))).shape
        (20,)
    """
    require_key(key)
    # Bits of the key, whatever generator it is of: Threefry's own keys are two words.
    return Rademacher(jax.random.bits(key, (2,), jnp.uint32), num_measurements, checked_shape(image_shape))


RADEMACHER = Kind(
    name="rademacher",
    label="Rademacher",
    about="random signs, drawn anew in each product: no matrix",
    draw=rademacher,
    prefix="rademacher-m",
    toy=101,
)
