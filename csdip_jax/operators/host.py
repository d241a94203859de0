"""Operators of other libraries, which compute on the host: SciPy's LinearOperator and pylops, in and out."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
import scipy.sparse.linalg
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from csdip_jax.checks import as_floating, checked_shape
from csdip_jax.operators import own
from csdip_jax.operators.base import LinearOperator, Shape
from csdip_jax.operators.stacks import Stack
from csdip_jax.types import Array, InputError, pytree_dataclass, static_field

NARROW = ("float32", "complex64")
"""Dtypes of an operator that is given single precision; any other is given double."""


@pytree_dataclass
class HostOperator(LinearOperator):
    """The matvec and rmatvec of another library, called on the host in each product; `from_scipy` makes one.

    It has no arrays that JAX sees: it belongs to the program, which is compiled anew for each.

    Attributes:
        products: a SciPy LinearOperator, [m, n]; column j multiplies pixel j of `image.reshape(-1)`.
        image_shape: (h, w, c) with h w c = n.
        is_complex: whether A x of a real x is.
        mark: a number that the next matrix has another of, by which a checkpoint knows to which it belongs.
    """

    products: scipy.sparse.linalg.LinearOperator = static_field()
    image_shape: Shape = static_field()
    is_complex: bool = static_field(False)
    mark: float = static_field(0.0)

    def forward(self, image: Array) -> Array:
        return _product.bind(image.reshape(-1), operator=self, is_back=False)


def from_scipy(op: Any, image_shape: Shape) -> HostOperator:
    """The operator of a SciPy LinearOperator, of one of pylops, or of anything with shape, matvec and rmatvec.

    Each product is a call from the compiled program back to Python, on the host: it works under jit, vmap and grad,
    with every method, and A x of several images is one call after the other. A full matrix is better given as
    `Dense(matrix, image_shape)`, which stays in the program. A sparse one is better here: it stays sparse.

    Args:
        op: of shape [m, n], real or complex; column j multiplies pixel j of `image.reshape(-1)`. It is given NumPy
            arrays [n] and [m], in single precision if its dtype is float32 or complex64, else in double. Its rmatvec
            is A^H y; of a complex one the real part is taken, since pixels are real. It must not call JAX: that waits
            for the program which waits for it.
        image_shape: (h, w, c) with h w c = n.

    Raises:
        InputError: no such operator, a shape that does not fit, a matvec or rmatvec that fails, is not linear or not
            finite, or an rmatvec that is not the adjoint.

    Example:
        >>> import scipy.sparse
        >>> sparse = scipy.sparse.random_array((20, 64), density=0.1, rng=0)
        >>> cs.operators.from_scipy(sparse, (8, 8, 1)).forward(np.zeros((8, 8, 1))).shape
        (20,)
    """
    image_shape = checked_shape(image_shape)
    try:
        products = scipy.sparse.linalg.aslinearoperator(op)
    except (TypeError, ValueError):
        raise InputError(
            f"op is a {type(op).__name__}: give a scipy.sparse.linalg.LinearOperator, an operator of pylops, or what "
            "has shape, matvec and rmatvec"
        ) from None
    pixels = math.prod(image_shape)
    if products.shape[1] != pixels or not products.shape[0]:
        raise InputError(
            f"op of shape {products.shape} does not fit images of shape {image_shape}: it needs [m, n] with n = "
            f"{pixels} columns"
        )
    rng = np.random.default_rng(0)
    measured = _attempt(products.matvec, _precise(products, rng.standard_normal(pixels)), "matvec")
    _attempt(products.rmatvec, _precise(products, measured), "rmatvec")
    mark = float(f"{abs(np.vdot(rng.standard_normal(measured.size), measured)):.4g}")
    operator = HostOperator(products, image_shape, np.iscomplexobj(measured), mark)
    own.require_sound(operator, of_adjoint="mend rmatvec, which has to be A^H y, of a complex A with its conjugate")
    return operator


def to_scipy(operator: LinearOperator) -> scipy.sparse.linalg.LinearOperator:
    """A SciPy LinearOperator of shape (m, n), for `scipy.sparse.linalg.lsqr`, pylops and others.

    Its vectors are flat: n real pixels of `image.reshape(-1)`, and m measurements, of a complex operator complex ones.
    rmatvec then is the real part of A^H y, the adjoint for the inner product Re <a, b>: solvers that look at norms
    alone, as lsqr does, find the real image. Of a `Dense` that is not `is_narrow`, `operator.matrix` is that matrix.

    Args:
        operator: any linear one of one image.

    Raises:
        InputError: not linear, or a stack.

    Example:
        >>> import scipy.sparse.linalg
        >>> op = cs.operators.to_scipy(cs.operators.gaussian(jax.random.key(0), 20, (8, 8, 1)))
        >>> scipy.sparse.linalg.lsqr(op, np.ones(20))[0].reshape(8, 8, 1).shape
        (8, 8, 1)
    """
    if not isinstance(operator, LinearOperator):
        remedy = "stack.take(0), say" if isinstance(operator, Stack) else "or operators.Linear(function, image_shape)"
        raise InputError(f"operator is a {type(operator).__name__}: give a linear operator, {remedy}")
    return _Flat(operator)


class _Flat(scipy.sparse.linalg.LinearOperator):
    """Of `to_scipy`."""

    def __init__(self, operator: LinearOperator):
        image = jax.ShapeDtypeStruct(operator.image_shape, jax.dtypes.canonicalize_dtype(np.float64))
        self.operator, self.like = operator, jax.eval_shape(operator.forward, image)
        super().__init__(self.like.dtype, (self.like.size, math.prod(operator.image_shape)))

    def _matvec(self, x):
        image = as_floating(np.reshape(x, self.operator.image_shape), "x", real=True)
        return np.asarray(_forward(self.operator, image)).reshape(-1)

    def _rmatvec(self, x):
        measurements = as_floating(np.reshape(x, self.like.shape), "y")
        return np.asarray(_adjoint(self.operator, measurements)).reshape(-1)


_forward = jax.jit(lambda operator, image: operator.forward(image))
_adjoint = jax.jit(lambda operator, measurements: operator.adjoint(measurements))


def _precise(products: scipy.sparse.linalg.LinearOperator, x: np.ndarray) -> np.ndarray:
    """A copy of x in the precision of the library, which may write to it."""
    real = np.float32 if products.dtype in NARROW else np.float64
    return x.astype(np.result_type(np.complex64, real) if np.iscomplexobj(x) else real, order="C")


def _attempt(product: Callable, x: np.ndarray, name: str) -> np.ndarray:
    """What it returns; anything that it raises, or another length, as one line."""
    return own.attempt(lambda: np.asarray(product(x)), f"{name} of op, of an array [{x.size}], ends in", remedy="")


# Primitives of its own: `_product`, x [..., n] to A x [..., m] and back by the transpose of A, and `_call`, the call to
# Python in it. JAX neither transposes a callback nor maps over what it lets be transposed; and `jax.pure_callback` puts
# what it is given on a device first, which waits for ever where no thread is free for a large array, as on one core.
_product, _call = Primitive("host_product"), Primitive("host_call")


def _like(x: Any, operator: HostOperator, is_back: bool) -> jax.core.ShapedArray:
    dtype = jnp.finfo(x.dtype).dtype
    if operator.is_complex and not is_back:
        dtype = jnp.result_type(dtype, jnp.complex64)
    return jax.core.ShapedArray((*x.shape[:-1], operator.products.shape[is_back]), dtype)


def _bits_like(x: Any, **which: Any) -> jax.core.ShapedArray:
    """As `_like`, doubles as pairs of int32: in the thread that calls, x64 may be off, and JAX would narrow them."""
    like = _like(x, **which)
    if jnp.finfo(like.dtype).bits == 32:
        return like
    return jax.core.ShapedArray((*like.shape[:-1], like.shape[-1] * like.dtype.itemsize // 4), np.dtype(np.int32))


def _on_host(x: np.ndarray, operator: HostOperator, is_back: bool) -> tuple[np.ndarray]:
    products, rows = operator.products, x.reshape(-1, x.shape[-1])
    like, bits = (of(x, operator=operator, is_back=is_back) for of in (_like, _bits_like))
    if is_back:  # A^T y is the conjugate of A^H applied to that of y
        made = [np.real(products.rmatvec(_precise(products, row.conj()))) for row in rows]
    else:
        made = [products.matvec(_precise(products, row)) for row in rows]
    return (np.stack(made).astype(like.dtype).view(bits.dtype).reshape(bits.shape),)


def _lowered(ctx: mlir.LoweringRuleContext, x: Any, **which: Any) -> Any:
    emit: Callable = mlir.emit_python_callback
    call, shapes = partial(_on_host, **which), (ctx.avals_in, ctx.avals_out)
    return emit(ctx, call, None, [x], *shapes, has_side_effect=False, returns_token=False)[0]


def _computed(x: Array, **which: Any) -> Array:
    made, like = _call.bind(x, **which), _like(x, **which)
    if made.dtype == like.dtype:
        return made
    made = jax.lax.bitcast_convert_type(made.reshape(*made.shape[:-1], -1, 2), jnp.float64)
    if not jnp.issubdtype(like.dtype, jnp.complexfloating):
        return made
    parts = made.reshape(*like.shape, 2)
    return jax.lax.complex(parts[..., 0], parts[..., 1])


def _transposed(cotangent: Array, x: Any, operator: HostOperator, is_back: bool) -> list[Array]:
    return [_product.bind(cotangent, operator=operator, is_back=not is_back)]


def _mapped(values: tuple[Array], axes: tuple[int], **which: Any) -> tuple[Array, int]:
    return _product.bind(jnp.moveaxis(values[0], axes[0], 0), **which), 0


_product.def_impl(jax.jit(_product.bind, static_argnames=("operator", "is_back")))
_product.def_abstract_eval(_like)
_call.def_abstract_eval(_bits_like)
mlir.register_lowering(_product, mlir.lower_fun(_computed, multiple_results=False))
mlir.register_lowering(_call, _lowered, cacheable=False)
ad.deflinear2(_product, _transposed)
batching.primitive_batchers[_product] = _mapped
