"""--help of every command: the fields of its configuration, from the places where they are defined."""

import dataclasses
import re

import pytest

from csdip_jax.commands import config_help
from csdip_jax.commands.configs import default
from csdip_jax.methods import METHODS, PARTS
from csdip_jax.types import InputError
from tests.commands.typed import refused, run
from tests.conftest import REPOSITORY

EXPERIMENTS = REPOSITORY / "experiments"
COMMANDS = sorted(
    ".".join(path.relative_to(EXPERIMENTS).with_suffix("").parts).removesuffix(".__main__")
    for path in EXPERIMENTS.rglob("*.py")
    if "launcher.run(" in path.read_text()
)
WITH_CONFIG = [
    name
    for name in COMMANDS
    for path in (EXPERIMENTS / f"{name}.py", EXPERIMENTS / name / "__main__.py")
    if path.exists() and "define_config(" in path.read_text()
]
LINE = re.compile(r"^  --config\.([\w.]+)=(.*?)  (\w+)(?: >= 1)?(?:: (.+))?$")


def lines_of(result):
    return {
        name: groups for name, *groups in (LINE.match(x).groups() for x in result.stdout.splitlines() if LINE.match(x))
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_no_failure(command):
    shown = run(command, "--help")
    assert shown.returncode == 0 and not shown.stderr and f"experiments.{command.split('.')[0]}" in shown.stdout
    assert (command in WITH_CONFIG) == bool(lines_of(shown))


@pytest.mark.parametrize("flag", ["--help", "-h", "-help", "--h", "-?", "--helpshort", "--helpfull"])
def test_all_ways_to_ask_are_alike(flag):
    shown, plain = run("sweep", flag), run("sweep", "--help")
    assert shown.returncode == 0 and lines_of(shown) == lines_of(plain) and "--dry_run" in shown.stdout
    assert ("--verbosity" in shown.stdout) == (flag == "--helpfull")


OWN = """
from csdip_jax.commands.configs import default

def get_config():
    config = default.get_config()
    config.num_lines, config.tv.mu = 22, 1e5
    return config
"""


def test_fields_are_those_of_the_configuration_given(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    told = lines_of(run("sweep", "--help", f"--config={tmp_path / 'own.py'}", "--config.tv.steps=7"))
    assert told["tv.mu"][0] == "100000.0" and told["tv.steps"][0] == "7" and told["num_lines"][0] == "22"
    assert told["tv.beta"][0] == "32.0"  # left open there, so the method's own
    assert "no field 'nope'" in refused(run("sweep", "--help", "--config.nope=1"))


def test_every_field_has_a_line_that_says_what_it_is():
    """Of the base configuration and all methods: a default, a type and a text, so a new field needs its docstring."""
    lines = config_help.fields(default.get_config(), EXPERIMENTS / "configs" / "default.py")
    told = {name: groups for name, *groups in (LINE.match(f"  {line}").groups() for line in lines)}
    assert len(told) == len(lines) > 40
    for name, (value, kind, text) in told.items():
        assert text, name
        method, _, field = name.partition(".")
        if method in METHODS and kind not in ("bool", "NoneType") and field not in ("levels", *PARTS):
            assert value == str(METHODS[method].settings[field].default)
        if kind == "float" and field not in ("lower", "upper"):
            assert not field or re.search(r"[<>]=? ?\d|[\[(]\d, \d[)\]]|\d[)\]]", text), f"{name} tells no range"


@pytest.mark.parametrize("name", METHODS)
def test_what_a_method_counts_is_at_least_one(name):
    """As the help says of all that are whole numbers."""
    if name == "bm3d_amp":
        pytest.importorskip("bm3d", reason="needs the extra bm3d")
    method = METHODS[name].preset("paper", (32, 32, 1))
    for field, kind in ((key, default.get_config()[name].get_type(key)) for key in default.get_config()[name]):
        if kind is int:
            with pytest.raises(InputError, match=f"{field} = 0: it must be"):
                dataclasses.replace(method, **{field: 0})


def test_reconstruct_alone_shows_its_help(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    alone = run("reconstruct")
    assert alone.returncode == 0 and alone.stdout == run("reconstruct", "--help").stdout
    assert not list(tmp_path.iterdir())
