"""Phase retrieval: only the sizes of the measurements are known, y = |A x|."""

import math

import jax.numpy as jnp

from csdip_jax.checks import require, require_number
from csdip_jax.operators.around import Around
from csdip_jax.operators.base import LinearOperator, Operator, Shape
from csdip_jax.operators.dense import gaussian
from csdip_jax.operators.kinds import Kind, of_a_matrix
from csdip_jax.types import Array, pytree_dataclass, static_field


@pytree_dataclass
class Magnitude(Around, Operator):
    """y = |A (x - black)|, entry by entry: it is not linear and has no adjoint.

    Without `black`, x and -x would measure alike; pixels from `black` on are of one sign.

    Attributes:
        operator: A, real or complex.
        black: the lowest pixel value there may be.

    Raises:
        InputError: an A that is not linear, or a black that is no number.

    Example:
        >>> operator = cs.operators.Magnitude(cs.operators.gaussian(jax.random.key(1), 100, (8, 8, 1)))
        >>> operator.forward(jnp.zeros((8, 8, 1))).shape
        (100,)
    """

    operator: LinearOperator
    black: float = static_field(-1.0)

    def __post_init__(self):
        is_linear = isinstance(self.operator, LinearOperator)
        require(is_linear, "operator", type(self.operator).__name__, "a linear operator")
        require_number("black", self.black, lowest=-math.inf)

    def forward(self, image: Array) -> Array:
        """|A (x - black)|, real, of the shape of A's measurements."""
        return jnp.abs(self.operator.forward(image - self.black))


def _of_gaussian(key: Array, num_measurements: int, image_shape: Shape, dtype: str = "float32") -> Magnitude:
    return Magnitude(gaussian(key, num_measurements, image_shape, dtype))


PHASE_RETRIEVAL = Kind(
    name="phase_retrieval",
    label="|Gaussian|",
    about="the sizes of the products with a dense random matrix, without their signs; not linear",
    draw=_of_gaussian,
    prefix="phase-m",
    toy=30,
    takes_dtype=True,
    is_linear=False,
    matrix_bytes=of_a_matrix,
)
