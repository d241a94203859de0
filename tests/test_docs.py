"""The pages hold what they say: lines, links, snippets, command lines and messages, as a reader meets them."""

import ast
import re
import shlex
import subprocess
import sys
from unittest import mock

import matplotlib.pyplot as plt
import pytest
from absl import app

import csdip_jax as cs
from csdip_jax.commands.csdip import COMMANDS
from tests.commands import typed
from tests.conftest import REPOSITORY
from tests.pages import PAGES, READ_BY_USERS, anchors, commands, fenced, files, links, name_of
from tests.test_api import ROOMS

LONGEST = 120
WITH_SNIPPETS = [page for page in READ_BY_USERS if fenced(page, "python")]
LINES = [(name_of(page), line) for page in READ_BY_USERS for line in commands(page)]
PROGRAMS = {name: command.module for name, command in COMMANDS.items()}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_line_is_too_long(page):
    assert [line for line in page.read_text().splitlines() if len(line) > LONGEST] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    dead = []
    for target in links(page):
        path, _, anchor = target.partition("#")
        there = page if not path else page.parent / path
        script = re.sub(r".*/gallery/(?:images/sphx_glr_)?(\w+?)(?:_\d\d\d\.png|\.rst)$", r"\1", there.as_posix())
        if re.match(r"https?:|mailto:", target):
            continue
        if "/gallery/" in there.as_posix():  # made of the examples when the pages are built
            is_there = script == "index" or (REPOSITORY / "examples" / f"{script}.py").exists()
        else:
            is_there = there.exists() and (not anchor or anchor in anchors(there))
        if not is_there:
            dead.append(target)
    assert dead == []


def test_every_page_is_in_the_contents():
    """Sphinx says so too, where it is installed."""
    contents = "\n".join(text for page in READ_BY_USERS for _, text in fenced(page, r"\{toctree\}"))
    listed = {line.strip().rpartition("/")[2] for line in contents.splitlines()} | {"index"}
    assert {page.stem for page in (REPOSITORY / "docs").glob("*/*.md")} - listed == set()


def test_each_operator_has_its_line():
    page = (REPOSITORY / "docs" / "howto" / "operators.md").read_text()
    called = re.findall(r"`(\w+)\(", page)
    assert cs.operators.OPERATORS.keys() - {*re.findall(r"`(\w+)`", page)} == set()
    assert called and [name for name in called if name not in cs.operators.__all__] == []


@pytest.mark.parametrize("page", WITH_SNIPPETS, ids=name_of)
def test_snippets_run_as_printed(page, tmp_path, monkeypatch, capsys):
    """In order, in one namespace."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    names: dict = {"__name__": "page"}
    for line, text in fenced(page, "python"):
        exec(compile("\n" * line + text, str(page), "exec"), names)
    plt.close("all")


def parse_only(program, flags_parser):
    """In place of `absl.app.run`: the flags and fields are read as by the real program, and nothing more."""
    flags_parser(sys.argv)


@pytest.mark.parametrize("page, line", LINES, ids=[line for _, line in LINES])
def test_commands_have_such_options(page, line, tmp_path, monkeypatch):
    (tmp_path / "experiments").symlink_to(REPOSITORY / "experiments")
    for name, text in files(REPOSITORY / page).items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    program, *options = shlex.split(line)
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
        assert all(option in targets or "=" in option for option in options)
        return
    if program == "python":
        words = [options[1], *options[2:]] if options[0] == "-m" else options
        if words[0].startswith("examples/"):
            assert (REPOSITORY / words[0]).exists() and {*words[1:]} <= {"--quick"}
            return
        name, options = words[0].removeprefix("experiments."), words[1:]
    else:
        name, options = (options or ["--help"])[0], options[1:]
        if name.startswith("--"):
            assert name in ("--help", "--version")
            return
        assert name in PROGRAMS
        options = [*COMMANDS[name].options, *options]
        name = PROGRAMS[name]
    own = mock.patch.dict(cs.methods.METHODS), mock.patch.dict(cs.operators.OPERATORS)
    with own[0], own[1], mock.patch.object(app, "run", parse_only):
        result = typed.run(name, *options)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("line", ["csdip", "csdip --version", "csdip reconstruct --help"])
def test_the_cheap_commands_run(line):
    done = subprocess.run(
        [sys.executable, "-m", "csdip_jax", *line.split()[1:]], capture_output=True, text=True, cwd=REPOSITORY
    )
    assert done.returncode == 0 and done.stdout and not done.stderr


def told_by_the_code() -> str:
    """All strings of the library and its commands, a line each; what an f-string fills in is `...`."""
    told = []
    for path in sorted((REPOSITORY / "csdip_jax").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                told.append(
                    "".join(str(part.value) if isinstance(part, ast.Constant) else "..." for part in node.values)
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                told.append(node.value)
    return "\n".join(told)


def test_the_messages_that_are_explained_are_those_of_the_code():
    page = (REPOSITORY / "docs" / "howto" / "troubleshooting.md").read_text()
    terms = re.findall(r"^(.*)\n: ", page, re.MULTILINE)
    code = "\n".join([told_by_the_code(), "Unknown command line flag", *cs.Status.__members__])  # the second is absl's
    unknown = []
    for term in terms:
        for message in re.findall(r"`` ?(.+?) ?``|`([^`]+)`", term):
            parts = [part.strip(" ,:=-") for part in re.split(r"\.\.\.|--\w+=?", "".join(message))]
            unknown += [part for part in parts if len(part) > 3 and part not in code]
    assert len(terms) > 20 and unknown == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_its_page_of_the_api(room):
    pages = "\n".join(page.read_text() for page in (REPOSITORY / "docs" / "api").glob("*.md"))
    assert re.search(rf"automodule:: {re.escape(room)}$", pages, re.MULTILINE)


def test_the_gallery_has_a_title_of_each_script():
    for path in sorted((REPOSITORY / "examples").glob("*.py")):
        title, line = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[:2]
        assert set(line) == {"="} and len(line) == len(title), path
