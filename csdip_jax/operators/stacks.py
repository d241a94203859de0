"""Several operators of one form: one for each image of a batch."""

from collections.abc import Sequence
from typing import Generic, TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from csdip_jax.operators.base import Operator, Shape
from csdip_jax.types import InputError, T, pytree_dataclass

OfForm = TypeVar("OfForm", bound=Operator)


@pytree_dataclass
class Stack(Generic[OfForm]):
    """Operators that differ in their arrays alone, one for each image, as `Problem` takes them.

    `stack([a, b])` makes one, and so does Stack(jax.vmap(constructor)(keys)). It measures nothing itself: `take` one of
    them, or map over `operator` by `jax.vmap`.

    Attributes:
        operator: all of them, a leading axis on each of its arrays.

    Raises:
        InputError: no operator, or its arrays have no leading axis of one length.

    Example:
        >>> keys = jax.random.split(jax.random.key(0), 3)
        >>> draw = lambda key: cs.operators.gaussian(key, 50, (8, 8, 1))
        >>> three = cs.operators.Stack(jax.vmap(draw)(keys))
        >>> three.size, three.take(1).forward(np.zeros((8, 8, 1))).shape
        (3, (50,))
    """

    operator: OfForm

    def __post_init__(self):
        if not isinstance(self.operator, Operator):
            raise InputError(f"a stack of a {type(self.operator).__name__}: give an operator, or Linear(fn, shape)")
        if shared_length(self.operator) is None:
            shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(self.operator)]
            told = f"its arrays have shapes {', '.join(map(str, shapes))}" if shapes else "it has no arrays"
            raise InputError(
                f"a stack of {type(self.operator).__name__}: {told}, where each needs a leading axis of one length; "
                "one operator for all images is given as it is"
            )

    @property
    def size(self) -> int:
        """How many operators there are."""
        return jax.tree.leaves(self.operator)[0].shape[0]

    @property
    def image_shape(self) -> Shape:
        """(h, w, c) of the images of each."""
        return self.operator.image_shape

    @property
    def measurements_like(self) -> jax.ShapeDtypeStruct:
        """Shape and dtype of the measurements of one float32 image by one of them."""
        return jax.eval_shape(lambda stack: stack.take(0), self).measurements_like

    def take(self, i: ArrayLike) -> OfForm:
        """Operator i, counted from 0."""
        return jax.tree.map(lambda x: x[i], self.operator)


def stack(operators: Sequence[OfForm]) -> Stack[OfForm]:
    """Joins operators into a `Stack`, one for each image of a batch.

    Args:
        operators: a list of them, of one class and with arrays of the same shapes.

    Raises:
        InputError: none, or they differ in more than the entries of their arrays.
    """
    if not isinstance(operators, list | tuple) or not all(isinstance(one, Operator) for one in operators):
        given = operators if isinstance(operators, list | tuple) else [operators]
        names = ", ".join(sorted({type(one).__name__ for one in given}))
        raise InputError(f"a stack of {names}: give a list of operators, a function as Linear(fn, image_shape)")
    shapes = {(jax.tree.structure(one), *(jnp.shape(leaf) for leaf in jax.tree.leaves(one))) for one in operators}
    if len(shapes) != 1:
        names = ", ".join(sorted({type(one).__name__ for one in operators})) or "none"
        raise InputError(f"a stack of {names}: give operators of one form, with arrays of the same shapes")
    return Stack(jax.tree.map(lambda *leaves: jnp.stack(leaves), *operators))


def one_of(operator: Stack[OfForm] | T, i: ArrayLike = 0) -> OfForm | T:
    """Operator i of a stack, or the one that there is."""
    return operator.take(i) if isinstance(operator, Stack) else operator


def form_of(operator: Stack[OfForm] | T) -> OfForm | T:
    """An operator of the type of each, to ask what does not depend on the arrays: they are those of all."""
    return operator.operator if isinstance(operator, Stack) else operator


def shared_length(operator: Operator) -> int | None:
    """Of the leading axis that all arrays share; None where they do not."""
    lengths = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(operator)}
    return lengths.pop()[0] if len(lengths) == 1 and () not in lengths else None
