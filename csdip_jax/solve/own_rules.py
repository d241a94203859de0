"""What is asked of a rule of a user's own, found out by shapes alone at the boundary."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from csdip_jax.methods.base import Method
from csdip_jax.operators.own import attempt
from csdip_jax.rules import HELD_OUT_LOSS, Iterate
from csdip_jax.types import Array, InputError, Problem

TRACED = "write it with jax.numpy, without `if` on values; docs: Your own rule"
SCALAR = jax.ShapeDtypeStruct((), jnp.bool_)


def require_rules(method: Method, problem: Problem, held: Array | None = None) -> None:
    """Raises InputError for a rule of a user's own that JAX cannot trace, or that gives what it should not.

    Args:
        method: with numbers, none swept.
        problem: of one image.
        held: its measurements that are held out; None where none are.
    """
    held_names = () if held is None else (HELD_OUT_LOSS,)
    image = jax.ShapeDtypeStruct(method.image_shape, jnp.finfo(problem.measurements.dtype).dtype)
    number, step = jax.ShapeDtypeStruct((), image.dtype), jax.ShapeDtypeStruct((), jnp.int32)

    def seen_of(names):
        def seen(step, image, held, *scalars):
            return Iterate(step, method.steps, image, dict(zip(names, scalars, strict=True)), held)

        return seen

    def told(rule: Any, name: str, function: Callable, *arguments, names=(*method.told, *held_names)):
        """What `function(*arguments, seen)` of a rule gives, as shapes."""
        make, scalars = seen_of(names), [number] * len(names)

        def called(arguments, seen):
            return function(*arguments, make(*seen))

        return _shapes(rule, name, called, arguments, (step, image, held, *scalars))

    keep, stop, fail = method.keeper, method.stopper, method.failer
    if _is_own(stop):
        state = _shapes(stop, "init", stop.start, image, held)
        given = told(stop, "update", stop.update, state, names=(*method.scalars, *held_names))
        if not (isinstance(given, tuple) and len(given) == 3 and isinstance(given[2], dict)):
            raise InputError(
                f"{_called(stop, 'update')} gives {_what(given)}: return (what it remembers, whether the fit ends, "
                "{name: number of each of its `scalars`}), three values"
            )
        _require_same(stop, "update", state, given[0])
        _require_array(stop, "update", "whether the fit ends", given[1], SCALAR)
        if given[2].keys() != {*stop.scalars}:
            raise InputError(
                f"{_called(stop, 'update')} tells {sorted(given[2])}: give numbers by the names in its `scalars`, "
                f"{sorted(stop.scalars)}"
            )
        for name, value in given[2].items():
            _require_array(stop, "update", repr(name), value, number)
    if _is_own(keep):
        state = _shapes(keep, "init", keep.init, image)
        _require_same(keep, "update", state, told(keep, "update", keep.update, state))
        _require_array(keep, "image", "the image", _shapes(keep, "image", keep.image, state, image), image)
        _require_array(keep, "score", "the score", _shapes(keep, "score", keep.score, state, number), number)
        aux = _shapes(keep, "aux", keep.aux, state)
        if not isinstance(aux, dict):
            raise InputError(f"{_called(keep, 'aux')} gives {_what(aux)}: return a dictionary, name -> array")
    if _is_own(fail):
        lost = told(fail, "failed", partial(fail.failed, problem))
        _require_array(fail, "failed", "whether the attempt is lost", lost, SCALAR)


def _is_own(rule: Any) -> bool:
    return type(rule).__module__.partition(".")[0] != "csdip_jax"


def _called(rule: Any, function: str) -> str:
    return f"rule {type(rule).__name__}: its {function}"


def _shapes(rule: Any, name: str, function: Callable, *arguments) -> Any:
    return attempt(
        lambda: jax.eval_shape(function, *arguments), f"{_called(rule, name)}, traced by JAX, ends in", TRACED
    )


def _what(given: Any) -> str:
    """In words: of arrays, tuples and dictionaries of shapes."""
    if isinstance(given, jax.ShapeDtypeStruct):
        return f"{given.dtype}{list(given.shape)}"
    if isinstance(given, tuple):
        return f"{len(given)} values"
    return "nothing" if given is None else f"a {type(given).__name__}"


def _require_array(rule: Any, function: str, what: str, given: Any, like: jax.ShapeDtypeStruct) -> None:
    kind = jnp.bool_ if like.dtype == jnp.bool_ else jnp.number
    fits = isinstance(given, jax.ShapeDtypeStruct) and given.shape == like.shape and jnp.issubdtype(given.dtype, kind)
    if not fits:
        raise InputError(f"{_called(rule, function)} gives {_what(given)} for {what}: return {_what(like)}")


def _require_same(rule: Any, function: str, before: Any, after: Any) -> None:
    """Raises InputError unless what a rule remembers stays of one form, as a compiled loop needs it."""
    if jax.tree.structure(before) != jax.tree.structure(after):
        told = f"{jax.tree.structure(after)}, its init {jax.tree.structure(before)}".replace("PyTreeDef", "")
    else:
        leaves = zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
        other = [(x, y) for x, y in leaves if x.shape != y.shape or not (x.dtype == y.dtype or x.weak_type)]
        if not other:
            return
        told = f"{_what(other[0][1])}, its init {_what(other[0][0])}"
    raise InputError(f"{_called(rule, function)} remembers {told}: return what has the form of the state it is given")
