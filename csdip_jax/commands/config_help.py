"""What --help says of the fields of --config: read from the file, its comments, and the methods' docstrings."""

import ast
import dataclasses
import importlib.util
import inspect
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path

from ml_collections.config_dict import ConfigDict

from csdip_jax.methods import METHODS, PARTS
from csdip_jax.operators import COUNTS, OPERATORS


def fields(config: ConfigDict, file: Path) -> list[str]:
    """A line per field of a configuration from a file: how to give it, with its value, its type, and what it is."""
    comments, lines = comments_of(file), []
    for name, kind, value in _flat(config):
        method, _, field = name.partition(".")
        allowed, told = kind.__name__, comments.get(name) or comments.get(method)
        if method in METHODS and field in PARTS:
            told = attributes(METHODS[method].method).get(field)
            told = f"{told} One of {', '.join(PARTS[field])}; see {field}.<field>"
        elif method in METHODS and field:
            allowed += " >= 1" * (kind is int)  # all that a method counts
            told = attributes(METHODS[method].method).get(field)
            value = METHODS[method].settings[field].default if value is None else value
        elif method in PARTS and field:
            told = "; ".join(_of_parts(PARTS[method], field))
        elif name == "operator":
            told = f"{told or 'Measurements.'} {_operators()}"
        elif name in COUNTS:
            kinds = [kind.name for kind in OPERATORS.values() if kind.count is COUNTS[name]]
            told = f"{COUNTS[name].about} ({', '.join(kinds)})"
        lines.append(f"--config.{name}={value}  {allowed}" + (f": {told}" if told else ""))
    return lines


def _flat(config: ConfigDict, prefix: str = "") -> Iterator[tuple[str, type, object]]:
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, config.get_type(name), value


def _operators() -> str:
    return "Kinds: " + "; ".join(f"{kind.name}, {kind.about}" for kind in OPERATORS.values())


def _of_parts(known: Mapping[str, type], field: str) -> Iterator[str]:
    """What each of the parts that have this field says of it."""
    for name, cls in known.items():
        found = {x.name: x.default for x in dataclasses.fields(cls)}
        if field in found:
            yield f"{name} ({found[field]}): {attributes(cls).get(field)}"


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
