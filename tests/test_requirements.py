"""What setup.cfg asks for is what the lists of requirements say, and what is tested."""

import configparser
import importlib.metadata
import subprocess
import sys

import pytest

import csdip_jax as cs
from tests.conftest import REPOSITORY


def listed(text: str, sign: str) -> dict[str, str]:
    """Package -> version of the lines <package><sign><version>; comments, options, our own extras are left out."""
    others = ("#", "-", "csdip_jax[")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(others)]
    return dict(line.split(sign) for line in lines)


@pytest.fixture(scope="module")
def setup():
    parser = configparser.ConfigParser()
    parser.read(REPOSITORY / "setup.cfg")
    return parser


@pytest.fixture(scope="module")
def asked(setup):
    return {"": setup["options"]["install_requires"], **setup["options.extras_require"]}


def test_the_lists_agree_with_setup_cfg(asked):
    floors = listed(asked[""], ">=")
    lowest = (REPOSITORY / "requirements-lowest.txt").read_text()
    assert listed((REPOSITORY / "requirements.txt").read_text(), ">=") == floors
    assert listed(lowest, "==") == floors
    cuda = listed((REPOSITORY / "requirements-cuda.txt").read_text(), ">=")
    assert cuda == listed(asked["cuda"], ">=") == {"jax[cuda13]": floors["jax"]}


def test_a_package_of_several_extras_has_one_floor(asked):
    floors = {}
    for text in asked.values():
        for package, floor in listed(text, ">=").items():
            assert floors.setdefault(package, floor) == floor


def test_the_version_is_that_of_setup_cfg_and_types_come_along(setup):
    assert cs.__version__ == importlib.metadata.version("csdip_jax") == setup["metadata"]["version"]
    assert "py.typed" in setup["options.package_data"]["csdip_jax"].split(", ")
    assert (REPOSITORY / "csdip_jax" / "py.typed").exists()


WITHOUT = """
import sys
sys.modules |= dict.fromkeys({modules})

import dataclasses
import jax
import csdip_jax as cs

cs.data.load("demo", image_shape=(16, 16, 3))
images = cs.data.load("demo", image_shape=(16, 16, 1))
operator = cs.operators.gaussian(jax.random.key(0), 60, (16, 16, 1))
problem = cs.Problem(operator, cs.operators.measure(jax.random.key(1), operator, images[0]))
for name in ("tv", "csdip"):
    method = cs.methods.METHODS[name].preset("paper", (16, 16, 1))
    assert cs.reconstruct(dataclasses.replace(method, steps=2), problem, jax.random.key(2)).ok
print("done")
"""


def test_the_library_does_without_what_the_command_needs():
    """All but absl, which optax brings along. It starts faster so, and no plotting is set up behind one's back."""
    needed = (REPOSITORY / "requirements.txt").read_text().partition("# For the command:")[2]
    modules = [package.replace("-", "_") for package in listed(needed, ">=") if package != "absl-py"]
    assert "matplotlib" in modules and "ml_collections" in modules
    program = [sys.executable, "-c", WITHOUT.format(modules=modules)]
    done = subprocess.run(program, capture_output=True, text=True, cwd=REPOSITORY)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
