"""Any differentiable function as an operator."""

from collections.abc import Callable

import jax

from csdip_jax.checks import checked_shape
from csdip_jax.operators import own
from csdip_jax.operators.base import LinearOperator, Operator, Shape
from csdip_jax.operators.stacks import Stack, form_of, one_of, recognised
from csdip_jax.types import Array, InputError, pytree_dataclass, static_field


def _as_partial(fn: Callable) -> Callable:
    # Partial is a pytree: arrays bound to it are traced, not baked into the compiled program.
    return fn if isinstance(fn, jax.tree_util.Partial) else jax.tree_util.Partial(fn)


@pytree_dataclass
class Linear(LinearOperator):
    """Any linear function of the image, traceable by JAX.

    Attributes:
        fn: image [h, w, c] -> measurements, linear. Bind large arrays with `jax.tree_util.Partial(fn, array)`
            rather than in a closure: bound arrays are arguments of the compiled program, closed-over ones
            constants of it.
        image_shape: (h, w, c).
    """

    fn: Callable
    image_shape: Shape = static_field()

    def __post_init__(self):
        object.__setattr__(self, "image_shape", checked_shape(self.image_shape))
        if not callable(self.fn):
            raise InputError(f"fn is a {type(self.fn).__name__}: give a function, image [h, w, c] -> measurements")
        object.__setattr__(self, "fn", _as_partial(self.fn))

    def forward(self, image: Array) -> Array:
        return self.fn(image)


@pytree_dataclass
class Nonlinear(Operator):
    """Any differentiable function of the image, e.g. |A x| (phase retrieval). It has no adjoint.

    Attributes:
        fn: image [h, w, c] -> measurements. Bind large arrays as `Linear` says.
        image_shape: (h, w, c).
    """

    fn: Callable
    image_shape: Shape = static_field()
    __post_init__ = Linear.__post_init__

    def forward(self, image: Array) -> Array:
        return self.fn(image)


def as_operator(operator: Operator | Callable, image_shape: tuple[int, ...]) -> Operator:
    """`operator` itself, or a plain callable wrapped as `Nonlinear`.

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
    """As `as_operator`, of measurements of this shape; a `Stack` as it is, or as `stacks.recognised` finds one."""
    form = _for_images(form_of(operator), image_shape)
    if isinstance(operator, Stack):
        operator = Stack(form)
        own.require_traceable(operator)  # one that is no stack of theirs may have been called one
        return operator
    operator = recognised(form, measurements, is_own(form))
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


def is_own(operator: Operator) -> bool:
    """Whether a user wrote its `forward`, as a function or as a class."""
    return isinstance(operator, (Linear, Nonlinear)) or not type(operator).__module__.startswith("csdip_jax.")


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
