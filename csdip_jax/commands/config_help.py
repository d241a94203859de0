"""What --help says: options, and the fields of --config, from its file, and the methods' docstrings and checks."""

import ast
import dataclasses
import importlib.util
import inspect
import io
import itertools
import math
import re
import textwrap
import tokenize
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags
from ml_collections.config_dict import ConfigDict

from csdip_jax.methods import METHODS, PARTS, Method, Recipe
from csdip_jax.methods.recipe import kind_of, part_of
from csdip_jax.operators import COUNTS, OPERATORS, first_of_each_count
from csdip_jax.runs.study import Study
from csdip_jax.types import InputError

USUAL_SHAPE = (64, 64, 1)
"""Of the images whose defaults are shown where a configuration says no shape."""
WIDTH = 100
COLUMNS = (32, 20)
"""Characters of a field with its default, and of its range."""
OPTION = 18
"""Characters of an option's name."""
REFUSED: Mapping[type, tuple] = {
    int: (-1, 0),
    float: (-1e300, 1e300, math.inf),
    str: ("?",),
}
"""Type of a setting -> values that show its range by being refused."""
CHECKED = {
    "operator": True,
    "noise_variance": True,
    "matrix_dtype": False,
    "seed": True,
    "methods": True,
    "preset": False,
}
"""Field of a `Study` that one without images looks at -> whether it has several values."""
SHORT = {
    r"an? (whole )?number of at least ": r"\1>= ",
    r"an? number above ": "> ",
    r"at most ": "<= ",
    r"below ": "< ",
    r"a whole number": "whole",
    r"whole, at least ": "whole >= ",
    r"at least ": ">= ",
    r"numbers with ": "",
}
"""Beginning of what a check says -> the same in a table."""


class Field(NamedTuple):
    """A field of the configuration.

    Attributes:
        name: as --config.<name> has it.
        default: its value, the preset's where the configuration leaves it open.
        allowed: what it may be, as it is checked; "" where nothing is known.
        about: what it is, in a sentence.
    """

    name: str
    default: str
    allowed: str
    about: str


class Section(NamedTuple):
    """Fields that belong together.

    Attributes:
        name: by which --help=<name> asks for it.
        title: what they are of.
        fields: those.
    """

    name: str
    title: str
    fields: list[Field]


def sections(config: ConfigDict, file: Path) -> list[Section]:
    """The fields of a configuration from a file: of the run, of each method, and of each part a method may have."""
    return [
        Section("run", f"The run, {file.name}: --config.<field>=<value>", [*_of_run(config, comments_of(file))]),
        *(_of_method(config, name) for name in METHODS if name in config),
        *(_of_part(config, part, name) for part in PARTS if part in config for name in PARTS[part]),
    ]


def shown(section: Section, width: int = WIDTH) -> str:
    """A section as text: its title, and a line or more per field."""
    lines = [_beside((f"{field.name}={field.default}", field.allowed, field.about), width) for field in section.fields]
    title = textwrap.wrap(section.title, width, subsequent_indent="  ")
    return "\n".join([*title, *lines])


def _beside(texts: Sequence[str], width: int, columns: tuple[int, int] = COLUMNS) -> str:
    """A field, its range and what it is, beside one another; a long field has a line of its own."""
    first, second = columns
    about = textwrap.wrap(texts[2], max(width - first - second - 2, 20))
    allowed = textwrap.wrap(texts[1], max(second - 2, 1), break_long_words=False)
    named = [texts[0]] if len(texts[0]) <= first - 2 else [texts[0], ""]
    if len(named) > 1:
        about, allowed = ["", *about], ["", *allowed]
    rows = itertools.zip_longest(named[:1], allowed, about, fillvalue="")
    return "\n".join(f"  {a:{first}}{b:{second}}{c}".rstrip() for a, b, c in rows)


def wrapped(text: str, width: int = WIDTH) -> str:
    """A docstring whose paragraphs are as wide as told; what is indented, and lists, stay as they are."""
    blocks = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(
        block if re.search(r"^(?: |- )", block, re.MULTILINE) else textwrap.fill(block, width) for block in blocks
    )


def option(flag: flags.Flag, width: int = WIDTH) -> str:
    """An option of a command as text."""
    usual = ",".join(flag.default) if isinstance(flag.default, list) else str(flag.default or "")
    usual = Path(str(flag.config_filename)).name if hasattr(flag, "config_filename") else usual
    told = [re.sub(r"^<[^>]*>: |;\s+repeat this option.*", "", str(flag.help).strip()).rstrip(".")]
    told += [f"One of {', '.join(flag.parser.enum_values)}"] if isinstance(flag, flags.EnumFlag) else []
    told += [f"Default: {usual}"] if usual else []
    name = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}"
    return _beside((name, "", f"{'. '.join(told)}."), width, (OPTION, 0))


def _of_run(config: ConfigDict, comments: Mapping[str, str]) -> Iterator[Field]:
    """The fields that belong to no method."""
    order = [
        name for field in dataclasses.fields(Study) for name in (COUNTS if field.name == "counts" else [field.name])
    ]
    known = [name for name in order if name in config]
    names = [*known, *(name for name in config if name not in {*known, *METHODS, *PARTS})]
    for name, value in _flat({name: config[name] for name in names}):
        told = comments.get(name) or comments.get(name.partition(".")[0], "")
        if name == "operator":
            told = " ".join([told, *(f"{kind.name}: {kind.about}." for kind in OPERATORS.values())])
        elif name in COUNTS:
            kinds = [kind.name for kind in OPERATORS.values() if kind.count is COUNTS[name]]
            told = f"of {', '.join(kinds)}: {COUNTS[name].about}"
        yield Field(name, str(value), _allowed(partial(_asked, name), _kind(config, name, value)), told.strip())


def _kind(config: ConfigDict, name: str, value: Any) -> type:
    """The type of one value of a field."""
    if name in COUNTS or name in CHECKED:
        return int if name in COUNTS or name == "seed" else float if name == "noise_variance" else str
    if value is None and "." not in name:
        return config.get_type(name)
    return type(value[0] if isinstance(value, (tuple, list)) and value else value)


def _asked(name: str, value: Any) -> None:
    """Asks for a study with this value of a field, as a run of one would; raises InputError where it may not be."""
    if name in COUNTS:
        kind = first_of_each_count(OPERATORS)[name]
        study = Study(operator=(kind.name,), counts={name: (value,)})
    elif name in CHECKED:
        study = Study(**{"methods": ("tv",)} | {name: (value,) if CHECKED[name] else value})
    else:
        return
    study.measurements(USUAL_SHAPE)
    study.sweeps(USUAL_SHAPE)


def _of_method(config: ConfigDict, name: str) -> Section:
    """A method's fields, with the values of its preset where the configuration leaves them open."""
    recipe = dataclasses.replace(METHODS[name], check=None)  # which needs a package that may be missing
    shape = config.get("image_shape") or USUAL_SHAPE
    make = partial(recipe.make, config.get("preset", "paper"), shape)
    try:
        method = make()
    except InputError:  # no such preset for these images
        make = partial(recipe.make, "paper", shape)
        method = make()
    told, of_all, fields = attributes(recipe.method), attributes(Method), []
    own = [field for field in recipe.settings if field in config[name]]
    for field in sorted(own, key=lambda field: field in PARTS):
        value, about = config[name].get(field), told.get(field, "")
        if field in PARTS:
            chosen = part_of(method, field)
            usual = getattr(chosen, "name", "") or "none"
            allowed = ", ".join(PARTS[field])
            about = f"{'' if about == of_all.get(field) else _first_sentence(about)} See {field} below.".strip()
        else:
            usual = getattr(method, field)
            kind = kind_of(recipe.settings[field]) or type(usual)
            allowed = _allowed(lambda bad, field=field: make({field: bad}), kind)
            about = _first_sentence(about)
        fields.append(Field(f"{name}.{field}", str(usual if value is None else value), allowed, about))
    title = f"{name} ({recipe.label}): {_first_sentence(inspect.getdoc(recipe.method))}"
    needs = "" if recipe.installed else f" It needs the package {recipe.extra}, which is not installed."
    return Section(name, f"{title}{needs} --config.methods={name} --config.{name}.<field>=<value>", fields)


def _of_part(config: ConfigDict, part: str, name: str) -> Section:
    """The fields of a generator or rule, which hold for every method that has it."""
    cls, recipe = PARTS[part][name], _with_part(part)
    told, fields = attributes(cls), []
    for declared in dataclasses.fields(cls):
        kind = kind_of(declared)
        if kind is None or declared.name == "image_shape":
            continue
        value = config[part].get(declared.name)
        make = partial(_with_field, recipe, part, name, declared.name)
        usual = declared.default if value is None else value
        about = _first_sentence(told.get(declared.name, ""))
        fields.append(Field(f"{part}.{declared.name}", str(usual), _allowed(make, kind), about))
    title = f"{part} {name}: {_first_sentence(inspect.getdoc(cls))} --config.<method>.{part}={name}"
    return Section(part, title + (f" --config.{part}.<field>=<value>" if fields else ""), fields)


def _with_part(part: str) -> Recipe:
    """The first method that has this part."""
    return next(recipe for recipe in METHODS.values() if part in recipe.settings)


def _with_field(recipe: Recipe, part: str, name: str, field: str, value: Any) -> None:
    recipe.make("paper", USUAL_SHAPE, {part: name}, {part: {field: value}})


def _allowed(make: Callable[[Any], Any], kind: type) -> str:
    """What a setting may be: what its own check says of values that it refuses."""
    found = []
    for value in REFUSED.get(kind, ()):
        try:
            make(value)
        except InputError as error:
            found += re.findall(r"(?:it must be|: choose(?: from)?) (.+)$", str(error))
    found = found or {bool: ["True or False"], int: ["a whole number"]}.get(kind, [])
    for pattern, short in SHORT.items():
        found = [re.sub(f"^{pattern}", short, text) for text in found]
    if kind is int:
        found = [text if text.startswith("whole") else f"whole {text}" for text in found]
    return ", ".join(dict.fromkeys(found))


def _first_sentence(text: str | None) -> str:
    """Of a docstring or an attribute, without a range at its beginning, which its check tells."""
    first = re.split(r"(?<=\.)\s+(?=[A-Z`])", " ".join((text or "").split()), maxsplit=1)[0]
    return re.sub(r"^(?:>=? [\d.]+|in [\[(][^\])]*[\])])[,;] ", "", first)


def _flat(values: Mapping, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, ConfigDict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def attributes(cls: type) -> dict[str, str]:
    """Name -> what the docstrings of a class and its bases say of that attribute, in one line."""
    found = {}
    for base in reversed(cls.__mro__):
        _, _, section = (inspect.cleandoc(base.__doc__ or "") + "\n").partition("Attributes:\n")
        for names, text in re.findall(r"^    (\w+(?:, \w+)*): (.*(?:\n     +.*)*)", section, re.MULTILINE):
            found |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return found


def _configurations(node: ast.ImportFrom) -> Iterator[Path]:
    """The files of the configurations that an import brings: `from <package>.configs import <name>, ...`.

    Or `from <package>.configs.<name> import get_config`.
    """
    package, _, name = (node.module or "").partition(".configs")
    if package in ("csdip_jax.commands", "experiments"):
        for found in [name.lstrip(".")] if name else [alias.name for alias in node.names]:
            module = importlib.util.find_spec(f"{package}.configs.{found}")
            if module is not None and module.origin is not None:
                yield Path(module.origin)


def comments_of(file: Path) -> dict[str, str]:
    """Field -> the comment beside or above its assignment, `config.<field> = ...`, or where there is none, above it.

    In this file, else in the configurations that it starts from.
    """
    text = file.read_text(encoding="utf-8")
    found, tree = {}, ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for other in _configurations(node):
                found |= comments_of(other)
    lines = text.splitlines()
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
    for node in ast.walk(tree):
        target = ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else ""
        if target.startswith("config."):
            beside = [comments[line] for line in range(node.lineno, node.end_lineno + 1) if line in comments]
            above, line = [], node.lineno - 1
            while lines[line - 1].lstrip().startswith("#"):
                above.insert(0, comments[line])
                line -= 1
            if beside or above:
                found[target.removeprefix("config.")] = " ".join(beside or above)
    return found
