"""Operators in the units that the methods' settings are meant for; `csdip_jax.solve.normalise` makes them."""

import jax.numpy as jnp

from csdip_jax.operators.around import Around
from csdip_jax.operators.base import LinearOperator, Operator
from csdip_jax.types import Array, pytree_dataclass


@pytree_dataclass
class Normalised(Around, LinearOperator):
    """C A / gain, where C = I - (1 - weight) u u^H, u of length 1, is what flat images make under A.

    Rows that share a large mean (patterns of 0 and 1) say the same thing m times over, and little else shows beside it.
    C makes of it a measurement like the others. It can be undone: nothing that was measured is lost.

    Attributes:
        operator: A.
        divisor: > 0, the gain.
        weight: > 0; None where C is the identity.
        direction: u, [m]; None as `weight`.
    """

    operator: LinearOperator
    divisor: Array
    weight: Array | None = None
    direction: Array | None = None

    def subset(self, indices: Array) -> LinearOperator:
        """As `Operator` says: of A, where measurements are not mixed."""
        return super().subset(indices) if self.weight is None else LinearOperator.subset(self, indices)

    def split(self, kept: Array, held: Array) -> tuple[LinearOperator, LinearOperator]:
        """As `Operator` says: as A splits them, where measurements are not mixed."""
        return super().split(kept, held) if self.weight is None else LinearOperator.split(self, kept, held)

    @property
    def is_balanced(self) -> bool:
        """As A has it, or made so."""
        return self.operator.is_balanced or self.weight is not None

    def gain(self, frobenius_norm: Array) -> Array:
        """As A's own, which is about 1 here: what is normalised may be looked at again."""
        return self.operator.gain(self.divisor * frobenius_norm) / self.divisor

    def forward(self, image: Array) -> Array:
        return self._normalised(self.operator.forward(image))

    def adjoint(self, measurements: Array) -> Array:
        return self.operator.adjoint(self._normalised(measurements))

    def residual_and_adjoint(self, measurements: Array, image: Array) -> tuple[Array, Array]:
        """As `LinearOperator` says; A without a weight is read once where it is by its own form."""
        if self.weight is not None:
            return super().residual_and_adjoint(measurements, image)
        gain = self._gain(measurements)
        residual, back = self.operator.residual_and_adjoint(gain * measurements, image)
        return residual / gain, back / gain**2

    def regularized_solve(self, image, shift, guess=None, tolerance=1e-6):
        if not self.operator.is_solved_exactly or self.weight is not None:
            # not those of A: squares of squares would leave float32
            return super().regularized_solve(image, shift, guess, tolerance)
        square = jnp.square(self._gain(image))
        return self.operator.regularized_solve(square * image, square * shift, guess, tolerance)

    def frobenius_norm(self, without: Array | None = None) -> Array:
        """As `LinearOperator` says; as exact as A's own for all of A."""
        if without is not None:
            return super().frobenius_norm(without)
        if self.weight is None or self.direction is None:
            return self.operator.frobenius_norm() / self.divisor
        others, along = self.operator.frobenius_norm(self.direction), self.operator.adjoint(self.direction)
        return jnp.sqrt(jnp.square(others) + jnp.sum(jnp.square(self.weight * along))) / self.divisor

    def _normalised(self, measurements: Array) -> Array:
        """C y / gain."""
        if self.weight is not None and self.direction is not None:
            u = self.direction.astype(measurements.dtype)
            measurements = measurements - (1 - self._gain(measurements, self.weight)) * jnp.vdot(u, measurements) * u
        return measurements / self._gain(measurements)

    def _gain(self, like: Array, number: Array | None = None) -> Array:
        """The gain, or another number, in the precision of what it is multiplied with."""
        return (self.divisor if number is None else number).astype(jnp.finfo(like.dtype).dtype)


@pytree_dataclass
class NormalisedFunction(Around, Operator):
    """f(middle + half u) / gain of an image u in [-1, 1], for functions that are not linear.

    Attributes:
        operator: f.
        divisor: > 0, the gain.
        middle, half: of the user's pixel range.
    """

    operator: Operator
    divisor: Array
    middle: Array
    half: Array

    def forward(self, image: Array) -> Array:
        middle, half = (number.astype(image.dtype) for number in (self.middle, self.half))
        measurements = self.operator.forward(middle + half * image)
        return measurements / self.divisor.astype(jnp.finfo(measurements.dtype).dtype)
