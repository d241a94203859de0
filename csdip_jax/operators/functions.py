"""Any differentiable function as an operator."""

from collections.abc import Callable

import jax

from csdip_jax.checks import checked_shape
from csdip_jax.operators import own
from csdip_jax.operators.base import LinearOperator, Operator, Shape
from csdip_jax.operators.stacks import Stack, form_of, one_of, shared_length
from csdip_jax.types import Array, InputError, pytree_dataclass, static_field


def as_partial(fn: Callable) -> Callable:
    """As a pytree."""
    # Partial is a pytree: arrays bound to it are traced, not baked into the compiled program.
    return fn if isinstance(fn, jax.tree_util.Partial) else jax.tree_util.Partial(fn)


@pytree_dataclass
class Linear(LinearOperator):
    """Any linear function of the image as an operator; its adjoint is found by transposition.

    Attributes:
        fn: image [h, w, c] -> measurements, linear. Bind large arrays with `jax.tree_util.Partial(fn, array)`
            rather than in a closure: bound arrays are arguments of the compiled program, closed-over ones
            constants of it.
        image_shape: (h, w, c).

    Raises:
        InputError: `fn` is not callable. That it is linear is looked at by `reconstruct`.

    Example:
        >>> operator = cs.operators.Linear(lambda image: jnp.cumsum(image, axis=0), (4, 4, 1))
        >>> operator.adjoint(jnp.ones((4, 4, 1)))[:, 0, 0].tolist()
        [4.0, 3.0, 2.0, 1.0]
    """

    fn: Callable
    image_shape: Shape = static_field()

    def __post_init__(self):
        object.__setattr__(self, "image_shape", checked_shape(self.image_shape))
        if not callable(self.fn):
            raise InputError(f"fn is a {type(self.fn).__name__}: give a function, image [h, w, c] -> measurements")
        object.__setattr__(self, "fn", as_partial(self.fn))

    def forward(self, image: Array) -> Array:
        return self.fn(image)


@pytree_dataclass
class Nonlinear(Operator):
    """Any differentiable function of the image as an operator, such as phase retrieval's `|A x|`; it has no adjoint.

    Methods that need none take it: CS-DIP, CSGM. Where f(x) = f(-x), as for `|A x|`, an image in [-1, 1] cannot be
    told from its negative: give `reconstruct` a `pixel_range` from 0 on.

    Attributes:
        fn: image [h, w, c] -> measurements. Bind large arrays as `Linear` says.
        image_shape: (h, w, c).

    Raises:
        InputError: `fn` is not callable.

    Example:
        >>> matrix = np.random.default_rng(0).normal(size=(30, 16))
        >>> magnitudes = jax.tree_util.Partial(lambda a, image: jnp.abs(a @ image.reshape(-1)), jnp.asarray(matrix))
        >>> operator = cs.operators.Nonlinear(magnitudes, (4, 4, 1))
        >>> operator.forward(np.zeros((4, 4, 1))).shape
        (30,)
    """

    fn: Callable
    image_shape: Shape = static_field()
    __post_init__ = Linear.__post_init__

    def forward(self, image: Array) -> Array:
        return self.fn(image)


def as_operator(operator: Operator | Callable, image_shape: tuple[int, ...]) -> Operator:
    """The operator itself, or a plain function wrapped as `Nonlinear`.

    Args:
        operator: one, or a function of an image.
        image_shape: (h, w, c) of the images that it has to measure.

    Raises:
        InputError: neither an operator nor callable, made for images of another shape, or a user's own that JAX cannot
            trace or that does not give one array of floats.
    """
    if isinstance(operator, Stack):
        raise InputError(f"operator is a stack of {operator.size}: give one, stack.take(0) for example")
    operator = _for_images(operator, image_shape)
    if is_own(operator):
        own.require_traceable(operator)
    return operator


def as_operator_or_stack(
    operator: Operator | Stack | Callable, image_shape: Shape, measurements: tuple[int, ...]
) -> Operator | Stack:
    """As `as_operator`, of measurements of this shape; a `Stack` as it is, or as `recognised` finds one."""
    form = _for_images(form_of(operator), image_shape)
    if isinstance(operator, Stack):
        operator = Stack(form)
        if _made(operator) is None and not is_own(form):
            raise InputError(
                f"a stack of {type(form).__name__}: its first entry measures no image of shape {form.image_shape}; one "
                "operator for all images is given as it is"
            )
        own.require_traceable(operator)  # one that is no stack of theirs may have been called one
        return operator
    operator = recognised(form, measurements)
    if is_own(form):
        own.require_traceable(operator)
    return operator


def _for_images(operator: Operator | Callable, image_shape: tuple[int, ...]) -> Operator:
    """An operator, with arrays of JAX's; raises InputError for what is none, or is made for images of another shape."""
    if not isinstance(operator, Operator):
        if not callable(operator):
            raise InputError(f"operator is a {type(operator).__name__}: give a csdip_jax operator or a function")
        operator = Nonlinear(operator, checked_shape(image_shape))
    made_for = getattr(operator, "image_shape", None)
    if made_for != tuple(image_shape):
        raise InputError(
            f"the operator measures images of shape {made_for}, not {tuple(image_shape)}: the method's "
            "image_shape, or the one image that is measured, has to agree"
        )
    return own.on_device(operator) if is_own(operator) else operator


def recognised(operator: Operator, measurements: tuple[int, ...]) -> Operator | Stack:
    """A `Stack` where each array of an operator has one more axis, as `jax.vmap` of a constructor leaves them.

    An operator of this library makes [m] of an image, so it is a stack if its first entry does that, and with it what
    it is composed with. A user's function may take what arrays it likes: it is one operator wherever it fits the
    measurements as it stands, and a stack only if its first entry fits and it does not. Where both fit, as a matrix
    product may, and a stack is meant, say Stack(operator).

    Args:
        operator: one, or several that do not say so.
        measurements: shape of all measurements.
    """
    if shared_length(operator) is None:
        return operator
    parts = jax.tree.leaves(operator, is_leaf=lambda part: isinstance(part, Operator) and not is_own(part))
    known = [part for part in parts if isinstance(part, Operator) and jax.tree.leaves(part)]
    if known:
        is_stack = all(len(_made(Stack(part)) or ()) == 1 for part in known)
    else:
        fitting = (measurements, measurements[1:])
        is_stack = _made(Stack(operator)) in fitting and _made(operator) not in fitting
    return Stack(operator) if is_stack else operator


def _made(operator: Operator | Stack) -> tuple[int, ...] | None:
    """Shape of the measurements by this, or by one of a stack; None where it cannot be traced."""
    try:
        return operator.measurements_like.shape
    except Exception:  # whatever a function says of arrays that it is not meant for
        return None


def is_own(operator: Operator) -> bool:
    """Whether a user wrote its `forward`, or that of an operator in it, as a function or as a class."""
    written = isinstance(operator, (Linear, Nonlinear)) or not type(operator).__module__.startswith("csdip_jax.")
    return written or any(is_own(part) for part in vars(operator).values() if isinstance(part, Operator))


def linear_if_it_is(operator: Operator | Stack) -> Operator | Stack:
    """A function that turns out to be linear as `Linear`, any other operator as it is."""
    form = form_of(operator)
    if type(form) is not Nonlinear:
        return operator
    linear = Linear(form.fn, form.image_shape)
    linear = Stack(linear) if isinstance(operator, Stack) else linear
    try:
        own.require_sound(one_of(linear))
    except InputError:
        return operator
    return linear
