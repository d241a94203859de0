"""A @ B: one operator after the other, the right one first."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from csdip_jax.operators import own
from csdip_jax.operators.base import LinearOperator, Operator, Shape
from csdip_jax.operators.functions import Nonlinear, as_partial, is_own
from csdip_jax.operators.stacks import Stack
from csdip_jax.types import Array, InputError, pytree_dataclass


@pytree_dataclass
class Composition(LinearOperator):
    """Two linear operators one after the other, x -> A B x, as `A @ B` makes it.

    B makes an image that A takes, as [h, w, c] or flat; or a stack of them, [..., h, w, c], each of which A measures.
    Where it is complex, A acts on real and imaginary part.

    Attributes:
        outer: A, no composition itself: (A @ B) @ C is kept as A @ (B @ C).
        inner: B.

    Example:
        >>> blur = cs.operators.Blur(np.ones((3, 3)) / 9, (8, 8, 1))
        >>> some = cs.operators.gaussian(jax.random.key(0), 20, (8, 8, 1))
        >>> (some @ blur).forward(np.ones((8, 8, 1))).shape
        (20,)
    """

    outer: LinearOperator
    inner: LinearOperator
    # Rows drawn by the key of the probes would look like them, so it is one that no user is likely to choose.
    probe_seed = 0x5EED_0F_AB

    @property
    def image_shape(self) -> Shape:
        """(h, w, c) of what B takes."""
        return self.inner.image_shape

    @property
    def is_balanced(self) -> bool:
        """Whether both are."""
        return self.outer.is_balanced and self.inner.is_balanced

    @property
    def isometry(self) -> float | None:
        """As `LinearOperator` says: the product of both."""
        outer, inner = self.outer.isometry, self.inner.isometry
        return None if outer is None or inner is None else outer * inner

    @property
    def is_solved_exactly(self) -> bool:
        """Whether one of them is an isometry but for its scale, and the other one is solved exactly."""
        if not self._middle_is_an_image:
            return False
        solved = [self.outer.is_solved_exactly, self.inner.is_solved_exactly]
        return (self.inner.isometry is not None and solved[0]) or (self.outer.isometry is not None and solved[1])

    def forward(self, image: Array) -> Array:
        return _after(self.outer, self.inner.forward(image))

    def adjoint(self, measurements: Array) -> Array:
        """B^H A^H y."""
        if not self._middle_is_an_image:
            return super().adjoint(measurements)
        return self._back(self.outer.adjoint(measurements))

    def residual_and_adjoint(self, measurements: Array, image: Array) -> tuple[Array, Array]:
        """As `LinearOperator` says, in A's own form."""
        if not self._middle_is_an_image:
            return super().residual_and_adjoint(measurements, image)
        middle = self.inner.forward(image).reshape(self.outer.image_shape)
        residual, back = self.outer.residual_and_adjoint(measurements, middle)
        return residual, self._back(back)

    def regularized_solve(
        self, image: Array, shift: Array | float, guess: Array | None = None, tolerance: float = 1e-6
    ) -> Array:
        """As `LinearOperator` says; exact as `is_solved_exactly` says."""
        exact, a, b = self.is_solved_exactly, self.outer.isometry, self.inner.isometry
        if exact and a is not None and self.inner.is_solved_exactly:
            return self.inner.regularized_solve(image / a, shift / a)  # a B^H B + s = a (B^H B + s / a)
        if exact and b is not None:  # B = sqrt(b) Q, so that the inverse is Q^H (b A^H A + s)^-1 Q
            middle = self.inner.forward(image).reshape(self.outer.image_shape)
            return self._back(self.outer.regularized_solve(middle / b**2, shift / b))
        return super().regularized_solve(image, shift, guess, tolerance)

    @property
    def held_together(self) -> int:
        """Those of A, of each image of a stack that B makes."""
        return self.outer.held_together * self._images

    @property
    def may_be_held_out(self) -> Array | None:
        """As A has it."""
        return self.outer.may_be_held_out

    def subset(self, indices: Array) -> LinearOperator:
        """As `Operator` says: those of A, where B makes one image."""
        return Composition(self.outer.subset(indices), self.inner) if self._images == 1 else super().subset(indices)

    def split(self, kept: Array, held: Array) -> tuple[LinearOperator, LinearOperator]:
        """As `Operator` says: as A splits them."""
        of_one = (part[: len(part) // self._images] for part in (kept, held))
        kept_part, held_part = self.outer.split(*of_one)
        return Composition(kept_part, self.inner), Composition(held_part, self.inner)

    def frobenius_norm(self, without: Array | None = None) -> Array:
        """As `LinearOperator` says; as exact as A's where B is an isometry but for its scale, or B's where A is."""
        if self._middle_is_an_image and self.inner.isometry is not None:
            return math.sqrt(self.inner.isometry) * self.outer.frobenius_norm(without)
        if self._middle_is_an_image and self.outer.isometry is not None and without is None:
            return math.sqrt(self.outer.isometry) * self.inner.frobenius_norm()
        return super().frobenius_norm(without)

    def gain(self, frobenius_norm: Array) -> Array:
        """The root mean square norm of the columns, or A's gain times B's where A has one of its own (k-space)."""
        if type(self.outer).gain is LinearOperator.gain:
            return super().gain(frobenius_norm)
        return self.outer.gain(self.outer.frobenius_norm()) * self.inner.gain(self.inner.frobenius_norm())

    @property
    def _middle_is_an_image(self) -> bool:
        """Whether B makes one real image, so that A's own forms serve."""
        middle = self.inner.measurements_like
        is_complex = jnp.issubdtype(middle.dtype, jnp.complexfloating)
        return not is_complex and middle.size == math.prod(self.outer.image_shape)

    @property
    def _images(self) -> int:
        """How many images B makes, complex ones counted once."""
        return self.inner.measurements_like.size // math.prod(self.outer.image_shape)

    def _back(self, middle: Array) -> Array:
        return self.inner.adjoint(middle.reshape(self.inner.measurements_like.shape))


def compose(outer: Operator | Callable, inner: Operator | Callable) -> Operator:
    """A @ B, x -> A (B x): linear if both are, else `Nonlinear`.

    Args:
        outer: A, of the images that B makes: [h, w, c] or flat, or a stack of them, [..., h, w, c], each of which A
            measures; real, or complex for a linear A, which acts on both parts. A plain function takes whatever B
            makes.
        inner: B; a plain function is one of images of A's shape.

    Returns:
        The operator x -> A (B x), of images of B's shape.

    Raises:
        InputError: neither operators nor functions, a stack of operators, or images that do not fit.

    Example:
        >>> blur = cs.operators.Blur(np.ones((3, 3)) / 9, (8, 8, 1))
        >>> magnitudes = cs.operators.compose(jnp.abs, blur)
        >>> type(magnitudes).__name__
        'Nonlinear'
    """
    for operator in (outer, inner):
        if isinstance(operator, Stack):
            raise InputError("A @ B of a stack of operators: compose one of each, Stack(jax.vmap(...)) all")
        if not callable(operator) and not isinstance(operator, Operator):
            raise InputError(f"A @ B of a {type(operator).__name__}: give operators or functions; a matrix as Dense")
    if not isinstance(inner, Operator):
        inner = Nonlinear(inner, outer.image_shape)
    if is_own(inner):
        inner = own.on_device(inner)
        own.require_traceable(inner)
    if not isinstance(outer, Operator):
        return Nonlinear(jax.tree_util.Partial(_function_after, as_partial(outer), inner), inner.image_shape)
    if isinstance(outer, Composition):  # kept from the left, so that A's own forms and gain are found
        return compose(outer.outer, compose(outer.inner, inner))
    _require_fitting(outer, inner)
    if isinstance(outer, LinearOperator) and isinstance(inner, LinearOperator):
        return Composition(outer, inner)
    return Nonlinear(jax.tree_util.Partial(_operator_after, outer, inner), inner.image_shape)


def _require_fitting(outer: Operator, inner: Operator) -> None:
    middle, taken = inner.measurements_like, outer.image_shape
    if middle.shape[-3:] != taken and middle.shape != (math.prod(taken),):
        raise InputError(
            f"A @ B: B makes {middle.shape} of an image, but A takes images of {taken}: it has to make one, flat or "
            "not, or a stack of them with further axes in front"
        )
    if jnp.issubdtype(middle.dtype, jnp.complexfloating) and not isinstance(outer, LinearOperator):
        raise InputError("A @ B: B makes complex images, and A is not linear: write A as a plain function")


def _after(outer: Operator, middle: Array) -> Array:
    """A of an image, or of each of a stack of them one after the other, of both parts where they are complex."""
    if jnp.iscomplexobj(middle):
        real, imaginary = (_after(outer, part) for part in (middle.real, middle.imag))
        return real + 1j * imaginary
    images = middle.reshape(-1, *outer.image_shape)
    return outer.forward(images[0]) if len(images) == 1 else jax.vmap(outer.forward)(images).reshape(-1)


def _operator_after(outer: Operator, inner: Operator, image: Array) -> Array:
    return _after(outer, inner.forward(image))


def _function_after(function: Callable, inner: Operator, image: Array) -> Any:
    return function(inner.forward(image))
