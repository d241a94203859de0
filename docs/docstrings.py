"""What the pages take from the code: docstrings as reStructuredText; order and size of the gallery's scripts."""

import ast
import enum
import inspect
import re
from pathlib import Path

import csdip_jax

QUICK = ("coordinate_descent",)
"""Scripts that are shown at toy size: the data that they need is not part of the package."""

FIRST = ("first_reconstruction", "own_measurements", "single_pixel", "own_operator", "restarts_and_sweeps")
"""Scripts that the gallery begins with; any other follows by its name."""

is_quick = False


def gallery_arguments(_, script) -> list[str]:
    """What a script of the gallery is called with."""
    return ["--quick"] if is_quick or Path(script["src_file"]).stem in QUICK else []


class ReadingOrder:
    """The scripts as they are best read."""

    def __init__(self, folder: str):
        self.folder = folder

    def __call__(self, name: str) -> tuple[int, str]:
        stem = Path(name).stem
        return FIRST.index(stem) if stem in FIRST else len(FIRST), name


def as_rest(lines: list[str]) -> list[str]:
    """A docstring of plain text as reStructuredText: `code` as code, * and | as they are, equations in blocks.

    What is indented below a blank line is a block of its own, but for the sections that napoleon knows.
    """
    found, literal, above = [], None, ""
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if not line.strip():
            found.append(line)
            continue
        if literal is not None and indent <= literal:
            literal = None
        after_blank = bool(found) and not found[-1].strip()
        base = len(above) - len(above.lstrip())
        if literal is None and above and after_blank and indent > base and not line.lstrip().startswith(">>> "):
            if not above.rstrip().endswith("::"):
                found += [" " * base + "::", ""]
            literal = base
        is_example = line.lstrip().startswith((">>> ", "... "))
        found.append(line if literal is not None or is_example else _in_line(line))
        above = line
    return found


def _in_line(line: str) -> str:
    """A line of prose. Several names of one entry, "low, high: ...", become one word, or Sphinx takes all but the last
    for a type. A letter alone, "inner: B.", stays one rather than begin a list."""
    line = re.sub(r"^ +(\w+, )+\w+(?=: )", lambda names: names[0].replace(", ", ","), line)
    parts = re.split(r"(``[^`]+``|:[a-z:]+:`[^`]+`|`[^`]+`)", line)
    text = "".join(
        _code(part) if i % 2 else re.sub(r"([*|\\])|(?<=\w)_(?=\W|$)", _escaped, part) for i, part in enumerate(parts)
    )
    return re.sub(r"(?<=: )(\w)\.$", r"\1\\.", text)


def _escaped(found: re.Match) -> str:
    return "\\" + found.group()


def _code(part: str) -> str:
    if not part.startswith("`") or part.startswith("``"):
        return part
    name = part.strip("`")
    is_class = re.fullmatch(r"(\w+\.)*[A-Z]\w*[a-z]\w*(\.\w+)?", name)
    return f":py:obj:`{name} <.{name}>`" if is_class else f"``{name}``"


def _process(app, what, name, value, options, lines) -> None:
    if what in ("data", "attribute") and not lines:
        lines[:] = constant(name.rpartition(".")[2])
    lines[:] = as_rest(lines)


def constant(name: str) -> list[str]:
    """What stands below the assignment of a constant of the library, in whichever file that is."""
    for path in sorted(Path(csdip_jax.__file__).parent.rglob("*.py")):
        body = ast.parse(path.read_text()).body
        for node, below in zip(body, body[1:], strict=False):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                if isinstance(below, ast.Expr) and isinstance(getattr(below.value, "value", None), str):
                    return inspect.cleandoc(below.value.value).split("\n")
    return []


def _skip(app, what, name, value, skip, options) -> bool | None:
    """Fields of a class are told by its docstring, but for those of an enumeration."""
    is_told_above = what == "class" and not (inspect.isroutine(value) or isinstance(value, property | enum.Enum))
    return True if is_told_above or inspect.ismodule(value) else None


def setup(app) -> dict:
    global is_quick
    is_quick = app.tags.has("quick")
    app.connect("autodoc-process-docstring", _process, priority=100)  # before napoleon
    app.connect("autodoc-skip-member", _skip)
    return {"parallel_read_safe": True}
