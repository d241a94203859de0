"""Some of an operator's measurements: a part that a fit is given, and a part that is held out to judge it by."""

from typing import Any

import jax
import jax.numpy as jnp

from csdip_jax.operators.base import LinearOperator, Operator, Shape
from csdip_jax.operators.rows import RowOperator
from csdip_jax.types import Array, pytree_dataclass


@pytree_dataclass
class Subset(LinearOperator):
    """Some of the measurements of a linear operator, y = (A x)[indices]; `Operator.subset` makes it where it is best.

    Nothing of A is copied. Where the operator of the left out measurements is known, A's own one pass serves: they are
    taken to be what the image makes of them, so that they leave no residual.

    Attributes:
        operator: A.
        indices: [k], into its measurements, flat.
        left_out: [m - k], the others; None where they do not matter.
        of_left_out: the operator of these.

    Example:
        >>> operator = cs.operators.gaussian(jax.random.key(0), 20, (8, 8, 1))
        >>> some = cs.operators.Subset(operator, jnp.asarray([0, 3, 5]))
        >>> some.forward(np.ones((8, 8, 1))).shape
        (3,)
    """

    operator: LinearOperator
    indices: Array
    left_out: Array | None = None
    of_left_out: LinearOperator | None = None

    @property
    def image_shape(self) -> Shape:
        """As A has it."""
        return self.operator.image_shape

    @property
    def is_balanced(self) -> bool:
        """As A has it."""
        return self.operator.is_balanced

    @property
    def may_be_held_out(self) -> Array | None:
        """As A has it."""
        of_all = self.operator.may_be_held_out
        return None if of_all is None or self.operator.held_together > 1 else of_all[self.indices]

    def forward(self, image: Array) -> Array:
        return self.operator.forward(image).reshape(-1)[self.indices]

    def residual_and_adjoint(self, measurements: Array, image: Array) -> tuple[Array, Array]:
        """As `LinearOperator` says, in A's own form where what is left out is known."""
        if self.left_out is None or self.of_left_out is None:
            return super().residual_and_adjoint(measurements, image)
        like = self.operator.measurements_like
        made = self.of_left_out.forward(image)
        whole = jnp.zeros(like.size, jnp.result_type(made, measurements))
        whole = whole.at[self.indices].set(measurements).at[self.left_out].set(made)
        residual, back = self.operator.residual_and_adjoint(whole.reshape(like.shape), image)
        return residual.reshape(-1)[self.indices], back

    def gain(self, frobenius_norm: Array) -> Array:
        """A's own where it has one (k-space, pixels)."""
        if type(self.operator).gain is LinearOperator.gain:
            return super().gain(frobenius_norm)
        return self.operator.gain(frobenius_norm)


@pytree_dataclass
class SubsetOfFunction(Operator):
    """Some of the measurements of an operator that is not linear.

    Attributes:
        operator: f.
        indices: [k], into its measurements, flat.
    """

    operator: Operator
    indices: Array

    @property
    def image_shape(self) -> Shape:
        """As f has it."""
        return self.operator.image_shape

    def forward(self, image: Array) -> Array:
        return self.operator.forward(image).reshape(-1)[self.indices]


@pytree_dataclass
class PickedRows(RowOperator):
    """Some of the rows of a `RowOperator`, made one by one: no more work than they are worth.

    Attributes:
        operator: A.
        indices: [k], of its rows.
    """

    operator: RowOperator
    indices: Array

    @property
    def image_shape(self) -> Shape:
        """As A has it."""
        return self.operator.image_shape

    @property
    def num_measurements(self) -> int:
        """How many rows are picked."""
        return self.indices.shape[-1]

    def rows(self, first: Array | int, size: int, dtype: Any) -> Array:
        picked = jax.lax.dynamic_slice_in_dim(self.indices, first, size)
        return jax.vmap(lambda row: self.operator.rows(row, 1, dtype)[0])(picked)


def without_copies(operator: RowOperator, kept: Array, held: Array) -> tuple[LinearOperator, LinearOperator]:
    """The two parts of a matrix as `Operator.split` says: of what is kept no row is copied.

    Args:
        operator: A.
        kept: [k], of its rows.
        held: [m - k], the others.
    """
    of_held = operator.subset(held)
    return Subset(operator, kept, held, of_held), of_held
