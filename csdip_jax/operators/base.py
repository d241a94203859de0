"""What every operator is, and what is done with any of them: measuring, and the loss of an image."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import jax.scipy.sparse.linalg

from csdip_jax.types import Array

Shape = tuple[int, int, int]


class Operator:
    """A differentiable map from images to measurements."""

    image_shape: Shape
    unbatched_ndim: ClassVar[dict[str, int]] = {}
    """Data field -> its number of axes in a single operator; one more means a batch of operators."""

    def forward(self, image: Array) -> Array:
        """Measurements [m] (real or complex) of `image` [h, w, c]."""
        raise NotImplementedError

    @property
    def batch_size(self) -> int | None:
        """Number of operators in this batch; None for a single operator."""
        for name, ndim in self.unbatched_ndim.items():
            field = getattr(self, name)
            if field.ndim == ndim + 1:
                return field.shape[0]
        return None

    @property
    def measurements_like(self) -> jax.ShapeDtypeStruct:
        """Shape and dtype of the measurements of one float32 image."""
        image = jax.ShapeDtypeStruct(self.image_shape, jnp.float32)
        single = self if self.batch_size is None else jax.tree.map(lambda leaf: leaf[0], self)
        return jax.eval_shape(lambda operator, x: operator.forward(x), single, image)


class LinearOperator(Operator):
    """An operator with an adjoint: Re <A x, y> = <x, A^H y> for every real image x."""

    def adjoint(self, measurements: Array) -> Array:
        """A^H y, a real image [h, w, c], by transposing `forward` (so the two cannot disagree)."""
        measurements = jnp.asarray(measurements)
        image = jax.ShapeDtypeStruct(self.image_shape, jnp.finfo(measurements.dtype).dtype)
        (transposed,) = jax.linear_transpose(self.forward, image)(measurements.conj())
        return transposed

    def regularized_solve(
        self, image: Array, shift: Array | float, guess: Array | None = None, tolerance: float = 1e-6
    ) -> Array:
        """(A^H A + shift I)^-1 image, [h, w, c] real: exact where A^H A is diagonal in a known basis, else iterative.

        Args:
            image: right-hand side, [h, w, c].
            shift: > 0.
            guess: what conjugate gradients start from, [h, w, c]; exact solutions have no use for it.
            tolerance: they stop at a residual of this, relative to the right-hand side.
        """

        def normal(x):
            return self.adjoint(self.forward(x)) + shift * x

        return jax.scipy.sparse.linalg.cg(normal, image, guess, tol=tolerance)[0]


def measurement_loss(operator: Operator, measurements: Array, image: Array) -> Array:
    """||y - A x||^2."""
    return squared_norm(operator.forward(image) - measurements)


def squared_norm(x: Array) -> Array:
    """||x||^2 of an array of any shape, real or complex."""
    return jnp.sum(jnp.square(x.real) + jnp.square(x.imag))
