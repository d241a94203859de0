"""Every public name explains itself: what it is, each thing that it takes, each field; and its examples run.

Public is what `csdip_jax.__all__` names, and what the `__all__` of each room among that does.
"""

import ast
import dataclasses
import doctest
import importlib
import inspect
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs

ROOT = Path(cs.__file__).parent


def rooms(module: types.ModuleType = cs) -> Iterator[types.ModuleType]:
    """A module, and those among its public names."""
    yield module
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, types.ModuleType):
            yield from rooms(value)


ROOMS = {room.__name__: room for room in rooms()}
PUBLIC = {f"{room}.{name}": getattr(ROOMS[room], name) for room in ROOMS for name in ROOMS[room].__all__}
CLASSES = {name: value for name, value in PUBLIC.items() if isinstance(value, type)}


def is_ours(value: object) -> bool:
    return getattr(value, "__module__", "").startswith("csdip_jax")


def fields(cls: type) -> list[str]:
    """Names of the fields of a dataclass or a NamedTuple, but for those that another library gives it."""
    if hasattr(cls, "_fields"):
        return list(cls._fields)
    every = [field.name for field in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else []
    return [name for name in every if name not in ("name", "parent") or not issubclass(cls, flax.linen.Module)]


def called() -> dict[str, tuple[object, str]]:
    """Name -> (function, all that is said of it) of the public functions, methods and properties.

    A method that departs from the one it replaces may say no more than that.
    """
    found = {name: (value, value.__doc__ or "") for name, value in PUBLIC.items() if inspect.isroutine(value)}
    for class_name, cls in CLASSES.items():
        for name in dir(cls):
            places = [base for base in cls.__mro__ if is_ours(base) and name in vars(base)]
            if name.startswith("_") or name in fields(cls) or not places:
                continue
            value = vars(places[0])[name]
            value = getattr(value, "__func__", value)
            if inspect.isfunction(value) or isinstance(value, property):
                told = [vars(base)[name].__doc__ for base in places]
                found[f"{class_name}.{name}"] = value, "\n".join(filter(None, told))
    return found


CALLED = called()


def entries(text: str) -> set[str]:
    """What the sections of a docstring have an entry on: `name: what it is`, or several, separated by commas."""
    lines = re.findall(r"^ +((?:\*{0,2}\w+(?:, )?)+):", text, re.MULTILINE)
    return {name.strip("* ") for line in lines for name in line.split(",")}


def told_below(name: str) -> bool:
    """Whether a string stands below the assignment of a public constant."""
    for path in ROOT.rglob("*.py"):
        body = ast.parse(path.read_text()).body
        for node, below in zip(body, body[1:], strict=False):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return isinstance(below, ast.Expr) and isinstance(getattr(below.value, "value", None), str)
    return False


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_is_in_it(room):
    names, text = ROOMS[room].__all__, ROOMS[room].__doc__
    assert len(set(names)) == len(names) and all(hasattr(ROOMS[room], name) for name in names)
    assert ">>> " in text or "::\n\n" in text, "an example, please"


def test_what_can_be_chosen_by_name_is_public():
    registered = [*cs.generators.GENERATORS.values(), *(recipe.method for recipe in cs.methods.METHODS.values())]
    registered += [rule for rules in cs.rules.RULES.values() for rule in rules.values()]
    assert not [cls.__name__ for cls in registered if cls not in CLASSES.values()]


def test_every_public_name_has_a_docstring():
    constants = [name for name, value in PUBLIC.items() if not callable(value) or not is_ours(value)]
    constants = [name for name in constants if not isinstance(PUBLIC[name], types.ModuleType)]
    silent = [name for name in constants if not told_below(name.rpartition(".")[2])]
    silent += [name for name, value in CLASSES.items() if is_ours(value) and not vars(value).get("__doc__")]
    silent += [name for name, (_, text) in CALLED.items() if not text.strip()]
    assert not silent


def test_every_parameter_is_described():
    silent = []
    for name, (value, text) in CALLED.items():
        if inspect.isfunction(value):
            taken = [each for each in inspect.signature(value).parameters if each not in ("self", "cls")]
            silent += [f"{name}({each})" for each in taken if not re.search(rf"\b{each}\b", text)]
    assert not silent


def test_every_field_is_described():
    silent = []
    for name, cls in CLASSES.items():
        known = {entry for base in cls.__mro__ if is_ours(base) for entry in entries(base.__doc__ or "")}
        silent += [f"{name}.{field}" for field in fields(cls) if field not in known]
    assert not silent


def examples() -> list[doctest.DocTest]:
    """The examples of whatever is public or not, with the names that a user has."""
    names = {"cs": cs, "jax": jax, "jnp": jnp, "np": np, "dataclasses": dataclasses}
    finder, found = doctest.DocTestFinder(exclude_empty=True), []
    for path in sorted(ROOT.rglob("*.py")):
        dotted = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
        if "commands" not in path.parts and path.name != "__main__.py":
            module = importlib.import_module(dotted)
            found += [test for test in finder.find(module, dotted, extraglobs=names, globs={}) if test.examples]
    return found


@pytest.mark.parametrize("example", examples(), ids=lambda test: test.name)
def test_examples_in_docstrings_run(example):
    told = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, verbose=False)
    failed = runner.run(example, out=told.append).failed
    assert not failed, "".join(told)


class Undecorated(cs.methods.Tv):
    pass


@dataclasses.dataclass(frozen=True)
class PlainRule(cs.rules.Keep):
    pass


@dataclasses.dataclass(frozen=True)
class PlainGenerator(cs.generators.DCGAN):
    pass


@cs.pytree_dataclass
class WithText(cs.methods.Tv):
    word: str = "a"


@pytest.mark.parametrize(
    ("method", "line"),
    [
        (Undecorated((8, 8, 1)), "method is a Undecorated, which is no pytree: decorate the class by"),
        (cs.methods.Tv((8, 8, 1), keep=PlainRule()), "method.keep is a PlainRule, which is no pytree"),
        (
            cs.methods.CsDip((8, 8, 1), generator=PlainGenerator((8, 8, 1))),
            "method.generator is a PlainGenerator, which",
        ),
        (WithText((8, 8, 1)), "method.word is a str, which JAX does not trace: declare the field by"),
    ],
    ids=["method", "rule", "generator", "field"],
)
def test_a_part_of_ones_own_that_jax_cannot_take_ends_in_one_line(method, line):
    operator = cs.operators.gaussian(jax.random.key(0), 20, (8, 8, 1))
    with pytest.raises(cs.InputError, match=line) as caught:
        cs.reconstruct(method, cs.Problem(operator, np.ones(20, np.float32)), jax.random.key(0))
    assert "\n" not in str(caught.value)


def test_importing_the_library_is_light():
    heavy = "{'matplotlib', 'pandas', 'torch', 'jinja2', 'scipy.io', 'sphinx', 'deepinv'}"
    program = f"import sys, csdip_jax; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
