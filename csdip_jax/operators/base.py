"""What every operator is, and what is done with any of them: measuring, and the loss of an image."""

import math
from collections.abc import Callable
from functools import wraps

import jax
import jax.numpy as jnp
import jax.scipy.sparse.linalg

from csdip_jax.checks import as_floating
from csdip_jax.switches import without_switches
from csdip_jax.types import Array, InputError

PROBES = 16

Shape = tuple[int, int, int]
"""(h, w, c) of an image: rows, columns, channels; c = 1 for grey."""

TAKEN = {
    "forward": ("image",),
    "adjoint": ("measurements",),
    "residual_and_adjoint": ("measurements", "image"),
    "normal": ("image",),
    "regularized_solve": ("image",),
}
"""What the methods of an operator take, in this order: whatever holds numbers (`as_floating`)."""


def _of_numbers(method: Callable, names: tuple[str, ...]) -> Callable:
    """The method, of images and measurements in whatever holds numbers."""

    def array(operator, name, values):
        if name not in names:
            return values
        values = as_floating(values, name, real=name == "image")
        if name == "image" and values.shape != operator.image_shape:
            raise InputError(
                f"image of shape {values.shape}, but the operator's images are {operator.image_shape}: of a batch give "
                "one at a time, or use jax.vmap"
            )
        return values

    @without_switches
    @wraps(method)
    def taking(self, *values, **named):
        values = [array(self, *pair) for pair in zip(names, values, strict=False)] + list(values[len(names) :])
        return method(self, *values, **{name: array(self, name, value) for name, value in named.items()})

    return taking


class Operator:
    """A differentiable map from ONE image to its measurements.

    An operator of your own that is not linear is a `pytree_dataclass` derived from this class, with `image_shape` and
    `forward`; or simply the function itself. For a linear one derive from `LinearOperator`. `A @ B` is one after the
    other, B first, see `compose`.

    Attributes:
        image_shape: (h, w, c) of the images that it measures.

    Example:
        >>> @cs.pytree_dataclass
        ... class Magnitudes(cs.operators.Operator):
        ...     matrix: jax.Array
        ...     image_shape: cs.operators.Shape = cs.static_field()
        ...
        ...     def forward(self, image):
        ...         return jnp.abs(self.matrix @ image.reshape(-1))
        >>> operator = Magnitudes(jnp.ones((3, 4)), (2, 2, 1))
        >>> operator.forward(np.ones((2, 2, 1))).tolist()
        [4.0, 4.0, 4.0]
    """

    image_shape: Shape

    def __init_subclass__(cls, **options):
        # Here, so that no operator, a user's neither, has to see to it.
        super().__init_subclass__(**options)
        for name in TAKEN.keys() & vars(cls).keys():
            setattr(cls, name, _of_numbers(vars(cls)[name], TAKEN[name]))

    def forward(self, image: Array) -> Array:
        """The measurements of an image, A x; an operator of your own defines this.

        Args:
            image: x, [h, w, c]. Any type of numbers is taken: they are floating point when this is called.

        Returns:
            [m], real or complex (an operator of your own may give any shape). Write it with `jax.numpy`.
        """
        raise NotImplementedError

    def __matmul__(self, inner: "Operator | Callable") -> "Operator":
        from csdip_jax.operators.compositions import compose  # which is made of operators

        return compose(self, inner)

    def __rmatmul__(self, outer: Callable) -> "Operator":
        from csdip_jax.operators.compositions import compose

        return compose(outer, self)

    __array_ufunc__ = None  # NumPy's arrays leave @ to the operator

    @property
    def held_together(self) -> int:
        """c, where measurements i, i + m / c, i + 2 m / c ... are held out together or not at all, as channels are."""
        return 1

    @property
    def may_be_held_out(self) -> Array | None:
        """Which of its measurements a fit can do without, bool [m / c], see `held_together`; None for all of them."""
        return None

    def subset(self, indices: Array) -> "Operator":
        """The operator of some of the measurements alone, in a form of its own where one is known.

        Args:
            indices: [k] whole numbers into the measurements, flat; they may be traced.
        """
        from csdip_jax.operators.subsets import SubsetOfFunction

        return SubsetOfFunction(self, indices)

    def split(self, kept: Array, held: Array) -> "tuple[Operator, Operator]":
        """The operators of two parts of the measurements, of which the first is fitted to, and the second smaller.

        Args:
            kept: [k] whole numbers into the measurements, flat, in their order.
            held: [m - k], the others; as `held_together` and `may_be_held_out` ask.
        """
        return self.subset(kept), self.subset(held)

    @property
    def measurements_like(self) -> jax.ShapeDtypeStruct:
        """Shape and dtype of the measurements of one float32 image."""
        image = jax.ShapeDtypeStruct(self.image_shape, jnp.float32)
        return jax.eval_shape(lambda operator, x: operator.forward(x), self, image)


class LinearOperator(Operator):
    """An operator with an adjoint: Re <A x, y> = <x, A^H y> for every real image x.

    A linear operator of your own is a `pytree_dataclass` derived from this class. `image_shape` and `forward` are all
    that it needs; the rest follows from them by JAX's transposition. Where a faster way is known, it may replace
    `adjoint`, `residual_and_adjoint` (which every method rests on) or `regularized_solve` (which TV rests on).

    Attributes:
        image_shape: (h, w, c) of the images that it measures.
        is_balanced: whether flat images are to weigh as much in A x as they do (samples of k-space, say). If not, and
            they stand out, as rows of 0 and 1 make them, they are given the weight of one measurement.
        probe_seed: of the random images by which norms are estimated.

    Example:
        >>> @cs.pytree_dataclass
        ... class RowSums(cs.operators.LinearOperator):
        ...     image_shape: cs.operators.Shape = cs.static_field()
        ...
        ...     def forward(self, image):
        ...         return image.sum(axis=(1, 2))
        >>> operator = RowSums((2, 3, 1))
        >>> operator.forward(np.ones((2, 3, 1))).tolist()
        [3.0, 3.0]
        >>> operator.adjoint(np.asarray([1.0, 2.0]))[..., 0].tolist()
        [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]
    """

    is_balanced = False
    probe_seed = 0

    @property
    def isometry(self) -> float | None:
        """c > 0 where A^H A = A A^H = c I by its form alone, else None."""
        return None

    @property
    def is_solved_exactly(self) -> bool:
        """Whether `regularized_solve` is exact."""
        return type(self).regularized_solve is not LinearOperator.regularized_solve

    def adjoint(self, measurements: Array) -> Array:
        """A^H y, by transposing `forward`, so that the two cannot disagree.

        Args:
            measurements: y, of the shape that `forward` gives.

        Returns:
            A real image, [h, w, c].

        Raises:
            InputError: measurements of another shape, or complex ones where A makes real ones.
        """
        image = jax.ShapeDtypeStruct(self.image_shape, jnp.finfo(measurements.dtype).dtype)
        like = jax.eval_shape(self.forward, image)
        if measurements.shape != like.shape or (jnp.iscomplexobj(measurements) and not jnp.iscomplexobj(like)):
            raise InputError(
                f"measurements {measurements.dtype} of shape {measurements.shape}, but the operator's are {like.dtype} "
                f"of shape {like.shape}"
            )
        image = image.update(dtype=jnp.finfo(jnp.result_type(measurements, like)).dtype)
        like = jax.eval_shape(self.forward, image)
        (transposed,) = jax.linear_transpose(self.forward, image)(measurements.conj().astype(like.dtype))
        return transposed

    def subset(self, indices: Array) -> "LinearOperator":
        """As `Operator` says, linear."""
        from csdip_jax.operators.subsets import Subset

        return Subset(self, indices)

    def split(self, kept: Array, held: Array) -> "tuple[LinearOperator, LinearOperator]":
        """As `Operator` says, linear."""
        return self.subset(kept), self.subset(held)

    def frobenius_norm(self, without: Array | None = None) -> Array:
        """The root of the sum of `|A_ij|^2`, estimated by A of random signs, always the same.

        Args:
            without: u, [m], of length 1: of (I - u u^H) A instead; None for A.
        """

        def energy(key):
            made = self.forward(jax.random.rademacher(key, self.image_shape, jnp.float32))
            return squared_norm(made if without is None else made - jnp.vdot(without, made) * without)

        return jnp.sqrt(jnp.mean(jax.lax.map(energy, jax.random.split(jax.random.key(self.probe_seed), PROBES))))

    def gain(self, frobenius_norm: Array) -> Array:
        """What A is divided by before a method sees it: the root mean square norm of its columns.

        See docs: Units and ranges.

        Args:
            frobenius_norm: of A, as the method of this name gives it.
        """
        return frobenius_norm / math.sqrt(math.prod(self.image_shape))

    def residual_and_adjoint(self, measurements: Array, image: Array) -> tuple[Array, Array]:
        """What the image leaves unexplained, and which way to change it: -2 A^H r is the gradient of `||y - A x||^2`.

        Args:
            measurements: y, of the shape that `forward` gives.
            image: x, [h, w, c].

        Returns:
            r = y - A x, as y, and A^H r, [h, w, c].
        """
        residual = measurements - self.forward(image)
        return residual, self.adjoint(residual)

    def normal(self, image: Array) -> Array:
        """A^H A x.

        Args:
            image: x, [h, w, c].

        Returns:
            A real image, [h, w, c].
        """
        none = self.measurements_like
        return -self.residual_and_adjoint(jnp.zeros(none.shape, none.dtype), image)[1]

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

        def shifted(x):
            return self.normal(x) + shift * x

        dtype = jax.eval_shape(shifted, image).dtype  # of the wider of operator and image
        guess = guess if guess is None else guess.astype(dtype)
        return jax.scipy.sparse.linalg.cg(shifted, image.astype(dtype), guess, tol=tolerance)[0]


def measurement_loss(operator: Operator, measurements: Array, image: Array) -> Array:
    """The measurement loss `||y - A x||^2`, which all methods make small.

    A linear operator's gradient comes along with its value (`LinearOperator.residual_and_adjoint`). To be
    differentiated in reverse mode first, and under jit: elsewhere the derivative by the operator is computed too.

    Args:
        operator: A.
        measurements: y, as A makes it of one image.
        image: x, [h, w, c].

    Returns:
        A real scalar.
    """
    loss = _linear_loss if isinstance(operator, LinearOperator) else _loss
    return loss(operator, measurements, image)


def _loss(operator, measurements, image):
    return squared_norm(measurements - operator.forward(image))


_linear_loss = jax.custom_vjp(_loss)


def _loss_forward(operator, measurements, image):
    residual, back = operator.residual_and_adjoint(measurements, image)
    return squared_norm(residual), (operator, measurements, image, -2 * back)


def _loss_backward(saved, cotangent):
    operator, measurements, image, gradient = saved
    # Nothing where no one asks for it, under jit.
    _, pull = jax.vjp(lambda a, y: _loss(a, y, image), operator, measurements)
    return (*pull(cotangent), cotangent * gradient)


_linear_loss.defvjp(_loss_forward, _loss_backward)


def squared_norm(x: Array) -> Array:
    """`||x||^2`, the sum of the squared moduli of all entries.

    Args:
        x: of any shape, real or complex.

    Returns:
        A real scalar.
    """
    return jnp.sum(jnp.square(x.real) + jnp.square(x.imag))
