"""--help of every command: the fields of its configuration, from the places where they are defined."""

import dataclasses
import re

import pytest

from csdip_jax import operators
from csdip_jax.commands import config_help, settings
from csdip_jax.commands.configs import default
from csdip_jax.methods import METHODS, PARTS
from csdip_jax.operators import COUNTS
from csdip_jax.types import InputError
from tests.commands.typed import refused, run
from tests.conftest import REPOSITORY

EXPERIMENTS = REPOSITORY / "experiments"
COMMANDS = sorted(
    ".".join(path.relative_to(EXPERIMENTS).with_suffix("").parts).removesuffix(".__main__")
    for path in EXPERIMENTS.rglob("*.py")
    if "launcher.run(" in path.read_text() or "csdip.run(" in path.read_text()
)
WITH_CONFIG = {"reconstruct", "sweep"} | {
    name
    for name in COMMANDS
    for path in (EXPERIMENTS / f"{name}.py", EXPERIMENTS / name / "__main__.py")
    if path.exists() and "define_config(" in path.read_text()
}
LINE = re.compile(r"^  ([\w.]+)=(.*?)(?:  .*)?$")
SHAPE = config_help.USUAL_SHAPE


def lines_of(result):
    """Field -> its default."""
    return dict(LINE.match(line).groups() for line in result.stdout.splitlines() if LINE.match(line))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_no_failure(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    shown = run(command, "--help")
    name = command.split(".")[0]
    assert shown.returncode == 0 and not shown.stderr
    assert f"experiments.{name}" in shown.stdout or f"csdip {name.removeprefix('fetch_')}" in shown.stdout
    options, found, _ = shown.stdout.partition("\nOptions:\n")
    assert found and "    " in options  # the examples come first
    assert (command in WITH_CONFIG) == bool(lines_of(shown))
    assert max(map(len, shown.stdout.splitlines())) <= 120
    assert max(map(len, shown.stdout.partition("Options:")[2].splitlines())) <= config_help.WIDTH


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
    assert told["tv.mu"] == "100000.0" and told["tv.steps"] == "7" and told["num_lines"] == "22"
    assert told["tv.beta"] == "32.0"  # left open there, so the method's own
    assert "no field 'nope'" in refused(run("sweep", "--help", "--config.nope=1"))
    assert "did you mean steps?" in refused(run("sweep", "--config.tv.stps=1"))


def test_one_section_may_be_asked_for():
    told = run("reconstruct", "--help=tv", "--help=stop")
    assert {name.partition(".")[0] for name in lines_of(told)} == {"tv", "stop"}
    assert "--images" not in told.stdout and "--config.tv.<field>=<value>" in told.stdout
    assert "it tells of run, csdip, " in refused(run("reconstruct", "--help=tvv"))
    assert "give --help alone" in refused(run("report", "--help=tv"))


def flat(config, prefix=""):
    for name, value in config.items():
        yield from flat(value, f"{prefix}{name}.") if hasattr(value, "items") else [f"{prefix}{name}"]


SECTIONS = config_help.sections(default.get_config(), EXPERIMENTS / "configs" / "default.py")
FIELDS = {field.name: field for section in SECTIONS for field in section.fields}


def test_every_field_says_what_it_is_its_default_and_its_range():
    """Of the base configuration, all methods and parts; so a new field needs its docstring."""
    assert {*FIELDS} == {*flat(default.get_config())}
    for name, field in FIELDS.items():
        method, _, own = name.partition(".")
        assert field.about, name
        if own or name in ("seed", "noise_variance", "operator", "methods", "preset", "matrix_dtype", *COUNTS):
            assert field.allowed, name
        if method in METHODS and own not in ("levels", *PARTS):
            recipe = dataclasses.replace(METHODS[method], check=None)
            assert field.default == str(getattr(recipe.preset("paper", SHAPE), own))
            types = {one.name: one.type for one in dataclasses.fields(recipe.method)}
            assert field.default != "None" or types[own] == float | None, name
    assert (FIELDS["csdip.keep"].default, FIELDS["csdip.generator"].default) == ("best", "dcgan")
    assert FIELDS["tv.stop"].default == "none" and FIELDS["generator.latent_dim"].default == "128"


def with_value(name, value, part=None):
    """Asks for a run with this value of a field, as a command does."""
    config, (first, _, own) = default.get_config(), name.partition(".")
    config.methods = first if first in METHODS else "csdip" if part else "tv"
    if first == "csgm" or own == "lr_weight":  # a run asks first for what was trained
        return METHODS[first].make("paper", SHAPE, {own: value})
    if part:
        config.csdip[first] = part
    if first in COUNTS:
        config.operator = operators.first_of_each_count(operators.OPERATORS)[first].name
    (config[first] if own else config)[own or first] = value
    asked = settings.study(config)
    asked.measurements(SHAPE)
    return asked.sweeps(SHAPE)


BOUND = re.compile(r"(whole )?(>=|>|<=|<) ([\d.]+)(?:, or None)?")
CASES = [
    (field, section.title.split()[1].rstrip(":") if section.name in PARTS else None)
    for section in SECTIONS
    for field in section.fields
    if not field.name.startswith("bm3d_amp")
]


@pytest.mark.parametrize(("field", "part"), CASES, ids=lambda value: getattr(value, "name", value))
def test_the_program_takes_the_range_that_is_told_and_no_more(field, part):
    bounds = BOUND.findall(field.allowed)
    for whole, relation, number in bounds:
        kind = int if whole else float
        limit, step = kind(float(number)), kind(1) if whole else 1e-3
        beyond = {">=": limit - step, "<=": limit + step, ">": limit, "<": limit}[relation]
        within = {">=": limit, "<=": limit, ">": limit + step, "<": limit - step}[relation]
        with pytest.raises(InputError, match=re.escape(field.name.rpartition(".")[2])):
            with_value(field.name, beyond, part)
        with_value(field.name, within, part)
    choices = [] if bounds else re.findall(r"[\w.]+", field.allowed.replace(" or ", " "))
    if choices and " to " not in field.allowed and not {"whole", "True", "upper"} & {*choices}:
        with pytest.raises(InputError, match="nonsense"):
            with_value(field.name, "nonsense", part)
        for choice in choices if field.name.rpartition(".")[2] not in ("methods", "matrix_dtype", "generator") else ():
            if (field.name, choice) != ("csgm.moves", "projector"):  # its decoder has no such weights
                with_value(field.name, choice, part)


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
