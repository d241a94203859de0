"""A user's own method or operator, `module:name`: found, checked, and registered by its name as the library's are.

The module is looked for in the current folder, then among what is installed. What a user wrote is known by the checksum
of its file, so that rows of another version of it are not taken for its own.
"""

import dataclasses
import importlib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import jax

from csdip_jax.checks import in_one_line, num_needed
from csdip_jax.files import content_digest
from csdip_jax.methods import METHODS, Method, Recipe
from csdip_jax.operators import OPERATORS, UNCOUNTED, Kind, Operator, as_operator
from csdip_jax.operators.functions import linear_if_it_is
from csdip_jax.types import Array, InputError

COLOURS = ("C7", "C9", "navy", "teal", "deeppink", "gold")
"""Of own methods' curves, in their order."""


def is_own(text: str | None) -> bool:
    """Whether it says where to find a user's own, `module:name`."""
    return ":" in (text or "")


def method_name(text: str) -> str:
    """The name in `METHODS` of a method that is given by name, or as `module:Class` or `module:RECIPE`.

    Raises:
        InputError: no such module or name, or it is no method.
    """
    if not is_own(text):
        return text
    thing, digest = _found(text)
    if isinstance(thing, Recipe):
        return _register(METHODS, thing, text, digest)
    if not (isinstance(thing, type) and issubclass(thing, Method)):
        raise InputError(
            f"`methods={text}` is {_what(thing)}: give a class derived from csdip_jax.methods.Method, or a Recipe"
        )
    _require_usable(thing, text)
    own = sum(recipe.code is not None for recipe in METHODS.values())
    name, colour = thing.__name__, COLOURS[own % len(COLOURS)]
    return _register(METHODS, Recipe(name=name, label=name, colour=colour, method=thing), text, digest)


def operator_name(text: str) -> str:
    """The name in `OPERATORS` of an operator that is given by name, or as `module:name`.

    That is a function (key, image_shape) -> operator, a function of the image alone, an operator, or a `Kind`.

    Raises:
        InputError: no such module or name, or it is none of these.
    """
    if not is_own(text):
        return text
    thing, digest = _found(text)
    name = text.rpartition(":")[2].rpartition(".")[2]
    if isinstance(thing, Kind):
        return _register(OPERATORS, thing, text, digest)
    if not (isinstance(thing, Operator) or callable(thing)):
        raise InputError(
            f"`operator={text}` is {_what(thing)}: give a function (key, image_shape) -> operator, a function of the "
            "image, an operator, or a Kind"
        )
    is_factory = isinstance(thing, type) or (not isinstance(thing, Operator) and num_needed(thing) == 2)

    def draw(key: Array, number: int, image_shape: tuple[int, int, int]) -> Operator:
        own = _called(thing, text, key, image_shape) if is_factory else thing
        try:
            return linear_if_it_is(as_operator(own, image_shape))
        except InputError as error:
            other = _other_shape(own, image_shape)
            raise InputError(f"{error}; try `image_shape={other}`") if other else error from None

    kind = Kind(
        name=name,
        label=name,
        about=f"{text}, a user's own",
        draw=draw,
        prefix=name,
        toy=1,
        count=UNCOUNTED,
        is_drawn=is_factory,
        image_shape=thing.image_shape if isinstance(thing, Operator) else None,
    )
    return _register(OPERATORS, kind, text, digest)


def register(arguments: Sequence[str]) -> None:
    """Registers what the arguments of a command name as own, so that its configuration has the fields of it.

    Raises:
        InputError: see `method_name` and `operator_name`.
    """
    for option, known in (("methods", method_name), ("operator", operator_name)):
        for text in _values(arguments, option):
            known(text)


def _values(arguments: Sequence[str], option: str) -> Iterable[str]:
    """The parts of the values of --option and --config.option."""
    names = {f"{dashes}{prefix}{option}" for dashes in ("-", "--") for prefix in ("", "config.")}
    for i, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in names:
            value = value if equals else "".join(arguments[i + 1 : i + 2])
            yield from (part.strip() for part in value.split(","))


def _found(text: str) -> tuple[Any, str]:
    """What `module:name` is, and the checksum of the file that says so."""
    module_name, _, name = text.rpartition(":")
    if module_name.endswith(".py"):
        raise InputError(f"{text}: write a module without .py, {Path(module_name).stem}:{name}")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # an installed command does not look there
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise InputError(f"{text}: importing {module_name} fails, {error}") from error
        raise InputError(f"{text}: there is no module {module_name} in {os.getcwd()}, nor installed") from None
    except Exception as error:  # a user's program may fail in any way
        raise InputError(f"{text}: importing {module_name} fails, {in_one_line(error):.200}") from error
    try:
        thing = module
        for part in name.split("."):
            thing = getattr(thing, part)
    except AttributeError:
        names = [known for known, value in vars(module).items() if _is_of(value, module_name) and known[:1] != "_"]
        told = f"; it has {', '.join(names)}" if names else ""
        raise InputError(f"{text}: {module_name} has no {name}{told}") from None
    file = getattr(module, "__file__", None)
    return thing, content_digest(text=Path(file).read_bytes().hex() if file else "")


def _is_of(value: object, module_name: str) -> bool:
    return callable(value) and getattr(value, "__module__", None) == module_name


def _register(registry: dict[str, Any], own: Recipe | Kind, text: str, digest: str) -> str:
    known = registry.get(own.name)
    if known is own:  # one of the library's
        return own.name
    if known is not None and known.code != digest:
        raise InputError(f"{text}: there is another {own.name!r} already: give it a name of its own")
    if known is None:
        registry[own.name] = dataclasses.replace(own, code=digest)
    return own.name


def _require_usable(cls: type[Method], text: str) -> None:
    """Raises InputError for a method that JAX or a preset can do nothing with."""
    try:
        is_leaf = jax.tree_util.all_leaves([object.__new__(cls)])
    except AttributeError:  # of fields that are looked for
        is_leaf = False
    if is_leaf:
        raise InputError(f"{text} is no pytree: decorate the class by csdip_jax.types.pytree_dataclass")
    missing = dataclasses.MISSING
    needed = [
        field.name
        for field in dataclasses.fields(cls)
        if field.default is missing and field.default_factory is missing and field.name != "image_shape"
    ]
    if needed and cls.preset.__func__ is Method.preset.__func__:  # pyright: ignore[reportFunctionMemberAccess]
        raise InputError(f"{text}: its field {needed[0]} has no default: give it one, or write a `preset`")


def _other_shape(own: Any, image_shape: tuple[int, int, int]) -> tuple[int, ...] | None:
    """The shape of images that an operator measures, if that is another one and known; grey is tried for colour."""
    shape = getattr(own, "image_shape", (*image_shape[:2], 1))
    try:
        as_operator(own, shape)
    except InputError:
        return None
    return shape


def _called(factory: Callable, text: str, key: Array, image_shape: tuple[int, int, int]) -> Any:
    try:
        return factory(key, image_shape)
    except InputError:
        raise
    except Exception as error:  # a user's program may fail in any way
        raise InputError(f"{text}: called with (key, {image_shape}) it fails, {in_one_line(error):.200}") from error


def _what(thing: object) -> str:
    return f"the class {thing.__name__}" if isinstance(thing, type) else f"a {type(thing).__name__}"
