"""What setup.cfg asks for is what the lists of requirements say, and what is tested."""

import configparser

import pytest

from tests.conftest import REPOSITORY


def listed(text: str, sign: str) -> dict[str, str]:
    """Package -> version of the lines <package><sign><version>; comments, options and blank lines are left out."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("#", "-"))]
    return dict(line.split(sign) for line in lines)


@pytest.fixture(scope="module")
def asked():
    parser = configparser.ConfigParser()
    parser.read(REPOSITORY / "setup.cfg")
    return {"": parser["options"]["install_requires"], **parser["options.extras_require"]}


def test_the_lists_agree_with_setup_cfg(asked):
    floors, lowest = listed(asked[""], ">="), (REPOSITORY / "requirements-lowest.txt").read_text()
    assert listed((REPOSITORY / "requirements.txt").read_text(), ">=") == floors
    assert listed(lowest, "==") == floors
    cuda = listed((REPOSITORY / "requirements-cuda.txt").read_text(), ">=")
    assert cuda == listed(asked["cuda"], ">=") == {"jax[cuda13]": floors["jax"]}


def test_a_package_of_several_extras_has_one_floor(asked):
    floors = {}
    for text in asked.values():
        for package, floor in listed(text, ">=").items():
            assert floors.setdefault(package, floor) == floor
