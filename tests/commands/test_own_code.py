"""A method and an operator of a user's own, `module:name`, by the command."""

import importlib
import itertools
import sys

import jax
import numpy as np
import pytest

from csdip_jax.commands import own_code
from csdip_jax.methods import METHODS
from csdip_jax.operators import OPERATORS
from tests.commands.typed import image_of, refused, rows_of, run

METHOD = """
import dataclasses
from typing import NamedTuple

import jax.numpy as jnp

from csdip_jax.methods import Method, Recipe
from csdip_jax.operators import squared_norm
from csdip_jax.types import Array, pytree_dataclass, static_field


class State(NamedTuple):
    image: Array
    step: Array
    loss: Array


@pytree_dataclass
class Landweber(Method):
    steps: int = static_field(30)
    rate: float = 0.1

    def init(self, problem, key):
        return State(jnp.zeros(self.image_shape), jnp.zeros((), jnp.int32), jnp.full((), jnp.inf))

    def step(self, problem, state, key):
        residual, back = problem.operator.residual_and_adjoint(problem.measurements, state.image)
        loss = squared_norm(residual)
        told = {"measurement_loss": loss, "objective": loss}
        return State(jnp.clip(state.image + self.rate * back, -1, 1), state.step + 1, loss), told

    def image(self, state):
        return state.image


RECIPE = Recipe(name="slow", label="Slow", colour="k", method=Landweber, grid={"rate": (0.1,)})


class Undecorated(Method):
    pass


@pytree_dataclass
class Lacking(Method):
    weight: float = dataclasses.field(kw_only=True)


def no_class():
    pass
"""
OPERATORS_ = """
import jax
import jax.numpy as jnp
import numpy as np

from csdip_jax.operators import Dense, Kind, Nonlinear, gaussian


def magnitude(matrix, image):
    return jnp.abs(matrix @ image.reshape(-1))


def phaseless(key, image_shape):
    size = image_shape[0] * image_shape[1]
    seed = int(jax.random.randint(key, (), 0, 2**31 - 1))  # which JAX cannot trace
    matrix = np.random.default_rng(seed).standard_normal((4 * size, size)) / np.sqrt(4 * size)
    return Nonlinear(jax.tree_util.Partial(magnitude, jnp.asarray(matrix, jnp.float32)), image_shape)


def sums(image):
    return jnp.concatenate([image.sum(0), image.sum(1)]).ravel()


fixed = gaussian(jax.random.key(3), 60, (8, 8, 1))
fewer = Kind("fewer", "fewer Gaussian", "half of m", lambda key, m, shape: gaussian(key, m // 2, shape), "f", 20)


def fails(key, image_shape):
    raise TypeError("no way")


def other_shape(key, image_shape):
    return fixed


number = 3
"""
NAMES = (f"own{i}" for i in itertools.count())


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Name of a module of own code, in the current folder."""
    name = next(NAMES)
    (tmp_path / f"{name}.py").write_text(METHOD + OPERATORS_)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield name
    sys.modules.pop(name, None)


SMALL = ("--config.data=demo", "--image_shape=8,8,1", "--config.num_images=1", "--workdir=run")


def test_a_method_of_ones_own_has_its_settings_and_its_rows(module, tmp_path):
    options = [*SMALL, "--config.num_measurements=40", f"--methods={module}:Landweber,tv", "--config.tv.steps=3"]
    done = run("reconstruct", *options, "--config.Landweber.steps=7", "--sweep=Landweber.rate=0.1,0.2")
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "run")
    assert [row["label"] for row in rows] == ["Landweber rate=0.1", "Landweber rate=0.2", "tv"]
    assert [row["steps"] for row in rows] == [7, 7, 3] and "Landweber rate=0.1" in done.stdout
    assert rows[0]["more"].keys() == {"code of method Landweber"} and rows[2]["more"] == {"mu": 256.0}
    assert (tmp_path / "run" / "comparison.png").exists()

    again = run("reconstruct", *options, "--config.Landweber.steps=7", "--sweep=Landweber.rate=0.1,0.2")
    assert again.returncode == 0 and rows_of(tmp_path / "run") == rows


def test_a_recipe_of_ones_own(module, tmp_path):
    done = run("reconstruct", *SMALL, f"--methods={module}:RECIPE", "--config.slow.steps=2")
    assert done.returncode == 0, done.stderr
    assert [row["method"] for row in rows_of(tmp_path / "run")] == ["slow"]


@pytest.mark.parametrize("option", ["--methods={}:Landweber", "--operator={}:fixed"])
def test_after_an_edit_nothing_is_skipped_silently(option, module, tmp_path):
    options = [*SMALL, "--config.tv.steps=3", "--config.methods=tv"][: None if "operator" in option else -2]
    assert run("reconstruct", *options, option.format(module)).returncode == 0
    sys.modules.pop(module)
    path = tmp_path / f"{module}.py"
    path.write_text(path.read_text() + "\n# edited\n")
    name = f"{'operator' if 'operator' in option else 'method'} {option.rpartition(':')[2]}"
    assert f"the file of {name} has changed since run was written" in refused(
        run("reconstruct", *options, option.format(module))
    )


@pytest.mark.parametrize(("name", "measurements"), [("phaseless", 256), ("sums", 16), ("fixed", 60), ("fewer", 15)])
def test_operators_of_ones_own_measure_images(name, measurements, module, tmp_path):
    """A factory, a function of the image, an operator, a kind; without an adjoint the picture says so."""
    method = ["--methods=csdip,tv", "--config.csdip.steps=3"] if name == "phaseless" else ["--methods=tv"]
    options = [*SMALL, f"--operator={module}:{name}", "--config.tv.steps=3", *method]
    options += ["--config.num_measurements=30"] if name == "fewer" else []
    done = run("reconstruct", *options)
    assert done.returncode == 0, done.stderr
    (row,) = rows_of(tmp_path / "run")  # what needs a linear operator is left out beside one that is none
    assert row["operator"] == name and row["num_measurements"] == measurements
    with np.load(tmp_path / "run" / "reconstructions" / f"{row['file']}.npz") as saved:
        assert np.isnan(saved["adjoint"]).all() == (name == "phaseless")
    assert (tmp_path / "run" / "comparison.png").exists()


def test_a_sweep_has_own_operators_beside_the_librarys(module, tmp_path):
    options = ["--config.data=demo", "--config.image_shape=8,8,1", "--config.num_images=2", "--workdir=run"]
    options += ["--methods=tv", "--config.num_measurements=30", "--config.noise_variance=0.0", "--config.tv.steps=3"]
    done = run("sweep", *options, f"--operator=gaussian,{module}:fixed")
    assert done.returncode == 0, done.stderr
    assert sorted(row["operator"] for row in rows_of(tmp_path / "run")) == ["fixed"] * 2 + ["gaussian"] * 2
    assert {row["file"] for row in rows_of(tmp_path / "run")} >= {"camera-fixed-noise0-seed0-tv"}


def test_own_measurements_by_an_own_operator(module, tmp_path, monkeypatch):
    """Phase retrieval: pixels of 0 to 1 are taken, and a column of numbers will do."""
    monkeypatch.syspath_prepend(tmp_path)
    matrix = importlib.import_module(module).phaseless(jax.random.fold_in(jax.random.key(0), 0), (8, 8, 1))
    image = np.zeros((8, 8, 1), np.float32)
    image[2:5, 1:6] = 0.8
    np.save("y.npy", np.asarray(matrix.forward(image))[:, None])
    options = ["--measurements=y.npy", f"--operator={module}:phaseless", "--config.csdip.steps=150", "--workdir=run"]
    assert "`image_shape" not in (told := refused(run("reconstruct", *options))) and "--image_shape" in told
    done = run("reconstruct", *options, "--image_shape=8,8,1")
    assert done.returncode == 0, done.stderr
    assert "pixel range 0 to 1 taken, since the operator measures x and -x alike; --pixel_range sets it" in done.stdout
    found = np.load("run/csdip.npy")
    assert 0 <= found.min() and np.mean((found - image) ** 2) < 0.02
    assert (tmp_path / "run" / "comparison.png").exists() and not np.isnan(image_of(tmp_path / "run", "csdip")).any()
    path = tmp_path / f"{module}.py"
    path.write_text(path.read_text() + "\n")
    sys.modules.pop(module)
    assert "operator_code" in refused(run("reconstruct", *options, "--image_shape=8,8,1"))


def test_own_measurements_take_the_shape_of_an_operator_that_has_one(module, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    operator = importlib.import_module(module).fixed
    np.save("y.npy", np.asarray(operator.forward(np.full((8, 8, 1), 0.3, np.float32))))
    options = ["--measurements=y.npy", f"--operator={module}:fixed", "--methods=tv", "--config.tv.steps=5"]
    done = run("reconstruct", *options, "--workdir=run")
    assert done.returncode == 0, done.stderr
    assert "pixel range -1 to 1 taken" in done.stdout and np.load("run/tv.npy").shape == (8, 8, 1)
    np.save("y.npy", np.ones(7))
    assert "it makes (60,) of an image of shape (8, 8, 1)" in refused(run("reconstruct", *options, "--workdir=other"))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--methods=nosuch_:A", "there is no module nosuch_ in"),
        ("--methods={}.py:Landweber", "write a module without .py, {}:Landweber"),
        ("--methods={}:Landweer", "{} has no Landweer; it has State, Landweber, Undecorated"),
        ("--config.methods={}:no_class", "--methods={}:no_class is a function: give a class derived from"),
        ("--methods={}:Undecorated", "is no pytree: decorate the class"),
        ("--methods={}:Lacking", "its field weight has no default"),
        ("--operator={}:number", "--operator={}:number is a int: give a function (key, image_shape) -> operator"),
        ("--operator={}:fails", "called with (key, (8, 8, 1)) it fails, TypeError: no way"),
        ("--methods=broken:A", "importing broken fails, SyntaxError"),
        ("--methods=needy:A", "importing needy fails, No module named 'nosuch_'"),
    ],
)
def test_what_is_wrong_with_own_code_is_one_line(option, message, module, tmp_path):
    (tmp_path / "broken.py").write_text("}")
    (tmp_path / "needy.py").write_text("import nosuch_")
    assert message.format(module) in refused(run("reconstruct", *SMALL, option.format(module)))
    assert not (tmp_path / "run").exists()


def test_an_operator_of_another_shape_is_refused(module):
    told = refused(run("reconstruct", *SMALL[:1], "--image_shape=9,9,1", f"--operator={module}:other_shape"))
    assert "images of shape (8, 8, 1), not (9, 9, 1)" in told and told.endswith("; try --image_shape=8,8,1")


@pytest.mark.parametrize("name", ["of_grey", "fixed"])
def test_an_operator_of_grey_images_says_so_of_colour(name, module, tmp_path):
    with open(tmp_path / f"{module}.py", "a") as file:
        file.write("\n\ndef of_grey(image):\n    return jnp.ones((5, 64)) @ image.reshape(-1)\n")
    options = [f"--operator={module}:{name}", f"--workdir={tmp_path / 'run'}", "--methods=tv"]
    told = refused(run("reconstruct", "--config.data=demo", "--image_shape=8,8,3", *options))
    assert told.endswith("; try --image_shape=8,8,1") and not (tmp_path / "run").exists()


def test_a_name_that_is_taken_is_refused(module, tmp_path, monkeypatch):
    monkeypatch.setattr(own_code, "METHODS", registry := dict(METHODS))
    assert own_code.method_name("csdip_jax.methods:TV") == "tv" and registry["tv"] is METHODS["tv"]
    (tmp_path / "other_.py").write_text(METHOD.replace("30", "31"))
    assert own_code.method_name(f"{module}:Landweber") == own_code.method_name(f"{module}:Landweber") == "Landweber"
    with pytest.raises(own_code.InputError, match="there is another 'Landweber' already"):
        own_code.method_name("other_:Landweber")
    sys.modules.pop("other_")
    assert OPERATORS.keys() == {kind.name for kind in OPERATORS.values()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods=tv", "--config.methods=csdip"], "--methods=tv and --config.methods=csdip are one setting"),
        (["--operator=dct", "--config.operator=hadamard"], "are one setting: give it once"),
        (["--max_side=5", "--config.max_side=6"], "--max_side=5 and --config.max_side=6 are one setting"),
        (["--measurements=y.npy", "--matrix=A.npy", "--operator=dct"], "--operator=dct simulates measurements"),
        (["--measurements=y.npy", "--matrix=A.npy", "--max_side=5"], "--max_side=5: the measurements fix the shape"),
        (["--measurements=y.npy"], "needs one of --matrix=A.npy, --mask=mask.npy and --operator=module:name"),
    ],
)
def test_options_that_contradict_each_other(options, message, tmp_path):
    assert message in refused(run("reconstruct", *options, f"--workdir={tmp_path / 'run'}"))
    assert not (tmp_path / "run").exists()


def test_a_list_with_none_in_it_is_a_field_given_twice_too():
    told = refused(run("sweep", "--config.operator=(None,)", "--operator=dct", "--dry_run"))
    assert "--operator=dct and --config.operator=None are one setting" in told


def test_an_option_and_its_field_may_agree(tmp_path):
    options = [*SMALL[:-1], f"--workdir={tmp_path / 'run'}", "--config.tv.steps=2"]
    assert run("reconstruct", *options, "--methods=tv", "--config.methods=tv").returncode == 0
