"""The house keeps its shape: who imports whom, what files are called, what is said of each part, who asks for names."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import csdip_jax as cs
from tests.conftest import REPOSITORY

ROOMS = (
    "types",
    "registry",
    "checks",
    "switches",
    "files",
    "kernels",
    "transforms",
    "operators",
    "prox",
    "priors",
    "denoisers",
    "metrics",
    "generators",
    "rules",
    "methods",
    "verdict",
    "data",
    "solve",
    "io",
    "__init__",
    "runs",
    "commands",
    "__main__",
)
"""Of csdip_jax/, in the order in which they are read: each imports from those before it alone. `__init__` is what
`import csdip_jax` gives."""

TREES = ("csdip_jax", "experiments", "examples")

BRANCHES = {
    ("csdip_jax/io/vae_weights.py", "vae"): "a key of the file format",
    ("csdip_jax/methods/lasso.py", "dct"): "a basis",
    ("csdip_jax/transforms.py", "dct"): "a transform",
    ("csdip_jax/transforms.py", "hadamard"): "a transform",
    ("experiments/best/comparing.py", "best"): "what the study is about",
    ("experiments/best/comparing.py", "csdip"): "the paper's method, which it is compared with",
    ("experiments/best/studies.py", "bm3d_amp"): "needs rows like random ones, which Fourier samples are not",
    ("experiments/best/studies.py", "radial_fourier"): "one of the two operators of the study",
    ("experiments/best/__main__.py", "radial_fourier"): "one of the two operators of the study",
    ("experiments/benchmark/turns.py", "best"): "the fastest of several programs",
    ("csdip_jax/commands/launcher.py", "vae"): "the files that a command makes",
    ("experiments/learned_regularization/study.py", "csdip"): "what the study is about",
    (
        "experiments/learned_regularization/study.py",
        "gaussian",
    ): "the paper's operator, whose further rows are held out",
    ("experiments/configs/paper_items.py", "tv"): "the name of a published file",
    ("experiments/paper/numbers.py", "csdip"): "the paper's method, which the others are compared with",
    ("experiments/paper/rendering.py", "csgm"): "the one method of the paper's figures that needs trained weights",
    ("experiments/published.py", "csgm"): "the parts of a published file",
    ("experiments/theorem_check/compressed.py", "gaussian"): "the operators of this section, of its own making",
}
"""(file, name of a method, operator, generator or rule) that it compares with, or has in a table -> why it may.
Examples choose by name, as a user does."""

FOREIGN = {"Module", "tqdm"}
"""Classes of other libraries, which document the methods that are derived from theirs."""


def parsed(folder: str) -> dict[str, ast.Module]:
    """Path -> syntax tree, of the .py files below a folder of the repository."""
    paths = sorted((REPOSITORY / folder).rglob("*.py"))
    return {path.relative_to(REPOSITORY).as_posix(): ast.parse(path.read_text()) for path in paths}


FILES = {path: tree for folder in TREES for path, tree in parsed(folder).items()}


def below(folder: str) -> dict[str, ast.Module]:
    return {path: tree for path, tree in FILES.items() if path.startswith(f"{folder}/")}


def imported(path: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(place, dotted name) of all that a file imports, wherever in it; of `from a import b` "a.b"."""
    package = Path(path).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join([*parts, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((f"{path}:{node.lineno}", name) for name in names)


def room_of(name: str) -> str:
    """Of csdip_jax/, that a dotted name below it lies in; a public name of the whole is that of `__init__`."""
    first = name.split(".")[1] if "." in name else "__init__"
    return first if first in ROOMS else "__init__"


def test_the_list_of_rooms_is_true():
    there = {path.split("/")[1].removesuffix(".py") for path in below("csdip_jax")}
    assert there == set(ROOMS), "a room that comes or goes does so in ROOMS too, where it is read"


def test_no_room_imports_from_a_higher_one():
    upwards = []
    for path, tree in below("csdip_jax").items():
        here = path.split("/")[1].removesuffix(".py")
        for place, name in imported(path, tree):
            if name.split(".")[0] == "csdip_jax" and ROOMS.index(room_of(name)) > ROOMS.index(here):
                upwards.append(f"{place} imports {name}")
            if name.split(".")[0] in ("experiments", "examples", "tests"):
                upwards.append(f"{place} imports {name}")
    assert not upwards


def is_run(tree: ast.Module) -> bool:
    """Whether a file asks for `__name__`, to be run as a program."""
    return any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(tree))


def test_no_launcher_is_imported():
    """Nor is an example."""
    single = [path for path, tree in below("experiments").items() if path.count("/") == 1 and is_run(tree)]
    launchers = {path.removesuffix(".py").replace("/", ".") for path in single}
    wrong = []
    for path, tree in FILES.items():
        for place, name in imported(path, tree):
            if (
                "__main__" in name.split(".")
                or name.startswith("examples")
                or launchers & {name, name.rpartition(".")[0]}
            ):
                wrong.append(f"{place} imports {name}")
    assert launchers and not wrong


def test_configurations_import_nothing_above_them():
    """But the library, and each other."""
    named = (each for path, tree in below("experiments/configs").items() for each in imported(path, tree))
    assert not [place for place, name in named if re.match(r"experiments(?!\.configs)", name)]


@pytest.mark.parametrize("tree", ["csdip_jax", "experiments"])
def test_no_base_name_comes_twice(tree):
    names = Counter(Path(path).stem for path in below(tree))
    every = ("__init__", "__main__", "base", "sweep")  # of a package each; a command and its configuration
    assert not [name for name, count in names.items() if count > 1 and name not in every]


def public(node: ast.Module | ast.ClassDef) -> Iterator[tuple[ast.AST, ast.FunctionDef | ast.ClassDef]]:
    """(what it stands in, definition) of the functions and classes without an underscore, and of those in them."""
    for child in node.body:
        if isinstance(child, ast.FunctionDef | ast.ClassDef) and not child.name.startswith("_"):
            yield node, child
            if isinstance(child, ast.ClassDef):
                yield from public(child)


def is_sentence(text: str) -> bool:
    """Whether the first line ends with a full stop, and begins with a capital or a symbol (`y = A x`, `phi`)."""
    first = text.split("\n")[0]
    return first.endswith(".") and not re.match(r"[a-z]{2,} [a-z]{3,}\b", first)


def test_whatever_is_public_says_what_it_is():
    """In a sentence; a method may leave it to the class that it is derived from, a launcher to its file."""
    classes: dict[str, list[ast.ClassDef]] = {}
    for tree in FILES.values():
        for _, node in public(tree):
            if isinstance(node, ast.ClassDef):
                classes.setdefault(node.name, []).append(node)

    def is_told(cls: ast.ClassDef, method: str) -> bool:
        own = {node.name: node for _, node in public(cls)}
        return (method in own and bool(ast.get_docstring(own[method]))) or is_inherited(cls, method)

    def is_inherited(cls: ast.ClassDef, method: str) -> bool:
        bases = [base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in cls.bases]
        return any(base in FOREIGN or any(is_told(b, method) for b in classes.get(base, [])) for base in bases)

    wrong = []
    for path, tree in FILES.items():
        for owner, node in public(tree):
            text, where = ast.get_docstring(node), f"{path}:{node.lineno} {node.name}"
            if isinstance(owner, ast.ClassDef):
                is_left_out = is_inherited(owner, node.name)
            else:
                is_left_out = node.name in ("main", "get_config") and ast.get_docstring(tree)
            if not (text or is_left_out):
                wrong.append(f"{where} has no docstring")
            elif text and not is_sentence(text):
                wrong.append(f"{where} begins with no sentence")
    assert not wrong


def strings(node: ast.AST | None) -> set[str]:
    """The constants that a node is, or holds as a tuple, a list, a set or a `match` pattern does."""
    if isinstance(node, ast.Constant):
        return {node.value} if isinstance(node.value, str) else set()
    if isinstance(node, ast.MatchValue):
        return strings(node.value)
    return {value for part in getattr(node, "elts", []) for value in strings(part)}


def asked_for(tree: ast.Module) -> Iterator[str]:
    """The strings that a file compares with, looks for among others, or has as keys of a table."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.Dict):
            parts = node.keys
        elif isinstance(node, ast.MatchValue):
            parts = [node]
        else:
            continue
        for part in parts:
            yield from strings(part)


def own_names(tree: ast.Module) -> set[str]:
    """The names under which a file registers what it holds: name = "..."."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "name":
            found |= strings(node.value)
        if isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id == "name" for to in node.targets):
            found |= strings(node.value)
    return found


def test_nothing_branches_on_a_name():
    """What differs from one method, operator, generator or rule to the next is said by it, at the foot of its file."""
    names = {*cs.methods.METHODS, *cs.operators.OPERATORS, *cs.generators.GENERATORS}.union(*cs.rules.RULES.values())
    library_and_launchers = below("csdip_jax") | below("experiments")
    found = {
        (path, name)
        for path, tree in library_and_launchers.items()
        for name in names & {*asked_for(tree)} - own_names(tree)
    }
    assert found == BRANCHES.keys()
